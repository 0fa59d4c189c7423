"""What the bridge adds to lme4's own time: ``make bench`` (needs R with lme4).

Each figure is the median of several runs on this machine, with the fastest and the slowest.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
from tabulate import tabulate

import lmerbridge as lb
from lmerbridge.design import build_frame
from lmerbridge.engines.lme4 import raw_columns
from lmerbridge.rlang import RFactor, r_session

ROWS: list[list[str]] = []


def timed(function: Callable[[], object], times: int) -> list[float]:
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - began)
    return seconds


def row(what: str, seconds: list[float], note: str = "") -> float:
    middle = statistics.median(seconds)
    ROWS.append(
        [
            what,
            f"{1000 * middle:,.1f}",
            f"{1000 * min(seconds):,.1f}",
            f"{1000 * max(seconds):,.1f}",
            note,
        ]
    )
    return middle


def python(code: str) -> Callable[[], object]:
    return lambda: subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def main() -> None:
    warnings.simplefilter("ignore", lb.FitWarning)
    row("start Python", timed(python("pass"), 5))
    row("start Python, import lmerbridge", timed(python("import lmerbridge"), 5))
    row(
        "start Python, first lme4 fit",
        timed(
            python(
                "import lmerbridge as lb\n"
                "lb.lmer('Reaction ~ Days + (Days | Subject)', lb.datasets.load('sleepstudy'),"
                " engine='lme4')"
            ),
            3,
        ),
        "imports, starts R, loads lme4",
    )

    session = r_session()
    n = 1_000_000
    rng = np.random.default_rng(1)
    columns = {
        "y": rng.normal(size=n),
        "x": rng.normal(size=n),
        "g": RFactor(rng.integers(0, 10_000, n), tuple(map(str, range(10_000)))),
    }
    row(
        "1,000,000 rows by 3 columns into R",
        timed(lambda: session._to_r(columns), 7),
        "two of numbers, a factor of 10,000 levels",
    )

    sleepstudy = lb.datasets.load("sleepstudy")
    formula = "Reaction ~ Days + (Days | Subject)"
    inside: list[float] = []

    def fit() -> None:
        inside.append(lb.lmer(formula, sleepstudy, engine="lme4").result.provenance.seconds)

    fit()
    inside.clear()
    whole = row("sleepstudy, lb.lmer(engine='lme4')", timed(fit, 15))
    own = row("  of it lmer() in R", inside)
    ROWS.append(
        [
            "  the bridge adds",
            f"{1000 * (whole - own):,.1f}",
            "",
            "",
            "extraction of all results and conditional variances included",
        ]
    )
    row(
        "sleepstudy, lb.lmer(engine='statsmodels')",
        timed(lambda: lb.lmer(formula, sleepstudy, engine="statsmodels"), 7),
    )
    m = lb.lmer(formula, sleepstudy, engine="lme4")
    row("summary() text", timed(lambda: str(m.summary()), 15))

    big = pd.DataFrame({"y": columns["y"], "x": columns["x"], "g": np.asarray(columns["g"].codes)})
    row(
        "model frame of 1,000,000 rows, y ~ x + (x | g)",
        timed(lambda: build_frame("y ~ x + (x | g)", big), 3),
    )
    frame = build_frame("y ~ x + (x | g)", big)
    row("its columns into R", timed(lambda: session._to_r(raw_columns(frame)), 5))
    print(
        tabulate(
            ROWS,
            headers=["what", "median ms", "fastest", "slowest", ""],
            disable_numparse=True,
            colalign=("left", "right", "right", "right", "left"),
        )
    )


if __name__ == "__main__":
    main()
