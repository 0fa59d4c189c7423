"""Engines without which a check is not well, wherever it runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from lmerbridge.crosscheck.cases import Case
from lmerbridge.crosscheck.expectations import UNAVAILABLE, known_engine
from lmerbridge.crosscheck.suite import CaseReport
from lmerbridge.errors import DataError

__all__ = ["demanded", "for_a_run", "listed", "missing", "of_environment"]

R_ENGINE = "lme4"


def listed(names: Sequence[str]) -> list[str]:
    """The names in options that may be repeated and may be lists: ``["a,b", "c"]``."""
    found = [name.strip() for text in names for name in text.split(",")]
    return list(dict.fromkeys(name for name in found if name))


def of_environment(engines: Sequence[str] | None) -> tuple[str, ...]:
    """What ``LMERBRIDGE_REQUIRE_R=1`` requires of a check by ``engines`` (``None``: by all)."""
    set_ = os.environ.get("LMERBRIDGE_REQUIRE_R") == "1"
    return (R_ENGINE,) if set_ and (engines is None or R_ENGINE in engines) else ()


def demanded(cases: Sequence[Case], names: Sequence[str], where: str) -> list[Case]:
    """The cases, each requiring those of the engines ``names`` that may fit it.

    Raises
    ------
    DataError
        There is no such engine, or none of the cases may be fitted by it; ``where`` begins the
        message.
    """
    for name in names:
        known_engine(name, where)
        if not any(case.takes(name) for case in cases):
            raise DataError(
                f"{where}: engine {name!r} is required, and fits no model here: the engines that "
                "they name leave it out"
            )
    return [
        replace(case, require=tuple(dict.fromkeys((*case.require, *filter(case.takes, names)))))
        for case in cases
    ]


def for_a_run(cases: Sequence[Case], names: Sequence[str], engines: Sequence[str]) -> list[Case]:
    """The cases with what a run requires: they themselves, the option ``--require`` (``names``)
    and the environment.

    Raises
    ------
    DataError
        As :func:`demanded`; or ``engines``, if any are named for the run, leave one out.
    """
    by_environment = of_environment(engines or None)
    found = demanded(cases, names, "--require")
    for case in found:
        for name in case.require:
            if engines and name not in engines:
                where = "--require" if name in names else case.where("require")
                raise DataError(
                    f"{where}: engine {name!r} is required, and --engine leaves it out: it names "
                    f"{', '.join(engines)}"
                )
    possible = [e for e in by_environment if any(case.takes(e) for case in cases)]
    return demanded(found, possible, "LMERBRIDGE_REQUIRE_R")


def missing(reports: Sequence[CaseReport]) -> dict[str, str]:
    """By engine that is required, missing and not allowed to be: what is wrong with it."""
    return {
        o.engine: o.verdict.sentence
        for report in reports
        for o in report.outcomes
        if o.required and o.verdict.kind == UNAVAILABLE and not o.well
    }
