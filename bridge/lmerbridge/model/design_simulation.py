"""Responses for a design that has not been fitted: power analysis, teaching."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from lmerbridge.arguments import checked
from lmerbridge.design import build_frame
from lmerbridge.design.table import read_table
from lmerbridge.errors import ArgumentError
from lmerbridge.formula import Formula, parse_formula
from lmerbridge.formula.syntax import Name
from lmerbridge.inference.predict import as_rows
from lmerbridge.inference.re_form import NA, chosen_effects
from lmerbridge.inference.simulate import as_parameters, draw, generator
from lmerbridge.inference.stated_covariance import parameters_of_deviations

__all__ = ["simulate_design"]


@checked
def simulate_design(
    formula: str | Formula,
    data: Any,
    beta: Any,
    theta: Any = None,
    sigma: float | None = None,
    nsim: int = 1,
    seed: Any = None,
    weights: Any = None,
    offset: Any = None,
    contrasts: Any = None,
    *,
    sd: Any = None,
    cor: Any = None,
) -> pd.DataFrame:
    """Make responses for a model with given parameters.

    Parameters
    ----------
    formula : str
        With a response, whose column ``data`` does not need to have.
    data : frame
        Predictors and grouping factors.
    beta : sequence of float (p,), or mapping of R's names
        Fixed effects.
    theta : sequence of float, optional
        lme4's: the elements of the relative covariance factor; for ``(1 | g)`` the standard
        deviation of the intercepts over ``sigma``. Instead of it ``sd`` and ``cor`` may be given.
    sigma : float
        Residual standard deviation.
    nsim : int
        How many responses.
    seed : int or numpy Generator, optional
        Makes them again.
    weights, offset, contrasts
        As of :func:`lmerbridge.lmer`.
    sd : float, sequence of float, or mapping of a term's label to one of these, optional
        Standard deviations of the random effects in the response's unit, in the order of
        ``VarCorr()``: ``{"Subject": [24.7, 5.9]}``, or ``[24.7, 5.9]``.
    cor : float, sequence of float, or such a mapping, optional
        Their correlations, of each term the lower triangle by columns; default 0.

    Returns
    -------
    DataFrame
        Columns ``sim_1``, ``sim_2``, ..., a row per row of ``data``; the row is missing where a
        predictor is.

    Raises
    ------
    FormulaError
        The formula is none of lme4's.
    DataError
        A column is missing, or ``beta``, ``theta``, ``sd`` or ``cor`` has another length than the
        model needs; or no effects have such correlations together.
    ArgumentError
        ``nsim``, ``seed``, ``sigma``, ``sd`` or ``cor`` is no such number; or neither ``theta``
        nor ``sd`` is given, or both are.

    Examples
    --------
    >>> import lmerbridge as lb, pandas as pd
    >>> design = pd.DataFrame({"g": [1, 1, 2, 2, 3, 3, 4, 4], "x": [0, 1] * 4})
    >>> y = lb.simulate_design("y ~ x + (1 | g)", design, [1, 0.5], sd=5.0, sigma=10.0, seed=1)
    >>> y.shape
    (8, 1)
    """
    if not isinstance(nsim, (int, np.integer)) or nsim < 1:
        raise ArgumentError(f"nsim must be a positive whole number, not {nsim!r}")
    if sigma is None:
        raise ArgumentError("simulate_design() needs sigma, the residual standard deviation")
    if (theta is None) == (sd is None) or (theta is not None and cor is not None):
        raise ArgumentError(
            "the random effects need theta, or sd and cor (standard deviations and correlations), "
            "and not both"
        )
    parsed = parse_formula(formula)
    if not isinstance(parsed.response, Name):
        raise ArgumentError(
            f"the response of a design must be a plain name, not {parsed.response_label}: it is "
            "simulated on the scale of the model"
        )
    table = read_table(data)
    columns = {name: _native(table, name) for name in table.columns if name != parsed.response.id}
    # stands in for the response, which the model frame needs
    columns[parsed.response.id] = np.arange(table.rows, dtype=np.float64)
    whole = pd.DataFrame(columns)
    frame = build_frame(formula, whole, weights=weights, offset=offset, contrasts=contrasts)
    if theta is None:
        theta = parameters_of_deviations(frame, sd, cor, sigma)
    values, covariance, spread = as_parameters(frame, beta, theta, sigma)
    rows = as_rows(frame)
    mean = frame.X @ values + (0.0 if frame.offset is None else frame.offset)
    levels = [len(b.levels) for b in frame.random]
    made = draw(
        generator(seed),
        rows,
        mean,
        covariance,
        spread,
        levels,
        chosen_effects(frame, NA),
        int(nsim),
    )
    found = np.full((table.rows, int(nsim)), np.nan)
    found[frame.source.kept] = made
    index = table.native.index if isinstance(table.native, pd.DataFrame) else None
    return pd.DataFrame(found, columns=[f"sim_{i + 1}" for i in range(int(nsim))], index=index)


def _native(table: Any, name: str) -> Any:
    from lmerbridge.design.columns import Factor, as_categorical

    column = table.column(name)
    if isinstance(column, Factor):
        return as_categorical(column)
    values = column.values
    if values.ndim == 1 and type(column).__name__ == "Logical":
        return pd.array(
            [None if np.isnan(v) else bool(v) for v in values.tolist()], dtype="boolean"
        )
    return values
