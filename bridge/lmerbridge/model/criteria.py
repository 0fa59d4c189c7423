"""Criteria of a fit under R's names: logLik, deviance, AIC and its kin, singularity."""

from __future__ import annotations

import warnings

import numpy as np

from lmerbridge.design import theta_lower
from lmerbridge.errors import DataError, FitWarning, as_number
from lmerbridge.inference import ml_deviance, reml_criterion
from lmerbridge.inference.fit import Fit
from lmerbridge.messages import from_outside
from lmerbridge.model.fitting import by_maximum_likelihood
from lmerbridge.result import Criterion, FitResult

__all__ = [
    "akaike",
    "corrected_akaike",
    "deviance",
    "extracted_akaike",
    "is_singular",
    "log_likelihood",
    "reml_criterion",
]


def log_likelihood(result: FitResult, REML: bool | None) -> float:
    """Return the log-likelihood, restricted or not; ``None``: that of the fit."""
    if REML is None or REML == result.call.REML:
        return result.criterion.logLik
    return -0.5 * (reml_criterion(result) if REML else ml_deviance(result))


def deviance(result: FitResult, REML: bool | None) -> float:
    """Return -2 log-likelihood, or the REML criterion; ``None``: that of the fit, with R's warning
    for one by REML.
    """
    if REML is None and result.call.REML:
        warnings.warn(
            "deviance() is deprecated for REML fits; use REMLcrit for the REML criterion or "
            "deviance(REML=False) for deviance calculated at the REML fit",
            FitWarning,
            stacklevel=from_outside(),
        )
        return reml_criterion(result)
    return reml_criterion(result) if REML else ml_deviance(result)


def akaike(criterion: Criterion, k: float) -> float:
    """Return -2 logLik + ``k`` times the number of parameters."""
    k = as_number(k, "k")
    if k == 2.0:
        return criterion.AIC
    return -2 * criterion.logLik + k * criterion.parameters


def corrected_akaike(result: FitResult) -> float:
    """Return AIC + 2 k (k + 1) / (n - k - 1), k parameters (Hurvich & Tsai 1989, Biometrika 76,
    297-307); infinite where n = k + 1 or less.
    """
    k, n = result.criterion.parameters, result.data.nobs
    if n - k - 1 <= 0:
        return float("inf")
    return result.criterion.AIC + 2 * k * (k + 1) / (n - k - 1)


def extracted_akaike(fit: Fit, scale: float, k: float) -> tuple[float, float]:
    """Return the number of parameters and Akaike's criterion of the fit by maximum likelihood.

    Raises
    ------
    DataError
        ``scale`` is another than 0.
    """
    if as_number(scale, "scale"):
        raise DataError("extractAIC() of a mixed model has no scale: leave it at 0")
    criterion = by_maximum_likelihood(fit).result.criterion
    return float(criterion.parameters), float(criterion.value + k * criterion.parameters)


def is_singular(result: FitResult, tol: float) -> bool:
    """Return whether a diagonal element of Lambda is below ``tol``."""
    tol = as_number(tol, "tol")
    on_diagonal = theta_lower([len(t.names) for t in result.estimates.random]) == 0
    return bool(np.any(result.estimates.theta[on_diagonal] < tol))
