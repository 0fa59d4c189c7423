"""What a distribution must say of itself to be the family of a model."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

import numpy as np

from lmerbridge.family.links import Array, Link
from lmerbridge.family.rows import Rows

__all__ = ["Distribution", "Refusal", "per_weight"]

# what R says of a response, and the rows it is said of
Refusal: TypeAlias = tuple[str, np.ndarray[Any, np.dtype[np.bool_]]]


class Distribution(Protocol):
    """An exponential dispersion family: V(mu) and all that follows; :class:`Family` says of what.

    Arrays are (n,): y the response, mu its means, eta linear predictors, weights the prior weights.
    """

    @property
    def name(self) -> str: ...

    @property
    def links(self) -> tuple[str, ...]: ...

    @property
    def dispersion(self) -> float | None: ...

    @property
    def theta(self) -> float | None: ...

    def variance(self, mu: Array, order: int) -> Array: ...

    def unit_deviance(self, y: Array, mu: Array) -> Array: ...

    def value(self, y: Array, eta: Array, link: Link) -> Array: ...

    def rows(self, y: Array, eta: Array, weights: Array | None, link: Link, order: int) -> Rows: ...

    def normalizer(self, y: Array, weights: Array, phi: float) -> Array: ...

    def dispersion_derivatives(
        self, y: Array, mu: Array, weights: Array, phi: float
    ) -> tuple[Array, Array]: ...

    def aic(self, y: Array, mu: Array, weights: Array, dev: float, sizes: Array) -> float: ...

    def initial_mu(self, y: Array, weights: Array) -> Array: ...

    def valid_mu(self, mu: Array) -> bool: ...

    def refusal(self, y: Array) -> Refusal | None: ...

    def oddity(self, y: Array, weights: Array) -> str | None: ...

    def simulate(
        self, mu: Array, weights: Array, phi: float, rng: np.random.Generator
    ) -> Array: ...

    def cdf(self, y: Array, mu: Array, weights: Array, phi: float) -> Array: ...

    def cdf_below(self, y: Array, mu: Array, weights: Array, phi: float) -> Array: ...


def per_weight(phi: float, weights: Array) -> tuple[Array, Array]:
    """Return weights / phi, with 1 where the weight is 0, and 1 or 0 for rows that count or not.

    A row of weight 0 is no observation: it has no part in a likelihood.
    """
    counts = weights > 0
    return np.where(counts, weights / phi, 1.0), counts.astype(float)
