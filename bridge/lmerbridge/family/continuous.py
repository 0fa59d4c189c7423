"""The normal, the gamma and the inverse Gaussian distribution: a dispersion that is estimated.

A row's dispersion is phi / w, with w its prior weight. Each log density is
-w d(y, mu) / (2 phi) and a part free of mu, with d the unit deviance (Jorgensen 1997, "The Theory
of Dispersion Models", chapter 3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from lmerbridge.family.distribution import Refusal, per_weight
from lmerbridge.family.links import Array, Link
from lmerbridge.family.power import rows_of_power, variance_of_power
from lmerbridge.family.rows import Rows
from lmerbridge.family.stirling import (
    log1p_less,
    remainder,
    remainder_curvature,
    remainder_slope,
)

__all__ = ["Gamma", "Gaussian", "InverseGaussian"]


def _of_variance(d: Array, weights: Array, phi: float) -> tuple[Array, Array]:
    """The derivatives in phi where the density has phi as a normal one: its root, and d / phi."""
    counts = weights > 0
    scaled = weights * d / phi
    return counts * (scaled - 1) / (2 * phi), counts * (0.5 - scaled) / phi**2


@dataclass(frozen=True)
class Gaussian:
    """The normal distribution, with variance phi / w."""

    name: str = "gaussian"
    links: tuple[str, ...] = ("identity", "log", "inverse")
    dispersion: float | None = None
    theta: float | None = None

    def variance(self, mu: Array, order: int) -> Array:
        return np.zeros_like(mu) if order else np.ones_like(mu)

    def unit_deviance(self, y: Array, mu: Array) -> Array:
        return (y - mu) ** 2

    def value(self, y: Array, eta: Array, link: Link) -> Array:
        return -0.5 * self.unit_deviance(y, link.inverse(eta))

    def rows(self, y: Array, eta: Array, weights: Array | None, link: Link, order: int) -> Rows:
        return rows_of_power(0.0, self.value(y, eta, link), y, eta, weights, link, order)

    def normalizer(self, y: Array, weights: Array, phi: float) -> Array:
        precision, counts = per_weight(phi, weights)
        return counts * 0.5 * np.log(precision / (2 * np.pi))

    def dispersion_derivatives(
        self, y: Array, mu: Array, weights: Array, phi: float
    ) -> tuple[Array, Array]:
        return _of_variance(self.unit_deviance(y, mu), weights, phi)

    def aic(self, y: Array, mu: Array, weights: Array, dev: float, sizes: Array) -> float:
        n = len(y)
        with np.errstate(divide="ignore"):
            logs = np.sum(np.log(weights))
        return float(n * (np.log(2 * np.pi * dev / n) + 1) + 2 - logs)

    def initial_mu(self, y: Array, weights: Array) -> Array:
        return y

    def valid_mu(self, mu: Array) -> bool:
        return True

    def refusal(self, y: Array) -> Refusal | None:
        return None

    def oddity(self, y: Array, weights: Array) -> str | None:
        return None

    def simulate(self, mu: Array, weights: Array, phi: float, rng: np.random.Generator) -> Array:
        known = weights > 0
        drawn = rng.normal(mu, np.sqrt(phi / np.where(known, weights, 1.0)))
        return np.where(known, drawn, np.nan)

    def cdf(self, y: Array, mu: Array, weights: Array, phi: float) -> Array:
        return np.asarray(special.ndtr((y - mu) * np.sqrt(weights / phi)))

    def cdf_below(self, y: Array, mu: Array, weights: Array, phi: float) -> Array:
        return self.cdf(y, mu, weights, phi)


@dataclass(frozen=True)
class Gamma:
    """The gamma distribution, with shape a = w / phi and scale mu / a."""

    name: str = "Gamma"
    links: tuple[str, ...] = ("inverse", "identity", "log")
    dispersion: float | None = None
    theta: float | None = None

    def variance(self, mu: Array, order: int) -> Array:
        return variance_of_power(2.0, mu, order)

    def unit_deviance(self, y: Array, mu: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            return -2 * log1p_less((y - mu) / mu)

    def value(self, y: Array, eta: Array, link: Link) -> Array:
        if link.name == "log":  # also where mu is no float
            log_ratio = np.log(y) - eta
            return log_ratio - np.expm1(np.minimum(log_ratio, 700.0))
        return -0.5 * self.unit_deviance(y, link.inverse(eta))

    def rows(self, y: Array, eta: Array, weights: Array | None, link: Link, order: int) -> Rows:
        return rows_of_power(2.0, self.value(y, eta, link), y, eta, weights, link, order)

    def normalizer(self, y: Array, weights: Array, phi: float) -> Array:
        a, counts = per_weight(phi, weights)
        return counts * (0.5 * np.log(a / (2 * np.pi)) - remainder(a) - np.log(y))

    def dispersion_derivatives(
        self, y: Array, mu: Array, weights: Array, phi: float
    ) -> tuple[Array, Array]:
        a, counts = per_weight(phi, weights)
        first = 0.5 / a - remainder_slope(a) - 0.5 * self.unit_deviance(y, mu)  # in a
        second = -0.5 / a**2 - remainder_curvature(a)
        change = a / phi
        return -counts * change * first, counts * (2 * change / phi * first + change**2 * second)

    def aic(self, y: Array, mu: Array, weights: Array, dev: float, sizes: Array) -> float:
        phi = dev / np.sum(weights)
        one = np.ones_like(y)
        density = self.normalizer(y, one, phi) - self.unit_deviance(y, mu) / (2 * phi)
        return float(-2 * np.sum(weights * density) + 2)

    def initial_mu(self, y: Array, weights: Array) -> Array:
        return y

    def valid_mu(self, mu: Array) -> bool:
        return bool(np.all(np.isfinite(mu) & (mu > 0)))

    def refusal(self, y: Array) -> Refusal | None:
        wrong = ~(y > 0)
        text = "non-positive values not allowed for the 'Gamma' family"
        return (text, wrong) if wrong.any() else None

    def oddity(self, y: Array, weights: Array) -> str | None:
        return None

    def simulate(self, mu: Array, weights: Array, phi: float, rng: np.random.Generator) -> Array:
        a = weights / phi
        return rng.gamma(a) * np.divide(mu, a, out=np.full_like(mu, np.nan), where=a > 0)

    def cdf(self, y: Array, mu: Array, weights: Array, phi: float) -> Array:
        a = weights / phi
        return np.asarray(special.gammainc(a, a * np.maximum(y, 0) / mu))

    def cdf_below(self, y: Array, mu: Array, weights: Array, phi: float) -> Array:
        return self.cdf(y, mu, weights, phi)


@dataclass(frozen=True)
class InverseGaussian:
    """The inverse Gaussian distribution, with variance mu^3 phi / w."""

    name: str = "inverse.gaussian"
    links: tuple[str, ...] = ("1/mu^2", "inverse", "identity", "log")
    dispersion: float | None = None
    theta: float | None = None

    def variance(self, mu: Array, order: int) -> Array:
        return variance_of_power(3.0, mu, order)

    def unit_deviance(self, y: Array, mu: Array) -> Array:
        return (y / mu - 1) ** 2 / y

    def value(self, y: Array, eta: Array, link: Link) -> Array:
        return -0.5 * self.unit_deviance(y, link.inverse(eta))

    def rows(self, y: Array, eta: Array, weights: Array | None, link: Link, order: int) -> Rows:
        return rows_of_power(3.0, self.value(y, eta, link), y, eta, weights, link, order)

    def normalizer(self, y: Array, weights: Array, phi: float) -> Array:
        precision, counts = per_weight(phi, weights)
        return counts * (0.5 * np.log(precision / (2 * np.pi)) - 1.5 * np.log(y))

    def dispersion_derivatives(
        self, y: Array, mu: Array, weights: Array, phi: float
    ) -> tuple[Array, Array]:
        return _of_variance(self.unit_deviance(y, mu), weights, phi)

    def aic(self, y: Array, mu: Array, weights: Array, dev: float, sizes: Array) -> float:
        total = np.sum(weights)
        logs = np.sum(weights * np.log(y))
        return float(total * (np.log(2 * np.pi * dev / total) + 1) + 3 * logs + 2)

    def initial_mu(self, y: Array, weights: Array) -> Array:
        return y

    def valid_mu(self, mu: Array) -> bool:
        return True

    def refusal(self, y: Array) -> Refusal | None:
        wrong = ~(y > 0)
        text = "positive values only are allowed for the 'inverse.gaussian' family"
        return (text, wrong) if wrong.any() else None

    def oddity(self, y: Array, weights: Array) -> str | None:
        return None

    def simulate(self, mu: Array, weights: Array, phi: float, rng: np.random.Generator) -> Array:
        known = weights > 0
        drawn = rng.wald(mu, np.where(known, weights, 1.0) / phi)
        return np.where(known, drawn, np.nan)

    def cdf(self, y: Array, mu: Array, weights: Array, phi: float) -> Array:
        # Shuster 1968; the exponential and the normal tail that it multiplies, by their logarithms
        rate = weights / phi
        positive = np.where(y > 0, y, 1.0)
        root = np.sqrt(rate / positive)
        first = special.ndtr(root * (positive / mu - 1))
        second = np.exp(2 * rate / mu + special.log_ndtr(-root * (positive / mu + 1)))
        return np.where(y > 0, first + second, 0.0)

    def cdf_below(self, y: Array, mu: Array, weights: Array, phi: float) -> Array:
        return self.cdf(y, mu, weights, phi)
