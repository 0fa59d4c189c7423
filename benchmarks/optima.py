"""Random small models, each fitted from many starts: how often the fit is not the lowest optimum.

``python benchmarks/optima.py --first 0 --models 300``. Criteria that fall without end (as many random
effects as rows, by maximum likelihood) are counted apart: there is no lowest optimum.
"""

from __future__ import annotations

import warnings
from typing import Annotated

import numpy as np
import pandas as pd
import typer

import lmerbridge as lb
from lmerbridge.errors import LmerBridgeError
from lmerbridge.likelihood import Search, products_of
from lmerbridge.solve.objective import Objective
from lmerbridge.solve.optimum import minimize
from lmerbridge.solve.settings import SETTINGS

FIXED = ["1", "x", "x + z", "a*b", "a*c", "a*b*c", "a*b + x", "a*b*c + x", "x + I(x^2) + c"]
RANDOM = ["(1|g)", "(x|g)", "(x||g)", "(1|g) + (1|h)", "(x|g) + (1|h)", "(x + z|g)", "(a|g)"]
HEIGHTS = (1e-3, 0.1, 0.5, 1.0, 2.0, 6.0, 20.0)
ENDLESS = (
    1e3  # a relative standard deviation beyond which a criterion counts as falling without end
)


def made(seed: int) -> tuple[pd.DataFrame, str, bool]:
    """Return data of 3 to 25 groups, a formula, and whether by REML."""
    rng = np.random.default_rng(seed)
    levels = int(rng.choice([3, 4, 4, 5, 6, 8, 12, 25]))
    rows = int(rng.choice([3, 4, 6, 9, 12]))
    n, group = levels * rows, np.repeat(np.arange(levels), rows)
    d = pd.DataFrame(
        {
            "g": [f"g{i:02d}" for i in group],
            "h": rng.choice(["h0", "h1", "h2", "h3", "h4"], n),
            "a": rng.choice(list("pqr"), n),
            "b": rng.choice(list("uv"), levels)[group],
            "c": rng.choice(list("MNO"), n),
            "x": rng.normal(size=n) + rng.choice([0, 5]),
            "z": rng.normal(size=n) + rng.normal(size=levels)[group],
        }
    )
    spread = rng.choice([0, 0.3, 1, 3], 2)
    effects = rng.normal(size=(levels, 2)) * spread
    d["y"] = effects[group, 0] + effects[group, 1] * d["x"] + rng.normal(size=n)
    return d, f"y ~ {rng.choice(FIXED)} + {rng.choice(RANDOM)}", bool(rng.random() < 0.5)


def lowest_of_many(m: lb.Model) -> tuple[float, float]:
    """Return the lowest criterion that a search from any start ends at, and its largest theta."""
    search = Search(products_of(m.frame))
    lowest, size = np.inf, 0.0
    for height in HEIGHTS:
        objective = Objective(search, m.result.call.REML)
        reached = minimize(
            objective.value,
            objective.gradient,
            search.bounded,
            SETTINGS,
            np.where(search.bounded, height, 0.0),
            objective.information,
            (),
            objective.hessian,
        )
        if reached.value < lowest:
            lowest, size = reached.value, float(np.abs(reached.x).max())
    return lowest, size


def main(first: Annotated[int, typer.Option()] = 0, models: Annotated[int, typer.Option()] = 300):
    """Count the models whose fit is not the lowest optimum."""
    tried = endless = missed = 0
    for seed in range(first, first + models):
        data, formula, REML = made(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                m = lb.lmer(formula, data, REML=REML, engine="native")
            except LmerBridgeError:
                continue
            tried += 1
            lowest, size = lowest_of_many(m)
        gap = m.result.criterion.value - lowest
        if gap < 1e-6:
            continue
        if size > ENDLESS:
            endless += 1
            continue
        missed += 1
        print(f"seed {seed}: {formula}, {'REML' if REML else 'ML'}: {gap:.2g} above the lowest")
    print(f"{tried} models: {missed} not at the lowest optimum; {endless} fall without end")
    raise SystemExit(1 if missed else 0)


if __name__ == "__main__":
    typer.run(main)
