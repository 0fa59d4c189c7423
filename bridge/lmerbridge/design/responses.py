"""New values for the rows of a model frame: responses and weights, in every shape in which one of
the package's own functions, or R's, gives them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lmerbridge.design.columns import Array, Factor
from lmerbridge.design.source import Source
from lmerbridge.design.table import read_table
from lmerbridge.errors import DataError
from lmerbridge.lazy import LazyModule

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw
else:  # a data frame of pandas does without
    nw = LazyModule("narwhals.stable.v2")

__all__ = ["places_of_rows", "row_matrix", "row_vector"]


def places_of_rows(source: Source) -> tuple[Array, Array]:
    """Find the rows that ``na.exclude`` keeps places for.

    Returns
    -------
    rows : array of int
        Positions in the data of the rows used and of those dropped for a missing value, in the
        order of the data; rows outside the subset have no place, as in R.
    used : array of int (n,)
        Where among ``rows`` the rows used are.
    """
    rows = np.sort(np.concatenate([source.kept, source.dropped]).astype(np.int64))
    return rows, np.searchsorted(rows, source.kept)


def _table_of(values: Any) -> Any:
    """A table of a table or of a series; ``None`` for anything else."""
    if isinstance(values, pd.Series):
        return pd.DataFrame({"values": values})
    if isinstance(values, dict):
        if not all(np.ndim(column) == 1 for column in values.values()):
            raise DataError("a mapping must have a column of values for each name")
        return pd.DataFrame(values)
    try:
        native = nw.from_native(values, eager_only=True, allow_series=True)
    except TypeError:
        return None
    if isinstance(native, nw.Series):
        return nw.to_native(native.alias("values").to_frame())
    return values


def _numbers(values: Any, what: str) -> Array:
    """Numbers (rows, columns), NaN where missing."""
    table = _table_of(values)
    if table is not None:
        read = read_table(table)
        columns = [read.column(name) for name in read.columns]
        if any(isinstance(column, Factor) for column in columns):
            raise DataError(f"{what} must be numeric")
        parts = [np.asarray(c.values, float) for c in columns if not isinstance(c, Factor)]
        return np.column_stack(parts) if parts else np.empty((read.rows, 0))
    if isinstance(values, (list, tuple)) and values and np.ndim(values[0]) > 0:
        # a list of responses, as R's simulate() gives one
        several = [_numbers(value, what) for value in values]
        if len({len(one) for one in several}) > 1:
            raise DataError(f"{what}: the lists have different lengths")
        return np.column_stack(several)
    try:
        array = np.asarray(values)
    except (TypeError, ValueError) as error:
        raise DataError(f"{what} must be numbers: {error}") from error
    if array.dtype.kind == "O":
        try:
            array = np.array([np.nan if pd.isna(v) else v for v in array.ravel()]).reshape(
                array.shape
            )
        except (TypeError, ValueError) as error:
            raise DataError(f"{what} must be numeric: {error}") from error
    if array.dtype.kind not in "biuf":
        raise DataError(f"{what} must be numeric, not of type {array.dtype}")
    if array.ndim not in (1, 2):
        raise DataError(f"{what} has shape {array.shape}; give a value per row")
    numbers = array.astype(np.float64)
    return numbers[:, None] if numbers.ndim == 1 else numbers


def row_matrix(source: Source, values: Any, what: str = "the new response") -> Array:
    """Read values for the rows of a model frame.

    Parameters
    ----------
    source : Source
        The model frame's.
    values : array, Series, table, or list of them
        A value for each row used; or for each of these and of the rows that were dropped for a
        missing value, as ``simulate()`` gives with ``na_action="exclude"``; or for each row of the
        data. What stands in rows that are not used does not matter.
    what : str
        What the values are, for messages.

    Returns
    -------
    array (n, columns)

    Raises
    ------
    DataError
        Not numbers, another number of rows, or a missing or infinite value in a row used.
    """
    numbers = _numbers(values, what)
    rows, used = places_of_rows(source)
    # in this order: where no row was dropped they are the same
    places = {
        source.total_rows: source.kept,
        len(rows): used,
        source.nobs: np.arange(source.nobs),
    }
    if len(numbers) not in places:
        sizes = [f"{source.nobs} rows"]
        if len(rows) > source.nobs:
            sizes.append(f"{len(rows)} with those dropped for missing values")
        if source.total_rows > len(rows):
            sizes.append(f"{source.total_rows} in its data")
        raise DataError(
            f"{what} has {len(numbers)} value{'' if len(numbers) == 1 else 's'}; the model has "
            f"{', '.join(sizes)}"
        )
    found: Array = np.array(numbers[places[len(numbers)]])
    wrong = ~np.isfinite(found).all(axis=1)
    if wrong.any():
        raise DataError(
            f"{what} has missing or infinite values in {int(wrong.sum())} of the rows used, first "
            f"in row {int(source.kept[np.flatnonzero(wrong)[0]]) + 1} of the data"
        )
    return found


def row_vector(source: Source, values: Any, what: str = "the new response") -> Array:
    """Read one value per row used (n,); see :func:`row_matrix`.

    Raises
    ------
    DataError
        What :func:`row_matrix` refuses, and more than one column.
    """
    found = row_matrix(source, values, what)
    if found.shape[1] != 1:
        raise DataError(
            f"{what} has {found.shape[1]} columns; give one, or all of them to refit_many()"
        )
    return np.asarray(found[:, 0])
