"""``drop1``: which fixed terms can go, and what is tested when one goes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np

from lmerbridge.design import ModelFrame, triangle
from lmerbridge.design.matrix import model_matrix
from lmerbridge.design.row_chunks import chunks
from lmerbridge.errors import DataError, near_match
from lmerbridge.formula import update_formula
from lmerbridge.formula.model_formula import parse_formula
from lmerbridge.inference.containment import fixed_terms, term_columns
from lmerbridge.rank import echelon, lengths

__all__ = ["deleted", "droppable", "in_scope"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

# Sine of an angle: R's qr() drops a column of which less than this part is left.
OUTSIDE_SINE = 1e-7


def droppable(frame: ModelFrame) -> list[str]:
    """The fixed terms that no other term holds in it: what marginality lets go."""
    sets = [frozenset(term) for term in fixed_terms(frame).terms]
    return [
        label
        for label, own in zip(frame.design.x_terms, sets, strict=True)
        if not any(own < other for other in sets)
    ]


def in_scope(frame: ModelFrame, scope: Any) -> list[str]:
    """The terms that ``scope`` names, or those that are droppable.

    Parameters
    ----------
    frame : ModelFrame
        The model frame of the fit.
    scope : str, sequence of str or None
        Labels of terms, or a formula of them: ``"~ a + a:b"``, in which ``.`` is what is there.

    Raises
    ------
    DataError
        One of them is no fixed term of the model.
    """
    if scope is None:
        return droppable(frame)
    if isinstance(scope, str) and "~" in scope:
        asked = parse_formula(update_formula(frame.formula, scope), mixed=False)
        labels = list(asked.terms(frame.design.dot_columns).labels)
    elif isinstance(scope, str):
        labels = [scope]
    elif isinstance(scope, Iterable):
        labels = list(scope)
    else:
        raise DataError(f"scope must name fixed terms, or be a formula of them, not {scope!r}")
    for label in labels:
        if label not in frame.design.x_terms:
            near = near_match(label, frame.design.x_terms) if isinstance(label, str) else ""
            raise DataError(
                f"scope is not a subset of term labels: {label!r} is no fixed term of the model"
                f"{near}; it has {', '.join(frame.design.x_terms) or 'none'}"
            )
    return labels


def deleted(frame: ModelFrame, label: str) -> Array:
    """L (df, p) with L beta = 0 if and only if X beta needs no column of the term ``label``.

    Where columns of the term can be written by others, df is less than their number, and may be 0.
    """
    own = term_columns(frame).get(label, [])
    if not frame.design.x_dropped:
        return np.eye(frame.X.shape[1])[own]
    terms = fixed_terms(frame)
    whole = model_matrix(terms, frame.rows.variables, frame.nobs, frame.design.contrasts)
    number = frame.design.x_terms.index(label) + 1
    others = whole.values[:, np.array(whole.assign) != number]
    R = triangle(np.column_stack([others[rows], frame.X[rows]]) for rows in chunks(frame.nobs))
    p = frame.X.shape[1]
    rest, X = R[:, : others.shape[1]], R[:, others.shape[1] :]
    sizes = lengths(X)
    Q, values, _ = np.linalg.svd(rest / lengths(rest), full_matrices=False)
    Q = Q[:, values > OUTSIDE_SINE * values.max(initial=0.0)]
    basis, T = np.linalg.qr(X / sizes)
    outside = basis - Q @ (Q.T @ basis)
    _, sines, rows_ = np.linalg.svd(outside, full_matrices=False)
    free = rows_[sines > OUTSIDE_SINE]
    if not len(free):
        return np.empty((0, p))
    return echelon(free @ T * sizes, sizes)
