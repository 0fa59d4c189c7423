"""The gamma function and its kin, the normal and the logistic distribution, and ranks: R's.

Where R warns that NaNs were produced they are missing values here, as those of ``log`` are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from lmerbridge.design.columns import Array, Numeric
from lmerbridge.design.values import Arguments, Value, column_of, no_time, numbers_of
from lmerbridge.errors import DataError
from lmerbridge.formula.functions import ELEMENTWISE
from lmerbridge.lazy import LazyModule

if TYPE_CHECKING:
    from scipy import special
else:  # few formulas name one of these functions
    special = LazyModule("scipy.special")

__all__ = ["OF_ONE", "OF_SEVERAL", "rank"]


def _of(name: str) -> Callable[[Array], Array]:
    """scipy's function of this name, found when it is called."""
    return lambda x: np.asarray(getattr(special, name)(x))


def _gamma(x: Array) -> Array:
    pole = (x <= 0) & (x == np.floor(x))
    return np.where(pole, np.nan, special.gamma(x))


def _log_gamma(x: Array) -> Array:
    """Of the absolute value; infinite at the poles."""
    return np.asarray(special.gammaln(x))


def _digamma(x: Array) -> Array:
    pole = (x <= 0) & (x == np.floor(x))
    return np.where(pole, np.nan, special.digamma(x))


def _trigamma(x: Array) -> Array:
    """By reflection below 0: psi'(x) + psi'(1 - x) = (pi / sin(pi x))^2."""
    pole = (x <= 0) & (x == np.floor(x))
    safe = np.where(x > 0, x, 1.0 - x)
    values = special.polygamma(1, safe)
    reflected = (np.pi / np.where(pole, 1.0, np.sin(np.pi * x))) ** 2 - values
    return np.where(pole, np.inf, np.where(x > 0, values, reflected))


def _factorial(x: Array) -> Array:
    return _gamma(x + 1.0)


def _log_factorial(x: Array) -> Array:
    return _log_gamma(x + 1.0)


OF_ONE: dict[str, Callable[[Array], Array]] = {
    "gamma": _gamma,
    "lgamma": _log_gamma,
    "digamma": _digamma,
    "trigamma": _trigamma,
    "factorial": _factorial,
    "lfactorial": _log_factorial,
}


def _beta(a: Array, b: Array) -> Array:
    return np.where((a < 0) | (b < 0), np.nan, special.beta(a, b))


def _log_beta(a: Array, b: Array) -> Array:
    return np.where((a < 0) | (b < 0), np.nan, special.betaln(a, b))


def _choose(n: Array, k: Array) -> Array:
    """``choose(n, k)``, of a whole number k: (-1)^k choose(k - n - 1, k) for n below 0."""
    k = np.rint(k)
    negative = n < 0
    above = np.where(negative, k - n - 1.0, n)
    ways = special.binom(above, np.maximum(k, 0.0))
    ways = np.where(n == np.rint(n), np.rint(ways), ways)
    # a whole number below k has no such subsets
    ways = np.where((above == np.rint(above)) & (above < k), 0.0, ways)
    ways = np.where(negative & (k % 2 == 1), -ways, ways)
    return np.where(k < 0, 0.0, np.where(np.isnan(n) | np.isnan(k), np.nan, ways))


def _log_choose(n: Array, k: Array) -> Array:
    """The logarithm of the absolute value."""
    return np.asarray(np.log(np.abs(_choose(n, k))))


def _standard(x: Array, location: Array, scale: Array) -> Array:
    """In units of the scale; one of 0 has all its mass at the location."""
    away = x - location
    z = np.where(scale > 0, away / scale, np.where(away < 0, -np.inf, np.inf))
    return np.where(scale < 0, np.nan, np.where(np.isnan(away), np.nan, z))


def _probability(
    cdf: Callable[[Array], Array], log_cdf: Callable[[Array], Array]
) -> Callable[..., Array]:
    """Of a symmetric distribution: the upper tail is the lower one of the other sign."""

    def apply(q: Array, location: Array, scale: Array, lower: bool, log: bool) -> Array:
        z = _standard(q, location, scale)
        return np.asarray((log_cdf if log else cdf)(z if lower else -z))

    return apply


def _quantile(
    inverse: Callable[[Array], Array], log_inverse: Callable[[Array], Array]
) -> Callable[..., Array]:
    """Of a symmetric distribution."""

    def apply(p: Array, location: Array, scale: Array, lower: bool, log: bool) -> Array:
        possible = (p <= 0) if log else (p >= 0) & (p <= 1)
        z = (log_inverse if log else inverse)(np.where(possible, p, np.nan))
        quantiles = location + scale * np.where(lower, z, -np.asarray(z))
        return np.where(scale < 0, np.nan, np.where(scale == 0, location + 0 * p, quantiles))

    return apply


def _density(log_density: Callable[[Array], Array]) -> Callable[..., Array]:
    def apply(x: Array, location: Array, scale: Array, log: bool) -> Array:
        at_once = np.where(x == location, np.inf, -np.inf)
        density = log_density((x - location) / scale) - np.log(scale)
        density = np.where(scale < 0, np.nan, np.where(scale == 0, at_once, density))
        density = np.where(np.isnan(x) | np.isnan(location), np.nan, density)
        return np.asarray(density if log else np.exp(density))

    return apply


def _log_normal(z: Array) -> Array:
    return np.asarray(-np.square(z) / 2.0 - np.log(2.0 * np.pi) / 2.0)


def _log_logistic(z: Array) -> Array:
    return -np.abs(z) - 2.0 * np.log1p(np.exp(-np.abs(z)))


def _logit_of_log(p: Array) -> Array:
    """log(exp(p) / (1 - exp(p)))."""
    return np.asarray(p - np.log(-np.expm1(p)))


# by the names of R's parameters: those before the first of these are numbers by row
_TRUTHS = {"lower.tail": True, "log.p": False, "log": False}
_DEFAULTS = {"mean": 0.0, "sd": 1.0, "location": 0.0, "scale": 1.0}
_FUNCTIONS: dict[str, Callable[..., Array]] = {
    "beta": _beta,
    "lbeta": _log_beta,
    "choose": _choose,
    "lchoose": _log_choose,
    "pnorm": _probability(_of("ndtr"), _of("log_ndtr")),
    "qnorm": _quantile(_of("ndtri"), _of("ndtri_exp")),
    "dnorm": _density(_log_normal),
    "plogis": _probability(_of("expit"), _of("log_expit")),
    "qlogis": _quantile(_of("logit"), _logit_of_log),
    "dlogis": _density(_log_logistic),
}


def _of_several(name: str, parameters: tuple[str, ...]) -> Callable[[Arguments], Value]:
    """The function of columns or numbers, whose last parameters are truths."""
    numbers = [p for p in parameters if p not in _TRUTHS]
    truths = [p for p in parameters if p in _TRUTHS]

    def apply(args: Arguments) -> Value:
        values = [args.get(p, _DEFAULTS[p]) if p in _DEFAULTS else args.first(p) for p in numbers]
        chosen = [args.truth(p, _TRUTHS[p]) for p in truths]
        for value in values:
            no_time(value, name)
        with np.errstate(all="ignore"):
            if all(isinstance(v, (int, float)) for v in values):
                single = [np.array([float(v)]) for v in values if isinstance(v, (int, float))]
                return float(_FUNCTIONS[name](*single, *chosen)[0])
            columns = [column_of(v, args.rows, name) for v in values]
            arrays = [numbers_of(c, name) for c in columns]
            if any(a.ndim > 1 for a in arrays):
                arrays = [a.reshape(args.rows, -1) for a in arrays]
            names = next((c.names for c in columns if isinstance(c, Numeric) and c.names), None)
            return Numeric(_FUNCTIONS[name](*arrays, *chosen), names)

    return apply


OF_SEVERAL = {name: _of_several(name, ELEMENTWISE[name]) for name in _FUNCTIONS}


def _ranks(values: Array, among: Array, ties: str) -> Array:
    """The ranks of values among sorted ones: before the first of its like, or behind the last."""
    first = np.searchsorted(among, values, "left") + 1.0
    last = np.searchsorted(among, values, "right").astype(float)
    return np.asarray({"average": (first + last) / 2, "min": first, "max": last}[ties])


def rank(args: Arguments) -> Value:
    """The place of each value among all of the column; that of new data is the place among the
    fit's.

    Raises
    ------
    DataError
        A missing value of which nothing is said, or new data with a value that the fit has not.
    """
    no_time(args.first("x"), "rank")
    x = args.numbers("x")
    ties, missing_last = args.get("ties.method", "average"), args.get("na.last", None)
    if ties not in ("average", "min", "max"):
        raise DataError(
            f"rank(): ties.method is 'average', 'min' or 'max' here, not {ties!r}: others depend "
            "on the order of the rows"
        )
    if x.ndim > 1:
        raise DataError("rank() needs a column of numbers, not a matrix")
    missing = np.isnan(x)
    if missing.any() and missing_last != "keep":
        raise DataError(
            f"rank() of {int(missing.sum())} missing value(s), which R counts as the largest: "
            'write na.last = "keep", and they stay missing'
        )
    among = args.memory.setdefault("values", np.sort(x[~missing]))
    new = ~missing & (np.searchsorted(among, x, "left") == np.searchsorted(among, x, "right"))
    if new.any():
        raise DataError(
            f"{args.text}: {float(x[new][0])} is no value of the data that were fitted, among "
            "which it has a rank; make a column of ranks first"
        )
    return Numeric(np.where(missing, np.nan, _ranks(x, among, str(ties))))
