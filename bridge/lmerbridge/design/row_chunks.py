"""Work on many rows, some at a time, so that it takes little memory beside the data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

__all__ = ["chunks", "gram_triangle", "triangle"]

# Enough rows for numpy to be efficient.
CHUNK_ROWS = 250_000
# A column of which the columns before it leave a thousandth: the triangle of the cross-products,
# which has half the digits, still has ten of them.
INDEPENDENT_PART = 1e-3


def chunks(rows: int) -> Iterator[slice]:
    """All rows, some at a time."""
    for start in range(0, rows, CHUNK_ROWS):
        yield slice(start, min(start + CHUNK_ROWS, rows))


def triangle(parts: Iterable[np.ndarray[Any, np.dtype[np.float64]]]) -> Any:
    """R of the QR decomposition of a matrix that comes some rows at a time."""
    R = None
    for part in parts:
        R = np.linalg.qr(part if R is None else np.concatenate([R, part]), mode="r")
    return R


def gram_triangle(gram: np.ndarray[Any, np.dtype[np.float64]], columns: int) -> Any:
    """R, by the cross-products of a matrix and Cholesky, which takes a fraction of the time of
    :func:`triangle`.

    Parameters
    ----------
    gram : array (k, k)
        Cross-products of all columns.
    columns : int
        How many of them, the first, must be far from linear combinations of those before.

    Returns
    -------
    array (k, k) or None
        Upper triangular; ``None`` where one of the first columns is not, or where what is left of
        the others cannot be computed.
    """
    try:
        L = np.linalg.cholesky(gram)
    except np.linalg.LinAlgError:
        return None
    left = L.diagonal()[:columns]
    if not (left > INDEPENDENT_PART * np.sqrt(gram.diagonal()[:columns])).all():
        return None
    return L.T
