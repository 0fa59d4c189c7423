"""Write LICENSES/DATA.md: the licence of each data file, from the TOML file beside it."""

from __future__ import annotations

import tomllib
from pathlib import Path

HERE = Path(__file__).parent.parent
FOLDERS = ("datasets", "reference/further/data", "reference/structured")
# What R packages write, and its SPDX identifier
SPDX = {
    "GPL (>= 2)": "GPL-2.0-or-later",
    "GPL-2 | GPL-3": "GPL-2.0-only OR GPL-3.0-only",
    "GPL-3": "GPL-3.0-only",
    "MIT": "MIT",
}
HEAD = """# Licences of the data

The code of lmerbridge is under the [MIT licence](MIT.txt). Data files have their own, named here by
SPDX identifier; the texts are beside this file. Made by `scripts/data_licences.py`.

| file | licence | source |
|---|---|---|
"""


def identifier(licence: str) -> str:
    """Return the SPDX identifier; numbers from a random number generator are ours."""
    if licence.startswith("numbers only"):
        return "MIT"
    return SPDX.get(licence, "CC-BY-SA-4.0" if licence.startswith("CC BY-SA 4.0") else licence)


def text() -> str:
    """Return the page."""
    rows = []
    for folder in FOLDERS:
        for file in sorted((HERE / folder).glob("*.toml")):
            described = tomllib.loads(file.read_text("utf-8"))
            data = next(iter(sorted(file.parent.glob(f"{file.stem}.csv*"))), None)
            if data is None or not {"columns", "source"} & set(described):
                continue  # not kept in the project, or no data set
            licence = identifier(described.get("licence", "MIT"))
            source = " ".join(str(described.get("source", "scripts here")).split())
            rows.append(f"| {folder}/{data.name} | {licence} | {source} |".replace("\n", " "))
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    (HERE / "LICENSES" / "DATA.md").write_text(text(), "utf-8")
