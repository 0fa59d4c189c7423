"""The user's data, and where the rows of a model lie in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lmerbridge.design.columns import Array, Column
from lmerbridge.equality import by_value

__all__ = ["Source"]


@by_value
@dataclass(frozen=True, eq=False)
class Source:
    """What an engine needs that evaluates the formula itself, as R does, and where the rows used
    lie in the data.

    Attributes
    ----------
    raw : mapping of str to Column
        The columns of the data that the formula names, all rows.
    raw_weights, raw_offset, raw_subset : array (total_rows,) or None
        What the arguments gave, all rows; ``raw_offset`` without the formula's offsets.
    kept : array of int (n,)
        Positions in the data of the rows used.
    dropped : array of int
        Positions of the rows with a missing value (those outside the subset not counted).
    missing : tuple of (str, int)
        Per variable that is missing in a row of ``dropped`` in how many it is.
    total_rows : int
        Rows of the data.
    index : pandas.Index or None
        The row labels of the rows used, if the data had any.
    """

    raw: Mapping[str, Column]
    raw_weights: Array | None
    raw_offset: Array | None
    raw_subset: Array | None
    kept: Array
    dropped: Array
    missing: tuple[tuple[str, int], ...]
    total_rows: int
    index: pd.Index[Any] | None

    @property
    def nobs(self) -> int:
        """Rows used."""
        return len(self.kept)

    def everywhere(self, values: Array) -> Array:
        """Put values (n,) or (n, k) of the rows used at their places in the data; NaN elsewhere."""
        found = np.full((self.total_rows, *values.shape[1:]), np.nan)
        found[self.kept] = values
        return found
