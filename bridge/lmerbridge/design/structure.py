"""How theta and the random-effects columns are laid out: term by term, level by level."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmerbridge.design.frame import RandomBlock

if TYPE_CHECKING:
    from scipy import sparse

__all__ = ["templates", "term_matrix", "theta_lower"]


def templates(theta: Any, sizes: list[int]) -> list[np.ndarray[Any, np.dtype[np.float64]]]:
    """Per term the lower triangular (k, k) block of Lambda; theta fills it by columns."""
    blocks, start = [], 0
    for k in sizes:
        count = k * (k + 1) // 2
        block = np.zeros((k, k))
        block.T[np.triu_indices(k)] = np.asarray(theta)[start : start + count]
        blocks.append(block)
        start += count
    return blocks


def theta_lower(sizes: list[int]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Lower bounds of theta: 0 for the diagonal of Lambda, -inf below it."""
    bounds: list[float] = []
    for k in sizes:
        for column in range(k):
            bounds += [0.0] + [-np.inf] * (k - column - 1)
    return np.array(bounds)


def term_matrix(
    block: RandomBlock, root: np.ndarray[Any, np.dtype[np.float64]] | None = None
) -> sparse.csr_array:
    """Columns of Z for one term, shape (n, levels * k): level by level, k columns each; times
    ``root`` (n,), the square roots of the prior weights, if given.
    """
    from scipy import sparse

    n, k = block.columns.shape
    values = block.columns if root is None else block.columns * root[:, None]
    columns = block.codes[:, None] * k + np.arange(k)[None, :]
    pointer = np.arange(0, n * k + 1, k)
    return sparse.csr_array(
        (values.ravel(), columns.ravel(), pointer), shape=(n, len(block.levels) * k)
    )
