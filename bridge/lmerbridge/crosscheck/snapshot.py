"""What is kept of a model's data, so that a later change can be located.

Of each column its type, counts, mean, standard deviation and levels. Of short data the values as
well. Of long data, by blocks of rows, two sums of 64-bit words: of the values, and of the values
mixed with their place. Where one value of a block changed, the first says by how much, and the
second at which row alone that can be, so that the value that was there is known.
"""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from lmerbridge.design import ModelFrame
from lmerbridge.design.columns import EXACT_MAX, Array, Column, Factor, Logical, Numeric, is_missing
from lmerbridge.design.table import read_table
from lmerbridge.design.times import Time, time_labels
from lmerbridge.equality import by_value
from lmerbridge.errors import DataError

__all__ = [
    "BLOCK_ROWS",
    "KEPT_ROWS",
    "ColumnSnapshot",
    "Snapshot",
    "from_plain",
    "mixed",
    "of_data",
    "of_frame",
    "of_words",
    "to_plain",
]

KEPT_ROWS = 10_000  # up to here the values themselves are kept
BLOCK_ROWS = 256
MISSING = "NA"
TRUTH = "truth value"
LARGE = "large whole number"


def _none() -> Array:
    return np.empty(0, dtype=np.uint64)


@dataclass(frozen=True, eq=False)
class ColumnSnapshot:
    """A column, or as much of it as was kept.

    Attributes
    ----------
    kind : str
        ``"number"``, ``"factor"``, ``"date"``, ... in words.
    rows, missing : int
    mean, deviation : float, optional
        Of numbers and truth values.
    levels : tuple of str, optional
        Of factors, in order.
    cells : tuple of str, optional
        The values as texts, of short data.
    words : array of uint64, optional
        The values, of long data of now.
    sums, places : array of uint64 (blocks,)
        Sums by block: of the values, and of the values mixed with their place.
    alike : int
        The sum of the mixed values without their place: the same for the same values in any order.
    time : Time, optional
        What numbers count.
    derived : bool
        Whether it need not be a column of the data: weights, an offset, a subset.
    """

    kind: str
    rows: int
    missing: int
    mean: float | None
    deviation: float | None
    levels: tuple[str, ...] | None
    cells: tuple[str, ...] | None
    sums: Array = field(default_factory=_none)
    places: Array = field(default_factory=_none)
    alike: int = 0
    words: Array | None = None
    time: Time | None = None
    derived: bool = False

    def same_values(self, other: ColumnSnapshot) -> bool:
        """Whether the values are the same at the same places, and the levels too."""
        return (
            self.rows == other.rows
            and self.kind == other.kind
            and self.levels == other.levels
            and np.array_equal(self.places, other.places)
        )

    def text_of(self, word: int) -> str:
        """The value that a word stands for."""
        if self.levels is not None:
            code = int(np.uint64(word).view(np.int64))
            return self.levels[code] if 0 <= code < len(self.levels) else MISSING
        if self.kind == LARGE:
            return str(np.uint64(word).view(np.int64))
        value = np.array([word], dtype=np.uint64).view(np.float64)
        return _truths(value)[0] if self.kind == TRUTH else _texts(value, self.time)[0]


@by_value
@dataclass(frozen=True, eq=False)
class Snapshot:
    """The columns that a model uses, with their names; ``whole``: all columns of the data, of which
    a model uses some.
    """

    columns: Mapping[str, ColumnSnapshot]
    whole: bool = False

    @property
    def rows(self) -> int:
        return next((c.rows for c in self.columns.values()), 0)


def mixed(words: Array, places: Array) -> Array:
    """Words that depend on value and place, and are as good as random (Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        found = words + places * np.uint64(0x9E3779B97F4A7C15)
        found = (found ^ (found >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        found = (found ^ (found >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(found ^ (found >> np.uint64(31)))


def _block_sums(words: Array) -> Array:
    starts = np.arange(0, len(words), BLOCK_ROWS)
    return np.add.reduceat(words, starts) if len(words) else np.empty(0, dtype=np.uint64)


def _texts(values: Array, time: Time | None = None) -> list[str]:
    """Numbers with all their digits; what counts days or seconds as R writes it."""
    if time is not None and not time.is_difference:
        there = np.isfinite(values)
        labels = iter(time_labels(values[there], time))
        return [next(labels) if ok else MISSING for ok in there.tolist()]
    return [MISSING if math.isnan(v) else repr(v).removesuffix(".0") for v in values.tolist()]


def _truths(values: Array) -> list[str]:
    return [{1.0: "TRUE", 0.0: "FALSE"}.get(v, MISSING) for v in values.tolist()]


def _large(column: Column) -> Array | None:
    """Its whole numbers, where floats do not tell them apart."""
    if not isinstance(column, Numeric) or column.values.dtype.kind not in "iu":
        return None
    values = column.values
    large = len(values) and max(int(values.max()), -int(values.min())) > EXACT_MAX
    return values if large else None


def _kind(column: Column) -> str:
    if isinstance(column, Factor):
        return "ordered factor" if column.ordered else "factor"
    if isinstance(column, Logical):
        return TRUTH
    if column.time is not None:
        return {"Date": "date", "difftime": "difference of times"}.get(column.time.kind, "time")
    if _large(column) is not None:
        return LARGE
    return "number" if column.values.ndim == 1 else "matrix"


def _words(column: Column) -> Array:
    """A 64-bit word per row; of a matrix, of all its columns mixed."""
    if isinstance(column, Factor):
        return np.asarray(column.codes, dtype=np.int64).view(np.uint64)
    large = _large(column)
    if large is not None:
        return np.asarray(large.astype(np.uint64))
    values = np.asarray(column.values, dtype=np.float64)
    # one zero and one NaN
    values = np.where(np.isnan(values), np.nan, values) + 0.0
    words = np.ascontiguousarray(values).view(np.uint64)
    if words.ndim == 1:
        return words
    rows = np.zeros(len(words), dtype=np.uint64)
    for j in range(words.shape[1]):
        rows = mixed(rows ^ words[:, j], np.full(len(words), j, dtype=np.uint64))
    return rows


def _cells(column: Column) -> list[str]:
    large = _large(column)
    if large is not None:
        return [str(v) for v in large.tolist()]
    if isinstance(column, Factor):
        labels = [*column.levels, MISSING]
        return [labels[code] for code in column.codes.tolist()]
    values = np.asarray(column.values, dtype=np.float64)
    if isinstance(column, Logical):
        return _truths(values)
    if values.ndim == 2:
        return [f"({', '.join(_texts(row))})" for row in values]
    return _texts(values, column.time)


def of_words(column: ColumnSnapshot, words: Array) -> ColumnSnapshot:
    """The column with these words for its values, and their sums."""
    first = np.zeros(len(words), dtype=np.uint64)
    return replace(
        column,
        sums=_block_sums(words),
        places=_block_sums(mixed(words, np.arange(len(words), dtype=np.uint64))),
        alike=int(mixed(words, first).sum(dtype=np.uint64)),
        words=words,
    )


def _finite(value: Any) -> float | None:
    """JSON has no infinity, which the square of a large number may be."""
    return float(value) if math.isfinite(value) else None


def of_column(column: Column) -> ColumnSnapshot:
    """What is kept of a column."""
    if isinstance(column, Numeric) and column.exact is not None:
        return replace(of_column(column.exact), kind=LARGE)
    words = _words(column)
    mean = deviation = None
    if not isinstance(column, Factor) and column.values.ndim == 1:
        values = np.asarray(column.values, dtype=np.float64)
        values = values[np.isfinite(values)]
        with np.errstate(over="ignore", invalid="ignore"):
            mean = _finite(values.mean()) if len(values) else None
            deviation = _finite(values.std(ddof=1)) if len(values) > 1 else None
    return of_words(
        ColumnSnapshot(
            kind=_kind(column),
            rows=len(words),
            missing=int(is_missing(column).sum()),
            mean=mean,
            deviation=deviation,
            levels=column.levels if isinstance(column, Factor) else None,
            cells=tuple(_cells(column)) if len(words) <= KEPT_ROWS else None,
            time=column.time if isinstance(column, Numeric) else None,
        ),
        words,
    )


def of_frame(frame: ModelFrame) -> Snapshot:
    """All rows of the columns that a model uses, its weights, offset and subset among them."""
    columns = {name: of_column(column) for name, column in frame.source.raw.items()}
    derived: dict[str, Column] = {
        name: Numeric(np.asarray(values, dtype=np.float64))
        for name, values in (
            (frame.asked.weights_name, frame.source.raw_weights),
            (frame.asked.offset_name, frame.source.raw_offset),
        )
        if name is not None and values is not None
    }
    if frame.source.raw_subset is not None:
        derived["subset"] = Logical(np.asarray(frame.source.raw_subset).astype(np.float64))
    for name, column in derived.items():
        columns.setdefault(name, replace(of_column(column), derived=True))
    return Snapshot(columns)


def of_data(data: Any) -> Snapshot:
    """All columns of a data frame that a model can use."""
    table = read_table(data)
    columns = {}
    for name in dict.fromkeys(table.columns):
        try:
            columns[name] = of_column(table.column(name))
        except DataError:
            continue
    return Snapshot(columns, whole=True)


def _packed(value: Any) -> str:
    return base64.b64encode(zlib.compress(json.dumps(value).encode(), 9)).decode()


def _unpacked(text: str) -> Any:
    return json.loads(zlib.decompress(base64.b64decode(text)))


def _as_text(words: Array) -> str:
    return base64.b64encode(words.astype("<u8").tobytes()).decode()


def _as_words(text: str) -> Array:
    return np.frombuffer(base64.b64decode(text), dtype="<u8").astype(np.uint64)


def to_plain(snapshot: Snapshot) -> dict[str, Any]:
    """As JSON has it."""
    found = {}
    for name, c in snapshot.columns.items():
        plain: dict[str, Any] = {"kind": c.kind, "rows": c.rows, "missing": c.missing}
        if c.mean is not None:
            plain |= {"mean": c.mean, "sd": c.deviation}
        if c.levels is not None:
            plain["levels"] = list(c.levels)
        if c.derived:
            plain["derived"] = True
        if c.time is not None:
            plain["time"] = [c.time.kind, c.time.unit, c.time.zone]
        plain |= {"alike": f"{c.alike:016x}", "places": _as_text(c.places)}
        plain |= {"sums": _as_text(c.sums)} if c.cells is None else {"values": _packed(c.cells)}
        found[name] = plain
    return found


def _column_of(c: Mapping[str, Any]) -> ColumnSnapshot:
    cells, rows = c.get("values"), int(c["rows"])
    column = ColumnSnapshot(
        kind=str(c["kind"]),
        rows=rows,
        missing=int(c["missing"]),
        mean=None if c.get("mean") is None else float(c["mean"]),
        deviation=None if c.get("sd") is None else float(c["sd"]),
        levels=None if "levels" not in c else tuple(map(str, c["levels"])),
        cells=None if cells is None else tuple(map(str, _unpacked(cells))),
        sums=_none() if "sums" not in c else _as_words(c["sums"]),
        places=_as_words(c["places"]),
        alike=int(c["alike"], 16),
        time=None if "time" not in c else Time(*c["time"]),
        derived=bool(c.get("derived", False)),
    )
    blocks = -(-rows // BLOCK_ROWS)
    values = len(column.sums) == blocks if column.cells is None else len(column.cells) == rows
    if len(column.places) != blocks or not values:
        raise ValueError(f"not {rows} rows")
    return column


def from_plain(plain: Any) -> Snapshot:
    """From what :func:`to_plain` gave.

    Raises
    ------
    DataError
        It is something else, or damaged.
    """
    try:
        if not plain:
            raise ValueError("there are none")
        return Snapshot({str(name): _column_of(c) for name, c in plain.items()})
    except (AttributeError, KeyError, TypeError, ValueError, zlib.error) as error:
        raise DataError(f"the columns that were kept are damaged: {error}") from error
