"""Covariance factors in other units."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["triangular"]


def triangular(
    factor: np.ndarray[Any, np.dtype[np.float64]],
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The lower triangular L with L L' = F F' and a non-negative diagonal."""
    upper = np.linalg.qr(factor.T, mode="r")
    signs = np.where(np.diag(upper) < 0, -1.0, 1.0)
    return np.asarray((signs[:, None] * upper).T)
