"""The random effects as one dense block, or level by level where there is one grouping factor:
the matrices of V^-1 that need more than the criterion does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lmerbridge.design import templates
from lmerbridge.equality import by_value
from lmerbridge.errors import UnsupportedModelError
from lmerbridge.likelihood.crossproducts import Array, CrossProducts
from lmerbridge.likelihood.layout import by_factor
from lmerbridge.likelihood.small_inverses import inverses

__all__ = ["MAX_DENSE_EFFECTS", "Whole", "whole"]

MAX_DENSE_EFFECTS = 8000  # random effects in one dense block: 512 MB a matrix


@by_value
@dataclass(frozen=True, eq=False)
class Whole:
    """Z'Z = D and what follows from it at one theta, in B blocks of W columns; columns scaled.

    With U = (I + D Sigma)^-1: Z'V^-1 = U Z', and H = Sigma U is the conditional covariance of b
    given beta relative to sigma^2.

    Attributes
    ----------
    D, U, H : array (B, W, W)
    Sigma : array (W, W)
    ZQ : array (B, W, p + 1)
        Z'[Q r].
    columns : list of array (levels, k)
        Per term the place of each of its columns: block * W + column.
    """

    D: Array
    Sigma: Array
    U: Array
    H: Array
    ZQ: Array
    columns: list[np.ndarray[Any, np.dtype[np.intp]]]


def whole(c: CrossProducts, theta: Array, what: str) -> Whole:
    """The blocks at ``theta``.

    Parameters
    ----------
    c : CrossProducts
        Of the model.
    theta : array (m,)
        In the units of ``c``'s columns.
    what : str
        What they are needed for, to say so where they are too large.

    Raises
    ------
    UnsupportedModelError
        There are more than :data:`MAX_DENSE_EFFECTS` random effects in the dense block.
    """
    blocks = templates(theta, [term.size for term in c.terms])
    roots = [M @ b for M, b in zip(c.inverse_maps, blocks, strict=True)]
    factors = by_factor(c.factors, c.terms, roots)
    if len(c.factors) == 1:
        D, ZQ = c.ZZ1, c.Zr1
        Sigma = factors[0] @ factors[0].T
    else:
        assert c.ZZ12 is not None
        assert c.ZZ2 is not None
        q1 = c.factors[0].columns
        q = q1 + c.q2
        if q > MAX_DENSE_EFFECTS:
            raise UnsupportedModelError(
                f"{what} needs the {q} random effects of several grouping factors as one dense "
                f"matrix, which is possible here up to {MAX_DENSE_EFFECTS}; Satterthwaite's "
                "degrees of freedom have no such limit"
            )
        D = np.zeros((1, q, q))
        k = c.factors[0].width
        levels = np.arange(c.factors[0].levels)
        D[0, :q1, :q1].reshape(len(levels), k, len(levels), k)[levels, :, levels] = c.ZZ1
        D[0, :q1, q1:] = c.ZZ12.toarray()
        D[0, q1:, :q1] = D[0, :q1, q1:].T
        D[0, q1:, q1:] = c.ZZ2.toarray()
        ZQ = np.concatenate([c.Zr1.reshape(q1, -1), c.Zr2])[None]
        Sigma = np.zeros((q, q))
        for factor, root in zip(c.factors, factors, strict=True):
            end = factor.start + factor.columns
            Sigma[factor.start : end, factor.start : end] = np.kron(
                np.eye(factor.levels), root @ root.T
            )
    inner = D @ Sigma
    diagonal = np.arange(len(Sigma))
    inner[:, diagonal, diagonal] += 1.0
    U: Array = inverses(inner)[0] if len(Sigma) <= 2 else np.asarray(np.linalg.inv(inner), float)
    columns = [c.layout.places(index) for index in range(len(c.terms))]
    return Whole(D, Sigma, U, np.asarray(Sigma @ U), ZQ, columns)
