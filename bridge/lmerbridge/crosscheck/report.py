"""A suite's outcome as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tabulate import tabulate

from lmerbridge.crosscheck.compare import Difference
from lmerbridge.crosscheck.suite import CaseReport, Outcome
from lmerbridge.crosscheck.tolerances import TOLERANCES
from lmerbridge.crosscheck.verdict import VERDICTS, Verdict

__all__ = [
    "SHORT_NAMES",
    "difference_cell",
    "explanations",
    "suite_rows",
    "suite_text",
    "totals",
    "verdict_cell",
]

SHORT_NAMES = {
    "criterion": "criterion",
    "fixed effects": "fixef",
    "standard errors": "SE",
    "correlation of fixed effects": "corFE",
    "std. deviations": "SD",
    "correlations": "corr",
    "modes": "ranef",
    "conditional SDs": "condsd",
    "fitted": "fitted",
    "AIC": "AIC",
    "BIC": "BIC",
    "df": "df",
    "nobs": "nobs",
}


def difference_cell(comparison: Difference) -> str:
    """A difference in a table; ``!`` marks one beyond its tolerance."""
    if comparison.problem is not None:
        return "!"
    if comparison.difference is None:
        return "-"
    mark = "" if comparison.agrees else "!"
    if comparison.difference == 0:
        return f"0{mark}"
    return f"{comparison.difference:.0e}{mark}"


def _note(difference: Difference) -> str:
    return difference.problem or (
        f"{difference.place}: {difference.difference:.2g} ({difference.tolerance.unit}; "
        f"limit {difference.tolerance.limit:g})"
    )


def verdict_cell(outcome: Outcome) -> str:
    """The verdict in a table: whom it agrees with, and a mark where it is not well."""
    kind = outcome.verdict.kind
    if kind == "agree" and not outcome.moved:
        return f"agrees with {outcome.against}"
    text = f"{kind} than {outcome.against}" if kind == "better optimum" else kind
    if outcome.moved:
        return f"{text} (of another version)"
    if kind in outcome.expected and outcome.well:
        return f"{text} (expected)"
    return text if outcome.well else text.upper()


def explanations(report: CaseReport) -> list[str]:
    """Per outcome that is more than agreement: one sentence, the evidence, what is beyond its
    tolerance.
    """
    lines = []
    label = report.case.name
    if report.skipped:
        lines.append(f"{label}: skipped: {report.skipped}")
    if report.change:
        lines.append(f"{label}: {report.change}")
    said: list[Verdict] = []
    for outcome in report.outcomes:
        verdict = outcome.verdict
        quiet = verdict.kind in ("agree", "reference", "unavailable", "error as expected")
        if (not quiet or not outcome.well) and verdict not in said:
            said.append(verdict)
            # what is so of several engines is said once
            engines = ", ".join(o.engine for o in report.outcomes if o.verdict == verdict)
            lines.append(f"{label}: {engines}: {verdict.kind}: {verdict.sentence}")
            lines += [f"    {fact}" for fact in verdict.facts]
        for d in outcome.differences:
            if not d.agrees and verdict.kind != "agree":
                lines.append(f"    beyond tolerance of {outcome.against}, {d.quantity}: {_note(d)}")
        lines += [f"{label}: {outcome.engine}: {note}" for note in outcome.notes]
        if not outcome.as_expected and (outcome.expected or outcome.moved):
            wanted = " or ".join(repr(kind) for kind in outcome.expected or ("agree",))
            line = f"{label}: {outcome.engine}: the verdict expected was {wanted}"
            if outcome.moved:
                line += (
                    f", as of {outcome.engine} {outcome.seen_on}; this is {outcome.version}, "
                    "which is not a fault of this run"
                )
            lines.append(line)
    return lines


def suite_rows(reports: Sequence[CaseReport]) -> tuple[list[str], list[list[str]]]:
    """Headers and rows of the table of agreement."""
    rows = []
    for report in reports:
        label = report.case.name
        if report.skipped:
            rows.append([label, "", "skipped"])
        for outcome in report.outcomes:
            cells = {d.quantity: difference_cell(d) for d in outcome.differences}
            row = [label, outcome.engine, verdict_cell(outcome)]
            if cells:
                row += [cells.get(t.quantity, "") for t in TOLERANCES]
            rows.append(row)
    return ["case", "engine", "verdict", *(SHORT_NAMES[t.quantity] for t in TOLERANCES)], rows


def totals(reports: Sequence[CaseReport]) -> str:
    """The last line: how many models and fits, these by verdict, and models that could not run."""
    outcomes = [o for r in reports for o in r.outcomes]
    counts = Counter(o.verdict.kind for o in outcomes)
    parts = [f"{counts[kind]} {kind}" for kind in VERDICTS if counts[kind]]
    skipped = sum(bool(r.skipped) for r in reports)
    if skipped:
        parts.append(f"{skipped} skipped")
    wrong = sum(not o.well for o in outcomes)
    models = "1 model" if len(reports) == 1 else f"{len(reports)} models"
    fits = "1 fit" if len(outcomes) == 1 else f"{len(outcomes)} fits"
    ending = "all well." if not wrong else f"{wrong} not well."
    return f"{models}, {fits}: {', '.join(parts)}; {ending}"


def suite_text(reports: Sequence[CaseReport], explain: bool = True) -> str:
    """The table of agreement: per case and engine the worst difference of each quantity.

    ``!`` marks a difference beyond its tolerance; the lines under the table say what it means.
    """
    headers, rows = suite_rows(reports)
    lines = [tabulate(rows, headers=headers, tablefmt="simple", disable_numparse=True)]
    notes = [line for report in reports for line in explanations(report)]
    if notes:
        lines += ["", *notes]
    if explain:
        lines += [
            "",
            "Each cell is the worst difference over all keys of a quantity, in this unit:",
        ]
        lines += [
            f"  {SHORT_NAMES[t.quantity]:9} {t.unit}, limit {t.limit:g}: {t.reason}"
            for t in TOLERANCES
        ]
    return "\n".join([*lines, "", totals(reports)])
