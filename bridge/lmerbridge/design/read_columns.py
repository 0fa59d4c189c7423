"""A column of the user's data as R would hold it: from pandas, and from what narwhals knows."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lmerbridge.design.columns import (
    EXACT_MAX,
    Array,
    Column,
    Factor,
    Logical,
    Numeric,
    as_factor,
    elements,
    integer_labels,
)
from lmerbridge.design.times import Time
from lmerbridge.errors import DataError, LmerBridgeError
from lmerbridge.formula.syntax import format_number
from lmerbridge.lazy import LazyModule

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw
else:  # a data frame of pandas does without
    nw = LazyModule("narwhals.stable.v2")

__all__ = ["from_array", "from_narwhals", "from_pandas"]

DAY_SECONDS = 86400.0
_INT64 = range(-(2**63), 2**63)


def _unusable(name: str, dtype: Any, hint: str = "") -> DataError:
    advice = hint or "make a number, a string or a category of it"
    return DataError(f"column {name!r} has type {dtype}, which a model cannot use: {advice}")


def _readable(name: str, dtype: Any, read: Callable[[], Column]) -> Column:
    """What ``read`` gives; what other libraries raise becomes an error of ours."""
    try:
        return read()
    except LmerBridgeError:
        raise
    except Exception as error:
        first = (str(error).strip().splitlines() or [""])[0]
        raise DataError(
            f"column {name!r} of type {dtype} cannot be read ({type(error).__name__}: {first}); "
            "make a number, a string or a category of it"
        ) from error


# -- numbers


def _exact(values: Sequence[Any], name: str, integer: bool) -> Numeric:
    """Python's own numbers (``None`` for NA), kept apart where floats cannot tell them apart."""
    try:
        floats = np.array([np.nan if v is None else float(v) for v in values])
    except OverflowError:
        raise DataError(f"column {name!r} has numbers beyond 1e308") from None
    distinct = sorted({v for v in values if v is not None})
    labels = integer_labels(distinct) if integer else [format_number(float(v)) for v in distinct]
    wide = integer and any(not -EXACT_MAX <= v <= EXACT_MAX for v in distinct)
    if not wide and len(set(labels)) == len(labels):
        return Numeric(floats, integer=integer)
    if len(set(labels)) < len(labels):
        labels = [str(v) for v in distinct]
    position = {value: i for i, value in enumerate(distinct)}
    codes = np.array([-1 if v is None else position[v] for v in values], dtype=np.int64)
    return Numeric(floats, integer=integer, exact=Factor(codes, tuple(labels)))


def _integers(values: Sequence[int | None], name: str) -> Numeric:
    present = [v for v in values if v is not None]
    inside = not present or (min(present) in _INT64 and max(present) in _INT64)
    if len(present) == len(values) and inside:
        return Numeric(np.array(values, dtype=np.int64))
    return _exact(values, name, True)


def _matrix(values: Sequence[Any], name: str) -> Numeric:
    """A column whose every value is a sequence of k numbers: R's matrix column."""
    widths = {len(v) for v in values if v is not None}
    if len(widths) != 1:
        listed = ", ".join(map(str, sorted(widths)[:5]))
        raise DataError(f"column {name!r} has sequences of different lengths ({listed})")
    (width,) = widths
    try:
        rows = [[np.nan] * width if v is None else [float(x) for x in v] for v in values]
    except (TypeError, ValueError):
        raise DataError(f"column {name!r} has sequences of what is not a number") from None
    return Numeric(np.array(rows, dtype=np.float64).reshape(len(values), width))


# -- times


def _instants(seconds: Array, zone: str | None) -> Numeric:
    """Instants, in seconds since 1970: dates where no zone is given and all are midnight."""
    present = seconds[~np.isnan(seconds)]
    if len(present) == 0:
        return Numeric(seconds)
    if zone is None and bool(np.all(present % DAY_SECONDS == 0)):
        return Numeric(seconds / DAY_SECONDS, time=Time("Date", "days"))
    return Numeric(seconds, time=Time("POSIXct", "secs", zone))


def _seconds(values: Array) -> Array:
    """NumPy's dates or differences as seconds; NaT becomes NaN."""
    kind = values.dtype.kind
    whole = values.astype(f"{kind}8[s]")
    rest = (values - whole.astype(values.dtype)).astype("m8[ns]").astype(np.float64) / 1e9
    seconds = whole.astype(np.int64).astype(np.float64) + rest
    return np.where(np.isnat(values), np.nan, seconds)


def _dates(values: Iterable[datetime.date | None]) -> Numeric:
    days = [np.nan if v is None else float(v.toordinal() - 719163) for v in values]
    return Numeric(np.array(days), time=Time("Date", "days"))


# -- text and objects


def _from_strings(values: Sequence[Any], name: str) -> Factor:
    try:
        codes, levels = pd.factorize(_objects(values), sort=True)
    except (TypeError, ValueError):  # what cannot be sorted or hashed
        raise _not_text(values, name) from None
    if not all(isinstance(level, str) for level in levels):
        raise _not_text(values, name)
    return Factor(codes.astype(np.int64), tuple(map(str, levels)))


def _not_text(values: Sequence[Any], name: str) -> DataError:
    kinds = {type(value).__name__ for value in values if value is not None}
    if kinds <= {"bytes", "bytearray", "memoryview"}:
        return DataError(
            f"column {name!r} has bytes: decode them to texts, as in .str.decode('utf-8')"
        )
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


def _from_objects(given: Sequence[Any], name: str) -> Column:
    """A column of Python objects, of one kind each."""
    array = _objects(given)
    array[pd.isna(array)] = None
    values = array.tolist()
    kinds = set(map(type, values)) - {type(None)}

    def all_are(*classes: type) -> bool:
        return all(issubclass(k, classes) for k in kinds)

    if not kinds:
        return Numeric(np.full(len(values), np.nan))
    if kinds <= {bool, np.bool_}:
        return Logical(np.array([np.nan if v is None else float(v) for v in values]))
    if not any(issubclass(k, (bool, np.bool_)) for k in kinds):
        if all_are(int, np.integer):
            return _integers([None if v is None else int(v) for v in values], name)
        if all_are(int, float, np.integer, np.floating):
            wide = any(
                isinstance(v, (int, np.integer)) and not -EXACT_MAX <= v <= EXACT_MAX
                for v in values
            )
            if wide:
                return _exact(values, name, False)
            return Numeric(np.array([np.nan if v is None else float(v) for v in values]))
        if all_are(Decimal, int, np.integer):
            return _exact([int(v) if isinstance(v, np.integer) else v for v in values], name, False)
    if all_are(str):
        return _from_strings(values, name)
    if all_are(datetime.date) and not any(issubclass(k, datetime.datetime) for k in kinds):
        return _dates(values)
    if all_are(datetime.datetime, np.datetime64):
        zones = {str(getattr(v, "tzinfo", None)) for v in values if v is not None}
        if len(zones) > 1:
            raise DataError(
                f"column {name!r} mixes time zones ({', '.join(sorted(zones))}): bring them to one"
            )
        return from_pandas(pd.to_datetime(pd.Series(values, dtype=object)), name)
    if all_are(datetime.timedelta, np.timedelta64):
        return from_pandas(pd.to_timedelta(pd.Series(values, dtype=object)), name)
    if all_are(list, tuple, np.ndarray):
        return _matrix(values, name)
    return _from_strings(values, name)


def _levels(categories: Sequence[Any], name: str) -> list[str]:
    """The levels of a categorical as R would write these values."""
    if set(map(type, categories)) == {str}:
        return list(categories)
    if all(isinstance(c, str) for c in categories):
        return [str(c) for c in categories]
    if any(isinstance(c, bytes) for c in categories):
        raise _not_text(categories, name)
    if all(isinstance(c, (bool, np.bool_)) for c in categories):
        return ["TRUE" if c else "FALSE" for c in categories]
    if all(isinstance(c, (int, np.integer)) for c in categories):
        return integer_labels([int(c) for c in categories])
    if all(isinstance(c, (int, float, np.integer, np.floating)) for c in categories):
        return [format_number(float(c)) for c in categories]
    if all(isinstance(c, (datetime.date, datetime.timedelta)) for c in categories):
        column = _from_objects(list(categories), name)
        factor = as_factor(column)
        return [factor.levels[i] for i in factor.codes]
    return [str(c) for c in categories]


def _categorical(categories: Sequence[Any], codes: Array, ordered: bool, name: str) -> Factor:
    levels = _levels(categories, name)
    if len(set(levels)) < len(levels):
        twice = next(level for i, level in enumerate(levels) if level in levels[:i])
        raise DataError(
            f"column {name!r} has different categories that are the same level {twice!r}: "
            "rename one of them"
        )
    return Factor(np.asarray(codes, dtype=np.int64), tuple(levels), ordered)


# -- pandas


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


def from_array(values: Any, name: str) -> Column | None:
    """A column of what pandas holds it in, copied; ``None`` for what only its Series tells."""
    if isinstance(values, np.ndarray) and values.ndim == 1:
        if values.dtype == np.float64 or values.dtype == np.int64:
            return Numeric(values.copy())
    elif isinstance(values, pd.Categorical):
        dtype = values.dtype
        return _readable(
            name,
            dtype,
            lambda: _categorical(
                elements(dtype.categories), values.codes, bool(dtype.ordered), name
            ),
        )
    return None


def from_pandas(series: pd.Series[Any], name: str) -> Column:
    """A column of a pandas data frame.

    Raises
    ------
    DataError
        Of a type that a model cannot use.
    """
    return _readable(name, series.dtype, lambda: _from_pandas(series, name))


def _from_pandas(series: pd.Series[Any], name: str) -> Column:
    dtype: Any = series.dtype
    if isinstance(dtype, np.dtype) and (dtype == np.float64 or dtype == np.int64):
        return Numeric(_own(series, series.to_numpy()))
    if isinstance(dtype, pd.CategoricalDtype):
        codes = np.asarray(series.cat.codes)
        return _categorical(list(dtype.categories), codes, bool(dtype.ordered), name)
    if isinstance(dtype, pd.ArrowDtype):
        import pyarrow as pa

        found = pa.array(series)
        chunked = found if isinstance(found, pa.ChunkedArray) else pa.chunked_array([found])
        return _from_narwhals(nw.from_native(chunked, series_only=True), name)
    if isinstance(dtype, pd.SparseDtype):
        return _from_pandas(pd.Series(np.asarray(series)), name)
    if isinstance(dtype, pd.PeriodDtype):
        raise _unusable(name, dtype, "make dates of it by .dt.to_timestamp(), or texts")
    if isinstance(dtype, pd.IntervalDtype):
        raise _unusable(name, dtype, "make texts of it by .astype(str), or a category")
    if pd.api.types.is_bool_dtype(dtype):
        return Logical(series.to_numpy(dtype=np.float64, na_value=np.nan))
    if pd.api.types.is_complex_dtype(dtype):
        raise DataError(f"column {name!r} is complex; lme4 fits real numbers")
    if pd.api.types.is_integer_dtype(dtype):
        return _from_integers(series, name)
    if pd.api.types.is_numeric_dtype(dtype):
        return Numeric(_own(series, series.to_numpy(dtype=np.float64, na_value=np.nan)))
    if isinstance(dtype, pd.DatetimeTZDtype):
        naive = np.asarray(series.dt.tz_convert("UTC").dt.tz_localize(None))
        return _instants(_seconds(naive), str(dtype.tz))
    if dtype.kind == "M":
        return _instants(_seconds(np.asarray(series)), None)
    if dtype.kind == "m":
        return Numeric(_seconds(np.asarray(series)), time=Time("difftime", "secs"))
    if pd.api.types.is_string_dtype(dtype) or dtype.kind == "O":
        if isinstance(dtype, pd.StringDtype):
            return _from_strings(series.where(series.notna(), None).tolist(), name)
        return _from_objects(series.tolist(), name)
    raise _unusable(name, dtype)


def _from_integers(series: pd.Series[Any], name: str) -> Numeric:
    if not series.hasnans:
        values = series.to_numpy()
        if values.dtype.kind == "u" and len(values) and int(values.max()) > np.iinfo(np.int64).max:
            return _integers(values.tolist(), name)
        return Numeric(_own(series, series.to_numpy(dtype=np.int64)))
    missing = series.isna().to_numpy(dtype=bool)
    known = series[~missing].to_numpy()
    if len(known) == 0 or -EXACT_MAX <= int(known.min()) <= int(known.max()) <= EXACT_MAX:
        return Numeric(series.to_numpy(dtype=np.float64, na_value=np.nan), integer=True)
    values = np.empty(len(series), dtype=object)
    values[missing], values[~missing] = None, known.tolist()
    return _exact(values.tolist(), name, True)


# -- narwhals


def from_narwhals(series: nw.Series[Any], name: str) -> Column:
    """A column of any other data frame.

    Raises
    ------
    DataError
        Of a type that a model cannot use.
    """
    return _readable(name, series.dtype, lambda: _from_narwhals(series, name))


def _floats(series: nw.Series[Any]) -> Array:
    return np.asarray(series.cast(nw.Float64).to_numpy(), dtype=np.float64)


def _held_by_floats(series: nw.Series[Any]) -> bool:
    """Whether floats hold all of these integers exactly."""
    ends = [series.min(), series.max()]
    return all(end is None or -EXACT_MAX <= int(end) <= EXACT_MAX for end in ends)


def _from_narwhals(series: nw.Series[Any], name: str) -> Column:
    dtype = series.dtype
    if isinstance(dtype, (nw.Categorical, nw.Enum)):
        categories = series.cat.get_categories().to_list()
        position = {level: i for i, level in enumerate(categories)}
        values = series.cast(nw.String).to_list()
        codes = np.array([position.get(v, -1) for v in values], dtype=np.int64)
        return _categorical(categories, codes, False, name)
    if dtype == nw.Boolean:
        return Logical(np.array([np.nan if v is None else float(v) for v in series.to_list()]))
    if dtype == nw.String:
        return _from_strings(series.to_list(), name)
    if dtype.is_integer():
        if series.null_count() == 0 and dtype not in (nw.UInt64, nw.Int128, nw.UInt128):
            return Numeric(np.asarray(series.to_numpy()).astype(np.int64))
        if dtype not in (nw.UInt64, nw.Int128, nw.UInt128) and _held_by_floats(series):
            return Numeric(_floats(series), integer=True)
        return _integers(series.to_list(), name)
    if isinstance(dtype, nw.Decimal):
        return _exact(series.to_list(), name, False)
    if dtype.is_numeric():
        return Numeric(_floats(series))
    if dtype == nw.Date:
        return _dates(series.to_list())
    if isinstance(dtype, nw.Datetime):
        return _instants(_floats(series.dt.timestamp("us")) / 1e6, dtype.time_zone)
    if isinstance(dtype, nw.Duration):
        seconds = _floats(series.dt.total_microseconds()) / 1e6
        return Numeric(seconds, time=Time("difftime", "secs"))
    if isinstance(dtype, (nw.List, nw.Array)):
        return _matrix(series.to_list(), name)
    if dtype == nw.Object:
        return _from_objects(series.to_list(), name)
    if series.null_count() == len(series):
        return Numeric(np.full(len(series), np.nan))
    if dtype == nw.Binary:
        raise _unusable(name, dtype, "decode it to texts")
    raise _unusable(name, dtype)
