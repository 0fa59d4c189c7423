"""The same models by every engine: ``make benchmark`` (needs R with lme4; some minutes).

lme4's figure is the fit alone, inside R, with the data already there; the others are whole calls
of ``lb.lmer``, from formula and DataFrame to Model. Medians of several runs where a run is short.
"""

from __future__ import annotations

import platform
import resource
import statistics
import time
import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
from tabulate import tabulate

import lmerbridge as lb


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


WORK: list[tuple[str, str, Callable[[], pd.DataFrame], int, tuple[str, ...]]] = [
    (
        "sleepstudy",
        "Reaction ~ Days + (Days | Subject)",
        lambda: lb.datasets.load("sleepstudy"),
        15,
        ("lme4", "native", "statsmodels"),
    ),
    (
        "InstEval, 73,421 rows",
        "y ~ service + (1 | s) + (1 | d) + (1 | dept)",
        lambda: lb.datasets.load("InstEval"),
        1,
        ("lme4", "native"),
    ),
    (
        "1,000,000 rows, 10,000 groups",
        "y ~ x + (x | g)",
        lambda: grouped(1_000_000, 10_000),
        1,
        ("lme4", "native"),
    ),
    (
        "200,000 rows, 4,000 by 1,500 levels",
        "y ~ x + (1 | a) + (1 | b)",
        lambda: crossed(200_000, 4_000, 1_500),
        1,
        ("lme4", "native"),
    ),
]


def main() -> None:
    warnings.simplefilter("ignore", lb.FitWarning)
    rows = []
    for what, formula, make, times, engines in WORK:
        data = make()
        seconds, criteria = {}, {}
        for engine in engines:
            lb.lmer("Yield ~ 1 + (1 | Batch)", lb.datasets.load("Dyestuff"), engine=engine)
            runs = []
            for _ in range(times):
                began = time.perf_counter()
                m = lb.lmer(formula, data, engine=engine)
                whole = time.perf_counter() - began
                runs.append(m.result.provenance.seconds if engine == "lme4" else whole)
            seconds[engine], criteria[engine] = statistics.median(runs), m.result.criterion.value
        for engine in engines:
            rows.append(
                [
                    what,
                    engine,
                    f"{seconds[engine]:.4f}",
                    f"1/{seconds['lme4'] / seconds[engine]:.1f}" if engine != "lme4" else "1",
                    f"{criteria[engine] - criteria['lme4']:+.1e}" if engine != "lme4" else "",
                ]
            )
            what = ""
    print(
        tabulate(
            rows,
            headers=["work", "engine", "seconds", "of lme4", "criterion - lme4's"],
            disable_numparse=True,
            colalign=("left", "left", "right", "right", "right"),
        )
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}; "
        f"peak memory of all of it {peak:,.0f} MiB"
    )


if __name__ == "__main__":
    main()
