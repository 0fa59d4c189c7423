"""Minimizing one function again and again as it changes a little: along a profile.

Newton's steps as in :mod:`lmerbridge.solve.optimum`, with a Hessian that is learned (BFGS; Nocedal
& Wright 2006, *Numerical Optimization*, section 6.1) in the place of one by differences, and kept
from each minimum to the next: a profile takes a quarter of the gradients so. There are no bounds
here, and no second optimum is looked for; a search ends by the same rule.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from lmerbridge.solve.settings import (
    CURVED,
    DECREASE,
    FARTHEST,
    HELD,
    LEARNED_ROOT,
    LEARNED_STEPS,
    NEARLY,
    ROUNDING,
    SHORTER,
    SHORTEST,
    WELL_WITHIN,
)
from lmerbridge.solve.steps import difference_hessian, spectrum

__all__ = ["QuasiNewton"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Function: TypeAlias = Callable[[Array], tuple[float, Array]]

ENOUGH = WELL_WITHIN * HELD.tolerance  # one more step promises less


class QuasiNewton:
    """Minimizes from where it was last, with the inverse Hessian that it has learned."""

    def __init__(self) -> None:
        self.inverse: Array | None = None

    def _learned(self, at: Function, x: Array) -> Array:
        H = difference_hessian(lambda y: at(y)[1], x, range(len(x)), HELD)
        vectors, sizes, _ = spectrum(H, LEARNED_ROOT)
        return np.asarray((vectors / sizes) @ vectors.T)

    def run(self, at: Function, start: Array) -> tuple[Array, float]:
        """The minimum (m,) that is reached from ``start``, and the value there.

        Parameters
        ----------
        at : callable
            Value and gradient at a point; the value is infinite where there is none.
        """
        x = start.copy()
        f, g = at(x)
        if not math.isfinite(f) or len(x) == 0:
            return x, f
        inverse = self._learned(at, x) if self.inverse is None else self.inverse
        renewed = False
        for _ in range(LEARNED_STEPS):
            self.inverse = inverse
            step = -inverse @ g
            slope = float(g @ step)  # twice what the step promises, below 0
            if slope > -2 * ENOUGH:
                if slope > 0 and not renewed:
                    renewed, inverse = True, self._learned(at, x)
                    continue
                return x, f
            biggest = float(np.max(np.abs(step) / (0.5 + np.abs(x))))
            length = FARTHEST / biggest if biggest > FARTHEST else 1.0
            for _ in range(SHORTEST):
                moved = x + length * step
                f_new, g_new = at(moved)
                if f_new <= f + DECREASE * length * slope + ROUNDING * abs(f):
                    break
                length *= SHORTER
            else:
                if renewed:
                    return x, f
                renewed, inverse = True, self._learned(at, x)
                continue
            s, y = moved - x, g_new - g
            sy = float(s @ y)
            if sy > CURVED * float(np.linalg.norm(s) * np.linalg.norm(y)):
                rho = 1 / sy
                A = np.eye(len(x)) - rho * np.outer(s, y)
                inverse = A @ inverse @ A.T + rho * np.outer(s, s)
            stalled = abs(f - f_new) < ROUNDING * abs(f) and length == 1.0
            x, f, g = moved, f_new, g_new
            if stalled and float(g @ inverse @ g) < NEARLY * ENOUGH:
                break
        self.inverse = inverse
        return x, f
