"""Tables of estimates and tests as R's ``printCoefmat`` and ``print.anova`` show them.

From R's documentation of these and of ``format.pval`` and ``symnum``; checked against R's output
by the tests.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lmerbridge.display.rformat import format_numbers, print_matrix, zapsmall
from lmerbridge.rmath import round_r

__all__ = ["LEGEND", "anova_lines", "coefmat_lines", "format_p", "format_p_values", "stars"]

LEGEND = "Signif. codes:  0 ‘***’ 0.001 ‘**’ 0.01 ‘*’ 0.05 ‘.’ 0.1 ‘ ’ 1"
R_EPSILON = 2.220446e-16


def stars(p: float) -> str:
    """R's star for a p-value, of one of the legend's widths."""
    for limit, mark in ((0.001, "***"), (0.01, "**"), (0.05, "*"), (0.1, ".")):
        if p <= limit:
            return mark
    return " "


def format_p_values(values: Sequence[float], digits: int, eps: float = R_EPSILON) -> list[str]:
    """R's ``format.pval``: small ones together in one notation, the others in another."""
    numbers = list(values)
    texts = [""] * len(numbers)
    tiny = [v < eps for v in numbers]
    exponents = [math.floor(math.log10(v)) if v > 0 else -50 for v in numbers]
    for fixed in (True, False):
        which = [
            i
            for i, v in enumerate(numbers)
            if not tiny[i] and (exponents[i] >= -4 or v == 0) == fixed
        ]
        for i, text in zip(which, format_numbers([numbers[i] for i in which], digits), strict=True):
            texts[i] = text
    if any(tiny):
        shown = max(1, digits - 2)
        blank = " "
        if not all(tiny):
            width = max(len(t) for t in texts)
            if shown > 1 and shown + 6 > width:
                shown = max(1, width - 7)
            blank = "" if shown == 1 and width <= 6 else " "
        elif shown == 1:
            blank = ""
        text = f"<{blank}{format_numbers([eps], shown)[0]}"
        texts = [text if t else old for t, old in zip(tiny, texts, strict=True)]
    return texts


def format_p(value: float, digits: int) -> str:
    """One p-value as R writes it."""
    return format_p_values([value], digits)[0]


def _known(values: Any) -> list[int]:
    return [i for i, v in enumerate(values) if not math.isnan(v)]


def coefmat_lines(
    names: Sequence[str],
    columns: Sequence[str],
    values: Any,
    *,
    digits: int,
    estimates: Sequence[int] = (),
    tests: Sequence[int] = (),
    zap: Sequence[int] = (),
    has_p: bool = False,
    na: str | Sequence[str] = "NA",
    legend: bool = True,
) -> list[str]:
    """R's ``printCoefmat``.

    Parameters
    ----------
    values : array (rows, columns)
        NaN is missing and shown as ``na``, one text for all rows or one for each.
    estimates, tests, zap : sequence of int
        Columns that are estimates and standard errors, formatted jointly; test statistics; and
        to be rounded as ``zapsmall`` does.
    has_p : bool
        Whether the last column holds p-values.
    """
    x = np.array(values, dtype=np.float64).reshape(len(names), len(columns))
    last = len(columns) - 1
    for j in zap:
        known = _known(x[:, j])
        x[known, j] = zapsmall(x[known, j].tolist(), digits)
    missing = [na] * len(names) if isinstance(na, str) else na
    cells = [[text] * len(columns) for text in missing]

    def put(j: int, rows: Sequence[int], texts: Sequence[str]) -> None:
        for i, text in zip(rows, texts, strict=True):
            cells[i][j] = text

    shown_digits = max(1, min(5, digits - 1))
    if estimates:
        where = [(i, j) for j in estimates for i in _known(x[:, j])]
        found = [float(x[i, j]) for i, j in where]
        sizes = [abs(v) for v in found if v != 0 and math.isfinite(v)]
        least = 1 + math.floor(math.log10(min(sizes))) if sizes else 0
        most = 1 + math.floor(math.log10(max(sizes))) if sizes else 0
        places = max(1, digits - least, digits - most)
        for (i, j), text in zip(
            where, format_numbers(round_r(found, places).tolist(), digits), strict=True
        ):
            cells[i][j] = text
    if tests:
        where = [(i, j) for j in tests for i in _known(x[:, j])]
        found = round_r([x[i, j] for i, j in where], shown_digits).tolist()
        for (i, j), text in zip(where, format_numbers(found, digits), strict=True):
            cells[i][j] = text
    for j in range(len(columns)):
        if j in estimates or j in tests or (has_p and j == last):
            continue
        known = _known(x[:, j])
        put(j, known, format_numbers(x[known, j].tolist(), digits))
    # what is not 0 shall not look like it
    vanished = [
        (i, j)
        for j in range(len(columns))
        if j not in tests and not (has_p and j == last)
        for i in _known(x[:, j])
        if x[i, j] != 0 and float(cells[i][j]) == 0
    ]
    texts = format_numbers([x[i, j] for i, j in vanished], max(1, digits - 1))
    for (i, j), text in zip(vanished, texts, strict=True):
        cells[i][j] = text
    header = list(columns)
    lines_after: list[str] = []
    if has_p:
        known = _known(x[:, last])
        p = x[known, last].tolist()
        put(last, known, format_p_values(p, shown_digits))
        if any(v < 0.1 for v in p):
            marks = {i: stars(v) for i, v in zip(known, p, strict=True)}
            width = max(len(m) for m in marks.values())
            header.append("")
            for i, row in enumerate(cells):
                row.append(marks.get(i, "").ljust(width))
            if legend:
                lines_after = ["---", LEGEND]
    return [*print_matrix(names, header, cells), *lines_after]


def anova_lines(names: Sequence[str], columns: Sequence[str], values: Any) -> list[str]:
    """R's ``print`` of a table of class ``anova``, without its heading."""
    has_p = columns[-1].startswith("Pr(")
    tests = [j for j, c in enumerate(columns) if c[1:7] == " value" or c in ("F", "Cp", "Chisq")]
    zap = [
        j
        for j, c in enumerate(columns[: len(columns) - has_p])
        if j not in tests and not c.endswith("Df")
    ]
    # a row that is tested, on NumDF degrees of freedom, lacks what is not a number; others have
    # no test, which R leaves blank
    numerator = columns.index("NumDF") if "NumDF" in columns else None
    na = ["" if numerator is None or math.isnan(row[numerator]) else "NaN" for row in values]
    return coefmat_lines(names, columns, values, digits=5, tests=tests, zap=zap, has_p=has_p, na=na)
