"""Write LICENSES/DATA.md, and that of distributions/further: each data file's licence, from the
TOML file beside it. What each licence says is kept in LICENSES alone, and copied from there.
"""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

HERE = Path(__file__).parent.parent
FOLDERS = ("datasets", "reference/further/data", "reference/structured")
# What R packages write, and its SPDX identifier
SPDX = {
    "GPL (>= 2)": "GPL-2.0-or-later",
    "GPL-2": "GPL-2.0-only",
    "GPL-2 | GPL-3": "GPL-2.0-only OR GPL-3.0-only",
    "GPL-3": "GPL-3.0-only",
    "MIT": "MIT",
}
HEAD = """# Licences of the data

The code of lmerbridge is under the MIT licence. Data files have their own, named here by SPDX
identifier; the texts are beside this file (that of GPL-2.0-only is that of GPL-2.0-or-later, too,
and the wheel has it once). Made by `scripts/data_licences.py`. What is in no
distribution is in the repository, whose sources have all of them.

| file | licence | source | distribution |
|---|---|---|---|
"""
FURTHER = HERE / "distributions" / "further" / "LICENSES"
FURTHER_HEAD = """# Licences of the data

The models and what lme4 says of them are under the [MIT licence](MIT.txt). Data files have their
own, named here by SPDX identifier; the texts are beside this file. Made by
`scripts/data_licences.py` of lmerbridge.

| file | licence | source |
|---|---|---|
"""
IN_BOTH = ("lmerTest-carrots.csv",)  # of the models that every `lmerbridge check` fits


def identifier(licence: str) -> str:
    """Return the SPDX identifier; numbers from a random number generator are ours."""
    if licence.startswith("numbers only"):
        return "MIT"
    return SPDX.get(licence, "CC-BY-SA-4.0" if licence.startswith("CC BY-SA 4.0") else licence)


def held_by(folder: str, name: str) -> str:
    """Return the distributions that hold a file."""
    if folder == "datasets" and name.startswith("clark"):
        return "lmerbridge-further"
    if folder == "datasets":
        return "lmerbridge" if name.endswith(".csv") else "none: fetched"
    if folder == "reference/further/data":
        return f"{'lmerbridge, ' if name in IN_BOTH else ''}lmerbridge-further"
    return "none"


def rows() -> list[tuple[str, str, str, str]]:
    """Return of each file the path, the licence, the source and who holds it."""
    found = []
    for folder in FOLDERS:
        for file in sorted((HERE / folder).glob("*.toml")):
            described = tomllib.loads(file.read_text("utf-8"))
            data = next(iter(sorted(file.parent.glob(f"{file.stem}.csv*"))), None)
            if data is None or not {"columns", "source"} & set(described):
                continue  # not kept in the project, or no data set
            source = " ".join(str(described.get("source", "scripts here")).split())
            licence = identifier(described.get("licence", "MIT"))
            found.append((f"{folder}/{data.name}", licence, source, held_by(folder, data.name)))
    return found


def pages() -> dict[Path, str]:
    """Return each page by its path."""
    mine = [f"| {' | '.join(row)} |\n" for row in rows()]
    further = [f"| {' | '.join(r[:3])} |\n" for r in rows() if r[3].endswith("lmerbridge-further")]
    return {
        HERE / "LICENSES" / "DATA.md": HEAD + "".join(mine),
        FURTHER / "DATA.md": FURTHER_HEAD + "".join(further),
    }


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, "utf-8")
    for copied in FURTHER.glob("*.txt"):
        shutil.copy(HERE / "LICENSES" / copied.name, copied)
