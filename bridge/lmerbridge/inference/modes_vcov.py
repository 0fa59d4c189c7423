"""Joint covariance of the conditional modes and the fixed effects, given theta and sigma: that of
the errors of prediction b_hat - b and beta_hat - beta (Henderson 1975, Biometrics 31, 423-447).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from lmerbridge.errors import UnsupportedModelError
from lmerbridge.inference.fit import Fit

__all__ = ["modes_vcov"]

MAX_DENSE_ROWS = 8000  # rows of the dense matrix: 512 MB


def modes_vcov(fit: Fit) -> pd.DataFrame:
    """Covariance matrix (q + p, q + p), named as lme4 names it: ``Subject.308.(Intercept)``, ...,
    then the fixed effects.

    Raises
    ------
    UnsupportedModelError
        More random effects than one dense matrix takes.
    """
    from scipy import sparse

    from lmerbridge.likelihood.dense_effects import whole

    frame, result = fit.frame, fit.result
    q = sum(len(block.levels) * len(block.names) for block in frame.random)
    if q > MAX_DENSE_ROWS:
        raise UnsupportedModelError(
            f"vcov(full='modes') is a dense matrix of the {q} random effects, which is possible "
            f"here up to {MAX_DENSE_ROWS}; the variances of each level are in ranef(condVar=True)"
        )
    c = fit.products
    w = whole(c, result.estimates.theta, "vcov(full='modes')")
    ZQ = w.ZQ[:, :, : c.p]
    HZQ = (w.H @ ZQ).reshape(q, c.p)
    A = c.gram[: c.p, : c.p] - ZQ.reshape(q, c.p).T @ HZQ
    fixed = np.linalg.inv(0.5 * (A + A.T)) if c.p else np.empty((0, 0))
    modes = sparse.block_diag(list(w.H)).toarray() + HZQ @ fixed @ HZQ.T
    across = -HZQ @ fixed
    # from scaled effects, ordered by factor and level, to the user's, ordered by term
    own: Any = sparse.block_diag(
        [
            sparse.kron(sparse.eye_array(len(places)), M)
            for places, M in zip(w.columns, c.maps, strict=True)
        ],
        format="csr",
    )
    order = np.concatenate([places.ravel() for places in w.columns])
    back = np.linalg.inv(c.R)
    values = np.empty((q + c.p, q + c.p))
    values[:q, :q] = own @ (own @ modes[np.ix_(order, order)]).T
    values[:q, q:] = own @ across[order] @ back.T
    values[q:, :q] = values[:q, q:].T
    values[q:, q:] = back @ fixed @ back.T
    names = [
        *(
            f"{block.group}.{level}.{name}"
            for block in frame.random
            for level in block.levels
            for name in block.names
        ),
        *result.estimates.names,
    ]
    return pd.DataFrame(result.estimates.scale**2 * values, index=names, columns=names)
