"""lme4 compared with lme4: which numbers move from one R to another, and what is known of why."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from lmerbridge.crosscheck.cases import Case
from lmerbridge.crosscheck.suite import CaseReport, Outcome
from lmerbridge.crosscheck.verdict import Fact, Verdict
from lmerbridge.crosscheck.versions import Change, changed_versions, changes_between
from lmerbridge.engines import EngineName, engine_name, status_of
from lmerbridge.errors import DataError
from lmerbridge.rlang import RCommand, RInstallation, RpyProblem, probed, r, r_in_use, r_of

__all__ = ["between", "drifted", "engines_of", "for_an_upgrade"]

# Of what NEWS say, what moves each quantity; all others move with the fit.
_COUNTED = ("AIC", "BIC", "df")
_OF_A_FIT = ("fit", "counts", "convergence")
_NO_NUMBERS = ("failed", "refused", "unavailable")


def _command(named: EngineName | os.PathLike[str]) -> RCommand:
    if isinstance(named, RCommand):
        return named
    text = os.fspath(named)
    return r(r_of(text).text)


def _name(command: RCommand) -> str:
    """The name of lme4 in an R: with its version, where no other R that is found has it."""
    said = probed(command)
    if isinstance(said, RInstallation):
        try:
            if r_of(said.version) == command:
                return f"lme4@{said.version}"
        except DataError:  # two have this version
            pass
    return engine_name(command)


def engines_of(named: Sequence[EngineName | os.PathLike[str]], where: str) -> list[str]:
    """The names of lme4 in each R that is named. The first is the reference; where one R is named
    alone, the R in use is.

    Raises
    ------
    DataError
        One is no R, or has no lme4, or two are the same; ``where`` begins the message.
    """
    try:
        commands = [_command(one) for one in named]
    except DataError as error:
        raise DataError(f"{where}: {error}") from error
    alone = len(commands) == 1
    if alone:
        used = r_in_use()
        if isinstance(used, RpyProblem):
            raise DataError(
                f"{where}: one R is named, and there is none to compare it with: {used.what}"
            )
        commands.insert(0, used)
    for place, command in enumerate(commands):
        if command in commands[:place]:
            other = commands[commands.index(command)]
            what = "is the R in use" if alone else f"and {other} are the same R"
            raise DataError(
                f"{where}: {command} {what}, which can only agree with itself; name another"
            )
    names = [_name(r(command.text)) for command in commands]
    for name, command in zip(names, commands, strict=True):
        state = status_of(name)
        if not state.available:
            mend = f"; mend it with: {state.fix}" if state.fix else ""
            raise DataError(f"{where}: {command} cannot take part: {state.problem}{mend}")
    return names


def for_an_upgrade(cases: Sequence[Case], engines: Sequence[str]) -> list[Case]:
    """The cases that can be fitted, by these engines alone, which are compared with the first."""
    return [
        replace(
            case,
            engines=tuple(engines),
            require=tuple(engines),
            reference=engines[0],
            expect={},
            seen_on={},
        )
        for case in cases
        if case.error is None
    ]


def _news(then: Mapping[str, str], now: Mapping[str, str]) -> list[Change]:
    both = [name for name in then if now.get(name) and then[name] != now[name]]
    return [change for name in both for change in changes_between(name, then[name], now[name])]


def _concerns(change: Change, formula: str) -> bool:
    """Whether a change of the formula language is of a function that this formula has."""
    if "formula" not in change.touches:
        return True
    return any(f"{name}(" in formula for name in re.findall(r"(\w+)\(", change.what))


def _facts(first: Outcome, outcome: Outcome, formula: str) -> tuple[Fact, ...]:
    """What NEWS have that moves such numbers; which of it is the reason, NEWS do not say."""
    wrong = {d.quantity for d in outcome.differences if not d.agrees}
    kinds = {"counts" if quantity in _COUNTED else "fit" for quantity in wrong}
    news = [c for c in _news(first.versions, outcome.versions) if _concerns(c, formula)]
    known = [c for c in news if kinds & set(c.touches)]
    if known:
        return tuple(Fact(f"may be of it, by the NEWS: {change}") for change in known)
    return (Fact("no item of NEWS between these versions is known to move such numbers"),)


def _drift(first: Outcome, outcome: Outcome, formula: str) -> Verdict:
    """What is said of an engine that does not agree with the reference."""
    was = outcome.verdict
    if outcome.quantities is None:
        sentence = f"{outcome.engine} does not fit it, and {first.engine} does: {was.sentence}"
        return Verdict("drift", sentence)
    if first.quantities is None:
        why = first.verdict.sentence
        sentence = f"{outcome.engine} fits it, and {first.engine} does not: {why}"
        return Verdict("drift", sentence)
    moved = changed_versions(first.versions, outcome.versions)
    return Verdict(
        "drift",
        f"{outcome.engine} gives other numbers than {first.engine} ({was.kind}): {was.sentence}; "
        f"{moved}",
        (*was.facts, *_facts(first, outcome, formula)),
    )


def drifted(report: CaseReport) -> CaseReport:
    """The report of a case that was fitted for an upgrade, in which whatever does not agree with
    the first engine is *drift*. What none of them fits has not moved.
    """
    reference = report.case.reference
    first = next((o for o in report.outcomes if o.engine == reference), None)
    if first is None or all(o.quantities is None for o in report.outcomes):
        return report
    outcomes = []
    for outcome in report.outcomes:
        if outcome.engine == reference:
            without = outcome.quantities is None
            outcomes.append(outcome if not without else replace(outcome, required=False))
        elif outcome.verdict.kind == "agree" and first.quantities is not None:
            outcomes.append(outcome)
        else:
            outcomes.append(
                replace(
                    outcome,
                    verdict=_drift(first, outcome, report.case.formula),
                    against=reference,
                    required=False,
                )
            )
    return replace(report, outcomes=tuple(outcomes))


def between(reports: Sequence[CaseReport]) -> list[str]:
    """What lies between the reference and each other engine, in lines: the versions that changed,
    and what their NEWS say of fits.
    """
    lines: list[str] = []
    said: set[str] = set()
    for report in reports:
        first = next((o for o in report.outcomes if o.engine == report.case.reference), None)
        for outcome in report.outcomes:
            if first is None or not first.versions or not outcome.versions:
                continue
            if outcome is first or outcome.engine in said:
                continue
            said.add(outcome.engine)
            moved = changed_versions(first.versions, outcome.versions)
            lines.append(f"from {first.engine} to {outcome.engine}: {moved}")
            for change in _news(first.versions, outcome.versions):
                if set(change.touches) & set(_OF_A_FIT):
                    lines.append(f"    NEWS of {change} ({', '.join(change.touches)})")
    return lines
