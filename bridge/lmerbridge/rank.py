"""Which vectors are independent: decided here, and in no units; imports nothing of ours.

A floating point rank needs a size below which a number counts as 0. Predictors come in any units,
and coefficients in their reciprocals, so that such a size may be of no single number: every vector
is divided by its length first, and every coordinate by the unit that goes with it.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

__all__ = ["combinations", "echelon", "lengths", "null_space", "rank"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

# Of the largest singular value of vectors of length 1. What is computed from data by orthogonal
# factors has errors of 1e-12 and less; R's qr() drops a column of which less than 1e-7 is left.
RANK_TOLERANCE = 1e-9


def lengths(vectors: Array, axis: int = 0) -> Array:
    """Euclidean lengths along ``axis``; 1 for a vector of zeros, so that one may divide by them."""
    # in two steps, so that squares neither overflow nor vanish
    largest = np.max(np.abs(vectors), axis=axis, initial=0.0)
    largest = np.where(largest > 0, largest, 1.0)
    scaled = vectors / np.expand_dims(largest, axis)
    found = largest * np.sqrt(np.sum(scaled**2, axis=axis))
    return np.asarray(np.where(found > 0, found, 1.0))


def _directions(rows: Array, units: Array | None) -> Array:
    """Rows of length 1, their coordinates in ``units``."""
    inner = rows if units is None else rows / units
    return np.asarray(inner / lengths(inner, axis=1)[:, None])


def _count(values: Any, tolerance: float) -> int:
    return int(np.sum(values > tolerance * values.max(initial=0.0)))


def rank(rows: Array, units: Array | None = None, tolerance: float = RANK_TOLERANCE) -> int:
    """How many of the rows (r, p) are independent.

    Parameters
    ----------
    units : array (p,), optional
        What is one unit of each coordinate.
    tolerance : float
        Of the largest singular value of the rows with length 1.
    """
    if not rows.size:
        return 0
    return _count(np.linalg.svd(_directions(rows, units), compute_uv=False), tolerance)


def combinations(
    rows: Array, units: Array | None = None, tolerance: float = RANK_TOLERANCE
) -> tuple[Array, bool]:
    """Weights (k, r) of the rows (r, p) that make k independent ones of the same space, and
    whether the rows themselves are independent: then the weights are the identity.
    """
    r = len(rows)
    if not rows.size:
        return np.empty((0, r)), r == 0
    inner = rows if units is None else rows / units
    sizes = lengths(inner, axis=1)
    U, values, _ = np.linalg.svd(inner / sizes[:, None], full_matrices=False)
    k = _count(values, tolerance)
    if k == r:
        return np.eye(r), True
    return U[:, :k].T / sizes, False


def null_space(matrix: Array, tolerance: float = RANK_TOLERANCE) -> Array:
    """Orthonormal rows c (k, r) with c @ matrix = 0, for ``matrix`` (r, p); the units of its
    columns do not matter.
    """
    U, values, _ = np.linalg.svd(matrix / lengths(matrix))
    return np.asarray(U[:, _count(values, tolerance) :].T)


def echelon(rows: Array, units: Array | None = None, tolerance: float = RANK_TOLERANCE) -> Array:
    """The reduced row echelon form of ``rows`` (r, p), by Gauss and Jordan with pivoting.

    Parameters
    ----------
    units : array (p,), optional
        What is one unit of each coordinate.
    """
    one = np.ones(rows.shape[1]) if units is None else units
    form = _directions(rows, units)
    done = 0
    pivots: list[int] = []
    for column in range(rows.shape[1]):
        if done == len(form):
            break
        pivot = done + int(np.argmax(np.abs(form[done:, column])))
        if abs(form[pivot, column]) < tolerance:
            form[done:, column] = 0.0
            continue
        form[[done, pivot]] = form[[pivot, done]]
        form[done] /= form[done, column]
        others = np.arange(len(form)) != done
        form[others] -= np.outer(form[others, column], form[done])
        pivots.append(column)
        done += 1
    form = form[:done]
    form[np.abs(form) < 1e-3 * tolerance] = 0.0
    return np.asarray(form * one / one[pivots][:, None])
