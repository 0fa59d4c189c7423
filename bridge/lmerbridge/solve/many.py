"""Many criteria minimized at once: the steps of :mod:`lmerbridge.solve.optimum`, each for all
that are not done yet.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from lmerbridge.equality import by_value
from lmerbridge.solve.optimum import HEIGHTS, SAME_HESSIAN, SMALL
from lmerbridge.solve.settings import Settings

__all__ = ["Optima", "minimize_many"]

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
# (which, x, with information) -> values, gradients, informations
Derivatives: TypeAlias = Callable[[Array, Array, bool], tuple[Array, Array, Array]]


@by_value
@dataclass(frozen=True, eq=False)
class Optima:
    """Where the searches ended: x (B, m), value (B,), certified (B,)."""

    x: Array
    value: Array
    certified: Array


def _some(at: Derivatives, those: Array) -> Derivatives:
    """The criteria ``those`` alone."""
    return lambda which, x, information: at(those[which], x, information)


def _solved(H: Array, g: Array, free: Array) -> Array:
    """-H^-1 g over the free parameters of each."""
    masked = np.where(free[:, :, None] & free[:, None, :], H, 0.0)
    index = np.arange(g.shape[1])
    masked[:, index, index] = np.where(free, masked[:, index, index], 1.0)
    right = np.where(free, -g, 0.0)
    return np.asarray(np.linalg.solve(masked, right[:, :, None])[:, :, 0])


def _scoring(at: Derivatives, x: Array, diagonal: Array, s: Settings) -> Array:
    """Damped Fisher scoring of all, until Newton's own steps are the better ones."""
    x = x.copy()
    damping = np.zeros(len(x))
    value, gradient, matrix = at(np.arange(len(x)), x, True)
    index = np.arange(x.shape[1])
    active = np.flatnonzero(np.isfinite(value))
    for _ in range(40):
        if not len(active):
            break
        X, g, H = x[active], gradient[active], matrix[active].copy()
        free = ~(diagonal & (s.floor >= X) & (g >= 0))
        scale = H[:, index, index]
        scale = np.maximum(scale, 1e-8 * np.maximum(scale.max(axis=1), 1e-300)[:, None])
        H[:, index, index] += (damping[active] + 1e-9)[:, None] * scale
        step = _solved(H, g, free)
        expected = -0.5 * np.einsum("bm,bm->b", g, step)
        done = ~free.any(axis=1) | ((damping[active] <= 1e-3) & (expected < SAME_HESSIAN))
        step = np.clip(step, -1 - 2 * np.abs(X), 1 + 2 * np.abs(X))
        low = np.where(X < 0.01, s.floor, 0.1 * X)
        trial = np.where(diagonal, np.maximum(X + step, low), X + step)
        going = active[~done]
        if not len(going):
            break
        found, g, H = at(going, trial[~done], True)
        better = found < value[going]
        won = going[better]
        x[won], value[won] = trial[~done][better], found[better]
        gradient[won], matrix[won] = g[better], H[better]
        damping[won] = np.where(damping[won] > 1e-4, 0.1 * damping[won], 0.0)
        lost = going[~better]
        damping[lost] = np.maximum(10 * damping[lost], 0.1)
        active = going[damping[going] < 1e6]
    return x


def _to_floor(at: Derivatives, x: Array, value: Array, diagonal: Array, s: Settings) -> None:
    for i in np.flatnonzero(diagonal):
        which = np.flatnonzero((x[:, i] < SMALL) & (x[:, i] > s.floor))
        if len(which):
            moved = x[which].copy()
            moved[:, i] = s.floor
            found, _, _ = at(which, moved, False)
            noise = np.where(x[which, i] <= s.at_floor, s.tolerance, 0.1 * s.tolerance)
            take = found <= value[which] + noise
            x[which[take]], value[which[take]] = moved[take], found[take]


def _hessian(at: Derivatives, which: Array, x: Array, g: Array, s: Settings) -> Array:
    m = x.shape[1]
    H = np.empty((len(x), m, m))
    for i in range(m):
        ahead = x.copy()
        ahead[:, i] += s.hessian_step * np.maximum(1.0, np.abs(x[:, i]))
        H[:, :, i] = (at(which, ahead, False)[1] - g) / (ahead[:, i] - x[:, i])[:, None]
    return 0.5 * (H + np.swapaxes(H, 1, 2))


def _newton(at: Derivatives, x: Array, diagonal: Array, s: Settings) -> tuple[Array, Array, Array]:
    """Newton's steps for all; x, values, and whether each is certified but for the floor."""
    x = x.copy()
    everyone = np.arange(len(x))
    value, gradient, _ = at(everyone, x, False)
    good = np.zeros(len(x), dtype=bool)
    active = np.flatnonzero(np.isfinite(value))
    for _ in range(4):
        if not len(active):
            break
        X, own = x[active], value[active]
        before = X.copy()
        _to_floor(_some(at, active), X, own, diagonal, s)
        x[active], value[active] = X, own
        changed = (before != X).any(axis=1)
        if changed.any():
            gradient[active[changed]] = at(active[changed], X[changed], False)[1]
        free = ~(diagonal & (s.at_floor >= X))
        H = _hessian(at, active, X, gradient[active], s)
        finite = np.isfinite(H).all(axis=(1, 2))
        active, X, H, free = active[finite], X[finite], H[finite], free[finite]
        H = np.where(free[:, :, None] & free[:, None, :], H, 0.0)
        roots, vectors = np.linalg.eigh(H)
        size = np.abs(roots).max(axis=1)
        size = np.where(size > 0, size, 1.0)
        convex = roots.min(axis=1) > -1e-3 * size
        safe = np.maximum(np.abs(roots), 1e-10 * size[:, None])
        left = np.arange(len(active))
        for _ in range(4):  # as long as the Hessian holds
            which = active[left]
            g = np.where(free[left], gradient[which], 0.0)
            along = np.einsum("bij,bi->bj", vectors[left], g) / safe[left]
            decrement = 0.5 * np.sum(along**2 * safe[left], axis=1)
            good[which] = convex[left] & (decrement < s.tolerance)
            going = decrement >= 1e-2 * s.tolerance
            left, which = left[going], which[going]
            if not len(left):
                break
            trial = x[which] - np.einsum("bij,bj->bi", vectors[left], along[going])
            trial = np.where(diagonal, np.maximum(trial, s.floor), trial)
            found, slope, _ = at(which, trial, False)
            better = found < value[which]
            won = which[better]
            x[won], value[won], gradient[won] = trial[better], found[better], slope[better]
            left = left[better]
        active = active[~good[active]]
    return x, value, good


def _off_floor_helps(
    at: Derivatives, x: Array, value: Array, diagonal: Array, s: Settings
) -> Array:
    helps = np.zeros(len(x), dtype=bool)
    for i in np.flatnonzero(diagonal):
        which = np.flatnonzero(x[:, i] <= s.at_floor)
        for height in HEIGHTS if len(which) else ():
            moved = x[which].copy()
            moved[:, i] = height
            helps[which] |= at(which, moved, False)[0] < value[which] - s.tolerance
    return helps


def minimize_many(at: Derivatives, starts: list[Array], diagonal: Array, s: Settings) -> Optima:
    """The minima of B criteria over theta.

    Parameters
    ----------
    at : callable
        Values, gradients and average informations of some of the criteria at thetas.
    starts : list of array (B, m)
        The first for all; the others for those that end at the floor or are not certified.
    """
    x = np.where(diagonal, np.maximum(starts[0], s.floor), starts[0])
    x, value, good = _newton(at, _scoring(at, x, diagonal, s), diagonal, s)
    good &= ~_off_floor_helps(at, x, value, diagonal, s)
    again = np.flatnonzero(~good | (diagonal & (x <= s.at_floor)).any(axis=1))
    for start in starts[1:]:
        if not len(again):
            break

        def own(which: Array, y: Array, information: bool) -> tuple[Array, Array, Array]:
            return at(again[which], y, information)

        y = _scoring(own, start[again], diagonal, s)
        y, found, well = _newton(own, y, diagonal, s)
        well &= ~_off_floor_helps(own, y, found, diagonal, s)
        better = (found < value[again] - 1e-9) | (
            well & ~good[again] & (found < value[again] + s.tolerance)
        )
        which = again[better]
        x[which], value[which], good[which] = y[better], found[better], well[better]
    return Optima(x, value, good)
