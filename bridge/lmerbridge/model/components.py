"""``getME``: the named parts of a fitted model, as lme4 names them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from lmerbridge.design import ModelFrame, templates, term_matrix, theta_lower
from lmerbridge.errors import DataError, near_match
from lmerbridge.inference import relative_factor, z_matrix
from lmerbridge.model.variables import grouping_factors
from lmerbridge.result import FitResult
from lmerbridge.result.tables import fixed_table, theta_names

__all__ = ["COMPONENTS", "component"]


def _sizes(result: FitResult) -> list[int]:
    return [len(term.names) for term in result.estimates.random]


def _levels(result: FitResult) -> list[int]:
    return [len(result.data.groups[term.group]) for term in result.estimates.random]


def _theta(result: FitResult) -> pd.Series[float]:
    return pd.Series(result.estimates.theta.copy(), index=theta_names(result), dtype=float)


def _modes(result: FitResult) -> Any:
    return np.concatenate([term.modes.ravel() for term in result.estimates.random])


def _spherical(result: FitResult) -> Any:
    parts = []
    for term, factor in zip(
        result.estimates.random, templates(result.estimates.theta, _sizes(result)), strict=True
    ):
        if np.any(np.diag(factor) == 0):
            raise DataError("u is not determined by b: the fit is singular")
        parts.append(np.linalg.solve(factor, term.modes.T).T.ravel())
    return np.concatenate(parts)


def _pointers(result: FitResult) -> Any:
    sizes = [k * m for k, m in zip(_sizes(result), _levels(result), strict=True)]
    return np.concatenate([[0], np.cumsum(sizes)])


def _by_term(result: FitResult, values: list[Any]) -> dict[str, Any]:
    return {t.label: v for t, v in zip(result.estimates.random, values, strict=True)}


def _transposed(matrix: Any) -> Any:
    return matrix.T.tocsc()


# from the result alone
_OF_RESULT: dict[str, Callable[[FitResult], Any]] = {
    "beta": lambda r: r.estimates.beta.copy(),
    "fixef": fixed_table,
    "theta": _theta,
    "sigma": lambda r: r.estimates.sigma,
    "b": _modes,
    "u": _spherical,
    "mu": lambda r: r.estimates.fitted.copy(),
    "n": lambda r: r.data.nobs,
    "p": lambda r: len(r.estimates.names),
    "q": lambda r: int(_pointers(r)[-1]),
    "k": lambda r: len(r.estimates.random),
    "m": lambda r: len(r.estimates.theta),
    "n_rtrms": lambda r: len(r.estimates.random),
    "n_rfacs": lambda r: len(r.data.groups),
    "p_i": lambda r: _by_term(r, _sizes(r)),
    "l_i": lambda r: {group: len(levels) for group, levels in r.data.groups.items()},
    "q_i": lambda r: _by_term(r, [k * m for k, m in zip(_sizes(r), _levels(r), strict=True)]),
    "m_i": lambda r: _by_term(r, [k * (k + 1) // 2 for k in _sizes(r)]),
    "Gp": _pointers,
    "cnms": lambda r: _by_term(r, [t.names for t in r.estimates.random]),
    "lower": lambda r: theta_lower(_sizes(r)),
    "is_REML": lambda r: r.call.REML,
    "REML": lambda r: len(r.estimates.names) if r.call.REML else 0,
    "Tlist": lambda r: _by_term(r, templates(r.estimates.theta, _sizes(r))),
    "devcomp": lambda r: dict(r.criterion.components),
}
# from the model frame
_OF_FRAME: dict[str, Callable[[FitResult, ModelFrame], Any]] = {
    "X": lambda _, f: f.X.copy(),
    "y": lambda _, f: f.y.copy(),
    "Z": lambda _, f: z_matrix(f),
    "Zt": lambda _, f: _transposed(z_matrix(f)),
    "Ztlist": lambda _, f: {
        f"{block.label}.{name}": _transposed(term_matrix(block)[:, j :: len(block.names)])
        for block in f.random
        for j, name in enumerate(block.names)
    },
    "mmList": lambda _, f: {
        block.text: pd.DataFrame(block.columns, columns=list(block.names)) for block in f.random
    },
    "Lambda": lambda r, f: relative_factor(r.estimates.theta, f),
    "Lambdat": lambda r, f: _transposed(relative_factor(r.estimates.theta, f)),
    "A": lambda r, f: _transposed(z_matrix(f) @ relative_factor(r.estimates.theta, f)),
    "flist": lambda _, f: pd.DataFrame(grouping_factors(f)),
    "offset": lambda _, f: np.zeros(f.nobs) if f.offset is None else f.offset.copy(),
    "weights": lambda _, f: np.ones(f.nobs) if f.weights is None else f.weights.copy(),
}
COMPONENTS = (*_OF_RESULT, *_OF_FRAME)


def component(name: str, result: FitResult, frame: Callable[[], ModelFrame]) -> Any:
    """The part ``name``; ``frame`` is called only where the model frame is needed.

    Raises
    ------
    DataError
        Unknown name.
    """
    if name in _OF_RESULT:
        return _OF_RESULT[name](result)
    if name in _OF_FRAME:
        return _OF_FRAME[name](result, frame())
    raise DataError(
        f"getME() has no {name!r}{near_match(name, COMPONENTS)}; it has {', '.join(COMPONENTS)}"
    )
