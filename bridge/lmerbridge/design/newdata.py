"""New rows for a model that has been fitted: its variables, coded as they were in the fit."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from lmerbridge.design.blocks import RandomBlock
from lmerbridge.design.columns import (
    Array,
    Column,
    Factor,
    Logical,
    Numeric,
    as_factor,
    is_missing,
    take,
)
from lmerbridge.design.constants import CONSTANTS
from lmerbridge.design.evaluate import Evaluator
from lmerbridge.design.frame import ModelFrame
from lmerbridge.design.matrix import model_matrix
from lmerbridge.design.table import Table, read_table
from lmerbridge.design.times import SECONDS
from lmerbridge.design.values import is_integer
from lmerbridge.equality import by_value
from lmerbridge.errors import DataError, FormulaError, near_match
from lmerbridge.formula import RandomTerm
from lmerbridge.formula.parser import parse_expression
from lmerbridge.formula.syntax import Node, deparse, names_in

__all__ = ["NewBlock", "NewRows", "new_rows"]


@by_value
@dataclass(frozen=True, eq=False)
class NewBlock:
    """A random term on new rows.

    Attributes
    ----------
    columns : array (n, k)
        NaN where a variable is missing.
    codes : array of int (n,)
        Index of the level in the fit; -1 for a level that was not there.
    missing : array of bool (n,)
        Where the grouping factor itself is missing.
    new_levels : tuple of str
    new_codes : array of int (n,)
        Index into ``new_levels``; -1 elsewhere.
    """

    columns: Array
    codes: Array
    missing: Array
    new_levels: tuple[str, ...]
    new_codes: Array


@by_value
@dataclass(frozen=True, eq=False)
class NewRows:
    """Matrices of new rows; ``X`` (n, p) and ``offset`` (n,) are NaN where a variable is missing.

    ``weights`` (n,) are ``None`` where the model or the new data have none. ``beyond`` (n, k) is 0
    where the row can be estimated, whatever columns of X were dropped; k is their number.
    """

    X: Array
    offset: Array | None
    weights: Array | None
    random: tuple[NewBlock, ...]
    index: pd.Index[Any] | None
    beyond: Array

    def __len__(self) -> int:
        return len(self.X)


def _as_fitted(column: Column, fitted: Column | None, name: str) -> Column:
    """A column of new data as the fit knows it: of the same kind, and a factor with the levels
    that the fit's has, new ones after them.
    """
    if isinstance(fitted, Factor):
        new = as_factor(column)
        extra = [level for level in new.levels if level not in set(fitted.levels)]
        levels = (*fitted.levels, *extra)
        position = {level: i for i, level in enumerate(levels)}
        renumber = np.array([*(position[level] for level in new.levels), -1])
        return replace(fitted, codes=renumber[new.codes], levels=levels)
    if fitted is not None and isinstance(column, Factor):
        if bool(np.all(column.codes < 0)):  # nothing but missing values
            column = Numeric(np.full(len(column.codes), np.nan))
        else:
            kind = "truth values" if isinstance(fitted, Logical) else "numbers"
            raise DataError(
                f"variable {name!r} was fitted as {kind}, but newdata has strings or categories"
            )
    if isinstance(fitted, Numeric) and isinstance(column, Logical):
        return Numeric(column.values)
    if isinstance(fitted, Numeric) and isinstance(column, Numeric):
        return _counted_as_fitted(column, fitted, name)
    return column


def _counted_as_fitted(column: Numeric, fitted: Numeric, name: str) -> Numeric:
    """Dates and times in the unit of the fit's; plain numbers count what the fit's do."""
    time = column.time
    if time is None and fitted.time is None:
        known = column.floats[~np.isnan(column.floats)]
        whole = is_integer(fitted) and bool(np.all(known == np.floor(known)))
        return replace(column, integer=True) if whole and not is_integer(column) else column
    if time is None:
        return replace(column, time=fitted.time)
    if fitted.time is None:
        if bool(np.all(np.isnan(fitted.floats))) or bool(np.all(np.isnan(column.floats))):
            return column
        raise DataError(f"variable {name!r} was fitted as numbers, but newdata has {time.kind!r}")
    if time.is_difference != fitted.time.is_difference:
        raise DataError(
            f"variable {name!r} was fitted as {fitted.time.kind!r}, but newdata has {time.kind!r}"
        )
    scale = SECONDS[time.unit] / SECONDS[fitted.time.unit]
    values = column.floats if scale == 1 else column.floats * scale
    return replace(column, values=values, time=fitted.time)


class _NewData:
    """Looks columns up in new data, as the fit knows them."""

    def __init__(self, frame: ModelFrame, table: Table):
        self.frame, self.table = frame, table

    def __contains__(self, name: object) -> bool:
        """Whether a formula means a column by ``name``: in the fit it did, or here it does."""
        return name in self.frame.source.raw or name in self.table

    def __call__(self, name: str, use: str = "") -> Column:
        if name not in self.table:
            raise DataError(
                f"newdata has no column {name!r}"
                f"{near_match(name, self.table.columns)}, which {use or 'the model'} needs; "
                f"it has {', '.join(self.table.columns)}"
            )
        return _as_fitted(self.table.column(name), self.frame.source.raw.get(name), name)


def _like(column: Column, fitted: Column, label: str) -> Column:
    """An evaluated variable with the fit's levels.

    Raises
    ------
    DataError
        A level that was not in the fit.
    """
    if isinstance(fitted, Factor):
        new = as_factor(column)
        position = {level: i for i, level in enumerate(fitted.levels)}
        used = np.unique(new.codes[new.codes >= 0])
        unknown = [new.levels[i] for i in used if new.levels[i] not in position]
        if unknown:
            raise DataError(
                f"factor {label} has new level{'s' if len(unknown) > 1 else ''} "
                f"{', '.join(unknown)}; the fit has {', '.join(fitted.levels)}"
            )
        renumber = np.array([*(position.get(level, -1) for level in new.levels), -1])
        return replace(fitted, codes=renumber[new.codes])
    if isinstance(column, Factor):
        raise DataError(f"variable {label} was fitted as numbers, but newdata gives a factor")
    if isinstance(fitted, Logical) and isinstance(column, Numeric):
        return Logical(column.floats)
    return column


def _group_codes(
    columns: tuple[str, ...], lookup: _NewData, levels: tuple[str, ...]
) -> tuple[Array, Array, tuple[str, ...], Array]:
    parts = [as_factor(lookup(column, _RANDOM)) for column in columns]
    missing = np.zeros(len(parts[0].codes), dtype=bool)
    labels: Any = None
    for part in parts:
        missing |= part.codes < 0
        texts = np.array([*part.levels, ""], dtype=object)[part.codes]
        labels = texts if labels is None else labels + ":" + texts
    codes = pd.Index(list(levels)).get_indexer(pd.Index(labels))
    codes = np.where(missing, -1, codes)
    beyond = (codes < 0) & ~missing
    new_codes = np.full(len(codes), -1)
    new_codes[beyond], unknown = pd.factorize(labels[beyond])
    return codes, missing, tuple(map(str, unknown)), new_codes


# who asks for a column, in messages
_RANDOM = "a random term (re_form='NA' predicts without them)"


@by_value
@dataclass(frozen=True, eq=False)
class _WantedTerm:
    """A random term on new rows: which of its columns count, and the variables that these need."""

    block: RandomBlock
    term: RandomTerm
    flags: Array
    needed: dict[str, Node]

    @property
    def counts(self) -> bool:
        return bool(self.flags.any())


def _wanted_terms(frame: ModelFrame, random: bool | Sequence[Any]) -> list[_WantedTerm]:
    """The random terms with what is wanted of each."""
    if random is False:
        return []
    terms = {term.text: term for term in frame.formula.random}
    chosen = [np.ones(len(b.names), bool) for b in frame.random] if random is True else list(random)
    wanted = []
    for block, flags in zip(frame.random, chosen, strict=True):
        term = terms[block.text]
        labels = [deparse(v) for v in term.columns.variables]
        first = {label: take(frame.rows.variables[label], np.arange(1)) for label in labels}
        assign = np.array(model_matrix(term.columns, first, 1).assign)
        used = {v for t in set(assign[flags].tolist()) - {0} for v in term.columns.terms[t - 1]}
        needed = {labels[v]: term.columns.variables[v] for v in sorted(used)}
        wanted.append(_WantedTerm(block, term, np.asarray(flags, dtype=bool), needed))
    return wanted


def _offset_node(frame: ModelFrame, lookup: _NewData) -> Node | None:
    """The model's ``offset=`` as an expression of new data's columns."""
    if frame.asked.offset_name is None:
        return None
    try:
        node = parse_expression(frame.asked.offset_name)
        for name in names_in(node):
            if name.id in lookup or name.id not in CONSTANTS:
                lookup(name.id)
    except (DataError, FormulaError) as error:
        raise DataError(
            f"the model has an offset {frame.asked.offset_name!r}, which newdata must have as a "
            "column of that name"
        ) from error
    return node


def _variables(
    frame: ModelFrame, lookup: _NewData, nodes: Mapping[str, Node], random: Mapping[str, Node]
) -> tuple[Array, dict[str, Column]]:
    """Which rows have no missing value, and the variables of ``nodes`` on these rows."""
    named = {name.id: "" for node in nodes.values() for name in names_in(node)}
    for node in random.values():
        for name in names_in(node):
            named.setdefault(name.id, _RANDOM)
    raw = {
        name: lookup(name, use)
        for name, use in named.items()
        if name in lookup or name not in CONSTANTS
    }
    complete = np.ones(lookup.table.rows, dtype=bool)
    for column in raw.values():
        complete &= ~is_missing(column)
    rows = int(complete.sum())
    variables: dict[str, Column] = {}
    if rows:
        present = {name: take(column, complete) for name, column in raw.items()}
        memory = copy.deepcopy(dict(frame.design.memory))
        evaluator = Evaluator(present.__getitem__, rows, raw, memory)
        for label, node in {**nodes, **random}.items():
            fitted = frame.rows.variables.get(label)
            column = evaluator.column(node)
            variables[label] = column if fitted is None else _like(column, fitted, label)
    return complete, variables


def new_rows(
    frame: ModelFrame, data: Any, random: bool | Sequence[Any] = True, fixed: bool = True
) -> NewRows:
    """The matrices of the model of ``frame`` on ``data``.

    Factor levels, contrasts and what ``poly``, ``scale``, ``bs``, ``ns`` and ``cut`` learned are
    the fit's.

    Parameters
    ----------
    frame : ModelFrame
        The model frame of the fit.
    data : frame
        New rows.
    random : bool or sequence of arrays of bool
        Whether the random terms are wanted, or per term which of its columns are, as
        :func:`lmerbridge.inference.re_form.chosen_effects` gives it. ``data`` needs no more than
        what is wanted is made of: the variables and grouping factors of other terms may be
        absent or missing, and the columns that are not wanted are 0. ``False``: ``random`` of
        the result is empty.
    fixed : bool
        Whether the fixed part is wanted, the offset with it. Else ``data`` needs nothing of it,
        ``X`` is 0 and ``offset`` ``None``.

    Raises
    ------
    DataError
        A column is missing, or a factor of the fixed part has a new level.
    """
    table = read_table(data)
    lookup = _NewData(frame, table)
    n = table.rows
    terms = frame.formula.terms(frame.design.dot_columns)
    nodes: dict[str, Node] = {}
    if fixed:
        nodes = {deparse(v): v for v in (*terms.variables, *terms.offsets)}
    given_offset = _offset_node(frame, lookup) if fixed else None
    if given_offset is not None:
        nodes[deparse(given_offset)] = given_offset
    wanted = _wanted_terms(frame, random)
    own = {label: node for w in wanted for label, node in w.needed.items() if label not in nodes}
    complete, variables = _variables(frame, lookup, nodes, own)
    rows = int(complete.sum())

    def padded(values: Array) -> Array:
        if rows == n:
            return values
        found = np.full((n, *values.shape[1:]), np.nan)
        found[complete] = values
        return found

    p = len(frame.x_names)
    X, offset = np.empty((0, p)), None
    beyond = np.empty((0, len(frame.design.x_dropped)))
    has_offset = fixed and (bool(terms.offsets) or given_offset is not None)
    if not fixed:
        X, beyond = np.zeros((rows, p)), np.zeros((rows, 0))
    elif rows:
        own_columns = {deparse(v): variables[deparse(v)] for v in terms.variables}
        full = model_matrix(terms, own_columns, rows, frame.design.contrasts)
        dropped = set(frame.design.x_dropped)
        beyond = full.values @ _undetermined(frame)
        X = full.values[:, [j for j, name in enumerate(full.names) if name not in dropped]]
        if has_offset:
            sides = [*terms.offsets, *([] if given_offset is None else [given_offset])]
            given = [variables[deparse(node)] for node in sides]
            offset = np.sum(
                [np.asarray(c.values, float) for c in given if not isinstance(c, Factor)], axis=0
            )
    elif has_offset:
        offset = np.empty(0)
    index = table.native.index if isinstance(table.native, pd.DataFrame) else None
    return NewRows(
        padded(X),
        None if offset is None else padded(offset),
        _weights(frame, table),
        tuple(_new_block(frame, w, wanted, lookup, variables, complete) for w in wanted),
        index,
        padded(beyond),
    )


def _new_block(
    frame: ModelFrame,
    wanted: _WantedTerm,
    every: Sequence[_WantedTerm],
    lookup: _NewData,
    variables: Mapping[str, Column],
    complete: Array,
) -> NewBlock:
    """One random term on new rows, 0 in the columns that are not wanted."""
    n, k = len(complete), len(wanted.flags)
    columns = np.zeros((n, k))
    if wanted.counts:
        columns[~complete] = np.nan
        rows = int(complete.sum())
        if rows:
            mine = {}
            for label in map(deparse, wanted.term.columns.variables):
                # what only columns that are not wanted need is not asked for: any value does
                fit = frame.rows.variables[label]
                mine[label] = (
                    variables[label]
                    if label in wanted.needed
                    else take(fit, np.zeros(rows, dtype=np.int64))
                )
            columns[complete] = model_matrix(wanted.term.columns, mine, rows).values
        columns[:, ~wanted.flags] = 0.0
    # terms on one grouping factor share its levels, whichever of them counts
    if any(w.counts and w.block.group == wanted.block.group for w in every):
        codes, missing, unknown, new_codes = _group_codes(
            wanted.term.grouping.columns, lookup, wanted.block.levels
        )
        return NewBlock(columns, codes, missing, unknown, new_codes)
    nowhere = np.full(n, -1)
    return NewBlock(columns, nowhere, np.zeros(n, dtype=bool), (), nowhere)


def _undetermined(frame: ModelFrame) -> Array:
    """Directions (columns, k) of all fixed effects, those dropped too, that the data of the fit do
    not determine: the null space of its whole model matrix.
    """
    if not frame.design.x_dropped:
        return np.empty((len(frame.x_names), 0))
    terms = frame.formula.terms(frame.design.dot_columns)
    own = {deparse(v): frame.rows.variables[deparse(v)] for v in terms.variables}
    full = model_matrix(terms, own, frame.nobs, frame.design.contrasts)
    scale = np.sqrt(np.mean(full.values**2, axis=0))
    scale = np.where(scale > 0, scale, 1.0)
    _, _, rows = np.linalg.svd(np.linalg.qr(full.values / scale, mode="r"))
    # of columns of mean square 1, so that the units of the predictors do not matter
    return np.asarray(rows[len(frame.x_names) :].T / scale[:, None])


def _weights(frame: ModelFrame, table: Table) -> Array | None:
    if frame.asked.weights_name is None or frame.asked.weights_name not in table:
        return None
    column = table.column(frame.asked.weights_name)
    return None if isinstance(column, Factor) else np.asarray(column.values, dtype=np.float64)
