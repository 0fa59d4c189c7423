"""The arguments of ``lmer`` that go by row: weights, offset and subset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lmerbridge.design.columns import Array, Column, Factor, Logical, Numeric
from lmerbridge.design.contrasts import Contrast
from lmerbridge.design.evaluate import Evaluator
from lmerbridge.design.notes import Note
from lmerbridge.design.table import Table
from lmerbridge.errors import DataError, near_match
from lmerbridge.formula.parser import parse_expression
from lmerbridge.formula.syntax import deparse

__all__ = ["check_contrasts", "check_offset", "check_weights", "row_values", "subset_rows"]


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
            raise DataError(f"{what} {value!r} must be numeric; it has texts or categories")
        if column.values.ndim != 1:
            raise DataError(f"{what} {value!r} must have one value for each row; it is a matrix")
        if what == "offset":
            check_offset(column, value)
        return np.asarray(column.values, dtype=np.float64), name
    try:
        array = np.array(value, dtype=np.float64)  # ours, whatever the user does to it afterwards
    except (TypeError, ValueError):
        raise DataError(
            f"{what} must be a column's name, an expression in R's words, or numbers for the "
            f"{table.rows} rows, not {type(value).__name__}"
        ) from None
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
        return column.values == 1.0, deparse(node, integers=True)  # NA counts as FALSE, as in R
    try:
        array = np.array(value)
        if array.dtype.kind == "O" and array.ndim == 1:
            array = np.array([bool(v) and v == v for v in array.tolist()])
    except (TypeError, ValueError):  # lists of different lengths, values without a truth value
        array = np.empty(0)
    if array.dtype.kind in "iu" and array.ndim == 1:
        if len(array) and (array.min() < -table.rows or array.max() >= table.rows):
            raise DataError(f"subset has positions outside 0 to {table.rows - 1}")
        mask = np.zeros(table.rows, dtype=bool)
        mask[array.astype(np.intp)] = True
        if mask.sum() != len(array):
            raise DataError("subset names a row more than once")
        return mask, "subset"
    if array.dtype.kind != "b" or array.shape != (table.rows,):
        raise DataError(
            f"subset must be {table.rows} truth values, row positions, or a "
            "condition in R's words such as 'x > 0'"
        )
    return array, getattr(value, "name", None) or "subset"


def check_offset(column: Column, label: str) -> None:
    """Raise ``DataError`` for an offset that is not numeric, as R does; truth values are not."""
    if not isinstance(column, Numeric) or column.values.ndim != 1 or column.time is not None:
        raise DataError(f"'offset' must be numeric, one number for each row: {label} is not")


def check_contrasts(asked: Mapping[str, Contrast], fixed: Mapping[str, Column]) -> list[Note]:
    """What R says of ``contrasts=`` that name something they cannot apply to.

    Parameters
    ----------
    asked : mapping
        By variable.
    fixed : mapping
        The response and the variables of the fixed part by their text.

    Raises
    ------
    DataError
        The variable is numeric.
    """
    notes = []
    for name in asked:
        if name not in fixed:
            near = next((v for v in fixed if v == f"factor({name})"), None)
            hint = f" (did you mean {near!r}?)" if near else near_match(name, fixed)
            notes.append(
                Note("warning", f"variable '{name}' is absent, its contrast will be ignored{hint}")
            )
        elif isinstance(fixed[name], Numeric):
            raise DataError(
                f"contrasts apply only to factors: {name!r} is numeric; write factor({name}) in "
                "the formula and in contrasts="
            )
    return notes


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
