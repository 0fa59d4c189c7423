"""Columns of random-effects terms of unit size, and covariance factors in either unit."""

from __future__ import annotations

from typing import Any

import numpy as np

from lmerbridge.design import RandomBlock

__all__ = ["column_map", "triangular"]


def triangular(
    factor: np.ndarray[Any, np.dtype[np.float64]],
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The lower triangular L with L L' = F F' and a non-negative diagonal."""
    upper = np.linalg.qr(factor.T, mode="r")
    signs = np.where(np.diag(upper) < 0, -1.0, 1.0)
    return np.asarray((signs[:, None] * upper).T)


def column_map(block: RandomBlock) -> np.ndarray[Any, np.dtype[np.float64]]:
    """M (k, k) for which ``columns @ M`` has columns of mean square 1, centred where the term
    has an intercept. Effects in the user's units are M times those of the scaled columns.
    """
    columns, k = block.columns, len(block.names)
    back = np.eye(k)
    intercept = next((j for j in range(k) if np.all(columns[:, j] == 1)), None)
    for j in range(k):
        if j == intercept:
            continue
        centre = 0.0 if intercept is None else float(columns[:, j].mean())
        size = float(np.sqrt(np.mean((columns[:, j] - centre) ** 2))) or 1.0
        back[j, j] = 1 / size
        if intercept is not None:
            back[intercept, j] = -centre / size
    return back
