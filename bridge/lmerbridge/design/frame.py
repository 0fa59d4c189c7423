"""``Formula`` and data to a frozen :class:`ModelFrame`: what every engine fits."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from lmerbridge.design.checks import (
    Note,
    check_random,
    check_rank,
    check_response,
    check_scale,
)
from lmerbridge.design.columns import (
    Array,
    Column,
    Factor,
    Logical,
    Numeric,
    Table,
    as_factor,
    drop_unused_levels,
    is_missing,
    read_table,
    take,
)
from lmerbridge.design.contrasts import Contrast, read_contrasts
from lmerbridge.design.control import Control
from lmerbridge.design.evaluate import Evaluator
from lmerbridge.design.matrix import contrasts_of, model_matrix
from lmerbridge.errors import DataError
from lmerbridge.formula import Formula, Grouping, parse_formula
from lmerbridge.formula.parser import parse_expression
from lmerbridge.formula.syntax import Node, deparse

__all__ = ["ModelFrame", "RandomBlock", "build_frame"]

REFIT_RESPONSE = ".response"
NA_ACTIONS = ("omit", "exclude", "fail")


@dataclass(frozen=True)
class RandomBlock:
    """One random-effects term on data.

    Attributes
    ----------
    label : str
        lme4's label in tables: ``Subject``, ``Subject.1`` for a second term on the factor.
    group : str
        The grouping factor: ``Subject``, ``cask:batch``.
    text : str
        ``1 + Days | Subject``.
    names : tuple of str
        Names of the k columns.
    columns : array (n, k)
    codes : array of int (n,)
        Per row the index of its level.
    levels : tuple of str
    """

    label: str
    group: str
    text: str
    names: tuple[str, ...]
    columns: Array
    codes: Array
    levels: tuple[str, ...]


@dataclass(frozen=True)
class ModelFrame:
    """Formula and data, evaluated, checked and coded: the common input of all engines.

    Attributes
    ----------
    formula : Formula
    data_name : str
        What R would print after ``Data:``.
    y : array (n,)
    X : array (n, p)
        Without the columns that are linear combinations of others (``x_dropped``).
    x_names, x_dropped : tuple of str
    x_assign : tuple of int
        Per column of X the number of its term in ``x_terms``, 0 for the intercept.
    random : tuple of RandomBlock
        In lme4's order: by decreasing number of levels.
    weights, offset : array (n,) or None
    weights_name, offset_name, subset_name : str or None
        As R would print them.
    kept : array of int (n,)
        Positions in the data of the rows used.
    dropped : array of int
        Positions of the rows with a missing value (those outside the subset not counted).
    total_rows : int
        Rows of the data.
    dot_columns : tuple of str
        The columns that ``.`` stands for in the formula.
    index : pandas.Index or None
        The row labels of the rows used, if the data had any.
    variables : mapping of str to Column
        The evaluated variables by their text, rows used only.
    contrasts : mapping of str to Contrast
        How the fixed part's factors are coded.
    raw : mapping of str to Column
        The columns of the data that the formula names, all rows.
    raw_weights, raw_offset, raw_subset : array (total_rows,) or None
    na_action : str
    control : Control
    notes : tuple of Note
        What lme4's checks say about this model.
    memory : dict
        What poly(), scale() and the like learned from the data.
    """

    formula: Formula
    data_name: str
    y: Array
    X: Array
    x_names: tuple[str, ...]
    x_dropped: tuple[str, ...]
    x_assign: tuple[int, ...]
    x_terms: tuple[str, ...]
    random: tuple[RandomBlock, ...]
    weights: Array | None
    offset: Array | None
    weights_name: str | None
    offset_name: str | None
    subset_name: str | None
    kept: Array
    dropped: Array
    total_rows: int
    dot_columns: tuple[str, ...]
    index: pd.Index[Any] | None
    variables: Mapping[str, Column]
    contrasts: Mapping[str, Contrast]
    asked_contrasts: Mapping[str, Contrast]
    raw: Mapping[str, Column]
    raw_weights: Array | None
    raw_offset: Array | None
    raw_subset: Array | None
    na_action: str
    control: Control
    notes: tuple[Note, ...]
    memory: Mapping[str, Any] = field(default_factory=dict)

    @property
    def nobs(self) -> int:
        return len(self.y)

    @property
    def groups(self) -> dict[str, tuple[str, ...]]:
        """Grouping factors with their levels, in lme4's order."""
        return {block.group: block.levels for block in self.random}

    @property
    def covariance_parameters(self) -> int:
        """Length of theta."""
        return sum(len(b.names) * (len(b.names) + 1) // 2 for b in self.random)

    @property
    def fitted_formula(self) -> Formula:
        """The formula for an engine that evaluates ``raw`` itself."""
        formula = self.formula
        if formula.has_dot:
            formula = formula.with_columns(self.dot_columns)
        return formula.with_response(REFIT_RESPONSE) if REFIT_RESPONSE in self.raw else formula

    def with_response(self, values: Any) -> ModelFrame:
        """The same frame with another response, a value per row used.

        Raises
        ------
        DataError
            Another number of values, missing or infinite ones, or a constant.
        """
        y = np.array(values, dtype=np.float64)
        if y.shape != (self.nobs,):
            raise DataError(f"the new response has shape {y.shape}; the model has {self.nobs} rows")
        if not np.isfinite(y).all():
            raise DataError("the new response has missing or infinite values")
        check_response(y, "the new response")
        everywhere = np.full(self.total_rows, np.nan)
        everywhere[self.kept] = y
        return replace(
            self,
            y=y,
            raw={**self.raw, REFIT_RESPONSE: Numeric(everywhere)},
            variables={**self.variables, self.formula.response_label: Numeric(y)},
        )

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of everything an engine can see; equal frames have equal fingerprints."""
        digest = hashlib.sha256()

        def add(*parts: Any) -> None:
            for part in parts:
                if isinstance(part, np.ndarray):
                    digest.update(str((part.dtype.kind, part.shape)).encode())
                    digest.update(np.ascontiguousarray(part).tobytes())
                else:
                    digest.update(repr(part).encode())

        add(self.y, self.X, self.x_names, self.weights, self.offset)
        for block in self.random:
            add(block.label, block.group, block.names, block.levels)
            add(block.columns, block.codes.astype(np.int64))
        return digest.hexdigest()


def _reject_infinite(label: str, column: Column, rows: Array) -> None:
    if isinstance(column, Factor):
        return
    values = column.values[rows]
    if values.dtype.kind == "f" and np.isinf(values).any():
        where = np.flatnonzero(np.isinf(values).reshape(len(values), -1).any(axis=1))
        raise DataError(
            f"{label} is infinite in {len(where)} row(s), first in row "
            f"{np.flatnonzero(rows)[where[0]] + 1}"
        )


def _interaction(grouping: Grouping, factors: Mapping[str, Factor]) -> Factor:
    """The combinations of levels that occur; the first factor's levels vary slowest."""
    parts = [factors[column] for column in grouping.columns]
    if len(parts) == 1:
        return drop_unused_levels(parts[0])
    codes = parts[0].codes.astype(np.int64)
    for part in parts[1:]:
        codes = codes * len(part.levels) + part.codes
    used, codes = np.unique(codes, return_inverse=True)
    names: list[list[str]] = []
    for part in reversed(parts):
        used, remainder = np.divmod(used, len(part.levels))
        names.append([part.levels[i] for i in remainder])
    levels = tuple(":".join(reversed(combination)) for combination in zip(*names, strict=True))
    return Factor(codes, levels)


def _term_labels(groups: list[str]) -> list[str]:
    """lme4 labels terms by their factor, made unique (and syntactic) if one has several."""
    if len(set(groups)) == len(groups):
        return groups
    labels: list[str] = []
    for group in groups:
        name = "".join(c if c.isalnum() or c in "._" else "." for c in group)
        if not (name[:1].isalpha() or name[:1] == "."):
            name = "X" + name
        unique, count = name, 0
        while unique in labels:
            count += 1
            unique = f"{name}.{count}"
        labels.append(unique)
    return labels


def _side_argument(
    value: Any, what: str, table: Table, evaluator: Evaluator
) -> tuple[Array | None, str | None]:
    """``weights`` or ``offset``: a column's name, an R expression or an array."""
    if value is None:
        return None, None
    if isinstance(value, str):
        name = value
        node = parse_expression(value) if value not in table else None
        column = table.column(value) if node is None else evaluator.column(node)
        if isinstance(column, Factor):
            raise DataError(f"{what} {value!r} must be numeric")
        return np.asarray(column.values, dtype=np.float64), name
    array = np.asarray(value, dtype=np.float64)
    if array.shape != (table.rows,):
        raise DataError(f"{what} has shape {array.shape}; the data has {table.rows} rows")
    given = getattr(value, "name", None)
    return array, what if given is None else str(given)


def _subset(value: Any, table: Table, evaluator: Evaluator) -> tuple[Array | None, str | None]:
    if value is None:
        return None, None
    if isinstance(value, str):
        node = parse_expression(value)
        column = evaluator.column(node)
        if not isinstance(column, Logical):
            raise DataError(f"subset {value!r} must be a condition, true or false for each row")
        return column.values == 1.0, deparse(node)  # NA counts as FALSE, as in R
    array = np.asarray(value)
    if array.dtype.kind == "O":
        array = np.array([bool(v) and v == v for v in array.tolist()])
    if array.dtype.kind in "iu" and array.ndim == 1:
        if len(array) and (array.min() < -table.rows or array.max() >= table.rows):
            raise DataError(f"subset has positions outside 0 to {table.rows - 1}")
        mask = np.zeros(table.rows, dtype=bool)
        mask[array] = True
        if mask.sum() != len(array):
            raise DataError("subset names a row more than once")
        return mask, "subset"
    if array.dtype.kind != "b" or array.shape != (table.rows,):
        raise DataError(
            f"subset must be {table.rows} truth values, row positions, or a "
            "condition in R's words such as 'x > 0'"
        )
    return array, getattr(value, "name", None) or "subset"


def _check_weights(weights: Array, name: str | None) -> None:
    negative = weights < 0
    if negative.any():
        raise DataError(
            f"weights {name!r}: {int(negative.sum())} negative value(s), first in row "
            f"{int(np.flatnonzero(negative)[0]) + 1}; weights must be positive"
        )
    if np.isinf(weights).any():
        raise DataError(f"weights {name!r} are infinite in some rows")
    if (weights == 0).any():
        raise DataError(
            f"weights {name!r}: {int((weights == 0).sum())} zero value(s), which make "
            "the criterion infinite; leave those rows out with subset="
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
) -> ModelFrame:
    """Evaluate ``formula`` on ``data``; R's ``model.frame`` and lme4's ``lFormula`` in one.

    Variables are evaluated on all rows, then the subset is taken, then rows with a missing
    value in any variable used are dropped, then unused levels.

    Raises
    ------
    FormulaError, DataError
    """
    parsed = parse_formula(formula)
    control = control or Control()
    if na_action not in NA_ACTIONS:
        raise DataError(
            f"na_action must be one of {', '.join(map(repr, NA_ACTIONS))}, not {na_action!r}"
        )
    table = read_table(data)
    if table.rows == 0:
        raise DataError("the data has no rows: 0 (non-NA) cases")
    memory: dict[str, dict[Any, Any]] = {}
    evaluator = Evaluator(table.column, table.rows, memory)

    terms = parsed.terms(table.columns)
    nodes: dict[str, Node] = {parsed.response_label: parsed.response}
    for node in (*terms.variables, *terms.offsets):
        nodes.setdefault(deparse(node), node)
    for term in parsed.random:
        for node in term.columns.variables:
            nodes.setdefault(deparse(node), node)
    for name in parsed.variable_names():
        table.column(name)  # an unknown column is named before anything is computed
    variables = {label: evaluator.column(node) for label, node in nodes.items()}
    factors = {
        column: as_factor(table.column(column))
        for term in parsed.random
        for column in term.grouping.columns
    }
    raw_weights, weights_name = _side_argument(weights, "weights", table, evaluator)
    raw_offset, offset_name = _side_argument(offset, "offset", table, evaluator)
    raw_subset, subset_name = _subset(subset, table, evaluator)

    response = variables[parsed.response_label]
    if isinstance(response, Factor) or (
        isinstance(response, Numeric) and response.values.ndim != 1
    ):
        raise DataError(
            f"response must be numeric: {parsed.response_label} is "
            + ("a factor or a string" if isinstance(response, Factor) else "a matrix")
        )

    chosen = np.ones(table.rows, dtype=bool) if raw_subset is None else raw_subset
    missing = np.zeros(table.rows, dtype=bool)
    by_variable: dict[str, int] = {}
    sides: dict[str, Column] = {}
    if raw_weights is not None:
        sides[f"weights {weights_name}"] = Numeric(raw_weights)
    if raw_offset is not None:
        sides[f"offset {offset_name}"] = Numeric(raw_offset)
    for label, column in {**variables, **factors, **sides}.items():
        absent = is_missing(column) & chosen
        if absent.any():
            by_variable[label] = int(absent.sum())
            missing |= absent
    if missing.any() and na_action == "fail":
        counts = ", ".join(f"{k} ({v})" for k, v in by_variable.items())
        raise DataError(f"missing values in object: {counts}")
    rows = chosen & ~missing
    kept = np.flatnonzero(rows)
    if not len(kept):
        empty = [k for k, v in by_variable.items() if v == chosen.sum()]
        raise DataError(
            "0 (non-NA) cases: every row has a missing value"
            + (f" (in {', '.join(empty)})" if empty else "")
            if chosen.any()
            else "0 (non-NA) cases: the subset is empty"
        )
    for label, column in {**variables, **sides}.items():
        _reject_infinite(label, column, rows)
    used = {label: take(column, rows) for label, column in variables.items()}
    used = {
        label: drop_unused_levels(column) if isinstance(column, Factor) else column
        for label, column in used.items()
    }
    used_factors = {name: drop_unused_levels(take_factor(f, rows)) for name, f in factors.items()}

    response = used[parsed.response_label]
    assert not isinstance(response, Factor)
    y = np.asarray(response.values, dtype=np.float64)
    check_response(y, parsed.response_label)

    asked = read_contrasts(contrasts)
    notes = [
        Note("warning", f"variable '{name}' is absent, its contrast will be ignored")
        for name in asked
        if name not in used
    ]
    fixed_variables = {deparse(v): used[deparse(v)] for v in terms.variables}
    coding = contrasts_of(fixed_variables, asked)
    full = model_matrix(terms, fixed_variables, len(kept), coding)

    blocks = []
    for term in parsed.random:
        block_variables = {deparse(v): used[deparse(v)] for v in term.columns.variables}
        matrix = model_matrix(term.columns, block_variables, len(kept))
        grouping = _interaction(term.grouping, used_factors)
        blocks.append(
            RandomBlock(
                "",
                term.grouping.label,
                term.text,
                matrix.names,
                matrix.values,
                grouping.codes,
                grouping.levels,
            )
        )
    sizes = [len(block.levels) for block in blocks]
    if any(b > a for a, b in itertools.pairwise(sizes)):
        # lme4 re-sorts only if it must, and then later terms come first among equals
        order = sorted(range(len(blocks)), key=lambda i: sizes[i])[::-1]
        blocks = [blocks[i] for i in order]
    labels = _term_labels([block.group for block in blocks])
    blocks = [
        RandomBlock(label, b.group, b.text, b.names, b.columns, b.codes, b.levels)
        for label, b in zip(labels, blocks, strict=True)
    ]
    notes += check_random(blocks, len(kept), control)
    keep_columns, rank_notes = check_rank(full.values, control)
    notes += rank_notes
    X = full.values[:, keep_columns] if len(keep_columns) < full.values.shape[1] else full.values
    notes += check_scale(X, control)

    offsets = [
        np.asarray(used[deparse(node)].values, dtype=np.float64)  # type: ignore[union-attr]
        for node in terms.offsets
    ]
    if raw_offset is not None:
        offsets.append(raw_offset[rows])
    if raw_weights is not None:
        _check_weights(raw_weights[rows], weights_name)
    names = parsed.variable_names()
    if parsed.has_dot:
        names = {**names, **dict.fromkeys(parsed.dot_columns(table.columns), 0)}
    index = table.native.index if isinstance(table.native, pd.DataFrame) else None
    return ModelFrame(
        formula=parsed,
        data_name=data_name,
        y=y,
        X=X,
        x_names=tuple(full.names[i] for i in keep_columns),
        x_dropped=tuple(n for i, n in enumerate(full.names) if i not in set(keep_columns)),
        x_assign=tuple(full.assign[i] for i in keep_columns),
        x_terms=full.labels,
        random=tuple(blocks),
        weights=None if raw_weights is None else raw_weights[rows],
        offset=None if not offsets else np.asarray(np.sum(offsets, axis=0)),
        weights_name=weights_name,
        offset_name=offset_name,
        subset_name=subset_name,
        kept=kept,
        dropped=np.flatnonzero(missing),
        total_rows=table.rows,
        dot_columns=parsed.dot_columns(table.columns),
        index=None if index is None else index[kept],
        variables=used,
        contrasts=coding,
        asked_contrasts=asked,
        raw={name: table.column(name) for name in names},
        raw_weights=raw_weights,
        raw_offset=raw_offset,
        raw_subset=raw_subset,
        na_action=na_action,
        control=control,
        notes=tuple(notes),
        memory=memory,
    )


def take_factor(factor: Factor, rows: Array) -> Factor:
    """:func:`take` for a factor."""
    taken = take(factor, rows)
    assert isinstance(taken, Factor)
    return taken
