"""Residuals of a linear mixed model, from its result alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from lmerbridge.errors import DataError, near_match
from lmerbridge.result import FitResult

__all__ = ["RESIDUAL_TYPES", "residuals"]

RESIDUAL_TYPES = ("response", "pearson", "scaled", "deviance", "working")


def residuals(result: FitResult, type: str = "response") -> np.ndarray[Any, np.dtype[np.float64]]:
    """Residuals given the random effects, shape (n,).

    ``response`` (and ``working``): y - fitted. ``pearson`` (and ``deviance``): times the square
    root of the prior weights. ``scaled``: ``pearson`` over sigma, as ``summary()`` shows them.

    Raises
    ------
    DataError
        Unknown type.
    """
    if type not in RESIDUAL_TYPES:
        raise DataError(
            f"unknown residuals {type!r}{near_match(type, RESIDUAL_TYPES)}; "
            f"types: {', '.join(RESIDUAL_TYPES)}"
        )
    raw = result.estimates.residuals
    if type in ("response", "working"):
        return raw.copy()
    weights = result.estimates.weights
    weighted = raw * np.sqrt(weights) if weights is not None else raw.copy()
    return weighted / result.estimates.sigma if type == "scaled" else weighted
