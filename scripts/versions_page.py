"""Make docs/versions.md from the data of ``lmerbridge.crosscheck.versions``: ``make versions``.

``--check`` writes nothing, and ends with status 1 if the page is not what would be written.
"""

from __future__ import annotations

import sys
from pathlib import Path

from lmerbridge.crosscheck.versions import TOUCHES, changes, changes_between

PAGE = Path(__file__).resolve().parent.parent / "docs" / "versions.md"
FIRST, LAST = "0", "999"
COLUMNS = ("since", "what changed", "touches", "lmerbridge")
HEAD = """\
# What versions of R and its packages changed

<!-- made by `make versions` from bridge/lmerbridge/crosscheck/versions.toml -->

From the NEWS of R 4.2.3 to 4.6.2, lme4 1.1-32 to 2.1-0, lmerTest to 3.2-1, pbkrtest to 0.5.5 and
emmeans 1.8.5 to 2.0.4, and from what they print: whatever touches what lmerbridge does, or might
seem to. The same as data:
`lmerbridge.crosscheck.versions.changes_between("lme4", "1.1-31", "2.1-0")`.
"""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*").replace("<", "&lt;")


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for package in dict.fromkeys(change.package for change in changes()):
        rows = [
            (c.version, _cell(c.what), ", ".join(c.touches), _cell(c.we))
            for c in changes_between(package, FIRST, LAST)
        ]
        table = [COLUMNS, ("---",) * len(COLUMNS), *rows]
        lines = "\n".join(f"| {' | '.join(row)} |" for row in table)
        parts.append(f"## {package}\n\n{lines}\n")
    meanings = "\n".join(f"- *{kind}*: {meaning}" for kind, meaning in TOUCHES.items())
    parts.append(f"## What a change may touch\n\n{meanings}\n")
    return "\n".join(parts)


def main() -> int:
    """As the module says."""
    text = page()
    if "--check" in sys.argv[1:]:
        return int(PAGE.read_text("utf-8") != text)
    PAGE.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
