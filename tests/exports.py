"""Where R's exports are here: the table ``stored/exports.toml``, and what it is checked by.

``benchmarks/exports.py`` makes docs/exports.md of it.
"""

from __future__ import annotations

import functools
import subprocess
import tomllib
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lmerbridge as lb
from lmerbridge.rlang import find_r

STORED = Path(__file__).parent / "stored" / "exports.toml"
PACKAGES = ("lme4", "lmerTest", "pbkrtest", "emmeans")
CLASSES = ("merMod", "lmerModLmerTest", "lm")

ASK = r"""
for (p in c("lme4", "lmerTest", "pbkrtest", "emmeans")) {
  names <- suppressMessages(getNamespaceExports(p))
  names <- names[!startsWith(names, ".__")]
  writeLines(paste(p, as.character(packageVersion(p)), names))
}
suppressMessages({library(lme4); library(lmerTest)})
for (class in c("merMod", "lmerModLmerTest", "lm"))
  writeLines(paste(class, "-", unique(attr(methods(class = class), "info")$generic)))
"""


@dataclass(frozen=True)
class Row:
    """One name of R: the Python that does it here, or why it is not here; and what differs."""

    group: str
    name: str
    here: str | None
    said: str


def rows() -> list[Row]:
    table = tomllib.loads(STORED.read_text("utf-8"))
    return [
        Row(group, name, entry.get("here"), entry.get("instead", entry.get("note", "")))
        for group in (*PACKAGES, *CLASSES)
        for name, entry in table[group].items()
    ]


def versions() -> dict[str, str]:
    """The packages' versions of which the table was reviewed."""
    return tomllib.loads(STORED.read_text("utf-8"))["versions"]


@functools.cache
def asked() -> tuple[dict[str, str], dict[str, set[str]]]:
    """The versions of R's packages here, and what each exports, or has methods for."""
    done = subprocess.run(
        [str(Path(find_r().home) / "bin" / "Rscript"), "--vanilla", "-e", ASK],
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, set[str]] = {}
    version: dict[str, str] = {}
    for line in done.stdout.splitlines():
        group, number, name = line.split(" ")
        found.setdefault(group, set()).add(name)
        if group in PACKAGES:
            version[group] = number
    return version, found


def missing(listed: list[Row], exports: dict[str, set[str]]) -> list[str]:
    """What R has and the table has not."""
    known = {(row.group, row.name) for row in listed}
    exported = {(group, name) for group, names in exports.items() for name in names}
    return sorted(f"{group}::{name}" for group, name in exported - known)


def gone(listed: list[Row], exports: dict[str, set[str]]) -> list[str]:
    """What the table has and R has not."""
    return sorted(f"{r.group}::{r.name}" for r in listed if r.name not in exports[r.group])


@functools.cache
def scope() -> dict[str, Any]:
    """What the table's expressions are about."""
    machines, sleepstudy = lb.datasets.load("Machines"), lb.datasets.load("sleepstudy")
    m = lb.lmer("score ~ Machine + (1 | Worker)", machines, engine="native")
    s = lb.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy, engine="native")
    return {
        "lb": lb,
        "d": machines,
        "sleepstudy": sleepstudy,
        "m": m,
        "m0": m.update(". ~ . - Machine"),
        "s": s,
        "e": m.emmeans("~ Machine"),
        "g": m.ref_grid(),
        "p": s.profile("sigma"),
        "r": lb.lm("score ~ Machine", machines),
        "r0": lb.lm("score ~ 1", machines),
    }


def failure(row: Row) -> str | None:
    """What the row's expression raises, if anything."""
    assert row.here is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            eval(row.here, dict(scope()))  # our own table
        except Exception as error:
            return f"{row.group}::{row.name}: {row.here}: {type(error).__name__}: {error}"
    return None
