"""Cases of a suite: a model on a data set, and what it is there to show."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmerbridge.errors import DataError, near_match
from lmerbridge.files import data_folder

__all__ = ["Case", "golden", "load_cases"]

_KEYS = {"name", "data", "formula", "REML", "shows", "error"}


@dataclass(frozen=True)
class Case:
    """One model of a suite.

    ``data`` is a data set of this package, or the path of a CSV file relative to the suite's.
    ``error`` is a text that the refusal must contain, where the model must be refused.
    """

    name: str
    data: str
    formula: str
    REML: bool = True
    shows: str = ""
    error: str | None = None
    folder: Path | None = None


def load_cases(path: Path | None = None) -> list[Case]:
    """The cases of a TOML file (default: this package's reference suite).

    Raises
    ------
    DataError
        The file is not one of cases.
    """
    path = path or data_folder("reference") / "cases.toml"
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DataError(f"{path}: {error}") from error
    cases = []
    for number, entry in enumerate(table.get("case", []), 1):
        where = f"{path}: case {entry.get('name', number)!r}"
        for key in entry:
            if key not in _KEYS:
                raise DataError(f"{where} has an unknown key {key!r}{near_match(key, _KEYS)}")
        for key in ("name", "data", "formula"):
            if not isinstance(entry.get(key), str):
                raise DataError(f'{where} needs {key} = "..."')
        cases.append(Case(folder=path.parent, **entry))
    if not cases:
        raise DataError(f"{path} has no [[case]]")
    names = [case.name for case in cases]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise DataError(f"{path} has more than one case {twice[0]!r}")
    return cases


def golden(case: Case) -> dict[str, Any] | None:
    """What lme4 said of the case when the golden values beside the suite were made, if any."""
    path = None if case.folder is None else case.folder / "golden" / f"{case.name}.json"
    if path is None or not path.is_file():
        return None
    record: dict[str, Any] = json.loads(path.read_text("utf-8"))
    if record["formula"] != case.formula or record["REML"] != case.REML:
        return None
    return record
