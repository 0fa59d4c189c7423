"""A model with fewer fixed effects as a hypothesis L beta = 0 in the larger one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from lmerbridge.design import ModelFrame, triangle
from lmerbridge.design.row_chunks import chunks
from lmerbridge.equality import by_value
from lmerbridge.errors import DataError
from lmerbridge.rank import echelon, lengths

__all__ = ["Restriction", "orthonormal_rows", "restriction", "smaller_of"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

# Sine of the angle between a direction and a space that it is outside of: R's qr() drops a column
# of which less than this part is left.
OUTSIDE_SINE = 1e-7


@by_value
@dataclass(frozen=True, eq=False)
class Restriction:
    """
    Attributes
    ----------
    L : array (r, p)
        In reduced row echelon form: X beta lies in the smaller model's column space if and only if
        L beta = 0.
    sequential : array (r, p)
        The same space by orthonormal rows, in the order in which the larger model's columns add to
        the smaller one's, as pbkrtest shows it (Halekoh & Hojsgaard 2014, section 2).
    """

    L: Array
    sequential: Array


def orthonormal_rows(L: Array) -> Array:
    """Orthonormal rows that span those of ``L`` (r, p): each is what the next one of L that does
    not follow from those before it adds, with the signs of Householder's reflections, as R's.
    """
    kept = _independent(L.T, lengths(L, axis=1))
    Q = np.linalg.qr(L[kept].T)[0].T
    Q[np.abs(Q) < 1e-14] = 0.0
    return np.asarray(Q)


def _factor(one: ModelFrame, two: ModelFrame) -> Array:
    """R of [X of one, X of two]."""
    return np.asarray(
        triangle(np.column_stack([one.X[rows], two.X[rows]]) for rows in chunks(one.nobs))
    )


def _beside(larger: ModelFrame, smaller: ModelFrame) -> tuple[Array, Array, Array]:
    """What of the larger model's columns is beside the smaller's: R's rows (m, p), R of the larger
    alone (p, p), and the lengths of its columns (p,).
    """
    R = _factor(smaller, larger)
    p0 = smaller.X.shape[1]
    whole = triangle([R[:, p0:]])
    return R[p0:, p0:], whole, lengths(whole)


def _same_data(larger: ModelFrame, smaller: ModelFrame) -> None:
    if larger.nobs != smaller.nobs:
        raise DataError(
            f"the models are of {larger.nobs} and {smaller.nobs} rows: they cannot be compared; "
            "a row with a missing value in one of them has to be left out of both"
        )
    if not np.array_equal(larger.y, smaller.y):
        raise DataError("the models were not fitted to the same response")


def _added(larger: ModelFrame, smaller: ModelFrame) -> tuple[Array, Array, Array]:
    """Rows (k, p) of what the larger model has beyond the smaller one, the part of the larger
    beside it (as of :func:`_beside`), and the columns' lengths.
    """
    beside, whole, sizes = _beside(larger, smaller)
    if not larger.X.shape[1] or not len(beside):
        return np.empty((0, larger.X.shape[1])), beside, sizes
    # sines of the angles between the spaces, so that units do not matter
    outside = np.linalg.solve((whole / sizes).T, (beside / sizes).T).T
    _, values, rows = np.linalg.svd(outside, full_matrices=False)
    return np.asarray(rows[values > OUTSIDE_SINE] @ whole), beside, sizes


def smaller_of(one: ModelFrame, two: ModelFrame) -> int:
    """Which of two models is the smaller in its fixed effects: 0 or 1.

    Raises
    ------
    DataError
        Neither is, or they are not of the same rows.
    """
    _same_data(one, two)
    p, q = one.X.shape[1], two.X.shape[1]
    first, second = len(_added(one, two)[0]), len(_added(two, one)[0])
    if not first and not second:
        raise DataError("the models have the same fixed effects: there is nothing to test")
    if first and second:
        raise DataError(
            "the fixed effects of one model are not among the other's, whichever is taken as the "
            "larger: they are not nested"
        )
    assert p != q
    return 1 if first else 0


def restriction(larger: ModelFrame, smaller: ModelFrame) -> Restriction:
    """What the smaller model says of the larger one's fixed effects.

    Raises
    ------
    DataError
        The models are not nested this way, or not of the same rows.
    """
    if smaller_of(larger, smaller) == 0:
        raise DataError("the smaller model's fixed effects are not among the larger one's")
    added, beside, sizes = _added(larger, smaller)
    L = echelon(added, sizes)
    # orthonormal rows are those of any other form but for a rotation, and the echelon form has its
    # zeros exactly
    Q = orthonormal_rows(L)
    kept = _independent(beside, sizes)
    order = np.linalg.qr(beside[:, kept])[0].T @ beside
    T = np.linalg.qr(Q @ order.T, mode="complete")[0]
    sequential = T.T @ Q
    sequential[np.abs(sequential) < 1e-12] = 0.0
    if len(sequential) == 1 and sequential[0][np.flatnonzero(sequential[0])[0]] > 0:
        sequential = -sequential
    return Restriction(L, np.asarray(sequential))


def _independent(columns: Array, sizes: Array) -> list[int]:
    """Which columns (m, p) do not follow from those before them; ``sizes`` (p,) are those that
    what is left of them is compared with.
    """
    basis = np.empty((len(columns), 0))
    kept = []
    for j, size in enumerate(sizes.tolist()):
        rest = columns[:, j] - basis @ (basis.T @ columns[:, j])
        rest -= basis @ (basis.T @ rest)  # once more, for the digits
        length = float(np.linalg.norm(rest))
        if length > OUTSIDE_SINE * size:
            kept.append(j)
            basis = np.column_stack([basis, rest / length])
    return kept
