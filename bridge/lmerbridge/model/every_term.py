"""All fixed terms tested by likelihood ratios or a parametric bootstrap, as afex's ``mixed``."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pandas as pd

from lmerbridge.design import ModelFrame
from lmerbridge.engines import FitSpec, load_engine
from lmerbridge.inference.anova import TestTable, chi_squared
from lmerbridge.inference.deviance import wald_type
from lmerbridge.inference.restricted import with_and_without
from lmerbridge.model.modcomp import pb_comparison

__all__ = ["every_term"]


def every_term(
    model: Any, type: Any, bootstrap: bool, nsim: int, seed: int | None, progress: bool
) -> TestTable:
    """Likelihood-ratio tests of all fixed terms by ML fits of the native engine.

    With ``bootstrap`` also the share of ``nsim`` bootstrap likelihood ratios that reach each one.
    """
    name = wald_type(type)
    engine = load_engine("native")
    results: dict[int, Any] = {}

    def ml(frame: ModelFrame) -> Any:
        if id(frame) not in results:
            results[id(frame)] = replace(
                model, result=engine.fit(frame, FitSpec(REML=False)), _frame=frame
            )
        return results[id(frame)]

    rows: dict[str, tuple[float, ...]] = {}
    pairs = with_and_without(model.frame, name)
    for label, pair in pairs.items():
        if pair is None:
            rows[label] = (math.nan,) * (4 if bootstrap else 3)
            continue
        larger, smaller = (ml(frame) for frame in pair)
        one, two = larger.result.criterion, smaller.result.criterion
        df = one.parameters - two.parameters
        lrt = max(0.0, 2 * (one.logLik - two.logLik))
        rows[label] = (df, lrt, chi_squared(lrt, df))
        if bootstrap:
            found = pb_comparison(larger, smaller, nsim, seed, progress)
            rows[label] += (float(found["p.value"].to_numpy()[-1]),)
    columns = ["Df", "Chisq", "Pr(>Chisq)", *(["Pr(PB)"] if bootstrap else [])]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    method = "PB" if bootstrap else "LRT"
    heading = (
        f"Mixed Model Anova Table (Type {len(name)} tests, {method}-method)",
        "",
        "Model:",
        *model.result.call.formula_lines,
    )
    return TestTable(table, heading)
