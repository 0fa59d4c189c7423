"""The Poisson distribution: y are counts, the prior weights multiply the log densities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from lmerbridge.family.distribution import Refusal
from lmerbridge.family.links import LARGEST_EXPONENT, Array, Link
from lmerbridge.family.power import rows_of_power, variance_of_power
from lmerbridge.family.rows import Rows, rows

__all__ = ["Poisson", "non_integer"]


def non_integer(y: Array) -> str | None:
    """Return what R's densities of counts warn of, for the first of them."""
    wrong = np.abs(y - np.rint(y)) > 1e-7 * np.maximum(1, np.abs(y))
    return f"non-integer x = {y[wrong][0]:f}" if wrong.any() else None


@dataclass(frozen=True)
class Poisson:
    """The Poisson distribution."""

    name: str = "poisson"
    links: tuple[str, ...] = ("log", "identity", "sqrt")
    dispersion: float | None = 1.0
    theta: float | None = None

    def variance(self, mu: Array, order: int) -> Array:
        return variance_of_power(1.0, mu, order)

    def unit_deviance(self, y: Array, mu: Array) -> Array:
        return 2 * (special.rel_entr(y, mu) - (y - mu))

    def value(self, y: Array, eta: Array, link: Link) -> Array:
        mu = link.inverse(eta)
        if link.name == "log":
            return y * eta - mu
        # also where y is 0 there is no negative mean: its density would be more than 1
        return np.where(mu < 0, -np.inf, special.xlogy(y, mu) - mu)

    def rows(self, y: Array, eta: Array, weights: Array | None, link: Link, order: int) -> Rows:
        if link.name != "log":
            value = self.value(y, eta, link)
            return rows_of_power(1.0, value, y, eta, weights, link, order)
        mu = np.minimum(eta, LARGEST_EXPONENT)
        np.exp(mu, out=mu)
        value = y * eta
        value -= mu
        return rows(value, y - mu, [mu] * 3, [mu] * 3, weights, order)

    def normalizer(self, y: Array, weights: Array, phi: float) -> Array:
        return -weights * special.gammaln(y + 1)

    def dispersion_derivatives(
        self, y: Array, mu: Array, weights: Array, phi: float
    ) -> tuple[Array, Array]:
        zero = np.zeros_like(mu)
        return zero, zero

    def aic(self, y: Array, mu: Array, weights: Array, dev: float, sizes: Array) -> float:
        return float(-2 * np.sum(weights * (special.xlogy(y, mu) - mu - special.gammaln(y + 1))))

    def initial_mu(self, y: Array, weights: Array) -> Array:
        return y + 0.1

    def valid_mu(self, mu: Array) -> bool:
        return bool(np.all(np.isfinite(mu) & (mu > 0)))

    def refusal(self, y: Array) -> Refusal | None:
        wrong = ~(y >= 0)
        text = "negative values not allowed for the 'Poisson' family"
        return (text, wrong) if wrong.any() else None

    def oddity(self, y: Array, weights: Array) -> str | None:
        return non_integer(y)

    def simulate(self, mu: Array, weights: Array, phi: float, rng: np.random.Generator) -> Array:
        return rng.poisson(mu).astype(float)

    def cdf(self, y: Array, mu: Array, weights: Array, phi: float) -> Array:
        count = np.floor(y + 1e-7)
        return np.where(count < 0, 0.0, special.gammaincc(np.maximum(count, 0) + 1, mu))

    def cdf_below(self, y: Array, mu: Array, weights: Array, phi: float) -> Array:
        return self.cdf(np.ceil(y - 1e-7) - 1, mu, weights, phi)
