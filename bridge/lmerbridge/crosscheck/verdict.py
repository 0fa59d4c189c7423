"""Why two fits of one model differ: a verdict, with its evidence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np

from lmerbridge.crosscheck.compare import Difference, compare
from lmerbridge.crosscheck.misprints import as_theta_has_them
from lmerbridge.crosscheck.quantities import Quantities, of_result
from lmerbridge.crosscheck.referee import Referee
from lmerbridge.crosscheck.tolerances import TOLERANCES, Tolerance
from lmerbridge.design import ModelFrame
from lmerbridge.equality import by_value
from lmerbridge.result import FitResult

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

__all__ = [
    "FLAT_CRITERION",
    "HARMLESS",
    "VERDICTS",
    "Array",
    "Fact",
    "Reference",
    "Verdict",
    "is_same",
    "judge",
    "listed",
    "off",
    "other_data",
]

VERDICTS: dict[str, str] = {
    "agree": "every quantity is within its tolerance",
    "better optimum": "reached a lower criterion than the reference, which stopped short",
    "other optimum": "stopped above the best point that anyone found",
    "same optimum, other definition": "the same estimates; what differs is defined otherwise",
    "boundary": "singular like the reference; what differs is not defined there",
    "flat": "the criterion does not tell the estimates apart",
    "other data": "fitted other rows, levels or columns",
    "other criterion": "minimized something else than was asked for",
    "drift": "other numbers than the baseline's, for the same data and model",
    "other model": "the model is not the one of the baseline",
    "incomplete baseline": "agrees with a baseline that lacks some of what the fit has",
    "not converged": "stopped above the optimum, and says itself that it did not converge",
    "refused": "does not fit this kind of model, and says so",
    "unavailable": "is not installed here",
    "failed": "ended in an error",
    "unexplained": "differs, and nothing known explains it",
    "reference": "what the others are compared with",
    "error as expected": "refused, as this case must be",
}
# What a suite passes: nothing is wrong with the engine's numbers.
HARMLESS = {
    "agree",
    "better optimum",
    "same optimum, other definition",
    "boundary",
    "flat",
    "reference",
    "refused",
    "unavailable",
    "error as expected",
}

FLAT_CRITERION = 1e-6  # of the criterion: nobody can tell such points apart
SAME_CRITERION = 1e-4  # absolute, and relative 1e-9: criteria that are one


@dataclass(frozen=True)
class Fact:
    """A piece of evidence: what, how much, in which unit."""

    what: str
    value: float | None = None
    unit: str = ""

    def __str__(self) -> str:
        if self.value is None:
            return self.what
        return f"{self.what}: {self.value:.10g}{' ' + self.unit if self.unit else ''}"


@dataclass(frozen=True)
class Verdict:
    """A kind of :data:`VERDICTS`, what it means for the user in one sentence, and the evidence."""

    kind: str
    sentence: str
    facts: tuple[Fact, ...] = ()

    @property
    def well(self) -> bool:
        return self.kind in HARMLESS


@by_value
@dataclass(frozen=True, eq=False)
class Reference:
    """What a fit is compared with.

    ``theta`` is ``None`` where it is not known; ``polished``, where there is one, is what the
    reference reaches when it is polished with tight tolerances.
    """

    name: str
    quantities: Quantities
    theta: Array | None = None
    singular: bool = False
    polished: Reference | None = field(default=None, repr=False)


def is_same(a: float, b: float) -> bool:
    """Whether two criteria are one."""
    return math.isfinite(a) and abs(a - b) <= SAME_CRITERION + 1e-9 * abs(b)


def listed(keys: Sequence[str], most: int = 4) -> str:
    """The first of them, and how many more there are."""
    return ", ".join(keys[:most]) + (f" and {len(keys) - most} more" if len(keys) > most else "")


def off(d: Difference) -> str:
    """Where a quantity differs most, and by how much."""
    return d.problem or f"{d.place} is off by {d.difference:.2g} ({d.tolerance.unit})"


def other_data(frame: ModelFrame, result: FitResult, reference: Reference) -> Verdict | None:
    """Whether the engine fitted other rows, levels or columns than the model frame has."""
    engine = result.provenance.engine
    facts: list[Fact] = []
    if result.data.nobs != frame.nobs:
        gone = frame.nobs - result.data.nobs
        facts.append(Fact(f"rows used: {result.data.nobs}, the model frame has {frame.nobs}"))
        own = result.data.kept
        kept = set(range(result.data.total_rows) if own is None else own.tolist())
        if gone > 0 and result.data.total_rows == frame.source.total_rows:
            positions = [int(i) + 1 for i in frame.source.kept if int(i) not in kept]
            if positions:
                facts.append(Fact(f"left out row {listed([str(i) for i in positions])}"))
        sentence = f"{engine} used {abs(gone)} row(s) {'less' if gone > 0 else 'more'}"
        return Verdict("other data", sentence + ": its numbers are of other data", tuple(facts))
    for group, levels in frame.groups.items():
        theirs = result.data.groups.get(group)
        if theirs is None or set(theirs) != set(levels):
            count = "no such factor" if theirs is None else f"{len(theirs)} levels"
            return Verdict(
                "other data",
                f"{engine} has another grouping {group}: {count}, the model frame {len(levels)}",
                (Fact(f"levels of {group} differ"),),
            )
    names = result.estimates.names
    expected = list(reference.quantities.values["fixed effects"])
    if set(names) != set(expected):
        here = [n for n in names if n not in expected]
        there = [n for n in expected if n not in names]
        facts = [Fact(f"columns of X: has {listed(here) or 'none'} instead of {listed(there)}")]
        fitted = reference.quantities.values.get("fitted")
        same = len(names) == len(expected)
        if fitted is not None and len(fitted) == len(result.estimates.fitted):
            gap = np.abs(result.estimates.fitted - np.array(list(fitted.values()))).max()
            facts.append(
                Fact(
                    "largest difference of fitted values",
                    float(gap) / result.estimates.scale,
                    "sigma",
                )
            )
            same = same and bool(gap < 5e-3 * result.estimates.scale)
        why = (
            "the same model in another coding (contrasts or reference level), whose coefficients "
            "mean something else"
            if same
            else "other columns, and so another model"
        )
        return Verdict("other data", f"{engine} has other fixed effects: {why}", tuple(facts))
    seen = result.estimates.fitted + result.estimates.residuals
    if len(seen) == frame.nobs and np.isfinite(seen).all():
        scale = float(np.abs(frame.y).max()) or 1.0
        gap = float(np.abs(seen - frame.y).max())
        if gap > 1e-6 * scale:
            return Verdict(
                "other data",
                f"{engine} fitted another response than the model frame's",
                (Fact("largest difference of fitted + residuals from y", gap),),
            )
    return None


def _criterion(referee: Referee, result: FitResult) -> Verdict | None:
    """Whether the engine's criterion is another than the one asked for."""
    theta, claimed = result.estimates.theta, result.criterion.value
    engine, REML = result.provenance.engine, referee.spec.REML
    asked = "REML criterion" if REML else "deviance (ML)"
    exact = referee.criterion(theta)
    if math.isnan(claimed):
        return Verdict(
            "not converged",
            f"{engine} gives no log-likelihood for its own estimates: do not use these numbers",
            (Fact(f"the {asked} at its theta", exact),),
        )
    if not math.isfinite(claimed) or is_same(claimed, exact):
        return None
    facts = (
        Fact(f"{engine} says", claimed),
        Fact(f"the {asked} at its theta", exact),
    )
    other = referee.criterion(theta, REML=not REML)
    if is_same(claimed, other):
        is_, was = ("ML", "REML") if REML else ("REML", "ML")
        return Verdict(
            "other criterion",
            f"{engine} fitted by {is_} where {was} was asked for: variances and standard errors "
            "are not comparable",
            (*facts, Fact(f"the {is_} criterion at its theta", other)),
        )
    for reading, value in referee.other_weights(theta).items():
        if is_same(claimed, value):
            return Verdict(
                "other criterion",
                f"{engine} reads the prior weights otherwise: {reading}, where lme4 takes them as "
                "precisions",
                (*facts, Fact(f"the criterion with {reading}", value)),
            )
    for name, constant in referee.constants().items():
        for sign in (1, -1):
            if is_same(claimed, exact + sign * constant):
                verb = "adds" if sign > 0 else "leaves out"
                return Verdict(
                    "same optimum, other definition",
                    f"{engine} {verb} the constant {name}: its log-likelihood, AIC and BIC cannot "
                    "be compared with others'; its estimates can",
                    (*facts, Fact(name, constant)),
                )
    return None


def _definitions(
    referee: Referee, result: FitResult, wrong: list[Difference]
) -> tuple[list[str], list[Difference]]:
    """Which of the differences from what belongs to its own theta are known definitions."""
    known: list[str] = []
    left: list[Difference] = []
    of_fixed = ("standard errors", "correlation of fixed effects")
    covariance = None
    if any(d.quantity in of_fixed for d in wrong):  # once: the joint Hessians take their time
        covariance = _covariance(referee, result)
    for d in wrong:
        reason = None
        if d.quantity in of_fixed:
            reason = covariance
        elif d.quantity in ("AIC", "BIC", "df"):
            reason = _counted(d.quantity, referee, result)
        if reason is None:
            left.append(d)
        else:
            known.append(reason)
    return known, left


def _covariance(referee: Referee, result: FitResult) -> str | None:
    own = result.estimates.vcov
    for name, vcov in referee.covariances(result.estimates.theta).items():
        if vcov.shape == own.shape and _alike(vcov, own):
            return f"the covariance of the fixed effects is {name}"
    return None


def _alike(a: Array, b: Array) -> bool:
    """Whether two covariance matrices have the same standard errors and correlations."""
    one, two = np.sqrt(np.diag(a)), np.sqrt(np.diag(b))
    if not np.allclose(one, two, rtol=2e-3):
        return False
    return bool(np.allclose(a / np.outer(one, one), b / np.outer(two, two), atol=2e-3))


def _counted(what: str, referee: Referee, result: FitResult) -> str | None:
    criterion = result.criterion
    value = float({"AIC": criterion.AIC, "BIC": criterion.BIC, "df": criterion.df_residual}[what])
    if math.isnan(value):
        return f"has no {what}" + (" under REML" if referee.spec.REML else "")
    n, p = referee.frame.nobs, referee.frame.X.shape[1]
    m = len(result.estimates.theta)
    counts = {
        "fixed effects and variances without sigma": p + m,
        "variances and sigma alone": m + 1,
        "variances alone": m,
        "fixed effects alone": p,
        "fixed effects and sigma": p + 1,
    }
    if what == "df":
        same = [name for name, k in counts.items() if value == n - k]
        return f"residual degrees of freedom are n less {same[0]}" if same else None
    penalties = (
        {"": 2.0} if what == "AIC" else {"": math.log(n), " with log(n - p)": math.log(n - p)}
    )
    for name, k in counts.items():
        for suffix, penalty in penalties.items():
            if is_same(value, criterion.value + penalty * k):
                return f"{what} counts {name}{suffix}"
    if what == "BIC" and is_same(value, criterion.value + math.log(n - p) * (p + m + 1)):
        return "BIC has log(n - p)"
    return None


def _boundary(reference: Reference, result: FitResult, wrong: list[Difference]) -> bool:
    """Whether all that differs is of components that are 0 or perfectly correlated."""
    if not (reference.singular and result.evidence.singular):
        return False
    return all(
        d.quantity in ("correlations", "std. deviations", "modes", "conditional SDs") for d in wrong
    )


def _reference_doubted(
    referee: Referee,
    result: FitResult,
    reference: Reference,
    tolerances: Sequence[Tolerance],
) -> Verdict | None:
    """Whether the reference's numbers are not what belongs to its own theta: a stored value that
    was changed, or one of another model.
    """
    if reference.theta is None or len(reference.theta) != len(result.estimates.theta):
        return None
    at_theta = referee.own(result, reference.theta)
    if at_theta is None:
        return None
    wrong = [
        d
        for d in compare(of_result(at_theta), reference.quantities, tolerances)
        if not d.agrees
        and d.quantity not in ("AIC", "BIC", "df")
        and d.quantity in reference.quantities.values  # else it was not kept
    ]
    if not wrong:
        return None
    worst = wrong[0]
    return Verdict(
        "unexplained",
        f"{reference.name}'s {worst.quantity} are not what belongs to its own theta: "
        f"{off(worst)}; the stored values were changed, or are of another model",
        tuple(Fact(f"{d.quantity} ({d.place})", d.difference, d.tolerance.unit) for d in wrong),
    )


def _as_theta_has(
    referee: Referee, result: FitResult, shown: Quantities, theta: Array | None
) -> tuple[Quantities, tuple[str, ...]]:
    """What is shown of covariance structures, as theta has it where lme4 shows something else."""
    if referee.frame.plain or theta is None or len(theta) != len(result.estimates.theta):
        return shown, ()
    at_theta = referee.own(result, theta)
    return (
        (shown, ())
        if at_theta is None
        else as_theta_has_them(referee.frame, shown, of_result(at_theta))
    )


def judge(
    referee: Referee,
    result: FitResult,
    reference: Reference,
    tolerances: Sequence[Tolerance] = TOLERANCES,
    best: tuple[str, float] | None = None,
) -> tuple[Verdict, list[Difference], str]:
    """A verdict on ``result``; also the differences, and the name of what it was compared with.

    ``best`` is who found the lowest criterion, and that.

    In this order: other data; another criterion; agreement; another optimum; another definition;
    boundary; flat; and what is left is unexplained.
    """
    engine = result.provenance.engine
    found, shown = _as_theta_has(referee, result, of_result(result), result.estimates.theta)
    theirs, shown_there = _as_theta_has(referee, result, reference.quantities, reference.theta)
    reference = replace(reference, quantities=theirs)
    differences = compare(reference.quantities, found, tolerances)
    wrong = [d for d in differences if not d.agrees]
    verdict = other_data(referee.frame, result, reference)
    constant: Verdict | None = None
    if verdict is None:
        verdict = _criterion(referee, result)
        if verdict is not None and verdict.kind == "same optimum, other definition":
            verdict, constant = None, verdict
    if verdict is None and not wrong:
        verdict = Verdict("agree", f"{engine} agrees with {reference.name}")
        if shown != shown_there:
            who = engine if shown else reference.name
            what = "; ".join(shown or shown_there)
            sentence = f"{engine} and {reference.name} are at the same optimum; {who} shows {what}"
            verdict = Verdict("same optimum, other definition", sentence)
    if verdict is not None:
        return verdict, differences, reference.name

    point = referee.point(result.estimates.theta)
    against = reference.quantities.values["criterion"]["criterion"]
    there = against if reference.theta is None else referee.criterion(reference.theta)
    gap = point.criterion - there
    facts = (
        Fact(f"exact criterion at {engine}'s theta", point.criterion),
        Fact(f"at {reference.name}'s", there),
        Fact("one more step promises", point.promise, "of the criterion"),
    )
    if gap < -FLAT_CRITERION and reference.polished is not None:
        better = compare(reference.polished.quantities, found, tolerances)
        if all(d.agrees for d in better):
            sentence = (
                f"{engine}'s criterion is {-gap:.2g} below that of {reference.name}, which "
                f"stopped early; {reference.polished.name} agrees with {engine}"
            )
            return Verdict("better optimum", sentence, facts), better, reference.polished.name
    above = 0.0 if best is None else point.criterion - best[1]
    winner = "" if best is None else best[0]
    verdict = _explained(
        referee, result, found, reference, tolerances, wrong, constant, gap, above, winner
    )
    more = () if constant is None or verdict.kind == "boundary" else constant.facts
    return replace(verdict, facts=(*facts, *more, *verdict.facts)), differences, reference.name


def _explained(
    referee: Referee,
    result: FitResult,
    found: Quantities,
    reference: Reference,
    tolerances: Sequence[Tolerance],
    wrong: list[Difference],
    constant: Verdict | None,
    gap: float,
    above: float,
    winner: str,
) -> Verdict:
    """Why the quantities ``wrong`` differ, the data and the kind of criterion being the same.

    ``gap`` is the criterion less the reference's, ``above`` less that of ``winner``, the best.
    """
    engine, name = result.provenance.engine, reference.name
    limit = next(t.limit for t in tolerances if t.quantity == "criterion")
    at_theta = referee.own(result)
    inconsistent = (
        []
        if at_theta is None
        else [d for d in compare(of_result(at_theta), found, tolerances) if not d.agrees]
    )
    known, left = _definitions(referee, result, inconsistent)
    if constant is not None:  # what follows from it is explained by it
        known.append(constant.sentence)
        left = [d for d in left if d.quantity not in ("criterion", "AIC", "BIC")]
    # away from the optimum that is what matters, whatever its other numbers are
    astray = abs(gap) > limit and all(d.quantity != "criterion" for d in left)
    if at_theta is None or (left and not astray):
        worst = left[0] if left else wrong[0]
        return Verdict(
            "unexplained",
            f"{engine}'s {worst.quantity} are not what belongs to its own theta: {off(worst)}; "
            "no definition known gives them",
        )
    doubted = _reference_doubted(referee, result, reference, tolerances)
    if doubted is not None:
        return doubted
    quantities = {d.quantity for d in inconsistent}
    rest = [d for d in wrong if d.quantity not in quantities | {"criterion"}]
    if rest and abs(gap) <= limit and _boundary(reference, result, rest):
        return Verdict(
            "boundary",
            f"{engine} and {name} agree that the fit is singular, and differ in what is not "
            "defined there: " + listed([d.quantity for d in rest]),
        )
    if abs(gap) > limit or (abs(gap) > FLAT_CRITERION and not known):
        if max(gap, above) > FLAT_CRITERION and not result.evidence.converged:
            return Verdict(
                "not converged",
                f"{engine} stopped {max(gap, above):.2g} above the best point found and says "
                "itself that it did not converge: do not use these numbers",
            )
        if gap < 0 and above > limit:
            return Verdict(
                "other optimum",
                f"{engine} stopped {above:.2g} above the best point found, by {winner}, though "
                f"{-gap:.2g} below {name}",
            )
        if gap > 0:
            return Verdict(
                "other optimum",
                f"{engine} stopped {gap:.2g} above {name}, whose numbers are the better ones",
            )
        return Verdict(
            "better optimum",
            f"{engine}'s criterion is {-gap:.2g} below that of {name}, which stopped short",
        )
    if known and not rest:
        return Verdict(
            "same optimum, other definition",
            f"{engine} is at the same optimum; " + "; ".join(dict.fromkeys(known)),
        )
    return Verdict(
        "flat",
        f"the criterion differs by {abs(gap):.1g}: it does not tell these estimates apart, and "
        "neither engine's digits beyond the tolerance mean anything",
    )
