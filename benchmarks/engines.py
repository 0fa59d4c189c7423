"""The same models by every engine: ``make benchmark`` (needs R with lme4; some minutes).

lme4's figure is the fit alone, inside R, with the data already there. The others' is the whole
call, from formula and DataFrame to fitted model, by each package's own function. Each cell runs in
a process of its own, after a small fit that loads what it needs: the median of at least five runs,
or of as many as fit into two minutes (the number is in the table). Memory is what the process's
peak rises by during the fits. ``native is`` says how many times as long as each the native engine
takes. glmm and mixedlm take part where they are installed (``pip install 'lmerbridge[rivals]'``).
Refits are native's of many responses at once, and glmm's one by one.
``--quick`` leaves out what takes longer than some seconds; ``--rounds N`` runs all N times;
``--rows NAME ...`` takes the rows named (by what :mod:`works` calls them), ``--engines NAME ...``
the engines named, beside native.
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
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tabulate import tabulate
from works import WORK, Work

import lmerbridge as lb
from lmerbridge.engines import status_of

LIMIT = 600  # seconds for one cell
ENOUGH = 120  # seconds of runs in one
RIVALS = ("glmm", "mixedlm")  # which are called by their own functions


def _fit(engine: str, work: Work, data: pd.DataFrame) -> tuple[float, float]:
    """Criterion, and seconds by the engine's own account (nan where only the call counts)."""
    linear = work.family == "gaussian"
    formula, weights = work.apart.get(engine, (work.formula, None))
    if engine == "mixedlm":
        import mixedlm  # pyright: ignore[reportMissingImports]

        if linear:
            return float(mixedlm.lmer(formula, data).deviance), float("nan")
        family = getattr(mixedlm.families, work.family.title())()
        sizes = None if weights is None else data[weights].to_numpy()
        fitted = mixedlm.glmer(formula, data, family=family, weights=sizes)
        return -2 * float(fitted.logLik()), float("nan")
    if engine == "glmm":
        import glmm  # pyright: ignore[reportMissingImports]

        fitted = glmm.fit(data, formula, work.family, reml=True if linear else None)
        return -2 * float(fitted.loglik), float("nan")
    if linear:
        m: Any = lb.lmer(formula, data, engine=engine)
    else:
        m = lb.glmer(formula, data, family=work.family, engine=engine)
    own = m.result.provenance.seconds if engine == "lme4" else float("nan")
    return m.result.criterion.value, own


def _refits(engine: str, work: Work, data: pd.DataFrame) -> tuple[float, int]:
    """Seconds a fit, of new responses drawn from the native fit; how many were fitted."""
    if work.family == "gaussian":
        m: Any = lb.lmer(work.formula, data, engine="native")
    else:
        m = lb.glmer(work.formula, data, family=work.family, engine="native")
    drawn = np.asarray(m.simulate(work.times, seed=3), dtype=float)
    if engine == "native":
        m.refit_many(drawn[:, :10])
        began = time.perf_counter()
        found = m.refit_many(drawn)
        assert found.converged.all()
        return (time.perf_counter() - began) / work.times, work.times
    began = time.perf_counter()
    count, seconds = 0, 0.0
    while count < work.times and seconds < ENOUGH:
        _fit(engine, work, data.assign(y=drawn[:, count]))
        count, seconds = count + 1, time.perf_counter() - began
    return seconds / count, count


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
    small = Work("", "Yield ~ 1 + (1 | Batch)", pd.DataFrame, 1, ())
    _fit(engine, small, lb.datasets.load("Dyestuff"))
    frame_size = float(data.memory_usage(index=False).sum()) / 2**20
    if work.refits:
        before = _reset_peak()
        seconds, count = _refits(engine, work, data)
        return {
            "seconds": seconds,
            "runs": count,
            "memory": _peak() - before,
            "frame": frame_size,
        }
    before = _reset_peak()
    runs, criterion = [], float("nan")
    started = time.perf_counter()
    if work.times > 1:
        _fit(engine, work, data)
    for _ in range(work.times):
        began = time.perf_counter()
        criterion, own = _fit(engine, work, data)
        runs.append(time.perf_counter() - began if np.isnan(own) else own)
        if time.perf_counter() - started > ENOUGH:
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
    parser.add_argument("--rows", nargs="+", choices=list(WORK), default=list(WORK))
    parser.add_argument("--engines", nargs="+", default=["lme4", "statsmodels", *RIVALS])
    arguments = parser.parse_args()
    if arguments.cell:
        print(json.dumps(cell(*arguments.cell)))
        return
    here = {name for name in RIVALS if importlib.util.find_spec(name) is not None}
    here |= {name for name in ("lme4", "statsmodels") if status_of(name).available}
    here &= set(arguments.engines)
    for number in range(arguments.rounds):
        if arguments.rounds > 1:
            print(f"round {number + 1}")
        _table([w for w in arguments.rows if WORK[w].quick or not arguments.quick], here)
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
