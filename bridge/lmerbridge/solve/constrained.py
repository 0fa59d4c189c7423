"""The deviance over all parameters but one, which is held.

L is the Cholesky factor of each term's covariance matrix. Of an unstructured term its elements are
free, in such an order of the term's columns that the held parameter is a function of the first of
them; of any other the coordinates of :class:`lmerbridge.covariance.Structure` are, of which the
held parameter is one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from scipy import linalg

from lmerbridge.covariance import Structure, lower_triangle

if TYPE_CHECKING:
    from lmerbridge.likelihood import CrossProducts

__all__ = ["Held", "deviance_with"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

MAX_ELEMENT = 1e150  # an element of L at which the deviance is not finite


@dataclass(frozen=True)
class Held:
    """How the free numbers make the L of all terms and sigma, and which are held at ``value``.

    The free numbers are each term's own (elements of L, or coordinates), without the held ones, and
    log sigma.

    Attributes
    ----------
    sizes : tuple of int
        Columns of the terms.
    kind : str
        ``"sd"``, ``"cor"``, ``"cov"``, ``"sigma"`` or ``"none"``; ``"coordinate"`` for the number
        at ``start`` itself.
    start : int
        Of the term's numbers, or of the number, among all.
    structures : tuple of Structure
    """

    sizes: tuple[int, ...]
    kind: str
    start: int
    structures: tuple[Structure, ...]

    def expand(self, own: Array) -> tuple[Array, Array | None]:
        """L, in theta's order, of all terms' own numbers, and its derivatives over these; ``None``
        where the two are the same.
        """
        if all(s.plain for s in self.structures):
            return own, None
        parts, slopes, start = [], [], 0
        for structure, k in zip(self.structures, self.sizes, strict=True):
            mine = own[start : start + structure.count(k)]
            start += len(mine)
            if structure.plain:
                parts.append(mine)
                slopes.append(np.eye(len(mine)))
                continue
            L, derivatives = structure.at(mine, k)
            place = lower_triangle(k)
            parts.append(L[place])
            slopes.append(derivatives[:, *place].T)
        return np.concatenate(parts), np.asarray(linalg.block_diag(*slopes), dtype=np.float64)

    def unpack(self, free: Array, value: float) -> tuple[Array, float]:
        """L (m,) and sigma."""
        if self.kind == "none":
            return free[:-1], math.exp(free[-1])
        if self.kind == "sigma":
            return free, value
        i = self.start
        if self.kind in ("sd", "coordinate"):  # L_11 is the standard deviation
            return np.concatenate([free[:i], [value], free[i:-1]]), math.exp(free[-1])
        if self.kind == "cov":  # L_21 follows from L_11, which is free: their product is held
            L = np.insert(free[:-1], i + 1, 0.0)
            L[i + 1] = (
                value / L[i] if L[i] != 0 else math.copysign(MAX_ELEMENT, value) * (value != 0)
            )
            return L, math.exp(free[-1])
        # L_22 follows from L_21 = s rho, s free: in theta's order L_11, L_21, ..., then L_22
        k = self._size()
        L = np.insert(free[:-1], i + k, 0.0)
        s = L[i + 1]
        L[i + 1], L[i + k] = s * value, s * math.sqrt(max(0.0, 1 - value**2))
        return L, math.exp(free[-1])

    def _size(self) -> int:
        start = 0
        for structure, k in zip(self.structures, self.sizes, strict=True):
            if start == self.start:
                return k
            start += structure.count(k)
        raise AssertionError

    def pack(self, L: Array, sigma: float) -> Array:
        if self.kind == "sigma":
            return L.copy()
        i = self.start
        end = [math.log(sigma)]
        if self.kind == "none":
            return np.concatenate([L, end])
        if self.kind in ("sd", "coordinate"):
            return np.concatenate([L[:i], L[i + 1 :], end])
        if self.kind == "cov":
            return np.concatenate([np.delete(L, i + 1), end])
        k = self._size()
        moved = L.copy()
        moved[i + 1] = math.hypot(L[i + 1], L[i + k])
        return np.concatenate([np.delete(moved, i + k), end])

    def gradient(self, over_L: Array, over_log_sigma: float, value: float, L: Array) -> Array:
        if self.kind == "sigma":
            return over_L
        i = self.start
        end = [over_log_sigma]
        if self.kind == "none":
            return np.concatenate([over_L, end])
        if self.kind in ("sd", "coordinate"):
            return np.concatenate([over_L[:i], over_L[i + 1 :], end])
        if self.kind == "cov":
            moved = np.delete(over_L, i + 1)
            if L[i] != 0:
                moved[i] -= over_L[i + 1] * L[i + 1] / L[i]
            return np.concatenate([moved, end])
        k = self._size()
        moved = over_L.copy()
        moved[i + 1] = over_L[i + 1] * value + over_L[i + k] * math.sqrt(max(0.0, 1 - value**2))
        return np.concatenate([np.delete(moved, i + k), end])


def deviance_with(
    held: Held, c: CrossProducts, value: float
) -> Callable[[Array], tuple[float, Array]]:
    """The deviance over the free numbers, and its gradient; infinite where there is none."""
    from lmerbridge.likelihood import unprofiled

    def at(free: Array) -> tuple[float, Array]:
        if not abs(free[-1]) < 50 and held.kind != "sigma":
            return math.inf, np.zeros_like(free)
        own, sigma = held.unpack(free, value)
        L, slope = held.expand(own)
        theta = L / sigma
        found = unprofiled(c, theta, sigma, False)
        if found is None or not math.isfinite(found[0]):
            return math.inf, np.zeros_like(free)
        over_theta, over_sigma = found[1][:-1], float(found[1][-1])
        over_log_sigma = over_sigma * sigma - float(over_theta @ theta)
        over_own = over_theta / sigma
        if slope is not None:
            over_own = slope.T @ over_own
        return found[0], held.gradient(over_own, over_log_sigma, value, own)

    return at
