"""Many small matrices at once."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

__all__ = ["inverses", "times"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


def inverses(matrix: Array) -> tuple[Array, Array]:
    """Inverses of stacked matrices (..., k, k) with positive determinants, and the logarithms of
    these (...); NaN or infinite where one is singular. Sizes 1 and 2, the usual ones, are written
    out, which is many times faster than LAPACK matrix by matrix.
    """
    k = matrix.shape[-1]
    if k == 1:
        return 1 / matrix, np.log(matrix[..., 0, 0])
    if k == 2:
        a, b, c, d = (matrix[..., i, j] for i in (0, 1) for j in (0, 1))
        det = a * d - b * c
        inverse = np.empty_like(matrix)
        inverse[..., 0, 0], inverse[..., 1, 1] = d / det, a / det
        inverse[..., 0, 1], inverse[..., 1, 0] = -b / det, -c / det
        return inverse, np.log(det)
    sign, log_det = np.linalg.slogdet(matrix)
    found: Array = np.asarray(np.linalg.inv(matrix), dtype=np.float64)
    return found, np.where(sign > 0, log_det, np.nan)


def times(matrices: Array, columns: Array) -> Array:
    """Products (levels, k, m) of stacked matrices (levels, k, k) and columns (levels, k, m); a
    column alone is taken at once, in a fourth of the time of a product matrix by matrix.
    """
    if matrices.shape[-1] == 1:
        return np.asarray(matrices * columns)
    if columns.shape[-1] == 1:
        return np.asarray(np.einsum("lij,lj->li", matrices, columns[:, :, 0])[:, :, None])
    return np.asarray(matrices @ columns)
