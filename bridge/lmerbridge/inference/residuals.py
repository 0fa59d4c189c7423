"""Residuals of a mixed model, from its result alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from lmerbridge.errors import matched
from lmerbridge.result import FitResult

__all__ = ["RESIDUAL_TYPES", "residuals"]

RESIDUAL_TYPES = ("response", "pearson", "scaled", "deviance", "working")


def residuals(
    result: FitResult, type: str = "response", scaled: bool = False
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Residuals given the random effects, shape (n,).

    ``response`` (and ``working``): y - fitted. ``pearson`` (and ``deviance``): times the square
    root of the prior weights. ``scaled``: ``pearson`` over sigma, as ``summary()`` shows them; with
    ``scaled=True`` any type is divided by sigma, as R's argument of that name says.

    Those of a generalized model are :func:`lmerbridge.inference.family_residuals.family_residuals`.

    Raises
    ------
    DataError
        Unknown type, or the beginning of several.
    """
    kind = matched(type, RESIDUAL_TYPES, "type")
    if result.call.generalized:
        from lmerbridge.inference.family_residuals import family_residuals

        return family_residuals(result, kind, scaled)
    found = result.estimates.residuals.copy()
    weights = result.estimates.weights
    if weights is not None and kind not in ("response", "working"):
        found *= np.sqrt(weights)
    return found / result.estimates.scale if scaled or kind == "scaled" else found
