"""Golden values: what lme4 said of a case, kept beside the suite (``golden/NAME.json``).

A golden value belongs to a version of lme4, the one that ``made_by`` names. Where a later version
gives other numbers, those are kept as well, in ``golden/NAME@VERSION.json``; they hold from that
version on, until the next that has its own (``reference/golden_versions.py`` makes them).

In the wheel they are one packed file (``golden.xz``; ``scripts/wheel_data.py`` makes it).
"""

from __future__ import annotations

import json
import lzma
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from lmerbridge.crosscheck.cases import Case
from lmerbridge.version_numbers import version_number

__all__ = ["golden", "golden_since"]


def golden(case: Case) -> dict[str, Any] | None:
    """Read what lme4 said of the case when the golden values beside the suite were made, if any."""
    return None if case.folder is None else _of_case(case, _records(case).get(case.name))


def golden_since(case: Case, version: str) -> dict[str, Any] | None:
    """Read the golden values of the newest lme4 not newer than ``version`` that moved this case.

    Returns
    -------
    dict or None
        ``None`` where no version up to this one gave other numbers than :func:`golden` has.
    """
    here = version_number(version)
    if case.folder is None or not here:
        return None
    records = _records(case)
    later = {
        version_number(name.rpartition("@")[2]): text
        for name, text in records.items()
        if name.rpartition("@")[0] == case.name
    }
    since = [found for found in later if found <= here]
    return _of_case(case, later[max(since)]) if since else None


def _records(case: Case) -> Mapping[str, str | Path]:
    """By name, the JSON of each record that can be one of this case, or the file that has it."""
    assert case.folder is not None
    packed = case.folder / "golden.xz"
    if packed.is_file():
        return _unpacked(packed)
    files = case.folder / "golden"
    paths = [files / f"{case.name}.json", *files.glob("*@*.json")]
    return {path.stem: path for path in paths if path.is_file()}


@lru_cache(maxsize=1)
def _unpacked(path: Path) -> dict[str, str]:
    lines = lzma.decompress(path.read_bytes()).decode().splitlines()
    return {name: text for name, _, text in (line.partition("\t") for line in lines)}


def _of_case(case: Case, source: str | Path | None) -> dict[str, Any] | None:
    """The record, if it is of the case's model: a suite's formula may have changed since."""
    if source is None:
        return None
    text = source.read_text("utf-8") if isinstance(source, Path) else source
    record: dict[str, Any] = json.loads(text)
    asked = (case.formula, case.REML and not case.family, case.family, case.nAGQ)
    of = (record["formula"], record["REML"], record.get("family", ""), record.get("nAGQ", 1))
    if of != asked:
        return None
    return record
