"""The data sets: ``load(name)``, ``names()``, ``describe(name)``.

Most ship with the package, in the wheel as one packed file (``datasets/packed.xz``;
``scripts/wheel_data.py`` makes it); ``clark_random_intercept`` and ``clark_random_slope`` with
``lmerbridge-further``. ``bounce`` and ``dragons`` do not, for their licence, and
``InstEval``, ``VerbAgg`` and ``Contraception`` are only in a checkout, for their size: they are
taken from the folder that the environment variable ``LMERBRIDGE_DATA`` names, or fetched once and
kept; either way their content is checked against a SHA-256. They are fetched from where
``describe(name).url`` says; where that is out of reach, ``LMERBRIDGE_DATA_URL`` names another
address at which files of the same names are (``http://mirror.example.org/data`` for
``http://mirror.example.org/data/InstEval.csv``).
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import logging
import lzma
import os
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from lmerbridge.arguments import checked
from lmerbridge.equality import by_value
from lmerbridge.errors import ArgumentError, DataError, MissingPackageError, near_match
from lmerbridge.files import FURTHER, data_folder, data_folders
from lmerbridge.optional import is_there, needed
from lmerbridge.reading import read_delimited
from lmerbridge.shown import shown

__all__ = ["DatasetInfo", "describe", "is_local", "load", "names", "read_csv", "read_table"]


@by_value
@dataclass(frozen=True, eq=False)
@shown
class DatasetInfo:
    """What a data set is.

    Attributes
    ----------
    name, title, source, licence : str
        What it is called, holds, comes from, and may be used for.
    rows : int
        How many it has.
    sha256 : str
        Of the CSV file.
    columns : dict of str to str
        What each column means, with its unit.
    levels : dict
        Per factor its levels in order, or ``"numeric"`` or ``"sorted"`` for those orders.
    ordered : tuple of str
        The ordered factors.
    url : str or None
        Where it is fetched from, if it does not ship with the package.
    format : str
        Of what is there: ``csv``, or ``rdata`` for an R file.
    """

    name: str
    title: str
    source: str
    licence: str
    rows: int
    sha256: str
    columns: dict[str, str]
    levels: dict[str, Any]
    ordered: tuple[str, ...]
    url: str | None = None
    format: str = "csv"

    def __str__(self) -> str:
        lines = [
            f"{self.name}: {self.title}",
            f"  {self.rows} rows",
            f"  source: {self.source}",
            f"  licence: {self.licence}",
        ]
        for column, meaning in self.columns.items():
            kind = ""
            if column in self.levels:
                levels = self.levels[column]
                kind = " (ordered factor" if column in self.ordered else " (factor"
                kind += f" with {len(levels)} levels)" if isinstance(levels, list) else ")"
            lines.append(f"  {column}: {meaning}{kind}")
        return "\n".join(lines)


@lru_cache(maxsize=1)
def _unpacked(path: Path) -> dict[str, str]:
    """By file name the texts of the wheel's packed file; none in a checkout, which has files."""
    return dict(json.loads(lzma.decompress(path.read_bytes()))) if path.is_file() else {}


def _packed(file: str) -> bytes | None:
    """A file of the wheel's packed one."""
    text = _unpacked(data_folder("datasets") / "packed.xz").get(file)
    return None if text is None else text.encode()


def names() -> list[str]:
    """List the names of all data sets."""
    folder = data_folder("datasets")
    files = [*folder.glob("*.toml"), *map(Path, _unpacked(folder / "packed.xz"))]
    return sorted((file.stem for file in files if file.suffix == ".toml"), key=str.casefold)


@checked
def describe(name: str) -> DatasetInfo:
    """Describe a data set: title, source, licence and columns.

    Parameters
    ----------
    name : str
        One of :func:`names`.

    Returns
    -------
    DatasetInfo
        ``print`` shows all of it.

    Raises
    ------
    DataError
        There is no such data set.
    """
    if name not in names():
        raise DataError(
            f"there is no data set {name!r}{near_match(name, names())}; "
            f"data sets: {', '.join(names())}"
        )
    file = f"{name}.toml"
    content = _packed(file) or (data_folder("datasets") / file).read_bytes()
    table = tomllib.loads(content.decode())
    columns = table["columns"]
    return DatasetInfo(
        name=name,
        title=table["title"],
        source=table["source"],
        licence=table["licence"],
        rows=table["rows"],
        sha256=table["sha256"],
        columns={c: v["meaning"] for c, v in columns.items()},
        levels={c: v["levels"] for c, v in columns.items() if "levels" in v},
        ordered=tuple(c for c, v in columns.items() if v.get("ordered")),
        url=table.get("url"),
        format=table.get("format", "csv"),
    )


def _shortest(value: Any) -> str:
    """A number as R writes it: 0, not 0.0."""
    return repr(float(value)).removesuffix(".0")


def _canonical(content: bytes, info: DatasetInfo, address: str) -> bytes:
    """A fetched file as the CSV that the SHA-256 is of: our columns only, in our order."""
    if info.format == "rdata":
        try:
            import rdata  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise DataError(
                f"{info.name} comes as an R file: pip install rdata, or put "
                f"{info.name}.csv into the folder LMERBRIDGE_DATA names"
            ) from error
        tables = rdata.conversion.convert(rdata.parser.parse_data(content))
        frame = tables[info.name]
    else:
        frame = pd.read_csv(io.BytesIO(content), dtype=str)
    missing = [c for c in info.columns if c not in frame]
    if missing:
        raise DataError(f"{address} does not have the column {missing[0]!r}")
    text = frame[list(info.columns)].to_csv(
        index=False, lineterminator="\n", float_format=_shortest
    )
    return str(text).encode()


def _checked(content: bytes, info: DatasetInfo, where: str) -> bytes:
    digest = hashlib.sha256(content).hexdigest()
    if digest != info.sha256:
        raise DataError(
            f"{where} is not the data set {info.name!r}: its SHA-256 is "
            f"{digest[:12]}..., it should be {info.sha256[:12]}..."
        )
    return content


def _cache() -> Path | None:
    """Where fetched data sets are kept; nothing was fetched without pooch."""
    if not is_there("pooch"):
        return None
    import pooch

    return Path(pooch.os_cache("lmerbridge"))


def _local(info: DatasetInfo) -> Path | None:
    """The file on this machine, if there is one."""
    files = (f"{info.name}.csv", f"{info.name}.csv.gz")
    candidates = [folder / file for folder in data_folders("datasets") for file in files]
    if info.url is not None:
        folder = os.environ.get("LMERBRIDGE_DATA")
        if folder:
            candidates = [Path(folder) / c.name for c in candidates] + candidates
        cache = _cache()
        if cache is not None:
            candidates.append(cache / f"{info.name}.csv")
    return next((c for c in candidates if c.is_file()), None)


def is_local(name: str) -> bool:
    """Say whether ``load(name)`` works without fetching anything.

    Parameters
    ----------
    name : str
        One of :func:`names`.

    Raises
    ------
    DataError
        There is no such data set.
    """
    return _packed(f"{name}.csv") is not None or _local(describe(name)) is not None


def _address(info: DatasetInfo) -> str:
    """Where the file is fetched from: its own address, or that name at ``LMERBRIDGE_DATA_URL``."""
    assert info.url is not None
    base = os.environ.get("LMERBRIDGE_DATA_URL")
    return f"{base.rstrip('/')}/{info.url.rsplit('/', 1)[-1]}" if base else info.url


@contextlib.contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """pooch advises to put the file's hash into the call, which is no use to who loads data."""
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)


def _fetch(info: DatasetInfo) -> bytes:
    if info.url is None:
        raise MissingPackageError(f"the data set {info.name!r} is {FURTHER}")
    needed("pooch", "data", f"fetching the data set {info.name!r}")
    import pooch

    cache, address = _cache(), _address(info)
    assert cache is not None
    advice = (
        f"put {info.name}.csv into a folder and name that in LMERBRIDGE_DATA, or name another "
        "address that has the file in LMERBRIDGE_DATA_URL"
    )
    try:
        # the SHA-256 is of our columns; theirs may have more, so that it is checked below
        with _quiet(pooch.get_logger()):
            path = pooch.retrieve(
                address,
                known_hash=None,
                path=cache / "fetched",
                fname=address.rsplit("/", 1)[-1],
                progressbar=False,
            )
        content = Path(path).read_bytes()
    except Exception as error:
        raise DataError(
            f"{info.name} could not be fetched from {address} ({type(error).__name__}); {advice}"
        ) from None
    try:
        checked = _checked(_canonical(content, info, address), info, address)
    except DataError as error:
        raise DataError(f"{error}; {advice}") from None
    finally:
        Path(path).unlink()  # what is kept is ours, below
    # in one step: what a stopped process had written of it would be taken for the file
    made = cache / f"{info.name}.csv.{os.getpid()}"
    made.write_bytes(checked)
    made.replace(cache / f"{info.name}.csv")
    return checked


@checked
def load(name: str) -> pd.DataFrame:
    """Load a data set; factors are categoricals with R's levels in R's order.

    Parameters
    ----------
    name : str
        One of :func:`names`.

    Returns
    -------
    DataFrame
        As R has it.

    Raises
    ------
    DataError
        Unknown name; or it must be fetched and cannot be; or its content is not what it was.
    MissingPackageError
        It must be fetched, and pooch is not installed; or it is in ``lmerbridge-further``.

    Examples
    --------
    >>> import lmerbridge as lb
    >>> print(lb.datasets.load("sleepstudy").head(2).to_string())
       Reaction  Days Subject
    0  249.5600     0     308
    1  258.7047     1     308
    """
    info = describe(name)
    content = _packed(f"{name}.csv")
    path = None if content else _local(info)
    if content is not None:
        content = _checked(content, info, "the wheel's copy")
    elif path is None:
        content = _fetch(info)
    else:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
        content = _checked(content, info, str(path))
    # our own files leave the field of a missing value empty
    frame = read_csv(io.BytesIO(content), info.levels, info.ordered, na_strings=("NA", ""))
    frame.attrs["name"] = name
    return frame


@checked
def read_csv(
    source: Any,
    levels: Mapping[str, Any] | None = None,
    ordered: str | Sequence[str] = (),
    sep: str = ",",
    na_strings: str | Sequence[str] = ("NA",),
    dec: str = ".",
) -> pd.DataFrame:
    """Read a CSV file by the rules of R's ``read.csv``; with ``sep=";", dec=","`` of ``read.csv2``,
    with a tabulator as ``sep`` of ``read.delim``.

    ``NA`` is missing, an empty field only among numbers and truth values; ``T`` and ``F`` are
    truth values; ``None``, ``NULL``, ``n/a`` or an empty field among texts are texts.

    Parameters
    ----------
    source : path or file
        Of text.
    levels : mapping, optional
        Per factor its levels in order, or ``"numeric"`` or ``"sorted"`` for those orders. For a
        path, the default is what a TOML file of the same name beside it says, if there is one
        (``[columns.NAME]`` with ``levels = [...]`` and ``ordered = true``).
    ordered : str or sequence of str
        The ordered factors, of those that ``levels`` names.
    sep : str
        What parts the fields.
    na_strings : str or sequence of str
        Texts that stand for a missing value.
    dec : str
        The decimal point, a character.

    Returns
    -------
    DataFrame
        A column per field.

    Raises
    ------
    DataError
        No such file, or it is none of columns; levels of a column that there is not, or in the
        order of numbers that are none.
    ArgumentError
        An argument is of another kind, or ``ordered`` names a column without levels.
    """
    if not isinstance(source, (str, Path)) and not hasattr(source, "read"):
        raise ArgumentError(f"source must be a path or an open file, not {type(source).__name__}")
    for name, mark in (("sep", sep), ("dec", dec)):
        if len(mark) != 1:
            raise ArgumentError(f"{name} must be one character, not {mark!r}")
    ordered = [ordered] if isinstance(ordered, str) else list(ordered)
    beside = Path(source).with_suffix(".toml") if isinstance(source, (str, Path)) else None
    if levels is None and beside is not None and beside.is_file():
        columns = tomllib.loads(beside.read_text("utf-8")).get("columns", {})
        levels = {c: v["levels"] for c, v in columns.items() if "levels" in v}
        ordered = ordered or [c for c, v in columns.items() if v.get("ordered")]
    levels = levels or {}
    for column in ordered:
        if column not in levels:
            raise ArgumentError(f"ordered: {column!r} has no levels in levels=")
    absent = [na_strings] if isinstance(na_strings, str) else list(na_strings)
    frame = read_delimited(source, sep, set(levels), absent, dec)
    for column, order in levels.items():
        if column not in frame:
            raise DataError(f"there is no column {column!r}, whose levels are given")
        values = frame[column]
        if order == "numeric":
            values = values.where(values != "", None)
            try:
                order = sorted(values.dropna().unique(), key=float)
            except ValueError as error:
                raise DataError(f"levels of {column!r}: {error}") from None
        elif order == "sorted":
            order = sorted(values.dropna().unique())
        elif isinstance(order, str) or not isinstance(order, Iterable):
            raise ArgumentError(
                f"levels of {column!r} must be texts in order, 'numeric' or 'sorted', not {order!r}"
            )
        frame[column] = pd.Categorical(values, categories=list(order), ordered=column in ordered)
    return frame


def read_table(path: Path, sep: str | None = None, dec: str = ".") -> pd.DataFrame:
    """Read a CSV, TSV, Parquet or Feather file; CSV and TSV as :func:`read_csv` reads them.

    Parameters
    ----------
    path : Path
        Its ending says which; ``.csv.gz`` and ``.tsv.gz`` are unpacked.
    sep : str, optional
        What parts the fields of a text; default a comma, of TSV a tabulator.
    dec : str
        The decimal point of a text.

    Returns
    -------
    DataFrame
        A column per field.

    Raises
    ------
    DataError
        Not such a file, or it cannot be read; or ``sep`` or ``dec`` of a file that is no text.
    MissingPackageError
        It is Parquet or Feather, and pyarrow is not installed.
    """
    readers: dict[str, Callable[[Path], Any]] = {
        ".csv": lambda p: read_csv(p, sep="," if sep is None else sep, dec=dec),
        ".tsv": lambda p: read_csv(p, sep="\t" if sep is None else sep, dec=dec),
        ".parquet": pd.read_parquet,
        ".feather": pd.read_feather,
        ".arrow": pd.read_feather,
    }
    name = path.name.removesuffix(".gz")
    kind = Path(name).suffix.lower()
    reader = readers.get(kind)
    if reader is None:
        raise DataError(f"{path}: unknown kind of file; known: {', '.join(readers)}")
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    if kind not in (".csv", ".tsv"):
        if sep is not None or dec != ".":
            raise DataError(f"{path} is no text: sep and dec say nothing of it")
        needed("pyarrow", "parquet", f"reading {path.name}")
    try:
        frame: pd.DataFrame = reader(path)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except Exception as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else ""
        raise DataError(f"{path} cannot be read: {type(error).__name__}: {first}") from error
    return frame
