"""``getME``: the named parts of a fitted model, as lme4 names them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lmerbridge.covariance import lower_triangle
from lmerbridge.design import ModelFrame, templates, term_matrix
from lmerbridge.errors import DataError, matched
from lmerbridge.inference import relative_factor, z_matrix
from lmerbridge.inference.decomposition import (
    Decomposition,
    criterion_function,
    spherical_effects,
)
from lmerbridge.inference.fit import Fit
from lmerbridge.model.variables import grouping_factors
from lmerbridge.result import FitResult
from lmerbridge.result.tables import fixed_table, parameter_names, structure_of, theta_names

__all__ = ["COMPONENTS", "component", "components"]


def _sizes(result: FitResult) -> list[int]:
    return [len(term.names) for term in result.estimates.random]


def _parameters(result: FitResult) -> list[int]:
    """How many numbers of theta each term has."""
    terms = result.estimates.random
    return [int(structure_of(term).places(len(term.names)).max()) for term in terms]


def _levels(result: FitResult) -> list[int]:
    return [len(result.data.groups[term.group]) for term in result.estimates.random]


def _theta(result: FitResult) -> pd.Series[float]:
    """The different elements of Lambda's blocks, as lme4 has them."""
    values = []
    blocks = templates(result.estimates.theta, _sizes(result))
    for term, block in zip(result.estimates.random, blocks, strict=True):
        places = structure_of(term).places(len(term.names))
        rows, columns = lower_triangle(len(term.names))
        _, first = np.unique(places[rows, columns], return_index=True)
        shown = [i for i in first if places[rows[i], columns[i]]]
        values.append(block[rows[shown], columns[shown]])
    return pd.Series(np.concatenate(values), index=theta_names(result), dtype=float)


def _par(result: FitResult) -> pd.Series[float]:
    values = result.estimates.parameters
    return pd.Series(values.copy(), index=parameter_names(result), dtype=float)


def _lower(result: FitResult) -> pd.Series[float]:
    terms = result.estimates.random
    bounds = np.concatenate([structure_of(t).lower(len(t.names)) for t in terms])
    return pd.Series(bounds, index=parameter_names(result), dtype=float)


def _modes(result: FitResult) -> Any:
    return np.concatenate([term.modes.ravel() for term in result.estimates.random])


def _pointers(result: FitResult) -> Any:
    sizes = [k * m for k, m in zip(_sizes(result), _levels(result), strict=True)]
    return np.concatenate([[0], np.cumsum(sizes)])


def _theta_pointers(result: FitResult) -> pd.Series[int]:
    starts = [0]
    for count in _parameters(result):
        starts.append(starts[-1] + count)
    return pd.Series(starts, index=["beg__", *(term.group for term in result.estimates.random)])


def _places(result: FitResult) -> Any:
    """Lind: which theta each stored element of Lambda' is, by columns; counted from 1, as in R."""
    found, before = [], 0
    for term, levels, count in zip(
        result.estimates.random, _levels(result), _parameters(result), strict=True
    ):
        place = structure_of(term).places(len(term.names))
        # a column of Lambda' is a row of Lambda, up to the diagonal, without what is always 0
        rows = np.concatenate([row[row > 0] for row in place])
        found.append(np.tile(rows, levels) + before)
        before += count
    return np.concatenate(found)


def _by_term(result: FitResult, values: list[Any]) -> dict[str, Any]:
    return {t.label: v for t, v in zip(result.estimates.random, values, strict=True)}


def _by_text(frame: ModelFrame, values: list[int]) -> pd.Series[int]:
    return pd.Series(values, index=[block.text for block in frame.random], dtype=int)


def _st(result: FitResult) -> dict[str, Any]:
    """T with S in its diagonal, where Lambda's block is T S and T has ones there."""
    found = []
    for block in templates(result.estimates.theta, _sizes(result)):
        scale = np.diag(block)
        with np.errstate(divide="ignore", invalid="ignore"):
            whole = block / scale
        np.fill_diagonal(whole, scale)
        whole[np.triu_indices(len(block), 1)] = 0.0
        found.append(whole)
    return _by_term(result, found)


def _transposed(matrix: Any) -> Any:
    return matrix.T.tocsc()


def _unique(names: Sequence[tuple[str, str]]) -> list[str]:
    """The first names; the second ones where a first one comes twice."""
    first = [name for name, _ in names]
    return [a if first.count(a) == 1 else b for a, b in names]


def _term_columns(frame: ModelFrame) -> dict[str, Any]:
    """Z' by term and column (levels, n)."""
    names, parts = [], []
    for block in frame.random:
        k = len(block.names)
        whole = term_matrix(block).tocsc()
        for j, name in enumerate(block.names):
            names.append((f"{block.group}.{name}", f"{block.label}.{name}"))
            parts.append(_transposed(whole[:, j::k]))
    return dict(zip(_unique(names), parts, strict=True))


def _raw_matrices(frame: ModelFrame) -> dict[str, pd.DataFrame]:
    names = _unique([(block.text, f"{block.text} ({block.label})") for block in frame.random])
    return {
        name: pd.DataFrame(block.columns, columns=list(block.names))
        for name, block in zip(names, frame.random, strict=True)
    }


def _decomposed(result: FitResult, frame: ModelFrame) -> Decomposition:
    return Decomposition(frame, result.estimates.theta)


def _half_log(result: FitResult, frame: ModelFrame, name: str) -> float:
    """A log determinant of the criterion: the engine's own, or that of the factors here."""
    if name in result.criterion.components:
        return result.criterion.components[name]
    found = _decomposed(result, frame)
    diagonal = found.L.diagonal() if name == "ldL2" else np.diag(found.RX)
    return 2 * float(np.log(np.abs(diagonal)).sum())


def _devcomp(fit: Fit) -> dict[str, pd.Series[Any]]:
    """``cmp``: the parts of the criterion; ``dims``: the sizes."""
    frame, result = fit.frame, fit.result
    estimates, REML = result.estimates, result.call.REML
    n, p = result.data.nobs, len(estimates.names)
    weights = 1.0 if estimates.weights is None else estimates.weights
    wrss = float(np.sum(weights * estimates.residuals**2))
    ussq = float(np.sum(spherical_effects(fit) ** 2))
    pwrss = wrss + ussq
    cmp = {
        "ldL2": _half_log(result, frame, "ldL2"),
        "ldRX2": _half_log(result, frame, "ldRX2"),
        "wrss": wrss,
        "ussq": ussq,
        "pwrss": pwrss,
        "drsum": np.nan,
        "REML": result.criterion.value if REML else np.nan,
        "dev": np.nan if REML else result.criterion.value,
        "sigmaML": float(np.sqrt(pwrss / n)),
        "sigmaREML": float(np.sqrt(pwrss / (n - p))),
    }
    dims = {
        "N": n,
        "n": n,
        "p": p,
        "nmp": n - p,
        "q": int(_pointers(result)[-1]),
        "nth": len(_theta(result)),
        "useSc": 1,
        "reTrms": len(estimates.random),
        "spFe": 0,
        "REML": p if REML else 0,
        "GLMM": 0,
        "NLMM": 0,
    }
    return {"cmp": pd.Series(cmp), "dims": pd.Series(dims)}


# from the result alone
_OF_RESULT: dict[str, Callable[[FitResult], Any]] = {
    "beta": lambda r: r.estimates.beta.copy(),
    "fixef": fixed_table,
    "theta": _theta,
    "sigma": lambda r: r.estimates.scale,
    "b": _modes,
    "mu": lambda r: r.estimates.fitted.copy(),
    "N": lambda r: r.data.nobs,
    "n": lambda r: r.data.nobs,
    "p": lambda r: len(r.estimates.names),
    "q": lambda r: int(_pointers(r)[-1]),
    "k": lambda r: len(r.estimates.random),
    "m": lambda r: len(_theta(r)),
    "npar": lambda r: len(r.estimates.parameters),
    "par": _par,
    "n_rtrms": lambda r: len(r.estimates.random),
    "n_rfacs": lambda r: len(r.data.groups),
    "l_i": lambda r: pd.Series({g: len(v) for g, v in r.data.groups.items()}, dtype=int),
    "Gp": _pointers,
    "Tp": _theta_pointers,
    "Lind": _places,
    "cnms": lambda r: _by_term(r, [t.names for t in r.estimates.random]),
    "lower": _lower,
    "is_REML": lambda r: r.call.REML,
    "REML": lambda r: len(r.estimates.names) if r.call.REML else 0,
    "Tlist": lambda r: _by_term(r, templates(r.estimates.theta, _sizes(r))),
    "ST": _st,
    "glmer.nb.theta": lambda _: float("nan"),
}
# from the model frame
_OF_FRAME: dict[str, Callable[[FitResult, ModelFrame], Any]] = {
    "X": lambda _, f: f.X.copy(),
    "y": lambda _, f: f.y.copy(),
    "Z": lambda _, f: z_matrix(f),
    "Zt": lambda _, f: _transposed(z_matrix(f)),
    "Ztlist": lambda _, f: _term_columns(f),
    "mmList": lambda _, f: _raw_matrices(f),
    "p_i": lambda r, f: _by_text(f, _sizes(r)),
    "q_i": lambda r, f: _by_text(f, [k * m for k, m in zip(_sizes(r), _levels(r), strict=True)]),
    "m_i": lambda r, f: _by_text(f, _parameters(r)),
    "Lambda": lambda r, f: relative_factor(r.estimates.theta, f),
    "Lambdat": lambda r, f: _transposed(relative_factor(r.estimates.theta, f)),
    "A": lambda r, f: _transposed(z_matrix(f) @ relative_factor(r.estimates.theta, f)),
    "L": lambda r, f: _decomposed(r, f).L,
    "RZX": lambda r, f: _decomposed(r, f).RZX,
    "RX": lambda r, f: _decomposed(r, f).RX,
    "RXi": lambda r, f: np.linalg.inv(_decomposed(r, f).RX),
    "flist": lambda _, f: pd.DataFrame(grouping_factors(f)),
    "offset": lambda _, f: np.zeros(f.nobs) if f.offset is None else f.offset.copy(),
    "weights": lambda _, f: np.ones(f.nobs) if f.weights is None else f.weights.copy(),
}
# from the fit: of u the frame only where the fit is singular
_OF_FIT: dict[str, Callable[[Fit], Any]] = {
    "u": spherical_effects,
    "devcomp": _devcomp,
    "devfun": criterion_function,
}
COMPONENTS = (*_OF_RESULT, *_OF_FIT, *_OF_FRAME)


def component(fit: Fit, name: str) -> Any:
    """Return the part ``name``; the model frame is asked for only where it is needed.

    Raises
    ------
    DataError
        Unknown name, or the beginning of several.
    """
    name = matched(name, COMPONENTS, "getME's name")
    if name in _OF_RESULT:
        return _OF_RESULT[name](fit.result)
    if name in _OF_FIT:
        return _OF_FIT[name](fit)
    return _OF_FRAME[name](fit.result, fit.frame)


def components(fit: Fit, names: Sequence[str]) -> dict[str, Any]:
    """Return several parts by name, or every one: ``["ALL"]``."""
    if not isinstance(names, Iterable):
        raise DataError(f"getME() takes a name or a sequence of names, not {names!r}")
    wanted = COMPONENTS if list(names) == ["ALL"] else names
    return {name: component(fit, name) for name in wanted}
