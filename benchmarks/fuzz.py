"""Names, levels, formulas and values made to break things, on every engine: ``make fuzz``.

The cases are those of ``tests/hostile.py``; a case that fails is printed with its seed. Ends with
status 1 if there was a crash, a wrong number, or code that was run.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import typer

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
import hostile
from lmerbridge.engines import status_of
from lmerbridge.rlang import restart


def main(cases: int = 500, first: int = 0) -> None:
    """Run so many cases of each kind, with seeds from ``first`` on."""
    engines: dict[str, tuple[str, ...]] = {"": ("native", "statsmodels")}
    if status_of("lme4").available:
        engines = {
            "rpy2-worker": ("native", "statsmodels", "lme4"),
            "rscript": ("native", "lme4"),
        }
    wrong = 0
    os.chdir(tempfile.mkdtemp(prefix="fuzz-"))
    for transport, names in engines.items():
        os.environ["LMERBRIDGE_R_TRANSPORT"] = transport
        restart()
        for kind in hostile.KINDS:
            began, found = time.perf_counter(), Counter[str]()
            for seed in range(first, first + cases):
                try:
                    found[hostile.attempt(kind, seed, names)] += 1
                except Exception as error:
                    found["WRONG"] += 1
                    text = " ".join(f"{type(error).__name__}: {error}".split())
                    print(f"  seed {seed}: {text[:300]}", flush=True)
            wrong += found["WRONG"]
            print(
                f"{kind}, {', '.join(names)} {f'by {transport}' if transport else ''}: "
                f"{cases} cases, {dict(found)}, {time.perf_counter() - began:.0f} s",
                flush=True,
            )
    print("no crash, no wrong result, no evaluated code" if not wrong else f"{wrong} WRONG")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    typer.run(main)
