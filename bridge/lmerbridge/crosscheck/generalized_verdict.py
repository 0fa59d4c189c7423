"""Why two fits of one generalized model differ: a verdict, with its evidence.

lme4's numbers of a generalized model are not exact at its own estimates, and the verdict knows by
name what is off: its inner iteration ends at ``tolPwrss`` (1e-7 by default up to 1.1), so that the
criterion that it reports is not the one of its estimates; the standard errors are of differences of
that criterion (lme4#998); with ``nAGQ > 1`` constants are missing up to 1.1 (lme4#161, #868).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lmerbridge.crosscheck.compare import Difference, compare
from lmerbridge.crosscheck.generalized_referee import GeneralizedReferee
from lmerbridge.crosscheck.quantities import Quantities, of_result
from lmerbridge.crosscheck.tolerances import TOLERANCES, Tolerance
from lmerbridge.crosscheck.verdict import (
    FLAT_CRITERION,
    Array,
    Fact,
    Reference,
    Verdict,
    is_same,
    listed,
    off,
    other_data,
)
from lmerbridge.equality import by_value
from lmerbridge.result import FitResult

__all__ = ["BY_DIFFERENCES", "in_order", "judge_generalized"]

BY_DIFFERENCES = "lme4's standard errors by differences"
INNER = 0.02  # what lme4's inner iteration has been seen to leave of the criterion, and more
EXACT = 5e-4  # of a standard error, half of what is compared
OF_ERRORS = ("standard errors", "correlation of fixed effects")
MODES = "conditional SDs"
OF_CRITERION = ("criterion", "AIC", "BIC")


def in_order(names: Sequence[str], found: Mapping[str, float]) -> Array | None:
    """The fixed effects in the order of ``names``; ``None`` if they are others."""
    if set(found) != set(names):
        return None
    return np.array([found[name] for name in names])


def _beta(names: Sequence[str], found: Quantities) -> Array | None:
    return in_order(names, found.values["fixed effects"])


@by_value
@dataclass(frozen=True, eq=False)
class _Side:
    """One of two fits: who, its numbers, and the referee's value at its estimates."""

    name: str
    quantities: Quantities
    theta: Array
    beta: Array
    exact: float

    @property
    def lme4(self) -> bool:
        return self.name.partition("@")[0].partition(" ")[0] in ("lme4", "golden")

    @property
    def claimed(self) -> float:
        return self.quantities.values["criterion"]["criterion"]

    def errors_off(self, vcov: Array, names: Sequence[str]) -> float:
        """How far its standard errors are from those of a covariance matrix, relative."""
        errors = self.quantities.values["standard errors"]
        own = np.array([errors[name] for name in names])
        return float(np.abs(own / np.sqrt(np.diag(vcov)) - 1).max())


def _claimed(referee: GeneralizedReferee, side: _Side) -> tuple[str, Verdict | None]:
    """What is known of the criterion that a side reports: words if it is another number than the
    referee's of the same criterion, a verdict if it is another criterion.
    """
    claimed, exact = side.claimed, side.exact
    if math.isnan(claimed) or is_same(claimed, exact):
        return "", None
    facts = (
        Fact(f"{side.name} says", claimed),
        Fact("the criterion at its estimates", exact),
    )
    close = INNER if side.lme4 else 1e-4
    constant = referee.saturated if referee.spec.nAGQ > 1 else 0.0
    if abs(constant) > close and abs(claimed - exact + constant) < close:
        return (
            f"{side.name} leaves out the constant of the saturated model (lme4#161): its "
            "log-likelihood, AIC and BIC cannot be compared with those of nAGQ = 1",
            None,
        )
    for name, value in referee.others(side.theta, side.beta).items():
        # definitions of an estimated dispersion are far apart
        alike = abs(claimed - value) < close if referee.dispersed else is_same(claimed, value)
        if alike and not is_same(value, exact):
            return "", Verdict(
                "other criterion",
                f"{side.name} minimized another approximation of the likelihood: {name}",
                (*facts, Fact(f"the criterion with {name}", value)),
            )
    if abs(claimed - exact) < close:
        what = "iteration for the dispersion" if referee.dispersed else "inner iteration"
        setting = "" if referee.dispersed else " (tolPwrss)"
        return (
            f"{side.name}'s {what} ended early{setting}: the criterion that it reports "
            f"is {claimed - exact:+.2g} off that of its own estimates",
            None,
        )
    return "", Verdict(
        "unexplained",
        f"{side.name}'s criterion is not what belongs to its own estimates, by no definition known",
        facts,
    )


def _errors(referee: GeneralizedReferee, sides: Sequence[_Side]) -> tuple[list[str], list[Fact]]:
    """What is known of standard errors that differ, by the second derivatives at each side's own
    estimates.
    """
    known, facts = [], []
    for side in sides:
        by_definition = referee.covariances(side.theta, side.beta)
        gaps = {d: side.errors_off(v, referee.frame.x_names) for d, v in by_definition.items()}
        joint = gaps.get("joint")
        if joint is None:
            continue
        facts.append(
            Fact(
                f"{side.name}'s standard errors from those of the exact Hessian", joint, "relative"
            )
        )
        if joint <= EXACT:
            continue
        if gaps["given theta"] <= min(EXACT, 0.1 * joint):
            known.append(
                f"{side.name}'s standard errors are given theta, as if it were known: they are too "
                f"small by up to {joint:.1%}"
            )
        elif side.lme4:
            known.append(
                f"{BY_DIFFERENCES} are off by up to {joint:.1%}: the exact second derivatives at "
                "its own estimates give others"
            )
    return known, facts


def _times_sigma(one: _Side, other: _Side) -> str:
    """Say that lme4's conditional standard deviations have sigma in them twice, if they have."""
    for side, against in ((one, other), (other, one)):
        own, true = (s.quantities.values.get(MODES, {}) for s in (side, against))
        sigma = side.quantities.sigma
        if side.lme4 and own and set(own) == set(true):
            ratio = np.array([own[key] / true[key] for key in own])
            if np.allclose(ratio, sigma, rtol=0.01):
                return (
                    f"{side.name}'s conditional standard deviations are multiplied by sigma,"
                    f" {sigma:.3g}, which they have in them already"
                )
    return ""


def _without_likelihood(result: FitResult, side: _Side, best: tuple[str, float] | None) -> Verdict:
    """The verdict on an engine that gives no log-likelihood for its estimates."""
    facts: tuple[Fact, ...] = (Fact("the criterion at its estimates", side.exact),)
    if best is not None and best[0]:
        facts += (Fact("above the best point found", side.exact - best[1]),)
    reason = result.missing.get("log-likelihood")
    if reason is not None:
        return Verdict("other criterion", f"{side.name} maximized something else: {reason}", facts)
    return Verdict(
        "not converged",
        f"{side.name} gives no log-likelihood for its own estimates: do not use these numbers",
        facts,
    )


def _rough(referee: GeneralizedReferee, side: _Side) -> bool:
    """Whether its fixed effects are those that ``nAGQ = 0`` has at its theta."""
    found = referee.beta_among_modes(side.theta)
    errors = side.quantities.units["fixed effects"]
    limits = np.array([1e-3 * errors[name] for name in referee.frame.x_names])
    return found is not None and bool((np.abs(found - side.beta) < limits).all())


def judge_generalized(
    referee: GeneralizedReferee,
    result: FitResult,
    reference: Reference,
    tolerances: Sequence[Tolerance] = TOLERANCES,
    best: tuple[str, float] | None = None,
) -> tuple[Verdict, list[Difference], str]:
    """A verdict on ``result``, as :func:`lmerbridge.crosscheck.verdict.judge` gives one; also the
    differences, and the name of what it was compared with.

    In this order: other data; agreement; another criterion; another optimum; known definitions;
    boundary; flat; and what is left is unexplained.
    """
    engine, names = result.provenance.engine, referee.frame.x_names
    found = of_result(result)
    differences = compare(reference.quantities, found, tolerances)
    wrong = [d for d in differences if not d.agrees]
    verdict = other_data(referee.frame, result, reference)
    if verdict is not None:
        return verdict, differences, reference.name
    here, there = _beta(names, found), _beta(names, reference.quantities)
    assert here is not None
    exact = referee.value(result.estimates.theta, here)
    own = _Side(engine, found, result.estimates.theta, here, exact)
    if math.isnan(own.claimed):
        return _without_likelihood(result, own, best), differences, reference.name
    said, other = ("", None) if math.isnan(exact) else _claimed(referee, own)
    if not wrong:
        return (
            Verdict("agree", f"{engine} agrees with {reference.name}"),
            differences,
            reference.name,
        )
    if other is not None:
        return other, differences, reference.name
    if math.isnan(exact) or reference.theta is None or there is None:
        sentence = f"{engine}'s {wrong[0].quantity} differ: {off(wrong[0])}"
        if referee.knows:
            return Verdict("unexplained", sentence), differences, reference.name
        why = (
            "; a dispersion that is estimated has several definitions (lme4 up to 1.1, lme4 2.1 by "
            "moments, maximum likelihood), and the referee has the criterion of none"
        )
        return Verdict("other criterion", sentence + why), differences, reference.name
    value = referee.value(reference.theta, there)
    theirs = _Side(reference.name, reference.quantities, reference.theta, there, value)
    said_there, other = _claimed(referee, theirs)
    if other is not None:
        if other.kind == "unexplained":
            sentence = f"{other.sentence}; the stored values were changed, or are of another model"
            other = replace(other, sentence=sentence)
        return other, differences, reference.name
    gap = exact - value
    facts: tuple[Fact, ...] = (
        Fact(f"exact criterion at {engine}'s estimates", exact),
        Fact(f"at {reference.name}'s", value),
    )
    reasons = [text for text in (said, said_there) if text]
    rest = [d for d in wrong if d.quantity not in OF_CRITERION]
    if any(d.quantity in OF_ERRORS for d in rest):
        of_errors, more = _errors(referee, (own, theirs))
        facts = (*facts, *more)
        if of_errors:
            reasons += of_errors
            rest = [d for d in rest if d.quantity not in OF_ERRORS]
    if referee.dispersed and any(d.quantity == MODES for d in rest):
        of_modes = _times_sigma(own, theirs)
        if of_modes:
            reasons.append(of_modes)
            rest = [d for d in rest if d.quantity != MODES]
    limit = next(t.limit for t in tolerances if t.quantity == "criterion")
    if gap > limit and referee.spec.nAGQ > 0 and _rough(referee, own):
        verdict = Verdict(
            "other criterion",
            f"{engine} found the fixed effects among the conditional modes (nAGQ = 0), which is "
            f"another criterion, and stopped {gap:.2g} above {reference.name}",
        )
        return replace(verdict, facts=facts), differences, reference.name
    verdict = _optimum(result, reference, found, tolerances, gap, limit, best, exact, reasons)
    if verdict is None:
        verdict = _explained(result, reference, wrong, rest, reasons, gap)
    return replace(verdict, facts=(*facts, *verdict.facts)), differences, reference.name


def _optimum(
    result: FitResult,
    reference: Reference,
    found: Quantities,
    tolerances: Sequence[Tolerance],
    gap: float,
    limit: float,
    best: tuple[str, float] | None,
    exact: float,
    reasons: Sequence[str],
) -> Verdict | None:
    """The verdict where one of the two stopped short of the optimum."""
    engine, name = result.provenance.engine, reference.name
    above = 0.0 if best is None else exact - best[1]
    worst = max(gap, above)
    also = "".join(f"; {text}" for text in reasons)
    if worst > limit and not result.evidence.converged:
        return Verdict(
            "not converged",
            f"{engine} stopped {worst:.2g} above the best point found and says itself that it did "
            "not converge: do not use these numbers",
        )
    if gap > limit:
        return Verdict(
            "other optimum",
            f"{engine} stopped {gap:.2g} above {name}, whose numbers are the better ones{also}",
        )
    if gap < -limit and above > limit:
        winner = "" if best is None else best[0]
        return Verdict(
            "other optimum",
            f"{engine} stopped {above:.2g} above the best point found, by {winner}, though "
            f"{-gap:.2g} below {name}",
        )
    polished = reference.polished
    if gap < -FLAT_CRITERION and polished is not None:
        left = [
            d
            for d in compare(polished.quantities, found, tolerances)
            if not d.agrees and d.quantity not in (*OF_ERRORS, *OF_CRITERION)
        ]
        if not left:
            return Verdict(
                "better optimum",
                f"{engine}'s criterion is {-gap:.2g} below that of {name}, which stopped early; "
                f"{polished.name} has {engine}'s estimates{also}",
            )
    if gap < -limit:
        return Verdict(
            "better optimum",
            f"{engine}'s criterion is {-gap:.2g} below that of {name}, which stopped short{also}",
        )
    return None


def _explained(
    result: FitResult,
    reference: Reference,
    wrong: Sequence[Difference],
    rest: Sequence[Difference],
    reasons: Sequence[str],
    gap: float,
) -> Verdict:
    """The verdict where both are at the same optimum; ``rest`` are the differences that the
    ``reasons`` do not give.
    """
    engine, name = result.provenance.engine, reference.name
    uncertain = ("correlations", "std. deviations", "modes", "conditional SDs")
    if rest and reference.singular and result.evidence.singular:
        rest = [d for d in rest if d.quantity not in uncertain]
        if not rest and not reasons:
            return Verdict(
                "boundary",
                f"{engine} and {name} agree that the fit is singular, and differ in what is not "
                f"defined there: {listed([d.quantity for d in wrong])}",
            )
    if any(d.quantity in (*OF_ERRORS, "nobs", "df") or d.problem for d in rest):
        worst = next(d for d in rest if d.quantity in (*OF_ERRORS, "nobs", "df") or d.problem)
        return Verdict(
            "unexplained",
            f"{engine}'s {worst.quantity} differ at the same optimum: {off(worst)}; no definition "
            "known gives them",
        )
    if reasons:
        return Verdict(
            "same optimum, other definition",
            f"{engine} and {name} are at the same optimum; " + "; ".join(reasons),
        )
    if not rest:
        return Verdict(
            "unexplained",
            f"{engine}'s {wrong[0].quantity} differs at the same estimates: {off(wrong[0])}",
        )
    return Verdict(
        "flat",
        f"the criterion differs by {abs(gap):.1g}: it does not tell these estimates apart, and "
        "neither engine's digits beyond the tolerance mean anything",
    )
