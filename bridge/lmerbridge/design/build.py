"""``build_frame``: R's ``model.frame`` and lme4's ``lFormula`` in one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lmerbridge.design.arguments import (
    check_contrasts,
    check_offset,
    check_weights,
    row_values,
    subset_rows,
)
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
from lmerbridge.design.contrasts import read_contrasts
from lmerbridge.design.control import Control
from lmerbridge.design.evaluate import Evaluator
from lmerbridge.design.frame import ModelFrame
from lmerbridge.design.identifiable import check_identifiable
from lmerbridge.design.matrix import contrasts_of, model_matrix
from lmerbridge.design.random_terms import random_blocks
from lmerbridge.design.table import Table, read_table
from lmerbridge.equality import by_value
from lmerbridge.errors import DataError
from lmerbridge.formula import Formula, Terms, parse_formula
from lmerbridge.formula.syntax import Node, deparse

__all__ = ["build_frame"]

NA_ACTIONS = ("omit", "exclude", "fail", "pass")


@by_value
@dataclass(frozen=True, eq=False)
class _Rows:
    """Which rows are used, and which were dropped for a missing value."""

    used: Array
    missing: Array
    counts: tuple[tuple[str, int], ...]

    @property
    def kept(self) -> Array:
        # half the memory, which at ten million rows is worth a cast
        kind = np.int32 if len(self.used) < 2**31 else np.int64
        return np.flatnonzero(self.used).astype(kind)


def _evaluated(
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


def _rows(columns: Mapping[str, Column], chosen: Array, na_action: str) -> _Rows:
    """Drop the rows with a missing value in any of ``columns``."""
    missing = np.zeros(len(chosen), dtype=bool)
    counts: dict[str, int] = {}
    for label, column in columns.items():
        absent = is_missing(column) & chosen
        if absent.any():
            counts[label] = int(absent.sum())
            missing |= absent
    if missing.any() and na_action in ("fail", "pass"):
        listed = ", ".join(f"{k} ({v})" for k, v in counts.items())
        why = "; na_action='pass' keeps their rows, which no fit can" if na_action == "pass" else ""
        raise DataError(f"missing values in object: {listed}{why}")
    rows = _Rows(chosen & ~missing, missing, tuple(counts.items()))
    if not chosen.any():
        raise DataError("0 (non-NA) cases: the subset is empty")
    if not rows.used.any():
        empty = ", ".join(k for k, v in counts.items() if v == chosen.sum())
        raise DataError(
            "0 (non-NA) cases: every row has a missing value" + (f" (in {empty})" if empty else "")
        )
    return rows


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
) -> ModelFrame:
    """Evaluate ``formula`` on ``data``, check it, and code it.

    Variables are evaluated on all rows, then the subset is taken, then rows with a missing
    value in any variable used are dropped, then unused levels. With ``mixed=False`` it is the
    frame of an ordinary regression, without random terms.

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

    memory: dict[str, dict[Any, Any]] = {}
    evaluator = Evaluator(table.column, table.rows, table, memory)
    terms = parsed.terms(table.columns) if parsed.has_dot else parsed.terms_without_dot
    variables = _evaluated(parsed, terms, table, evaluator)
    _check_kind_of_response(variables[parsed.response_label], parsed.response_label)
    for node in terms.offsets:
        check_offset(variables[deparse(node)], deparse(node))
    factors = {
        column: as_factor(table.column(column))
        for term in parsed.random
        for column in term.grouping.columns
    }
    raw_weights, weights_name = row_values(weights, "weights", table, evaluator)
    raw_offset, offset_name = row_values(offset, "offset", table, evaluator)
    raw_subset, subset_name = subset_rows(subset, table, evaluator)
    sides: dict[str, Column] = {
        f"{what} {name}": Numeric(values)
        for what, name, values in (
            ("weights", weights_name, raw_weights),
            ("offset", offset_name, raw_offset),
        )
        if values is not None
    }

    chosen = np.ones(table.rows, dtype=bool) if raw_subset is None else raw_subset
    rows = _rows({**variables, **factors, **sides}, chosen, na_action)
    _reject_infinite({**variables, **sides}, rows.used)
    kept = rows.kept
    used = _used(variables, rows.used)
    used_factors = {
        name: column
        for name, column in _used(factors, rows.used).items()
        if isinstance(column, Factor)
    }
    y = _numbers(used[parsed.response_label])
    check_response(y, parsed.response_label)
    if raw_weights is not None:
        check_weights(raw_weights[rows.used], weights_name)

    fixed = {label: used[label] for label in terms.variable_labels}
    asked = read_contrasts(contrasts)
    response = {parsed.response_label: used[parsed.response_label]}
    notes = check_contrasts(asked, {**response, **fixed})
    coding = contrasts_of(fixed, asked)
    full = model_matrix(terms, fixed, len(kept), coding)
    blocks = random_blocks(parsed, used, used_factors, terms, full)

    notes += check_random(blocks, len(kept), control)
    notes += check_identifiable(blocks)
    columns, rank_notes = check_rank(full.values, control)
    X = full.values if len(columns) == len(full.names) else full.values[:, columns]
    notes += [*rank_notes, *check_scale(X, control)]

    offsets = [_numbers(used[deparse(node)]) for node in terms.offsets]
    if raw_offset is not None:
        offsets.append(raw_offset[rows.used])
    dot_columns = parsed.dot_columns(table.columns)
    named = [name for name in parsed.columns_named if not evaluator.is_constant(name)]
    raw_names = [*named, *(dot_columns if parsed.has_dot else ())]
    index = table.native.index if isinstance(table.native, pd.DataFrame) else None
    return ModelFrame(
        formula=parsed,
        data_name=data_name,
        y=y,
        X=X,
        x_names=tuple(full.names[i] for i in columns),
        x_dropped=tuple(n for i, n in enumerate(full.names) if i not in set(columns.tolist())),
        x_assign=tuple(full.assign[i] for i in columns),
        x_terms=full.labels,
        random=tuple(blocks),
        weights=None if raw_weights is None else raw_weights[rows.used],
        offset=None if not offsets else np.asarray(np.sum(offsets, axis=0)),
        weights_name=weights_name,
        offset_name=offset_name,
        subset_name=subset_name,
        kept=kept,
        dropped=np.flatnonzero(rows.missing),
        total_rows=table.rows,
        dot_columns=dot_columns,
        index=index if index is None or len(kept) == table.rows else index[kept],
        variables=used,
        contrasts=coding,
        asked_contrasts=asked,
        raw={name: table.column(name) for name in dict.fromkeys(raw_names)},
        raw_weights=raw_weights,
        raw_offset=raw_offset,
        raw_subset=raw_subset,
        na_action=na_action,
        control=control,
        notes=tuple(notes),
        memory=memory,
        missing=rows.counts,
    )
