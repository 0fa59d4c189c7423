"""The models that ``make benchmark`` times, and their data: its rows, in their order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

import lmerbridge as lb

__all__ = ["WORK", "Work"]


def grouped(rows: int, groups: int) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    g = rng.integers(0, groups, rows)
    x = rng.normal(size=rows)
    b = rng.normal(size=(groups, 2))
    y = 1 + x + b[g, 0] + 0.5 * b[g, 1] * x + rng.normal(size=rows)
    return pd.DataFrame({"y": y, "x": x, "g": g})


def crossed(rows: int, one: int, two: int) -> pd.DataFrame:
    rng = np.random.default_rng(2)
    a, b = rng.integers(0, one, rows), rng.integers(0, two, rows)
    y = rng.normal(size=one)[a] + 0.5 * rng.normal(size=two)[b] + rng.normal(size=rows)
    return pd.DataFrame({"y": y, "x": rng.normal(size=rows), "a": a, "b": b})


def nested(rows: int) -> pd.DataFrame:
    """Four levels: 10,000 in 2,000 in 200 in 20."""
    rng = np.random.default_rng(4)
    a = rng.integers(0, 10_000, rows)
    b, c, d = a // 5, a // 50, a // 500
    x = rng.normal(size=rows)
    y = 1 + x + rng.normal(size=10_000)[a] + 0.7 * rng.normal(size=2_000)[b]
    y += 0.5 * rng.normal(size=200)[c] + 0.5 * rng.normal(size=20)[d] + rng.normal(size=rows)
    return pd.DataFrame({"y": y, "x": x, "a": a, "b": b, "c": c, "d": d})


def bernoulli(rows: int, groups: int) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    g, x = rng.integers(0, groups, rows), rng.normal(size=rows)
    b = rng.normal(size=(groups, 2)) * [1.0, 0.5]
    eta = -0.5 + 0.8 * x + b[g, 0] + b[g, 1] * x
    y = rng.random(rows) < 1 / (1 + np.exp(-eta))
    return pd.DataFrame({"y": y.astype(int), "x": x, "g": g})


def counts(rows: int, one: int, two: int) -> pd.DataFrame:
    rng = np.random.default_rng(6)
    a, b, x = rng.integers(0, one, rows), rng.integers(0, two, rows), rng.normal(size=rows)
    eta = 0.3 + 0.2 * x + 0.4 * rng.normal(size=one)[a] + 0.3 * rng.normal(size=two)[b]
    return pd.DataFrame({"y": rng.poisson(np.exp(eta)), "x": x, "a": a, "b": b})


def cbpp() -> pd.DataFrame:
    data = lb.datasets.load("cbpp")
    return data.assign(
        healthy=data["size"] - data["incidence"], share=data["incidence"] / data["size"]
    )


def verbal_aggression() -> pd.DataFrame:
    data = lb.datasets.load("VerbAgg")
    return data.assign(r2=(data["r2"] == "Y").astype(int))


@dataclass(frozen=True)
class Work:
    """A row of the table: a model, how often it is fitted, and by whom besides native.

    ``refits``: each fit is one to a response of its own, drawn from the first fit. ``apart`` has
    the formula and the weights' column for a package whose formulas cannot say the model.
    """

    what: str
    formula: str
    data: Callable[[], pd.DataFrame]
    times: int
    others: tuple[str, ...]
    quick: bool = True
    family: str = "gaussian"
    refits: bool = False
    apart: Mapping[str, tuple[str, str]] = field(default_factory=dict)


WORK = {
    "sleepstudy": Work(
        "sleepstudy",
        "Reaction ~ Days + (Days | Subject)",
        lambda: lb.datasets.load("sleepstudy"),
        101,
        ("lme4", "mixedlm", "glmm", "statsmodels"),
    ),
    "InstEval": Work(
        "InstEval, 73,421 rows",
        "y ~ service + (1 | s) + (1 | d) + (1 | dept)",
        lambda: lb.datasets.load("InstEval"),
        5,
        ("lme4", "mixedlm", "glmm"),
    ),
    "million": Work(
        "1,000,000 rows, 10,000 groups",
        "y ~ x + (x | g)",
        lambda: grouped(1_000_000, 10_000),
        5,
        ("lme4", "mixedlm", "glmm"),
        quick=False,
    ),
    "ten million": Work(
        "10,000,000 rows, 100,000 groups",
        "y ~ x + (x | g)",
        lambda: grouped(10_000_000, 100_000),
        1,
        (),
    ),
    "crossed": Work(
        "200,000 rows, 4,000 by 1,500 levels",
        "y ~ x + (1 | a) + (1 | b)",
        lambda: crossed(200_000, 4_000, 1_500),
        5,
        ("lme4", "mixedlm", "glmm"),
        quick=False,
    ),
    "nested": Work(
        "100,000 rows, four nested levels",
        "y ~ x + (1 | a) + (1 | b) + (1 | c) + (1 | d)",
        lambda: nested(100_000),
        5,
        ("lme4", "mixedlm", "glmm"),
        quick=False,
    ),
    "refits": Work(
        "2,000 refits of 200 rows, each",
        "y ~ x + (x | g)",
        lambda: grouped(200, 20),
        2000,
        ("glmm",),
        refits=True,
    ),
    "cbpp": Work(
        "cbpp, binomial",
        "cbind(incidence, healthy) ~ period + (1 | herd)",
        cbpp,
        101,
        ("lme4", "mixedlm", "glmm"),
        family="binomial",
        apart={"mixedlm": ("share ~ period + (1 | herd)", "size")},
    ),
    "VerbAgg": Work(
        "VerbAgg, 7,584 rows",
        "r2 ~ Anger + Gender + btype + situ + (1 | id) + (1 | item)",
        verbal_aggression,
        11,
        ("lme4", "mixedlm", "glmm"),
        family="binomial",
    ),
    "bernoulli": Work(
        "100,000 Bernoulli rows, 5,000 groups",
        "y ~ x + (x | g)",
        lambda: bernoulli(100_000, 5_000),
        5,
        ("lme4", "mixedlm", "glmm"),
        quick=False,
        family="binomial",
    ),
    "million bernoulli": Work(
        "1,000,000 Bernoulli rows, 50,000 groups",
        "y ~ x + (x | g)",
        lambda: bernoulli(1_000_000, 50_000),
        5,
        ("mixedlm", "glmm"),
        quick=False,
        family="binomial",
    ),
    "counts": Work(
        "100,000 Poisson rows, 2,000 by 500 levels",
        "y ~ x + (1 | a) + (1 | b)",
        lambda: counts(100_000, 2_000, 500),
        5,
        ("lme4", "mixedlm", "glmm"),
        quick=False,
        family="poisson",
    ),
    "bernoulli refits": Work(
        "1,000 refits of 500 Bernoulli rows, each",
        "y ~ x + (1 | g)",
        lambda: bernoulli(500, 50),
        1000,
        ("glmm",),
        family="binomial",
        refits=True,
    ),
}
