"""Accessors with R's names: parts of the formula and of the data, counts, criteria, covariances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lmerbridge.design.columns import Factor, Logical, Numeric
from lmerbridge.design.matrix import model_matrix
from lmerbridge.equality import by_value
from lmerbridge.errors import matched
from lmerbridge.inference.fit import Fit
from lmerbridge.inference.hypotheses import fixed_terms
from lmerbridge.model.components import component
from lmerbridge.model.row_values import Vector, by_row
from lmerbridge.model.variables import frame_table
from lmerbridge.result import FitResult

if TYPE_CHECKING:
    from lmerbridge.design import ModelFrame

__all__ = [
    "Family",
    "ModelTerms",
    "dummy_coefficients",
    "family_of",
    "fortify",
    "matrix_of",
    "model_frame",
    "model_terms",
    "weights_of",
]


@dataclass(frozen=True)
class Family:
    """The response's distribution and link."""

    family: str
    link: str

    def __str__(self) -> str:
        return f"\nFamily: {self.family} \nLink function: {self.link} \n"


@by_value
@dataclass(frozen=True, eq=False)
class ModelTerms:
    """R's ``terms`` of the fixed part.

    Attributes
    ----------
    labels : tuple of str
        ``("f", "Days", "f:Days")``.
    order : tuple of int
        The number of variables in each.
    factors : DataFrame
        Variables by terms: 0 not in it, 1 coded by contrasts, 2 by all its levels.
    intercept : bool
    response : str
    """

    labels: tuple[str, ...]
    order: tuple[int, ...]
    factors: pd.DataFrame
    intercept: bool
    response: str


def model_terms(frame: ModelFrame) -> ModelTerms:
    """The terms of the fixed part of ``frame``."""
    from lmerbridge.design.matrix import coded_by_contrasts
    from lmerbridge.formula.syntax import deparse

    terms = fixed_terms(frame)
    variables = [deparse(v) for v in terms.variables]
    response = frame.formula.response_label
    kinds = [not isinstance(frame.rows.variables[v], Numeric) for v in variables]
    table = pd.DataFrame(0, index=[response, *variables], columns=list(terms.labels))
    for j, modes in enumerate(coded_by_contrasts(terms, kinds)):
        for v, by_contrasts in modes.items():
            table.iloc[v + 1, j] = 1 if by_contrasts or not kinds[v] else 2
    return ModelTerms(
        tuple(terms.labels),
        tuple(len(t) for t in terms.terms),
        table,
        terms.intercept,
        response,
    )


def dummy_coefficients(frame: ModelFrame, beta: Any) -> dict[str, pd.Series[float]]:
    """R's ``dummy.coef``: what each level, or combination of levels, contributes, by term; for
    numbers at the value 1.

    Parameters
    ----------
    beta : array (p,)
        For the columns of ``frame.X``.
    """
    from lmerbridge.formula.syntax import deparse

    terms = fixed_terms(frame)
    values = dict(zip(frame.x_names, np.asarray(beta, dtype=float).tolist(), strict=True))
    found: dict[str, pd.Series[float]] = {}
    if terms.intercept:
        found["(Intercept)"] = pd.Series([values.get("(Intercept)", np.nan)], index=["(Intercept)"])
    for number, (label, term) in enumerate(zip(terms.labels, terms.terms, strict=True), 1):
        names = [deparse(terms.variables[v]) for v in term]
        factors = {}
        for name in names:
            column = frame.rows.variables[name]
            if isinstance(column, Factor):
                factors[name] = column.levels
            elif isinstance(column, Logical):
                factors[name] = ("FALSE", "TRUE")
        sizes = [len(levels) for levels in factors.values()]
        count = int(np.prod(sizes)) if sizes else 1
        # the first factor varies fastest, as in expand.grid
        codes = np.unravel_index(np.arange(count), sizes, order="F") if sizes else ()
        rows: dict[str, Any] = {}
        for v in terms.variables:
            name = deparse(v)
            column = frame.rows.variables[name]
            if name in factors:
                own = codes[list(factors).index(name)]
                rows[name] = (
                    Factor(own, column.levels, column.ordered, column.contrast)
                    if isinstance(column, Factor)
                    else Logical(own.astype(float))
                )
            elif isinstance(column, Numeric):
                shape = (count, *column.values.shape[1:])
                rows[name] = Numeric(np.ones(shape), column.names)
            elif isinstance(column, Factor):
                rows[name] = Factor(np.zeros(count, int), column.levels, column.ordered)
            else:
                rows[name] = Logical(np.zeros(count))
        matrix = model_matrix(terms, rows, count, frame.design.contrasts)
        own_columns = [j for j, k in enumerate(matrix.assign) if k == number]
        total = np.zeros(count)
        for j in own_columns:
            value = values.get(matrix.names[j], np.nan)
            with np.errstate(invalid="ignore"):
                part = matrix.values[:, j] * value
            total += np.where(matrix.values[:, j] == 0, 0.0, part)
        index = [
            ":".join(levels[codes[k][i]] for k, levels in enumerate(factors.values()))
            for i in range(count)
        ]
        found[label] = pd.Series(total, index=index if sizes else [label])
    return found


def _own(table: pd.DataFrame, frame: ModelFrame, name: str) -> list[str]:
    """The columns of the table that hold the variable ``name``."""
    column = frame.rows.variables.get(name)
    if isinstance(column, Numeric) and column.values.ndim == 2:
        ends = column.names or tuple(str(j + 1) for j in range(column.values.shape[1]))
        return [f"{name}{end}" for end in ends]
    return [name] if name in table else []


def model_frame(frame: ModelFrame, fixed_only: bool) -> pd.DataFrame:
    """Return the variables as the model has them; arguments as of
    :meth:`lmerbridge.Model.model_frame`.
    """
    from lmerbridge.design.columns import as_categorical, as_factor, take
    from lmerbridge.formula.syntax import deparse

    table = frame_table(frame)
    names = [frame.formula.response_label, *(deparse(v) for v in fixed_terms(frame).variables)]
    if not fixed_only:
        for term in frame.formula.random:
            names += [deparse(v) for v in term.columns.variables]
            for name in term.grouping.columns:
                column = frame.rows.variables.get(name) or take(
                    frame.source.raw[name], frame.source.kept
                )
                if name not in table:
                    table[name] = as_categorical(as_factor(column)).remove_unused_categories()
                names.append(name)
    # a matrix among the variables is one column per column of it
    table = table[[c for n in dict.fromkeys(names) for c in _own(table, frame, n)]].copy()
    if frame.weights is not None:
        table["(weights)"] = frame.weights
    if frame.offset is not None:
        table["(offset)"] = frame.offset
    return table


def matrix_of(fit: Fit, type: str) -> Any:
    """Return a model matrix; arguments as of :meth:`lmerbridge.Model.model_matrix`."""
    kind = matched(type, ("fixed", "random", "randomListRaw"), "type")
    if kind == "fixed":
        frame = fit.frame
        return pd.DataFrame(frame.X.copy(), columns=list(frame.x_names), index=frame.source.index)
    return component(fit, "Z" if kind == "random" else "mmList")


def family_of(result: FitResult) -> Family:
    """Return the response's distribution and link."""
    return Family(result.call.family, result.call.link)


def weights_of(fit: Fit) -> Vector:
    """Return the prior weights by row: 1 where none were given."""
    given = fit.result.estimates.weights
    return by_row(fit, np.ones(fit.result.data.nobs) if given is None else given.copy(), "weights")


def fortify(fit: Fit) -> pd.DataFrame:
    """Return the data of the rows used with ``.fitted``, ``.resid`` and ``.scresid`` (scaled)."""
    from lmerbridge.inference import residuals

    data = fit.call.data
    if isinstance(data, pd.DataFrame):
        table = data.iloc[fit.frame.source.kept].copy()
    else:
        import narwhals.stable.v2 as nw

        if isinstance(data, dict):
            table = pd.DataFrame(data).iloc[fit.frame.source.kept].copy()
        else:
            table = nw.from_native(data, eager_only=True).to_pandas().iloc[fit.frame.source.kept]
    table[".fitted"] = fit.result.estimates.fitted
    table[".resid"] = fit.result.estimates.residuals
    table[".scresid"] = residuals(fit.result, "pearson", True)
    return table
