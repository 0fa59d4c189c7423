"""The steps of a search, each written once: for a point x (m,), and for many (B, m).

Arrays have the parameters on their last axis (a matrix: on its last two) and any number of axes in
front; ``diagonal`` (m,) says which parameters are bounded below, by ``floor``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from lmerbridge.solve.settings import (
    BETTER,
    CURVED,
    LEARNED_CHANGES,
    LEAST_PART,
    LEAST_SHRINK,
    LIFTED,
    MOST_PART,
    NOT_CONVEX,
    SMALL,
    SMALLEST_ROOT,
    STARTS,
    Settings,
)

__all__ = [
    "above_floor",
    "attempts_enough",
    "damped_step",
    "difference_hessian",
    "difference_step",
    "floor_as_zero",
    "free_of_floor",
    "free_of_scoring",
    "improves",
    "learned",
    "lifted",
    "noise_at_floor",
    "scoring_trial",
    "shorter",
    "spectrum",
    "to_be_lowered",
    "usual_starts",
]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Flags: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]


# -- starts


def lifted(start: Array, diagonal: Flags) -> Array:
    """A start from another fit, off the floor."""
    return np.where(diagonal, np.maximum(start, LIFTED), start)


def usual_starts(diagonal: Flags) -> list[Array]:
    """Where every search may start (m,), the usual place first."""
    return [np.where(diagonal, height, 0.0) for height in STARTS]


def attempts_enough(at_floor: Any, further: int) -> Any:
    """How many attempts a certified optimum needs: one, or, if it is at the floor, as many as there
    are usual starts; and those from starts of the model's own.
    """
    return 1 + further + (len(STARTS) - 1) * at_floor


def improves(found: Any, certified: Any, best: Any, best_certified: Any, s: Settings) -> Any:
    """Whether an optimum takes the place of the best one so far: it is lower, or as low, and
    certified where that one is not.
    """
    return (found < best - BETTER) | ((certified > best_certified) & (found < best + s.tolerance))


# -- scoring


def free_of_scoring(x: Array, gradient: Array, diagonal: Flags, floor: float) -> Flags:
    """Parameters that may move: not those that would be pushed through the floor."""
    return ~(diagonal & (x <= floor) & (gradient >= 0))


def damped_step(matrix: Array, gradient: Array, free: Flags, damping: Any) -> Array:
    """-(H + damping diag H)^-1 g over the free parameters, 0 for the others.

    Parameters
    ----------
    matrix : array (..., m, m)
        An approximation of the Hessian that is not negative.
    damping : float or array (..., 1)

    Raises
    ------
    numpy.linalg.LinAlgError
    """
    if free.all():
        H = matrix.copy()
    else:
        H = np.where(free[..., :, None] & free[..., None, :], matrix, 0.0)
        gradient = np.where(free, gradient, 0.0)
    index = np.arange(gradient.shape[-1])
    scale = H[..., index, index]
    largest = scale.max(axis=-1, keepdims=True)
    scale = np.maximum(scale, 1e-8 * np.maximum(largest, 1e-300))
    H[..., index, index] += (damping + 1e-9) * scale
    step: Array = np.asarray(np.linalg.solve(H, gradient[..., None]), dtype=np.float64)
    return -step[..., 0]


def learned(matrix: Array, changes: Sequence[tuple[Array, Array]]) -> Array:
    """An approximation of the Hessian (m, m) with what changes of the gradient along steps say of
    it, the last ones last (BFGS; Nocedal & Wright 2006, *Numerical Optimization*, (6.19)).
    """
    for step, change in changes[-LEARNED_CHANGES:]:
        along = float(step @ change)
        moved = matrix @ step
        if along > CURVED * float(np.linalg.norm(step) * np.linalg.norm(change)):
            matrix = (
                matrix
                - np.outer(moved, moved) / float(step @ moved)
                + np.outer(change, change) / along
            )
    return matrix


def scoring_trial(
    x: Array, step: Array, diagonal: Flags, floor: float, shrinks: float = LEAST_SHRINK
) -> Array:
    """Where a step leads: not far beyond the size of x, and not at once onto the floor, but to no
    less than ``shrinks`` times a diagonal parameter.

    The criterion is even in a diagonal parameter: 0 is approached, not jumped to.
    """
    most = 1 + 2 * np.abs(x)
    trial = x + np.minimum(np.maximum(step, -most), most)
    low = np.where(x < 0.01, floor, shrinks * x)
    return np.asarray(np.where(diagonal, np.maximum(trial, low), trial))


def shorter(
    x: Array, trial: Array, rise: float, gradient: Array, diagonal: Flags
) -> tuple[Array, float]:
    """Where to try after a step that raised the criterion, and what part of the way this is: the
    minimum of the parabola through both values with the slope at its beginning. Diagonal
    parameters shrink by factors, since the criterion is steep where they are small.
    """
    shrinks = diagonal & (trial < x) & (trial > 0)
    with np.errstate(all="ignore"):
        rates = np.where(shrinks, np.log(trial / x), 0.0)
    slope = float(gradient @ np.where(shrinks, x * rates, trial - x))
    curved = rise - slope
    part = -0.5 * slope / curved if np.isfinite(rise) and curved > 0 else 0.0
    part = min(max(part, LEAST_PART), MOST_PART)
    return np.where(shrinks, x * np.exp(part * rates), x + part * (trial - x)), part


# -- Newton


def above_floor(x: Array, diagonal: Flags, floor: float) -> Array:
    """The point, its diagonal parameters not below the floor."""
    return np.where(diagonal, np.maximum(x, floor), x)


def free_of_floor(x: Array, diagonal: Flags, s: Settings) -> Flags:
    """Parameters that do not count as being at the floor."""
    return ~(diagonal & (x <= s.at_floor))


def floor_as_zero(x: Array, diagonal: Flags, s: Settings) -> Array:
    """The point that is reported: what counts as being at the floor is 0."""
    return np.where(free_of_floor(x, diagonal, s), x, 0.0)


def to_be_lowered(x: Array, diagonal: Flags, s: Settings) -> Flags:
    """Parameters so small that the floor is tried in their place."""
    return diagonal & (x < SMALL) & (x > s.floor)


def noise_at_floor(x: Any, s: Settings) -> Any:
    """By how much more of the criterion a parameter at x is put onto the floor all the same."""
    return (0.1 + 0.9 * (x <= s.at_floor)) * s.tolerance


def difference_step(x: Any, s: Settings) -> Any:
    """The step of the gradient's differences at x."""
    return s.hessian_step * np.maximum(1.0, np.abs(x))


def difference_hessian(
    gradient: Callable[[Array], Array], x: Array, which: Sequence[int], s: Settings
) -> Array:
    """The Hessian of one criterion over some of its parameters, by differences of the gradient."""
    matrix = np.empty((len(which), len(which)))
    before = x if s.central else gradient(x)
    for column, i in enumerate(which):
        step = difference_step(x[i], s)
        ahead, behind = x.copy(), x.copy()
        ahead[i] += step
        if s.central:
            behind[i] -= step
            before = gradient(behind)
        change = gradient(ahead) - before
        matrix[:, column] = change[which] / (ahead[i] - behind[i])
    return 0.5 * (matrix + matrix.T)


def spectrum(H: Array, least: float = SMALLEST_ROOT) -> tuple[Array, Array, Any]:
    """Of Hessians (..., m, m): eigenvectors, the sizes of the eigenvalues, none of them less than
    ``least`` of the largest, and whether they are those of a minimum.
    """
    roots, vectors = np.linalg.eigh(H)
    sizes = np.abs(roots)
    largest = sizes.max(axis=-1, keepdims=True)
    largest = np.where(largest > 0, largest, 1.0)
    convex = (roots > NOT_CONVEX * largest).all(axis=-1)
    return vectors, np.maximum(sizes, least * largest), convex
