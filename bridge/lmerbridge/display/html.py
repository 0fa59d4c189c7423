"""A fitted model as an HTML table, for notebooks."""

from __future__ import annotations

from html import escape

import numpy as np

from lmerbridge.dialects import dialect_of
from lmerbridge.display.rformat import coefficient_cells, format_each, format_numbers
from lmerbridge.result import FitResult, RandomEffects

__all__ = ["model_html"]


def _table(caption: str, columns: list[str], rows: list[list[str]], text_columns: int) -> str:
    def cell(tag: str, text: str, j: int) -> str:
        side = "left" if j < text_columns else "right"
        return f'<{tag} style="text-align:{side};padding:0.1em 0.5em">{escape(text)}</{tag}>'

    head = "".join(cell("th", c, j) for j, c in enumerate(columns))
    body = "".join(
        "<tr>" + "".join(cell("td", t, j) for j, t in enumerate(row)) + "</tr>" for row in rows
    )
    return (
        f'<table style="display:inline-table;vertical-align:top;margin-right:2em">'
        f'<caption style="text-align:left;font-weight:bold">{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def _correlations(term: RandomEffects, i: int) -> str:
    """Those of column i with the ones before it; of all, where they are functions of one."""
    if term.structure in ("cs", "ar1"):
        alone = len(term.names) == 1
        return "" if i or alone else f"{term.correlation[1, 0]:.2f} ({term.structure})"
    if term.structure == "diag":
        return ""
    return ", ".join(f"{c:.2f}" for c in term.correlation[i, :i].tolist())


def model_html(result: FitResult) -> str:
    """Fixed effects and variance components side by side, with a line on the fit."""
    estimates, criterion = result.estimates, result.criterion
    parts = []
    if len(estimates.names):
        errors = np.sqrt(np.diag(estimates.vcov))
        cells = coefficient_cells(
            estimates.beta.tolist(), errors.tolist(), (estimates.beta / errors).tolist(), 4
        )
        parts.append(
            _table(
                "Fixed effects",
                ["", "Estimate", "Std. Error", "t value"],
                [
                    [name, *(c.strip() for c in row)]
                    for name, row in zip(estimates.names, cells, strict=True)
                ],
                1,
            )
        )
    shown = [t.strip() for t in format_numbers(estimates.deviations, 4)]
    rows, position = [], 0
    for term in estimates.random:
        for i, name in enumerate(term.names):
            pairs = _correlations(term, i)
            rows.append([term.label if i == 0 else "", name, shown[position], pairs])
            position += 1
    if estimates.sigma is not None:
        rows.append(["Residual", "", shown[-1], ""])
    columns = ["Groups", "Name", "Std.Dev.", "Corr"]
    if all(len(term.names) == 1 for term in estimates.random):
        columns, rows = columns[:3], [row[:3] for row in rows]
    parts.append(_table("Random effects", columns, rows, 2))
    groups = "; ".join(f"{g}: {len(levels)}" for g, levels in result.data.groups.items())
    kind = "REML criterion" if result.call.REML else dialect_of(result).deviance
    notes = [*result.evidence.notes, *result.evidence.messages, *result.evidence.optimizer_warnings]
    warning = "".join(f"<div>⚠ {escape(n)}</div>" for n in notes)
    engine = f"{result.provenance.engine} {result.provenance.engine_version}"
    return (
        f"<div><div><code>{escape(result.call.formula)}</code></div>{''.join(parts)}"
        f"<div>{result.data.nobs} observations; {escape(groups)}; {kind} "
        f"{escape(format_each([criterion.value])[0])}; engine {escape(engine)}</div>"
        f"{warning}</div>"
    )
