"""Tests of the fixed effects of a generalized model: z tests and chi-squared ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from lmerbridge.inference.fit import Fit
from lmerbridge.model import testing

__all__ = ["contest"]


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
