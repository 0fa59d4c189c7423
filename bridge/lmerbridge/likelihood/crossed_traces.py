"""tr(dV_i V^-1 dV_j V^-1) of crossed factors with one column each, which an exact Hessian needs.

With W = Z'V^-1 Z and Sigma_i = lambda_i^2 I of factor i, dSigma_i is a multiple of I and the trace
one of |W_ij|^2, the sum of squares of the block of factors i and j. Eliminating the first factor as
:mod:`lmerbridge.likelihood.elimination` does, with H = Lambda M^-1 Lambda' of the others,

- W_11 = U D - U C H C' U, so |W_11|^2 = |U D|^2 - 2 tr(U^3 D C H C') + tr(H N H N), N = C'U^2 C;
- W_1j = U C Lambda (M^-1)_j / lambda_j and |W_1j|^2 = tr((M^-1 Lambda N Lambda M^-1)_jj) /
  lambda_j^2;
- W_ij = (I - M^-1)_ij / (lambda_i lambda_j).

All three need one product of two matrices, where differences of the gradient need an elimination
and an inverse for each parameter.
"""

from __future__ import annotations

import numpy as np

from lmerbridge.likelihood.elimination import Elimination
from lmerbridge.likelihood.layout import Array, Layout

__all__ = ["has_crossed_traces", "squared_norms"]


def has_crossed_traces(layout: Layout) -> bool:
    """Whether :func:`squared_norms` is defined: several factors of one unstructured column each,
    of which the first alone is eliminated level by level.
    """
    return (
        len(layout.factors) > 1
        and layout.stages == 1
        and all(factor.width == 1 for factor in layout.factors)
        and all(term.structure.plain for term in layout.terms)
    )


def squared_norms(e: Elimination) -> Array:
    """The sums of squares (factors, factors) of the blocks of Z'V^-1 Z between two factors.

    Parameters
    ----------
    e : Elimination
        Of a layout with :func:`has_crossed_traces`, at a theta that is nowhere 0.
    """
    stage, rest = e.stages[0], e.rest
    assert stage.C is not None
    assert rest is not None
    assert rest.Lambda.scale is not None
    scale, inverse = rest.Lambda.scale, rest.inverse
    places, start = [], 0
    for factor in rest.Lambda.factors:
        places.append(slice(start, start + factor.columns))
        start += factor.columns
    found = np.empty((len(places) + 1, len(places) + 1))

    U, E, own = stage.U, e.inverse_blocks[0], stage.U * stage.D
    assert E is not None
    through = stage.C.product(U * U)
    through = through if isinstance(through, np.ndarray) else through.toarray()
    through *= scale
    through *= scale[:, None]
    through = through @ inverse
    found[0, 0] = float(np.sum(own * own) - 2 * np.sum(own * U * U * E))
    found[0, 0] += float(np.einsum("ij,ji->", through, through))
    across = np.einsum("ij,ij->j", inverse, through) / scale**2
    within = through  # which is not needed any more; each of these takes q^2 numbers
    np.copyto(within, inverse)
    within[np.diag_indices_from(within)] -= 1.0
    for i, one in enumerate(places, 1):
        found[0, i] = found[i, 0] = float(across[one].sum())
        for j, two in enumerate(places, 1):
            block = within[one, two]
            unit = scale[one.start] * scale[two.start]
            found[i, j] = float(np.einsum("ij,ij->", block, block)) / unit**2
    return found
