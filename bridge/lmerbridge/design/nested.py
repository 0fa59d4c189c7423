"""Whether a grouping factor is nested in another: lme4's ``isNested``."""

from __future__ import annotations

from typing import Any

import numpy as np

from lmerbridge.design.columns import Factor, as_factor
from lmerbridge.design.table import read_table
from lmerbridge.errors import DataError, LmerBridgeError

__all__ = ["codes_nested", "isNested"]


def codes_nested(inner: Any, outer: Any) -> bool:
    """Whether rows of one code in ``inner`` have one code in ``outer``; codes are 0, 1, ..."""
    owner = np.zeros(int(inner.max(initial=-1)) + 1, dtype=np.int64)
    owner[inner] = outer
    return bool(np.array_equal(owner[inner], outer))


def _factor(values: Any, name: str) -> Factor:
    try:
        dimensions = np.ndim(values)
    except ValueError:  # lists of different lengths
        dimensions = 2
    if dimensions != 1:
        raise DataError(f"{name} must be a list of values, one a row, not {type(values).__name__}")
    try:
        read = as_factor(read_table({name: values}).column(name))
    except LmerBridgeError:
        raise
    except Exception as error:  # what makes no column at all
        raise DataError(f"{name} must be a factor, or values that make one ({error})") from error
    missing = int(np.sum(read.codes < 0))
    if missing:
        raise DataError(
            f"{name} is missing in {missing} of {len(read.codes)} rows, which have no level: "
            "leave them out of both factors"
        )
    return read


def isNested(f1: Any, f2: Any) -> bool:
    """Say whether every level of ``f1`` occurs with one level of ``f2`` alone.

    Parameters
    ----------
    f1, f2 : array_like
        Factors row by row: categoricals, texts, numbers or truth values.

    Returns
    -------
    bool

    Raises
    ------
    DataError
        Of different lengths, without rows, or with missing values.

    Examples
    --------
    >>> isNested(["a1", "a2", "b1"], ["a", "a", "b"])
    True
    >>> isNested(["a", "a", "b"], ["a1", "a2", "b1"])
    False
    """
    inner, outer = _factor(f1, "f1"), _factor(f2, "f2")
    if len(inner.codes) != len(outer.codes):
        raise DataError(
            f"f1 has {len(inner.codes)} values and f2 has {len(outer.codes)}: "
            "they must be of the same rows"
        )
    if not len(inner.codes):
        raise DataError("f1 and f2 have no rows: nothing says whether they are nested")
    return codes_nested(inner.codes, outer.codes)
