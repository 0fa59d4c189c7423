"""Tests of a model by the responses that it draws: whether the observed one is one of them.

The observed response and those drawn are exchangeable if the model holds, whatever its groups make
of neighbouring rows; so a statistic of each is compared with those of the others (Davison & Hinkley
1997, *Bootstrap Methods and Their Application*, section 4.2). That the parameters were estimated of
the observed one makes the tests a little conservative.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from lmerbridge.errors import ArgumentError
from lmerbridge.inference.drawn import drawn_responses
from lmerbridge.inference.family_residuals import family_residuals
from lmerbridge.inference.fit import Fit
from lmerbridge.inference.re_form import chosen_effects
from lmerbridge.inference.simulate import generator

__all__ = ["dispersion_test", "residual_tests"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

FEWEST = 20
DECIMALS = 12  # of proportions, which are equal where they differ by rounding


def residual_tests(fit: Fit, nsim: int, seed: Any, re_form: Any) -> pd.DataFrame:
    """Test a model; arguments as of :meth:`lmerbridge.GeneralizedModel.residual_tests`."""
    if nsim < FEWEST:
        raise ArgumentError(f"nsim must be at least {FEWEST}, not {nsim}: p-values are shares")
    frame, rng = fit.frame, generator(seed)
    made = drawn_responses(frame, fit.result, rng, chosen_effects(frame, re_form), nsim)
    values = np.round(np.column_stack([frame.y, made]), DECIMALS)
    count = nsim + 1
    order = np.lexsort(np.array([rng.random(values.shape), values]), axis=-1)  # ties at random
    ranks = np.empty(values.shape)
    np.put_along_axis(ranks, order, np.arange(count, dtype=np.float64)[None, :], axis=1)
    centred = values - values.mean(axis=1, keepdims=True)
    spread = np.mean(centred**2, axis=1)
    some = spread > 0
    statistics = {
        "uniformity": _distances((ranks + rng.random(ranks.shape)) / count),
        "dispersion": np.mean(centred[some] ** 2 / spread[some, None], axis=0),
        "outliers": np.sum((ranks == 0) | (ranks == nsim), axis=0).astype(np.float64),
        "zero inflation": np.sum(values == 0, axis=0).astype(np.float64),
    }
    rows = {
        name: (own[0], own[1:].mean(), _p_value(own, name in ("dispersion", "zero inflation")))
        for name, own in statistics.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=["observed", "expected", "p_value"])


def _distances(u: Array) -> Array:
    """Kolmogorov's distance of each column (n,) from the uniform distribution."""
    n = len(u)
    sorted_u = np.sort(u, axis=0)
    steps = np.arange(1, n + 1)[:, None] / n
    return np.asarray(np.maximum(steps - sorted_u, sorted_u - steps + 1 / n).max(axis=0))


def _p_value(values: Array, both_sides: bool) -> float:
    """The share of values that are as far out as the first, itself among them."""
    above = float(np.mean(values >= values[0]))
    if not both_sides:
        return above
    return min(1.0, 2 * min(above, float(np.mean(values <= values[0]))))


def dispersion_test(fit: Fit) -> pd.DataFrame:
    """Compare Pearson's chi-squared, given the conditional modes, with its degrees of freedom."""
    from scipy.special import chdtrc

    chisq = float(np.sum(family_residuals(fit.result, "pearson") ** 2))
    df = fit.result.criterion.df_residual
    known = df > 0
    return pd.DataFrame(
        {
            "Chisq": [chisq],
            "ratio": [chisq / df if known else np.nan],
            "Df": [df],
            "Pr(>Chisq)": [float(chdtrc(df, chisq)) if known else np.nan],
        },
        index=["Pearson"],
    )
