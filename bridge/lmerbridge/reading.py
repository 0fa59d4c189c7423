"""Text files with R's rules: what is missing, what is a number, what is a level.

The rules are those of ``read.csv`` and ``read.delim`` (``?read.table``, ``?type.convert``; R
4.2 to 4.6): ``NA`` is missing everywhere, an empty field only among numbers and truth values;
``T``, ``F``, ``TRUE`` and ``FALSE`` are truth values; everything else, ``None``, ``NULL``, ``n/a``
and ``nan`` among texts, is a text as it stands. ``1e`` is a text, as since R 4.4.1.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd

from lmerbridge.dialects import without_r
from lmerbridge.errors import DataError

__all__ = ["read_delimited"]


def _numbers(bare: str) -> re.Pattern[str]:
    """One match over all values, each on a line of its own; ``bare`` is ``*`` where an exponent may
    have no digits.
    """
    number = (
        r"[+-]?(?:0[xX][0-9a-fA-F]+(?:\.[0-9a-fA-F]*)?(?:[pP][+-]?[0-9]+)?"
        rf"|(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{bare})?"
        r"|[iI][nN][fF](?:[iI][nN][iI][tT][yY])?|(?!NA)[nN][aA][nN])"
    )
    return _each_line(rf"[ \t\r]*{number}[ \t\r]*")


def _each_line(pattern: str) -> re.Pattern[str]:
    """A pattern that every line matches. A line that has matched is not tried in another way
    (``(?>...)``), or one text after many numbers would take a time exponential in their number.
    """
    return re.compile(rf"(?>{pattern}\n)*+")


_NUMBERS = {True: _numbers("*"), False: _numbers("+")}  # by a dialect's bare_exponents
_INTEGERS = _each_line(r"[ \t\r]*[+-]?[0-9]+")  # R reads hexadecimal as floating
_DECIMAL = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_COMPLEX = _each_line(rf"[+-]?{_DECIMAL}(?:[+-]{_DECIMAL}i|i)?")
_TRUTH = {"T": True, "TRUE": True, "F": False, "FALSE": False}
_INT64 = range(-(2**63), 2**63)


def _all_match(pattern: re.Pattern[str], values: list[str]) -> bool:
    if any("\n" in v for v in values):
        return False
    return pattern.fullmatch("".join(f"{v}\n" for v in values)) is not None


def _number(text: str) -> float:
    text = text.strip()
    if re.match(r"[+-]?0[xX]", text):
        return float.fromhex(text)
    return float(re.sub(r"[eE][+-]?\Z", "", text))  # 1e, where it is a number, is 1


def _floats(values: list[str]) -> np.ndarray[Any, np.dtype[np.float64]]:
    try:
        return np.array(values, dtype=object).astype(np.float64)
    except ValueError:  # hexadecimal, or an exponent without digits
        return np.array([_number(v) for v in values])


def _spread(distinct: Any, codes: Any, missing: Any, dtype: str) -> pd.Series[Any]:
    """The values of the rows, of a type that can be missing where some are."""
    if missing.any():
        kinds = {"bool": "boolean", "int64": "Int64", "float64": "float64", "object": "object"}
        found = pd.Series(distinct, dtype=kinds[dtype]).reindex(np.where(missing, -1, codes))
        return found.reset_index(drop=True)
    return pd.Series(distinct, dtype=dtype).take(codes).reset_index(drop=True)


def _converted(
    column: pd.Series[Any], name: str, na_strings: Collection[str], dec: str
) -> pd.Series[Any]:
    """A column of texts as R's ``type.convert`` reads it."""
    texts = column.where(column.notna(), "")
    codes, found = pd.factorize(np.asarray(texts, dtype=object))
    levels = [str(v) for v in found]
    # an empty field is missing unless the column is one of texts
    absent = np.array([v in na_strings or not v.strip() for v in levels], dtype=bool)
    known = [v for v, gone in zip(levels, absent, strict=True) if not gone]
    position = np.cumsum(~absent) - 1
    rows, missing = position[codes] if len(levels) else codes, absent[codes]
    if not known:  # missing truth values to R
        return pd.Series(np.full(len(column), np.nan))
    if all(v in _TRUTH for v in known):
        return _spread([_TRUTH[v] for v in known], rows, missing, "bool")
    numbers = known if dec == "." else [v.translate({46: dec, ord(dec): "."}) for v in known]
    if _all_match(_NUMBERS[without_r().bare_exponents], numbers):
        if not _all_match(_INTEGERS, known):
            return _spread(_floats(numbers), rows, missing, "float64")
        whole = [int(v) for v in known]
        inside = all(v in _INT64 for v in whole)
        return _spread(whole, rows, missing, "int64" if inside else "object")
    if _all_match(_COMPLEX, numbers):
        raise DataError(f"column {name!r} has complex numbers; lme4 fits real ones")
    return (
        pd.Series([None if v in na_strings else v for v in levels])
        .take(codes)
        .reset_index(drop=True)
    )


def read_delimited(
    source: Any,
    sep: str = ",",
    texts: Any = (),
    na_strings: Collection[str] = ("NA",),
    dec: str = ".",
) -> pd.DataFrame:
    """Read a file of columns that ``sep`` parts, with a line of names first.

    Parameters
    ----------
    source : path or file
    sep : str
        ``","`` or a tabulator.
    texts : collection of str
        Columns that are texts whatever they hold.
    na_strings : collection of str
        Texts that stand for a missing value, in every column.
    dec : str
        The decimal point, a character.

    Raises
    ------
    DataError
        No names, fields beyond the names, another encoding than UTF-8, or complex numbers.
    """
    try:
        raw = pd.read_csv(
            source,
            sep=sep,
            dtype=str,
            keep_default_na=False,
            na_filter=False,
            encoding="utf-8-sig",
            quotechar='"',
        )
    except UnicodeDecodeError:
        raise DataError("the file is not in UTF-8: save it with that encoding") from None
    except OSError as error:
        raise DataError(f"{source} cannot be read: {error.strerror or error}") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise DataError(f"it cannot be read as columns: {str(error).strip()}") from None
    columns = {}
    for name in raw.columns:
        column = raw[name].reset_index(drop=True)
        if name in texts:
            columns[name] = column.where(~column.isin(list(na_strings)), None)
        else:
            columns[name] = _converted(column, str(name), na_strings, dec)
    return pd.DataFrame(columns, columns=raw.columns)
