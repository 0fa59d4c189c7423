"""A model frame as a well-scaled MixedLM problem, and the way back.

MixedLM works on whatever units the data has, and fails for that: here the response is the
residual of the ordinary regression over its standard deviation, X has orthonormal columns,
and each random-effects term has columns of unit size, centred where it has an intercept.
All of these are linear changes of parameters, undone exactly afterwards:
``X_s = X A``, ``y_s = (y - X b) / c``, ``Z_s = Z M``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lmerbridge.design import ModelFrame, RandomBlock, column_map, nested_in
from lmerbridge.equality import by_value

__all__ = ["Problem", "ScaledTerm", "is_crossed", "make_problem"]


@by_value
@dataclass(frozen=True, eq=False)
class ScaledTerm:
    """A random-effects term in scaled units.

    ``position`` is its place in ``frame.random``; ``columns`` (n, k) are weighted and scaled;
    ``back`` (k, k) is M: effects in the user's units are ``c * M @ effects``.
    """

    position: int
    columns: np.ndarray[Any, np.dtype[np.float64]]
    codes: np.ndarray[Any, np.dtype[Any]]
    levels: int
    back: np.ndarray[Any, np.dtype[np.float64]]


@by_value
@dataclass(frozen=True, eq=False)
class Problem:
    """The scaled model.

    Attributes
    ----------
    y : array (n,); X : array (n, p)
    groups : array of int (n,)
        MixedLM's groups: the outermost factor, or one group for crossed factors.
    correlated : ScaledTerm or None
        The term that becomes MixedLM's ``exog_re``; on the groups themselves.
    components : tuple of ScaledTerm
        Scalar terms, which become variance components.
    beta_shift : array (p,); beta_map : array (p, p); scale : float
        ``beta = beta_shift + scale * beta_map @ beta_s``.
    loglike_ml, loglike_reml : float
        What to add to the scaled log-likelihood.
    """

    y: np.ndarray[Any, np.dtype[np.float64]]
    X: np.ndarray[Any, np.dtype[np.float64]]
    groups: np.ndarray[Any, np.dtype[Any]]
    correlated: ScaledTerm | None
    components: tuple[ScaledTerm, ...]
    beta_shift: np.ndarray[Any, np.dtype[np.float64]]
    beta_map: np.ndarray[Any, np.dtype[np.float64]]
    scale: float
    loglike_ml: float
    loglike_reml: float


def is_crossed(frame: ModelFrame) -> bool:
    """Whether some factor is not nested in the outermost one."""
    return not all(nested_in(block, frame.random[-1]) for block in frame.random)


def _scaled(
    block: RandomBlock, position: int, root: np.ndarray[Any, np.dtype[np.float64]] | None
) -> ScaledTerm:
    back = column_map(block)
    scaled = block.columns @ back
    if root is not None:
        scaled = scaled * root[:, None]
    return ScaledTerm(position, scaled, block.codes, len(block.levels), back)


def make_problem(frame: ModelFrame) -> Problem:
    """Scale the model; see the module's text."""
    y, X, root = frame.weighted()
    n, p = X.shape
    Q, R = np.linalg.qr(X)
    inverse = np.linalg.inv(R)
    ordinary = Q.T @ y
    residual = y - Q @ ordinary
    scale = float(np.sqrt(np.mean(residual**2))) or 1.0
    log_weights = 0.0 if frame.weights is None else 0.5 * float(np.log(frame.weights).sum())
    log_map = float(np.log(np.abs(np.diag(inverse))).sum()) + 0.5 * p * np.log(n)

    crossed = is_crossed(frame)
    outermost = frame.random[-1]
    terms = [_scaled(block, i, root) for i, block in enumerate(frame.random)]
    on_groups = [i for i, b in enumerate(frame.random) if b.group == outermost.group]
    chosen = None
    if not crossed:
        vector = [i for i in on_groups if len(frame.random[i].names) > 1]
        chosen = vector[0] if vector else (on_groups[0] if len(on_groups) == 1 else None)
    return Problem(
        y=residual / scale,
        X=Q * np.sqrt(n),
        groups=np.zeros(n, dtype=np.int64) if crossed else outermost.codes,
        correlated=None if chosen is None else terms[chosen],
        components=tuple(t for t in terms if t.position != chosen),
        beta_shift=inverse @ ordinary,
        beta_map=inverse * np.sqrt(n),
        scale=scale,
        loglike_ml=log_weights - n * float(np.log(scale)),
        loglike_reml=log_weights - (n - p) * float(np.log(scale)) + log_map,
    )
