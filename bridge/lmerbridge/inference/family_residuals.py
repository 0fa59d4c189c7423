"""Residuals of a generalized model, from its result alone."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from lmerbridge.family import Family, family_of
from lmerbridge.family.families import negative_binomial
from lmerbridge.result import FitResult

__all__ = ["deviance", "family_residuals", "fitted_family", "residuals_of"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


def fitted_family(result: FitResult) -> Family:
    """Return the family that a generalized model was fitted with."""
    call = result.call
    if call.shape is not None:
        return negative_binomial(call.shape, call.link)
    return family_of(f"{call.family}({call.link!r})")


def deviance(result: FitResult) -> float:
    """Return the sum of the squared deviance residuals."""
    return float(np.sum(family_residuals(result, "deviance") ** 2))


def family_residuals(result: FitResult, kind: str, scaled: bool = False) -> Array:
    """Compute residuals given the random effects (n,), as R's ``residuals.glm`` has them.

    ``response``: y - mu. ``working``: over dmu/deta. ``pearson``: times sqrt(w / V(mu)).
    ``deviance``: the root of the row's part of the deviance, with the sign of y - mu. ``scaled``:
    ``pearson`` over sigma (McCullagh & Nelder 1989, *Generalized Linear Models*, section 2.4).

    Parameters
    ----------
    result : FitResult
        Of a generalized model.
    kind : str
        One of the types above.
    scaled : bool
        Whether to divide by sigma, where the family has one.
    """
    family, estimates = fitted_family(result), result.estimates
    mu = estimates.fitted
    weights = np.ones(len(mu)) if estimates.weights is None else estimates.weights
    found = residuals_of(family, mu, estimates.residuals, weights, kind)
    return found / estimates.scale if scaled or kind == "scaled" else found


def residuals_of(family: Family, mu: Array, response: Array, weights: Array, kind: str) -> Array:
    """Compute residuals (n,) of means (n,), from ``response``, y - mu, and prior weights; kinds as
    of :func:`family_residuals`.
    """
    if kind == "response":
        found = response.copy()
    elif kind == "working":
        found = response / family.link.slope(family.link.link(mu))
    elif kind == "deviance":
        parts = family.deviance_residuals_squared(mu + response, mu, weights)
        found = np.sign(response) * np.sqrt(np.maximum(parts, 0.0))
    else:
        variance = family.variance(mu)
        # a mean at the end of its range has no variance, and fits exactly
        some = variance > 0
        found = np.zeros(len(mu))
        found[some] = response[some] * np.sqrt(weights[some] / variance[some])
    return found
