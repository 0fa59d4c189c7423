"""A suite's outcome as one self-contained page."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lmerbridge._version import __version__
from lmerbridge.crosscheck.plots import plot_criterion, plot_estimates
from lmerbridge.crosscheck.referee import Referee
from lmerbridge.crosscheck.report import suite_rows, totals
from lmerbridge.crosscheck.suite import CaseReport, read_data
from lmerbridge.crosscheck.tolerances import TOLERANCES
from lmerbridge.design import build_frame
from lmerbridge.engines import FitSpec
from lmerbridge.errors import LmerBridgeError

__all__ = ["html_text"]

ESTIMATES = ("criterion", "fixed effects", "standard errors", "std. deviations", "correlations")


def _picture(axes: Any) -> str:
    buffer = io.StringIO()
    axes.figure.savefig(buffer, format="svg", bbox_inches="tight")
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _pictures(report: CaseReport) -> list[str]:
    """Estimates by engine; and, where two engines are apart, the criterion between them."""
    try:
        import matplotlib  # noqa: F401 - whether it is there
    except ImportError:
        return []
    found = {o.engine: o.quantities for o in report.outcomes if o.quantities is not None}
    if len(found) < 2:
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
    if apart and best is not None and apart[0] is not best:
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


def html_text(reports: Sequence[CaseReport], title: str = "lmerbridge check") -> str:
    """The page: a summary, and per case the verdicts, the evidence, the numbers and pictures.

    Nothing is loaded from elsewhere.
    """
    from jinja2 import Environment

    template = (Path(__file__).parent / "report.html.j2").read_text("utf-8")
    headers, rows = suite_rows(reports)
    cases = []
    for report in reports:
        names, estimates = _estimates(report)
        cases.append(
            {
                "report": report,
                "case": report.case,
                "headers": names,
                "estimates": estimates,
                "pictures": _pictures(report),
            }
        )
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(template).render(
        title=title,
        version=__version__,
        totals=totals(reports),
        well=all(r.well for r in reports),
        headers=headers,
        rows=rows,
        cases=cases,
        tolerances=TOLERANCES,
    )
