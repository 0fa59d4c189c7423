"""Hatchling's hook for the wheel: which data are in it, under ``lmerbridge/_data``.

What users' code reads is in it, and nothing else. Not: ``InstEval``, which is fetched;
``reference/further`` but the file that ``zoo.toml`` names (``distributions/further`` has it);
``reference/inference``, ``structured`` and ``published``, which the tests of a checkout read.
"""

from __future__ import annotations

import json
import lzma
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FILES = (
    "datasets/*.toml",
    "datasets/*.csv",
    "reference/cases.toml",
    "reference/zoo.toml",
    "reference/further/data/lmerTest-carrots.*",
)
GOLDEN = "reference/golden"
FITTED_DIGITS = 9


def packed(folder: Path) -> bytes:
    """Return the golden values of a folder as ``lmerbridge.crosscheck.golden`` unpacks them: a line
    of name, tabulator and JSON for each. Together they take two thirds of what they take apart.
    """
    lines = [
        f"{file.stem}\t{json.dumps(shortened(json.loads(file.read_text('utf-8'))))}\n"
        for file in sorted(folder.glob("*.json"))
    ]
    return lzma.compress("".join(lines).encode(), preset=9 | lzma.PRESET_EXTREME)


def shortened(record: dict[str, Any]) -> dict[str, Any]:
    """Leave out digits of fitted values, which are two thirds of all numbers and are compared to
    five.
    """
    short = dict(record)
    for which in ("default", "polished"):
        fit = short.get(which)
        if fit is not None and "fitted" in fit:
            rounded = [float(f"{value:.{FITTED_DIGITS}g}") for value in fit["fitted"]]
            short[which] = {**fit, "fitted": rounded}
    return short


class WheelData(BuildHookInterface[Any]):
    """Adds the files; an editable install has the checkout."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name each file, and write the packed one."""
        if version == "editable":
            return
        root = Path(self.root)
        self.made = tempfile.TemporaryDirectory()
        golden = Path(self.made.name) / "golden.xz"
        golden.write_bytes(packed(root / GOLDEN))
        include = build_data["force_include"]
        include[str(golden)] = f"lmerbridge/_data/{GOLDEN}.xz"
        for pattern in FILES:
            found = sorted(root.glob(pattern))
            if not found:
                raise FileNotFoundError(f"{root} has no {pattern}")
            for file in found:
                include[str(file)] = f"lmerbridge/_data/{file.relative_to(root).as_posix()}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the packed file."""
        if version != "editable":
            self.made.cleanup()
