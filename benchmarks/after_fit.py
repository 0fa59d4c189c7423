"""What comes after the fit, timed against R in one run: ``make after`` (needs R with lme4, lmerTest
and pbkrtest; some minutes).

R's figure is the call alone, the model already fitted and its data in R. Ours is the whole method
of a Model, from scratch (nothing kept from an earlier call). Medians, where a run is short.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tabulate import tabulate

import lmerbridge as lb

R_CODE = """
suppressMessages({library(lme4); library(lmerTest); library(pbkrtest); library(emmeans)})
arguments <- commandArgs(TRUE)
d <- read.csv(arguments[1])
d$g <- factor(d$g); d$f <- factor(d$f)
emm_options(lmerTest.limit = 1e5, pbkrtest.limit = 1e5)
time <- function(code, times) {
  f <- function() system.time(eval(code))[["elapsed"]]
  median(replicate(times, f()))
}
m <- lme4::lmer(Reaction ~ Days + (Days | Subject), sleepstudy)
t <- lmerTest::lmer(Reaction ~ Days + (Days | Subject), sleepstudy)
big <- lme4::lmer(y ~ x * f + (x | g), d)
bigt <- lmerTest::lmer(y ~ x * f + (x | g), d)
set.seed(1)
found <- list(
  profile = time(quote(suppressWarnings(profile(m))), 3),
  confint = time(quote(suppressWarnings(confint(m, quiet = TRUE))), 3),
  bootstrap = time(quote(suppressMessages(suppressWarnings(bootMer(m, fixef, 1000)))), 1),
  satterthwaite = time(quote(summary(lmerTest::as_lmerModLmerTest(big))), 5),
  kenward_roger = time(quote(summary(bigt, ddf = "Kenward-Roger")), 3),
  anova = time(quote(anova(lmerTest::as_lmerModLmerTest(big))), 5),
  emmeans = time(quote(print(pairs(emmeans(bigt, ~ f, lmer.df = "kenward-roger")))), 3),
  influence = time(quote(influence(m, "Subject")), 3),
  influence_rows = time(quote(influence(m)), 1),
  simulate = time(quote(simulate(m, 1000)), 5),
  ranova = time(quote(ranova(t)), 5)
)
writeLines(jsonlite::toJSON(found, auto_unbox = TRUE, digits = 8))
"""


def thousand_rows() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    d = pd.DataFrame({"g": np.repeat(np.arange(50), 20), "f": np.resize(list("abc"), 1000)})
    d["x"] = rng.normal(size=1000)
    made = lb.simulate_design(
        "y ~ x * f + (x | g)", d, [1, 0.5, 0.1, 0.2, 0, 0], [0.7, 0.1, 0.4], 1.0, seed=1
    )
    return d.assign(y=made["sim_1"])


def timed(work: Callable[[], Any], times: int) -> float:
    work()  # imports
    found = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return float(np.median(found))


def main() -> None:
    d = thousand_rows()
    sleepstudy = lb.datasets.load("sleepstudy")
    fitted = {
        "m": lb.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy, engine="native"),
        "big": lb.lmer("y ~ x * f + (x | g)", d, engine="native"),
    }

    def fresh(name: str) -> Any:
        """The model with nothing kept from before."""
        m = fitted[name]
        return type(m)(m.result, m.frame, m.call)

    work: dict[str, tuple[str, Callable[[], Any], int]] = {
        "profile": ("profile of sleepstudy (Days | Subject)", lambda: fresh("m").profile(), 5),
        "confint": ("its confint, to the ends of the intervals", lambda: fresh("m").confint(), 5),
        "bootstrap": (
            "1,000 bootstrap refits of it",
            lambda: fresh("m").bootMer(nsim=1000, seed=1),
            3,
        ),
        "satterthwaite": (
            "Satterthwaite summary, 1,000 rows, y ~ x * f + (x | g)",
            lambda: fresh("big").summary(ddf="Satterthwaite"),
            21,
        ),
        "kenward_roger": (
            "Kenward-Roger summary of the same",
            lambda: fresh("big").summary(ddf="Kenward-Roger"),
            21,
        ),
        "anova": ("its type III table by Satterthwaite", lambda: fresh("big").anova(), 21),
        "emmeans": (
            "its pairwise contrasts by Kenward-Roger, printed",
            lambda: str(fresh("big").emmeans("f").pairs()),
            21,
        ),
        "influence": (
            "sleepstudy without each subject",
            lambda: fresh("m").influence("Subject"),
            5,
        ),
        "influence_rows": ("sleepstudy without each row", lambda: fresh("m").influence(), 3),
        "simulate": (
            "1,000 responses of sleepstudy",
            lambda: fresh("m").simulate(1000, seed=1),
            5,
        ),
        "ranova": ("ranova of sleepstudy", lambda: fresh("m").ranova(), 5),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "d.csv"
        d.to_csv(path, index=False)
        done = subprocess.run(
            ["Rscript", "--vanilla", "-e", R_CODE, str(path)],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        sys.exit(f"R failed: {done.stderr[-2000:]}")
    in_r = json.loads(done.stdout.strip().splitlines()[-1])
    rows = []
    for key, (what, call, times) in work.items():
        ours = timed(call, times)
        rows.append((what, _seconds(in_r[key]), _seconds(ours), f"{in_r[key] / ours:.0f}"))
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}\n")
    print(tabulate(rows, ["work", "R", "here", "times as fast"], tablefmt="github"))


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value >= 1 else f"{1000 * value:.1f} ms"


if __name__ == "__main__":
    main()
