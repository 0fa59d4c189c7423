"""Prediction and simulation from a fitted model."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from lmerbridge.arguments import belongs, check_level
from lmerbridge.design import ModelFrame
from lmerbridge.design.newdata import NewRows, new_rows
from lmerbridge.errors import ArgumentError, DataError, FitWarning, matched, near_match
from lmerbridge.inference.fit import Fit
from lmerbridge.inference.levels import DEFAULT_LEVEL
from lmerbridge.inference.newparams import with_parameters
from lmerbridge.inference.predict import (
    INTERVALS,
    as_rows,
    check_levels,
    not_estimable,
    predictions,
    random_part,
    relative_variances,
    with_interval,
)
from lmerbridge.inference.re_form import chosen_effects, every_effect, is_na
from lmerbridge.inference.simulate import draw, generator
from lmerbridge.messages import from_outside
from lmerbridge.model.row_values import Vector, row_table

__all__ = ["predict", "simulate"]

NA_ACTIONS = ("pass", "omit", "exclude", "fail")


def _na_action(value: Any) -> str:
    name = value.removeprefix("na.") if isinstance(value, str) else value
    if name not in NA_ACTIONS:
        raise ArgumentError(
            f"na_action must be one of {', '.join(NA_ACTIONS)}, not {value!r}"
            f"{near_match(str(value), NA_ACTIONS)}"
        )
    return str(name)


def _of_new_rows(newdata: Any, allow_new_levels: bool, action: str) -> None:
    """Refuse what says how new rows are read where there are none."""
    if newdata is None:
        belongs("newdata=", allow_new_levels=allow_new_levels, na_action=action != "pass")


def _rows_of(frame: ModelFrame, newdata: Any, chosen: Sequence[Any], fixed: bool = True) -> NewRows:
    return (
        as_rows(frame) if newdata is None else new_rows(frame, newdata, random=chosen, fixed=fixed)
    )


def _at(fit: Fit, newparams: Any) -> Fit:
    return fit if newparams is None else fit.with_result(with_parameters(fit, newparams))


def _shown(
    fit: Fit, table: pd.DataFrame, rows: NewRows, newdata: Any, na_action: str
) -> pd.DataFrame:
    """The table with its rows' labels: places of dropped rows in it, rows that cannot be
    estimated as NaN, and what ``na_action`` says of missing values.
    """
    if newdata is None:
        return row_table(fit, table.to_numpy(), list(table.columns))
    if rows.index is not None:
        table.index = rows.index
    missing = table.iloc[:, 0].isna().to_numpy()
    if missing.any() and na_action == "fail":
        raise DataError(
            f"missing values in object: {int(missing.sum())} of the {len(rows)} rows of newdata"
        )
    lost = not_estimable(rows)
    if lost.any():
        warnings.warn(
            f"prediction from rank-deficient fit: {int(lost.sum())} of {len(rows)} rows cannot "
            "be estimated from the data of the fit (empty cells, or columns that depended on "
            "each other there), and are NaN",
            FitWarning,
            stacklevel=from_outside(),
        )
        table = table.astype(float)
        table.iloc[np.flatnonzero(lost)] = np.nan
    return table[~missing] if na_action == "omit" else table


def predict(
    fit: Fit,
    newdata: Any,
    re_form: Any,
    allow_new_levels: bool,
    se_fit: bool,
    interval: str | None,
    level: float,
    random_only: bool,
    newparams: Any,
    na_action: str,
) -> Vector | pd.DataFrame:
    """Predict the rows of the fit or new ones; arguments as of :meth:`lmerbridge.Model.predict`."""
    check_level(level)
    kind = None if interval is None else matched(interval, INTERVALS, "interval")
    if random_only and kind == "prediction":
        raise DataError("random_only=True has no prediction interval: nobody observes it")
    belongs("interval=", level=level != DEFAULT_LEVEL and kind is None)
    action = _na_action(na_action)
    _of_new_rows(newdata, allow_new_levels, action)
    fit = _at(fit, newparams)
    frame, result = fit.frame, fit.result
    chosen = chosen_effects(frame, re_form)
    rows = _rows_of(frame, newdata, chosen, not random_only)
    check_levels(frame, rows, chosen, allow_new_levels)
    if random_only:
        rows = random_part(rows)
    predicted = predictions(result, rows, chosen)
    if not se_fit and kind is None:
        return _shown(fit, pd.DataFrame({"predict": predicted}), rows, newdata, action)["predict"]
    sigma = result.estimates.scale
    error = sigma * np.sqrt(relative_variances(fit, rows, chosen))
    spread: Any = sigma
    if kind == "prediction" and frame.weights is not None:
        if rows.weights is None:
            raise DataError(
                "a prediction interval needs the new rows' weights: give newdata a column "
                f"{frame.asked.weights_name!r}"
            )
        spread = sigma / np.sqrt(rows.weights)
    table = with_interval(predicted, error, kind, spread, level)
    return _shown(fit, table, rows, newdata, action)


def simulate(
    fit: Fit,
    nsim: int,
    seed: Any,
    re_form: Any,
    newdata: Any,
    allow_new_levels: bool,
    use_u: bool,
    newparams: Any,
    na_action: str,
) -> pd.DataFrame:
    """Draw new responses; arguments as of :meth:`lmerbridge.Model.simulate`."""
    if isinstance(nsim, bool) or not isinstance(nsim, (int, np.integer)) or nsim < 1:
        raise ArgumentError(f"nsim must be a positive whole number, not {nsim!r}")
    if use_u and not is_na(re_form):
        raise DataError("should specify only one of 'use_u' and 're_form'")
    action = _na_action(na_action)
    _of_new_rows(newdata, allow_new_levels, action)
    fit = _at(fit, newparams)
    frame, result = fit.frame, fit.result
    rng = generator(seed)
    chosen = chosen_effects(frame, None if use_u else re_form)
    every = every_effect(frame)
    rows = _rows_of(frame, newdata, every)
    if newdata is not None and frame.weights is not None and rows.weights is None:
        raise DataError(
            f"the model has weights: give newdata a column {frame.asked.weights_name!r}"
        )
    check_levels(frame, rows, every, allow_new_levels)
    mean = predictions(result, rows, chosen)
    levels = [len(b.levels) for b in frame.random]
    estimates = result.estimates
    made = draw(rng, rows, mean, estimates.theta, estimates.scale, levels, chosen, int(nsim))
    columns = [f"sim_{i + 1}" for i in range(int(nsim))]
    return _shown(fit, pd.DataFrame(made, columns=columns), rows, newdata, action)
