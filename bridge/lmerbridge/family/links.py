"""The links of generalized linear models: what a linear predictor is of a mean, and the way back.

A link g maps the mean mu of a response to the linear predictor eta = g(mu). What an engine needs
is the way back, mu(eta), with its derivatives; here they are up to the fourth (McCullagh & Nelder
1989, "Generalized Linear Models", sections 2.2 and 4.3.1 for the links).

Nothing is clipped: the values are those of mathematics as far as a float has them. R clips.
``linkinv`` of the logit becomes 2.2e-16 or 1 less that where |eta| > 30, that of the probit where
|eta| > 8.13, that of the cloglog below -36.04 and above 3.58, that of the log below -36.04, that
of the cauchit where |eta| > 1.4e15; ``mu.eta`` is never below 2.2e-16 for the probit
(|eta| > 8.38), the cloglog, the logit (|eta| > 30) and the log. Only beyond these values do
results differ from R's.

Exponents above 700 are taken as 700, so that what is computed stays a number: exp(700) is 1e304.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from scipy import special

from lmerbridge.equality import by_value

__all__ = [
    "EXPONENTS",
    "LARGEST_EXPONENT",
    "LINKS",
    "Array",
    "Link",
    "exponential",
    "logistic",
    "powers_of",
]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Function: TypeAlias = Callable[[Array], Array]
# eta and an order to the function and its derivatives up to that order
Derivatives: TypeAlias = Callable[[Array, int], tuple[Array, ...]]

LARGEST_EXPONENT = 700.0
# The mean as a power of the linear predictor.
EXPONENTS = {"identity": 1.0, "sqrt": 2.0, "inverse": -1.0, "1/mu^2": -0.5}
# 1 - exp(-exp(30)) is 1 and its derivatives are 0, as floats
CLOGLOG_END = 30.0


@by_value
@dataclass(frozen=True, eq=False, repr=False)
class Link:
    """A link: the linear predictor as a function of the mean, and the way back.

    Attributes
    ----------
    name : str
        As R names it: ``logit``, ``1/mu^2``.
    link : callable
        The linear predictor (n,) of means (n,).
    of_order : callable
        ``of_order(eta, k)``: the way back and its derivatives in eta up to the k-th, k <= 4, as a
        tuple of k + 1 arrays (n,); several at once cost less than one by one.
    low : float
        Linear predictors must be greater than it (R's ``valideta``), if not minus infinity.
    without_zero : bool
        Whether a linear predictor of 0 has no mean.
    """

    name: str
    link: Function
    of_order: Derivatives
    low: float = -np.inf
    without_zero: bool = False

    def __repr__(self) -> str:
        return f"Link({self.name!r})"

    def inverse(self, eta: Array) -> Array:
        """Return the mean, mu(eta); R's ``linkinv``, not clipped."""
        return self.of_order(eta, 0)[0]

    def slope(self, eta: Array) -> Array:
        """Return the derivative of the mean in eta; R's ``mu.eta``, not clipped."""
        return self.of_order(eta, 1)[1]

    def curvature(self, eta: Array) -> Array:
        """Return the second derivative of the mean in eta."""
        return self.of_order(eta, 2)[2]

    def bend(self, eta: Array) -> Array:
        """Return the third derivative of the mean in eta."""
        return self.of_order(eta, 3)[3]

    def fourth(self, eta: Array) -> Array:
        """Return the fourth derivative of the mean in eta."""
        return self.of_order(eta, 4)[4]

    def valid_eta(self, eta: Array) -> bool:
        """Return whether each of the linear predictors has a mean; R's ``valideta``.

        R takes any value where each number has a mean, also those that are no finite numbers; here
        they are not valid.
        """
        return bool(
            np.all(np.isfinite(eta))
            and np.all(eta > self.low)
            and not (self.without_zero and np.any(eta == 0))
        )


def exponential(eta: Array, rate: float, order: int) -> tuple[Array, ...]:
    """Return exp(rate eta) and its derivatives up to ``order``."""
    value = np.exp(np.minimum(eta * rate, LARGEST_EXPONENT))
    return tuple(value * rate**k if k and rate != 1 else value for k in range(order + 1))


def powers_of(eta: Array, exponent: float, factor: float, order: int) -> tuple[Array, ...]:
    """Return factor * eta^exponent and its derivatives up to ``order``.

    Not a number where eta has no such power, infinite where it is a pole; no warning.
    """
    found = []
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for _ in range(order + 1):
            found.append(factor * eta**exponent if factor else np.zeros_like(eta))
            factor *= exponent
            exponent -= 1
    return tuple(found)


def logistic(eta: Array, order: int) -> tuple[Array, ...]:
    """Return p = 1 / (1 + exp(-eta)) and its derivatives up to ``order`` (<= 4), precise in both
    tails.
    """
    small = np.exp(-np.abs(eta))
    larger = 1 / (1 + small)
    smaller = small * larger
    positive = eta > 0
    p = np.where(positive, larger, smaller)
    if order == 0:
        return (p,)
    product = smaller * larger
    if order == 1:
        return p, product
    difference = -np.copysign((1 - small) * larger, eta)  # q - p
    found = (p, product, product * difference)
    if order == 2:
        return found
    more = product * (1 - 6 * product), product * difference * (1 - 12 * product)
    return (*found, *more)[: order + 1]


def _probit(eta: Array, order: int) -> tuple[Array, ...]:
    found = [special.ndtr(eta)]
    if order >= 1:
        # a density of 0 is right from 39 on; the square is kept from overflowing
        near = np.clip(eta, -1e3, 1e3)
        square = near * near
        density = np.exp(-0.5 * square) / np.sqrt(2 * np.pi)
        factors = (1.0, -near, square - 1, near * (3 - square))
        found += [density * factor for factor in factors[:order]]
    return tuple(found)


def _cloglog(eta: Array, order: int) -> tuple[Array, ...]:
    near = np.minimum(eta, CLOGLOG_END)
    t = np.exp(near)
    found = [-np.expm1(-t)]
    if order >= 1:
        slope = np.exp(near - t)
        found.append(slope)
        factors = (1 - t, 1 - t * (3 - t), 1 - t * (7 - t * (6 - t)))
        found += [slope * factor for factor in factors[: order - 1]]
    return tuple(found)


def _cauchit(eta: Array, order: int) -> tuple[Array, ...]:
    with np.errstate(divide="ignore"):
        tail = np.arctan(1 / np.abs(eta)) / np.pi
    found = [np.where(eta > 0, 1 - tail, tail)]
    if order >= 1:
        with np.errstate(over="ignore"):
            u = 1 / (1 + eta * eta)
        v = np.where(u > 0, eta, 0.0) * u
        slope = u / np.pi
        factors = (1.0, -2 * v, 6 * v * v - 2 * u * u, 24 * v * u * u - 24 * v**3)
        found += [slope * factor for factor in factors[:order]]
    return tuple(found)


def _identity(eta: Array, order: int) -> tuple[Array, ...]:
    zero = np.zeros_like(eta)
    return (eta, np.ones_like(eta), zero, zero, zero)[: order + 1]


def _exp(eta: Array, order: int) -> tuple[Array, ...]:
    return exponential(eta, 1.0, order)


def _power(name: str, eta: Array, order: int) -> tuple[Array, ...]:
    return powers_of(eta, EXPONENTS[name], 1.0, order)


def _root(mu: Array) -> Array:
    with np.errstate(invalid="ignore"):
        return np.sqrt(mu)


def _reciprocal(mu: Array) -> Array:
    with np.errstate(divide="ignore"):
        return 1 / mu


def _reciprocal_square(mu: Array) -> Array:
    with np.errstate(divide="ignore"):
        return 1 / (mu * mu)


def _log(mu: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(mu)


def _log_log_complement(mu: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(-np.log1p(-mu))


def _cotangent(mu: Array) -> Array:
    """tan(pi (mu - 1/2)), by what is small at either end."""
    with np.errstate(divide="ignore"):
        return np.where(mu > 0.5, 1 / np.tan(np.pi * (1 - mu)), -1 / np.tan(np.pi * mu))


LINKS: dict[str, Link] = {
    "logit": Link("logit", special.logit, logistic),
    "probit": Link("probit", special.ndtri, _probit),
    "cloglog": Link("cloglog", _log_log_complement, _cloglog),
    "cauchit": Link("cauchit", _cotangent, _cauchit),
    "log": Link("log", _log, _exp),
    "identity": Link("identity", np.asarray, _identity),
    "sqrt": Link("sqrt", _root, partial(_power, "sqrt"), low=0.0),
    "inverse": Link("inverse", _reciprocal, partial(_power, "inverse"), without_zero=True),
    "1/mu^2": Link("1/mu^2", _reciprocal_square, partial(_power, "1/mu^2"), low=0.0),
}
