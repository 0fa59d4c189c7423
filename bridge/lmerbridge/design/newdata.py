"""New rows for a model that has been fitted: its variables, coded as they were in the fit."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from lmerbridge.design.columns import (
    Array,
    Column,
    Factor,
    Logical,
    Numeric,
    Table,
    as_factor,
    is_missing,
    read_table,
    take,
)
from lmerbridge.design.evaluate import Evaluator
from lmerbridge.design.frame import ModelFrame
from lmerbridge.design.matrix import model_matrix
from lmerbridge.errors import DataError, FormulaError
from lmerbridge.formula.parser import parse_expression
from lmerbridge.formula.syntax import Node, deparse, names_in

__all__ = ["NewBlock", "NewRows", "new_rows"]


@dataclass(frozen=True)
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


@dataclass(frozen=True)
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
    """A column of new data with the levels that the fit's column has, new ones after them."""
    if isinstance(fitted, Factor):
        new = as_factor(column)
        extra = [level for level in new.levels if level not in set(fitted.levels)]
        levels = (*fitted.levels, *extra)
        position = {level: i for i, level in enumerate(levels)}
        renumber = np.array([*(position[level] for level in new.levels), -1])
        return replace(fitted, codes=renumber[new.codes], levels=levels)
    if fitted is not None and isinstance(column, Factor):
        if bool(np.all(column.codes < 0)):  # nothing but missing values
            return Numeric(np.full(len(column.codes), np.nan))
        raise DataError(
            f"variable {name!r} was fitted as numbers, but newdata has strings or categories"
        )
    return column


class _NewData:
    """Looks columns up in new data, as the fit knows them."""

    def __init__(self, frame: ModelFrame, table: Table):
        self.frame, self.table = frame, table

    def __call__(self, name: str) -> Column:
        if name not in self.table:
            if name in ("pi",) and name not in self.frame.raw:
                return self.table.column(name)
            listed = ", ".join(map(str, self.table.columns))
            raise DataError(
                f"newdata has no column {name!r}, which the model needs; it has {listed}"
            )
        return _as_fitted(self.table.column(name), self.frame.raw.get(name), name)


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
    parts = [as_factor(lookup(column)) for column in columns]
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


def new_rows(frame: ModelFrame, data: Any, random: bool = True) -> NewRows:
    """The matrices of the model of ``frame`` on ``data``.

    Factor levels, contrasts and what ``poly``, ``scale``, ``bs``, ``ns`` and ``cut`` learned are
    the fit's.

    Parameters
    ----------
    random : bool
        Whether the random terms are wanted; without them ``data`` needs no grouping factors.

    Raises
    ------
    DataError
        A column is missing, or a factor of the fixed part has a new level.
    """
    table = read_table(data)
    lookup = _NewData(frame, table)
    n = table.rows
    terms = frame.formula.terms(frame.dot_columns)
    nodes: dict[str, Node] = {deparse(v): v for v in (*terms.variables, *terms.offsets)}
    given_offset = None
    if frame.offset_name is not None:
        try:
            given_offset = parse_expression(frame.offset_name)
            for name in names_in(given_offset):
                lookup(name.id)
        except (DataError, FormulaError) as error:
            raise DataError(
                f"the model has an offset {frame.offset_name!r}, which newdata must have as a "
                "column of that name"
            ) from error
        nodes[deparse(given_offset)] = given_offset
    own_terms = {term.text: term for term in frame.formula.random} if random else {}
    for term in own_terms.values():
        nodes.update({deparse(v): v for v in term.columns.variables})
    raw = {name.id: lookup(name.id) for node in nodes.values() for name in names_in(node)}
    complete = np.ones(n, dtype=bool)
    for column in raw.values():
        complete &= ~is_missing(column)
    present = {name: take(column, complete) for name, column in raw.items()}
    rows = int(complete.sum())

    def padded(values: Array) -> Array:
        if rows == n:
            return values
        found = np.full((n, *values.shape[1:]), np.nan)
        found[complete] = values
        return found

    def look_up(name: str) -> Column:
        return present[name] if name in present else take(lookup(name), complete)

    evaluator = Evaluator(look_up, rows, copy.deepcopy(dict(frame.memory)))
    variables: dict[str, Column] = {}
    if rows:
        for label, node in nodes.items():
            fitted = frame.variables.get(label)
            column = evaluator.column(node)
            variables[label] = column if fitted is None else _like(column, fitted, label)

    p = len(frame.x_names)
    X, offset = np.empty((0, p)), None
    beyond = np.empty((0, len(frame.x_dropped)))
    has_offset = bool(terms.offsets) or given_offset is not None
    if rows:
        own = {deparse(v): variables[deparse(v)] for v in terms.variables}
        full = model_matrix(terms, own, rows, frame.contrasts)
        dropped = set(frame.x_dropped)
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
    blocks = []
    for block in frame.random if random else ():
        term = own_terms[block.text]
        columns = np.empty((0, len(block.names)))
        if rows:
            mine = {deparse(v): variables[deparse(v)] for v in term.columns.variables}
            columns = model_matrix(term.columns, mine, rows).values
        codes, missing, unknown, new_codes = _group_codes(
            term.grouping.columns, lookup, block.levels
        )
        blocks.append(NewBlock(padded(columns), codes, missing, unknown, new_codes))
    index = table.native.index if isinstance(table.native, pd.DataFrame) else None
    return NewRows(
        padded(X),
        None if offset is None else padded(offset),
        _weights(frame, table),
        tuple(blocks),
        index,
        padded(beyond),
    )


def _undetermined(frame: ModelFrame) -> Array:
    """Directions (columns, k) of all fixed effects, those dropped too, that the data of the fit do
    not determine: the null space of its whole model matrix.
    """
    terms = frame.formula.terms(frame.dot_columns)
    own = {deparse(v): frame.variables[deparse(v)] for v in terms.variables}
    full = model_matrix(terms, own, frame.nobs, frame.contrasts)
    if not frame.x_dropped:
        return np.empty((len(full.names), 0))
    scale = np.sqrt(np.mean(full.values**2, axis=0))
    scale = np.where(scale > 0, scale, 1.0)
    _, _, rows = np.linalg.svd(np.linalg.qr(full.values / scale, mode="r"))
    found: Array = rows[len(frame.x_names) :].T / scale[:, None]
    return np.asarray(found / np.abs(found).max(axis=0))


def _weights(frame: ModelFrame, table: Table) -> Array | None:
    if frame.weights_name is None or frame.weights_name not in table:
        return None
    column = table.column(frame.weights_name)
    return None if isinstance(column, Factor) else np.asarray(column.values, dtype=np.float64)
