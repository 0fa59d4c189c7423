"""Standard errors of a fixed effect in many fits of one model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmerbridge.inference.fit import Fit
from lmerbridge.likelihood import evaluate

if TYPE_CHECKING:
    from lmerbridge.solve.refits import Refits

__all__ = ["standard_errors_of"]


def standard_errors_of(fit: Fit, refits: Refits, j: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Compute the standard errors (B,) of fixed effect ``j`` at each refit's theta and sigma: sigma
    times the root of an element of (X'V^-1 X)^-1, V relative to sigma^2 (Bates et al. 2015, J.
    Stat. Softw. 67(1), equation 54). NaN where a response was not fitted.

    Parameters
    ----------
    fit : Fit
        Of the model that was fitted to the responses.
    refits : Refits
    j : int
        The effect's number.
    """
    c, REML = fit.products, fit.result.call.REML
    unscaled = np.full(len(refits), np.nan)
    for i, theta in enumerate(refits.theta):
        at = evaluate(c, theta, REML) if np.isfinite(theta).all() else None
        if at is not None:
            unscaled[i] = at.vcov[j, j] / at.sigma**2
    return np.asarray(refits.sigma * np.sqrt(unscaled))
