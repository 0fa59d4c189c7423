"""Minimization of the deviance over all parameters but one, which is held.

L is the Cholesky factor of each term's covariance matrix. Of an unstructured term its elements are
free, in such an order of the term's columns that the held parameter is a function of the first of
them; of any other the coordinates of :class:`lmerbridge.covariance.Structure` are, of which the
held parameter is one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from scipy import linalg

from lmerbridge.covariance import Structure, lower_triangle

__all__ = ["Held", "Search"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

DEVIANCE_TOLERANCE = 1e-10  # of the deviance: one more Newton step changes less
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


class Search:
    """Minimizes by BFGS from where it was last, with the Hessian that it has learned."""

    def __init__(self, held: Held):
        self.held = held
        self.inverse: Array | None = None

    def function(self, c: Any, value: float) -> Callable[[Array], tuple[float, Array]]:
        from lmerbridge.likelihood import unprofiled

        def at(free: Array) -> tuple[float, Array]:
            if not abs(free[-1]) < 50 and self.held.kind != "sigma":
                return math.inf, np.zeros_like(free)
            own, sigma = self.held.unpack(free, value)
            L, slope = self.held.expand(own)
            theta = L / sigma
            found = unprofiled(c, theta, sigma, False)
            if found is None or not math.isfinite(found[0]):
                return math.inf, np.zeros_like(free)
            over_theta, over_sigma = found[1][:-1], float(found[1][-1])
            over_log_sigma = over_sigma * sigma - float(over_theta @ theta)
            over_own = over_theta / sigma
            if slope is not None:
                over_own = slope.T @ over_own
            return found[0], self.held.gradient(over_own, over_log_sigma, value, own)

        return at

    def learn(self, at: Callable[[Array], tuple[float, Array]], free: Array) -> None:
        """The Hessian by differences of the gradient."""
        m = len(free)
        H = np.empty((m, m))
        for i in range(m):
            step = 1e-4 * max(1.0, abs(free[i]))
            ahead, behind = free.copy(), free.copy()
            ahead[i] += step
            behind[i] -= step
            H[i] = (at(ahead)[1] - at(behind)[1]) / (2 * step)
        values, vectors = np.linalg.eigh(0.5 * (H + H.T))
        values = np.maximum(np.abs(values), 1e-6 * max(np.abs(values).max(initial=0.0), 1e-12))
        self.inverse = (vectors / values) @ vectors.T

    def run(self, at: Callable[[Array], tuple[float, Array]], free: Array) -> tuple[Array, float]:
        x = free.copy()
        f, g = at(x)
        if not math.isfinite(f):
            return x, f
        if len(x) == 0:
            return x, f
        if self.inverse is None:
            self.learn(at, x)
        assert self.inverse is not None
        renewed = False
        for _ in range(200):
            step = -self.inverse @ g
            slope = float(g @ step)
            if slope > -2 * DEVIANCE_TOLERANCE:
                if slope > 0 and not renewed:
                    renewed = True
                    self.learn(at, x)
                    continue
                return x, f
            length = 1.0
            biggest = float(np.max(np.abs(step) / (0.5 + np.abs(x))))
            if biggest > 1:
                length = 1 / biggest
            for _ in range(25):
                moved = x + length * step
                f_new, g_new = at(moved)
                if f_new <= f + 1e-4 * length * slope + 1e-13 * abs(f):
                    break
                length *= 0.3
            else:
                if renewed:
                    return x, f
                renewed = True
                self.learn(at, x)
                continue
            s, y = moved - x, g_new - g
            sy = float(s @ y)
            if sy > 1e-12 * float(np.linalg.norm(s) * np.linalg.norm(y)):
                rho = 1 / sy
                A = np.eye(len(x)) - rho * np.outer(s, y)
                self.inverse = A @ self.inverse @ A.T + rho * np.outer(s, s)
            stalled = abs(f - f_new) < 1e-13 * abs(f) and length == 1.0
            x, f, g = moved, f_new, g_new
            if stalled and float(-g @ (-self.inverse @ g)) < 100 * DEVIANCE_TOLERANCE:
                return x, f
        return x, f
