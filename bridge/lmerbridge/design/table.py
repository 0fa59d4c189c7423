"""The user's data: any frame that narwhals knows, read column by column and never changed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pandas as pd

from lmerbridge.design.columns import Column, elements
from lmerbridge.design.read_columns import from_array, from_narwhals, from_pandas
from lmerbridge.errors import DataError, near_match
from lmerbridge.lazy import LazyModule

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw
else:  # a data frame of pandas does without
    nw = LazyModule("narwhals.stable.v2")

__all__ = ["Table", "read_table"]

# Of a table of this many rows or fewer a copy of a column costs less than finding out whether one
# is needed.
CHEAP_COPY_ROWS = 20_000


class Table:
    """The user's data, read column by column on demand and never changed."""

    def __init__(self, frame: Any):
        self.native = frame
        self._frame: nw.DataFrame[Any] | None = None
        if isinstance(frame, pd.DataFrame):
            names = [str(c) for c in elements(frame.columns)]
            self.rows = len(frame)
        elif _is_arrow(frame):  # narwhals refuses one that has a name twice
            names = list(frame.column_names)
            self.rows = frame.num_rows
        else:
            self._frame = _wrapped(frame)
            names = [str(c) for c in self._frame.columns]
            self.rows = len(self._frame)
        self.columns: tuple[str, ...] = tuple(names)
        self._read: dict[str, Column] = {}

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    def column(self, name: str) -> Column:
        """Column ``name`` as R would hold it.

        Raises
        ------
        DataError
            No such column, or of a type that a model cannot use.
        """
        if name not in self._read:
            if name not in self.columns:
                raise DataError(
                    f"the data has no column {name!r}{near_match(name, self.columns)}; "
                    f"it has {_listed(self.columns)}"
                )
            if self.columns.count(name) > 1:
                raise DataError(f"the data has more than one column {name!r}")
            self._read[name] = self._column(self.columns.index(name), name)
        return self._read[name]

    def _column(self, where: int, name: str) -> Column:
        if isinstance(self.native, pd.DataFrame):
            found = None
            if self.rows <= CHEAP_COPY_ROWS and type(self.native) is pd.DataFrame:
                # a tenth of the time that a Series takes to be made, and no part of pandas' public
                # interface: without it the Series is asked
                held = getattr(self.native, "_get_column_array", None)
                found = None if held is None else from_array(held(where), name)
            return from_pandas(self.native.iloc[:, where], name) if found is None else found
        if self._frame is None:
            return from_narwhals(nw.from_native(self.native.column(where), series_only=True), name)
        return from_narwhals(self._frame[name], name)

    def labels(self) -> tuple[str, ...] | None:
        """Row labels as R's row names; ``None`` for 1, 2, ..., n."""
        if isinstance(self.native, pd.DataFrame):
            index = self.native.index
            if not isinstance(index, pd.RangeIndex) and index.nlevels == 1:
                return tuple(str(label) for label in index)
        return None


def _is_arrow(frame: Any) -> bool:
    kind = type(frame)
    return kind.__module__.partition(".")[0] == "pyarrow" and kind.__name__ == "Table"


def _wrapped(frame: Any) -> nw.DataFrame[Any]:
    try:
        return nw.from_native(frame, eager_only=True)
    except TypeError as error:
        lazy = hasattr(frame, "collect")
        advice = "; collect it first, as in frame.collect()" if lazy else ""
        raise DataError(
            "data must be a pandas, polars or pyarrow table (or any that narwhals knows), "
            f"not {type(frame).__name__}{advice}"
        ) from error
    except Exception as error:
        raise DataError(
            f"the {type(frame).__name__} cannot be read ({type(error).__name__}: {error})"
        ) from error


def _listed(names: Iterable[str], most: int = 12) -> str:
    listed = list(names)
    shown = ", ".join(repr(n) for n in listed[:most])
    return shown + (f" and {len(listed) - most} more" if len(listed) > most else "")


def read_table(data: Any) -> Table:
    """Wrap ``data``, which is anything that narwhals accepts or a dict of columns.

    Raises
    ------
    DataError
        Neither, or columns of different lengths.
    """
    if isinstance(data, Table):
        return data
    if isinstance(data, dict):
        try:
            data = pd.DataFrame(data)
        except (ValueError, TypeError) as error:
            raise DataError(f"data: the columns of the dict make no table ({error})") from error
    return Table(data)
