"""Columns as R knows them: numeric, logical, factor; and how a data frame's become these."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd

from lmerbridge.design.contrasts import Contrast
from lmerbridge.errors import DataError, near_match
from lmerbridge.formula.syntax import format_number

__all__ = [
    "Array",
    "Column",
    "Factor",
    "Logical",
    "Numeric",
    "Table",
    "as_categorical",
    "as_factor",
    "drop_unused_levels",
    "is_missing",
    "read_table",
    "take",
]

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Numeric:
    """Numbers: ``values`` (n,), or (n, k) with ``names`` for the k columns of a matrix."""

    values: Array
    names: tuple[str, ...] | None = None

    @property
    def floats(self) -> Array:
        return self.values.astype(np.float64, copy=False)


@dataclass(frozen=True)
class Logical:
    """Truth values as 1.0, 0.0 and NaN for NA; ``values`` (n,)."""

    values: Array


@dataclass(frozen=True)
class Factor:
    """``codes`` (n,) index ``levels``; -1 is NA."""

    codes: Array
    levels: tuple[str, ...]
    ordered: bool = False
    contrast: Contrast | None = None


Column: TypeAlias = Numeric | Logical | Factor


def is_missing(column: Column) -> Array:
    """Truth per row: NA (or NaN) anywhere in it."""
    if isinstance(column, Factor):
        return np.asarray(column.codes < 0)
    if column.values.dtype.kind in "iu":
        return np.zeros(len(column.values), dtype=bool)
    missing = np.isnan(column.values)
    return np.asarray(missing.any(axis=1) if missing.ndim == 2 else missing)


def take(column: Column, rows: Array) -> Column:
    """The column at ``rows`` (a mask or indices)."""
    if isinstance(column, Factor):
        return replace(column, codes=column.codes[rows])
    return replace(column, values=column.values[rows])


def as_categorical(factor: Factor) -> pd.Categorical[Any]:
    """The factor as pandas holds it."""
    return pd.Categorical.from_codes(
        factor.codes.astype(np.int64),
        dtype=pd.CategoricalDtype(list(factor.levels), factor.ordered),
    )


def drop_unused_levels(factor: Factor) -> Factor:
    """The factor without the levels that no row has."""
    known = factor.codes if factor.codes.min(initial=0) >= 0 else factor.codes[factor.codes >= 0]
    counts = np.bincount(known, minlength=len(factor.levels))
    if len(counts) and counts.min(initial=1) > 0:
        return factor
    kept = np.flatnonzero(counts)
    renumber = np.full(len(factor.levels) + 1, -1, dtype=np.int64)
    renumber[kept] = np.arange(len(kept))
    return replace(
        factor,
        codes=renumber[factor.codes],
        levels=tuple(factor.levels[i] for i in kept),
        # a contrast for other levels no longer fits; R falls back to the default one
        contrast=None
        if factor.contrast and factor.contrast.matrix is not None
        else factor.contrast,
    )


def as_factor(column: Column) -> Factor:
    """R's ``factor()``: levels are the sorted distinct values."""
    if isinstance(column, Factor):
        return column
    if isinstance(column, Numeric) and column.values.ndim == 2:
        if column.values.shape[1] != 1:
            raise DataError("a matrix cannot become a factor")
        column = Numeric(column.values[:, 0])
    values = column.values
    # by hashing: on a million rows five times faster than sorting them
    codes, found = pd.factorize(values, sort=True)
    distinct = np.asarray(found)
    if isinstance(column, Logical):
        return Factor(codes, tuple("TRUE" if v else "FALSE" for v in distinct))
    if distinct.dtype.kind in "iu":
        return Factor(codes, tuple(str(v) for v in distinct.tolist()))
    labels = [format_number(v) for v in distinct.tolist()]
    if len(set(labels)) < len(labels):  # values that agree to 15 digits are one level
        unique = list(dict.fromkeys(labels))
        position = {label: i for i, label in enumerate(unique)}
        merge = np.array([position[label] for label in labels])
        codes = np.where(codes < 0, -1, merge[codes])
        labels = unique
    return Factor(codes, tuple(labels))


def _from_strings(values: Sequence[Any], name: str) -> Factor:
    try:
        codes, levels = pd.factorize(_objects(values), sort=True)
    except (TypeError, ValueError):  # what cannot be sorted or hashed
        raise _not_text(values, name) from None
    if not all(isinstance(level, str) for level in levels):
        raise _not_text(values, name)
    return Factor(codes.astype(np.int64), tuple(levels))


def _not_text(values: Sequence[Any], name: str) -> DataError:
    kinds = {type(value).__name__ for value in values if value is not None}
    has = "mixes" if len(kinds) > 1 else "has"
    return DataError(
        f"column {name!r} {has} values of type {', '.join(sorted(kinds))}: convert it to "
        "numbers or to texts"
    )


def _objects(values: Sequence[Any]) -> np.ndarray[Any, np.dtype[Any]]:
    """The values as they are, also where they are sequences themselves."""
    found = np.empty(len(values), dtype=object)
    found[:] = list(values)
    return found


class _Lent:
    """Values of a pandas Series, which lives as long as an array of them does: pandas 3 copies
    before it writes to what another Series refers to.
    """

    def __init__(self, series: pd.Series[Any], values: Array):
        self.series = series
        self.__array_interface__ = values.__array_interface__


def _own(series: pd.Series[Any], values: Array) -> Array:
    """``values`` of ``series``, out of reach of what is done to the data frame afterwards: a copy
    only where they would not be.
    """
    if values.flags.writeable:  # converted, or of a pandas that does not copy before it writes
        return values.copy()
    return np.asarray(_Lent(series, values))


def _from_pandas(series: pd.Series[Any], name: str) -> Column:
    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        categories = dtype.categories
        if len(categories) and isinstance(categories[0], (bool, np.bool_)):
            levels = tuple("TRUE" if c else "FALSE" for c in categories)
        elif categories.dtype.kind == "f":
            levels = tuple(format_number(float(c)) for c in categories)
        else:
            levels = tuple(str(c) for c in categories)
        codes = np.asarray(series.cat.codes, dtype=np.int64)
        return Factor(codes, levels, bool(dtype.ordered))
    if pd.api.types.is_bool_dtype(dtype):
        return Logical(series.to_numpy(dtype=np.float64, na_value=np.nan))
    if pd.api.types.is_complex_dtype(dtype):
        raise DataError(f"column {name!r} is complex; lme4 fits real numbers")
    if pd.api.types.is_integer_dtype(dtype) and not series.hasnans:
        return Numeric(_own(series, series.to_numpy(dtype=np.int64)))
    if pd.api.types.is_numeric_dtype(dtype):
        return Numeric(_own(series, series.to_numpy(dtype=np.float64, na_value=np.nan)))
    if pd.api.types.is_string_dtype(dtype) or dtype.kind == "O":
        present = series[series.notna()]
        kinds = {type(v) for v in present}
        if not kinds:
            return Numeric(np.full(len(series), np.nan))
        if kinds <= {bool, np.bool_}:
            return Logical(np.array([np.nan if pd.isna(v) else float(v) for v in series]))
        if all(
            issubclass(k, (int, float, np.number)) and not issubclass(k, (bool, np.bool_))
            for k in kinds
        ) or {k.__name__ for k in kinds} == {"Decimal"}:
            return Numeric(np.array([np.nan if pd.isna(v) else float(v) for v in series]))
        return _from_strings(series.where(series.notna(), None).tolist(), name)
    raise DataError(
        f"column {name!r} has type {dtype}, which a model cannot use: "
        "make a number, a string or a category of it"
    )


def _from_narwhals(series: nw.Series[Any], name: str) -> Column:
    dtype = series.dtype
    if isinstance(dtype, (nw.Categorical, nw.Enum)):
        levels = tuple(str(c) for c in series.cat.get_categories().to_list())
        position = {level: i for i, level in enumerate(levels)}
        values = series.cast(nw.String).to_list()
        return Factor(np.array([position.get(v, -1) for v in values], dtype=np.int64), levels)
    if dtype == nw.Boolean:
        return Logical(np.array([np.nan if v is None else float(v) for v in series.to_list()]))
    if dtype == nw.String:
        return _from_strings(series.to_list(), name)
    if dtype.is_numeric() or isinstance(dtype, nw.Decimal):
        if dtype.is_integer() and series.null_count() == 0:
            return Numeric(series.to_numpy().astype(np.int64))
        return Numeric(series.cast(nw.Float64).to_numpy().astype(np.float64))
    raise DataError(
        f"column {name!r} has type {dtype}, which a model cannot use: "
        "make a number, a string or a category of it"
    )


# R's own, where the data has no column of that name.
CONSTANTS = {"pi": math.pi}


class Table:
    """The user's data, read column by column on demand and never changed."""

    def __init__(self, frame: Any):
        self.native = frame
        try:
            self._frame: nw.DataFrame[Any] = nw.from_native(frame, eager_only=True)
        except TypeError as error:
            raise DataError(
                "data must be a pandas, polars or pyarrow table (or any that narwhals knows), "
                f"not {type(frame).__name__}"
            ) from error
        self.columns: tuple[str, ...] = tuple(str(c) for c in self._frame.columns)
        self.rows: int = len(self._frame)
        self._read: dict[str, Column] = {}

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    def column(self, name: str) -> Column:
        """Column ``name`` as R would hold it.

        Raises
        ------
        DataError
            No such column, or of a type that a model cannot use.
        """
        if name not in self._read:
            if name not in self.columns and name in CONSTANTS:
                return Numeric(np.full(self.rows, CONSTANTS[name]))
            if name not in self.columns:
                raise DataError(
                    f"the data has no column {name!r}{near_match(name, self.columns)}; "
                    f"it has {_listed(self.columns)}"
                )
            if self.columns.count(name) > 1:
                raise DataError(f"the data has more than one column {name!r}")
            if isinstance(self.native, pd.DataFrame):
                where = self.columns.index(name)
                self._read[name] = _from_pandas(self.native.iloc[:, where], name)
            else:
                self._read[name] = _from_narwhals(self._frame[name], name)
        return self._read[name]

    def labels(self) -> tuple[str, ...] | None:
        """Row labels as R's row names; ``None`` for 1, 2, ..., n."""
        if isinstance(self.native, pd.DataFrame):
            index = self.native.index
            if not isinstance(index, pd.RangeIndex) and index.nlevels == 1:
                return tuple(str(label) for label in index)
        return None


def _listed(names: Iterable[str], most: int = 12) -> str:
    listed = list(names)
    shown = ", ".join(repr(n) for n in listed[:most])
    return shown + (f" and {len(listed) - most} more" if len(listed) > most else "")


def read_table(data: Any) -> Table:
    """Wrap ``data``, which is anything that narwhals accepts or a dict of columns."""
    if isinstance(data, Table):
        return data
    if isinstance(data, dict):
        data = pd.DataFrame(data)
    return Table(data)
