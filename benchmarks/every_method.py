"""Call every public method of odd models, and every function, with every odd argument, and print what
is no error of ours, and what takes a text that is no word of its argument.

The wide form of ``tests/test_every_method.py``: minutes, not seconds. Names of models may be given.

    python benchmarks/every_method.py "no fixed effects" singular
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import every_method


def main(names: list[str]) -> int:
    """Return the number of faults, which are printed."""
    count = 0
    for name, model in every_method.models().items():
        if names and name not in names:
            continue
        for owner, thing in every_method.things(name, model).items():
            for fault in every_method.faults(owner, thing):
                print(fault, flush=True)
                count += 1
            for fault in every_method.unheard_by(owner, thing):
                print(fault, flush=True)
                count += 1
        for fault in every_method.function_faults(model):
            print(fault, flush=True)
            count += 1
        print(f"-- {name}: {count} so far", flush=True)
    return count


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1:]) else 0)
