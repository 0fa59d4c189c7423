"""Covariance of the variance parameters, and with it that of all parameters of a fit.

The information is the expected one, of REML or of maximum likelihood (Searle, Casella & McCulloch
1992, Variance Components, sections 6.3 and 6.6), over the variances and covariances of the random
effects and the residual variance; between these and the fixed effects it is 0.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from scipy import linalg

from lmerbridge.covariance import congruence
from lmerbridge.design import templates
from lmerbridge.inference.fit import Fit
from lmerbridge.result.tables import element_names, variance_table

__all__ = ["full_vcov", "variance_errors", "variance_vcov"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


def variance_vcov(fit: Fit) -> pd.DataFrame:
    """Covariance matrix (m + 1, m + 1) of the elements of the random effects' covariance matrices,
    in theta's order, and of the residual variance, which comes last; named as merDeriv does:
    ``cov_Subject.(Intercept)``, ``cov_Subject.Days.(Intercept)``, ``residual``.
    """
    from lmerbridge.likelihood import expected_information

    result, c = fit.result, fit.products
    scaled = expected_information(c, result.estimates.theta, REML=result.call.REML).W
    parts = [np.eye(1)]
    factors = templates(result.estimates.theta, [term.size for term in c.terms])
    for term, M, L in zip(c.terms, c.maps, factors, strict=True):
        parts.append(congruence(M) if term.structure.plain else term.structure.covariance_slopes(L))
    back = np.asarray(linalg.block_diag(*parts), dtype=np.float64)
    found = back @ scaled @ back.T
    order = [*range(1, len(found)), 0]
    names = [*(f"cov_{name}" for name in element_names(result)), "residual"]
    values = result.estimates.scale**4 * found[np.ix_(order, order)]
    return pd.DataFrame(values, index=names, columns=names)


def full_vcov(fit: Fit) -> pd.DataFrame:
    """Covariance matrix of the fixed effects and the variance parameters."""
    result = fit.result
    variances = variance_vcov(fit)
    names = [*result.estimates.names, *variances.index]
    p = len(result.estimates.names)
    values = np.zeros((len(names), len(names)))
    values[:p, :p] = result.estimates.vcov
    values[p:, p:] = variances.to_numpy()
    return pd.DataFrame(values, index=names, columns=names)


def variance_errors(fit: Fit) -> pd.DataFrame:
    """``VarCorr`` with standard errors: of the variances and covariances from the information, of
    standard deviations and correlations by the delta method (NaN where a variance is 0).
    """
    result = fit.result
    V = variance_vcov(fit).to_numpy()
    table = variance_table(result, "lower.tri")  # theta's order
    errors = np.sqrt(np.maximum(np.diag(V), 0.0))
    found = np.full(len(table), np.nan)
    start = 0
    for term in result.estimates.random:
        size = len(term.names)
        pairs = [(i, j) for i in range(size) for j in range(i, size)]
        place = {pair: start + k for k, pair in enumerate(pairs)}
        for pair, row in place.items():
            i, j = pair
            if i == j:
                if term.deviations[i] > 0:
                    found[row] = errors[row] / (2 * term.deviations[i])
                continue
            if not (term.deviations[i] > 0 and term.deviations[j] > 0):
                continue
            r = term.correlation[i, j]
            own = [row, place[i, i], place[j, j]]
            slope = np.array(
                [
                    1 / (term.deviations[i] * term.deviations[j]),
                    -r / (2 * term.covariance[i, i]),
                    -r / (2 * term.covariance[j, j]),
                ]
            )
            found[row] = np.sqrt(max(float(slope @ V[np.ix_(own, own)] @ slope), 0.0))
        start += len(pairs)
    sigma = result.estimates.scale
    found[-1] = errors[-1] / (2 * sigma)
    table.insert(4, "se_vcov", errors)
    table["se_sdcor"] = found
    keys = table[["grp", "var1", "var2"]].astype(object).where(lambda t: t.notna(), None)
    first = variance_table(result)[["grp", "var1", "var2"]].astype(object)
    wanted = [tuple(row) for row in first.where(first.notna(), None).to_numpy().tolist()]
    known = [tuple(row) for row in keys.to_numpy().tolist()]
    return table.iloc[[known.index(row) for row in wanted]].reset_index(drop=True)
