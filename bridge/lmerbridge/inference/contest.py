"""Tests of linear functions of the fixed effects that a user asks for: lmerTest's ``contest``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from lmerbridge.errors import ArgumentError, DataError
from lmerbridge.inference.adjust import two_sided
from lmerbridge.inference.wald import Denominator, FTest, contrasts
from lmerbridge.rank import lengths

__all__ = [
    "DEFICIENT",
    "as_hypothesis",
    "collected",
    "f_table",
    "joint_test",
    "row_tests",
    "t_tests",
]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

DEFICIENT = "Contrast is rank deficient and test may be affected"  # lmerTest's words


def t_tests(
    L: Array, beta: Array, denominator: Denominator, rhs: float | Array = 0.0
) -> pd.DataFrame:
    """A t test for each row of L beta = rhs: Estimate, Std. Error, df, t value, Pr(>|t|)."""
    estimate = L @ beta
    variances = np.einsum("rp,pq,rq->r", L, denominator.vcov, L)
    df = denominator.of_rows(L)
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = np.sqrt(variances)
        t = np.asarray((estimate - rhs) / errors)  # infinite for 0 beta = 1, as in lmerTest
    df = np.where(errors > 0, df, np.nan)
    return pd.DataFrame(
        {
            "Estimate": estimate,
            "Std. Error": errors,
            "df": df,
            "t value": t,
            "Pr(>|t|)": two_sided(t, df),
        }
    )


def as_hypothesis(L: Any, p: int, names: Sequence[str]) -> Array:
    """``L`` as a matrix (r, p).

    Raises
    ------
    ArgumentError
        L is no matrix of numbers.
    DataError
        L has another number of columns than there are fixed effects, names none of them, or has
        missing or infinite values.
    """
    if isinstance(L, pd.DataFrame):
        unknown = [str(c) for c in L.columns if c not in names]
        if unknown and not isinstance(L.columns, pd.RangeIndex):
            raise DataError(f"L has a column {unknown[0]!r}, which is no fixed effect")
        if not isinstance(L.columns, pd.RangeIndex):
            L = L.reindex(columns=list(names), fill_value=0.0)
    try:
        matrix = np.asarray(L, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"L must be numbers, a row per contrast: {error}") from error
    if matrix.size == 0 and matrix.ndim < 2:
        matrix = matrix.reshape(0, p)
    matrix = np.atleast_2d(matrix)
    if matrix.ndim != 2 or matrix.shape[1] != p:
        raise DataError(
            f"L has {matrix.shape[-1]} columns; the model has {p} fixed effects: {', '.join(names)}"
        )
    if not np.isfinite(matrix).all():
        raise DataError("L has missing or infinite values")
    return matrix


def _right_side(rhs: Any, rows: int) -> Array:
    try:
        values = np.asarray(rhs, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"rhs must be a number, or one per row of L: {error}") from error
    if values.size not in (1, rows) or values.ndim > 1:
        raise DataError(
            f"rhs has {values.size} values for {rows} rows of L: give one, or one a row"
        )
    if not np.isfinite(values).all():
        raise DataError("rhs has missing or infinite values")
    return np.array(np.broadcast_to(values, (rows,)))


def joint_test(L: Array, denominator: Denominator, rhs: Any = 0.0) -> FTest:
    """The F test of L beta = rhs.

    Notes
    -----
    Where rows of L follow from others and ``rhs`` says otherwise, no beta is as asked; tested is
    then the nearest right-hand side that one can have, as in lmerTest.
    """
    shift = _right_side(rhs, len(L))
    if not np.any(shift):
        return denominator.of_all(L)
    independent = contrasts(L, denominator.vcov)
    used = np.any(L != 0, axis=1)
    if independent.deficient:
        units = 1 / lengths(independent.root, axis=1)
        start = np.linalg.lstsq(L[used] / units, shift[used], rcond=1e-10)[0] / units
    else:
        half = L[used] @ independent.root
        sizes = lengths(half, axis=1)
        reached = np.linalg.lstsq(half / sizes[:, None], shift[used] / sizes, rcond=None)[0]
        start = independent.root @ reached
    moved: Any = denominator
    found = replace(moved, beta=denominator.beta - start).of_all(L)
    assert isinstance(found, FTest)
    return found


def f_table(tests: dict[Any, FTest], sigma: float) -> pd.DataFrame:
    """F tests as lmerTest's table: sums of squares are of the F before it is scaled."""
    variance = sigma**2
    return pd.DataFrame(
        {
            "Sum Sq": [t.wald * t.ndf * variance for t in tests.values()],
            "Mean Sq": [t.wald * variance for t in tests.values()],
            "NumDF": np.array([t.ndf for t in tests.values()], dtype=np.int64),
            "DenDF": np.array([t.ddf for t in tests.values()], dtype=np.float64),
            "F value": np.array([t.F for t in tests.values()], dtype=np.float64),
            "Pr(>F)": np.array([t.p_value for t in tests.values()], dtype=np.float64),
        },
        index=pd.Index(list(tests)),
    )


def row_tests(
    L: Array,
    beta: Array,
    denominator: Denominator,
    rhs: Any = 0.0,
    confint: bool = True,
    level: float = 0.95,
) -> pd.DataFrame:
    """A t test for each row of L beta = rhs, as lmerTest's table; the confidence limits are of
    L beta.

    Raises
    ------
    ArgumentError
        ``level`` is not between 0 and 1, or ``rhs`` is no number or one per row.
    """
    from scipy import special

    if not (isinstance(level, (int, float)) and 0 < level < 1):
        raise ArgumentError(f"level must be between 0 and 1, not {level!r}")
    found = t_tests(L, beta, denominator, _right_side(rhs, len(L)))
    if not confint:
        return found
    df = found["df"].to_numpy()
    upper = 0.5 + 0.5 * level
    asymptotic = np.isinf(df)
    quantile = np.where(
        asymptotic,
        special.ndtri(upper),
        special.stdtrit(np.where(asymptotic, 1.0, df), upper),
    )
    half = quantile * found["Std. Error"].to_numpy()
    found.insert(4, "lower", found["Estimate"] - half)
    found.insert(5, "upper", found["Estimate"] + half)
    return found


def collected(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """One table of several, its rows named as R's ``rbind`` names them: ``a``, or ``a.1``, ``a.2``
    where there are more.
    """
    if not tables:
        raise DataError("there is no L to test")
    parts = []
    for name, table in tables.items():
        labels = [name] if len(table) == 1 else [f"{name}.{i + 1}" for i in range(len(table))]
        parts.append(table.set_axis(pd.Index(labels, dtype=object)))
    return pd.concat(parts)
