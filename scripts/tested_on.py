"""Keep docs/tested_on.csv, and the README's table made from it: which R the two commands ran on.

``python scripts/tested_on.py SUITE COMMANDS VERSIONS`` adds or replaces a row, as
``make fresh`` does when all ended well; without arguments the README's table is made again.
"""

from __future__ import annotations

import csv
import datetime
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
COLUMNS = ["Debian", "Python", "R", "lme4", "lmerTest", "pbkrtest", "emmeans", "ran", "on"]
BEGIN, END = "<!-- tested on: made by scripts/tested_on.py -->\n", "<!-- end -->"


def read(path: Path) -> list[dict[str, str]]:
    """The rows of the file."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def with_row(
    rows: list[dict[str, str]], suite: str, ran: str, versions: str
) -> list[dict[str, str]]:
    """The rows with this suite's; ``versions`` is ``"Python 3.13.5; R 4.5.0; lme4 1.1-37"``."""
    found = dict(part.split(None, 1) for part in versions.split("; "))
    today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    row = {
        "Debian": suite,
        "ran": ran,
        "on": today,
        **{k: v for k, v in found.items() if k in COLUMNS},
    }
    return sorted(
        [r for r in rows if r["Debian"] != suite] + [row], key=lambda r: _number(r["lme4"])
    )


def _number(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]


def table(rows: list[dict[str, str]]) -> str:
    """The rows in Markdown."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    lines += ["| " + " | ".join(row.get(c) or "" for c in COLUMNS) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def with_table(readme: str, rows: list[dict[str, str]]) -> str:
    """The README with its table made again."""
    before, rest = readme.split(BEGIN)
    return before + BEGIN + table(rows) + END + rest.split(END, 1)[1]


def main() -> None:
    """As the module says."""
    path, readme = HERE / "docs" / "tested_on.csv", HERE / "README.md"
    rows = read(path)
    if len(sys.argv) > 1:
        rows = with_row(rows, *sys.argv[1:])
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n", restval="")
            writer.writeheader()
            writer.writerows(rows)
    readme.write_text(with_table(readme.read_text("utf-8"), rows), "utf-8")


if __name__ == "__main__":
    main()
