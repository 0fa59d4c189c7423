"""Running cases: each model by each engine, judged."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lmerbridge import datasets
from lmerbridge.crosscheck.cases import Case, golden
from lmerbridge.crosscheck.compare import Difference
from lmerbridge.crosscheck.quantities import Quantities, of_golden, of_result
from lmerbridge.crosscheck.referee import Referee
from lmerbridge.crosscheck.verdict import Reference, Verdict, judge
from lmerbridge.design import ModelFrame, build_frame
from lmerbridge.engines import (
    FitSpec,
    engine_names,
    is_rival,
    load_engine,
    refusal,
    status_of,
)
from lmerbridge.errors import DataError, FitWarning, LmerBridgeError
from lmerbridge.result import FitResult

__all__ = ["CaseReport", "Outcome", "read_data", "run_case", "run_frame"]

GOLDEN = "golden"
POLISHED = "lme4 polished"


@dataclass(frozen=True)
class Outcome:
    """One engine on one case.

    Attributes
    ----------
    verdict : Verdict
    against : str
        What it was compared with.
    expected : str
        The verdict that the case says is right for this engine, if not agreement.
    quantities, theta
        The engine's numbers, where there are any.
    notes : tuple of str
        What is worth knowing beside the verdict, such as drift from the golden values.
    """

    engine: str
    verdict: Verdict
    against: str = ""
    differences: tuple[Difference, ...] = ()
    seconds: float = float("nan")
    version: str = ""
    expected: str = ""
    quantities: Quantities | None = field(default=None, repr=False)
    theta: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def well(self) -> bool:
        """Whether nothing is wrong: the verdict expected, or one that needs no expectation."""
        if self.expected:
            return self.verdict.kind in (self.expected, "unavailable")
        return self.verdict.well


@dataclass(frozen=True)
class CaseReport:
    """A case with the outcomes of all engines; ``skipped`` says why there are none."""

    case: Case
    outcomes: tuple[Outcome, ...] = ()
    skipped: str = ""
    fingerprint: str = ""

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
    return datasets.read_table(path)


def _expected_error(case: Case, data: pd.DataFrame) -> Outcome:
    assert case.error is not None
    try:
        build_frame(case.formula, data, **case.arguments())
    except LmerBridgeError as error:
        if case.error in str(error):
            return Outcome("all", Verdict("error as expected", str(error)))
        return Outcome("all", Verdict("failed", f"another error than expected: {error}"))
    return Outcome("all", Verdict("failed", "was accepted, and should be refused"))


def _of_record(record: dict[str, Any]) -> Reference:
    def one(which: str, name: str) -> Reference:
        fit = record[which]
        return Reference(
            name,
            of_golden(record, which, name),
            np.atleast_1d(np.asarray(fit["theta"], dtype=np.float64)),
            bool(fit["singular"]),
        )

    return replace(one("default", GOLDEN), polished=one("polished", POLISHED))


def _of_result(name: str, result: FitResult, polished: Reference | None = None) -> Reference:
    return Reference(
        name, of_result(result), result.estimates.theta, result.evidence.singular, polished
    )


@dataclass(frozen=True)
class _Tried:
    """An engine's attempt: its result, or the verdict that there is none."""

    engine: str
    result: FitResult | None
    verdict: Verdict | None
    seconds: float
    version: str


def _try(name: str, frame: ModelFrame, spec: FitSpec) -> _Tried:
    nan = float("nan")
    state = status_of(name)
    version = state.version or ""
    if not state.available:
        missing = Verdict("unavailable", state.problem or "not available")
        return _Tried(name, None, missing, nan, version)
    began = time.perf_counter()
    try:
        engine = load_engine(name)
        why = refusal(engine, frame, spec)
        if why is not None:
            return _Tried(name, None, Verdict("refused", why), nan, version)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = engine.fit(frame, spec)
    except Exception as error:  # an engine's failure is a finding, whatever it is
        text = (
            str(error) if isinstance(error, LmerBridgeError) else f"{type(error).__name__}: {error}"
        )
        seconds = time.perf_counter() - began
        return _Tried(name, None, Verdict("failed", text), seconds, version)
    return _Tried(name, result, None, time.perf_counter() - began, version)


def run_frame(
    case: Case,
    frame: ModelFrame,
    engines: Sequence[str],
    record: dict[str, Any] | None = None,
) -> CaseReport:
    """Fit a model frame with each engine and judge the results.

    The reference is lme4 where it takes part, else ``record`` (its golden values), else the
    engine whose theta the referee finds best.
    """
    spec = FitSpec(REML=case.REML and frame.X.shape[1] > 0, cold=True)
    referee = Referee(frame, spec)
    tried = [_try(name, frame, spec) for name in engines]
    fitted = {t.engine: t.result for t in tried if t.result is not None}
    stored = None if record is None else _of_record(record)
    reference = stored
    if "lme4" in fitted:
        reference = _of_result("lme4", fitted["lme4"], stored and stored.polished)
    elif reference is None and fitted:
        criteria = {n: referee.criterion(r.estimates.theta) for n, r in fitted.items()}
        # those that are equally good: the first that was asked for
        lowest = min(criteria.values())
        chosen = next((n for n, v in criteria.items() if v <= lowest + 1e-6), next(iter(fitted)))
        reference = _of_result(chosen, fitted[chosen])
    best = _best(referee, fitted, stored)
    outcomes = []
    for t in tried:
        expected = case.expect.get(t.engine, "")
        version = t.version
        if t.result is None:
            assert t.verdict is not None
            outcomes.append(
                Outcome(t.engine, t.verdict, seconds=t.seconds, version=version, expected=expected)
            )
            continue
        assert reference is not None
        against = reference
        notes: tuple[str, ...] = ()
        differences: list[Difference] = []
        if t.engine == reference.name:
            against = stored or reference
        if against.name == t.engine:
            verdict, name = Verdict("reference", "the others are compared with it"), ""
        else:
            verdict, differences, name = judge(referee, t.result, against, case.tolerances, best)
        if t.engine == "lme4" and record is not None:
            notes = _drift(verdict, record, version)
        above = referee.criterion(t.result.estimates.theta) - best[1]
        if verdict.kind in ("reference", "agree") and best[0] != t.engine and above > 1e-4:
            notes += (f"it stopped {above:.2g} above the best point found, by {best[0]}",)
        outcomes.append(
            Outcome(
                t.engine,
                verdict,
                name,
                tuple(differences),
                t.seconds,
                version,
                expected,
                of_result(t.result),
                tuple(float(v) for v in t.result.estimates.theta),
                notes,
            )
        )
    return CaseReport(case, tuple(outcomes), "", frame.fingerprint)


def _best(
    referee: Referee, fitted: dict[str, FitResult], stored: Reference | None
) -> tuple[str, float]:
    """Who found the lowest criterion, and that; polished golden values count too."""
    points = {name: referee.criterion(r.estimates.theta) for name, r in fitted.items()}
    if stored is not None and stored.polished is not None and stored.polished.theta is not None:
        points[stored.polished.name] = referee.criterion(stored.polished.theta)
    if not points:
        return "", float("inf")
    name = min(points, key=lambda n: points[n])
    return name, points[name]


def _drift(verdict: Verdict, record: dict[str, Any], version: str) -> tuple[str, ...]:
    """Whether live lme4 has moved from its golden values."""
    if verdict.kind in ("agree", "reference"):
        return ()
    made = record["made_by"]
    return (
        f"drift: lme4 {version} here against golden values of lme4 {made['lme4']} "
        f"(R {made['R']}, {made['platform']})",
    )


def run_case(case: Case, engines: Sequence[str]) -> CaseReport:
    """Fit a case with each engine and judge the results; never raises for what one case does."""
    try:
        if case.data in datasets.names() and not datasets.is_local(case.data):
            return CaseReport(
                case, skipped=f"the data set {case.data!r} is not on this machine (LMERBRIDGE_DATA)"
            )
        data = read_data(case)
        if case.error is not None:
            return CaseReport(case, (_expected_error(case, data),))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FitWarning)
            frame = build_frame(case.formula, data, data_name=case.data, **case.arguments())
    except LmerBridgeError as error:
        return CaseReport(case, (Outcome("all", Verdict("failed", str(error))),))
    own = [e for e in engines if case.engines is None or e in case.engines]
    own += [e for e in case.engines or () if e not in own and e in engine_names()]
    return run_frame(case, frame, own, golden(case))


def available_engines(rivals: bool = False) -> list[str]:
    """The engines that take part if none are named: those that work here, without the rivals
    unless they are wanted too.
    """
    return [
        name
        for name in engine_names()
        if status_of(name).available and (rivals or not is_rival(name))
    ]
