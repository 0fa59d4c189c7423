"""Tests of the fixed effects and of the random terms as tables: ``anova``, ``drop1``, ``ranova``,
``contest`` and their kin.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from lmerbridge.design import ModelFrame
from lmerbridge.dialects import NEWEST
from lmerbridge.equality import by_value
from lmerbridge.errors import DataError, FitFailedError
from lmerbridge.inference.contest import f_table
from lmerbridge.inference.deletions import deleted, droppable, in_scope
from lmerbridge.inference.fit import Fit
from lmerbridge.inference.hypotheses import term_columns, term_hypotheses, type_name
from lmerbridge.inference.wald import Denominator
from lmerbridge.likelihood import sequential_effects
from lmerbridge.result import FitResult

__all__ = [
    "Fitted",
    "TestTable",
    "anova_of_models",
    "anova_of_terms",
    "anova_sequential",
    "chi_squared",
    "deletions",
]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


@by_value
@dataclass(frozen=True, eq=False)
class TestTable:
    """A table of tests: its rows' names are the index, NaN is what does not apply.

    ``heading`` are the lines that R prints above it.
    """

    __test__ = False  # no test of pytest's

    table: pd.DataFrame
    heading: tuple[str, ...]
    notes: tuple[str, ...] = ()


def chi_squared(statistic: float, df: float) -> float:
    """Upper tail of the chi-squared distribution; NaN without degrees of freedom.

    A likelihood ratio that should be 0 may be -1e-10: of that, all is above.
    """
    from scipy import special

    return float(special.chdtrc(df, max(statistic, 0.0))) if df > 0 else math.nan


def _f_table(
    result: FitResult, hypotheses: dict[str, Array], denominator: Denominator
) -> pd.DataFrame:
    tests = {label: denominator.of_all(L) for label, L in hypotheses.items() if len(L)}
    nothing = [label for label, L in hypotheses.items() if not len(L)]
    return f_table(tests, result.estimates.scale).reindex([*tests, *nothing])


def anova_of_terms(
    frame: ModelFrame, result: FitResult, denominator: Denominator, type: int | str = 3
) -> TestTable:
    """F tests of the fixed terms, as lmerTest's ``anova``."""
    hypotheses = term_hypotheses(frame, type)
    name = type_name(type)
    kind = "Marginal" if name == "marginal" else f"Type {name}"
    heading = f"{kind} Analysis of Variance Table with {denominator.name}'s method"
    notes: tuple[str, ...] = ()
    if hypotheses.missing_cells:
        missing = ", ".join(hypotheses.missing_cells)
        notes = (f"Missing cells for: {missing}.  \nInterpret type III hypotheses with care.",)
    table = _f_table(result, hypotheses.matrices, denominator)
    return TestTable(table, (heading,), notes)


def anova_sequential(fit: Fit) -> TestTable:
    """lme4's own table: sequential sums of squares by (X'V^-1 X), no p-values."""
    frame, result = fit.frame, fit.result
    sigma2 = result.estimates.scale**2
    effects = sequential_effects(fit.products, result.estimates.theta, result.call.REML)
    if effects is None:
        raise FitFailedError("the criterion cannot be evaluated at these estimates")
    rows = {}
    for label, own in term_columns(frame).items():
        total = float(np.sum(effects[own] ** 2))
        rows[label] = (len(own), total, total / len(own), total / len(own) / sigma2)
    table = pd.DataFrame.from_dict(
        rows, orient="index", columns=["npar", "Sum Sq", "Mean Sq", "F value"]
    )
    return TestTable(table.astype({"npar": int}), ("Analysis of Variance Table",))


def deletions(
    frame: ModelFrame,
    result: FitResult,
    denominator: Denominator,
    formula: Sequence[str],
    scope: Any = None,
) -> TestTable:
    """Compute ``drop1`` of lmerTest: F tests of the terms that can go, each after all others.

    Raises
    ------
    DataError
        A term of ``scope`` is none of the model, or is contained in another.
    """
    free = droppable(frame)
    labels = in_scope(frame, scope)
    for label in labels:
        if label not in free:
            raise DataError(
                f"only marginal terms can be dropped from the model, and {label!r} is contained in "
                f"another; that can go: {', '.join(free)}"
            )
    if (
        len(frame.design.x_terms) == 1 and not frame.design.x_dropped
    ):  # lmerTest: the rows of type I
        first = term_hypotheses(frame, 1).matrices
        hypotheses = {label: first[label] for label in labels}
    else:
        hypotheses = {label: deleted(frame, label) for label in labels}
    heading = (
        f"Single term deletions using {denominator.name}'s method:",
        "",
        "Model:",
        *formula,
    )
    table = _f_table(result, hypotheses, denominator).reindex(labels)
    return TestTable(table, heading)


@dataclass(frozen=True)
class Fitted:
    """What a comparison of models needs of each.

    ``formula`` in one line, however long, as R prints it here.
    """

    name: str
    formula: str
    parameters: int
    logLik: float
    nobs: int
    data_name: str | None = None
    subset: str | None = None


def anova_of_models(
    models: Sequence[Fitted], notes: tuple[str, ...] = (), deviance: str = NEWEST.deviance
) -> TestTable:
    """Likelihood-ratio tests of nested models, in order of their number of parameters.

    ``deviance`` is the heading of minus twice the log-likelihood.

    Raises
    ------
    DataError
        Models of different numbers of observations.
    """
    counts = {m.nobs for m in models}
    if len(counts) > 1:
        listed = ", ".join(f"{m.name}: {m.nobs}" for m in models)
        raise DataError(
            f"models were not all fitted to the same size of dataset ({listed}); "
            "a row with a missing value in one of them has to be left out of all"
        )
    ordered = sorted(models, key=lambda m: m.parameters)
    rows = []
    for i, m in enumerate(ordered):
        value = -2 * m.logLik
        chisq = df = p = math.nan
        if i:
            chisq = max(0.0, 2 * (m.logLik - ordered[i - 1].logLik))
            df = m.parameters - ordered[i - 1].parameters
            p = chi_squared(chisq, df)
        rows.append(
            (
                m.parameters,
                value + 2 * m.parameters,
                value + math.log(m.nobs) * m.parameters,
                m.logLik,
                value,
                chisq,
                df,
                p,
            )
        )
    columns = ["npar", "AIC", "BIC", "logLik", deviance, "Chisq", "Df", "Pr(>Chisq)"]
    table = pd.DataFrame(rows, columns=columns, index=[m.name for m in ordered])
    heading = [f"Data: {next((m.data_name for m in models if m.data_name), 'data')}"]
    subset = next((m.subset for m in models if m.subset), None)
    if subset is not None:
        heading.append(f"Subset: {subset}")
    heading.append("Models:")
    heading += [f"{m.name}: {m.formula}" for m in ordered]
    return TestTable(table, tuple(heading), notes)
