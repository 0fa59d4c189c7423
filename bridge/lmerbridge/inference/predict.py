"""Predictions, for the rows of the fit and for new ones, with their standard errors.

The prediction of x'beta + z'b has the error variance sigma^2 (z'Hz + d'(X'V^-1 X)^-1 d) with
d = x - X'Z H z, H the conditional covariance of b (Henderson 1975, Biometrics 31, 423-447): the
uncertainty of theta is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd

from lmerbridge.design import ModelFrame, templates
from lmerbridge.design.newdata import NewBlock, NewRows
from lmerbridge.errors import DataError
from lmerbridge.inference.fit import Fit
from lmerbridge.result import FitResult

if TYPE_CHECKING:
    from lmerbridge.likelihood import CrossProducts

__all__ = [
    "INTERVALS",
    "as_rows",
    "check_levels",
    "not_estimable",
    "predictions",
    "random_part",
    "relative_variances",
    "with_interval",
]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

INTERVALS = ("confidence", "prediction")
ESTIMABLE_TOLERANCE = 1e-6  # of a row's part in a direction that the data do not determine


def as_rows(frame: ModelFrame) -> NewRows:
    """The rows of the fit as if they were new."""
    none = np.zeros(frame.nobs, dtype=bool)
    return NewRows(
        frame.X,
        frame.offset,
        frame.weights,
        tuple(NewBlock(b.columns, b.codes, none, (), none - 1) for b in frame.random),
        frame.source.index,
        np.zeros((frame.nobs, len(frame.design.x_dropped))),
    )


def random_part(rows: NewRows) -> NewRows:
    """The rows without what is fixed about them: their predictions are random effects alone."""
    return replace(rows, X=np.zeros_like(rows.X), offset=None, beyond=np.zeros((len(rows), 0)))


def not_estimable(rows: NewRows) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Truth per row (n,): its x'beta depends on which of the linearly dependent columns the fit
    kept, so that the data say nothing of it (Searle 1971, *Linear Models*, section 5.4).
    """
    with np.errstate(invalid="ignore"):
        return np.asarray((np.abs(rows.beyond) > ESTIMABLE_TOLERANCE).any(axis=1))


def check_levels(
    frame: ModelFrame, rows: NewRows, chosen: Sequence[Any], allow_new_levels: bool
) -> None:
    """Raise for levels that were not in the fit, as lme4 does."""
    if allow_new_levels:
        return
    for block, new, columns in zip(frame.random, rows.random, chosen, strict=True):
        if not columns.any():
            continue
        if new.missing.any():
            raise DataError(
                f"{block.group}: NAs are not allowed in prediction data for grouping variables "
                "unless allow_new_levels=True"
            )
        if new.new_levels:
            listed = ", ".join(new.new_levels[:5])
            more = f" and {len(new.new_levels) - 5} more" if len(new.new_levels) > 5 else ""
            raise DataError(
                f"new levels detected in newdata: {listed}{more} ({block.group}); with "
                "allow_new_levels=True their random effects are 0"
            )


def predictions(result: FitResult, rows: NewRows, chosen: Sequence[Any]) -> Array:
    """Compute X beta + Z b + offset (n,); NaN where a variable is missing."""
    found = rows.X @ result.estimates.beta
    if rows.offset is not None:
        found = found + rows.offset
    for term, new, columns in zip(result.estimates.random, rows.random, chosen, strict=True):
        if not columns.any():
            continue
        modes = np.concatenate([term.modes, np.zeros((1, term.modes.shape[1]))])
        effects = new.columns[:, columns] * modes[new.codes][:, columns]
        found = found + np.sum(effects, axis=1)
    return np.asarray(found)


def _asked(new: NewBlock, columns: Any) -> Array:
    """The columns that count, zeros elsewhere, whatever is missing there."""
    return np.where(columns, new.columns, 0.0)


def relative_variances(
    fit: Fit,
    rows: NewRows,
    chosen: Sequence[Any],
    only: str = "both",
) -> Array:
    """Variances of the errors of :func:`predictions`, relative to sigma^2 (n,).

    A new level has the random effects' own covariance. ``only="fixed"`` leaves out what the
    random effects' conditional variance adds.
    """
    from lmerbridge.likelihood.row_products import row_products

    frame, result = fit.frame, fit.result
    if not any(columns.any() for columns in chosen):
        unscaled = result.estimates.vcov / result.estimates.scale**2
        return np.asarray(np.einsum("np,pq,nq->n", rows.X, unscaled, rows.X, optimize=True))
    c = fit.products
    theta = result.estimates.theta
    sizes = [len(b.names) for b in frame.random]
    x = rows.X @ np.linalg.inv(c.R) if c.p else rows.X
    places, values = _places_and_values(c, rows, chosen)
    z = row_products(c, theta, places, values, "the standard error of predictions")
    Phi = np.linalg.inv(z.fixed) if c.p else np.empty((0, 0))
    d = x - z.across
    found = np.einsum("np,pq,nq->n", d, Phi, d, optimize=True)
    if only == "both":
        found += z.conditional
    blocks = templates(theta, sizes)
    for new, columns, block in zip(rows.random, chosen, blocks, strict=True):
        unknown = new.codes < 0
        if unknown.any():
            found[unknown] += np.sum((_asked(new, columns)[unknown] @ block) ** 2, axis=1)
    return np.asarray(found)


def _places_and_values(
    c: CrossProducts, rows: NewRows, chosen: Sequence[Any]
) -> tuple[np.ndarray[Any, np.dtype[np.intp]], Array]:
    """Per row and column of a term (n, T) the random effect that it multiplies, and its value in
    the scaled columns; 0 where the level is unknown.
    """
    places, values = [], []
    for index, (new, columns, M) in enumerate(zip(rows.random, chosen, c.maps, strict=True)):
        known = new.codes >= 0
        places.append(c.layout.places(index)[np.where(known, new.codes, 0)])
        values.append(np.where(known[:, None], _asked(new, columns) @ M, 0.0))
    return np.concatenate(places, axis=1), np.concatenate(values, axis=1)


def with_interval(
    fit: Array, error: Array, interval: str | None, sigma: Array | float, level: float
) -> pd.DataFrame:
    """Columns fit, se_fit and, with an ``interval`` (of :data:`INTERVALS`), lwr and upr."""
    from scipy.special import ndtri

    table = pd.DataFrame({"fit": fit, "se_fit": error})
    if interval is None:
        return table
    spread = error if interval == "confidence" else np.sqrt(error**2 + np.square(sigma))
    half = float(ndtri(0.5 + level / 2)) * spread
    table["lwr"], table["upr"] = fit - half, fit + half
    return table
