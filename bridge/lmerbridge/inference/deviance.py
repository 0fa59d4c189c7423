"""Wald tables of the fixed terms as car's ``Anova`` has them (Fox & Weisberg 2019, *An R Companion
to Applied Regression*, section 6.4): of type II, each term after those that do not hold it, and of
type III, each term's coefficients as they are coded.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from lmerbridge.design import ModelFrame
from lmerbridge.errors import matched
from lmerbridge.inference.anova import TestTable
from lmerbridge.inference.containment import fixed_terms, term_columns
from lmerbridge.inference.wald import Denominator

__all__ = ["wald_table", "wald_type"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


def wald_type(type: Any) -> str:
    """``"II"`` or ``"III"`` for what car takes as ``type``.

    Raises
    ------
    DataError
        Anything else.
    """
    numbers = {2: "II", 3: "III"}
    if not isinstance(type, (str, bool)) and np.ndim(type) == 0 and type in numbers:
        return numbers[type]
    found = matched(type, ("II", "III", "2", "3"), "type")
    return numbers[int(found)] if found.isdigit() else found


def _after_others(vcov: Array, own: list[int], relatives: list[int]) -> Array:
    """L (df, p): the coefficients ``own`` as they would be were those of the relatives 0, by the
    covariances of all.
    """
    L = np.eye(len(vcov))[own]
    if relatives:
        sizes = np.sqrt(np.diag(vcov))  # the units of the coefficients
        V = vcov / np.outer(sizes, sizes)
        weights = np.linalg.solve(V[np.ix_(relatives, relatives)], V[np.ix_(relatives, own)]).T
        L[:, relatives] = -weights * sizes[own][:, None] / sizes[relatives]
    return L


def _hypotheses(frame: ModelFrame, vcov: Array, type: str) -> dict[str, Array]:
    columns = term_columns(frame)
    p = frame.X.shape[1]
    found: dict[str, Array] = {}
    if type == "III":
        intercept = [j for j, number in enumerate(frame.design.x_assign) if number == 0]
        if intercept:
            found["(Intercept)"] = np.eye(p)[intercept]
        return found | {label: np.eye(p)[columns.get(label, [])] for label in frame.design.x_terms}
    sets = dict(zip(frame.design.x_terms, map(frozenset, fixed_terms(frame).terms), strict=True))
    for label, own in sets.items():
        relatives = [j for other, s in sets.items() if own < s for j in columns.get(other, [])]
        found[label] = _after_others(vcov, columns.get(label, []), relatives)
    return found


def wald_table(frame: ModelFrame, denominator: Denominator, type: Any, F: bool) -> TestTable:
    """Wald tests of the fixed terms: chi-squared, or F with the degrees of freedom and the
    covariance matrix of ``denominator``.
    """
    name = wald_type(type)
    rows: dict[str, tuple[float, ...]] = {}
    for label, L in _hypotheses(frame, denominator.vcov, name).items():
        if not len(L):
            none = 0.0 if name == "III" else math.nan  # as car shows them
            rows[label] = (math.nan, 0, none, math.nan) if F else (math.nan, 0, math.nan)
            continue
        test = denominator.of_all(L)
        if F:
            rows[label] = (test.F, test.ndf, test.ddf, test.p_value)
        else:
            rows[label] = (test.F * test.ndf, test.ndf, test.p_value)
    columns = ["F", "Df", "Df.res", "Pr(>F)"] if F else ["Chisq", "Df", "Pr(>Chisq)"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    of = "F tests with Kenward-Roger df" if F else "chisquare tests"
    heading = (
        f"Analysis of Deviance Table (Type {name} Wald {of})",
        "",
        f"Response: {frame.formula.response_label}",
    )
    return TestTable(table, heading)
