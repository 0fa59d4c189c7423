"""The same models by every engine: ``make benchmark`` (needs R with lme4; some minutes).

lme4's figure is the fit alone, inside R, with the data already there. The others' is the whole
call, from formula and DataFrame to fitted model, by each package's own function. Each cell runs in
a process of its own, after a small fit that loads what it needs: the median of at least five runs,
or of as many as fit into two minutes (the number is in the table). Memory is what the process's
peak rises by during the fits. ``native is`` says how many times as long as each the native engine
takes. glmm and mixedlm take part where they are installed (``pip install 'lmerbridge[rivals]'``).
``--quick`` leaves out what takes longer than some seconds; ``--rounds N`` runs all N times.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import platform
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tabulate import tabulate

import lmerbridge as lb
from lmerbridge.engines import status_of

LIMIT = 600  # seconds for one cell
ENOUGH = 120  # seconds of runs in one
RIVALS = ("glmm", "mixedlm")  # which are called by their own functions


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


@dataclass(frozen=True)
class Work:
    """A row of the table: a model, how often it is fitted, and by whom besides native."""

    what: str
    formula: str
    data: Callable[[], pd.DataFrame]
    times: int
    others: tuple[str, ...]
    quick: bool = True


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
        (),
    ),
}


def _fit(engine: str, formula: str, data: pd.DataFrame) -> tuple[float, float]:
    """Criterion, and seconds by the engine's own account (nan where only the call counts)."""
    if engine == "mixedlm":
        import mixedlm  # pyright: ignore[reportMissingImports]

        return float(mixedlm.lmer(formula, data).deviance), float("nan")
    if engine == "glmm":
        import glmm  # pyright: ignore[reportMissingImports]

        return -2 * float(glmm.fit(data, formula, reml=True).loglik), float("nan")
    m = lb.lmer(formula, data, engine=engine)
    own = m.result.provenance.seconds if engine == "lme4" else float("nan")
    return m.result.criterion.value, own


def _peak() -> float:
    """Highest memory of this process so far, in MB; Linux."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def _reset_peak() -> float:
    Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def cell(name: str, engine: str) -> dict[str, float]:
    """Time one model by one engine, in this process."""
    warnings.simplefilter("ignore")
    work = WORK[name]
    data = work.data()
    _fit(engine, "Yield ~ 1 + (1 | Batch)", lb.datasets.load("Dyestuff"))
    frame_size = float(data.memory_usage(index=False).sum()) / 2**20
    if name == "refits":
        m = lb.lmer(work.formula, data, engine=engine)
        noise = np.random.default_rng(3).normal(size=(len(data), work.times))
        responses = m.fitted().to_numpy()[:, None] + m.sigma() * noise
        before = _reset_peak()
        began = time.perf_counter()
        found = m.refit_many(responses)
        seconds = (time.perf_counter() - began) / work.times
        assert found.converged.all()
        return {"seconds": seconds, "runs": 1, "memory": _peak() - before, "frame": frame_size}
    before = _reset_peak()
    runs, criterion = [], float("nan")
    if work.times > 1:
        _fit(engine, work.formula, data)
    for _ in range(work.times):
        began = time.perf_counter()
        criterion, own = _fit(engine, work.formula, data)
        runs.append(time.perf_counter() - began if np.isnan(own) else own)
        if sum(runs) > ENOUGH:
            break
    return {
        "seconds": float(np.median(runs)),
        "runs": len(runs),
        "criterion": criterion,
        "memory": _peak() - before,
        "frame": frame_size,
    }


def _in_process(name: str, engine: str) -> dict[str, float] | str:
    command = [sys.executable, __file__, "--cell", name, engine]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return f"over {LIMIT} s"
    if done.returncode:
        return "failed: " + (done.stderr.strip().splitlines() or ["no message"])[-1][:60]
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
        return f"{len(names)} x {names[0]}"
    except (OSError, IndexError):
        return platform.machine()


def _versions() -> str:
    names = ["lme4", "statsmodels", *RIVALS]
    said = [f"{name} {status_of(name).version or 'absent'}" for name in names]
    said += [f"numpy {np.__version__}", f"Python {platform.python_version()}"]
    return ", ".join(said)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cell", nargs=2)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.cell:
        print(json.dumps(cell(*arguments.cell)))
        return
    here = {name for name in RIVALS if importlib.util.find_spec(name) is not None}
    here |= {name for name in ("lme4", "statsmodels") if status_of(name).available}
    for number in range(arguments.rounds):
        if arguments.rounds > 1:
            print(f"round {number + 1}")
        _table([w for w in WORK if WORK[w].quick or not arguments.quick], here)
    print(f"{_processor()}; {_versions()}")


def _row(engine: str, one: dict[str, float], found: dict[str, dict[str, float] | str]) -> list[str]:
    """Time, how native compares, memory, and the criterion beside the least."""
    native = found["native"]
    ratio = ""
    if isinstance(native, dict) and engine != "native":
        ratio = f"{native['seconds'] / one['seconds']:.2g} times that"
    memory = f"{one['memory']:,.0f} MB"
    if one["frame"] > 100:
        memory += f" ({one['memory'] / one['frame']:.1f} x data)"
    gap = ""
    if "criterion" in one:
        least = min(o["criterion"] for o in found.values() if isinstance(o, dict))
        gap = f"{one['criterion'] - least:.0e}"
    return [f"{one['seconds']:.4g} s", f"{one['runs']:.0f}", ratio, memory, gap]


def _table(names: list[str], here: set[str]) -> None:
    rows: list[list[Any]] = []
    for name in names:
        work = WORK[name]
        engines = [e for e in work.others if e in here] + ["native"]
        found = {engine: _in_process(name, engine) for engine in engines}
        what = work.what
        for engine, one in found.items():
            own = [one, "", "", "", ""] if isinstance(one, str) else _row(engine, one, found)
            rows.append([what, engine, *own])
            what = ""
    print(
        tabulate(
            rows,
            headers=["work", "engine", "time", "runs", "native is", "memory", "above the least"],
            disable_numparse=True,
            colalign=("left", "left", "right", "right", "right", "right", "right"),
        )
    )


if __name__ == "__main__":
    main()
