"""Contrasts among marginal means: emmeans' methods, or coefficients of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from lmerbridge.errors import DataError, near_match
from lmerbridge.formula.syntax import format_number
from lmerbridge.inference.adjust import ADJUSTMENTS
from lmerbridge.inference.means import Grid

__all__ = ["METHODS", "adjustment_name", "contrast_grid"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Rows: TypeAlias = np.ndarray[Any, np.dtype[np.intp]]


def _pairwise(k: int) -> list[tuple[int, int]]:
    return [(i, j) for i in range(k) for j in range(i + 1, k)]


def _difference(k: int, plus: int, minus: int) -> list[float]:
    row = [0.0] * k
    row[plus], row[minus] = 1.0, -1.0
    return row


def _polynomials(k: int) -> tuple[list[list[float]], list[str]]:
    """Orthogonal polynomials in whole numbers where they are small, as tables have them."""
    from lmerbridge.design.contrasts import Contrast, contrast_matrix

    matrix, _ = contrast_matrix(Contrast("contr.poly"), tuple(map(str, range(k))))
    degrees = ["linear", "quadratic", "cubic", "quartic"]
    rows, names = [], []
    for j in range(min(k - 1, 6)):
        column = matrix[:, j]
        smallest = np.min(np.abs(column[np.abs(column) > 1e-9]))
        scaled = column / smallest
        for multiple in range(1, 200):
            whole = scaled * multiple
            if np.allclose(whole, np.round(whole), atol=1e-6):
                scaled = np.round(whole)
                break
        rows.append(scaled.tolist())
        names.append(degrees[j] if j < len(degrees) else f"degree {j + 1}")
    return rows, names


Made: TypeAlias = tuple[list[list[float]], list[str], str]


def _made(method: str, labels: Sequence[str], ref: int, sign: str) -> Made:
    """Coefficients, names and default adjustment of a method of emmeans'."""
    k = len(labels)

    def minus(i: int, j: int) -> str:
        return f"{_parens(labels[i])} {sign} {_parens(labels[j])}"

    if method in ("pairwise", "tukey"):
        pairs = _pairwise(k)
        return [_difference(k, i, j) for i, j in pairs], [minus(i, j) for i, j in pairs], "tukey"
    if method == "revpairwise":
        pairs = [(j, i) for j in range(k) for i in range(j)]
        return [_difference(k, i, j) for i, j in pairs], [minus(i, j) for i, j in pairs], "tukey"
    if method in ("trt.vs.ctrl", "trt.vs.ctrl1", "dunnett", "trt.vs.ctrlk"):
        base = k - 1 if method == "trt.vs.ctrlk" else ref
        others = [i for i in range(k) if i != base]
        return (
            [_difference(k, i, base) for i in others],
            [minus(i, base) for i in others],
            "dunnett",
        )
    if method == "consec":
        return (
            [_difference(k, i + 1, i) for i in range(k - 1)],
            [minus(i + 1, i) for i in range(k - 1)],
            "mvt",
        )
    if method == "mean_chg":
        rows = [[-1 / (i + 1)] * (i + 1) + [1 / (k - i - 1)] * (k - i - 1) for i in range(k - 1)]
        return rows, [f"{labels[i]}|{labels[i + 1]}" for i in range(k - 1)], "mvt"
    if method == "eff":
        rows = [[(1.0 if i == j else 0.0) - 1 / k for j in range(k)] for i in range(k)]
        return rows, [f"{label} effect" for label in labels], "fdr"
    if method == "del.eff":
        rows = [[1.0 if i == j else -1 / (k - 1) for j in range(k)] for i in range(k)]
        return rows, [f"{label} effect" for label in labels], "fdr"
    if method == "poly":
        poly, names = _polynomials(k)
        return poly, names, "none"
    if method == "identity":
        return np.eye(k).tolist(), list(labels), "none"
    raise DataError(
        f"unknown contrasts {method!r}{near_match(method, METHODS)}; methods: {', '.join(METHODS)}"
    )


METHODS = (
    "pairwise",
    "revpairwise",
    "tukey",
    "trt.vs.ctrl",
    "trt.vs.ctrlk",
    "dunnett",
    "consec",
    "mean_chg",
    "eff",
    "del.eff",
    "poly",
    "identity",
)


def _parens(label: str) -> str:
    return f"({label})" if any(c in label for c in "+-/*") else label


def _names_of(grid: Grid, rows: Rows) -> list[str]:
    """The labels that name rows in contrasts: a level that looks like a number gets its factor."""
    columns = [c for c in grid.labels if c not in grid.by]
    texts = []
    for column in columns:
        values = grid.labels[column].iloc[rows]
        own = [
            str(v) if isinstance(v, str) else format_number(float(v), 7) for v in values.tolist()
        ]
        everything = grid.labels[column]
        looks = all(_is_number(v if isinstance(v, str) else str(v)) for v in everything.tolist())
        texts.append([f"{column}{t}" for t in own] if looks else own)
    return [" ".join(parts) for parts in zip(*texts, strict=True)]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def contrast_grid(
    grid: Grid,
    method: Any = "pairwise",
    by: Any = None,
    adjust: str | None = None,
    ref: Any = None,
    level: float | None = None,
) -> Grid:
    """Contrasts among the rows of ``grid`` within each family.

    Parameters
    ----------
    method : str or mapping of str to sequence of float
        One of :data:`METHODS`, or coefficients by name.
    by : str or sequence of str, optional
        Default: the grid's own.
    ref : str or int, optional
        The control of ``trt.vs.ctrl``: a label, or a position from 0.

    Raises
    ------
    DataError
    """
    if by is not None:
        columns = (by,) if isinstance(by, str) else tuple(by)
        wrong = [c for c in columns if c not in grid.labels]
        if wrong:
            raise DataError(f"by: there is no column {wrong[0]!r}")
        grid = replace(grid, by=columns)
    # a difference of logarithms is the logarithm of a ratio
    ratio = grid.response and grid.link is not None and grid.link.name in ("log", "log2", "log10")
    parts: list[pd.DataFrame] = []
    rows: list[Array] = []
    offsets: list[Array] = []
    lost: list[Array] = []
    default, size = "none", 0
    for family in grid.families():
        names = _names_of(grid, family)
        if isinstance(method, str):
            base = 0
            if ref is not None:
                base = names.index(ref) if ref in names else _position(ref, names, grid, family)
            coefficients, labels, default = _made(method, names, base, "/" if ratio else "-")
        else:
            labels = [str(k) for k in method]
            coefficients = [list(map(float, v)) for v in method.values()]
            for label, row in zip(labels, coefficients, strict=True):
                if len(row) != len(family):
                    raise DataError(
                        f"contrast {label!r} has {len(row)} coefficients for {len(family)} means: "
                        f"{', '.join(names)}"
                    )
        C = np.array(coefficients, dtype=np.float64).reshape(len(labels), len(family))
        rows.append(C @ grid.L[family])
        offsets.append(C @ grid.offset[family])
        lost.append(C @ grid.beyond[family])
        part = pd.DataFrame({"contrast": labels})
        for column in grid.by:
            part[column] = grid.labels[column].iloc[family[0]]
        parts.append(part)
        size = max(size, len(family))
    chosen = default if adjust is None else adjustment_name(adjust)
    if chosen == "tukey" and method not in ("pairwise", "revpairwise", "tukey"):
        chosen = "sidak"  # Tukey's method is for pairs
    labels_table = pd.concat(parts, ignore_index=True)
    for column in grid.by:
        labels_table[column] = labels_table[column].astype(grid.labels[column].dtype)
    return replace(
        grid,
        labels=labels_table,
        L=np.concatenate(rows),
        offset=np.concatenate(offsets),
        beyond=np.concatenate(lost),
        estimate="estimate",
        infer="test",
        adjust=chosen,
        family=size,
        level=grid.level if level is None else level,
        response=ratio,
        contrast=True,
    )


def _position(ref: Any, names: Sequence[str], grid: Grid, family: Rows) -> int:
    plain = [
        " ".join(map(str, row))
        for row in grid.labels.drop(columns=list(grid.by)).iloc[family].itertuples(index=False)
    ]
    if ref in plain:
        return plain.index(ref)
    if isinstance(ref, (int, np.integer)) and -len(names) <= int(ref) < len(names):
        return int(ref) % len(names)
    raise DataError(f"ref {ref!r} is none of {', '.join(plain)}, nor a position")


def adjustment_name(name: str) -> str:
    aliases = {"dunnettx": "dunnett", "bonf": "bonferroni"}
    chosen = aliases.get(name, name)
    if chosen not in ADJUSTMENTS:
        raise DataError(
            f"unknown adjustment {name!r}{near_match(name, ADJUSTMENTS)}; "
            f"there are {', '.join(ADJUSTMENTS)}"
        )
    return chosen
