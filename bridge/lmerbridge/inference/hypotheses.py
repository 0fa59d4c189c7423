"""The hypotheses of types I, II and III: for each fixed term a matrix L with L beta = 0.

SAS Institute, "The four types of estimable functions": type I is sequential; type II is each term
after all that do not contain it; type III does not depend on the numbers of observations in the
cells, and is what a term's coefficients say when every factor is coded by sums to zero.

The rows of an L matter beyond the space that they span: Satterthwaite's degrees of freedom of an F
test come from contrasts that are made orthogonal by the eigenvectors of L vcov L', which depend on
the rows' scale. They are lmerTest's here, found from its results: Doolittle's, with 1 at the term's
own column (types I and II), single coefficients where no term contains this one (type II), and the
reduced row echelon form (type III).
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from lmerbridge.design import ModelFrame, triangle
from lmerbridge.design.columns import Numeric
from lmerbridge.design.contrasts import Contrast
from lmerbridge.design.matrix import model_matrix
from lmerbridge.design.rows import chunks
from lmerbridge.errors import DataError, UnsupportedModelError
from lmerbridge.formula.syntax import deparse
from lmerbridge.formula.terms import Terms

__all__ = ["TYPES", "containing", "fixed_terms", "restriction", "term_columns", "term_hypotheses"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

TYPES = {1: "I", 2: "II", 3: "III"}
SAME = 1e-6


def fixed_terms(frame: ModelFrame) -> Terms:
    """The terms of the fixed part."""
    return frame.formula.terms(frame.dot_columns)


def term_columns(frame: ModelFrame) -> dict[str, list[int]]:
    """Per term of the fixed part the columns of X that are its own (of those kept)."""
    assign = np.array(frame.x_assign)
    found = {
        label: np.flatnonzero(assign == number).tolist()
        for number, label in enumerate(frame.x_terms, 1)
    }
    return {label: columns for label, columns in found.items() if columns}


def _parts(frame: ModelFrame) -> list[tuple[frozenset[int], frozenset[int]]]:
    """Per term its classifying variables and its continuous ones."""
    terms = fixed_terms(frame)
    numeric = {
        i for i, v in enumerate(terms.variables) if isinstance(frame.variables[deparse(v)], Numeric)
    }
    return [(frozenset(t) - numeric, frozenset(t) & numeric) for t in (set(t) for t in terms.terms)]


def containing(frame: ModelFrame, label: str) -> list[str]:
    """The terms that contain ``label``: the same continuous variables, and more factors."""
    parts = dict(zip(frame.x_terms, _parts(frame), strict=True))
    factors, numbers = parts[label]
    return [
        other for other, (f, n) in parts.items() if other != label and n == numbers and factors < f
    ]


def _sequential(frame: ModelFrame, order: list[int]) -> Array:
    """R of X's QR decomposition with its columns in this order, for beta as it is."""
    R = triangle(frame.X[rows][:, order] for rows in chunks(frame.nobs))
    found = np.zeros_like(R)
    found[:, order] = R
    return np.asarray(found)


def _summed(frame: ModelFrame) -> tuple[Array, tuple[int, ...]]:
    """B with ``X_s B = X``, X_s coded by sums to zero, and X_s's columns by term."""
    terms = fixed_terms(frame)
    variables = {deparse(v): frame.variables[deparse(v)] for v in terms.variables}
    coding = {
        label: Contrast("contr.sum")
        for label, column in variables.items()
        if not isinstance(column, Numeric)
    }
    coded = model_matrix(terms, variables, frame.nobs, coding)
    if coded.values.shape[1] != frame.X.shape[1]:
        raise UnsupportedModelError(
            "type III hypotheses need every combination of factor levels in the data; here "
            f"{', '.join(frame.x_dropped)} cannot be estimated. Types 1 and 2 can be tested"
        )
    B, *_ = np.linalg.lstsq(coded.values, frame.X, rcond=None)
    if not np.allclose(coded.values @ B, frame.X, atol=SAME * max(1.0, np.abs(frame.X).max())):
        raise UnsupportedModelError(
            "type III hypotheses: coded by sums to zero this is another model; use type 1 or 2"
        )
    B[np.abs(B) < 1e-10 * np.abs(B).max()] = 0.0
    return B, coded.assign


def _echelon(L: Array) -> Array:
    """The reduced row echelon form, by Gauss and Jordan with pivoting."""
    rows = L.copy()
    size = float(np.abs(L).max())
    done = 0
    for column in range(L.shape[1]):
        if done == len(rows):
            break
        pivot = done + int(np.argmax(np.abs(rows[done:, column])))
        if abs(rows[pivot, column]) < 1e-9 * size:
            continue
        rows[[done, pivot]] = rows[[pivot, done]]
        rows[done] /= rows[done, column]
        others = np.arange(len(rows)) != done
        rows[others] -= np.outer(rows[others, column], rows[done])
        done += 1
    rows[np.abs(rows) < 1e-12] = 0.0
    return rows[:done]


def term_hypotheses(frame: ModelFrame, type: int | str = 3) -> dict[str, Array]:
    """Per term of the fixed part its L (df, p).

    Raises
    ------
    DataError
        Unknown type.
    UnsupportedModelError
        Type III of a design with empty cells.
    """
    names = {"I": 1, "II": 2, "III": 3, "1": 1, "2": 2, "3": 3}
    kind = names.get(str(type).upper())
    if kind is None:
        raise DataError(f"type must be 1, 2 or 3, not {type!r}")
    columns = term_columns(frame)
    if kind == 3:
        if not any(len(f) for f, _ in _parts(frame)):
            # without factors there is nothing to code
            return {label: np.eye(frame.X.shape[1])[own] for label, own in columns.items()}
        B, assign = _summed(frame)
        return {
            label: _echelon(B[[j for j, number in enumerate(assign) if number == i]])
            for i, label in enumerate(frame.x_terms, 1)
            if label in columns
        }
    everything = list(range(frame.X.shape[1]))
    if kind == 1:
        R = _sequential(frame, everything)
        return {label: R[own] / R[own, own][:, None] for label, own in columns.items()}
    found = {}
    for label, own in columns.items():
        above = {j for other in containing(frame, label) for j in columns.get(other, [])}
        if not above:
            found[label] = np.eye(frame.X.shape[1])[own]
            continue
        before = [j for j in everything if j not in above and j not in own]
        R = _sequential(frame, [*before, *own, *sorted(above)])
        rows = R[len(before) : len(before) + len(own)]
        found[label] = rows / rows[np.arange(len(own)), own][:, None]
    return found


def restriction(larger: ModelFrame, smaller: ModelFrame) -> Array:
    """L (r, p) with L beta = 0 if and only if X beta lies in the smaller model's column space
    (Halekoh & Hojsgaard 2014, section 4.3).

    Raises
    ------
    DataError
        The models are not nested, or not on the same rows.
    """
    if larger.nobs != smaller.nobs:
        raise DataError(
            f"the models are of {larger.nobs} and {smaller.nobs} rows: they cannot be compared"
        )
    Q, R = np.linalg.qr(larger.X)
    outside = (
        Q - smaller.X @ np.linalg.lstsq(smaller.X, Q, rcond=None)[0] if (smaller.X.shape[1]) else Q
    )
    _, values, rows = np.linalg.svd(outside, full_matrices=False)
    keep = values > SAME
    across = smaller.X - Q @ (Q.T @ smaller.X)
    size = max(1.0, float(np.abs(smaller.X).max(initial=0.0)))
    if np.abs(across).max(initial=0.0) > SAME * size:
        raise DataError("the smaller model's fixed effects are not among the larger one's")
    if not keep.any():
        raise DataError("the models have the same fixed effects: there is nothing to test")
    return _echelon(np.asarray(rows[keep] @ R))
