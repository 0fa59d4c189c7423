"""What the statsmodels engine takes on models of growing size, what it predicts, and what the native
engine takes: the ground for which of the two ``engine="auto"`` takes without R. Processor seconds.
"""

from __future__ import annotations

import time
import warnings

import numpy as np
import pandas as pd

import lmerbridge as lb
from lmerbridge.engines.statsmodels.cost import predicted_seconds

MODELS = [  # rows, groups, formula
    (180, 18, "y ~ x + (x | g)"),
    (2_000, 100, "y ~ x + (1 | g)"),
    (20_000, 100, "y ~ x + (x | g)"),
    (2_000, 1_000, "y ~ x + (1 | g)"),
    (20_000, 1_000, "y ~ x + (x | g)"),
    (100_000, 5_000, "y ~ x + (x | g)"),
    (2_000, 50, "y ~ x + (1 | g/s)"),
    (20_000, 200, "y ~ x + (1 | g/s)"),
    (500, 20, "y ~ x + (1 | g) + (1 | t)"),
    (2_000, 60, "y ~ x + (1 | g) + (1 | t)"),
    (5_000, 300, "y ~ x + (1 | g) + (1 | t)"),
]


def data(rows: int, groups: int) -> pd.DataFrame:
    """Random intercepts and slopes of ``g``, and intercepts of ``s`` within it."""
    rng = np.random.default_rng(rows + groups)
    d = pd.DataFrame({"g": rng.integers(0, groups, rows), "x": rng.normal(size=rows)})
    d["s"], d["t"] = d["g"] * 10 + rng.integers(0, 5, rows), rng.integers(0, 12, rows)
    slopes = 0.5 * rng.normal(size=groups)
    within = 0.5 * rng.normal(size=10 * groups)
    d["y"] = rng.normal(size=groups)[d["g"]] + slopes[d["g"]] * d["x"]
    d["y"] += within[d["s"]] + rng.normal(size=rows)
    return d


def main() -> None:
    warnings.simplefilter("ignore")
    lb.lmer("y ~ x + (1 | g)", data(100, 10), engine="statsmodels")
    print(f"{'rows':>8} {'groups':>7}  {'formula':28} {'took':>8} {'predicted':>10} {'native':>8}")
    for rows, groups, formula in MODELS:
        d = data(rows, groups)
        took = {}
        for engine in ("native", "statsmodels"):
            began = time.process_time()
            m = lb.lmer(formula, d, engine=engine)
            took[engine] = time.process_time() - began
        print(
            f"{rows:8,} {groups:7,}  {formula:28} {took['statsmodels']:8.2f} "
            f"{predicted_seconds(m.frame):10.2f} {took['native']:8.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
