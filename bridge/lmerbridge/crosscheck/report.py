"""A suite's outcome as text."""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import tabulate

from lmerbridge.crosscheck.compare import Comparison
from lmerbridge.crosscheck.suite import CaseReport
from lmerbridge.crosscheck.tolerances import TOLERANCES

__all__ = ["suite_text"]

_SHORT = {
    "criterion": "criterion",
    "fixed effects": "fixef",
    "standard errors": "SE",
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


def _cell(comparison: Comparison) -> str:
    if comparison.problem is not None:
        return "!"
    if comparison.difference is None:
        return "-"
    mark = "" if comparison.agrees else "!"
    if comparison.difference == 0:
        return f"0{mark}"
    return f"{comparison.difference:.0e}{mark}"


def suite_text(reports: Sequence[CaseReport], explain: bool = True) -> str:
    """The table of agreement: per case and engine the worst difference of each quantity.

    ``!`` marks a difference beyond its tolerance; the lines under the table say which number.
    """
    names = [_SHORT[t.quantity] for t in TOLERANCES]
    rows: list[list[str]] = []
    notes: list[str] = []
    for report in reports:
        label = report.case.name
        if report.skipped:
            rows.append([label, "", "skipped"])
            notes.append(f"{label}: skipped: {report.skipped}")
        for outcome in report.outcomes:
            row = [
                label,
                outcome.engine,
                f"agrees with {outcome.against}"
                if outcome.verdict == "agree"
                else f"DIFFERS from {outcome.against}"
                if outcome.verdict == "differ"
                else outcome.verdict,
            ]
            row += [_cell(c) for c in outcome.comparisons]
            rows.append(row)
            if outcome.text and outcome.verdict in ("refused", "failed"):
                notes.append(f"{label}: {outcome.engine} {outcome.verdict}: {outcome.text}")
            elif outcome.text and outcome.verdict == "agree":
                notes.append(f"{label}: {outcome.engine}: {outcome.text}")
            for c in outcome.comparisons:
                if not c.agrees:
                    what = c.problem or (
                        f"{c.key}: {c.difference:.2g} ({c.tolerance.unit}; "
                        f"limit {c.tolerance.limit:g})"
                    )
                    notes.append(
                        f"{label}: {outcome.engine} against {outcome.against}, {c.quantity}: {what}"
                    )
    lines = [
        tabulate(
            rows,
            headers=["case", "engine", "verdict", *names],
            tablefmt="simple",
            disable_numparse=True,
        )
    ]
    if notes:
        lines += ["", *notes]
    if explain:
        lines += [
            "",
            "Each cell is the worst difference over all keys of a quantity, in this unit:",
        ]
        lines += [
            f"  {_SHORT[t.quantity]:9} {t.unit}, limit {t.limit:g}: {t.reason}" for t in TOLERANCES
        ]
    compared = [o for r in reports for o in r.outcomes if o.verdict in ("agree", "differ")]
    agreeing = sum(o.verdict == "agree" for o in compared)
    failed = sum(o.verdict == "failed" for r in reports for o in r.outcomes)
    refused = sum(o.verdict == "refused" for r in reports for o in r.outcomes)
    skipped = sum(bool(r.skipped) for r in reports)
    expected = sum(o.verdict == "error as expected" for r in reports for o in r.outcomes)
    summary = f"{agreeing} of {len(compared)} comparisons agree"
    for count, what in (
        (failed, "failed"),
        (refused, "refused"),
        (skipped, "skipped"),
        (expected, "refused as they must be"),
    ):
        summary += f", {count} {what}" if count else ""
    return "\n".join([*lines, "", f"{len(reports)} cases: {summary}."])
