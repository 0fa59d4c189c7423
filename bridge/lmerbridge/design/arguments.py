"""The arguments of ``lmer`` that go by row: weights, offset and subset."""

from __future__ import annotations

from typing import Any

import numpy as np

from lmerbridge.design.columns import Array, Factor, Logical, Table
from lmerbridge.design.evaluate import Evaluator
from lmerbridge.errors import DataError
from lmerbridge.formula.parser import parse_expression
from lmerbridge.formula.syntax import deparse

__all__ = ["check_weights", "row_values", "subset_rows"]


def row_values(
    value: Any, what: str, table: Table, evaluator: Evaluator
) -> tuple[Array | None, str | None]:
    """``weights`` or ``offset`` per row, and its name: a column, an R expression or an array."""
    if value is None:
        return None, None
    if isinstance(value, str):
        name = value
        node = parse_expression(value) if value not in table else None
        column = table.column(value) if node is None else evaluator.column(node)
        if isinstance(column, Factor):
            raise DataError(f"{what} {value!r} must be numeric")
        return np.asarray(column.values, dtype=np.float64), name
    array = np.array(value, dtype=np.float64)  # ours, whatever the user does to it afterwards
    if array.shape != (table.rows,):
        raise DataError(f"{what} has shape {array.shape}; the data has {table.rows} rows")
    given = getattr(value, "name", None)
    return array, what if given is None else str(given)


def subset_rows(value: Any, table: Table, evaluator: Evaluator) -> tuple[Array | None, str | None]:
    """``subset`` as a truth value per row, and its name: a condition in R's words, truth values,
    or positions.
    """
    if value is None:
        return None, None
    if isinstance(value, str):
        node = parse_expression(value)
        column = evaluator.column(node)
        if not isinstance(column, Logical):
            raise DataError(f"subset {value!r} must be a condition, true or false for each row")
        return column.values == 1.0, deparse(node)  # NA counts as FALSE, as in R
    array = np.array(value)
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


def check_weights(weights: Array, name: str | None) -> None:
    """Raise ``DataError`` for weights that are not positive and finite."""
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
