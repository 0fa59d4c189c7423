"""Marginal means and contrasts as emmeans prints them; checked against its output by the tests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from lmerbridge.display.rformat import format_numbers, zapsmall
from lmerbridge.inference.means import Grid
from lmerbridge.rmath import round_r

__all__ = ["grid_text"]


def _digits(estimates: Any, errors: Any) -> int:
    """So many that the standard error's first digit shows, and at least three."""
    good = (errors > 0) & np.isfinite(errors) & (estimates != 0)
    if not good.any():
        return 3
    ratio = float(np.max(np.abs(estimates[good]) / errors[good]))
    return max(3, 1 + round(math.log10(ratio))) if ratio > 0 else 3


def _numbers(values: Any, digits: int) -> list[str]:
    known = [float(v) for v in values if not math.isnan(v)]
    zapped = zapsmall(known, 7)
    texts = iter(format_numbers(zapped, digits))
    return ["" if math.isnan(v) else next(texts) for v in values]


def _p_value(p: float) -> str:
    if math.isnan(p):
        return ""
    return "<.0001" if p < 5e-5 else f"{float(round_r(p, 4)):.4f}"


def _cells(
    table: pd.DataFrame, estimate: str, estimable: Any, digits: int
) -> tuple[list[str], list[list[str]], list[bool]]:
    """Headers, columns of cells, and which are left-justified."""
    headers, columns, left = [], [], []
    for name in table.columns:
        values = table[name]
        if isinstance(values.dtype, pd.CategoricalDtype) or values.dtype.kind in "OTU":
            cells, flush = [str(v) for v in values], True
        elif name in ("t.ratio", "z.ratio", "F.ratio"):
            cells = ["" if math.isnan(v) else f"{float(round_r(v, 3)):.3f}" for v in values]
            flush = False
        elif name == "p.value":
            cells, flush = [_p_value(float(v)) for v in values], False
        elif name == "df":
            cells, flush = _numbers(round_r(values.to_numpy(float), 2), 3), False
        else:
            cells, flush = _numbers(values, digits), False
        # what cannot be estimated, and what is 0 with a standard error of 0
        gone = "nonEst" if name == estimate else "NA"
        cells = [c or (gone if lost else "NaN") for c, lost in zip(cells, ~estimable, strict=True)]
        headers.append(str(name))
        columns.append(cells)
        left.append(flush)
    return headers, columns, left


def _annotations(grid: Grid) -> list[str]:
    lines = []
    if grid.averaged:
        lines.append(f"Results are averaged over the levels of: {', '.join(grid.averaged)} ")
    lines.append(f"Degrees-of-freedom method: {_method(grid.denominator.name)} ")
    link = grid.link
    if link is not None and not grid.response:
        lines.append(f"Results are given on the {link.name} (not the response) scale. ")
    if grid.infer in ("ci", "both"):
        lines.append(f"Confidence level used: {format_numbers([grid.level], 7)[0]} ")
        lines += _adjusting(grid, "Conf-level adjustment")
        if link is not None and grid.response:
            lines.append(f"Intervals are back-transformed from the {link.name} scale ")
    if grid.infer in ("test", "both"):
        lines += _adjusting(grid, "P value adjustment")
        if link is not None and grid.response:
            lines.append(f"Tests are performed on the {link.name} scale ")
    return lines


def _method(name: str) -> str:
    return {"lme4": "asymptotic"}.get(name, name.lower())


def _adjusting(grid: Grid, what: str) -> list[str]:
    sizes = {len(rows) for rows in grid.families()}
    count = max(sizes)
    adjust = grid.adjust
    if adjust == "none" or count < 2:
        return []
    if what.startswith("Conf") and adjust not in (
        "tukey",
        "scheffe",
        "sidak",
        "bonferroni",
        "dunnett",
        "mvt",
    ):
        adjust = "bonferroni"
    if adjust == "tukey":
        return [f"{what}: tukey method for comparing a family of {grid.family} estimates "]
    if adjust == "scheffe":
        rank = int(np.linalg.matrix_rank(grid.L[grid.families()[0]]))
        return [f"{what}: scheffe method with rank {rank} "]
    kind = "estimates" if what.startswith("Conf") else "tests"
    number = "varying #s of" if len(sizes) > 1 else str(count)
    return [f"{what}: {adjust} method for {number} {kind} "]


def grid_text(grid: Grid) -> str:
    """What R prints for an ``emmGrid``."""
    table = grid.table()
    name = next(
        c
        for c in table.columns
        if c in ("emmean", "estimate", "response", "ratio") or str(c).endswith(".trend")
    )
    digits = _digits(table[name].to_numpy(float), table["SE"].to_numpy(float))
    shown = table.drop(columns=list(grid.by))
    headers, columns, left = _cells(shown, str(name), grid.estimable, digits)
    widths = [
        max(len(h), *(len(c) for c in cells)) for h, cells in zip(headers, columns, strict=True)
    ]

    def line(cells: Sequence[str]) -> str:
        parts = [
            c.ljust(w) if flush else c.rjust(w)
            for c, w, flush in zip(cells, widths, left, strict=True)
        ]
        return " " + " ".join(parts)

    lines: list[str] = []
    for rows in grid.families():
        if grid.by:
            first = table.iloc[rows[0]]
            pairs = ", ".join(f"{b} = {_shown(first[b])}" for b in grid.by)
            lines.append(f"{pairs}:")
        lines.append(line(headers))
        lines += [line([cells[i] for cells in columns]) for i in rows]
        lines.append("")
    return "\n".join([*lines, *_annotations(grid)])


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else format_numbers([float(value)], 7)[0]
