"""Tests of the fixed effects of a generalized model: z tests and chi-squared ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from lmerbridge.display.table import RTable, titled
from lmerbridge.inference.fit import Fit
from lmerbridge.inference.residual_tests import dispersion_test, residual_tests
from lmerbridge.model import testing

__all__ = ["contest", "dispersion", "drawn"]


def drawn(fit: Fit, nsim: int, seed: Any, re_form: Any) -> RTable:
    """Test the response; arguments as of :meth:`lmerbridge.GeneralizedModel.residual_tests`."""
    found = residual_tests(fit, nsim, seed, re_form)
    return titled(f"The response among {nsim} that the model draws", found)


def dispersion(fit: Fit) -> RTable:
    """Test the dispersion, as of :meth:`lmerbridge.GeneralizedModel.overdispersion`."""
    return titled("Pearson's chi-squared, given the conditional modes", dispersion_test(fit))


def contest(
    fit: Fit, L: Any, joint: bool, rhs: Any, collect: bool, confint: bool, level: float
) -> Any:
    """Test L beta = rhs; arguments as of :meth:`lmerbridge.GeneralizedModel.contest`."""
    found = testing.contest(fit, L, joint, "lme4", rhs, collect, confint, level)
    if isinstance(found, dict):
        return {name: _asymptotic(table) for name, table in found.items()}
    return _asymptotic(found)


def _asymptotic(table: pd.DataFrame) -> pd.DataFrame:
    """F and t tests with infinite degrees of freedom under the names of what they are then."""
    if "F value" not in table:
        names = {"t value": "z value", "Pr(>|t|)": "Pr(>|z|)"}
        return table.drop(columns="df").rename(columns=names)
    df = table["NumDF"]
    return pd.DataFrame(
        {
            "Chisq": table["F value"] * df,
            "Df": df.astype(np.int64),
            "Pr(>Chisq)": table["Pr(>F)"],
        }
    )
