"""A suite as a file: TOML, with ``[[model]]`` for each model (``[[case]]`` is read too).

::

    require = ["lme4"]                 # engines without which the run fails; before the first model
    seen_on = { nlme = "3.1.162" }     # versions that the verdicts of "expect" were seen on:
                                       # of another version another one is told, and does not fail

    [[model]]
    name = "oats"
    data = "oats.csv"                  # relative to the file; or a data set of this package
    formula = "yield ~ nitro + (1 | Block/Variety)"
    REML = false                       # default true
    weights = "w"                      # as for lmer(): also offset, subset, na_action
    contrasts = { Variety = "contr.sum" }
    control = { optimizer = "bobyqa", optCtrl = { maxfun = 20000 } }    # as for lmerControl()
    start = [1.0, 0.5]                 # theta
    timeout = 60                       # seconds
    family = 'binomial(link = "probit")'   # a generalized model, as for glmer()
    nAGQ = 1                           # of a generalized model
    engines = ["lme4", "native"]       # default: all that are available
    require = ["lme4"]                 # for this model alone
    shows = "a split plot"
    expect = { statsmodels = "refused" }   # where another verdict than agreement is right; several:
                                           # "other optimum or not converged", or a list
    error = "is rank deficient"        # a text that the refusal must contain

    [[model.tolerance]]                # another limit for this model, with the reason
    quantity = "criterion"
    limit = 1e-3
    reason = "lme4 stops early here"
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lmerbridge.crosscheck.cases import Case
from lmerbridge.crosscheck.expectations import expectations, known_engine
from lmerbridge.crosscheck.requirements import demanded
from lmerbridge.crosscheck.tolerances import changed_tolerances
from lmerbridge.design import lmerControl
from lmerbridge.engines import start_values, timeout_seconds
from lmerbridge.errors import DataError, near_match
from lmerbridge.family import family_of
from lmerbridge.files import data_folder

__all__ = ["load_cases"]

_TEXT = ("name", "data", "formula", "shows", "error", "weights", "offset", "subset", "na_action")
MOST_NODES = 100
_REQUIRED = ("name", "data", "formula")
_TABLES = ("model", "case")


class _Source:
    """The file's text, to name lines."""

    def __init__(self, path: Path, text: str):
        self.path = path
        self.lines = text.splitlines()
        header = re.compile(r"^\s*\[\[\s*(case|model)\s*\]\]")
        self.starts = [i for i, line in enumerate(self.lines) if header.match(line)]

    def _find(self, key: str, first: int, last: int) -> int | None:
        wanted = re.compile(rf"^\s*(\[\[?\s*\w+\s*\.\s*)?[\"']?{re.escape(key)}[\"']?\s*[\]=.]")
        return next((i for i in range(first, last) if wanted.match(self.lines[i])), None)

    def at(self, number: int, key: str | None = None) -> str:
        """``path:line`` of a key of the model with this number, or of its header."""
        if number >= len(self.starts):
            return str(self.path)
        first = self.starts[number]
        last = self.starts[number + 1] if number + 1 < len(self.starts) else len(self.lines)
        line = None if key is None else self._find(key, first, last)
        return f"{self.path}:{(first if line is None else line) + 1}"

    def above(self, key: str) -> str:
        """``path:line`` of a key of the file itself."""
        line = self._find(key, 0, self.starts[0] if self.starts else len(self.lines))
        return str(self.path) if line is None else f"{self.path}:{line + 1}"


def _engines(value: Any, key: str, where: str) -> tuple[str, ...]:
    names = [value] if key == "require" and isinstance(value, str) else value
    if not isinstance(names, list) or not names or not all(isinstance(e, str) for e in names):
        raise DataError(f'{where}: {key} must be ["...", ...]')
    return tuple(known_engine(name, where) for name in dict.fromkeys(names))


def _contrasts(value: Any, where: str) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise DataError(f'{where}: contrasts must be {{ name = "...", ... }}')
    return value


def _control(value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise DataError(f'{where}: control must be {{ optimizer = "...", ... }}')
    return _said(lambda: lmerControl(**value), where)


def _family(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise DataError(f"{where}: family must be a text in quotes, as R writes it")
    read = _said(lambda: family_of(value), where)
    if (read.name, read.link.name) == ("gaussian", "identity"):
        raise DataError(f"{where}: this is the family of a linear model; leave it out")
    return value


def _nodes(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_NODES:
        raise DataError(f"{where}: nAGQ must be a whole number from 0 to {MOST_NODES}")
    return value


def _said(do: Callable[[], Any], where: str) -> Any:
    """What ``do`` gives; its error, if there is one, with the place before it."""
    try:
        return do()
    except DataError as error:
        raise DataError(f"{where}: {error}") from error


# How a value that is no plain text is read, given the place for a message.
_READERS: Mapping[str, Callable[[Any, str], Any]] = {
    "contrasts": _contrasts,
    "control": _control,
    "start": lambda value, where: _said(lambda: start_values(value), where),
    "timeout": lambda value, where: _said(lambda: timeout_seconds(value), where),
    "family": _family,
    "nAGQ": _nodes,
    "engines": lambda value, where: _engines(value, "engines", where),
    "require": lambda value, where: _engines(value, "require", where),
}
_KEYS = {*_TEXT, *_READERS, "REML", "expect", "tolerance"}


def _case(entry: Mapping[str, Any], number: int, source: _Source) -> Case:
    name = entry.get("name", number + 1)
    for key in entry:
        if key not in _KEYS:
            raise DataError(
                f"{source.at(number, key)}: model {name!r} has an unknown key {key!r}"
                f"{near_match(key, _KEYS)}"
            )
    for key in _REQUIRED:
        if not isinstance(entry.get(key), str):
            raise DataError(f'{source.at(number, key)}: model {name!r} needs {key} = "..."')
    for key in _TEXT:
        if key in entry and not isinstance(entry[key], str):
            raise DataError(f"{source.at(number, key)}: {key} must be a text in quotes")
    if not isinstance(entry.get("REML", True), bool):
        raise DataError(f"{source.at(number, 'REML')}: REML must be true or false")
    if "family" not in entry and "nAGQ" in entry:
        raise DataError(f"{source.at(number, 'nAGQ')}: nAGQ is of a model with a family")
    if "family" in entry and "REML" in entry:
        raise DataError(f"{source.at(number, 'REML')}: REML is of a model without a family")
    values = dict(entry)
    for key, read in _READERS.items():
        if key in values:
            values[key] = read(values[key], source.at(number, key))
    values["expect"] = expectations(
        values.pop("expect", {}), source.at(number, "expect"), values.get("engines")
    )
    tolerances = changed_tolerances(values.pop("tolerance", []), source.at(number, "tolerance"))
    places = {"": source.at(number), **{key: source.at(number, key) for key in entry}}
    case = Case(folder=source.path.parent, tolerances=tolerances, places=places, **values)
    for engine in case.require:
        if not case.takes(engine):
            raise DataError(
                f"{source.at(number, 'require')}: {engine!r} is required, and does not fit model "
                f"{name!r}: "
                + ("the model must be refused" if case.error else "its engines leave it out")
            )
    return case


def _entries(table: Mapping[str, Any], path: Path) -> list[Any]:
    for key in table:
        if key not in (known := (*_TABLES, "require", "seen_on")):
            raise DataError(
                f"{path}: unknown table or key {key!r}{near_match(key, known)}; models are "
                "written as [[model]], and what is required of all of them as require = [...] "
                "before the first"
            )
    if all(name in table for name in _TABLES):
        raise DataError(f"{path}: has both [[model]] and [[case]]; use [[model]] alone")
    entries = next((table[name] for name in _TABLES if name in table), None)
    if (
        not isinstance(entries, list)
        or not entries
        or not all(isinstance(e, dict) for e in entries)
    ):
        raise DataError(f"{path} has no [[model]]")
    return list(entries)


def _seen_on(value: Any, where: str) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise DataError(f'{where}: seen_on must be {{ engine = "version", ... }}')
    return {known_engine(name, where): version for name, version in value.items()}


def load_cases(path: Path | None = None) -> list[Case]:
    """The cases of a TOML file (default: this package's reference suite).

    Raises
    ------
    DataError
        The file is not one of models; the message names the line.
    """
    path = path or data_folder("reference") / "cases.toml"
    try:
        text = path.read_text("utf-8")
        table = tomllib.loads(text)
    except OSError as error:
        raise DataError(f"the models of {path} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DataError(f"{path}: {error}") from error
    source = _Source(path, text)
    entries = _entries(table, path)
    cases = [_case(entry, number, source) for number, entry in enumerate(entries)]
    seen: set[str] = set()
    for number, case in enumerate(cases):
        if case.name in seen:
            raise DataError(f"{source.at(number, 'name')}: more than one model {case.name!r}")
        seen.add(case.name)
    if "seen_on" in table:
        seen_on = _seen_on(table["seen_on"], source.above("seen_on"))
        cases = [replace(case, seen_on=seen_on) for case in cases]
    if "require" in table:
        where = source.above("require")
        return demanded(cases, _engines(table["require"], "require", where), where)
    return cases
