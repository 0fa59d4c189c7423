"""The hypotheses of types I, II and III: for each fixed term a matrix L with L beta = 0.

SAS Institute, "The four types of estimable functions": type I is sequential; type II is each term
after all that do not contain it; type III does not depend on the numbers of observations in the
cells: where none is empty it is what a term's coefficients say when every factor is coded by sums
to zero.

The rows of an L matter beyond the space that they span: Satterthwaite's degrees of freedom of an F
test come from contrasts that are made orthogonal by the eigenvectors of L vcov L', which depend on
the rows' scale. They are lmerTest's here, found from its results: Doolittle's in the model's own
coding, with 1 at the term's own column (types I and II), single coefficients where no term contains
this one (type II), and single coefficients in treatment coding, whatever the model's, with what
they need of the containing terms (type III).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from lmerbridge.design import ModelFrame, triangle
from lmerbridge.design.checks import independent_columns
from lmerbridge.design.columns import Factor, Logical, take
from lmerbridge.design.contrasts import Contrast
from lmerbridge.design.matrix import ModelMatrix, model_matrix
from lmerbridge.design.row_chunks import chunks
from lmerbridge.equality import by_value
from lmerbridge.errors import matched
from lmerbridge.formula.syntax import deparse
from lmerbridge.inference.containment import containing, fixed_terms, term_columns

__all__ = [
    "TYPES",
    "Hypotheses",
    "fixed_terms",
    "term_columns",
    "term_hypotheses",
    "type_name",
]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

TYPES = ("I", "II", "III", "marginal")


@by_value
@dataclass(frozen=True, eq=False)
class Hypotheses:
    """
    Attributes
    ----------
    matrices : dict of str to array (df, p)
        Per fixed term, in the order of the formula; without rows for a term of which the model has
        no column, because all are linear combinations of others.
    rows : dict of str to tuple of str
        The names of their rows: coefficients of the model, or for type III of treatment coding.
    missing_cells : tuple of str
        The columns of the fixed part, each factor by indicators of all its levels, that no row of
        the data is in: what type III hypotheses are said about is then not in the data.
    """

    matrices: dict[str, Array]
    rows: dict[str, tuple[str, ...]]
    missing_cells: tuple[str, ...] = ()


def type_name(type: Any) -> str:
    """``"I"``, ``"II"``, ``"III"`` or ``"marginal"`` for what lmerTest takes as ``type``: these,
    the numbers 1 to 3, and the beginning of a name.

    Raises
    ------
    DataError
        Anything else.
    """
    numbers = {1: "I", 2: "II", 3: "III"}
    if not isinstance(type, (str, bool)) and np.ndim(type) == 0 and type in numbers:
        return numbers[type]
    names = ("III", "II", "I", "3", "2", "1", "marginal")
    found = matched(type, names, "type")
    return numbers[int(found)] if found.isdigit() else found


def _doolittle(frame: ModelFrame, order: list[int], own: list[int]) -> Array:
    """The rows of ``own`` of R in X's QR decomposition with its columns in this order, for beta as
    it is, with 1 at the own column.
    """
    R = triangle(frame.X[rows][:, order] for rows in chunks(frame.nobs))
    rows = np.zeros((len(own), len(order)))
    at = [order.index(j) for j in own]
    rows[:, order] = R[at]
    return np.asarray(rows / rows[np.arange(len(own)), own][:, None])


def _sequential(frame: ModelFrame) -> dict[str, Array]:
    """Type I."""
    everything = list(range(frame.X.shape[1]))
    return {label: _doolittle(frame, everything, own) for label, own in term_columns(frame).items()}


def _after_all_others(frame: ModelFrame) -> dict[str, Array]:
    """Type II."""
    columns, above = term_columns(frame), containing(frame)
    found = {}
    for label, own in columns.items():
        if not above[label]:
            found[label] = np.eye(frame.X.shape[1])[own]
            continue
        after = {j for other in above[label] for j in columns.get(other, [])}
        before = [j for j in range(frame.X.shape[1]) if j not in after and j not in own]
        found[label] = _doolittle(frame, [*before, *own, *sorted(after)], own)
    return found


@by_value
@dataclass(frozen=True, eq=False)
class _Codings:
    """The fixed part in treatment coding, as far as its columns are independent (p), and what is
    written in it: the columns of X (p, p), those of the indicators of all levels (p, w).
    """

    names: tuple[str, ...]
    assign: Array
    X: Array
    indicators: Array
    empty: tuple[str, ...]


def _codings(frame: ModelFrame) -> _Codings:
    terms = fixed_terms(frame)
    names = [deparse(v) for v in terms.variables]
    treatment = {
        name: Contrast()
        for name in names
        if isinstance(frame.rows.variables[name], (Factor, Logical))
    }
    about: dict[str, Any] = {}

    def parts() -> Iterator[Array]:
        for rows in chunks(frame.nobs):
            inside = np.arange(frame.nobs)[rows]
            here = {name: take(frame.rows.variables[name], inside) for name in names}
            treated = model_matrix(terms, here, len(inside), treatment)
            whole = model_matrix(terms, here, len(inside), treatment, indicators=True)
            about["treated"], about["whole"] = treated, whole.names
            yield np.column_stack([treated.values, whole.values, frame.X[rows]])

    R = triangle(parts())
    treated: ModelMatrix = about["treated"]
    wide = len(treated.names)
    end = wide + len(about["whole"])
    kept = independent_columns(R[:, :wide])
    # an orthogonal factor, so that units do not matter
    Q, basis = np.linalg.qr(R[:, kept])
    sizes = np.linalg.norm(basis, axis=0)
    coordinates = np.linalg.solve(basis / sizes, Q.T @ R[:, wide:])
    # what is left of cancelled digits
    coordinates[np.abs(coordinates) < 1e-13 * np.linalg.norm(R[:, wide:], axis=0)] = 0.0
    coordinates /= sizes[:, None]
    nothing = ~R[:, wide:end].any(axis=0)
    return _Codings(
        tuple(treated.names[j] for j in kept),
        np.array(treated.assign)[kept],
        coordinates[:, end - wide :],
        coordinates[:, : end - wide],
        tuple(name for name, none in zip(about["whole"], nothing, strict=True) if none),
    )


def _marginal_means(frame: ModelFrame) -> Hypotheses:
    """Type III: of the functions of the coefficients that involve a term and those that contain it,
    the ones that are orthogonal to those of the containing terms alone, as functions of the
    coefficients of the indicators of all levels (SAS's definition). The coefficients are those of
    treatment coding, of which some may be left out where cells are empty.
    """
    above = containing(frame)
    codings = _codings(frame)
    numbers = {label: i for i, label in enumerate(frame.design.x_terms, 1)}
    K = codings.indicators @ codings.indicators.T
    found, rows = {}, {}
    for label, number in numbers.items():
        own = np.flatnonzero(codings.assign == number)
        others = np.flatnonzero(np.isin(codings.assign, [numbers[o] for o in above[label]]))
        L = np.eye(len(K))[own]
        if len(own) and len(others):
            inner = K[np.ix_(others, others)]
            sizes = np.sqrt(np.diag(inner))
            L[:, others] = -(
                np.linalg.solve(
                    inner / np.outer(sizes, sizes), K[np.ix_(others, own)] / sizes[:, None]
                )
                / sizes[:, None]
            ).T
            L[np.abs(L) < 1e-13] = 0.0
        found[label] = L @ codings.X
        rows[label] = tuple(codings.names[j] for j in own)
    return Hypotheses(found, rows, codings.empty)


def term_hypotheses(frame: ModelFrame, type: Any = 3) -> Hypotheses:
    """The hypotheses of the fixed terms, of lmerTest's types.

    Parameters
    ----------
    frame : ModelFrame
        The model frame of the fit.
    type : {1, 2, 3, "I", "II", "III", "marginal"}
        ``marginal``: each term's own coefficients, in the model's coding.

    Raises
    ------
    DataError
        Unknown type.
    """
    name = type_name(type)
    if name in ("II", "III") and len(frame.design.x_terms) == 1:
        name = "I"  # the same of a single term, and lmerTest writes it so
    if name == "III":
        return _marginal_means(frame)
    columns = {label: term_columns(frame).get(label, []) for label in frame.design.x_terms}
    if name == "I":
        found = _sequential(frame)
    elif name == "II":
        found = _after_all_others(frame)
    else:
        found = {label: np.eye(frame.X.shape[1])[own] for label, own in columns.items()}
    nothing = np.empty((0, frame.X.shape[1]))
    return Hypotheses(
        {label: found.get(label, nothing) for label in columns},
        {label: tuple(frame.x_names[j] for j in own) for label, own in columns.items()},
    )
