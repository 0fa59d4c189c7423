"""A suite's outcome as one self-contained page: what failed first, then the rest."""

from __future__ import annotations

import io
import math
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lmerbridge._version import __version__
from lmerbridge.crosscheck.overview import (
    ADVICE,
    MARKS,
    conclusion,
    mark_of,
    outcome_text,
    seconds_of,
    worst_difference,
)
from lmerbridge.crosscheck.plots import plot_criterion, plot_estimates
from lmerbridge.crosscheck.referee import Referee
from lmerbridge.crosscheck.report import SHORT_NAMES, difference_cell, totals, verdict_cell
from lmerbridge.crosscheck.suite import CaseReport, read_data
from lmerbridge.crosscheck.tolerances import TOLERANCES
from lmerbridge.design import build_frame
from lmerbridge.engines import FitSpec
from lmerbridge.errors import LmerBridgeError
from lmerbridge.optional import is_there, needed

__all__ = ["html_text"]

ESTIMATES = ("criterion", "fixed effects", "standard errors", "std. deviations", "correlations")


def _picture(axes: Any) -> str:
    from matplotlib import pyplot

    buffer = io.StringIO()
    axes.figure.savefig(buffer, format="svg", bbox_inches="tight")
    pyplot.close(axes.figure)  # it is no figure of the user's
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _pictures(report: CaseReport) -> list[str]:
    """Estimates by engine; and, where two engines are apart, the criterion between them."""
    if not is_there("matplotlib"):
        return []
    found = {o.engine: o.quantities for o in report.outcomes if o.quantities is not None}
    same = ("agree", "reference", "other model")  # the last is of another time, not engine
    differ = any(o.verdict.kind not in same for o in report.outcomes)
    if len(found) < 2 or not differ:  # of those that agree it would show the same bars
        return []
    pictures = [_picture(plot_estimates(found))]
    apart = [
        o
        for o in report.outcomes
        if o.verdict.kind in ("other optimum", "better optimum", "not converged") and o.theta
    ]
    best = next(
        (o for o in report.outcomes if o.engine == (report.case.reference or "lme4") and o.theta),
        None,
    )
    best = best or next((o for o in report.outcomes if o.theta and o not in apart), None)
    case = report.case
    if apart and best is not None and apart[0] is not best and not case.family:
        try:
            frame = build_frame(case.formula, read_data(case), **case.arguments())
        except LmerBridgeError:
            return pictures
        referee = Referee(frame, FitSpec(REML=case.REML and frame.X.shape[1] > 0))
        names = (best.engine, apart[0].engine)
        pictures.append(_picture(plot_criterion(referee, best.theta, apart[0].theta, names)))
    return pictures


def _estimates(report: CaseReport) -> tuple[list[str], list[list[str]]]:
    found = {o.engine: o.quantities for o in report.outcomes if o.quantities is not None}
    keys = {
        quantity: list(dict.fromkeys(k for q in found.values() for k in q.values.get(quantity, {})))
        for quantity in ESTIMATES
    }
    rows = []
    for quantity in ESTIMATES:
        for key in keys[quantity]:
            values = [q.values.get(quantity, {}).get(key) for q in found.values()]
            rows.append([quantity, key, *("" if v is None else f"{v:.8g}" for v in values)])
    return ["quantity", "", *found], rows


def _quantities(report: CaseReport) -> tuple[list[str], list[list[str]]]:
    """A row for each quantity, a column for each engine that was compared; few enough columns for
    any page.
    """
    compared = [o for o in report.outcomes if o.differences]
    cells = [{d.quantity: difference_cell(d) for d in o.differences} for o in compared]
    rows = [
        [t.quantity, t.unit, f"{t.limit:g}", *(cell.get(t.quantity, "") for cell in cells)]
        for t in TOLERANCES
    ]
    headers = ["quantity", "unit", "limit", *(f"{o.engine} less {o.against}" for o in compared)]
    return (headers, rows) if compared else ([], [])


def _commit(folder: Path) -> str:
    """The commit of the repository that holds the models, if it is one and git is here."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=10"]
    try:
        done = subprocess.run(  # noqa: S603 - of our own words
            command, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _run(reports: Sequence[CaseReport]) -> list[tuple[str, str]]:
    """When, where, with what, and for how long."""
    seconds = sum(seconds_of(r) for r in reports)
    folder = next((r.case.folder for r in reports if r.case.folder is not None), Path.cwd())
    found = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "platform": platform.platform(),
        "seconds in fits": f"{seconds:.1f}",
        "commit of the models": _commit(folder),
        "Python": platform.python_version(),
        "lmerbridge": __version__,
    }
    for report in reports:
        for outcome in report.outcomes:
            for name, version in outcome.versions.items():
                key = f"BLAS of {outcome.engine}" if name == "BLAS" else name
                if name != "platform":
                    found.setdefault(key, version)
            if outcome.version and outcome.engine != "all":
                found.setdefault(outcome.engine, outcome.version)
    return [(name, value) for name, value in found.items() if value]


def html_text(reports: Sequence[CaseReport], title: str = "lmerbridge check") -> str:
    """The page: the run, a line for each model with failures first, and per model the verdicts,
    what to do, the evidence, the numbers, and pictures where engines differ.

    Nothing is loaded from elsewhere.
    """
    needed("jinja2", "report", "the HTML report")
    from jinja2 import Environment

    template = (Path(__file__).parent / "report.html.j2").read_text("utf-8")
    order = sorted(reports, key=lambda r: -MARKS.index(mark_of(r)) if not r.well else 0)
    cases = []
    for report in order:
        names, estimates = _estimates(report)
        headers, rows = _quantities(report)
        seconds = seconds_of(report)
        cases.append(
            {
                "report": report,
                "case": report.case,
                "mark": mark_of(report),
                "outcome": outcome_text(report),
                "worst": worst_difference(report),
                "seconds": f"{seconds:.1f}" if math.isfinite(seconds) else "",
                "quantity_headers": headers,
                "quantities": rows,
                "headers": names,
                "estimates": estimates,
                "pictures": _pictures(report),
            }
        )
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(template).render(
        title=title,
        run=_run(reports),
        totals=totals(reports),
        conclusion=conclusion(reports, "below"),
        well=all(r.well for r in reports),
        cases=cases,
        tolerances=TOLERANCES,
        short=SHORT_NAMES,
        advice=ADVICE,
        cell=verdict_cell,
    )
