"""Matrices of the linear algebra behind a fit: Z, Lambda and their relatives, sparse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmerbridge.design import ModelFrame, RandomBlock

if TYPE_CHECKING:
    from scipy import sparse

__all__ = ["relative_factor", "templates", "term_matrix", "theta_lower", "z_matrix"]


def term_matrix(block: RandomBlock) -> sparse.csc_array:
    """Columns of Z for one term, shape (n, levels * k): level by level, k columns each."""
    from scipy import sparse

    n, k = block.columns.shape
    rows = np.repeat(np.arange(n), k)
    columns = (block.codes[:, None] * k + np.arange(k)[None, :]).ravel()
    shape = (n, len(block.levels) * k)
    return sparse.csc_array((block.columns.ravel(), (rows, columns)), shape=shape)


def z_matrix(frame: ModelFrame) -> sparse.csc_array:
    """Z, shape (n, q); terms in lme4's order."""
    from scipy import sparse

    return sparse.csc_array(sparse.hstack([term_matrix(b) for b in frame.random]))


def templates(theta: Any, sizes: list[int]) -> list[np.ndarray[Any, np.dtype[np.float64]]]:
    """Per term the lower triangular (k, k) block of Lambda; theta fills it by columns."""
    blocks, start = [], 0
    for k in sizes:
        block = np.zeros((k, k))
        rows, columns = np.tril_indices(k)
        order = np.lexsort((rows, columns))
        count = k * (k + 1) // 2
        block[rows[order], columns[order]] = np.asarray(theta)[start : start + count]
        blocks.append(block)
        start += count
    return blocks


def relative_factor(theta: Any, frame: ModelFrame) -> sparse.csc_array:
    """Lambda_theta, shape (q, q) (Bates et al. 2015, equation 4)."""
    from scipy import sparse

    parts = [
        sparse.kron(sparse.eye_array(len(b.levels)), t)
        for b, t in zip(
            frame.random, templates(theta, [len(b.names) for b in frame.random]), strict=True
        )
    ]
    return sparse.csc_array(sparse.block_diag(parts))


def theta_lower(sizes: list[int]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Lower bounds of theta: 0 for the diagonal of Lambda, -inf below it."""
    bounds: list[float] = []
    for k in sizes:
        for column in range(k):
            bounds += [0.0] + [-np.inf] * (k - column - 1)
    return np.array(bounds)
