"""Cases of a suite: a model on data, and what it is there to show.

A suite is a TOML file with a ``[[case]]`` (or ``[[model]]``) for each model::

    [[case]]
    name = "oats"
    data = "oats.csv"                  # relative to the file; or a data set of this package
    formula = "yield ~ nitro + (1 | Block/Variety)"
    REML = false                       # default true
    weights = "w"                      # as for lmer(): also offset, subset, na_action
    contrasts = { Variety = "contr.sum" }
    engines = ["lme4", "native"]       # default: all that are available
    shows = "a split plot"
    expect = { statsmodels = "refused" }   # where another verdict than agreement is right
    error = "is rank deficient"        # a text that the refusal must contain

    [[case.tolerance]]                 # another limit for this case, with the reason
    quantity = "criterion"
    limit = 1e-3
    reason = "lme4 stops early here"
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lmerbridge.crosscheck.tolerances import TOLERANCES, Tolerance
from lmerbridge.crosscheck.verdict import VERDICTS
from lmerbridge.errors import DataError, near_match
from lmerbridge.files import data_folder

__all__ = ["Case", "changed_tolerances", "golden", "load_cases"]

_TEXT = ("name", "data", "formula", "shows", "error", "weights", "offset", "subset", "na_action")
_REQUIRED = ("name", "data", "formula")
_KEYS = {*_TEXT, "REML", "contrasts", "engines", "expect", "tolerance"}


@dataclass(frozen=True)
class Case:
    """One model of a suite; the module's text says what the fields mean in a file.

    Attributes
    ----------
    data : str
        A data set of this package, or the path of a file relative to the suite's.
    error : str, optional
        A text that the refusal must contain, where the model must be refused.
    expect : mapping
        By engine the verdict that is right for it, if not agreement.
    tolerances : tuple of Tolerance
        All that hold for this case.
    folder : Path, optional
        The suite's.
    """

    name: str
    data: str
    formula: str
    REML: bool = True
    shows: str = ""
    error: str | None = None
    weights: str | None = None
    offset: str | None = None
    subset: str | None = None
    na_action: str = "omit"
    contrasts: Mapping[str, str] | None = None
    engines: tuple[str, ...] | None = None
    expect: Mapping[str, str] = field(default_factory=dict)
    tolerances: tuple[Tolerance, ...] = TOLERANCES
    folder: Path | None = None

    def arguments(self) -> dict[str, Any]:
        """Of ``build_frame``, beyond formula and data."""
        return {
            "weights": self.weights,
            "offset": self.offset,
            "subset": self.subset,
            "na_action": self.na_action,
            "contrasts": self.contrasts,
        }


class _Source:
    """The file's text, to name lines."""

    def __init__(self, path: Path, text: str):
        self.path = path
        self.lines = text.splitlines()
        header = re.compile(r"^\s*\[\[\s*(case|model)\s*\]\]")
        self.starts = [i for i, line in enumerate(self.lines) if header.match(line)]

    def at(self, number: int, key: str | None = None) -> str:
        """``path:line`` of a key of the case with this number, or of its header."""
        if number >= len(self.starts):
            return str(self.path)
        first = self.starts[number]
        last = self.starts[number + 1] if number + 1 < len(self.starts) else len(self.lines)
        line = first
        if key is not None:
            wanted = re.compile(rf"^\s*(\[\[?\s*\w+\.)?\"?{re.escape(key)}\"?\s*[\]=.]")
            line = next((i for i in range(first, last) if wanted.match(self.lines[i])), first)
        return f"{self.path}:{line + 1}"


def changed_tolerances(entries: Any, where: str) -> tuple[Tolerance, ...]:
    """All tolerances, those of ``entries`` (quantity, limit, reason) changed.

    Raises
    ------
    DataError
        Not such entries; ``where`` begins the message.
    """
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise DataError(f"{where}: tolerances are written as [[case.tolerance]]")
    known = {t.quantity: t for t in TOLERANCES}
    changed = dict(known)
    for entry in entries:
        for key in entry:
            if key not in ("quantity", "limit", "reason"):
                raise DataError(
                    f"{where}: a tolerance has no key {key!r}"
                    f"{near_match(key, ('quantity', 'limit', 'reason'))}"
                )
        quantity = entry.get("quantity")
        if quantity not in known:
            raise DataError(
                f"{where}: there is no quantity {quantity!r}{near_match(str(quantity), known)}; "
                f"quantities: {', '.join(known)}"
            )
        limit = entry.get("limit")
        if isinstance(limit, bool) or not isinstance(limit, (int, float)) or not limit >= 0:
            raise DataError(f"{where}: the limit of {quantity!r} must be a number of at least 0")
        if not isinstance(entry.get("reason"), str) or not entry["reason"].strip():
            raise DataError(f"{where}: the tolerance of {quantity!r} needs a reason")
        changed[quantity] = replace(known[quantity], limit=float(limit), reason=entry["reason"])
    return tuple(changed[t.quantity] for t in TOLERANCES)


def _case(entry: Mapping[str, Any], number: int, source: _Source) -> Case:
    name = entry.get("name", number + 1)
    for key in entry:
        if key not in _KEYS:
            raise DataError(
                f"{source.at(number, key)}: case {name!r} has an unknown key {key!r}"
                f"{near_match(key, _KEYS)}"
            )
    for key in _REQUIRED:
        if not isinstance(entry.get(key), str):
            raise DataError(f'{source.at(number, key)}: case {name!r} needs {key} = "..."')
    for key in _TEXT:
        if key in entry and not isinstance(entry[key], str):
            raise DataError(f"{source.at(number, key)}: {key} must be a text in quotes")
    if not isinstance(entry.get("REML", True), bool):
        raise DataError(f"{source.at(number, 'REML')}: REML must be true or false")
    for key in ("contrasts", "expect"):
        value = entry.get(key, {})
        if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
            raise DataError(f'{source.at(number, key)}: {key} must be {{ name = "...", ... }}')
    for engine, verdict in entry.get("expect", {}).items():
        if verdict not in VERDICTS:
            raise DataError(
                f"{source.at(number, 'expect')}: there is no verdict {verdict!r} (for {engine})"
                f"{near_match(verdict, VERDICTS)}; verdicts: {', '.join(VERDICTS)}"
            )
    engines = entry.get("engines")
    if engines is not None and not (
        isinstance(engines, list) and engines and all(isinstance(e, str) for e in engines)
    ):
        raise DataError(f'{source.at(number, "engines")}: engines must be ["...", ...]')
    values = dict(entry)
    tolerances = changed_tolerances(values.pop("tolerance", []), source.at(number, "tolerance"))
    if engines is not None:
        values["engines"] = tuple(engines)
    return Case(folder=source.path.parent, tolerances=tolerances, **values)


def load_cases(path: Path | None = None) -> list[Case]:
    """The cases of a TOML file (default: this package's reference suite).

    Raises
    ------
    DataError
        The file is not one of cases; the message names the line.
    """
    path = path or data_folder("reference") / "cases.toml"
    try:
        text = path.read_text("utf-8")
        table = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DataError(f"{path}: {error}") from error
    source = _Source(path, text)
    for key in table:
        if key not in ("case", "model"):
            raise DataError(f"{path}: unknown table {key!r}; models are written as [[case]]")
    entries = table.get("case", table.get("model", []))
    if "case" in table and "model" in table:
        raise DataError(f"{path}: has both [[case]] and [[model]]; use one of them")
    if not isinstance(entries, list) or not entries:
        raise DataError(f"{path} has no [[case]]")
    cases = [_case(entry, number, source) for number, entry in enumerate(entries)]
    seen: set[str] = set()
    for number, case in enumerate(cases):
        if case.name in seen:
            raise DataError(f"{source.at(number, 'name')}: more than one case {case.name!r}")
        seen.add(case.name)
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
