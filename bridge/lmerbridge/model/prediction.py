"""Prediction and simulation from a fitted model."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from lmerbridge.arguments import belongs, checked, frames
from lmerbridge.design.newdata import NewRows, new_rows
from lmerbridge.errors import DataError, FitWarning, matched, near_match
from lmerbridge.inference.effects import NA, chosen_effects, every_effect, is_na
from lmerbridge.inference.levels import LEVEL
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
from lmerbridge.inference.simulate import draw, generator
from lmerbridge.model.base import ModelBase, Vector
from lmerbridge.result import FitResult

__all__ = ["Prediction"]

NA_ACTIONS = ("pass", "omit", "exclude", "fail")


def _na_action(value: Any) -> str:
    name = value.removeprefix("na.") if isinstance(value, str) else value
    if name not in NA_ACTIONS:
        raise DataError(
            f"na_action must be one of {', '.join(NA_ACTIONS)}, not {value!r}"
            f"{near_match(str(value), NA_ACTIONS)}"
        )
    return str(name)


def _of_new_rows(newdata: Any, allow_new_levels: bool, action: str) -> None:
    """Refuse what says how new rows are read where there are none."""
    if newdata is None:
        belongs("newdata=", allow_new_levels=allow_new_levels, na_action=action != "pass")


@checked
class Prediction(ModelBase):
    """Methods that predict and simulate."""

    def _new_rows(self, newdata: Any, chosen: Sequence[Any], fixed: bool = True) -> NewRows:
        frame = self.frame
        if newdata is None:
            return as_rows(frame)
        return new_rows(frame, newdata, random=chosen, fixed=fixed)

    def _at(self, newparams: Any) -> FitResult:
        return (
            self.result
            if newparams is None
            else with_parameters(self.frame, self.result, newparams)
        )

    def _shown(
        self, table: pd.DataFrame, rows: NewRows, newdata: Any, na_action: str
    ) -> pd.DataFrame:
        """The table with its rows' labels: places of dropped rows in it, rows that cannot be
        estimated as NaN, and what ``na_action`` says of missing values.
        """
        if newdata is None:
            return self._row_table(table.to_numpy(), list(table.columns))
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
                stacklevel=frames(3),
            )
            table = table.astype(float)
            table.iloc[np.flatnonzero(lost)] = np.nan
        return table[~missing] if na_action == "omit" else table

    def predict(
        self,
        newdata: Any = None,
        re_form: Any = None,
        allow_new_levels: bool = False,
        se_fit: bool = False,
        interval: str | None = None,
        level: float = LEVEL,
        *,
        random_only: bool = False,
        newparams: Any = None,
        na_action: str = "pass",
    ) -> Vector | pd.DataFrame:
        """Predict the rows of the fit or new ones.

        Parameters
        ----------
        newdata : frame, optional
            Needs the predictors, and what the random terms that count are of. An offset counts,
            whether it is in the formula or an argument of ``lmer``; then newdata needs its column.
        re_form : None, "NA" or str
            ``None``: with all random effects; ``"NA"`` (also ``"~0"``, ``False``, NaN,
            ``pandas.NA``): with none; ``"~ (1 | g)"``: with these.
        allow_new_levels : bool
            Whether levels (and missing values) of grouping factors that the fit did not have
            are let in; their random effects are 0.
        se_fit : bool
            Add standard errors, theta taken as known; a new level adds its effects' variance.
        interval : {"confidence", "prediction"}, optional
            Add ``lwr`` and ``upr``: of the fit, or of a new observation.
        random_only : bool
            The random effects' part alone, for which newdata needs nothing of the fixed part.
        newparams : mapping, optional
            Other parameters than the estimates: some of ``beta``, ``theta`` and ``sigma``. The
            spherical random effects stay as they are, as in lme4.
        na_action : {"pass", "exclude", "omit", "fail"}
            Rows of newdata with missing values are NaN, left out, or an error. The rows of the fit
            follow the model's own ``na_action``.

        Returns
        -------
        Series, or DataFrame with ``fit``, ``se_fit``, ``lwr``, ``upr``
            NaN, with a warning, for rows that a rank-deficient fit does not determine, such as
            those of an empty cell.

        Raises
        ------
        DataError
        """
        if not 0 < level < 1:
            raise DataError(f"level must be between 0 and 1, not {level}")
        kind = None if interval is None else matched(interval, INTERVALS, "interval")
        if random_only and kind == "prediction":
            raise DataError("random_only=True has no prediction interval: nobody observes it")
        belongs("interval=", level=level != LEVEL and kind is None)
        action = _na_action(na_action)
        _of_new_rows(newdata, allow_new_levels, action)
        frame, result = self.frame, self._at(newparams)
        chosen = chosen_effects(frame, re_form)
        rows = self._new_rows(newdata, chosen, not random_only)
        check_levels(frame, rows, chosen, allow_new_levels)
        if random_only:
            rows = random_part(rows)
        fit = predictions(result, rows, chosen)
        if not se_fit and kind is None:
            return self._shown(pd.DataFrame({"predict": fit}), rows, newdata, action)["predict"]
        sigma = result.estimates.sigma
        error = sigma * np.sqrt(relative_variances(frame, result, rows, chosen))
        spread: Any = sigma
        if kind == "prediction" and frame.weights is not None:
            if rows.weights is None:
                raise DataError(
                    "a prediction interval needs the new rows' weights: give newdata a column "
                    f"{frame.weights_name!r}"
                )
            spread = sigma / np.sqrt(rows.weights)
        table = with_interval(fit, error, kind, spread, level)
        return self._shown(table, rows, newdata, action)

    def simulate(
        self,
        nsim: int = 1,
        seed: Any = None,
        re_form: Any = NA,
        newdata: Any = None,
        allow_new_levels: bool = False,
        *,
        use_u: bool = False,
        newparams: Any = None,
        na_action: str = "pass",
    ) -> pd.DataFrame:
        """Draw new responses from the fitted model.

        Parameters
        ----------
        nsim : int
        seed : int or numpy Generator, optional
        re_form : None, "NA" or str
            Which random effects are kept as estimated; the others are drawn anew. Default: none
            is kept, as in R.
        newdata : frame, optional
            Needs the predictors, all grouping factors, and the weights of a model with weights.
        allow_new_levels : bool
            Whether levels of grouping factors that the fit did not have are let in; each has
            random effects of its own, or none where ``re_form`` keeps those of its term.
        use_u : bool
            Keep all random effects, as ``re_form=None`` does.
        newparams : mapping, optional
            As of :meth:`predict`.
        na_action : {"pass", "exclude", "omit", "fail"}
            As of :meth:`predict`.

        Returns
        -------
        DataFrame
            Columns ``sim_1``, ``sim_2``, ...; of a fit with ``na_action="exclude"`` a row for each
            of its rows, missing where one was dropped. :meth:`refit` and
            :meth:`refit_many` take it.

        Raises
        ------
        DataError
        """
        if isinstance(nsim, bool) or not isinstance(nsim, (int, np.integer)) or nsim < 1:
            raise DataError(f"nsim must be a positive whole number, not {nsim!r}")
        if use_u and not is_na(re_form):
            raise DataError("should specify only one of 'use_u' and 're_form'")
        action = _na_action(na_action)
        _of_new_rows(newdata, allow_new_levels, action)
        frame, result = self.frame, self._at(newparams)
        rng = generator(seed)
        chosen = chosen_effects(frame, None if use_u else re_form)
        every = every_effect(frame)
        rows = self._new_rows(newdata, every)
        if newdata is not None and frame.weights is not None and rows.weights is None:
            raise DataError(f"the model has weights: give newdata a column {frame.weights_name!r}")
        check_levels(frame, rows, every, allow_new_levels)
        mean = predictions(result, rows, chosen)
        levels = [len(b.levels) for b in frame.random]
        estimates = result.estimates
        made = draw(rng, rows, mean, estimates.theta, estimates.sigma, levels, chosen, int(nsim))
        columns = [f"sim_{i + 1}" for i in range(int(nsim))]
        return self._shown(pd.DataFrame(made, columns=columns), rows, newdata, action)
