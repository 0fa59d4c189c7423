"""``build_frame``: R's ``model.frame`` and lme4's ``lFormula`` in one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from lmerbridge.design.arguments import (
    check_contrasts,
    check_offset,
    check_weights,
    row_values,
    subset_rows,
)
from lmerbridge.design.asked import Asked
from lmerbridge.design.checks import check_random, check_rank, check_response, check_scale
from lmerbridge.design.columns import (
    Array,
    Column,
    Factor,
    Numeric,
    as_factor,
    drop_unused_levels,
    is_missing,
    take,
)
from lmerbridge.design.contrasts import Contrast, read_contrasts
from lmerbridge.design.control import Control
from lmerbridge.design.design import Design, TermDesign
from lmerbridge.design.evaluate import Evaluator
from lmerbridge.design.family_response import check_prior_weights, family_response
from lmerbridge.design.frame import ModelFrame
from lmerbridge.design.identifiable import check_identifiable
from lmerbridge.design.matrix import ModelMatrix, contrasts_of, model_matrix
from lmerbridge.design.notes import Note
from lmerbridge.design.random_terms import random_blocks
from lmerbridge.design.rows import Rows, TermRows
from lmerbridge.design.source import Source
from lmerbridge.design.table import Table, read_table
from lmerbridge.errors import DataError
from lmerbridge.formula import Formula, Terms, parse_formula
from lmerbridge.formula.syntax import Node, deparse

if TYPE_CHECKING:
    from lmerbridge.family import Family

__all__ = ["build_frame"]

NA_ACTIONS = ("omit", "exclude", "fail", "pass")


class _Evaluated(NamedTuple):
    """What the formula and the arguments name, on all rows of the data."""

    formula: Formula
    terms: Terms
    table: Table
    evaluator: Evaluator
    variables: Mapping[str, Column]
    factors: Mapping[str, Factor]
    weights: Array | None
    weights_name: str | None
    offset: Array | None
    offset_name: str | None
    subset: Array | None
    subset_name: str | None


class _Kept(NamedTuple):
    """Which rows are used, and which were dropped for a missing value."""

    used: Array
    missing: Array
    counts: tuple[tuple[str, int], ...]

    @property
    def places(self) -> Array:
        """Positions in the data of the rows used."""
        # half the memory, which at ten million rows is worth a cast
        kind = np.int32 if len(self.used) < 2**31 else np.int64
        return np.flatnonzero(self.used).astype(kind)


class _Coded(NamedTuple):
    """The rows used, coded and checked.

    ``matrix`` has the columns that are linear combinations of others too; ``columns`` are the
    positions of those that stay in X.
    """

    variables: Mapping[str, Column]
    y: Array
    weights: Array | None
    contrasts: Mapping[str, Contrast]
    asked_contrasts: Mapping[str, Contrast]
    matrix: ModelMatrix
    columns: Array
    X: Array
    random: tuple[TermDesign, ...]
    random_rows: tuple[TermRows, ...]
    notes: tuple[Note, ...]


def _variables(
    formula: Formula, terms: Terms, table: Table, evaluator: Evaluator
) -> dict[str, Column]:
    """Every variable of the formula by its text, on all rows."""
    for name in formula.columns_named:
        if not evaluator.is_constant(name):
            table.column(name)  # an unknown column is named before anything is computed
    nodes: dict[str, Node] = {formula.response_label: formula.response}
    for part in (terms, *(term.columns for term in formula.random)):
        for label, node in zip(part.variable_labels, part.variables, strict=True):
            nodes.setdefault(label, node)
    for node in terms.offsets:
        nodes.setdefault(deparse(node), node)
    return {label: evaluator.column(node) for label, node in nodes.items()}


def _check_kind_of_response(column: Column, label: str) -> None:
    kind = (
        "a factor or a string"
        if isinstance(column, Factor)
        else "a matrix"
        if isinstance(column, Numeric) and column.values.ndim != 1
        else f"of class {column.time.kind!r}; write as.numeric({label})"
        if isinstance(column, Numeric) and column.time is not None
        else None
    )
    if kind is not None:
        raise DataError(f"response must be numeric: {label} is {kind}")


def _evaluated(
    formula: Formula,
    table: Table,
    weights: Any,
    offset: Any,
    subset: Any,
    family: Family | None,
) -> _Evaluated:
    """Everything that is read of the data, before a row is left out."""
    evaluator = Evaluator(table.column, table.rows, table)
    terms = formula.terms(table.columns) if formula.has_dot else formula.terms_without_dot
    variables = _variables(formula, terms, table, evaluator)
    if family is None:
        _check_kind_of_response(variables[formula.response_label], formula.response_label)
    for node in terms.offsets:
        check_offset(variables[deparse(node)], deparse(node))
    factors = {
        column: as_factor(table.column(column))
        for term in formula.random
        for column in term.grouping.columns
    }
    return _Evaluated(
        formula,
        terms,
        table,
        evaluator,
        variables,
        factors,
        *row_values(weights, "weights", table, evaluator),
        *row_values(offset, "offset", table, evaluator),
        *subset_rows(subset, table, evaluator),
    )


def _kept(whole: _Evaluated, na_action: str) -> _Kept:
    """Take the subset of the rows, and of these the ones without a missing value."""
    sides: dict[str, Column] = {
        f"{what} {name}": Numeric(values)
        for what, name, values in (
            ("weights", whole.weights_name, whole.weights),
            ("offset", whole.offset_name, whole.offset),
        )
        if values is not None
    }
    chosen = np.ones(whole.table.rows, dtype=bool) if whole.subset is None else whole.subset
    kept = _without_missing({**whole.variables, **whole.factors, **sides}, chosen, na_action)
    _reject_infinite({**whole.variables, **sides}, kept.used)
    return kept


def _without_missing(columns: Mapping[str, Column], chosen: Array, na_action: str) -> _Kept:
    """Drop the rows with a missing value in any of ``columns``."""
    missing = np.zeros(len(chosen), dtype=bool)
    counts: dict[str, int] = {}
    for label, column in columns.items():
        absent = is_missing(column) & chosen
        count = int(np.count_nonzero(absent))
        if count:
            counts[label] = count
            missing |= absent
    if counts and na_action in ("fail", "pass"):
        listed = ", ".join(f"{k} ({v})" for k, v in counts.items())
        why = "; na_action='pass' keeps their rows, which no fit can" if na_action == "pass" else ""
        raise DataError(f"missing values in object: {listed}{why}")
    kept = _Kept(chosen & ~missing, missing, tuple(counts.items()))
    if not chosen.any():
        raise DataError("0 (non-NA) cases: the subset is empty")
    if not kept.used.any():
        empty = ", ".join(k for k, v in counts.items() if v == chosen.sum())
        raise DataError(
            "0 (non-NA) cases: every row has a missing value" + (f" (in {empty})" if empty else "")
        )
    return kept


def _reject_infinite(columns: Mapping[str, Column], rows: Array) -> None:
    for label, column in columns.items():
        if isinstance(column, Factor) or column.values.dtype.kind != "f":
            continue
        infinite = np.isinf(column.values[rows])
        if infinite.any():
            where = np.flatnonzero(infinite.reshape(len(infinite), -1).any(axis=1))
            first = np.flatnonzero(rows)[where[0]] + 1
            raise DataError(f"{label} is infinite in {len(where)} row(s), first in row {first}")


def _used(columns: Mapping[str, Column], rows: Array) -> dict[str, Column]:
    """The columns on the rows used, without the levels that no row has."""
    whole = bool(rows.all())
    taken = {
        # codes are ours already, numbers may be the user's own array
        label: column if whole and isinstance(column, Factor) else take(column, rows)
        for label, column in columns.items()
    }
    return {
        label: drop_unused_levels(column) if isinstance(column, Factor) else column
        for label, column in taken.items()
    }


def _numbers(column: Column) -> Array:
    assert not isinstance(column, Factor)
    return np.asarray(column.values, dtype=np.float64)


def _response(
    column: Column, label: str, weights: Array | None, name: str | None, family: Family | None
) -> tuple[Array, Array | None, list[Note]]:
    """The response and the prior weights, checked; and what R would warn of."""
    notes: list[Note] = []
    if family is None:
        y = _numbers(column)
    else:
        if weights is not None:
            check_prior_weights(weights, name)
        y, weights, notes = family_response(column, label, weights, family)
    check_response(y, label)
    if family is None and weights is not None:
        check_weights(weights, name)
    return y, weights, notes


def _coded(
    whole: _Evaluated,
    kept: _Kept,
    contrasts: Mapping[str, Any] | None,
    control: Control,
    family: Family | None,
) -> _Coded:
    """Code the rows used, and make lme4's checks in its order."""
    label = whole.formula.response_label
    used = _used(whole.variables, kept.used)
    factors = {
        name: column
        for name, column in _used(whole.factors, kept.used).items()
        if isinstance(column, Factor)
    }
    given = None if whole.weights is None else whole.weights[kept.used]
    y, weights, notes = _response(used[label], label, given, whole.weights_name, family)

    fixed = {name: used[name] for name in whole.terms.variable_labels}
    asked = read_contrasts(contrasts)
    notes += check_contrasts(asked, {label: used[label], **fixed})
    coding = contrasts_of(fixed, asked)
    full = model_matrix(whole.terms, fixed, len(y), coding)
    blocks = random_blocks(whole.formula, used, factors, whole.terms, full)

    random = tuple(block.term for block in blocks)
    notes += check_random(random, len(y), control, residual=family is None)
    notes += check_identifiable(blocks, residual=family is None)
    columns, rank_notes = check_rank(full.values, control)
    X = full.values if len(columns) == len(full.names) else full.values[:, columns]
    notes += [*rank_notes, *check_scale(X, control)]
    return _Coded(
        used,
        y,
        weights,
        coding,
        asked,
        full,
        columns,
        X,
        random,
        tuple(block.rows for block in blocks),
        tuple(notes),
    )


def _design(whole: _Evaluated, coded: _Coded) -> Design:
    matrix, stay = coded.matrix, set(coded.columns.tolist())
    return Design(
        formula=whole.formula,
        dot_columns=whole.formula.dot_columns(whole.table.columns),
        x_names=tuple(matrix.names[i] for i in coded.columns),
        x_dropped=tuple(name for i, name in enumerate(matrix.names) if i not in stay),
        x_assign=tuple(matrix.assign[i] for i in coded.columns),
        x_terms=matrix.labels,
        random=coded.random,
        contrasts=coded.contrasts,
        asked_contrasts=coded.asked_contrasts,
        memory=whole.evaluator.memory,
    )


def _rows(whole: _Evaluated, coded: _Coded, kept: _Kept) -> Rows:
    offsets = [_numbers(coded.variables[deparse(node)]) for node in whole.terms.offsets]
    if whole.offset is not None:
        offsets.append(whole.offset[kept.used])
    return Rows(
        y=coded.y,
        X=coded.X,
        random=coded.random_rows,
        weights=coded.weights,
        offset=None if not offsets else np.asarray(np.sum(offsets, axis=0)),
        variables=coded.variables,
    )


def _source(whole: _Evaluated, kept: _Kept, dot_columns: tuple[str, ...]) -> Source:
    formula, table, places = whole.formula, whole.table, kept.places
    named = [name for name in formula.columns_named if not whole.evaluator.is_constant(name)]
    raw_names = [*named, *(dot_columns if formula.has_dot else ())]
    index = table.native.index if isinstance(table.native, pd.DataFrame) else None
    return Source(
        raw={name: table.column(name) for name in dict.fromkeys(raw_names)},
        raw_weights=whole.weights,
        raw_offset=whole.offset,
        raw_subset=whole.subset,
        kept=places,
        dropped=np.flatnonzero(kept.missing),
        missing=kept.counts,
        total_rows=table.rows,
        index=index if index is None or len(places) == table.rows else index[places],
    )


def build_frame(
    formula: str | Formula,
    data: Any,
    *,
    weights: Any = None,
    offset: Any = None,
    subset: Any = None,
    na_action: str = "omit",
    contrasts: Mapping[str, Any] | None = None,
    control: Control | None = None,
    data_name: str = "data",
    mixed: bool = True,
    family: Family | None = None,
) -> ModelFrame:
    """Evaluate ``formula`` on ``data``, check it, and code it.

    Variables are evaluated on all rows, then the subset is taken, then rows with a missing
    value in any variable used are dropped, then unused levels. With ``mixed=False`` it is the
    frame of an ordinary regression, without random terms. With a ``family`` it is that of a
    generalized model, whose response :mod:`lmerbridge.design.family_response` reads.

    Raises
    ------
    FormulaError
        The formula is none of lme4's.
    DataError
        A column is missing, the values cannot be used, no row is left, or lme4's checks refuse the
        model.
    """
    parsed = parse_formula(formula, mixed)
    control = control or Control()
    if isinstance(na_action, str):
        na_action = na_action.removeprefix("na.")
    if na_action not in NA_ACTIONS:
        raise DataError(
            f"na_action must be one of {', '.join(map(repr, NA_ACTIONS))}, not {na_action!r}"
        )
    table = read_table(data)
    if table.rows == 0:
        raise DataError("the data has no rows: 0 (non-NA) cases")

    whole = _evaluated(parsed, table, weights, offset, subset, family)
    kept = _kept(whole, na_action)
    coded = _coded(whole, kept, contrasts, control, family)
    design = _design(whole, coded)
    return ModelFrame(
        design,
        _rows(whole, coded, kept),
        _source(whole, kept, design.dot_columns),
        Asked(
            data_name=data_name,
            weights_name=whole.weights_name,
            offset_name=whole.offset_name,
            subset_name=whole.subset_name,
            na_action=na_action,
            control=control,
            notes=coded.notes,
            family=family,
        ),
    )
