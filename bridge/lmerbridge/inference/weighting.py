"""How the cells of a reference grid count where it is averaged: emmeans' ``weights``.

Lenth (``emmeans``, ``?emmeans``, "weights"): ``equal``; ``proportional`` to the rows of the data in
each combination of what is averaged over; ``outer``, as if these were independent; ``cells``, to
the rows in each cell itself; ``flat``, equal over the cells that have rows; or numbers. Rows count
by their prior weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from lmerbridge.errors import ArgumentError, DataError, near_match

__all__ = ["WEIGHTS", "Weights", "as_weights", "shares"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Weights: TypeAlias = "str | Array"

WEIGHTS = ("equal", "proportional", "outer", "cells", "flat")


def as_weights(given: Any) -> Weights:
    """One of :data:`WEIGHTS`, which may be shortened, or numbers.

    Raises
    ------
    ArgumentError
        They are no such word, no finite numbers, or sum to 0.
    DataError
        emmeans' ``show.levels``, which is no set of weights.
    """
    if isinstance(given, str):
        fitting = [name for name in WEIGHTS if given and name.startswith(given)]
        if given == "show.levels":
            raise DataError(
                "weights='show.levels' is no set of weights: m.ref_grid(...).averaged_over(specs) "
                "shows the combinations that are averaged over, in the order of numeric weights"
            )
        if len(fitting) != 1:
            raise ArgumentError(
                f"weights must be one of {', '.join(map(repr, WEIGHTS))}, or numbers, not "
                f"{given!r}{near_match(given, WEIGHTS)}"
            )
        return fitting[0]
    try:
        numbers = np.asarray(given, dtype=np.float64).ravel(order="F")
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"weights must be numbers or a word, not {given!r}") from error
    if not np.isfinite(numbers).all() or numbers.sum() == 0:
        raise ArgumentError("weights must be finite numbers whose sum is not 0")
    return numbers


def shares(weights: Weights, counts: Array, sizes: Sequence[int]) -> Array:
    """The share of each averaged combination in each mean.

    Parameters
    ----------
    weights : str or array
        As :func:`as_weights` gives them.
    counts : array (means, combinations)
        Rows of the data in each cell, or the sum of their prior weights.
    sizes : sequence of int
        Number of values of each predictor averaged over, whose combinations vary the first
        fastest.

    Returns
    -------
    array (means, combinations)
        Rows sum to 1; NaN where a mean has no rows and these decide.

    Raises
    ------
    DataError
        Another number of numeric weights than of combinations.
    """
    combinations = counts.shape[1]
    if not isinstance(weights, str):
        if len(weights) != combinations:
            raise DataError(
                f"weights has {len(weights)} numbers; {combinations} combinations are averaged over"
            )
        found = np.broadcast_to(weights, counts.shape)
    elif weights == "equal":
        found = np.ones(counts.shape)
    elif weights == "cells":
        found = counts
    elif weights == "flat":
        found = (counts > 0).astype(np.float64)
    elif weights == "proportional":
        found = np.broadcast_to(counts.sum(axis=0), counts.shape)
    else:
        total = counts.sum(axis=0).reshape(tuple(reversed(sizes)) or (1,))
        product = np.ones(1)
        for j in range(len(sizes)):
            axis = len(sizes) - 1 - j
            own = total.sum(axis=tuple(i for i in range(len(sizes)) if i != axis))
            product = (own[:, None] * product[None, :]).ravel()
        found = np.broadcast_to(product, counts.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(found / found.sum(axis=1, keepdims=True))
