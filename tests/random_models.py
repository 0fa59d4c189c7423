"""Random designs and formulas: factors of any coding, covariates and matrices, terms with and
without their margins, nesting, no intercept, offsets, empty cells.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd

NUMERIC = ["x", "z", "poly(x, 2)", "scale(x)", "ns(z, 2)", "I(x^2)", "sqrt(abs(z))", "I(scale(z))"]
CODINGS = ["contr.sum", "contr.helmert", "contr.SAS", "contr.poly", "contr.treatment"]


def design(rng, empty=False):
    """Data with two or three factors, and their contrasts."""
    n, groups = int(rng.integers(60, 140)), int(rng.integers(6, 13))
    d = pd.DataFrame({"g": rng.integers(0, groups, n)})
    factors = list("abc")[: rng.integers(2, 4)]
    contrasts = {}
    for f in factors:
        k = int(rng.integers(2, 5))
        levels = [f"{f}{i}" for i in range(k)]
        share = rng.dirichlet(np.full(k, 5.0))
        values = np.append(levels, rng.choice(levels, n - k, p=share))
        d[f] = pd.Categorical(values, levels, ordered=bool(rng.random() < 0.2))
        if not d[f].cat.ordered and rng.random() < 0.55:
            contrasts[f] = str(rng.choice(CODINGS))
        elif rng.random() < 0.12:
            contrasts[f] = rng.normal(size=(k, k - 1)).round(2)
    d["x"], d["z"] = rng.normal(2, 1, n).round(2), rng.normal(0, 3, n).round(2)
    for _ in range(rng.integers(1, 4) if empty else 0):
        i, j = rng.choice(factors, 2, replace=False)
        gone = (d[i] == rng.choice(d[i].cat.categories)) & (d[j] == rng.choice(d[j].cat.categories))
        left = d[~gone]
        if len(left) > 45 and all(left[f].nunique() == len(d[f].cat.categories) for f in factors):
            d = left
    d = d.reset_index(drop=True)
    d["w"], d["o"] = rng.uniform(0.5, 2, len(d)).round(2), rng.normal(size=len(d)).round(2)
    noise = rng.normal(size=len(d)) + rng.normal(size=groups)[d["g"]]
    d["y"] = (noise + 0.5 * d["x"]).round(3)
    d["g"] = pd.Categorical([f"g{i:02d}" for i in d["g"]])
    return d, factors, contrasts


def formula(rng, factors):
    variables = list(factors)
    for v in rng.choice(NUMERIC, rng.integers(0, 3), replace=False):
        variables.append(str(v))
    rng.shuffle(variables)
    some = min(len(variables), int(rng.integers(2, 4)))
    kind = rng.integers(0, 4)
    if kind == 0:
        terms = [" * ".join(variables[:some]), *variables[some:]]
    elif kind == 1:  # any terms, with their margins or not
        every = [":".join(c) for k in (1, 2, 3) for c in combinations(variables, k)]
        chosen = rng.choice(len(every), min(len(every), int(rng.integers(2, 6))), replace=False)
        terms = [every[i] for i in chosen]
    elif kind == 2:
        terms = [f"{variables[0]}/{variables[1]}", *variables[2:]]
        if len(variables) > 2 and rng.random() < 0.5:
            terms.append(f"{variables[0]}:{variables[2]}")
    else:
        terms = [f"({' + '.join(variables[:3])})^2", *variables[3:]]
        if rng.random() < 0.4:
            terms.append(f"{variables[0]}:{variables[-1]}")
    if rng.random() < 0.15:
        terms.append("offset(o)")
    intercept = "" if rng.random() < 0.75 else "0 + "
    return f"y ~ {intercept}{' + '.join(terms)} + (1 | g)"
