"""1,000 fits from 8 threads while R is killed 20 times, then 200 times: ``make faults`` (needs R with
lme4).

With 20 kills every fit must return the right numbers, as what a kill ends is repeated once. With
200 some fits lose R twice: these must be a ``FitFailedError``, all others right. Memory must not
grow, and nothing may be left behind. Ends with status 1 if any of that does not hold.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

import lmerbridge as lb
from lmerbridge.rlang import TRANSPORTS, r_session, restart
from lmerbridge.rlang.pool import Pool

MODELS = (
    ("sleepstudy", "Reaction ~ Days + (Days | Subject)"),
    ("Penicillin", "diameter ~ 1 + (1 | plate) + (1 | sample)"),
    ("ChickWeight", "weight ~ Time * Diet + (Time | Chick)"),
)
TIMEOUT = 60.0
FEW = 0.02  # kills per fit; up to here no fit may lose R twice


def memory(process: int | str = "self") -> float:
    """Resident memory in MiB."""
    text = Path(f"/proc/{process}/statm").read_text("utf-8")
    return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def children() -> int:
    """Child processes, zombies included."""
    count = 0
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            count += int(file.read_text("utf-8").rsplit(")", 1)[1].split()[1]) == os.getpid()
        except OSError:
            continue
    return count


def folders() -> set[Path]:
    """What R processes of ours have among the temporary files."""
    return set(Path(tempfile.gettempdir()).glob("lmerbridge-*"))


def _killed(processes: list[int], how: signal.Signals, chance: random.Random) -> bool:
    """Whether there was one to kill; it may have ended by itself meanwhile."""
    try:
        os.kill(chance.choice(processes), how)
    except (IndexError, ProcessLookupError):
        return False
    return True


def run(transport: str, fits: int, threads: int, kills: int, seed: int) -> bool:
    os.environ["LMERBRIDGE_R_TRANSPORT"] = transport
    restart()
    there = folders()
    chance = random.Random(seed)
    data = {name: lb.datasets.load(name) for name, _ in MODELS}
    want = [
        lb.lmer(formula, data[name], engine="lme4").result.estimates for name, formula in MODELS
    ]
    session = r_session()
    assert isinstance(session, Pool)
    outcomes: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    done = [0]
    change = threading.Lock()

    def fit(index: int) -> None:
        name, formula = MODELS[index % len(MODELS)]
        expected = want[index % len(MODELS)]
        try:
            m = lb.lmer(formula, data[name], engine="lme4", timeout=TIMEOUT)
        except lb.errors.FitFailedError as error:
            outcome, text = "a clear error", str(error).split(": ", 1)[1]
            with change:
                errors[text] += 1
        except BaseException as error:
            outcome = f"{type(error).__name__}: {error}"
        else:
            found = m.result.estimates
            right = (
                np.allclose(found.theta, expected.theta, rtol=1e-5)
                and np.allclose(found.beta, expected.beta, rtol=1e-6)
                and np.allclose(found.fitted, expected.fitted, rtol=1e-6)
            )
            outcome = "the right numbers" if right else "WRONG NUMBERS"
        with change:
            outcomes[outcome] += 1
            done[0] += 1

    killed: Counter[str] = Counter()

    def kill() -> None:
        for number in range(kills):
            while done[0] < (number + 0.5) * fits / kills:
                time.sleep(0.005)
            time.sleep(chance.random() * 0.05)
            how = chance.choice([signal.SIGKILL, signal.SIGSEGV])
            while not _killed(session.processes(), how, chance):
                time.sleep(0.005)
            killed[how.name] += 1

    began = time.perf_counter()
    killer = threading.Thread(target=kill)
    killer.start()
    marks = []
    with ThreadPoolExecutor(threads) as pool:
        quarter = max(1, fits // 4)
        for start in range(0, fits, quarter):
            list(pool.map(fit, range(start, min(fits, start + quarter))))
            marks.append((memory(), max(map(memory, session.processes()), default=0.0)))
            print(
                f"  {done[0]:5} fits, {time.perf_counter() - began:5.1f} s, memory: "
                f"{marks[-1][0]:.0f} MiB here, {marks[-1][1]:.0f} MiB in the largest R",
                flush=True,
            )
    killer.join()
    seconds = time.perf_counter() - began
    restart()
    left = children(), len(folders() - there)
    print(f"  {sum(killed.values())} kills: {dict(killed)}; {fits / seconds:.0f} fits per second")
    for outcome, count in outcomes.most_common():
        print(f"  {count:5} {outcome}")
    for text, count in errors.most_common():
        print(f"        {count} x {text}")
    print(f"  left behind: {left[0]} processes, {left[1]} folders")
    growth = marks[-1][0] - marks[0][0]
    print(f"  memory from the first quarter to the last: {growth:+.1f} MiB")
    allowed = (
        {"the right numbers"} if kills <= fits * FEW else {"the right numbers", "a clear error"}
    )
    unexpected = set(outcomes) - allowed
    return not unexpected and left == (0, 0) and growth < 20 and sum(killed.values()) == kills


def main(
    fits: int = 1000,
    threads: int = 8,
    kills: Annotated[
        list[int] | None, typer.Option(help="one run for each; default 20, 200")
    ] = None,
    workers: int = 4,
    seed: int = 1,
) -> None:
    """Run it through every transport that is a process of its own."""
    warnings.simplefilter("ignore", lb.FitWarning)
    os.environ["LMERBRIDGE_R_WORKERS"] = str(workers)
    tempfile.tempdir = tempfile.mkdtemp(prefix="faults-")  # what is left there is of this run
    well = True
    for transport in (name for name in TRANSPORTS if name != "rpy2"):
        for count in kills or (20, 200):
            print(
                f"{transport}: {fits} fits, {threads} threads, {workers} R processes, {count} kills"
            )
            well &= run(transport, fits, threads, count, seed)
    shutil.rmtree(tempfile.tempdir)
    print("all well" if well else "NOT WELL")
    sys.exit(0 if well else 1)


if __name__ == "__main__":
    typer.run(main)
