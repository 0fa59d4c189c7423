"""R2 and the intraclass correlation of generalized models, by the model without predictors."""

from __future__ import annotations

import numpy as np

from lmerbridge.errors import UnsupportedModelError
from lmerbridge.formula.syntax import deparse
from lmerbridge.inference.explained import ICC, R2, icc, r2, variance_shares
from lmerbridge.inference.family_residuals import fitted_family
from lmerbridge.inference.fit import Fit
from lmerbridge.inference.latent import THEORETICAL, distribution_variance, mean_over_effects
from lmerbridge.model.fitting import of_formula, same_rows

__all__ = ["icc_of", "r2_of"]


def r2_of(fit: Fit, approximation: str | None) -> R2:
    """Compute R2; arguments as of :meth:`lmerbridge.GeneralizedModel.r2`."""
    return r2(fit.frame, fit.result, _residual(fit, approximation))


def icc_of(fit: Fit, approximation: str | None) -> ICC:
    """Compute the ICC; arguments as of :meth:`lmerbridge.GeneralizedModel.icc`."""
    return icc(fit.frame, fit.result, _residual(fit, approximation))


def _residual(fit: Fit, approximation: str | None) -> float:
    family = fitted_family(fit.result)
    if approximation is None:
        if family.link.name == "cauchit":
            raise UnsupportedModelError(
                "the cauchit link has a latent variable without a variance, so that there are no "
                "shares of it"
            )
        latent = family.name == "binomial" and family.link.name in THEORETICAL
        ratios = family.link.name == "log" and family.name != "binomial"
        approximation = "theoretical" if latent else "lognormal" if ratios else "delta"
    phi = fit.result.estimates.scale**2 if family.dispersion is None else 1.0
    mean = np.nan if approximation == "theoretical" else _mean(fit)
    return distribution_variance(family, mean, phi, approximation)


def _mean(fit: Fit) -> float:
    """The mean of the response over the random effects, by the model without predictors."""
    frame = fit.frame
    formula = frame.formula
    bars = [term.written for term in formula.random]
    offsets = [deparse(o) for o in formula.terms(frame.design.dot_columns).offsets]
    text = f"{formula.response_label} ~ {' + '.join(['1', *bars, *offsets])}"

    def null() -> Fit:
        return fit if fit.result.estimates.names == ("(Intercept)",) else _without(fit, text)

    found = fit.once("null model", null)
    _, random, _ = variance_shares(found.frame, found.result)
    offset = 0.0 if frame.offset is None else float(np.mean(frame.offset))
    eta = float(found.result.estimates.beta[0]) + offset
    return mean_over_effects(fitted_family(fit.result), eta, sum(random.values()))


def _without(fit: Fit, text: str) -> Fit:
    return of_formula(fit, text, start=None, **same_rows(fit))
