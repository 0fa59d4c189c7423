"""Running a suite: every case on every engine, each compared with lme4."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from lmerbridge import datasets
from lmerbridge.crosscheck.cases import Case, golden
from lmerbridge.crosscheck.compare import Comparison, compare
from lmerbridge.crosscheck.quantities import Quantities, of_golden, of_result
from lmerbridge.design import build_frame
from lmerbridge.engines import FitSpec, engine_names, load_engine, refusal, status_of
from lmerbridge.errors import DataError, FitFailedError, FitWarning, LmerBridgeError

__all__ = ["CaseReport", "Outcome", "read_data", "run_case", "run_suite"]

GOLDEN = "golden"
POLISHED = "lme4 polished"


@dataclass(frozen=True)
class Outcome:
    """One engine on one case.

    ``verdict``: ``agree``, ``differ``, ``refused``, ``failed``, ``reference`` (what the others
    are compared with), ``no reference`` or, for a case that must be refused, ``error as
    expected``. ``text`` says more.
    """

    engine: str
    verdict: str
    against: str = ""
    comparisons: tuple[Comparison, ...] = ()
    text: str = ""
    seconds: float = 0.0

    @property
    def well(self) -> bool:
        return self.verdict not in ("differ", "failed")


@dataclass(frozen=True)
class CaseReport:
    """A case with the outcomes of all engines; ``skipped`` says why there are none."""

    case: Case
    outcomes: tuple[Outcome, ...] = field(default=())
    skipped: str = ""

    @property
    def well(self) -> bool:
        return all(outcome.well for outcome in self.outcomes)


def read_data(case: Case) -> pd.DataFrame:
    """The data of a case.

    Raises
    ------
    DataError
        It is neither a data set nor a file that can be read.
    """
    if case.data in datasets.names():
        return datasets.load(case.data)
    path = Path(case.data) if case.folder is None else case.folder / case.data
    if not path.is_file():
        raise DataError(f"{case.name}: {case.data!r} is neither a data set nor a file")
    return datasets.read_csv(path)


def _expected_error(case: Case, data: pd.DataFrame) -> Outcome:
    assert case.error is not None
    try:
        build_frame(case.formula, data)
    except LmerBridgeError as error:
        if case.error in str(error):
            return Outcome("all", "error as expected", text=str(error))
        return Outcome("all", "failed", text=f"another error than expected: {error}")
    return Outcome("all", "failed", text="was accepted, and should be refused")


def _compared(
    name: str, found: Quantities, reference: Quantities, polished: Quantities | None, seconds: float
) -> Outcome:
    """``found`` against ``reference``; or, where it reached a lower criterion than that, against
    what lme4 reaches itself when it is polished.
    """
    comparisons = tuple(compare(reference, found))
    if all(c.agrees for c in comparisons):
        return Outcome(name, "agree", reference.source, comparisons, seconds=seconds)
    here, there = (q.values["criterion"]["criterion"] for q in (found, reference))
    if polished is not None and here < there:
        better = tuple(compare(polished, found))
        if all(c.agrees for c in better):
            text = (
                f"the criterion is {there - here:.1e} below that of {reference.source}, which "
                "stopped early; lme4 polished with tight tolerances agrees"
            )
            return Outcome(name, "agree", POLISHED, better, text, seconds)
    return Outcome(name, "differ", reference.source, comparisons, seconds=seconds)


def run_case(case: Case, engines: Sequence[str]) -> CaseReport:
    """Fit a case with each engine and compare with live lme4, or else with golden values."""
    if case.data in datasets.names() and not datasets.is_local(case.data):
        return CaseReport(
            case, skipped=f"the data set {case.data!r} is not on this machine (LMERBRIDGE_DATA)"
        )
    data = read_data(case)
    if case.error is not None:
        return CaseReport(case, (_expected_error(case, data),))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        frame = build_frame(case.formula, data, data_name=case.data)
    spec = FitSpec(REML=case.REML and frame.X.shape[1] > 0, cold=True)
    record = golden(case)
    stored = None if record is None else of_golden(record, "default", GOLDEN)
    reference: Quantities | None = stored
    outcomes = []
    ordered = [e for e in ("lme4",) if e in engines] + [e for e in engines if e != "lme4"]
    for name in ordered:
        engine = load_engine(name)
        why = refusal(engine, frame, spec)
        if why is not None:
            outcomes.append(Outcome(name, "refused", text=why))
            continue
        began = time.perf_counter()
        try:
            found = of_result(engine.fit(frame, spec))
        except FitFailedError as error:
            outcomes.append(Outcome(name, "failed", text=str(error)))
            continue
        seconds = time.perf_counter() - began
        if reference is None:
            verdict = "reference" if name == "lme4" else "no reference"
            outcomes.append(Outcome(name, verdict, seconds=seconds))
        else:
            polished = None if record is None else of_golden(record, "polished", POLISHED)
            outcomes.append(_compared(name, found, reference, polished, seconds))
        if name == "lme4":
            reference = found
    return CaseReport(case, tuple(outcomes))


def run_suite(
    cases: Sequence[Case],
    engines: Sequence[str] | None = None,
    progress: Callable[[Case], None] | None = None,
    done: list[CaseReport] | None = None,
) -> list[CaseReport]:
    """Run every case.

    Parameters
    ----------
    engines : sequence of str, optional
        Default: those available here.
    progress : callable, optional
        Called with each case before it runs.
    done : list, optional
        Reports are appended here as they come, so that an interrupt loses none.

    Raises
    ------
    EngineUnavailableError
        An engine named is not available.
    """
    if engines is None:
        engines = [name for name in engine_names() if status_of(name).available]
    reports = [] if done is None else done
    for case in cases:
        if progress is not None:
            progress(case)
        reports.append(run_case(case, engines))
    return reports
