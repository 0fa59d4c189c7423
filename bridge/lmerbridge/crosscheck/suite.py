"""Running cases: each model by each engine, judged."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lmerbridge import datasets
from lmerbridge.crosscheck.cases import Case
from lmerbridge.crosscheck.compare import Difference
from lmerbridge.crosscheck.expectations import UNAVAILABLE, Expected, is_well, may_move
from lmerbridge.crosscheck.generalized_referee import GeneralizedReferee
from lmerbridge.crosscheck.generalized_verdict import in_order, judge_generalized
from lmerbridge.crosscheck.golden import golden, golden_since
from lmerbridge.crosscheck.memory import Kept, Memory
from lmerbridge.crosscheck.quantities import Quantities, of_golden, of_result
from lmerbridge.crosscheck.referee import Referee
from lmerbridge.crosscheck.tolerances import check_tolerances
from lmerbridge.crosscheck.verdict import Reference, Verdict, judge
from lmerbridge.crosscheck.versions import versions_of
from lmerbridge.design import ModelFrame, build_frame, theta_of_places
from lmerbridge.engines import (
    FitSpec,
    Status,
    engine_names,
    fit_spec,
    is_rival,
    load_engine,
    refusal,
    status_of,
)
from lmerbridge.equality import by_value
from lmerbridge.errors import DataError, FitWarning, LmerBridgeError
from lmerbridge.result import FitResult

__all__ = [
    "GOLDEN",
    "POLISHED",
    "CaseReport",
    "Outcome",
    "available_engines",
    "frame_of",
    "read_data",
    "run_case",
    "run_frame",
]

LME4 = "lme4"
GOLDEN = "golden"
POLISHED = "lme4 polished"


@by_value
@dataclass(frozen=True, eq=False)
class Outcome:
    """One engine on one case.

    Attributes
    ----------
    verdict : Verdict
    against : str
        What it was compared with.
    expected : tuple of str
        The verdicts that the case says are right for this engine, if not agreement.
    required : bool
        Whether the case is not well without this engine.
    seen_on : str
        The version of the engine that ``expected`` was seen on, where that is known.
    versions : mapping
        Of everything that may matter to the engine's numbers.
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
    expected: Expected = ()
    quantities: Quantities | None = field(default=None, repr=False)
    theta: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()
    required: bool = False
    versions: Mapping[str, str] = field(default_factory=dict, repr=False)
    seen_on: str = ""

    @property
    def as_expected(self) -> bool:
        """Whether the verdict is expected, or needs no expectation."""
        return is_well(self.verdict, self.expected, self.required)

    @property
    def moved(self) -> bool:
        """Whether it is another verdict than expected, of another version than that was seen on."""
        return (
            not self.as_expected
            and self.seen_on not in ("", self.version)
            and may_move(self.verdict, reference=self.engine == LME4)
        )

    @property
    def well(self) -> bool:
        """Whether nothing is wrong: a verdict as expected, or another version's."""
        return self.as_expected or self.moved


@dataclass(frozen=True)
class CaseReport:
    """A case with the outcomes of all engines; ``skipped`` says why there are none, ``change`` what
    of the data is not as in the baseline.
    """

    case: Case
    outcomes: tuple[Outcome, ...] = ()
    skipped: str = ""
    fingerprint: str = ""
    change: str = ""

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
        raise DataError(f"{case.where('data')}: {case.data!r} is neither a data set nor a file")
    return datasets.read_table(path)


def frame_of(case: Case, data: pd.DataFrame) -> ModelFrame:
    """The model frame of a case.

    Raises
    ------
    FormulaError
        The formula is none of lme4's.
    DataError
        The data cannot be read or used as the case says.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        return build_frame(case.formula, data, data_name=case.data, **case.arguments())


def _expected_error(case: Case, data: pd.DataFrame) -> Outcome:
    assert case.error is not None
    try:
        build_frame(case.formula, data, **case.arguments())
    except LmerBridgeError as error:
        if case.error in str(error):
            return Outcome("all", Verdict("error as expected", str(error)))
        return Outcome("all", Verdict("failed", f"another error than expected: {error}"))
    return Outcome("all", Verdict("failed", "was accepted, and should be refused"))


def _of_record(record: dict[str, Any], frame: ModelFrame) -> Reference:
    def one(which: str, name: str) -> Reference:
        fit = record[which]
        theta = np.atleast_1d(np.asarray(fit["theta"], dtype=np.float64))
        return Reference(
            name,
            of_golden(record, which, name),
            theta_of_places(frame, theta),
            bool(fit["singular"]),
        )

    return replace(one("default", GOLDEN), polished=one("polished", POLISHED))


def _of_result(name: str, result: FitResult, polished: Reference | None = None) -> Reference:
    return Reference(
        name, of_result(result), result.estimates.theta, result.evidence.singular, polished
    )


@by_value
@dataclass(frozen=True, eq=False)
class _Tried:
    """An engine's attempt: its result, or the verdict that there is none."""

    engine: str
    result: FitResult | None
    verdict: Verdict | None
    seconds: float
    version: str


def _unavailable(name: str, state: Status, required: bool) -> Verdict:
    problem = state.problem or "not available"
    if not required:
        return Verdict(UNAVAILABLE, problem)
    mend = f"; mend it with: {state.fix}" if state.fix else ""
    return Verdict(UNAVAILABLE, f"{name} is required, and does not work here: {problem}{mend}")


def _try(
    name: str, frame: ModelFrame, spec: FitSpec, required: bool, memory: Memory | None
) -> _Tried:
    """Fit, or take the fit from memory. Only fits are remembered: whether an engine is available or
    refuses is quickly known, and what failed may have failed by chance.
    """
    nan = float("nan")
    state = status_of(name)
    version = state.version or ""
    if not state.available:
        return _Tried(name, None, _unavailable(name, state, required), nan, version)
    began = time.perf_counter()
    key = None
    try:
        engine = load_engine(name)
        why = refusal(engine, frame, spec)
        if why is not None:
            return _Tried(name, None, Verdict("refused", why), nan, version)
        if memory is not None:
            key = memory.key(frame, spec, name)
            kept = memory.find(key)
            if kept is not None:
                return _Tried(name, kept.result, None, kept.seconds, version)
            began = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = engine.fit(frame, spec)
        seconds = time.perf_counter() - began
        for term in result.estimates.random:
            _ = term.variances  # what is computed on demand may fail, as the fit itself
    except Exception as error:  # an engine's failure is a finding, whatever it is
        text = (
            str(error) if isinstance(error, LmerBridgeError) else f"{type(error).__name__}: {error}"
        )
        seconds = time.perf_counter() - began
        return _Tried(name, None, Verdict("failed", text), seconds, version)
    if memory is not None:
        memory.keep(key, Kept(result, seconds))
    return _Tried(name, result, None, seconds, version)


def _asked(case: Case, frame: ModelFrame) -> FitSpec:
    try:
        return fit_spec(frame, case.REML, case.start, case.timeout, case.nAGQ)
    except DataError as error:
        raise DataError(f"{case.where('start')}: {error}") from error


def run_frame(
    case: Case,
    frame: ModelFrame,
    engines: Sequence[str],
    record: dict[str, Any] | None = None,
    memory: Memory | None = None,
) -> CaseReport:
    """Fit a model frame with each engine and judge the results.

    The reference is the case's own or lme4 where it takes part, else ``record`` (golden values of
    lme4), else the engine whose theta the referee finds best. Fits that ``memory`` holds are not
    made again.

    Raises
    ------
    DataError
        A start or a tolerance that this model has no place for.
    """
    check_tolerances(frame, case.tolerances, case.where("tolerance"))
    # no engine may start from what another one found
    spec = replace(_asked(case, frame), cold=True)
    referee = Referee(frame, spec) if frame.family is None else GeneralizedReferee(frame, spec)
    tried = [_try(name, frame, spec, name in case.require, memory) for name in engines]
    fitted = {t.engine: t.result for t in tried if t.result is not None}
    stored = None if record is None else _of_record(record, frame)
    reference = stored
    first = case.reference or LME4
    if first in fitted:
        reference = _of_result(first, fitted[first], stored and stored.polished)
    elif reference is None and fitted:
        criteria = {n: _value(referee, r) for n, r in fitted.items()}
        # those that are equally good: the first that was asked for
        lowest = min(criteria.values())
        chosen = next((n for n, v in criteria.items() if v <= lowest + 1e-6), next(iter(fitted)))
        reference = _of_result(chosen, fitted[chosen])
    best = _best(referee, fitted, stored)
    outcomes = []
    for t in tried:
        expected = case.expected(t.engine)
        version, required = t.version, t.engine in case.require
        seen_on = case.seen_on.get(t.engine, "")
        if t.engine == LME4 and record is not None:
            seen_on = str(record["made_by"][LME4])
        if t.result is None:
            assert t.verdict is not None
            outcomes.append(
                Outcome(
                    t.engine,
                    t.verdict,
                    seconds=t.seconds,
                    version=version,
                    expected=expected,
                    required=required,
                    seen_on=seen_on,
                )
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
            verdict, differences, name = _judged(referee, t.result, against, case, best)
        if t.engine == LME4 and record is not None:
            notes = _drift(verdict, record, version)
        value = _value(referee, t.result)
        above = value - best[1]
        # of an estimated dispersion versions of lme4 have criteria that are far apart
        if isinstance(referee, GeneralizedReferee) and referee.dispersed:
            above = 0.0 if abs(value - t.result.criterion.value) > 1 else above
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
                required=required,
                versions=versions_of(t.result),
                seen_on=seen_on,
            )
        )
    return CaseReport(case, tuple(outcomes), "", frame.fingerprint)


def _value(referee: Referee | GeneralizedReferee, result: FitResult) -> float:
    """The referee's criterion at an engine's estimates."""
    found = dict(zip(result.estimates.names, result.estimates.beta.tolist(), strict=True))
    return referee.value(result.estimates.theta, in_order(referee.frame.x_names, found))


def _judged(
    referee: Referee | GeneralizedReferee,
    result: FitResult,
    against: Reference,
    case: Case,
    best: tuple[str, float],
) -> tuple[Verdict, list[Difference], str]:
    if isinstance(referee, GeneralizedReferee):
        return judge_generalized(referee, result, against, case.tolerances, best)
    return judge(referee, result, against, case.tolerances, best)


def _best(
    referee: Referee | GeneralizedReferee,
    fitted: dict[str, FitResult],
    stored: Reference | None,
) -> tuple[str, float]:
    """Who found the lowest criterion, and that; polished golden values count too."""
    points = {name: _value(referee, r) for name, r in fitted.items()}
    if stored is not None and stored.polished is not None and stored.polished.theta is not None:
        own = stored.polished
        beta = in_order(referee.frame.x_names, own.quantities.values["fixed effects"])
        points[own.name] = referee.value(stored.polished.theta, beta)
    points = {name: value for name, value in points.items() if not np.isnan(value)}
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


def run_case(case: Case, engines: Sequence[str], memory: Memory | None = None) -> CaseReport:
    """Fit a case with each engine and judge the results; never raises for what one case does."""
    try:
        if case.data in datasets.names() and not datasets.is_local(case.data):
            return CaseReport(
                case, skipped=f"the data set {case.data!r} is not on this machine (LMERBRIDGE_DATA)"
            )
        data = read_data(case)
        if case.error is not None:
            return CaseReport(case, (_expected_error(case, data),))
        frame = frame_of(case, data)
        names = _engines(case, engines)
        return run_frame(case, frame, names, _record(case, names), memory)
    except LmerBridgeError as error:
        place, said = case.where(""), str(error)
        # what concerns one key begins with that key's line already
        if not any(said.startswith(begin) for begin in (*case.places.values(), case.name)):
            said = f"{place}: {said}"
        return CaseReport(case, (Outcome("all", Verdict("failed", said)),))


def _record(case: Case, engines: Sequence[str]) -> dict[str, Any] | None:
    """The golden values that lme4 is held to: those of its version here, where it takes part."""
    if case.reference:
        return None
    here = (status_of(LME4).version or "") if LME4 in engines else ""
    record = golden_since(case, here) or golden(case)
    # without "default" lme4 ended without an answer
    return record if record is not None and "default" in record else None


def _engines(case: Case, engines: Sequence[str]) -> list[str]:
    """Those asked for that the case may be fitted by, and those that it names itself."""
    own = [e for e in engines if case.takes(e)]
    return list(dict.fromkeys((*own, *(case.engines or ()), *case.require)))


def available_engines(rivals: bool = False) -> list[str]:
    """The engines that take part if none are named: those that work here, without the rivals
    unless they are wanted too.
    """
    return [
        name
        for name in engine_names()
        if status_of(name).available and (rivals or not is_rival(name))
    ]
