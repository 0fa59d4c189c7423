"""What an engine needs of the rows at a linear predictor: log densities and their derivatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lmerbridge.equality import by_value
from lmerbridge.family.links import Array

__all__ = ["Rows", "ThetaDerivatives", "in_blocks", "rows"]


@by_value
@dataclass(frozen=True, eq=False)
class Rows:
    """Log densities of rows and their derivatives in the linear predictor, for a dispersion of 1.

    All arrays are (n,) and hold the prior weights; for another dispersion each is divided by it.
    What was not asked for is ``None``. Arrays may be one and the same, as ``expected`` and
    ``observed`` of a canonical link are: they are not to be written into.

    Attributes
    ----------
    value : array
        The log density l without what is free of the linear predictor (``Family.normalizer``).
    score : array
        dl/deta.
    expected : array
        The expected information W = w (dmu/deta)^2 / V(mu), the weights of Fisher scoring
        (order 1).
    observed : array, optional
        The observed information h = -d2l/deta2 (order 2).
    expected_slope, observed_slope : array, optional
        dW/deta and dh/deta (order 3).
    expected_curvature, observed_curvature : array, optional
        d2W/deta2 and d2h/deta2 (order 4).
    """

    value: Array
    score: Array
    expected: Array
    observed: Array | None = None
    expected_slope: Array | None = None
    observed_slope: Array | None = None
    expected_curvature: Array | None = None
    observed_curvature: Array | None = None


@by_value
@dataclass(frozen=True, eq=False)
class ThetaDerivatives:
    """Derivatives in theta, the size of a negative binomial, at a given linear predictor.

    All arrays are (n,) and hold the prior weights.

    Attributes
    ----------
    first, second : array
        Of the log density with all its parts.
    score, expected, observed : array
        Of dl/deta, of the expected and of the observed information.
    """

    first: Array
    second: Array
    score: Array
    expected: Array
    observed: Array


def rows(
    value: Array,
    score: Array,
    expected: Sequence[Array],
    observed: Sequence[Array],
    weights: Array | None,
    order: int,
) -> Rows:
    """Return the rows of parts without weights.

    Parameters
    ----------
    value, score : array, (n,)
    expected, observed : sequence of array
        The informations and their derivatives, as many as the order asks for (:class:`Rows`).
    weights : array (n,), optional
        Prior weights; all 1 if not given.
    order : int
    """
    done: dict[int, Array] = {}

    def times(part: Array) -> Array:
        if weights is None:
            return part
        if id(part) not in done:  # what stands there twice is one array afterwards, too
            done[id(part)] = part * weights
        return done[id(part)]

    return Rows(
        times(value),
        times(score),
        times(expected[0]),
        times(observed[0]) if order >= 2 else None,
        times(expected[1]) if order >= 3 else None,
        times(observed[1]) if order >= 3 else None,
        times(expected[2]) if order >= 4 else None,
        times(observed[2]) if order >= 4 else None,
    )


def in_blocks(of: Callable[[slice], Rows], n: int, size: int, out: Rows | None = None) -> Rows:
    """Return the rows of all n, computed in blocks of ``size``.

    What is in between then stays in the processor's cache, and no memory is asked for again and
    again: three times as fast for 100,000 rows.

    Parameters
    ----------
    of : callable
        The rows of a slice.
    n, size : int
    out : Rows, optional
        What is no longer needed: its arrays are written over. Fresh memory of this size costs as
        much as the arithmetic.
    """
    whole: dict[str, Array] = {}
    names: dict[str, str] = {}  # the field that holds the same array
    for begin in range(0, n, size):
        block = vars(of(slice(begin, begin + size)))
        if not whole:
            first: dict[int, str] = {}
            for name, part in block.items():
                if part is not None:
                    names[name] = first.setdefault(id(part), name)
            free = _arrays(out, n)
            whole = {name: free.pop() if free else np.empty(n) for name in first.values()}
        for name, array in whole.items():
            array[begin : begin + size] = block[name]
    return Rows(**{name: whole[same] for name, same in names.items()})


def _arrays(out: Rows | None, n: int) -> list[Array]:
    """The arrays (n,) of rows, each once."""
    if out is None:
        return []
    distinct = {id(part): part for part in vars(out).values() if part is not None}
    return [part for part in distinct.values() if len(part) == n]
