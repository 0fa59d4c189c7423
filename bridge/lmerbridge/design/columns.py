"""Columns as R knows them: numeric, logical, factor; and how a data frame's become these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from lmerbridge.design.contrasts import Contrast
from lmerbridge.design.times import Time, time_labels
from lmerbridge.equality import by_value
from lmerbridge.errors import DataError
from lmerbridge.formula.syntax import format_number

__all__ = [
    "EXACT_MAX",
    "Array",
    "Column",
    "Factor",
    "Logical",
    "Numeric",
    "as_categorical",
    "as_factor",
    "drop_unused_levels",
    "elements",
    "integer_labels",
    "is_missing",
    "take",
]

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]


@by_value
@dataclass(frozen=True, eq=False)
class Numeric:
    """Numbers.

    Attributes
    ----------
    values : array (n,) or (n, k)
        Of integers or floats; NaN is NA.
    names : tuple of str, optional
        Of the k columns of a matrix.
    integer : bool
        Whether R would hold them as integers, though they are floats here: for their labels.
    time : Time, optional
        What they count, for dates, times and differences of times.
    exact : Factor, optional
        The values as levels, where floats cannot tell all of them apart.
    """

    values: Array
    names: tuple[str, ...] | None = None
    integer: bool = False
    time: Time | None = None
    exact: Factor | None = None

    @property
    def floats(self) -> Array:
        """The values (n,) as floating-point numbers."""
        return self.values.astype(np.float64, copy=False)


@by_value
@dataclass(frozen=True, eq=False)
class Logical:
    """Truth values as 1.0, 0.0 and NaN for NA; ``values`` (n,)."""

    values: Array


@by_value
@dataclass(frozen=True, eq=False)
class Factor:
    """``codes`` (n,) index ``levels``; -1 is NA."""

    codes: Array
    levels: tuple[str, ...]
    ordered: bool = False
    contrast: Contrast | None = None


INTEGER_MAX = 2**31 - 1  # R's integers have 32 bits
EXACT_MAX = 2**53  # up to here a float holds every whole number

Column: TypeAlias = Numeric | Logical | Factor


def is_missing(column: Column) -> Array:
    """Truth per row: NA (or NaN) anywhere in it."""
    if isinstance(column, Factor):
        return np.asarray(column.codes < 0)
    if column.values.dtype.kind in "iu":
        return np.zeros(len(column.values), dtype=bool)
    missing = np.isnan(column.values)
    return np.asarray(missing.any(axis=1) if missing.ndim == 2 else missing)


def elements(index: pd.Index[Any]) -> list[Any]:
    """The elements of an index as Python has them; of texts as Arrow gives them, which takes a
    fifth of the time.
    """
    dtype: Any = index.dtype
    if isinstance(dtype, pd.StringDtype) and dtype.storage == "pyarrow":
        held: Any = index.array
        return [np.nan if v is None else v for v in held.__arrow_array__().to_pylist()]
    return index.tolist()


def take(column: Column, rows: Array) -> Column:
    """The column at ``rows`` (a mask or indices)."""
    if isinstance(column, Factor):
        return replace(column, codes=column.codes[rows])
    if isinstance(column, Logical):
        return Logical(column.values[rows])
    exact = column.exact
    if exact is not None:
        exact = replace(exact, codes=exact.codes[rows])
    return Numeric(column.values[rows], column.names, column.integer, column.time, exact)


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
        column = replace(column, values=column.values[:, 0])
    if isinstance(column, Numeric) and column.exact is not None:
        return drop_unused_levels(column.exact)
    # by hashing: on a million rows five times faster than sorting them
    codes, found = pd.factorize(column.values, sort=True)
    distinct = np.asarray(found)
    if isinstance(column, Logical):
        return Factor(codes, tuple("TRUE" if v else "FALSE" for v in distinct))
    if column.time is not None:
        return _merged(codes, time_labels(distinct, column.time))
    if column.integer or distinct.dtype.kind in "iu":
        return Factor(codes, tuple(integer_labels(distinct.tolist())))
    return _merged(codes, [format_number(v) for v in distinct.tolist()])


def _merged(codes: Array, labels: list[str]) -> Factor:
    """A factor of levels by label: values that R shows alike are one level."""
    if len(set(labels)) == len(labels):
        return Factor(codes, tuple(labels))
    unique = list(dict.fromkeys(labels))
    position = {label: i for i, label in enumerate(unique)}
    merge = np.array([*(position[label] for label in labels), -1])
    return Factor(merge[codes], tuple(unique))


def integer_labels(values: Sequence[Any]) -> list[str]:
    """Distinct whole numbers as R writes them.

    R holds those beyond 2^31 as floating-point numbers, which it writes with 15 digits (3e+09);
    where that would make one level of several numbers, all their digits are written.
    """
    wide = any(not -INTEGER_MAX <= v <= INTEGER_MAX for v in values)
    if wide and all(-EXACT_MAX <= v <= EXACT_MAX for v in values):
        labels = [format_number(float(v)) for v in values]
        if len(set(labels)) == len(labels):
            return labels
    return [str(int(v)) for v in values]
