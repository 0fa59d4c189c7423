"""A suite's outcome, the result first: a line for each model, what needs a word, and the totals."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence

from lmerbridge.crosscheck.compare import Difference
from lmerbridge.crosscheck.report import SHORT_NAMES, totals
from lmerbridge.crosscheck.suite import GOLDEN, POLISHED, CaseReport, Outcome

__all__ = [
    "ADVICE",
    "DEFAULT_COLUMNS",
    "MARKS",
    "conclusion",
    "mark_of",
    "outcome_text",
    "overview_text",
    "seconds_of",
    "worst_difference",
]

DEFAULT_COLUMNS = 120  # columns, where the output is no terminal
MIN_TEXT_COLUMNS = 30  # columns, for a text beside what comes before it
MARKS = ("ok", "note", "skip", "FAIL")
QUIET_VERDICTS = ("agree", "reference", "error as expected")
ALLOWED_VERDICTS = ("refused", "unavailable")  # nothing to say of an engine that need not take part

# What to do about a verdict, where there is something to do.
ADVICE = {
    "better optimum": "use these numbers, or give {against} tighter tolerances (control =)",
    "other optimum": "do not use its numbers; give it another start, or another optimizer",
    "same optimum, other definition": "nothing; compare only what both define alike",
    "boundary": "nothing; a variance is 0: consider a simpler model",
    "flat": "nothing; report fewer digits, or a simpler model",
    "other data": "compare the rows, levels and columns that it read with those of {against}",
    "other criterion": "ask it for the same criterion and weights, or leave it out (engines =)",
    "drift": "if the change is right, record the baseline anew (--record)",
    "other model": "if the change is right, record the baseline anew (--record)",
    "incomplete baseline": "record the baseline anew (--record)",
    "not converged": "do not use its numbers; give it another start, or another optimizer",
    "refused": "leave it out (engines =), or say that it is right (expect =)",
    "unavailable": "`lmerbridge doctor` says how to make it work",
    "failed": "mend what the message says",
    "unexplained": "trust neither, and please report it, with the page that --html writes",
}


def _needs_no_word(outcome: Outcome) -> bool:
    kind = outcome.verdict.kind
    if not outcome.well or outcome.moved or outcome.notes:
        return False
    return kind in QUIET_VERDICTS or kind in ALLOWED_VERDICTS or kind in outcome.expected


def mark_of(report: CaseReport) -> str:
    """Say how a model came out, in one of :data:`MARKS`."""
    if not report.well:
        return "FAIL"
    if report.skipped:
        return "skip"
    plain = not report.change and all(_needs_no_word(o) for o in report.outcomes)
    return "ok" if plain else "note"


def worst_difference(report: CaseReport) -> str:
    """The difference of engines that agree that is the largest part of its limit, with that limit:
    ``SE 3e-05 of 1e-03``; empty where nothing was compared.
    """
    agreeing = [o for o in report.outcomes if o.verdict.kind == "agree"]
    seen = [
        d
        for o in agreeing
        for d in o.differences
        if d.difference is not None and d.tolerance.limit > 0
    ]
    if not seen:
        return ""
    worst = max(seen, key=lambda d: (d.difference or 0.0) / d.tolerance.limit)
    assert worst.difference is not None
    value = "0" if worst.difference == 0 else f"{worst.difference:.0e}"
    return f"{SHORT_NAMES[worst.quantity]} {value} of {worst.tolerance.limit:.0e}"


def seconds_of(report: CaseReport) -> float:
    """The seconds that the fits of a model took."""
    return sum(o.seconds for o in report.outcomes if math.isfinite(o.seconds))


def _engines(outcomes: Sequence[Outcome]) -> str:
    return ", ".join(dict.fromkeys(o.engine for o in outcomes))


def _other(name: str) -> str:
    """What the numbers are that a fit is compared with, in words."""
    return {GOLDEN: "lme4's stored numbers", POLISHED: "lme4"}.get(name, name)


def outcome_text(report: CaseReport) -> str:
    """Who agrees, and the verdicts of the others."""
    if report.skipped:
        return report.skipped
    agreeing = [o for o in report.outcomes if o.verdict.kind in ("agree", "reference")]
    named = {o.engine for o in agreeing}
    stored = {o.against for o in agreeing if o.verdict.kind == "agree"} - named - {""}
    said = []
    if agreeing:
        verb = "agrees" if len(agreeing) == 1 else "agree"
        one = stored and len(agreeing) == 1  # of several it is plain with whom
        who = f" with {', '.join(map(_other, sorted(stored)))}" if one else ""
        alone = len(agreeing) == 1 and not stored
        ending = " alone" if len(report.outcomes) == 1 else ""
        said.append(_engines(agreeing) + (ending if alone else f" {verb}{who}"))
    others: dict[str, list[Outcome]] = {}
    for outcome in report.outcomes:
        kind = outcome.verdict.kind
        if kind in ("agree", "reference"):
            continue
        words = kind if outcome.well else kind.upper()
        if kind in outcome.expected and outcome.well:
            words += " (expected)"
        elif outcome.moved:
            words += " (another version than the one it was seen on)"
        others.setdefault(words, []).append(outcome)
    for words, outcomes in others.items():
        names = _engines(outcomes)
        said.append(words if names == "all" else f"{names}: {words}")
    return "; ".join(said)


def _line(report: CaseReport, name_width: int, worst_width: int, width: int) -> str:
    begin = f"{mark_of(report):4}  {report.case.name:{name_width}}  "
    begin += f"{seconds_of(report):6.1f} s  {worst_difference(report):{worst_width}}  "
    text = outcome_text(report).replace("\n", " ")
    room = width - len(begin)
    if room < MIN_TEXT_COLUMNS and len(text) > room:  # a narrow terminal
        return "\n".join([begin.rstrip(), *_indented(text, width)])
    lines = textwrap.wrap(text, width=room, break_long_words=False, break_on_hyphens=False)
    return f"\n{' ' * len(begin)}".join([begin + (lines or [""])[0], *lines[1:]]).rstrip()


def _indented(text: str, width: int, begin: str = "      ") -> list[str]:
    return textwrap.wrap(
        text.replace("\n", " "),
        width=width,
        initial_indent=begin,
        subsequent_indent="      ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _apart(difference: Difference) -> str:
    if difference.problem is not None or difference.difference is None:
        return f"{difference.quantity}: {difference.problem}"
    return (
        f"{difference.quantity}, {difference.place}: {difference.difference:.2g} "
        f"({difference.tolerance.unit}; limit {difference.tolerance.limit:g})"
    )


def _block(report: CaseReport, width: int) -> list[str]:
    """What needs a word: the verdict, a sentence, what to do; of a failure also what is apart."""
    mark, name = mark_of(report), report.case.name
    lines = []
    if report.change:
        lines += _indented(f"{mark:4}  {name}: the data changed: {report.change}", width, "")
    said: dict[str, list[Outcome]] = {}
    for outcome in report.outcomes:
        if not _needs_no_word(outcome) and outcome.verdict.kind not in ("agree", "reference"):
            said.setdefault(outcome.verdict.kind, []).append(outcome)
    noted = [o for o in report.outcomes if o.notes]
    for kind, outcomes in said.items():
        first = outcomes[0]
        words = kind if all(o.well for o in outcomes) else kind.upper()
        names = _engines(outcomes)
        who = "" if names == "all" else f" ({names})"
        lines += _indented(f"{mark:4}  {name}: {words}{who}", width, "")
        lines += _indented(first.verdict.sentence, width)
        if kind == "other model":  # the facts are the change itself
            for fact in first.verdict.facts:
                lines += _indented(str(fact), width)
        if not first.well and first.expected:
            wanted = " or ".join(repr(one) for one in first.expected)
            lines += _indented(f"the verdict expected was {wanted}", width)
        if first.moved:
            lines += _indented(
                f"it was {' or '.join(first.expected or ('agree',))} with {first.engine} "
                f"{first.seen_on}; this is {first.version}, which is not a fault of this run",
                width,
            )
        if not first.well:
            beyond = [d for d in first.differences if not d.agrees]
            for d in beyond[:2]:
                lines += _indented(f"apart: {_apart(d)}", width)
            if len(beyond) > 2:
                lines += _indented(f"and {len(beyond) - 2} more quantities", width)
        if kind in ADVICE:
            located = kind == "other data" and bool(report.change)
            advice = ADVICE["drift" if located else kind].format(
                against=_other(first.against) or "the other one"
            )
            lines += _indented(f"-> {advice}", width)
    explained = "better optimum" in said  # which says the same of the others
    for outcome in noted:
        notes = [n for n in outcome.notes if not (explained and n.startswith("it stopped "))]
        for note in notes:
            begin = "      " if lines else ""
            head = "" if lines else f"{mark:4}  {name}: "
            lines += _indented(f"{head}{outcome.engine}: {note}", width, begin)
    return lines


def conclusion(reports: Sequence[CaseReport], where: str = "at FAIL above") -> str:
    """One sentence that says the result to somebody who sees it for the first time; ``where``
    stands what to do.
    """
    failed = [r.case.name for r in reports if not r.well]
    if failed:
        of = "1 model needs" if len(failed) == 1 else f"{len(failed)} models need"
        return f"Not well: {of} care ({', '.join(failed)}); what to do stands {where}."
    compared = any(
        d.difference is not None for r in reports for o in r.outcomes for d in o.differences
    )
    if not compared:
        return "Nothing is wrong, and no two fits were there to compare."
    if any(mark_of(r) == "note" for r in reports):
        return (
            "All is well: the engines give the same numbers, or it is known why not, and who is "
            "right (see the notes)."
        )
    return "All is well: wherever two engines can be compared, they give the same numbers."


def _versions(reports: Sequence[CaseReport]) -> str:
    found: dict[str, str] = {}
    for report in reports:
        for o in report.outcomes:
            if o.version and o.engine != "all":
                found.setdefault(o.engine, o.version)
            if "R" in o.versions:
                found.setdefault("R", o.versions["R"])
    return ", ".join(f"{name} {version}" for name, version in found.items())


def _lines_of_skipped(reports: Sequence[CaseReport], width: int) -> list[str]:
    """Those that are skipped for one reason are said together."""
    by_reason: dict[str, list[str]] = {}
    for report in reports:
        by_reason.setdefault(report.skipped, []).append(report.case.name)
    lines = []
    for reason, names in by_reason.items():
        lines += _indented(f"skip  {', '.join(names)}: {reason}", width, "")
    return lines


def overview_text(reports: Sequence[CaseReport], width: int = DEFAULT_COLUMNS) -> str:
    """The overview.

    A line for each model: its mark, the seconds that its fits took, the worst difference of those
    that agree, and who agrees; then a block for each that is not plain agreement, failures last;
    then the totals and a conclusion.

    Parameters
    ----------
    reports : sequence of CaseReport
    width : int
        Columns; what is longer goes on in the next line.
    """
    ran = [r for r in reports if mark_of(r) != "skip"]
    names = max((len(r.case.name) for r in ran), default=5)
    worst = max((len(worst_difference(r)) for r in ran), default=0)
    lines = []
    versions = _versions(reports)
    if versions:
        lines += _indented(versions, width, "")
    if worst:
        worst = max(worst, len("worst difference"))
        lines.append(f"      {'model':{names}}  {'time':>8}  {'worst difference':{worst}}  engines")
    lines += [_line(report, names, worst, width) for report in ran]
    lines += _lines_of_skipped([r for r in reports if mark_of(r) == "skip"], width)
    blocks = [_block(r, width) for mark in ("note", "FAIL") for r in ran if mark_of(r) == mark]
    for block in blocks:
        lines += block
    if any(blocks):
        lines.insert(len(lines) - sum(map(len, blocks)), "")
    lines += ["", *textwrap.wrap(totals(reports), width=width, break_on_hyphens=False)]
    return "\n".join([*lines, *textwrap.wrap(conclusion(reports), width=width)])
