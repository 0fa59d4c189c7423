"""Golden values: what lme4 said of a case, kept beside the suite (``golden/NAME.json``).

A golden value belongs to a version of lme4, the one that ``made_by`` names. Where a later version
gives other numbers, those are kept as well, in ``golden/NAME@VERSION.json``; they hold from that
version on, until the next that has its own (``reference/golden_versions.py`` makes them).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lmerbridge.crosscheck.cases import Case
from lmerbridge.version_numbers import version_number

__all__ = ["golden", "golden_since"]


def golden(case: Case) -> dict[str, Any] | None:
    """Read what lme4 said of the case when the golden values beside the suite were made, if any."""
    path = None if case.folder is None else case.folder / "golden" / f"{case.name}.json"
    return None if path is None or not path.is_file() else _of_case(case, path)


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
    paths = {
        version_number(path.stem.rpartition("@")[2]): path
        for path in (case.folder / "golden").glob("*@*.json")
        if path.stem.rpartition("@")[0] == case.name
    }
    since = [found for found in paths if found <= here]
    return _of_case(case, paths[max(since)]) if since else None


def _of_case(case: Case, path: Path) -> dict[str, Any] | None:
    """The record, if it is of the case's model: a suite's formula may have changed since."""
    record: dict[str, Any] = json.loads(path.read_text("utf-8"))
    if record["formula"] != case.formula or record["REML"] != case.REML:
        return None
    return record
