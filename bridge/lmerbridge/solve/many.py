"""Many criteria minimized at once: the search of :mod:`lmerbridge.solve.optimum`, each step made
for all that are not done yet.

The steps and what decides between them are the same (:mod:`lmerbridge.solve.steps` and
:mod:`lmerbridge.solve.settings`), and so are the starts and their order: from one start the same
points are visited, up to rounding. What is not certified here is for that search alone, which has
further optimizers; so is a search whose way rounding would decide.

A single fit is no batch of one: choosing those that are not done, in each step, costs some three
milliseconds, and the whole fit of a small model takes one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from lmerbridge.equality import by_value
from lmerbridge.solve.settings import (
    DAMPING_FIRST,
    DAMPING_LEAST,
    DAMPING_LOW,
    DAMPING_MOST,
    DETERMINED,
    FRACTIONS,
    HEIGHTS,
    NEWTON_STEPS,
    SAME_HESSIAN,
    SCORING_STEPS,
    STALLED,
    WELL_WITHIN,
    Settings,
)
from lmerbridge.solve.steps import (
    above_floor,
    attempts_enough,
    damped_step,
    difference_step,
    free_of_floor,
    free_of_scoring,
    improves,
    noise_at_floor,
    scoring_trial,
    spectrum,
    to_be_lowered,
    usual_starts,
)

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


def _damped_steps(H: Array, g: Array, free: Array, damping: Array) -> Array:
    """The steps of all; NaN where one cannot be solved for."""
    try:
        return damped_step(H, g, free, damping[:, None])
    except np.linalg.LinAlgError:
        if len(H) == 1:
            return np.full_like(g, np.nan)
        single = (slice(i, i + 1) for i in range(len(H)))
        return np.concatenate([_damped_steps(H[i], g[i], free[i], damping[i]) for i in single])


def _scoring(at: Derivatives, x: Array, diagonal: Array, s: Settings) -> Array:
    """Damped Fisher scoring of all, until Newton's own steps are the better ones."""
    x = x.copy()
    damping = np.zeros(len(x))
    value, gradient, matrix = at(np.arange(len(x)), x, True)
    active = np.flatnonzero(np.isfinite(value))
    for _ in range(SCORING_STEPS):
        if not len(active):
            break
        X, g = x[active], gradient[active]
        free = free_of_scoring(X, g, diagonal, s.floor)
        step = _damped_steps(matrix[active], g, free, damping[active])
        expected = -0.5 * np.einsum("bm,bm->b", g, step)
        near = (damping[active] <= DAMPING_LOW) & (expected < SAME_HESSIAN)
        going = free.any(axis=1) & ~near & np.isfinite(step).all(axis=1)
        active = active[going]
        if not len(active):
            break
        trial = scoring_trial(X[going], step[going], diagonal, s.floor)
        found, g, H = at(active, trial, True)
        lower = found < value[active]
        won, lost = active[lower], active[~lower]
        more = np.empty(len(active), dtype=bool)
        more[lower] = value[won] - found[lower] >= STALLED * np.abs(value[won])
        more[~lower] = damping[lost] <= DAMPING_MOST
        x[won], value[won] = trial[lower], found[lower]
        gradient[won], matrix[won] = g[lower], H[lower]
        damping[won] = np.where(damping[won] > DAMPING_LEAST, 0.1 * damping[won], 0.0)
        damping[lost] = np.maximum(10 * damping[lost], DAMPING_FIRST)
        active = active[more]
    return x


@dataclass(eq=False)
class _Points:
    """Where Newton's steps are: x (B, m), value (B,), gradient (B, m); changed in place."""

    x: Array
    value: Array
    gradient: Array

    def take(self, which: Array, x: Array, value: Array, gradient: Array) -> None:
        self.x[which], self.value[which], self.gradient[which] = x, value, gradient


def _to_floor(
    at: Derivatives, active: Array, points: _Points, diagonal: Array, s: Settings
) -> None:
    """Put small diagonal parameters onto the floor where that costs nothing."""
    small = to_be_lowered(points.x[active], diagonal, s)
    for i in np.flatnonzero(small.any(axis=0)):
        which = active[small[:, i]]
        moved = points.x[which]
        noise = noise_at_floor(moved[:, i], s)
        moved[:, i] = s.floor
        found, slope, _ = at(which, moved, False)
        take = found <= points.value[which] + noise
        points.take(which[take], moved[take], found[take], slope[take])


def _hessian(at: Derivatives, which: Array, points: _Points, free: Array, s: Settings) -> Array:
    """Of the free parameters of each, by differences of the gradient; 0 for the others."""
    x, here = points.x[which], points.gradient[which]
    H = np.zeros((*x.shape, x.shape[1]))
    for i in np.flatnonzero(free.any(axis=0)):
        step = difference_step(x[:, i], s)
        ahead, behind = x.copy(), x.copy()
        ahead[:, i] += step
        if s.central:
            behind[:, i] -= step
            here = at(which, behind, False)[1]
        change = at(which, ahead, False)[1] - here
        H[:, :, i] = change / (ahead[:, i] - behind[:, i])[:, None]
    H = np.where(free[:, :, None] & free[:, None, :], H, 0.0)
    return 0.5 * (H + np.swapaxes(H, 1, 2))


def _newton(
    at: Derivatives, x: Array, diagonal: Array, s: Settings
) -> tuple[Array, Array, Array, Array]:
    """Newton's steps for all; x, values, the last decrements, and which Hessians are convex."""
    count, m = x.shape
    value, gradient, _ = at(np.arange(count), x, False)
    points = _Points(x.copy(), value.copy(), gradient.copy())
    x, value = points.x, points.value
    decrement, convex = np.full(count, np.inf), np.zeros(count, dtype=bool)
    vectors, sizes = np.empty((count, m, m)), np.ones((count, m))
    near = np.zeros(count, dtype=bool)  # whose Hessian still holds,
    held = np.zeros((count, m), dtype=bool)  # for these free parameters
    active = np.flatnonzero(np.isfinite(value))
    for _ in range(NEWTON_STEPS):
        _to_floor(at, active, points, diagonal, s)
        free = free_of_floor(x[active], diagonal, s)
        some = free.any(axis=1)
        decrement[active[~some]], convex[active[~some]] = 0.0, True
        active, free = active[some], free[some]
        new = ~(near[active] & (held[active] == free).all(axis=1))
        H = _hessian(at, active[new], points, free[new], s)
        finite = np.isfinite(H).all(axis=(1, 2))
        which = active[new]
        decrement[which[~finite]], convex[which[~finite]] = np.inf, False
        which = which[finite]
        vectors[which], sizes[which], convex[which] = spectrum(H[finite])
        keep = ~new
        keep[new] = finite
        active, free = active[keep], free[keep]
        along = np.einsum("bij,bi->bj", vectors[active], np.where(free, points.gradient[active], 0))
        decrement[active] = 0.5 * np.sum(along**2 / sizes[active], axis=1)
        going = ~(decrement[active] < WELL_WITHIN * s.tolerance)
        active, free, along = active[going], free[going], along[going]
        if not len(active):
            break
        step = -np.einsum("bij,bj->bi", vectors[active], along / sizes[active])
        step = np.where(free, step, 0.0)
        near[active] = False
        moved = np.zeros(len(active), dtype=bool)
        left = np.arange(len(active))
        for fraction in FRACTIONS:
            which = active[left]
            trial = above_floor(x[which] + fraction * step[left], diagonal, s.floor)
            found, slope, _ = at(which, trial, False)
            lower = found < value[which]
            won = which[lower]
            points.take(won, trial[lower], found[lower], slope[lower])
            if fraction == 1.0:
                near[won], held[won] = decrement[won] < SAME_HESSIAN, free[lower]
            moved[left[lower]] = True
            left = left[~lower]
            if not len(left):
                break
        active = active[moved]
    return x, value, decrement, convex


def _off_floor_helps(
    at: Derivatives, x: Array, value: Array, diagonal: Array, s: Settings
) -> Array:
    """Whose criterion falls when a parameter at the floor moves up."""
    helps = np.zeros(len(x), dtype=bool)
    at_floor = ~free_of_floor(x, diagonal, s)
    for i in np.flatnonzero(at_floor.any(axis=0)):
        for height in HEIGHTS:
            which = np.flatnonzero(at_floor[:, i] & ~helps)
            if len(which):
                moved = x[which].copy()
                moved[:, i] = height
                helps[which] = at(which, moved, False)[0] < value[which] - s.tolerance
    return helps


def _attempt(at: Derivatives, x: Array, diagonal: Array, s: Settings) -> tuple[Array, Array, Array]:
    """From one start each: where they end, the values, and which are certified."""
    x, value, decrement, convex = _newton(at, _scoring(at, x, diagonal, s), diagonal, s)
    certified = np.isfinite(value) & (decrement < s.tolerance) & convex
    which = np.flatnonzero(certified)
    helps = _off_floor_helps(_some(at, which), x[which], value[which], diagonal, s)
    certified[which] = ~helps
    return x, value, certified


def _determined(at: Derivatives, x: Array) -> Array:
    """Which searches from ``x`` do not depend on rounding."""
    found = np.zeros(len(x), dtype=bool)
    _, _, H = at(np.arange(len(x)), x, True)
    sizes = np.sqrt(np.abs(np.diagonal(H, axis1=1, axis2=2)))
    H = H / np.where(sizes > 0, sizes, 1.0)[:, :, None]
    H = H / np.where(sizes > 0, sizes, 1.0)[:, None, :]
    finite = np.isfinite(H).all(axis=(1, 2))
    found[finite] = np.linalg.eigvalsh(H[finite]).min(axis=1) > DETERMINED
    return found


def minimize_many(
    at: Derivatives,
    given: Array,
    diagonal: Array,
    s: Settings,
    further: tuple[Array, ...] = (),
) -> Optima:
    """The minima of B criteria over theta.

    Parameters
    ----------
    at : callable
        Values, gradients and average informations of some of the criteria at thetas.
    given : array (B, m)
        Tried before the usual starts; NaN where there is none.
    diagonal : array of bool (m,)
        Which parameters are on the diagonal, and so bounded below.
    s : Settings
    further : tuple of array (m,)
        Starts that are tried as well, whatever the first ends at.
    """
    own = above_floor(given, diagonal, s.floor)
    others = usual_starts(diagonal)
    others[1:1] = further
    usual = (np.broadcast_to(start, own.shape) for start in others)
    starts = np.stack([own, *usual], axis=1)
    first = np.where(np.isfinite(given).all(axis=1), 0, 1)
    x, value = starts[np.arange(len(given)), first], np.full(len(given), np.inf)
    certified, done = np.zeros(len(given), dtype=bool), ~_determined(at, x)
    for count in range(starts.shape[1]):
        which = np.flatnonzero(~done & (first + count < starts.shape[1]))
        if not len(which):
            break
        y, found, good = _attempt(
            _some(at, which), starts[which, first[which] + count], diagonal, s
        )
        better = improves(found, good, value[which], certified[which], s)
        take = which[better]
        x[take], value[take], certified[take] = y[better], found[better], good[better]
        at_floor = np.any(~free_of_floor(x[which], diagonal, s), axis=1)
        done[which] = certified[which] & (count + 1 >= attempts_enough(at_floor, len(further)))
    return Optima(x, value, certified)
