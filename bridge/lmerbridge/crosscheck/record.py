"""Reports as plain data, for files: JSON, baselines."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lmerbridge.crosscheck.cases import Case
from lmerbridge.crosscheck.compare import Difference
from lmerbridge.crosscheck.expectations import as_text, verdicts_in
from lmerbridge.crosscheck.quantities import Quantities
from lmerbridge.crosscheck.suite import CaseReport, Outcome
from lmerbridge.crosscheck.tolerances import TOLERANCES
from lmerbridge.crosscheck.verdict import Fact, Verdict

__all__ = ["from_plain", "quantities_from_plain", "quantities_to_plain", "to_plain"]

# Of a large model the other quantities would fill the file.
SHORT_FORMS = (
    "nobs",
    "criterion",
    "fixed effects",
    "standard errors",
    "std. deviations",
    "correlations",
    "AIC",
    "BIC",
    "df",
)


def _number(value: float | None) -> float | None:
    """JSON has no NaN and no infinity."""
    return float(value) if value is not None and math.isfinite(value) else None


def quantities_to_plain(q: Quantities, *, all_of_it: bool) -> dict[str, Any]:
    """A fit's numbers; ``all_of_it`` with modes and fitted values."""
    return {
        "source": q.source,
        "sigma": _number(q.sigma),
        "values": {
            name: {key: _number(v) for key, v in values.items()}
            for name, values in q.values.items()
            if all_of_it or name in SHORT_FORMS
        },
        "absent": dict(q.absent),
    }


def quantities_from_plain(plain: Mapping[str, Any]) -> Quantities:
    def numbers(values: Mapping[str, float | None]) -> dict[str, float]:
        return {k: math.nan if v is None else float(v) for k, v in values.items()}

    values = {name: numbers(found) for name, found in plain["values"].items()}
    units = {}
    for quantity, unit in (("fixed effects", "standard errors"), ("modes", "conditional SDs")):
        units[quantity] = values.get(unit, {})
        if not values.get(quantity, {}).keys() <= units[quantity].keys():
            del values[quantity]  # without its unit it cannot be compared
    sigma = math.nan if plain["sigma"] is None else float(plain["sigma"])
    return Quantities(plain["source"], values, sigma, units, dict(plain["absent"]))


def _outcome(o: Outcome) -> dict[str, Any]:
    return {
        "engine": o.engine,
        "version": o.version,
        "verdict": o.verdict.kind,
        "sentence": o.verdict.sentence,
        "well": o.well,
        "expected": as_text(o.expected),
        "required": o.required,
        "seen_on": o.seen_on,
        "versions": dict(o.versions),
        "against": o.against,
        "facts": [
            {"what": f.what, "value": _number(f.value), "unit": f.unit} for f in o.verdict.facts
        ],
        "seconds": _number(o.seconds),
        "theta": list(o.theta),
        "notes": list(o.notes),
        "differences": [
            {
                "quantity": d.quantity,
                "difference": _number(d.difference),
                "key": d.key,
                "row": d.row,
                "unit": d.tolerance.unit,
                "limit": d.tolerance.limit,
                "problem": d.problem,
                "agrees": bool(d.agrees),
            }
            for d in o.differences
        ],
        "quantities": None
        if o.quantities is None
        else quantities_to_plain(o.quantities, all_of_it=False),
    }


def to_plain(report: CaseReport) -> dict[str, Any]:
    """A report as JSON has it."""
    case = report.case
    return {
        "name": case.name,
        "data": case.data,
        "formula": case.formula,
        "REML": case.REML,
        **({"family": case.family, "nAGQ": case.nAGQ} if case.family else {}),
        "shows": case.shows,
        "skipped": report.skipped,
        "fingerprint": report.fingerprint,
        "change": report.change,
        "well": report.well,
        "outcomes": [_outcome(o) for o in report.outcomes],
    }


def from_plain(case: Case, plain: Mapping[str, Any]) -> CaseReport:
    """The report of ``case`` from a file."""
    by_name = {t.quantity: t for t in TOLERANCES}

    def outcome(o: Mapping[str, Any]) -> Outcome:
        return Outcome(
            o["engine"],
            Verdict(
                o["verdict"],
                o["sentence"],
                tuple(Fact(f["what"], f["value"], f["unit"]) for f in o["facts"]),
            ),
            o["against"],
            tuple(
                Difference(
                    d["quantity"],
                    d["difference"],
                    d["key"],
                    replace(by_name[d["quantity"]], limit=d["limit"]),
                    d["problem"],
                    d.get("row"),
                )
                for d in o["differences"]
            ),
            math.nan if o["seconds"] is None else o["seconds"],
            o["version"],
            verdicts_in(o["expected"], "a report") if o["expected"] else (),
            None if o["quantities"] is None else quantities_from_plain(o["quantities"]),
            tuple(o["theta"]),
            tuple(o["notes"]),
            required=bool(o.get("required", False)),
            versions=dict(o.get("versions", {})),
            seen_on=str(o.get("seen_on", "")),
        )

    return CaseReport(
        case,
        tuple(outcome(o) for o in plain["outcomes"]),
        plain["skipped"],
        plain["fingerprint"],
        plain["change"],
    )
