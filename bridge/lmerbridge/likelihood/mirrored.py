"""Symmetric matrices from their lower triangle."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

__all__ = ["mirrored"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

# Columns mirrored at once: the block and its transpose fit into a processor's second cache.
PANEL = 128


def mirrored(lower: Array) -> Array:
    """Fill the upper triangle, which is 0, of a matrix (n, n) with its lower one; in place.

    By panels of columns: adding the transpose of the whole takes three times as long for thousands
    of columns, since one of the two is read across its memory.
    """
    size = len(lower)
    for start in range(0, size, PANEL):
        end = min(start + PANEL, size)
        corner = lower[start:end, start:end]
        diagonal = corner.diagonal().copy()
        corner += corner.T
        np.fill_diagonal(corner, diagonal)
        lower[start:end, end:] = lower[end:, start:end].T
    return lower
