"""Dates, times and time differences as R holds them: numbers with a class.

R's ``Date`` counts days since 1970-01-01, ``POSIXct`` seconds since then, and ``difftime`` has its
own unit (``?Dates``, ``?DateTimeClasses``, ``?difftime``). In a model matrix they are these
numbers; as levels of a factor they are text; and arithmetic that has no meaning for them is
refused.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from lmerbridge.errors import DataError
from lmerbridge.formula.syntax import format_number

__all__ = [
    "SECONDS",
    "Moment",
    "Time",
    "result_of",
    "time_labels",
    "time_of_text",
    "unit_of_difference",
]

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

SECONDS = {"secs": 1.0, "mins": 60.0, "hours": 3600.0, "days": 86400.0, "weeks": 604800.0}


@dataclass(frozen=True)
class Time:
    """What the numbers of a column count.

    Attributes
    ----------
    kind : str
        R's class: ``Date``, ``POSIXct`` or ``difftime``.
    unit : str
        ``secs``, ``mins``, ``hours``, ``days`` or ``weeks``.
    zone : str or None
        The time zone that a ``POSIXct`` is shown in; ``None`` is UTC.
    """

    kind: str
    unit: str
    zone: str | None = None

    @property
    def is_difference(self) -> bool:
        """Whether it is a time between two, and no date."""
        return self.kind == "difftime"


@dataclass(frozen=True)
class Moment:
    """One value with its class, as ``min(day)`` gives it."""

    value: float
    time: Time


def time_labels(values: Array, time: Time) -> list[str]:
    """The values as R's ``as.character`` writes them, in the column's time zone.

    Times lose their fractions of seconds, and show no time of day where all are midnight.
    """
    if time.is_difference:
        return [format_number(float(v)) for v in values]
    whole = np.floor(values).astype(np.int64)
    if time.kind == "Date":
        return [str(day) for day in whole.astype("datetime64[D]")]
    index = pd.DatetimeIndex(whole.astype("datetime64[s]")).tz_localize("UTC")
    if time.zone is not None:
        index = index.tz_convert(time.zone)
    midnight = (index.hour == 0) & (index.minute == 0) & (index.second == 0)
    return list(index.strftime("%Y-%m-%d" if bool(midnight.all()) else "%Y-%m-%d %H:%M:%S"))


def time_of_text(text: str, time: Time) -> float:
    """A text such as ``"2024-01-31"`` as a number of the class of ``time``.

    Raises
    ------
    DataError
        It is no date or time.
    """
    try:
        stamp = pd.Timestamp(text)
    except (ValueError, TypeError):
        raise DataError(f"{text!r} is no date: write it as in '2024-01-31'") from None
    if time.kind == "Date":
        return float(np.datetime64(stamp.date(), "D").astype(np.int64))
    if stamp.tzinfo is None:
        stamp = stamp.tz_localize(time.zone or "UTC")
    return float(stamp.timestamp())


def unit_of_difference(seconds: Array) -> str:
    """The unit that R takes for a difference of times: the largest of which all are at least 1."""
    known = np.abs(seconds[~np.isnan(seconds)])
    least = float(known.min()) if len(known) else 0.0
    for unit in ("days", "hours", "mins"):
        if least >= SECONDS[unit]:
            return unit
    return "secs"


def _not_defined(operator: str, time: Time, label: str) -> DataError:
    return DataError(
        f"{label}: {operator!r} is not defined for {time.kind!r} objects; "
        "write as.numeric() of the column for arithmetic"
    )


def result_of(
    operator: str, left: Time | None, right: Time | None, label: str
) -> tuple[Time | None, float, float]:
    """The class of ``left operator right``, and the factors that bring both sides into one unit.

    Raises
    ------
    DataError
        R does not define it.
    """
    if left is None and right is None:
        return None, 1.0, 1.0
    if left is not None and right is not None:
        unit = min(left.unit, right.unit, key=SECONDS.__getitem__)
        if not left.is_difference:
            unit = left.unit
        scales = SECONDS[left.unit] / SECONDS[unit], SECONDS[right.unit] / SECONDS[unit]
        if operator == "-" and left.kind == right.kind:
            return Time("difftime", unit), *scales
        if operator in ("+", "-") and right.is_difference:
            return replace(left, unit=unit), *scales
        if operator == "+" and left.is_difference:
            raise DataError(f"{label}: write the date before the difference that is added to it")
        if operator == "/" and left.is_difference and right.is_difference:
            return None, *scales
        raise _not_defined(operator, left, label)
    one = left if left is not None else right
    assert one is not None
    sums = operator == "+" or (operator == "-" and (left is not None or one.is_difference))
    scaled = one.is_difference and (operator == "*" or (operator == "/" and left is not None))
    if sums or scaled:
        return one, 1.0, 1.0
    raise _not_defined(operator, one, label)
