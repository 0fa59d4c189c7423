"""Makes docs/exports.md: every function that lme4, lmerTest, pbkrtest and emmeans export, and where
it is here. The table is tests/stored/exports.toml, reviewed by hand; this fails where live R exports
what the table has not, or where what the table says to be here does not run.

    python benchmarks/exports.py
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import matplotlib  # noqa: E402

matplotlib.use("Agg")

import exports  # noqa: E402

HEAD = """# What R's packages export, and where it is here

Made by `make exports` from `tests/stored/exports.toml`; the tests run every expression of the column
"here" and compare the list with live R. In it `m` and `m0` are models, `s` one with a random slope, `e` is a
table of means, `g` a reference grid, `p` a profile, `r` and `r0` are ordinary regressions, `d` is the data.
"""
TITLES = {
    "merMod": "Methods for lme4's fits of R's own functions",
    "lmerModLmerTest": "Methods for lmerTest's fits",
    "lm": "Methods for ordinary regressions",
}


def text() -> str:
    """The page."""
    rows, versions = exports.rows(), exports.versions()
    parts = [HEAD]
    for group in (*exports.PACKAGES, *exports.CLASSES):
        own = [row for row in rows if row.group == group]
        count = sum(row.here is not None for row in own)
        title = TITLES.get(group, f"{group} {versions.get(group, '')}".strip())
        parts.append(
            f"\n## {title}\n\n{count} of {len(own)} are here.\n\n| R | here | |\n|---|---|---|\n"
        )
        own.sort(key=lambda row: (row.name.startswith("."), row.name.casefold(), row.name))
        for row in own:
            code = "not" if row.here is None else f"`{row.here}`"
            cells = (f"`{row.name}`", code, row.said)
            parts.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n")
    return "".join(parts)


def main() -> int:
    """Write the page; return the number of faults, which are printed."""
    rows = exports.rows()
    found, listed = exports.asked()
    faults = [f"not in the table: {name}" for name in exports.missing(rows, listed)]
    if found == exports.versions():
        faults += [f"not in R: {name}" for name in exports.gone(rows, listed)]
    faults += [f for row in rows if row.here is not None and (f := exports.failure(row))]
    print("\n".join(faults) or f"{len(rows)} names, all well")
    if not faults:
        (ROOT / "docs" / "exports.md").write_text(text(), "utf-8")
    return len(faults)


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
