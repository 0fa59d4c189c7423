"""Slopes along a covariate for each mean: R's ``emtrends``.

Lenth (``emmeans``, ``?emtrends``): the difference quotient (f(x + h) - f(x)) / h of the predictions
of the reference grid, with h a thousandth of the covariate's range.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from lmerbridge.design import ModelFrame
from lmerbridge.design.columns import Factor, take
from lmerbridge.errors import ArgumentError, DataError, FormulaError, near_match
from lmerbridge.formula.parser import parse_expression
from lmerbridge.formula.syntax import Name, Node, names_in
from lmerbridge.inference.axes import AUTO, Axis, Reduce, is_covariate, predictors
from lmerbridge.inference.degrees import Denominator
from lmerbridge.inference.reference_grid import (
    ReferenceGrid,
    evaluate_on,
    reference_grid,
    rows_of,
)

__all__ = ["DEGREES", "slopes"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

DEGREES = ("linear", "quadratic", "cubic", "quartic", "quintic")


def _variable(frame: ModelFrame, var: str) -> tuple[str, Node]:
    """The covariate in ``var``, and the expression."""
    if var in predictors(frame):
        node: Node = Name(var)
    else:
        try:
            node = parse_expression(var)
        except (FormulaError, TypeError) as error:
            raise DataError(f"var {var!r} cannot be read: {error}") from None
    names = list(dict.fromkeys(n.id for n in names_in(node)))
    if len(names) != 1:
        raise ArgumentError(f"var {var!r} must be a covariate, or a function of one")
    name = names[0]
    known = [n for n in predictors(frame) if is_covariate(frame, n)]
    if name not in known:
        within = f"; they are {', '.join(known)}" if known else ", which has none"
        raise DataError(
            f"var {var!r} is no numeric predictor of the model{near_match(name, known)}{within}"
        )
    return name, node


def slopes(
    frame: ModelFrame,
    denominator: Denominator,
    var: str,
    at: Mapping[str, Any] | None = None,
    cov_keep: Any = "2",
    cov_reduce: Reduce = True,
    nesting: Any = AUTO,
    rg_limit: int = 10_000,
    delta_var: float | None = None,
    max_degree: int = 1,
) -> ReferenceGrid:
    """The reference grid of slopes along ``var``.

    Parameters
    ----------
    frame : ModelFrame
        The model frame of the fit.
    denominator, at, cov_keep, cov_reduce, nesting, rg_limit
        As of :func:`lmerbridge.inference.reference_grid.reference_grid`.
    var : str
        A covariate ``x``, or a function of one: ``log(x)``.
    delta_var : float, optional
        The step h; default is 0.001 of the range of the covariate.
    max_degree : int
        With more than 1, up to 5, the grid has a factor ``degree``, and the estimates are
        derivatives of the orders 1, 2, ... over their factorials, as coefficients of a polynomial.

    Raises
    ------
    DataError
        No covariate, or a step of 0.
    """
    name, node = _variable(frame, var)
    covariate = take(frame.source.raw[name], frame.source.kept)
    assert not isinstance(covariate, Factor)  # _variable() has looked
    values = covariate.values
    step = float(delta_var) if delta_var is not None else 1e-3 * float(np.ptp(values))
    if not math.isfinite(step) or step == 0:
        raise ArgumentError(f"delta_var must be a number other than 0, not {step}")
    if isinstance(max_degree, bool) or not 1 <= int(max_degree) <= len(DEGREES):
        raise ArgumentError(f"max_degree must be between 1 and {len(DEGREES)}, not {max_degree}")
    degree = int(max_degree)
    first = -(degree // 2)
    offsets = list(range(first, first + degree + 1))
    below: list[Array] = []  # differences of each order

    def matrix(frame: ModelFrame, data: pd.DataFrame) -> tuple[Array, Array]:
        stacked, arguments = [], []
        for j in offsets:
            shifted = data.assign(**{name: data[name].astype(float) + j * step})
            X, beyond = rows_of(frame, shifted)
            extra = _offset_at(frame, shifted, name)
            stacked.append(np.hstack([X, extra[:, None], beyond]))
            arguments.append(evaluate_on(frame, node, shifted))
        spacing = (arguments[-1] - arguments[0]) / degree
        found = []
        for order in range(1, degree + 1):
            # as even as can be about the point; odd orders reach up, or down if the highest is even
            start = -(order // 2) - (order % 2 if degree % 2 == 0 else 0)
            chosen = np.array(stacked[start - first : start - first + order + 1])
            difference = np.diff(chosen, n=order, axis=0)[0]
            found.append(difference / (math.factorial(order) * spacing**order)[:, None])
        below.extend(found)
        p = len(frame.x_names)
        return found[0][:, :p], found[0][:, p + 1 :]

    grid = reference_grid(
        frame, denominator, at, cov_keep, cov_reduce, nesting, 0.0, rg_limit, matrix
    )
    p = grid.L.shape[1]
    made = replace(
        grid,
        offset=below[0][:, p],
        link=None,
        estimate=f"{var}.trend",
        var=name,
    )
    if degree == 1:
        return made
    rows = len(grid.codes)
    orders = np.repeat(np.arange(degree), rows)
    everything = np.concatenate(below)
    return replace(
        made,
        axes=(*grid.axes, Axis("degree", DEGREES[:degree], None)),
        codes=np.column_stack([np.tile(grid.codes, (degree, 1)), orders]),
        L=everything[:, :p],
        offset=everything[:, p],
        beyond=everything[:, p + 1 :],
        counts=np.tile(grid.counts, degree),
        weights=np.tile(grid.weights, degree),
    )


def _offset_at(frame: ModelFrame, data: pd.DataFrame, name: str) -> Array:
    """What the offsets of the formula that use the covariate are at its values in ``data``."""
    found = np.zeros(len(data))
    for node in frame.formula.terms(frame.design.dot_columns).offsets:
        if name in {n.id for n in names_in(node)}:
            found += evaluate_on(frame, node, data)
    return found
