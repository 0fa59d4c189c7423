"""Random data and models: designs, codings, weights, offsets, terms without margins, empty cells,
covariates of two values, transformed responses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["Made", "make_model"]

LEVELS = {
    "a": [["p", "q", "r"], ["lo", "mid", "hi"], ["1", "2", "10"], ["A b", "c-d", "e"], ["u", "v"]],
    "b": [["x1", "x2"], ["no", "yes"], ["S", "M", "L"], ["b1", "b2", "b3", "b4"]],
    "k": [["k1", "k2", "k3"], ["off", "on"]],
}
CONTRASTS = ("contr.sum", "contr.helmert", "contr.SAS", "contr.poly")
FIXED = [
    "a", "a * b", "a + b", "x", "a * x", "a + x", "a * b + x", "b * x + a", "x + z", "a + z + x",
    "a * w", "w + x", "a + w", "l + a", "l * x", "poly(x, 2)", "poly(x, 2) * b", "x + I(x^2) + a",
    "scale(x) * a", "a:b", "a + a:b", "b + a:b", "a:x + b:x", "a + x:a", "a + x + a:x + b:x",
    "0 + a", "0 + a + x", "0 + a * b", "0 + x", "a / b", "a %in% b + b", "a * b * k", "a + b + k",
    "(a + b + k)^2", "x:a", "factor(w) + x", "1", "log(z) + a", "a + offset(o)", "x * z",
    "a * poly(z, 2)", "a * b - a", "a * x - x", "k + a / x", "b * w + x", "a + b:k",
]  # fmt: skip
RANDOM = [
    "(1 | g)", "(1 | g)", "(1 | g)", "(x | g)", "(x || g)", "(1 | g) + (1 | h)", "(1 | g / s)",
    "(0 + x | g)", "(1 | g) + (0 + z | g)", "(1 | h) + (x | g)", "(b | g)",
]  # fmt: skip
STRUCTURED = [
    "us(x | g)", "diag(x | g)", "diag(x | g, hom = TRUE)", "cs(x | g)", "cs(x | g, hom = TRUE)",
    "cs(0 + b | g)", "cs(0 + a | g, hom = TRUE)", "ar1(0 + k | g)", "ar1(0 + a | g, hom = FALSE)",
    "diag(0 + b | g)", "(1 | h) + cs(0 + b | g)", "diag(x | g) + ar1(0 + a | h)", "diag(b * x | g)",
    "cs(x + z | g)", "us(0 + b | g) + diag(z | h)", "ar1(0 + b | g) + cs(0 + b | h, hom = TRUE)",
    "cs(0 + a | g, hom = TRUE) + (0 + x | g)", "diag(0 + a:b | g, hom = TRUE) + (1 | g)",
]  # fmt: skip
RESPONSES = ["y"] * 14 + [
    "log(y)", "sqrt(y)", "log(y + 1)", "log10(y)", "2 * sqrt(y)", "sqrt(y + 0.5)", "I(y^2)", "log2(y)",
    "scale(y)",
]  # fmt: skip


@dataclass(frozen=True)
class Made:
    """A model to be asked about.

    ``columns`` and ``new`` go to R; ``traits`` are what explained differences refer to.
    """

    seed: int
    data: pd.DataFrame
    new: pd.DataFrame
    formula: str
    REML: bool
    weights: str | None
    offset: str | None
    contrasts: dict[str, str]
    factors: tuple[str, ...]
    covariates: tuple[str, ...]
    groups: tuple[str, ...]
    traits: frozenset[str] = field(default_factory=frozenset)

    @property
    def call(self) -> str:
        """The call in R, of lme4 or lmerTest."""
        more = "" if self.REML else ", REML = FALSE"
        more += "" if self.weights is None else f", weights = {self.weights}"
        more += "" if self.offset is None else f", offset = {self.offset}"
        if self.contrasts:
            listed = ", ".join(f'{k} = "{v}"' for k, v in self.contrasts.items())
            more += f", contrasts = list({listed})"
        return f"lmer({self.formula}, d{more})"

    @property
    def smaller(self) -> str | None:
        """The formula without its fixed terms, to compare with; ``None`` where there are none."""
        response, _, right = self.formula.partition(" ~ ")
        first = re.search(r" \+ (?=(?:us|diag|cs|ar1)?\([^()]*\|)", right)
        if first is None:
            return None
        fixed, random = right[: first.start()], right[first.end() :]
        if fixed in ("1", "0 + x") or fixed.startswith(("0", "(")):
            return None
        return f"{response} ~ 1 + {random}"

    def arguments(self) -> dict[str, Any]:
        """The same for ``lb.lmer``; the data are called ``d``, as in R's answers."""
        self.data.attrs["name"] = "d"
        return {
            "formula": self.formula,
            "data": self.data,
            "REML": self.REML,
            "weights": self.weights,
            "offset": self.offset,
            "contrasts": self.contrasts or None,
        }


def _data(rng: np.random.Generator, traits: set[str]) -> pd.DataFrame:
    groups, h = int(rng.integers(6, 15)), int(rng.integers(4, 8))
    kind = rng.choice(["unbalanced", "balanced", "small"], p=[0.6, 0.25, 0.15])
    levels = {name: choices[rng.integers(len(choices))] for name, choices in LEVELS.items()}
    if kind == "unbalanced":
        n = int(rng.integers(70, 180))
        d = pd.DataFrame({"g": rng.integers(0, groups, n)})
        for name in levels:
            weights = rng.dirichlet(np.full(len(levels[name]), 4.0))
            d[name] = rng.choice(len(levels[name]), n, p=weights)
    else:
        groups = groups if kind == "balanced" else int(rng.integers(4, 7))
        cells = np.indices((groups, len(levels["a"]), len(levels["b"])))
        d = pd.DataFrame(cells.reshape(3, -1).T, columns=["g", "a", "b"])
        if kind == "balanced":
            d = pd.concat([d, d], ignore_index=True)
        d["k"] = (d["g"] + d["a"] * (kind == "balanced")) % len(levels["k"])
        traits.add("balanced")
    if rng.random() < 0.15:  # an empty cell
        lost = (d["a"] == 0) & (d["b"] == 1)
        if 0 < lost.sum() < len(d) / 3:
            d = d[~lost].reset_index(drop=True)
            traits.add("empty cells")
    n = len(d)
    d["h"], d["s"] = rng.integers(0, h, n), rng.integers(0, 3, n)
    scale = float(rng.choice([1.0, 1.0, 10.0]))
    d["x"] = (rng.normal(size=n) * scale + rng.choice([0, 5]) * scale).round(3)
    d["z"] = rng.uniform(1, 9, n).round(2)
    d["w"] = rng.integers(0, 2, n)
    d["l"] = rng.random(n) < 0.4
    d["o"] = rng.uniform(0, 2, n).round(2)
    d["v"] = rng.choice([0.5, 1.0, 2.0, 3.5], n)
    linear = 1.5 * rng.normal(size=groups)[d["g"]] + 0.7 * rng.normal(size=h)[d["h"]]
    linear += 0.4 * rng.normal(size=groups)[d["g"]] * d["x"] / scale
    linear += 0.8 * d["a"] * rng.normal() + 0.5 * d["b"] * rng.normal() + 0.3 * d["x"] / scale
    noise = linear + rng.normal(size=n) * rng.choice([0.5, 1.0, 2.0])
    d["y"] = np.exp(noise / 4 + 2).round(4) if "positive" in traits else (20 + noise).round(4)
    d["y"] = d["y"].clip(lower=0.05)
    for name in levels:
        texts = [levels[name][i] for i in d[name]]
        ordered = name == "a" and rng.random() < 0.12
        if ordered:
            traits.add("ordered")
        present = [level for level in levels[name] if level in set(texts)]
        d[name] = pd.Categorical(texts, present, ordered=ordered)
    for name, letter in (("g", "G"), ("h", "h"), ("s", "s")):
        texts = [f"{letter}{i:02d}" for i in d[name]]
        d[name] = pd.Categorical(texts, sorted(set(texts)))
    return d


def _variables(fixed: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    words = set("".join(c if c.isalnum() else " " for c in fixed).split())
    return (
        tuple(name for name in ("a", "b", "k") if name in words),
        tuple(name for name in ("x", "z", "w") if name in words),
    )


def make_model(seed: int, structured: bool = False) -> Made:
    """Return the model of this seed; ``structured``: with covariance structures."""
    rng = np.random.default_rng(seed)
    traits: set[str] = set()
    response = str(rng.choice(RESPONSES))
    if response != "y":
        traits.add("transformed")
        traits.add("positive")
    d = _data(rng, traits)
    fixed = str(rng.choice(FIXED))
    random = str(rng.choice(STRUCTURED if structured else RANDOM))
    if structured:
        traits.add("structured")
    factors, covariates = _variables(fixed)
    contrasts = {}
    if factors and rng.random() < 0.25:
        contrasts = {name: str(rng.choice(CONTRASTS)) for name in factors if rng.random() < 0.7}
        if contrasts:
            traits.add("contrasts")
    weights = "v" if rng.random() < 0.12 else None
    offset = "o" if rng.random() < 0.08 and "offset" not in fixed else None
    REML = bool(rng.random() < 0.85)
    for trait, held in (("weights", weights), ("offset", offset or "offset" in fixed)):
        if held:
            traits.add(trait)
    if not REML:
        traits.add("ML")
    rows = rng.choice(len(d), min(6, len(d)), replace=False)
    new = d.iloc[rows].reset_index(drop=True)
    groups = tuple(dict.fromkeys(re.findall(r"\| ([gh])", random)))
    return Made(
        seed, d, new, f"{response} ~ {fixed} + {random}", REML, weights, offset, contrasts, factors,
        covariates, groups, frozenset(traits),
    )  # fmt: skip
