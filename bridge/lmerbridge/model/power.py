"""Power by simulation: how often a test finds an effect in data that the model draws (Green &
MacLeod 2016, Methods Ecol. Evol. 7(4), whose R package simr does the same).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from lmerbridge.arguments import check_level
from lmerbridge.equality import by_value
from lmerbridge.errors import (
    ArgumentError,
    DataError,
    FitMessage,
    FitWarning,
    LmerBridgeError,
    near_match,
)
from lmerbridge.inference.drawn import drawn_responses
from lmerbridge.inference.fit import Fit
from lmerbridge.inference.levels import DEFAULT_LEVEL
from lmerbridge.inference.re_form import NA, chosen_effects
from lmerbridge.inference.refit_errors import standard_errors_of
from lmerbridge.model.progress import progress_bar
from lmerbridge.shown import shown

__all__ = ["TESTS", "Power", "power_of"]

TESTS = ("Satterthwaite", "Kenward-Roger", "LRT", "z")
# responses that are refitted together, between two looks at the bar; of generalized models, which
# are refitted one after another
AT_ONCE, OF_FAMILY = 250, 10
PValues: TypeAlias = Callable[[pd.DataFrame], Any]


@shown
@by_value
@dataclass(frozen=True, eq=False)
class Power:
    """The share of simulated data sets in which a test rejects.

    Attributes
    ----------
    term : str
        What was tested.
    test : str
        By which test.
    effect : mapping of str to float
        The fixed effects that the data were drawn with.
    alpha : float
        The level of the test.
    p_values : array (nsim,)
        NaN where a simulated data set could not be fitted, which counts as no rejection.
    seed : int
        Makes the draws again.
    """

    term: str
    test: str
    effect: Mapping[str, float]
    alpha: float
    p_values: np.ndarray[Any, np.dtype[np.float64]]
    seed: int

    @property
    def failed(self) -> int:
        """How many data sets could not be fitted or tested."""
        return int(np.isnan(self.p_values).sum())

    @property
    def rejections(self) -> int:
        """In how many the test rejects."""
        return int(np.sum(self.p_values < self.alpha))

    @property
    def power(self) -> float:
        """The share of rejections."""
        return self.rejections / len(self.p_values)

    def interval(self, level: float = DEFAULT_LEVEL) -> tuple[float, float]:
        """Return limits of the power, exact for a binomial count (Clopper & Pearson 1934).

        Parameters
        ----------
        level : float
            Between 0 and 1.
        """
        from scipy.special import betaincinv

        check_level(level)
        k, n, tail = self.rejections, len(self.p_values), (1 - level) / 2
        low = float(betaincinv(k, n - k + 1, tail)) if k else 0.0
        high = float(betaincinv(k + 1, n - k, 1 - tail)) if k < n else 1.0
        return low, high

    def __str__(self) -> str:
        low, high = self.interval()
        failed = f", {self.failed} of them failed" if self.failed else ""
        return (
            f"Power of {self.term}: {100 * self.power:.1f} % (95 % interval {100 * low:.1f} to "
            f"{100 * high:.1f} %)\n"
            f"Test: {self.test}, alpha {self.alpha:g}; {len(self.p_values)} simulations{failed}, "
            f"seed {self.seed}\n"
            "Drawn with: " + ", ".join(f"{name} {v:.4g}" for name, v in self.effect.items())
        )


def power_of(
    model: Any,
    term: str,
    effect: Any,
    nsim: int,
    test: str,
    alpha: float,
    seed: int | None,
    progress: bool,
) -> Power:
    """Draw ``nsim`` responses, fit each and test ``term``; as :meth:`lmerbridge.Model.power`."""
    if nsim < 1:
        raise ArgumentError(f"nsim must be 1 or more, not {nsim}")
    if not 0 < alpha < 1:
        raise ArgumentError(f"alpha must be between 0 and 1, not {alpha}")
    generalized = model.result.call.generalized
    tests = TESTS[2:] if generalized else TESTS
    if test not in tests:
        raise ArgumentError(
            f"unknown test {test!r}{near_match(test, tests)}; tests: {', '.join(tests)}"
        )
    names, labels = list(model.fixef().index), _labels(model)
    if term not in names and term not in labels:
        raise DataError(
            f"no term or fixed effect {term!r}{near_match(term, [*labels, *names])}; there are "
            f"{', '.join(dict.fromkeys([*labels, *names]))}"
        )
    if test == "z" and term not in names:
        raise ArgumentError(f"{term!r} has several effects; z tests one: {', '.join(names)}")
    beta = _drawn_with(model.fixef(), term, effect)
    seed = int(np.random.default_rng().integers(2**31)) if seed is None else seed
    base = model if model.engine == "native" else model.update(engine="native")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        warnings.simplefilter("ignore", FitMessage)
        drawn = (
            _drawn_of_family(model.fit, beta, nsim, seed)
            if generalized
            else model.simulate(nsim, seed, newparams={"beta": beta})
        )
        if test == "LRT" or (test == "z" and not generalized):
            p_values = _together(base, term, names, labels, drawn, test, progress)
        else:
            p_values = _one_by_one(base, term, labels, drawn, test, progress)
    return Power(term, test, beta, alpha, p_values, seed)


def _drawn_of_family(fit: Fit, beta: Mapping[str, float], nsim: int, seed: int) -> pd.DataFrame:
    """Responses (n, nsim) of a generalized model with other fixed effects."""
    frame, result = fit.frame, fit.result
    moved = replace(result.estimates, beta=np.array(list(beta.values())))
    chosen = chosen_effects(frame, NA)
    return pd.DataFrame(
        drawn_responses(
            frame, replace(result, estimates=moved), np.random.default_rng(seed), chosen, nsim
        )
    )


def _labels(model: Any) -> list[str]:
    return [str(label) for label in model.frame.design.x_terms]


def _drawn_with(beta: pd.Series[float], term: str, effect: Any) -> dict[str, float]:
    """The fixed effects of the simulated data: the fit's, but for those that ``effect`` names."""
    drawn = {str(name): float(value) for name, value in beta.items()}
    if effect is None:
        return drawn
    if not isinstance(effect, Mapping):
        if term not in drawn:
            raise ArgumentError(
                f"{term!r} has several effects: effect must be a dict of fixed effects, such as "
                f"{{{next(iter(drawn))!r}: 1.0}}"
            )
        effect = {term: effect}
    unknown = [name for name in effect if name not in drawn]
    if unknown:
        raise DataError(
            f"effect: no fixed effect {unknown[0]!r}{near_match(str(unknown[0]), drawn)}; there "
            f"are {', '.join(drawn)}"
        )
    for name, value in effect.items():
        try:
            drawn[name] = float(value)
        except (TypeError, ValueError):
            raise ArgumentError(f"effect: {name!r} must be a number, not {value!r}") from None
    return drawn


def _together(
    base: Any,
    term: str,
    names: list[str],
    labels: list[str],
    drawn: pd.DataFrame,
    test: str,
    progress: bool,
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """P values of many responses at once, by two fits each or by one."""
    p_of = _by_ratio(base, term, labels) if test == "LRT" else _by_z(base, term, names)
    count, at_once = drawn.shape[1], OF_FAMILY if base.result.call.generalized else AT_ONCE
    p_values = np.empty(count)
    with progress_bar("power", progress) as tell:
        for start in range(0, count, at_once):
            if tell is not None:
                tell(start, count)
            part = slice(start, start + at_once)
            p_values[part] = p_of(drawn.iloc[:, part])
    return p_values


def _by_ratio(base: Any, term: str, labels: list[str]) -> PValues:
    """Likelihood ratio tests of a term."""
    from scipy.special import chdtrc

    if term not in labels:
        raise ArgumentError(
            f"the likelihood ratio test leaves a term out, and {term!r} is one effect of a "
            f"term; terms: {', '.join(labels)}"
        )
    ml = {} if base.result.call.generalized else {"REML": False}
    large, small = base.update(**ml), base.update(f". ~ . - {term}", **ml)
    df = len(large.fixef()) - len(small.fixef())
    if df < 1:
        raise DataError(f"without {term!r} the model has as many effects: it cannot be tested")

    def p_of(responses: pd.DataFrame) -> Any:
        with_term, without = (m.refit_many(responses) for m in (large, small))
        return chdtrc(df, np.maximum(without.criterion - with_term.criterion, 0.0))

    return p_of


def _by_z(base: Any, term: str, names: list[str]) -> PValues:
    """Tests of one effect over its standard error, by the normal distribution."""
    from scipy.special import ndtr

    j = names.index(term)

    def p_of(responses: pd.DataFrame) -> Any:
        fits = base.refit_many(responses)
        return 2 * ndtr(-np.abs(fits.beta[:, j]) / standard_errors_of(base.fit, fits, j))

    return p_of


def _one_by_one(
    base: Any, term: str, labels: list[str], drawn: pd.DataFrame, ddf: str, progress: bool
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """P values by a fit and a test of each response."""
    p_values = np.full(drawn.shape[1], np.nan)
    with progress_bar("power", progress) as tell:
        for i in range(drawn.shape[1]):
            if tell is not None:
                tell(i, len(p_values))
            try:
                m = base.refit(drawn.iloc[:, i])
                if ddf != "z" and term in labels:
                    p_values[i] = m.anova(ddf=ddf)["Pr(>F)"].loc[term]
                else:
                    table = m.tidy("fixed", **({} if ddf == "z" else {"ddf": ddf}))
                    p_values[i] = table.set_index("term")["p_value"].loc[term]
            except LmerBridgeError:  # it counts as no rejection
                continue
    return p_values
