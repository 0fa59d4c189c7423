"""The rows that a model is fitted to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lmerbridge.design.columns import Array, Column
from lmerbridge.equality import by_value

__all__ = ["Rows", "TermRows"]


@by_value
@dataclass(frozen=True, eq=False)
class TermRows:
    """The rows of a random-effects term, which is :class:`lmerbridge.design.design.TermDesign`.

    Attributes
    ----------
    columns : array (n, k)
    codes : array of int (n,)
        Per row the index of its level.
    """

    columns: Array
    codes: Array


@by_value
@dataclass(frozen=True, eq=False)
class Rows:
    """What an engine's numbers come from: the n rows used, evaluated and coded.

    Attributes
    ----------
    y : array (n,)
    X : array (n, p)
    random : tuple of TermRows
        In the order of the design's terms.
    weights, offset : array (n,) or None
        Prior weights; the sum of all offsets.
    variables : mapping of str to Column
        The evaluated variables by their text.
    """

    y: Array
    X: Array
    random: tuple[TermRows, ...]
    weights: Array | None
    offset: Array | None
    variables: Mapping[str, Column]

    def weighted(self, rows: Any = slice(None)) -> tuple[Array, Array, Array | None]:
        """Return the response less the offset and X, each row times the square root of its prior
        weight, and those roots.

        Parameters
        ----------
        rows : slice or array of int
            Which rows; all by default.

        Returns
        -------
        y : array (m,)
        X : array (m, p)
        root : array (m,) or None
            ``None`` without weights.
        """
        y, X = self.y[rows], self.X[rows]
        if self.offset is not None:
            y = y - self.offset[rows]
        if self.weights is None:
            return y, X, None
        root = np.sqrt(self.weights[rows])
        return y * root, X * root[:, None], root
