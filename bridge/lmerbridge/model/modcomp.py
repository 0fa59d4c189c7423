"""Tests of a model against one with fewer fixed effects: pbkrtest's ``KRmodcomp``, ``SATmodcomp``
and ``PBmodcomp``.

They do for their users what these would else be told to do, and say so: a model fitted by the
criterion that a method has no use for is fitted again, and two models that come in the other order
are taken in this one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from lmerbridge.design import ModelFrame
from lmerbridge.dialects import dialect_of
from lmerbridge.display.coefmat import coefmat_lines
from lmerbridge.display.rformat import format_numbers, print_matrix, print_vector
from lmerbridge.display.table import RTable
from lmerbridge.equality import by_value
from lmerbridge.errors import ArgumentError, DataError
from lmerbridge.formula import update_formula
from lmerbridge.inference.anova import chi_squared
from lmerbridge.inference.contest import as_hypothesis
from lmerbridge.inference.degrees import of_fit
from lmerbridge.inference.fit import Fit
from lmerbridge.inference.re_form import NA
from lmerbridge.inference.restriction import orthonormal_rows, restriction, smaller_of
from lmerbridge.inference.simulate import generator
from lmerbridge.inference.wald import FTest, contrasts
from lmerbridge.messages import tell
from lmerbridge.model.fitting import of_formula, same_rows, updated
from lmerbridge.model.intervals import maximum_likelihood
from lmerbridge.model.prediction import simulate

__all__ = ["kr_comparison", "pb_comparison", "satterthwaite_comparison"]

LEAST_SCALING = 0.2  # below, pbkrtest prints the F test that is not scaled
REFITTED = "the larger model is fitted again by REML, which this test is for"
REVERSED = "the larger model is the one given second: the two are taken in the other order"


@by_value
@dataclass(frozen=True, eq=False)
class _Hypothesis:
    """What is asked of the larger model.

    Attributes
    ----------
    larger : Fit
    L : array (r, p)
        As it was given, or from the smaller model.
    shown : array (r, p)
        As R shows it.
    small : tuple of str
        Lines of the smaller model's formula; none for a matrix.
    """

    larger: Fit
    L: np.ndarray[Any, np.dtype[np.float64]]
    shown: np.ndarray[Any, np.dtype[np.float64]]
    small: tuple[str, ...]


def _frame_by(fit: Fit, formula: str) -> ModelFrame:
    """The model frame of a changed formula, on the rows of ``fit``."""
    text = update_formula(fit.frame.formula, formula)
    return replace(fit.call, formula=text, **same_rows(fit)).frame()


def _is_formula(given: Any) -> bool:
    return isinstance(given, str) and "~" in given


def _hypothesis(larger: Fit, smaller: Any) -> _Hypothesis:
    """The hypothesis that ``smaller`` is: a model, a change of the larger one's formula, or L."""
    if isinstance(smaller, Fit):
        if smaller_of(larger.frame, smaller.frame) == 0:
            tell(REVERSED)
            larger, smaller = smaller, larger
        found = restriction(larger.frame, smaller.frame)
        lines = tuple(smaller.result.call.formula_lines)
        return _Hypothesis(larger, found.L, found.sequential, lines)
    if _is_formula(smaller):
        frame = _frame_by(larger, smaller)
        found = restriction(larger.frame, frame)
        return _Hypothesis(larger, found.L, found.sequential, tuple(frame.formula.lines))
    if isinstance(smaller, str) or callable(getattr(smaller, "logLik", None)):
        what = repr(smaller) if isinstance(smaller, str) else f"a {type(smaller).__name__}"
        raise ArgumentError(
            "the smaller model must be a mixed model, a formula ('. ~ . - x'), or a matrix L with "
            f"a column per fixed effect, not {what}"
        )
    names = larger.result.estimates.names
    L = as_hypothesis(smaller, len(names), names)
    if not len(L):
        raise DataError("L has no rows: there is nothing to test")
    shown = orthonormal_rows(L) if contrasts(L, larger.result.estimates.vcov).deficient else L
    return _Hypothesis(larger, L, shown, ())


def _matrix_lines(matrix: Any) -> list[str]:
    """A matrix of numbers without names, as R prints it."""
    columns = [format_numbers(column.tolist()) for column in matrix.T]
    return print_matrix(
        [f"[{i + 1},]" for i in range(len(matrix))],
        [f"[,{j + 1}]" for j in range(len(columns))],
        list(zip(*columns, strict=True)),
    )


def _named(name: str, lines: Sequence[str]) -> list[str]:
    """A formula as R prints it after a name."""
    first, *rest = lines
    return [f"{name}{first}", *rest]


def _large(fit: Fit) -> list[str]:
    return _named("large : ", fit.result.call.formula_lines)


def kr_comparison(fit: Fit, smaller: Any, betaH: Any) -> RTable:
    """``KRmodcomp``: the F test of Kenward & Roger (1997)."""
    asked = _hypothesis(fit, smaller)
    larger = asked.larger
    names = larger.result.estimates.names
    start = np.asarray(betaH, dtype=np.float64)
    if start.size not in (1, len(names)):
        raise DataError(f"betaH has {start.size} values; the model has {len(names)} fixed effects")
    if np.any(start != 0) and asked.small:
        raise ArgumentError("betaH is for a matrix L: beside a smaller model it must be 0")
    if not larger.result.call.REML:
        tell(REFITTED)
        larger = updated(larger, ". ~ .", REML=True)  # in R's order of terms, which is printed
    denominator: Any = of_fit(larger, "Kenward-Roger")
    test: FTest = replace(denominator, beta=denominator.beta - start.ravel()).of_all(asked.L)
    table = pd.DataFrame(
        {
            "stat": [test.F],
            "ndf": [float(test.ndf)],
            "ddf": [test.ddf],
            "F.scaling": [test.scaling],
            "p.value": [test.p_value],
        },
        index=["Ftest"],
    )
    if asked.small:
        small = _named("small : ", asked.small)
    else:
        small = ["L = ", *_matrix_lines(asked.shown)]
        if np.any(start != 0):
            small += ["betaH=", *print_vector(format_numbers(start.ravel().tolist()))]
    lines = _kr_lines(test, table)
    return RTable.of(table, "\n".join([*_large(larger), *small, *lines]))


def _kr_lines(test: FTest, table: pd.DataFrame) -> list[str]:
    """The table as pbkrtest prints it: without the scaling where that is next to nothing."""
    unscaled = test.scaling < LEAST_SCALING
    shown = table.to_numpy(float).copy()
    if unscaled:
        plain = replace(test, F=test.wald, scaling=1.0)
        shown[0] = [plain.F, plain.ndf, plain.ddf, math.nan, plain.p_value]
    lines = coefmat_lines(
        ["FtestU" if unscaled else "Ftest"],
        list(table.columns),
        shown,
        digits=5,
        tests=(0, 1, 2),
        has_p=True,
        na="" if unscaled else "NaN",
    )
    if unscaled and math.isnan(shown[0, -1]):
        lines[1] = lines[1][:-3] + "NaN"
    return lines


def satterthwaite_comparison(fit: Fit, smaller: Any) -> RTable:
    """``SATmodcomp``: the F test with Satterthwaite's degrees of freedom. Those of several rows
    depend on how the hypothesis is written; pbkrtest writes it with orthonormal rows.
    """
    asked = _hypothesis(fit, smaller)
    larger = asked.larger
    if not larger.result.call.REML:
        tell(REFITTED)
        larger = updated(larger, REML=True)
    rows = orthonormal_rows(asked.L) if asked.small else asked.shown
    test = of_fit(larger, "Satterthwaite").of_all(rows)
    table = pd.DataFrame(
        {
            "statistic": [test.F],
            "ndf": [float(test.ndf)],
            "ddf": [test.ddf],
            "p.value": [test.p_value],
        },
        index=["Ftest"],
    )
    lines = coefmat_lines(
        ["[1,]"],
        list(table.columns),
        table.to_numpy(),
        digits=5,
        estimates=(0, 1),
        tests=(2,),
        has_p=True,
        na="NaN",
    )
    if asked.small and dialect_of(larger.result).SAT_formula:
        small = _named("small : ", asked.small)
    else:
        # pbkrtest shows a restriction that it found to seven decimals
        shown = np.round(asked.shown, 7) if asked.small else asked.shown
        columns = [format_numbers(column.tolist()) for column in shown.T]
        cells = list(zip(*columns, strict=True))
        matrix = print_matrix([""] * len(cells), [""] * len(columns), cells)
        small = ["small (restriction matrix) : ", *matrix]
    head = [*_large(asked.larger), *small]
    return RTable.of(table, "\n".join([*head, *lines]))


def pb_comparison(larger: Fit, smaller: Any, nsim: int, seed: int | None, progress: bool) -> RTable:
    """``PBmodcomp`` (Halekoh & Hojsgaard 2014, section 5): the share of bootstrap likelihood
    ratios, made under the smaller model, that reach the observed one.
    """
    from lmerbridge.model.progress import progress_bar
    from lmerbridge.solve.refits import refit_many

    if _is_formula(smaller):
        text = update_formula(larger.frame.formula, smaller)
        smaller = of_formula(larger, text, start=None, **same_rows(larger))
    if not isinstance(smaller, Fit):
        raise DataError(
            "PBmodcomp() compares with a model, or with a formula ('. ~ . - x'), not "
            f"{type(smaller).__name__}"
        )
    if not isinstance(nsim, (int, np.integer)) or nsim < 1:
        raise ArgumentError(f"nsim must be a positive whole number, not {nsim!r}")
    if not np.array_equal(larger.frame.y, smaller.frame.y):
        raise DataError("the models were not fitted to the same response")
    one, two = maximum_likelihood(larger), maximum_likelihood(smaller)
    lrt = max(0.0, two.criterion.value - one.criterion.value)
    df = one.criterion.parameters - two.criterion.parameters
    if df <= 0:
        raise DataError(
            "the second model must have fewer parameters than this one"
            + (": call the method of the larger one" if df < 0 else "")
        )

    under = smaller.with_result(two)
    rng = generator(seed)
    reference: list[float] = []
    with progress_bar("bootstrap", progress) as bar:
        while len(reference) < nsim:
            count = min(100, nsim - len(reference))
            made = simulate(under, count, rng, NA, None, False, False, None, "pass").to_numpy()
            large = refit_many(larger.frame, made, False, one.estimates.parameters, larger.products)
            small = refit_many(
                smaller.frame, made, False, two.estimates.parameters, smaller.products
            )
            reference += (small.criterion - large.criterion).tolist()
            if bar is not None:
                bar(len(reference), nsim)
    values = np.array(reference)
    used = values[np.isfinite(values) & (values > 0)]
    extremes = int(np.sum(used > lrt))
    table = pd.DataFrame(
        {
            "stat": [lrt, lrt],
            "df": [df, math.nan],
            "p.value": [chi_squared(lrt, df), (extremes + 1) / (len(used) + 1)],
        },
        index=["LRT", "PBtest"],
    )
    lines = coefmat_lines(
        list(table.index),
        list(table.columns),
        table.to_numpy(),
        digits=5,
        tests=(0,),
        has_p=True,
        na="",
    )
    head = [
        f"Bootstrap test; samples: {nsim}; extremes: {extremes};",
        f"Requested samples: {nsim} Used samples: {len(used)} Extremes: {extremes}",
        *_large(larger),
        *smaller.result.call.formula_lines,
    ]
    return RTable.of(table, "\n".join([*head, *lines]))
