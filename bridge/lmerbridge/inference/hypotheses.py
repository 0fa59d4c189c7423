"""The hypotheses of types I, II and III: for each fixed term a matrix L with L beta = 0.

SAS Institute, "The four types of estimable functions": type I is sequential; type II is each term
after all that do not contain it; type III does not depend on the numbers of observations in the
cells: where none is empty it is what a term's coefficients say when every factor is coded by sums
to zero.

The rows of an L matter beyond the space that they span: Satterthwaite's degrees of freedom of an F
test come from contrasts that are made orthogonal by the eigenvectors of L vcov L', which depend on
the rows' scale. They are lmerTest's here, found from its results: Doolittle's, with 1 at the term's
own column (types I and II), single coefficients where no term contains this one (types II and III),
and the reduced row echelon form (type III).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np

from lmerbridge.design import ModelFrame, triangle
from lmerbridge.design.columns import Factor, Numeric, as_factor, take
from lmerbridge.design.rows import chunks
from lmerbridge.errors import DataError
from lmerbridge.formula.syntax import deparse
from lmerbridge.formula.terms import Terms

__all__ = ["TYPES", "containing", "fixed_terms", "restriction", "term_columns", "term_hypotheses"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

TYPES = {1: "I", 2: "II", 3: "III"}
SAME = 1e-6
INDEPENDENT = 1e-9  # of the largest singular value


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
    """The terms that contain ``label``: the same continuous variables, and more factors. As in
    lmerTest, a term without the margin that it would have then (``x:f`` without ``f``) is not
    counted: its coefficients beside ``x`` are differences from one level, not from an average.
    """
    parts = dict(zip(frame.x_terms, _parts(frame), strict=True))
    present: set[frozenset[int]] = {f | n for f, n in parts.values()} | {frozenset()}
    factors, numbers = parts[label]
    return [
        other
        for other, (f, n) in parts.items()
        if other != label
        and n == numbers
        and factors < f
        and all((f | n) - {v} in present for v in factors | numbers)
    ]


def _sequential(frame: ModelFrame, order: list[int]) -> Array:
    """R of X's QR decomposition with its columns in this order, for beta as it is."""
    R = triangle(frame.X[rows][:, order] for rows in chunks(frame.nobs))
    found = np.zeros_like(R)
    found[:, order] = R
    return np.asarray(found)


def _indicators(frame: ModelFrame, rows: slice) -> tuple[Array, list[int]]:
    """The fixed part with every factor by indicators of all its levels, and each column's term."""
    terms = fixed_terms(frame)
    count = len(frame.y[rows])
    blocks: list[Array] = [np.ones((count, 1))] if terms.intercept else []
    assign = [0] * len(blocks)
    for number, term in enumerate(terms.terms, 1):
        block = np.ones((count, 1))
        for v in term:
            column = take(
                frame.variables[deparse(terms.variables[v])], np.arange(len(frame.y))[rows]
            )
            if isinstance(column, Numeric):
                own = column.floats.reshape(count, -1)
            else:
                factor = column if isinstance(column, Factor) else as_factor(column)
                own = np.eye(len(factor.levels))[factor.codes]
            block = (own[:, :, None] * block[:, None, :]).reshape(count, -1)
        blocks.append(block)
        assign += [number] * block.shape[1]
    return np.concatenate(blocks, axis=1), assign


def _null_space(matrix: Array) -> Array:
    """Rows c (k, r) with c @ matrix = 0, orthonormal."""
    U, values, _ = np.linalg.svd(matrix)
    rank = int(np.sum(values > INDEPENDENT * values.max(initial=0.0))) if values.size else 0
    return np.asarray(U[:, rank:].T)


def _marginal(frame: ModelFrame) -> dict[str, Array]:
    """Type III: of the estimable functions that involve only a term and those that contain it, the
    ones that are orthogonal to those of the containing terms alone (SAS's definition, in the space
    of indicators of all levels). Empty cells need no rule of their own.
    """
    assign: list[int] = []

    def parts() -> Iterator[Array]:
        for rows in chunks(frame.nobs):
            whole, own = _indicators(frame, rows)
            assign[:] = own
            yield np.column_stack([whole, frame.X[rows]])

    R = triangle(parts())
    term_of = np.array(assign)
    wide = len(assign)
    U, values, _ = np.linalg.svd(R[:, :wide], full_matrices=False)
    rank = int(np.sum(values > INDEPENDENT * values[0]))
    basis = (U[:, :rank] / values[:rank]).T
    functions, mapped = basis @ R[:, :wide], basis @ R[:, wide:]
    numbers = {label: i for i, label in enumerate(frame.x_terms, 1)}
    found = {}
    for label, columns in term_columns(frame).items():
        if not containing(frame, label):
            found[label] = np.eye(len(frame.x_names))[columns]
            continue
        mine = [numbers[label], *(numbers[other] for other in containing(frame, label))]
        only = _null_space(functions[:, ~np.isin(term_of, mine)])
        A, B = only @ functions, only @ mapped
        others = _null_space(A[:, term_of == numbers[label]]) @ A
        chosen = _null_space(A @ others.T) if len(others) else np.eye(len(A))
        _, sizes, rows = np.linalg.svd(chosen @ B, full_matrices=False)
        found[label] = _echelon(rows[sizes > INDEPENDENT * sizes.max(initial=0.0)])
    return found


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
    """
    names = {"I": 1, "II": 2, "III": 3, "1": 1, "2": 2, "3": 3}
    kind = names.get(str(type).upper())
    if kind is None:
        raise DataError(f"type must be 1, 2 or 3, not {type!r}")
    columns = term_columns(frame)
    if kind == 3:
        return _marginal(frame)
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
