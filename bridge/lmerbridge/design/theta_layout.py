"""How theta and the random-effects columns are laid out: term by term, level by level."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from lmerbridge.covariance import lower_triangle
from lmerbridge.design.blocks import RandomBlock
from lmerbridge.design.frame import ModelFrame
from lmerbridge.design.nested import codes_nested

if TYPE_CHECKING:
    from scipy import sparse

__all__ = [
    "column_map",
    "nested_in",
    "parameters_of",
    "templates",
    "term_matrix",
    "theta_lower",
    "theta_of",
    "theta_of_places",
    "upper_triangle",
]


@functools.cache
def upper_triangle(k: int) -> tuple[Any, Any]:
    """Indices of the upper triangle by rows, which are those of the lower one by columns."""
    return np.triu_indices(k)


def templates(theta: Any, sizes: list[int]) -> list[np.ndarray[Any, np.dtype[np.float64]]]:
    """Per term the lower triangular (k, k) block of Lambda; theta fills it by columns."""
    blocks, start = [], 0
    for k in sizes:
        count = k * (k + 1) // 2
        block = np.zeros((k, k))
        block.T[upper_triangle(k)] = np.asarray(theta)[start : start + count]
        blocks.append(block)
        start += count
    return blocks


def theta_of(frame: ModelFrame, par: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The lower triangles of Lambda's blocks at these parameters of the covariance matrices."""
    found, start = [], 0
    for block in frame.random:
        k = len(block.names)
        end = start + block.structure.count(k)
        found.append(block.structure.factor(np.asarray(par)[start:end], k)[lower_triangle(k)])
        start = end
    return np.concatenate(found)


def theta_of_places(frame: ModelFrame, theta: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The lower triangles of Lambda's blocks where ``theta`` has their different elements, as lme4
    has them: two of ``diag(x | g)``, whose third is 0.
    """
    found, start = [], 0
    for block in frame.random:
        k = len(block.names)
        places = block.structure.places(k)[lower_triangle(k)]
        end = start + int(places.max())
        found.append(np.concatenate([[0.0], np.asarray(theta)[start:end]])[places])
        start = end
    return np.concatenate(found)


def parameters_of(frame: ModelFrame, theta: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The parameters of the covariance matrices that are those of Lambda at ``theta``."""
    factors = templates(theta, [len(block.names) for block in frame.random])
    pairs = zip(frame.random, factors, strict=True)
    return np.concatenate([block.structure.of_factor(L) for block, L in pairs])


def theta_lower(sizes: list[int]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Lower bounds of theta: 0 for the diagonal of Lambda, -inf below it."""
    bounds: list[float] = []
    for k in sizes:
        for column in range(k):
            bounds += [0.0] + [-np.inf] * (k - column - 1)
    return np.array(bounds)


def nested_in(inner: RandomBlock, outer: RandomBlock) -> bool:
    """Whether every level of the block ``inner`` lies within one level of ``outer``."""
    return codes_nested(inner.codes, outer.codes)


def term_matrix(block: RandomBlock) -> sparse.csr_array:
    """Columns of Z for one term, shape (n, levels * k): level by level, k columns each."""
    from scipy import sparse

    n, k = block.columns.shape
    columns = block.codes[:, None] * k + np.arange(k)[None, :]
    pointer = np.arange(0, n * k + 1, k)
    return sparse.csr_array(
        (block.columns.ravel(), columns.ravel(), pointer), shape=(n, len(block.levels) * k)
    )


def column_map(block: RandomBlock) -> np.ndarray[Any, np.dtype[np.float64]]:
    """M (k, k) for which ``columns @ M`` has columns of mean square 1, centred where the term
    has an intercept. Effects in the user's units are M times those of the scaled columns.
    """
    known = vars(block.rows)  # the columns are asked about more than once
    if "column_map" not in known:
        known["column_map"] = _column_map(block.columns)
    found: np.ndarray[Any, np.dtype[np.float64]] = known["column_map"]
    return found


def _column_map(columns: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    n, k = columns.shape
    back = np.eye(k)
    intercept = next(
        (j for j in range(k) if n and columns[0, j] == 1 and np.all(columns[:, j] == 1)), None
    )
    for j in range(k):
        if j == intercept:
            continue
        off, centre = columns[:, j], 0.0
        if intercept is not None:
            centre = float(np.add.reduce(off)) / n
            off = off - centre
        size = math.sqrt(float(off @ off) / n) or 1.0
        back[j, j] = 1 / size
        if intercept is not None:
            back[intercept, j] = -centre / size
    return back
