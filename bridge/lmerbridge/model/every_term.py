"""All fixed terms tested by likelihood ratios or a parametric bootstrap, as afex's ``mixed``."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from lmerbridge.arguments import belongs
from lmerbridge.design import ModelFrame
from lmerbridge.display.anova import table_of_tests
from lmerbridge.display.table import RTable
from lmerbridge.engines import FitSpec, load_engine
from lmerbridge.errors import matched
from lmerbridge.inference.anova import TestTable, chi_squared
from lmerbridge.inference.deviance import wald_type
from lmerbridge.inference.fit import Fit
from lmerbridge.inference.restricted import with_and_without
from lmerbridge.model.modcomp import pb_comparison
from lmerbridge.model.replications import OF_TESTS
from lmerbridge.model.testing import anova_of_one

__all__ = ["every_term"]


def every_term(
    fit: Fit, method: str, type: int | str, nsim: int, seed: int | None, progress: bool
) -> RTable:
    """Test all fixed terms; arguments as of :meth:`lmerbridge.Model.mixed`."""
    name = matched(method, ("LRT", "PB", "KR", "S"), "method")
    if name != "PB":
        belongs("method='PB'", nsim=nsim != OF_TESTS, seed=seed is not None)
    if name in ("KR", "S"):
        return anova_of_one(fit, type, name.replace("KR", "Kenward-Roger"))
    return table_of_tests(_every_term(fit, type, name == "PB", nsim, seed, progress))


def _every_term(
    fit: Fit, type: Any, bootstrap: bool, nsim: int, seed: int | None, progress: bool
) -> TestTable:
    """Likelihood-ratio tests of all fixed terms by ML fits of the native engine.

    With ``bootstrap`` also the share of ``nsim`` bootstrap likelihood ratios that reach each one.
    """
    name = wald_type(type)
    engine = load_engine("native")
    results: dict[int, Fit] = {}

    def ml(frame: ModelFrame) -> Fit:
        if id(frame) not in results:
            result = engine.fit(frame, FitSpec(REML=False))
            results[id(frame)] = Fit(result, frame, fit.call_given)
        return results[id(frame)]

    rows: dict[str, tuple[float, ...]] = {}
    pairs = with_and_without(fit.frame, name)
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
        *fit.result.call.formula_lines,
    )
    return TestTable(table, heading)
