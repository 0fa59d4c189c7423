"""What expressions of a formula evaluate to, and the arguments of the functions they call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from lmerbridge.design.columns import Array, Column, Factor, Logical, Numeric, integer_labels
from lmerbridge.design.contrasts import Contrast
from lmerbridge.design.times import Moment, Time
from lmerbridge.equality import by_value
from lmerbridge.errors import DataError
from lmerbridge.formula.syntax import format_number

__all__ = [
    "Arguments",
    "Value",
    "column_of",
    "is_integer",
    "no_time",
    "numbers_of",
    "plain_values",
    "text_of",
    "time_in",
]

# What an expression may evaluate to; a list of plain values comes from c().
Value: TypeAlias = Column | float | str | bool | list[Any] | Moment | Contrast | None


@by_value
@dataclass(frozen=True, eq=False)
class Arguments:
    """The evaluated arguments of one function call in a formula.

    Attributes
    ----------
    function : str
        The function's name.
    named : dict
        Values by the name of the parameter that takes them.
    rest : list
        Values that R's ``...`` takes, in the order written.
    rows : int
        Rows of the data.
    memory : dict
        What a call computed from the fit's data (knots, centres), for the same call on new data.
    text : str
        The call as R writes it.
    texts : tuple of str
        Its arguments as R writes them, in the order written.
    """

    function: str
    named: dict[str, Value]
    rest: list[Value]
    rows: int
    memory: dict[Any, Any]
    text: str = ""
    texts: tuple[str, ...] = ()

    def get(self, name: str, default: Value = None) -> Value:
        """Return the value of a parameter, or the default where it was not given."""
        return self.named.get(name, default)

    def first(self, name: str) -> Value:
        """Return the value of a parameter that must be given.

        Raises
        ------
        DataError
            It was not.
        """
        if name not in self.named:
            raise DataError(f"{self.function}() needs its argument {name!r}")
        return self.named[name]

    def number(self, name: str, default: float | None = None) -> float | None:
        """Return the value of a parameter as a number, or the default where it was not given.

        Raises
        ------
        DataError
            It is no number.
        """
        value = self.named.get(name, default)
        if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)):
            return None if value is None else float(value)
        if isinstance(value, bool):
            return float(value)
        raise DataError(f"{self.function}(): {name} must be a number")

    def truth(self, name: str, default: bool) -> bool:
        """Return the value of a parameter as a truth value, or the default where it was not given.

        Raises
        ------
        DataError
            It is none.
        """
        value = self.named.get(name, default)
        if isinstance(value, (bool, int, float)):
            return bool(value)
        raise DataError(f"{self.function}(): {name} must be TRUE or FALSE")

    def column(self, name: str) -> Column:
        """Return the value of a parameter, which must be given, as a column of all rows."""
        return column_of(self.first(name), self.rows, self.function)

    def numbers(self, name: str) -> Array:
        """Return the value of a parameter, which must be given, as numbers (rows,)."""
        return numbers_of(self.column(name), self.function)


def column_of(value: Value, rows: int, where: str) -> Column:
    """``value`` as a column of ``rows`` rows; a single number is repeated."""
    if isinstance(value, (Numeric, Logical, Factor)):
        return value
    if isinstance(value, bool):
        return Logical(np.full(rows, float(value)))
    if isinstance(value, (int, float)):
        return Numeric(np.full(rows, float(value)), integer=isinstance(value, int))
    if isinstance(value, Moment):
        return Numeric(np.full(rows, value.value), time=value.time)
    raise DataError(f"{where}() needs a column, not {_describe(value)}")


def numbers_of(column: Value, where: str) -> Array:
    """The column as floats, or an error that says why it has none."""
    if isinstance(column, Numeric):
        return column.floats
    if isinstance(column, Logical):
        return column.values
    if isinstance(column, Factor):
        raise DataError(f"{where!r} is not meaningful for factors and strings")
    raise DataError(f"{where!r} needs numbers, not {_describe(column)}")


def time_in(value: Value) -> Time | None:
    """The class of a date, a time or a difference."""
    return value.time if isinstance(value, (Numeric, Moment)) else None


def is_integer(value: Value) -> bool:
    """Whether R would hold the value as integers: their labels have all digits."""
    if isinstance(value, Numeric):
        return value.integer or value.values.dtype.kind in "iu"
    if isinstance(value, list):
        return all(isinstance(v, int) for v in value)
    return isinstance(value, (int, Logical))


def no_time(value: Value, function: str) -> None:
    """Refuse dates and times where R has no meaning for them."""
    time = time_in(value)
    if time is not None:
        raise DataError(
            f"{function!r} is not defined for {time.kind!r} objects; write as.numeric() of the "
            "column for arithmetic"
        )


def _describe(value: Value) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return f"the string {value!r}"
    return "a list" if isinstance(value, list) else type(value).__name__.lower()


def plain_values(value: Value, function: str) -> list[Any]:
    """A constant or c(...) as a list of plain values."""
    if isinstance(value, list):
        return value
    if isinstance(value, (bool, int, float, str)):
        return [value]
    raise DataError(f"{function}(): give constants, as in c(1, 2)")


def text_of(value: Any) -> str:
    """A plain value as R's ``as.character`` writes it."""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int):
        return integer_labels([value])[0]
    return value if isinstance(value, str) else format_number(float(value))
