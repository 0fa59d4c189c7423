"""The negative binomial distribution with a given size theta: V(mu) = mu + mu^2 / theta.

With a = (log mu)' and b = (log(mu + theta))' in eta, the score is w (y a - (y + theta) b), the
observed information -w (y a' - (y + theta) b'), the expected one w mu' (a - b) (Venables & Ripley
2002, "Modern Applied Statistics with S", section 7.4). The log density is written so that it goes
to the Poisson's as theta grows, without cancellation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from lmerbridge.family.distribution import Refusal
from lmerbridge.family.links import EXPONENTS, Array, Link, powers_of
from lmerbridge.family.poisson import non_integer
from lmerbridge.family.rows import Rows, ThetaDerivatives, rows
from lmerbridge.family.stirling import (
    log1p_less,
    remainder,
    remainder_curvature,
    remainder_slope,
)

__all__ = ["NegativeBinomial"]

Parts = tuple[Array, ...]


def _log_slopes(theta: float, link: Link, eta: Array, order: int) -> tuple[Parts, Parts]:
    """a = (log mu)' and b = (log(mu + theta))', each with its derivatives up to ``order`` <= 3."""
    p = EXPONENTS[link.name]
    if link.name == "identity":
        return powers_of(eta, -1.0, 1.0, order), powers_of(eta + theta, -1.0, 1.0, order)
    # the square root
    n = eta * eta + theta
    b = (
        2 * eta / n,
        2 * (theta - eta**2) / n**2,
        4 * eta * (eta**2 - 3 * theta) / n**3,
        -12 * (eta**4 - 6 * eta**2 * theta + theta**2) / n**4,
    )
    return powers_of(eta, -1.0, p, order), b[: order + 1]


@dataclass(frozen=True)
class NegativeBinomial:
    """The negative binomial distribution of this size."""

    size: float
    links: tuple[str, ...] = ("log", "sqrt", "identity")
    dispersion: float | None = 1.0

    @property
    def name(self) -> str:
        return f"Negative Binomial({_seven_digits(self.size)})"

    @property
    def theta(self) -> float | None:
        return self.size

    def variance(self, mu: Array, order: int) -> Array:
        zero = np.zeros_like(mu)
        theta = self.size
        parts: tuple[Array, ...] = (
            mu + mu * mu / theta,
            1 + 2 * mu / theta,
            zero + 2 / theta,
            zero,
        )
        return parts[order]

    def unit_deviance(self, y: Array, mu: Array) -> Array:
        theta = self.size
        return 2 * (special.rel_entr(y, mu) - special.rel_entr(y + theta, mu + theta))

    def value(self, y: Array, eta: Array, link: Link) -> Array:
        theta = self.size
        if link.name == "log":
            shifted = eta - np.log(theta)
            excess = np.maximum(shifted, 0) + np.log1p(np.exp(-np.abs(shifted)))
            return np.asarray(y * eta - (y + theta) * excess)
        mu = link.inverse(eta)
        found = special.xlogy(y, mu) - (y + theta) * np.log1p(np.maximum(mu, 0) / theta)
        # also where y is 0 there is no negative mean: its density would be more than 1
        return np.where(mu < 0, -np.inf, found)

    def rows(self, y: Array, eta: Array, weights: Array | None, link: Link, order: int) -> Rows:
        if link.name == "log":
            return self._log_rows(y, eta, weights, order)
        value = self.value(y, eta, link)
        mean = link.of_order(eta, max(order - 1, 1))
        a, b = _log_slopes(self.size, link, eta, max(order - 1, 0))
        more = y + self.size
        ratio = tuple(left - right for left, right in zip(a, b, strict=True))
        expected = [mean[1] * ratio[0]]
        if order >= 3:
            expected.append(mean[2] * ratio[0] + mean[1] * ratio[1])
        if order >= 4:
            expected.append(mean[3] * ratio[0] + 2 * mean[2] * ratio[1] + mean[1] * ratio[2])
        observed = [more * b[k] - y * a[k] for k in range(1, order)]
        return rows(value, y * a[0] - more * b[0], expected, observed, weights, order)

    def _log_rows(self, y: Array, eta: Array, weights: Array | None, order: int) -> Rows:
        # p = mu / (mu + theta) is the logistic function of eta - log theta, q = 1 - p
        theta = self.size
        shifted = eta - np.log(theta)
        small = np.exp(-np.abs(shifted))
        larger = 1 / (1 + small)
        positive = shifted > 0
        more = y + theta
        value = y * eta
        value -= more * (np.log1p(small) + positive * shifted)
        small *= larger
        p = np.where(positive, larger, small)
        q = np.where(positive, small, larger)
        expected, observed = [theta * p], []
        score = y * q
        score -= expected[0]
        product = small * larger
        difference = q - p
        if order >= 2:
            observed.append(more * product)
        if order >= 3:
            expected.append(theta * product)
            observed.append(observed[0] * difference)
        if order >= 4:
            expected.append(expected[1] * difference)
            observed.append(observed[0] * (1 - 6 * product))
        return rows(value, score, expected, observed, weights, order)

    def theta_derivatives(
        self, y: Array, eta: Array, weights: Array | None, link: Link
    ) -> ThetaDerivatives:
        theta = self.size
        mu, slope, curvature = link.of_order(eta, 2)
        total, more = mu + theta, y + theta
        size = np.full_like(y, theta)
        z = (y - mu) / total
        first = (
            log1p_less(z) + 0.5 * y / (theta * more) + remainder_slope(more) - remainder_slope(size)
        )
        second = (
            z * z / more
            - 0.5 * y * (2 * theta + y) / (theta * more) ** 2
            + remainder_curvature(more)
            - remainder_curvature(size)
        )
        step = slope / total
        score = step * z
        expected = step * step
        observed = expected + z * (2 * expected - curvature / total)
        parts = (first, second, score, expected, observed)
        return ThetaDerivatives(*(part if weights is None else part * weights for part in parts))

    def normalizer(self, y: Array, weights: Array, phi: float) -> Array:
        theta = self.size
        more = y + theta
        ratio = (more - 0.5) * np.log1p(y / theta) - y
        rest = remainder(more) - remainder(np.full_like(y, theta))
        return np.asarray(weights * (ratio + rest - special.gammaln(y + 1)))

    def dispersion_derivatives(
        self, y: Array, mu: Array, weights: Array, phi: float
    ) -> tuple[Array, Array]:
        zero = np.zeros_like(mu)
        return zero, zero

    def aic(self, y: Array, mu: Array, weights: Array, dev: float, sizes: Array) -> float:
        kernel = special.xlogy(y, mu) - (y + self.size) * np.log1p(mu / self.size)
        return float(-2 * np.sum(weights * kernel + self.normalizer(y, weights, 1.0)))

    def initial_mu(self, y: Array, weights: Array) -> Array:
        return np.where(y == 0, 1 / 6, y)

    def valid_mu(self, mu: Array) -> bool:
        return bool(np.all(mu > 0))

    def refusal(self, y: Array) -> Refusal | None:
        wrong = ~(y >= 0)
        text = "negative values not allowed for the negative binomial family"
        return (text, wrong) if wrong.any() else None

    def oddity(self, y: Array, weights: Array) -> str | None:
        return non_integer(y)

    def simulate(self, mu: Array, weights: Array, phi: float, rng: np.random.Generator) -> Array:
        return rng.poisson(rng.gamma(self.size, mu / self.size)).astype(float)

    def cdf(self, y: Array, mu: Array, weights: Array, phi: float) -> Array:
        count = np.floor(y + 1e-7)
        found = special.betaincc(
            np.maximum(count, 0) + 1, np.full_like(mu, self.size), mu / (mu + self.size)
        )
        return np.where(count < 0, 0.0, found)

    def cdf_below(self, y: Array, mu: Array, weights: Array, phi: float) -> Array:
        return self.cdf(np.ceil(y - 1e-7) - 1, mu, weights, phi)


def _seven_digits(theta: float) -> str:
    """``format(round(theta, 4))`` of R: 7 significant digits, scientific where that is shorter."""
    value = round(theta, 4)
    fixed = f"{value:.7g}"
    if "e" in fixed:
        fixed = np.format_float_positional(float(fixed), trim="-")
    digits = f"{value:.6e}"
    mantissa, _, exponent = digits.partition("e")
    scientific = f"{mantissa.rstrip('0').rstrip('.')}e{exponent}"
    return fixed if len(fixed) <= len(scientific) else scientific
