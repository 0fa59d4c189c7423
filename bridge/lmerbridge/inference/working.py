"""The linear mixed model that a generalized one is at its estimates: of the working response, with
the weights of the expected information (Breslow & Clayton 1993, J. Am. Stat. Assoc. 88, section 2).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from lmerbridge.inference.family_residuals import fitted_family
from lmerbridge.inference.fit import Fit
from lmerbridge.inference.predict import as_rows, predictions
from lmerbridge.inference.re_form import chosen_effects

__all__ = ["working_fit"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


def working_fit(fit: Fit) -> Fit:
    """Return the fit with the rows' working weights, for a dispersion of 1, as prior weights; made
    once.

    Standard errors of predictions and leverages are those of this linear model, theta taken as
    known: lme4's definition, which has the weighted matrices of its last iteration for them.
    """
    return fit.once("working", lambda: _working(fit))


def _working(fit: Fit) -> Fit:
    frame = fit.frame
    eta = predictions(fit.result, as_rows(frame), chosen_effects(frame, None))
    rows = fitted_family(fit.result).derivatives(frame.y, eta, frame.weights)
    weighted = replace(frame.rows, weights=rows.expected.copy())
    # a linear model's theta is in units of sigma
    own = fit.result.estimates
    linear = replace(own, theta=own.theta * own.theta_scale / own.scale)
    result = replace(fit.result, estimates=linear)
    return Fit(result, replace(frame, rows=weighted), fit.call_given)
