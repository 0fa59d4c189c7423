"""Fits compared with what was recorded on another machine, version or day."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lmerbridge.crosscheck.compare import compare
from lmerbridge.crosscheck.record import quantities_from_plain, quantities_to_plain
from lmerbridge.crosscheck.suite import CaseReport, Outcome
from lmerbridge.crosscheck.verdict import Fact, Verdict
from lmerbridge.errors import DataError

__all__ = ["against_baseline", "load_baseline", "record_baseline"]

FORMAT = "lmerbridge-baseline/1"


def record_baseline(reports: Sequence[CaseReport], path: Path) -> int:
    """Write the engines' numbers to ``path``; the number of fits recorded.

    Only numbers that are well are recorded: a baseline of wrong ones would keep them.
    """
    fits: dict[str, Any] = {}
    for report in reports:
        own = {
            o.engine: {
                "version": o.version,
                "theta": list(o.theta),
                "quantities": quantities_to_plain(o.quantities, all_of_it=True),
            }
            for o in report.outcomes
            if o.quantities is not None and o.well
        }
        if own:
            fits[report.case.name] = {
                "formula": report.case.formula,
                "REML": report.case.REML,
                "data": report.case.data,
                "fingerprint": report.fingerprint,
                "engines": own,
            }
    record = {
        "format": FORMAT,
        "recorded": datetime.now(UTC).isoformat(timespec="seconds"),
        "platform": platform.platform(),
        "fits": fits,
    }
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return sum(len(f["engines"]) for f in fits.values())


def load_baseline(path: Path) -> dict[str, Any]:
    """A recorded baseline.

    Raises
    ------
    DataError
        There is none, or it is not one.
    """
    try:
        record: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is no baseline: {error}") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise DataError(
            f"{path} is no baseline: it lacks format = {FORMAT!r}; make one by --record"
        )
    return record


def _judged(
    outcome: Outcome, report: CaseReport, kept: Mapping[str, Any], stamp: Mapping[str, Any]
) -> Outcome:
    own = kept["engines"].get(outcome.engine)
    name = "baseline"
    if outcome.quantities is None:
        if own is None:
            return outcome
        verdict = Verdict(
            "failed",
            f"{outcome.engine} gave numbers for the baseline, and now: {outcome.verdict.sentence}",
        )
        return replace(outcome, verdict=verdict, against=name)
    if own is None:
        return replace(
            outcome, notes=(*outcome.notes, f"the baseline has no fit by {outcome.engine}")
        )
    changed = [
        Fact(f"{what}: {kept[what]!r} then, {now!r} now")
        for what, now in (("formula", report.case.formula), ("REML", report.case.REML))
        if kept[what] != now
    ]
    before = quantities_from_plain(own["quantities"])
    differences = tuple(compare(before, outcome.quantities, report.case.tolerances))
    wrong = [d for d in differences if not d.agrees]
    versions = (
        f"{outcome.engine} {own['version']} on {stamp['platform']}, recorded {stamp['recorded']}",
        f"{outcome.engine} {outcome.version} on {platform.platform()}",
    )
    if changed:
        verdict = Verdict("other model", "the model is not the one of the baseline", tuple(changed))
    elif kept["fingerprint"] != report.fingerprint:
        rows = before.values["nobs"].get("nobs"), outcome.quantities.values["nobs"].get("nobs")
        verdict = Verdict(
            "other data",
            "the data is not that of the baseline, so that a difference says nothing of the engine",
            (
                Fact(f"rows: {rows[0]:.0f} then, {rows[1]:.0f} now"),
                Fact(
                    f"fingerprint: {kept['fingerprint'][:12]} then, {report.fingerprint[:12]} now"
                ),
            ),
        )
    elif not wrong:
        return replace(
            outcome,
            verdict=Verdict("agree", f"{outcome.engine} agrees with the baseline"),
            against=name,
            differences=differences,
        )
    else:
        gap = (
            outcome.quantities.values["criterion"]["criterion"]
            - before.values["criterion"]["criterion"]
        )
        same = own["version"] == outcome.version
        cause = "another machine or library" if same else "another version of the engine"
        verdict = Verdict(
            "drift",
            f"{outcome.engine} gives other numbers than the baseline for the same data and model "
            f"({cause}); its criterion moved by {gap:+.2g}",
            tuple(Fact(v) for v in versions),
        )
    return replace(outcome, verdict=verdict, against=name, differences=differences)


def against_baseline(
    reports: Sequence[CaseReport], baseline: Mapping[str, Any]
) -> list[CaseReport]:
    """Each report judged against the baseline: agreement, drift of the engine, change of the data,
    or change of the model. A model that the baseline lacks keeps its verdicts, with a note.
    """
    found = []
    for report in reports:
        kept = baseline["fits"].get(report.case.name)
        if kept is None:
            outcomes = tuple(
                replace(o, notes=(*o.notes, "the baseline has no such model"))
                for o in report.outcomes
            )
        else:
            outcomes = tuple(_judged(o, report, kept, baseline) for o in report.outcomes)
        found.append(replace(report, outcomes=outcomes))
    return found
