"""Covariance parameters from the standard deviations and correlations that people know: those that
``VarCorr()`` prints.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from lmerbridge.arguments import numbers_of
from lmerbridge.covariance import lower_triangle
from lmerbridge.design import ModelFrame, RandomBlock
from lmerbridge.errors import ArgumentError, DataError, as_number, near_match

__all__ = ["parameters_of_deviations"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

ROUNDING = 1e-10  # of a correlation matrix's eigenvalue below 0


def parameters_of_deviations(frame: ModelFrame, sd: Any, cor: Any, sigma: float) -> Array:
    """Compute the parameters of the covariance matrices, as ``theta=`` takes them.

    Parameters
    ----------
    frame : ModelFrame
        Whose random terms they are of.
    sd : float, sequence of float, or mapping of a term's label to one of these
        Standard deviations in the order of ``VarCorr()``: term by term, column by column; one for a
        term whose columns share it.
    cor : float, sequence of float, such a mapping, or None
        Correlations, of each term the lower triangle by columns, or its one correlation; ``None``
        and terms that a mapping leaves out: 0.
    sigma : float
        Residual standard deviation, in the unit of ``sd``.

    Raises
    ------
    DataError
        Another number of values than the terms have, a label that no term has, or correlations that
        no matrix has together.
    ArgumentError
        They are no numbers, a standard deviation is negative, or a correlation is beyond 1.
    """
    scale = as_number(sigma, "sigma")
    if scale <= 0:
        raise ArgumentError(f"sigma must be positive, not {sigma!r}")
    blocks = frame.random
    sizes = [b.structure.deviations(len(b.names)) for b in blocks]
    pairs = [_correlations(b) for b in blocks]
    deviations = _by_term(blocks, sd, sizes, "sd", "standard deviation", needed=True)
    correlations = _by_term(blocks, cor, pairs, "cor", "correlation", needed=False)
    if any((values < 0).any() for values in deviations):
        raise ArgumentError("sd must not be negative")
    if any((np.abs(values) > 1).any() for values in correlations):
        raise ArgumentError("cor must be within -1 and 1")
    triples = zip(blocks, deviations, correlations, strict=True)
    return np.concatenate([_parameters(*triple, scale) for triple in triples])


def _correlations(block: RandomBlock) -> int:
    """How many correlations are free in a term."""
    k = len(block.names)
    return k * (k - 1) // 2 if block.structure.plain else int(block.structure.correlated(k))


def _by_term(
    blocks: tuple[RandomBlock, ...],
    given: Any,
    sizes: list[int],
    argument: str,
    what: str,
    needed: bool,
) -> list[Array]:
    labels = [block.label for block in blocks]
    if isinstance(given, Mapping):
        unknown = next((label for label in given if label not in labels), None)
        if unknown is not None:
            raise DataError(
                f"{argument}: there is no random term {unknown!r}{near_match(unknown, labels)}; "
                f"they are {', '.join(labels)}"
            )
        absent = next((label for label in labels if label not in given), None)
        if needed and absent is not None:
            raise DataError(f"{argument} lacks the random term {absent!r}")
        found = [
            np.zeros(size)
            if label not in given
            else _numbers(given[label], f"{argument}[{label!r}]")
            for label, size in zip(labels, sizes, strict=True)
        ]
        for label, values, size in zip(labels, found, sizes, strict=True):
            if len(values) != size:
                raise DataError(
                    f"{argument}[{label!r}] has {_counted(values)}; the term has {size}"
                )
        return found
    if given is None:
        return [np.zeros(size) for size in sizes]
    values = _numbers(given, argument)
    if len(values) != sum(sizes):
        parts = ", ".join(f"{label}: {size}" for label, size in zip(labels, sizes, strict=True))
        raise DataError(
            f"{argument} has {_counted(values)}; the model has {sum(sizes)} {what}s ({parts})"
        )
    return np.split(values, np.cumsum(sizes)[:-1])


def _counted(values: Array) -> str:
    return f"{len(values)} value{'s' * (len(values) != 1)}"


def _numbers(given: Any, what: str) -> Array:
    values = np.atleast_1d(numbers_of(given, what))
    if values.ndim != 1 or not np.isfinite(values).all():
        raise ArgumentError(f"{what} must be finite numbers")
    return values


def _parameters(block: RandomBlock, sd: Array, cor: Array, sigma: float) -> Array:
    relative = sd / sigma
    if not block.structure.plain:
        return np.append(relative, cor)
    k = len(block.names)
    R = np.eye(k)
    rows, columns = np.tril_indices(k, -1)
    order = np.lexsort((rows, columns))
    R[rows[order], columns[order]] = R[columns[order], rows[order]] = cor
    values, vectors = np.linalg.eigh(R)
    if values.min() < -ROUNDING:
        raise DataError(f"cor: no effects have the correlations given for {block.label!r} together")
    # a lower triangular root, also where the matrix is singular: R = V D V' = (QL)'(QL)
    upper = np.linalg.qr((vectors * np.sqrt(np.maximum(values, 0.0))).T, mode="r")
    L = (np.sign(np.diag(upper) + (np.diag(upper) == 0))[:, None] * upper).T * relative[:, None]
    return np.asarray(L[lower_triangle(k)])
