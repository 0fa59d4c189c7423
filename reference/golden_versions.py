"""Keep the golden values of other versions of lme4 where they differ.

``golden.R --into=FOLDER`` makes the values of the lme4 that runs it; this compares them with those
that hold for that version so far, and keeps those that differ (``SUITE/golden/NAME@VERSION.json``):

    python reference/golden_versions.py SUITE FOLDER [FOLDER ...]

Folders of more than one version are taken from the oldest to the newest, since what an older one
brought holds for the newer ones. Two records differ where a number of the fit by default settings
is further apart than ``check`` allows, or where lme4 says another thing of the fit; the numbers in
what it says do not count.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from lmerbridge.crosscheck import Case, compare, golden, golden_since, load_cases, of_golden
from lmerbridge.version_numbers import version_number


def differences(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Name what differs between two records of one case, in words."""
    if ("default" in then) != ("default" in now):
        return ["one of them has no fit"]
    if "default" not in then:
        return [] if then["error"] == now["error"] else ["the error"]
    old, new = (of_golden(record, "default", "lme4") for record in (then, now))
    found = [
        f"{d.quantity} ({d.problem or format(d.difference, '.2g')})"
        for d in compare(old, new)
        if not d.agrees
    ]
    if then["default"]["singular"] != now["default"]["singular"]:
        found.append("singular")
    if _words(then["said"]) != _words(now["said"]):
        found.append("what it said")
    return found


def _words(said: str | list[str]) -> list[str]:
    """What was said, without its numbers; the first line, since lme4 2.1 adds one to everything."""
    lines = [said] if isinstance(said, str) else said
    return [re.sub(r"[-+.\de]*\d", "#", line.split("\n")[0]) for line in lines]


def keep(case: Case, path: Path) -> str:
    """Keep the record of a case if it differs from the one that holds; what was done, in words."""
    now = json.loads(path.read_text("utf-8"))
    version = now["made_by"]["lme4"]
    then = golden_since(case, version) or golden(case)
    if then is None:
        return "no golden values to compare with"
    if version_number(then["made_by"]["lme4"]) == version_number(version):
        return "this version has its own"
    found = differences(then, now)
    if not found:
        return ""
    assert case.folder is not None
    (case.folder / "golden" / f"{case.name}@{version}.json").write_text(path.read_text("utf-8"))
    return f"kept: lme4 {version} differs from {then['made_by']['lme4']} in {', '.join(found)}"


def cases_of(suite: Path) -> dict[str, Case]:
    """Return the linear and the generalized models of a suite by name."""
    files = [suite / "cases.toml", suite / "generalized.toml"]
    return {case.name: case for path in files if path.is_file() for case in load_cases(path)}


def main(suite: str, *folders: str) -> None:
    """Compare and keep, the oldest version first."""
    cases = cases_of(Path(suite))
    records = [path for folder in folders for path in sorted(Path(folder).glob("*.json"))]

    def version(path: Path) -> tuple[int, ...]:
        return version_number(json.loads(path.read_text("utf-8"))["made_by"]["lme4"])

    for path in sorted(records, key=version):
        if path.stem in cases and (said := keep(cases[path.stem], path)):
            print(f"{path.stem}: {said}")


if __name__ == "__main__":
    main(*sys.argv[1:])
