"""The same models by every engine: ``make benchmark`` (needs R with lme4; some minutes).

lme4's figure is the fit alone, inside R, with the data already there. The others' is the whole
call, from formula and DataFrame to fitted model. Each cell runs in a process of its own, after a
small fit that loads what it needs; median of several runs where a run is short. Memory is what the
process's peak rises by during the fits. mixedlm takes part where it is installed (``pip install
'lmerbridge[rivals]'``). ``--quick`` leaves out what takes longer than some seconds.
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

LIMIT = 600  # seconds for one cell


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
        31,
        ("lme4", "mixedlm", "statsmodels"),
    ),
    "InstEval": Work(
        "InstEval, 73,421 rows",
        "y ~ service + (1 | s) + (1 | d) + (1 | dept)",
        lambda: lb.datasets.load("InstEval"),
        3,
        ("lme4", "mixedlm"),
    ),
    "million": Work(
        "1,000,000 rows, 10,000 groups",
        "y ~ x + (x | g)",
        lambda: grouped(1_000_000, 10_000),
        3,
        ("lme4", "mixedlm"),
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
        3,
        ("lme4", "mixedlm"),
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
        return {"seconds": seconds, "memory": _peak() - before, "frame": frame_size}
    before = _reset_peak()
    runs, criterion = [], float("nan")
    if work.times > 3:
        _fit(engine, work.formula, data)
    for _ in range(work.times):
        began = time.perf_counter()
        criterion, own = _fit(engine, work.formula, data)
        runs.append(time.perf_counter() - began if np.isnan(own) else own)
        if sum(runs) > 30:
            break
    return {
        "seconds": float(np.median(runs)),
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
    from lmerbridge.engines import status_of

    names = ["lme4", "statsmodels"]
    said = [f"{name} {status_of(name).version or 'absent'}" for name in names]
    said += [f"numpy {np.__version__}", f"Python {platform.python_version()}"]
    return ", ".join(said)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cell", nargs=2)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    if arguments.cell:
        print(json.dumps(cell(*arguments.cell)))
        return
    mixedlm = importlib.util.find_spec("mixedlm") is not None
    rows: list[list[Any]] = []
    for name, work in WORK.items():
        if arguments.quick and not work.quick:
            continue
        engines = ["native", *(e for e in work.others if e != "mixedlm" or mixedlm)]
        found = {engine: _in_process(name, engine) for engine in engines}
        base = found.get("lme4")
        what = work.what
        for engine in sorted(engines, key=["lme4", "statsmodels", "mixedlm", "native"].index):
            one = found[engine]
            if isinstance(one, str):
                rows.append([what, engine, one, "", "", ""])
            else:
                ratio = gap = ""
                if isinstance(base, dict) and engine != "lme4":
                    times = base["seconds"] / one["seconds"]
                    ratio = f"1/{times:.1f}" if times >= 1 else f"{1 / times:.1f}"
                    gap = f"{one['criterion'] - base['criterion']:+.0e}"
                memory = f"{one['memory']:,.0f} MB"
                if one["frame"] > 100:
                    memory += f" ({one['memory'] / one['frame']:.1f} x data)"
                rows.append([what, engine, f"{one['seconds']:.4g} s", ratio, memory, gap])
            what = ""
    print(
        tabulate(
            rows,
            headers=["work", "engine", "time", "of lme4", "memory", "criterion - lme4's"],
            disable_numparse=True,
            colalign=("left", "left", "right", "right", "right", "right"),
        )
    )
    print(f"{_processor()}; {_versions()}")


if __name__ == "__main__":
    main()
