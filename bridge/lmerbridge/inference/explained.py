"""How much of the variance is explained by what: R2, ICC, RMSE, variance inflation, and the
principal components of the random effects.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from lmerbridge.design import ModelFrame, templates
from lmerbridge.equality import by_value
from lmerbridge.errors import DataError
from lmerbridge.inference.hypotheses import term_columns
from lmerbridge.inference.residuals import residuals
from lmerbridge.result import FitResult
from lmerbridge.shown import shown, titled_table

__all__ = [
    "ICC",
    "R2",
    "PrincipalComponents",
    "icc",
    "principal_components",
    "r2",
    "rmse",
    "variance_inflation",
    "variance_shares",
]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


@shown
@dataclass(frozen=True, repr=False)
class R2:
    """Nakagawa's: ``marginal`` by the fixed effects, ``conditional`` by these and the random."""

    marginal: float
    conditional: float

    def __str__(self) -> str:
        return f"R2: marginal {self.marginal:.3f}, conditional {self.conditional:.3f}"


@shown
@by_value
@dataclass(frozen=True, eq=False, repr=False)
class ICC:
    """Intraclass correlations: ``adjusted``, of the variance that the fixed effects leave;
    ``unadjusted``, of all; ``by_group``, the adjusted one of each grouping factor.
    """

    adjusted: float
    unadjusted: float
    by_group: dict[str, float]

    def __str__(self) -> str:
        text = f"ICC: adjusted {self.adjusted:.3f}, unadjusted {self.unadjusted:.3f}"
        if len(self.by_group) < 2:
            return text
        own = (f"{group} {share:.3f}" for group, share in self.by_group.items())
        return f"{text}; adjusted, by group: {', '.join(own)}"


def variance_shares(
    frame: ModelFrame, result: FitResult, residual: float | None = None
) -> tuple[float, dict[str, float], float]:
    """Variances of the fixed part, of each grouping factor's effects (averaged over the rows:
    Johnson 2014, Methods Ecol. Evol. 5, 944-946), and of the residuals: ``residual``, if it is
    given.
    """
    linear = frame.X @ result.estimates.beta
    # from the first: what is constant has a variance of 0, and not of its mean's rounding
    fixed = float(np.var(linear - linear[0], ddof=1)) if len(linear) > 1 else 0.0
    random: dict[str, float] = {}
    for block, term in zip(frame.random, result.estimates.random, strict=True):
        moments = block.columns.T @ block.columns / frame.nobs
        share = float(np.sum(moments * term.covariance))
        random[block.group] = random.get(block.group, 0.0) + share
    return fixed, random, result.estimates.scale**2 if residual is None else residual


def r2(frame: ModelFrame, result: FitResult, residual: float | None = None) -> R2:
    """Nakagawa & Schielzeth (2013, Methods Ecol. Evol. 4, 133-142), with random slopes as in
    Johnson (2014).
    """
    fixed, random, residual = variance_shares(frame, result, residual)
    total = fixed + sum(random.values()) + residual
    return R2(fixed / total, (fixed + sum(random.values())) / total)


def icc(frame: ModelFrame, result: FitResult, residual: float | None = None) -> ICC:
    """Intraclass correlation (Nakagawa, Johnson & Schielzeth 2017, J. R. Soc. Interface 14)."""
    fixed, random, residual = variance_shares(frame, result, residual)
    between = sum(random.values())
    return ICC(
        between / (between + residual),
        between / (fixed + between + residual),
        {group: value / (between + residual) for group, value in random.items()},
    )


def rmse(result: FitResult, normalized: bool = False) -> float:
    """Root of the mean squared residual; ``normalized`` by the response's range."""
    raw = residuals(result, "response")
    found = math.sqrt(float(np.mean(raw**2)))
    if not normalized:
        return found
    y = raw + result.estimates.fitted
    return found / float(np.ptp(y))


def variance_inflation(frame: ModelFrame, result: FitResult) -> pd.DataFrame:
    """Generalized variance inflation factors by term (Fox & Monette 1992, JASA 87, 178-183):
    ``GVIF``, ``Df`` and ``GVIF^(1/(2*Df))``; the first is the usual VIF where Df is 1.

    Raises
    ------
    DataError
        Fewer than two terms.
    """
    columns = term_columns(frame)
    if len(columns) < 2:
        raise DataError("model contains fewer than 2 terms: nothing can inflate")
    kept = [j for own in columns.values() for j in own]
    vcov = result.estimates.vcov
    if "(Intercept)" not in frame.x_names:
        kept = list(range(len(frame.x_names)))
    V = vcov[np.ix_(kept, kept)]
    deviations = np.sqrt(np.diag(V))
    correlation = V / np.outer(deviations, deviations)
    position = {j: i for i, j in enumerate(kept)}
    whole = float(np.linalg.det(correlation))
    rows = {}
    for label, own in columns.items():
        inside = [position[j] for j in own]
        outside = [i for i in range(len(kept)) if i not in inside]
        value = (
            float(np.linalg.det(correlation[np.ix_(inside, inside)]))
            * float(np.linalg.det(correlation[np.ix_(outside, outside)]))
            / whole
        )
        rows[label] = (value, len(own), value ** (1 / (2 * len(own))))
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["GVIF", "Df", "GVIF^(1/(2*Df))"])
    return table.astype({"Df": int})


@by_value
@dataclass(frozen=True, eq=False)
@shown
class PrincipalComponents:
    """lme4's ``rePCA`` of one term's factor: standard deviations relative to sigma, rotation."""

    group: str
    names: tuple[str, ...]
    sdev: Array
    rotation: Array

    def __str__(self) -> str:
        return titled_table(f"Principal components of {self.group}", self.importance())

    def importance(self) -> pd.DataFrame:
        """Standard deviation, proportion of variance and cumulative proportion."""
        variance = self.sdev**2
        total = variance.sum()
        share = variance / total if total > 0 else np.zeros_like(variance)
        return pd.DataFrame(
            [self.sdev, share, np.cumsum(share)],
            index=["Standard deviation", "Proportion of Variance", "Cumulative Proportion"],
            columns=[f"PC{i + 1}" for i in range(len(variance))],
        )


def principal_components(frame: ModelFrame, result: FitResult) -> dict[str, PrincipalComponents]:
    """Per grouping factor the singular values of its block of Lambda (Bates, Kliegl, Vasishth &
    Baayen 2015, arXiv:1506.04967).
    """
    blocks = templates(result.estimates.theta, [len(b.names) for b in frame.random])
    found: dict[str, PrincipalComponents] = {}
    for group in dict.fromkeys(b.group for b in frame.random):
        own = [i for i, b in enumerate(frame.random) if b.group == group]
        names = tuple(name for i in own for name in frame.random[i].names)
        size = len(names)
        whole = np.zeros((size, size))
        start = 0
        for i in own:
            k = len(blocks[i])
            whole[start : start + k, start : start + k] = blocks[i]
            start += k
        rotation, values, _ = np.linalg.svd(whole)
        found[group] = PrincipalComponents(group, names, values, rotation)
    return found
