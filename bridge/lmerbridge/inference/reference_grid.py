"""The reference grid: the model's predictions at all combinations of the predictors' values.

Searle, Speed & Milliken (1980, Am. Stat. 34, 216-221): marginal means are averages over such a
grid. Every prediction is a row of a matrix L times beta, so that averages, contrasts, standard
errors and degrees of freedom are linear algebra on it.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from lmerbridge.design import ModelFrame
from lmerbridge.design.columns import Column, Factor, Logical, take
from lmerbridge.design.evaluate import Evaluator
from lmerbridge.design.newdata import new_rows
from lmerbridge.design.table import read_table
from lmerbridge.design.values import numbers_of
from lmerbridge.dialects import Dialect, without_r
from lmerbridge.equality import by_value
from lmerbridge.errors import DataError
from lmerbridge.formula.syntax import (
    Binary,
    Call,
    Node,
    Paren,
    Unary,
    format_number,
    names_in,
)
from lmerbridge.inference.axes import AUTO, Axis, Reduce, axes_of
from lmerbridge.inference.degrees import Denominator
from lmerbridge.inference.linear_functions import Grid
from lmerbridge.inference.links import Link, link_of
from lmerbridge.inference.nesting import Nesting, as_nesting, detected, nesting_note, present, said

__all__ = ["ReferenceGrid", "evaluate_on", "reference_grid", "rows_of"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Codes: TypeAlias = np.ndarray[Any, np.dtype[np.intp]]


@by_value
@dataclass(frozen=True, eq=False)
class ReferenceGrid:
    """Predictions at combinations of the predictors' values.

    Attributes
    ----------
    axes : tuple of Axis
        The predictors, in the formula's order.
    codes : array of int (rows, axes)
        Which value each predictor takes in each row; the first predictor varies fastest.
    L : array (rows, p); offset : array (rows,)
        The predictions are ``L @ beta + offset``.
    beyond : array (rows, k)
        0 where the prediction can be estimated (:class:`lmerbridge.design.newdata.NewRows`).
    counts : array (rows,)
        Rows of the data in each cell.
    weights : array (rows,)
        The sum of their prior weights; the same where the fit has none.
    calls : bool
        Whether the fixed part of the formula calls a function, ``^`` or ``%in%``.
    nesting : mapping of str to tuple of str
        Per nested factor what it is nested in.
    denominator : Denominator
    link : Link, optional
        The transformation of the response.
    terms : tuple of frozenset of str
        The predictors of each term of the model.
    notes : tuple of str
        What emmeans says when it makes the grid.
    estimate : str
        What the rows are called if they are not means: ``x.trend``.
    var : str, optional
        The predictor along which slopes are taken.
    dialect : Dialect
        Whose text tables are printed in.
    """

    axes: tuple[Axis, ...]
    codes: Codes
    L: Array
    offset: Array
    beyond: Array
    counts: Array
    weights: Array
    calls: bool
    nesting: Nesting
    denominator: Denominator
    link: Link | None
    terms: tuple[frozenset[str], ...]
    notes: tuple[str, ...] = ()
    estimate: str = ""
    var: str | None = None
    dialect: Dialect = field(default_factory=without_r)

    @property
    def importance(self) -> Array:
        """How much each cell counts where weights are those of the data: its prior weights, which
        emmeans before 1.8.6 lost unless the formula calls a function.
        """
        kept = self.calls or self.dialect.prior_weights_count
        return self.weights if kept else self.counts

    def axis(self, name: str) -> Axis:
        """The predictor of that name."""
        return next(axis for axis in self.axes if axis.name == name)

    @property
    def names(self) -> tuple[str, ...]:
        """The predictors."""
        return tuple(axis.name for axis in self.axes)

    def labels(self, names: Sequence[str], codes: Codes) -> pd.DataFrame:
        """The values of some predictors at ``codes`` (rows, names) as columns: factors are
        categorical, truth values and numbers what they are.
        """
        found: dict[str, Any] = {}
        for j, name in enumerate(names):
            axis = self.axis(name)
            values = [axis.values[i] for i in codes[:, j].tolist()]
            if isinstance(axis.values[0], str):
                found[name] = pd.Categorical(values, list(axis.values), ordered=axis.ordered)
            else:
                found[name] = np.array(values)
        return pd.DataFrame(found, index=pd.RangeIndex(len(codes)))

    def grid(self, level: float = 0.95) -> Grid:
        """Its rows as linear functions with labels."""
        labels = self.labels(self.names, self.codes)
        if not self.axes:
            labels = pd.DataFrame({"1": pd.Categorical(["1"])})
        return Grid(
            labels,
            self.L,
            self.offset,
            self.beyond,
            (),
            self.estimate or "prediction",
            self.denominator,
            infer="neither",
            family=len(self.L),
            level=level,
            link=self.link,
            notes=self.notes,
            dialect=self.dialect,
        )

    def text(self) -> str:
        """What R's ``str`` prints of it."""
        lines = ["'emmGrid' object with variables:"]
        lines += [f"    {axis.name} = {_values_text(axis)}" for axis in self.axes]
        if not self.axes:
            lines.append("    1 = 1")
        if self.nesting:
            lines.append(f"Nesting structure:  {said(self.nesting)}")
        if self.link is not None:
            lines.append(f"Transformation: “{self.link.still or self.link.name}” ")
        if self.beyond.shape[1]:
            lines.append(f"Some things are non-estimable (null space dim = {self.beyond.shape[1]})")
        return "\n".join(lines)


def _values_text(axis: Axis) -> str:
    if isinstance(axis.values[0], bool):
        width = max(len(str(v)) for v in axis.values)
        texts = [str(v).upper().rjust(width) for v in axis.values]
    elif isinstance(axis.values[0], str):
        texts = list(axis.values)
    else:
        texts = _common(axis.values, 5)
    if len(texts) > 10:
        texts = [*texts[:9], "...", texts[-1]]
    return ", ".join(texts)


def _common(values: Sequence[float], digits: int) -> list[str]:
    """Numbers with so many decimals that each has ``digits`` significant ones, of one width."""
    own = [format_number(v, digits) for v in values]
    if any("e" in text for text in own):
        return own
    decimals = max(len(text.partition(".")[2]) for text in own)
    texts = [f"{v:.{decimals}f}" for v in values]
    width = max(map(len, texts))
    return [text.rjust(width) for text in texts]


# -- rows of the model at given values


def as_data(axes: Sequence[Axis], codes: Codes) -> pd.DataFrame:
    """New data with the predictors' values at ``codes`` (rows, axes)."""
    data = {}
    for j, axis in enumerate(axes):
        values = np.array(axis.values, dtype=object if isinstance(axis.values[0], str) else None)
        data[axis.name] = values[codes[:, j]]
    return pd.DataFrame(data, index=pd.RangeIndex(len(codes)))


def rows_of(frame: ModelFrame, data: pd.DataFrame) -> tuple[Array, Array]:
    """X (rows, p) and what is not determined (rows, k), at the values in ``data``."""
    no_offset = replace(frame, asked=replace(frame.asked, offset_name=None))
    found = new_rows(no_offset, data, random=False)
    return found.X, found.beyond


def evaluate_on(frame: ModelFrame, node: Node, data: Any) -> Array:
    """A numeric expression of the predictors at the values in ``data``, with what its functions
    learn from the data of the fit (``scale``, ``poly``).

    Raises
    ------
    DataError
        A column that is not there, or a value that is no number.
    """
    memory = copy.deepcopy(dict(frame.design.memory))

    def of_fit(name: str) -> Column:
        if name not in frame.source.raw:
            raise DataError(f"{name!r} is no column of the model")
        return take(frame.source.raw[name], frame.source.kept)

    fitted = Evaluator(of_fit, frame.nobs, frame.source.raw, memory).column(node)
    if data is None:
        return np.asarray(numbers_of(fitted, "the expression"), dtype=np.float64)
    table = read_table(data)

    def of_data(name: str) -> Column:
        column, own = table.column(name), frame.source.raw[name]
        if isinstance(own, Factor) and isinstance(column, Factor):
            position = {level: i for i, level in enumerate(own.levels)}
            renumber = np.array([*(position.get(level, -1) for level in column.levels), -1])
            return replace(own, codes=renumber[column.codes])
        if isinstance(own, Logical) and not isinstance(column, Factor):
            return Logical(column.values)
        return column

    column = Evaluator(of_data, table.rows, frame.source.raw, memory).column(node)
    return np.asarray(numbers_of(column, "the expression"), dtype=np.float64)


def _offset(
    frame: ModelFrame,
    axes: Sequence[Axis],
    data: pd.DataFrame,
    at: Mapping[str, Any],
    dialect: Dialect,
) -> Array:
    """The mean over the data of the argument ``offset``; of an ``offset()`` of predictors what it
    is at their values in the grid. Before emmeans 1.8.7 that is its mean too, unless the values are
    those of ``at`` or of the data.
    """
    found = np.zeros(len(data))
    if frame.offset is None:
        return found
    found += float(np.mean(frame.offset))
    settled = {
        axis.name
        for axis in axes
        if dialect.offset_terms_in_grid or axis.codes is not None or axis.name in at
    }
    for node in frame.formula.terms(frame.design.dot_columns).offsets:
        used = {n.id for n in names_in(node)}
        if used and used <= settled:
            found += evaluate_on(frame, node, data) - float(np.mean(evaluate_on(frame, node, None)))
    return found


def _calls(node: Node | None) -> bool:
    """Whether the fixed part of a formula calls a function; the formula's ``^`` and ``%in%`` are
    calls too, the other operators are not.
    """
    match node:
        case Call():
            return True
        case Binary():
            return node.operator in ("^", "%in%") or _calls(node.left) or _calls(node.right)
        case Paren():
            return _calls(node.inner)
        case Unary():
            return _calls(node.operand)
        case _:
            return False


def _in_cells(axes: Sequence[Axis], codes: Codes, rows: int, weights: Array | None) -> Array:
    """Rows of the data in each cell, or the sum of their weights, by the predictors whose values
    are the data's own.
    """
    own = [j for j, axis in enumerate(axes) if axis.codes is not None]
    if not own:
        return np.full(len(codes), float(rows) if weights is None else weights.sum())
    cell = np.zeros(rows, dtype=np.int64)
    lost = np.zeros(rows, dtype=bool)
    target = np.zeros(len(codes), dtype=np.int64)
    size = 1
    for j in own:
        given = axes[j].codes
        assert given is not None
        lost |= given < 0
        cell += size * np.maximum(given, 0)
        target += size * codes[:, j]
        size *= len(axes[j])
    if weights is not None:
        weights = weights[~lost]
    return np.bincount(cell[~lost], weights, minlength=size)[target].astype(np.float64)


def _terms(frame: ModelFrame) -> tuple[frozenset[str], ...]:
    terms = frame.formula.terms(frame.design.dot_columns)
    return tuple(
        frozenset(
            n.id for i in term for n in names_in(terms.variables[i]) if n.id in frame.source.raw
        )
        for term in terms.terms
    )


def reference_grid(
    frame: ModelFrame,
    denominator: Denominator,
    at: Mapping[str, Any] | None = None,
    cov_keep: Any = "2",
    cov_reduce: Reduce = True,
    nesting: Any = AUTO,
    offset: float | None = None,
    rg_limit: int = 10_000,
    matrix: Callable[[ModelFrame, pd.DataFrame], tuple[Array, Array]] = rows_of,
    dialect: Dialect | None = None,
) -> ReferenceGrid:
    """The grid of all combinations of the predictors' values.

    Parameters
    ----------
    frame : ModelFrame
        The model frame of the fit.
    denominator : Denominator
        Fixed effects, their covariance matrix and degrees of freedom.
    at, cov_keep, cov_reduce
        As in :func:`lmerbridge.inference.axes.axes_of`.
    nesting : str or mapping, optional
        Instead of what data and model show: ``"city %in% state"``, ``{"city": "state"}``; ``None``
        for no nesting.
    offset : float, optional
        Instead of the mean of the model's offset.
    rg_limit : int
        Greatest number of rows.
    matrix : callable
        What makes L and what cannot be estimated of new data.
    dialect : Dialect, optional
        Of the emmeans that is followed; default that of fits without R.

    Raises
    ------
    DataError
        Names or values that the data have not, or too many combinations.
    """
    asked, dialect = dict(at or {}), dialect or without_r()
    axes = axes_of(frame, asked, cov_keep, cov_reduce)
    sizes = [len(axis) for axis in axes]
    count = math.prod(sizes)
    if count > rg_limit:
        raise DataError(
            f"the reference grid would have {count} rows, more than rg_limit = {rg_limit}: give "
            "fewer values by at=, reduce covariates by cov_reduce=, or raise rg_limit"
        )
    codes = (
        np.stack(np.unravel_index(np.arange(count), sizes, order="F"), axis=1)
        if sizes
        else (np.zeros((1, 0), dtype=np.intp))
    )
    counts = _in_cells(axes, codes, frame.nobs, None)
    weights = _in_cells(axes, codes, frame.nobs, frame.weights)
    notes: tuple[str, ...] = ()
    if isinstance(nesting, str) and nesting == AUTO:
        nested = detected(frame, axes, codes, counts)
        if nested:
            notes = (nesting_note(nested),)
    else:
        nested = as_nesting(nesting, [axis.name for axis in axes])
    there = present(axes, codes, counts, nested)
    codes, counts, weights = codes[there], counts[there], weights[there]
    data = as_data(axes, codes)
    L, beyond = matrix(frame, data)
    if offset is None:
        offsets = _offset(frame, axes, data, asked, dialect)
    else:
        offsets = np.full(len(data), float(offset))
    return ReferenceGrid(
        tuple(axes),
        codes,
        L,
        offsets,
        beyond,
        counts,
        weights,
        _calls(frame.formula.fixed),
        nested,
        denominator,
        link_of(frame),
        _terms(frame),
        notes,
        dialect=dialect,
    )
