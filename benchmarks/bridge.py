"""What the bridge adds to lme4's own time: ``make bench`` (needs R with lme4).

Each figure is the median of several runs on this machine, with the fastest and the slowest.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from tabulate import tabulate

import lmerbridge as lb
from lmerbridge.design import build_frame
from lmerbridge.engines import FitSpec
from lmerbridge.engines.lme4 import call_arguments
from lmerbridge.rlang import Reply, Session, r_session, restart, use

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


FIRST = """
import os, sys, time, warnings
import lmerbridge as lb
data = lb.datasets.load("sleepstudy")
began = time.perf_counter()
lb.lmer("Reaction ~ Days + (Days | Subject)", data, engine="lme4")
print(time.perf_counter() - began)
"""


class Spy:
    """A session that notes what R says of its own time."""

    def __init__(self, session: Session):
        self.session, self.name = session, session.name
        self.lmer: list[float] = []
        self.all: list[float] = []

    def call(self, function: str, arguments: Any, timeout: float | None = None) -> Reply:
        reply = self.session.call(function, arguments, timeout)
        if function == "fit":
            self.lmer.append(reply.value["seconds"])
            self.all.append(reply.value["seconds_in_all"])
        return reply

    def close(self) -> None:
        self.session.close()


def transport(name: str, big: pd.DataFrame, times: int) -> None:
    """Everything of one transport."""
    os.environ["LMERBRIDGE_R_TRANSPORT"] = name
    restart()
    first = []
    for _ in range(5):
        done = subprocess.run(
            [sys.executable, "-c", FIRST], check=True, capture_output=True, text=True
        )
        first.append(float(done.stdout))
    row(f"{name}: first lb.lmer() of a process", first, "starts R, loads lme4, fits sleepstudy")
    spy = Spy(r_session())
    before = use(spy)
    try:
        compared(name, spy, "sleepstudy", "Reaction ~ Days + (Days | Subject)", None, 30)
        rows = f"{len(big):,} rows"
        compared(name, spy, rows, "y ~ x + (x | g)", big, times)
    finally:
        use(before)


def compared(
    name: str, spy: Spy, what: str, formula: str, data: pd.DataFrame | None, times: int
) -> None:
    """lb.lmer() against what R says that it took."""
    table = lb.datasets.load("sleepstudy") if data is None else data

    def fit() -> object:
        return lb.lmer(formula, table, engine="lme4")

    lb.lmer("Reaction ~ 1 + (1 | Subject)", lb.datasets.load("sleepstudy"), engine="lme4")
    spy.lmer.clear()
    spy.all.clear()
    seconds = timed(fit, times)
    row(f"{name}: {what}", seconds)
    added = row(
        "  beyond R's own time for lmer()",
        [a - b for a, b in zip(seconds, spy.lmer, strict=True)],
    )
    ROWS[-1][-1] = f"{100 * added / statistics.median(spy.lmer):.1f} % of it"
    row("  of that in R", [a - b for a, b in zip(spy.all, spy.lmer, strict=True)], "VarCorr() etc.")
    fitted = [lb.lmer(formula, table, engine="lme4") for _ in range(min(times, 3))]
    asked = iter(fitted)
    row(
        "  conditional variances, when they are asked for",
        timed(lambda: next(asked).result.estimates.random[0].variances, len(fitted)),
    )


def pool(name: str, data: pd.DataFrame) -> None:
    """The same fits by one R process, and by one for each core."""
    cores = os.cpu_count() or 1
    for workers in sorted({1, cores}):
        os.environ["LMERBRIDGE_R_WORKERS"] = str(workers)
        restart()
        with ThreadPoolExecutor(workers) as threads:

            def fit(_: object) -> object:
                return lb.lmer("y ~ x + (x | g)", data, engine="lme4")

            list(threads.map(fit, range(workers)))
            began = time.perf_counter()
            list(threads.map(fit, range(8 * cores)))
            seconds = time.perf_counter() - began
        ROWS.append(
            [
                f"{name}: {8 * cores} fits of {len(data):,} rows, {workers} R processes",
                f"{1000 * seconds:,.1f}",
                "",
                "",
                f"on {cores} cores",
            ]
        )
    os.environ.pop("LMERBRIDGE_R_WORKERS")


PYMER4 = """
import sys, time
began = time.perf_counter()
from pymer4.models import lmer
said = [time.perf_counter() - began]
import polars as pl
def fit(formula, path):
    data = pl.read_parquet(path)
    began = time.perf_counter()
    lmer(formula, data=data).fit()
    return time.perf_counter() - began
sleepstudy = [fit("Reaction ~ Days + (Days | Subject)", sys.argv[1]) for _ in range(6)]
print("said", *said, sorted(sleepstudy[1:])[2], fit("y ~ x + (x | g)", sys.argv[2]))
"""


def pymer4(python: str, big: pd.DataFrame) -> None:
    """The same by pymer4, which computes everything at once after every fit."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [f"{folder}/{name}.parquet" for name in ("sleepstudy", "big")]
        lb.datasets.load("sleepstudy").to_parquet(paths[0])
        big.to_parquet(paths[1])
        done = subprocess.run(
            [python, "-c", PYMER4, *paths], check=True, capture_output=True, text=True
        )
    (line,) = [text for text in done.stdout.splitlines() if text.startswith("said ")]
    imported, small, large = (float(number) for number in line.split()[1:])
    row("pymer4: import", [imported])
    row("pymer4: sleepstudy", [small])
    row(f"pymer4: {len(big):,} rows", [large])


def simulated(n: int) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    groups = n // 100
    g, x = rng.integers(0, groups, n), rng.normal(size=n)
    y = 1 + 0.5 * x + rng.normal(size=groups)[g] + 0.3 * rng.normal(size=groups)[g] * x
    return pd.DataFrame({"y": y + rng.normal(size=n), "x": x, "g": g})


def main(
    rows: int = 1_000_000,
    times: int = 3,
    with_pymer4: Annotated[
        str | None, typer.Option(help="A Python that has pymer4 and polars, to compare with.")
    ] = None,
) -> None:
    """Time both transports that are a process of their own."""
    warnings.simplefilter("ignore", lb.FitWarning)
    row("start Python", timed(python("pass"), 5))
    row("start Python, import lmerbridge", timed(python("import lmerbridge"), 5))
    big = simulated(rows)
    row(
        f"model frame of {rows:,} rows, y ~ x + (x | g)",
        timed(lambda: build_frame("y ~ x + (x | g)", big), 3),
    )
    for name in ("rpy2-worker", "rscript"):
        transport(name, big, times)
        arguments = call_arguments(build_frame("y ~ x + (x | g)", big), FitSpec())
        restart()
        session = r_session()
        session.call("versions", {})
        row(
            f"{name}: its columns into R",
            timed(lambda s=session, a=arguments: s.call("length", {"x": a["columns"]}), 1),
        )
        row(
            "  where they are already",
            timed(lambda s=session, a=arguments: s.call("length", {"x": a["columns"]}), 5),
        )
        pool(name, simulated(20_000))
    if with_pymer4 is not None:
        pymer4(with_pymer4, big)
    sleepstudy = lb.datasets.load("sleepstudy")
    m = lb.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy, engine="lme4")
    row("summary() text", timed(lambda: str(m.summary()), 15))
    print(
        tabulate(
            ROWS,
            headers=["what", "median ms", "fastest", "slowest", ""],
            disable_numparse=True,
            colalign=("left", "right", "right", "right", "left"),
        )
    )


if __name__ == "__main__":
    typer.run(main)
