"""Marginal means and contrasts as emmeans prints them; checked against its output by the tests."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from lmerbridge.dialects import Dialect
from lmerbridge.display.rformat import format_numbers, zapsmall
from lmerbridge.inference.joint_tests import JointTests
from lmerbridge.inference.letters import Letters, explanation
from lmerbridge.inference.linear_functions import Grid
from lmerbridge.rmath import round_r, signif_r

__all__ = ["grid_text", "joint_text", "letters_text", "list_text"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

LINE_WIDTH = 80
RATIO_COLUMNS = ("t.ratio", "z.ratio", "F.ratio")
OWN_LIMITS = ("tukey", "scheffe", "sidak", "bonferroni", "dunnett", "mvt")


def _digits(estimates: Any, errors: Any) -> int:
    """Count the significant digits of an estimate at which its standard error's first digit shows;
    at least three.
    """
    good = (errors > 0) & np.isfinite(errors) & (estimates != 0)
    if not good.any():
        return 3
    ratio = float(np.max(np.abs(estimates[good]) / errors[good]))
    return max(3, 1 + round(math.log10(ratio))) if ratio > 0 else 3


def _numbers(values: Any, digits: int, significant: int | None = None) -> list[str]:
    known = [float(v) for v in values if not math.isnan(v)]
    zapped = zapsmall(known, 7)
    if significant is not None:
        zapped = signif_r(zapped, significant).tolist()
    texts = iter(format_numbers(zapped, digits))
    return ["" if math.isnan(v) else next(texts) for v in values]


def _p_value(p: float, dialect: Dialect) -> str:
    if math.isnan(p):
        return ""
    return dialect.least_p if p < dialect.least_p_below else f"{float(round_r(p, 4)):.4f}"


def _statistic(value: float) -> str:
    if math.isinf(value):
        return "Inf" if value > 0 else "-Inf"
    return "" if math.isnan(value) else f"{float(round_r(value, 3)):.3f}"


def _is_text(values: pd.Series[Any]) -> bool:
    return isinstance(values.dtype, pd.CategoricalDtype) or values.dtype.kind in "OTUb"


def _texts(values: pd.Series[Any]) -> list[str]:
    """Labels as R prints them: truth values are of one width."""
    if values.dtype.kind != "b":
        return [str(v) for v in values]
    width = 4 if values.all() else 5
    return [("TRUE" if v else "FALSE").rjust(width) for v in values]


def _cells(
    table: pd.DataFrame, estimate: str, estimable: Any, digits: int, dialect: Dialect
) -> list[list[str]]:
    """The columns of a table as text."""
    columns = []
    for name in table.columns:
        values = table[name]
        if _is_text(values):
            cells = _texts(values)
        elif name in RATIO_COLUMNS:
            cells = [_statistic(float(v)) for v in values]
        elif name == "p.value":
            cells = [_p_value(float(v), dialect) for v in values]
        elif name == "df":
            cells = _numbers(round_r(values.to_numpy(float), 2), 3)
        else:
            cells = _numbers(values, digits, dialect.SE_digits if name == "SE" else None)
        # what cannot be estimated, and what is 0 with a standard error of 0
        gone = "nonEst" if name == estimate else "NA"
        unknown = dialect.unknown_p if name == "p.value" else "NaN"
        columns.append(
            [c or (gone if lost else unknown) for c, lost in zip(cells, ~estimable, strict=True)]
        )
    return columns


def _block(
    headers: Sequence[str], columns: Sequence[Sequence[str]], left: Sequence[bool]
) -> list[str]:
    """A data frame without row names as R prints it: columns that do not fit go below."""
    widths = [
        max(len(h), *(len(c) for c in cells)) for h, cells in zip(headers, columns, strict=True)
    ]
    lines: list[str] = []
    start = 0
    while start < len(headers):
        end, used = start, 0
        while end < len(headers) and (end == start or used + 1 + widths[end] < LINE_WIDTH):
            used += 1 + widths[end]
            end += 1
        for cells in [headers, *zip(*columns, strict=True)]:
            parts = [
                cells[j].ljust(widths[j]) if left[j] else cells[j].rjust(widths[j])
                for j in range(start, end)
            ]
            lines.append(" " + " ".join(parts))
        start = end
    return lines


# -- the lines below


def _annotations(grid: Grid) -> list[str]:
    lines = []
    if grid.averaged:
        some = "some or all of " if grid.partly else ""
        lines.append(f"Results are averaged over {some}the levels of: {', '.join(grid.averaged)} ")
    if grid.still:
        ending = grid.dialect.scale_of_contrasts
        lines.append(f"Note: contrasts are still on the {grid.still} scale{ending}")
    lines += grid.remarks
    if grid.df is not None or grid.denominator.name not in ("residual", ""):  # no other
        lines.append(f"Degrees-of-freedom method: {_method(grid)} ")
    link = grid.link
    if link is not None and not grid.response:
        lines.append(f"Results are given on the {link.name} (not the response) scale. ")
    back = link is not None and grid.response and link.known
    if link is not None and grid.response and not link.known:
        lines.append(f'Unknown transformation "{link.name}": no transformation done ')
    if grid.infer in ("ci", "both"):
        lines.append(f"Confidence level used: {format_numbers([grid.level], 7)[0]} ")
        lines += _adjusting(grid, limits=True)
        if link is not None and back:
            lines.append(f"Intervals are back-transformed from the {link.name} scale ")
    if grid.infer in ("test", "both"):
        lines += _adjusting(grid, limits=False)
        groups = len(grid.families())
        if grid.adjusts_across:
            tests = f"method for {groups} tests " if grid.dialect.groups_counted else ""
            lines.append(f"Cross-group P-value adjustment: {grid.cross_adjust} {tests}")
        lines += _alternatives(grid)
        if link is not None and back:
            lines.append(f"Tests are performed on the {link.name} scale ")
    if link is not None and grid.response and link.bias is not None:
        lines.append(
            f"Bias adjustment applied based on sigma = {format_numbers([link.bias], 5)[0]} "
        )
    return lines


def _method(grid: Grid) -> str:
    if grid.df is not None:
        return "user-specified"
    name = grid.denominator.name
    return {"lme4": "asymptotic"}.get(name, name.lower())


def _adjusting(grid: Grid, limits: bool) -> list[str]:
    adjust, _ = grid.adjustment(limits)
    if adjust == "none":
        return []
    what = "Conf-level adjustment" if limits else "P value adjustment"
    if limits and adjust not in OWN_LIMITS:
        adjust = "bonferroni"
    # emmeans says that sizes vary only where a row cannot be estimated; else the last family's
    newer = grid.dialect.families_of_estimable and not bool(grid.estimable.all())
    if adjust == "tukey":
        families = set(grid.compared(limits))
        if newer and len(families) > 1:
            return [f"{what}: tukey method for varying family sizes "]
        last = grid.compared(limits)[-1] if grid.dialect.families_of_estimable else grid.family
        family = format_numbers([last], 15)[0]
        return [f"{what}: tukey method for comparing a family of {family} estimates "]
    if adjust == "scheffe":
        ranks = set(grid.ranks())
        # of contrasts, how many means each family compares; of means, how many there are in all
        if (grid.family if grid.contrast else len(grid.L)) < 3:
            return []
        newest = grid.dialect.groups_counted
        # the newest says so too where only the numbers of rows differ, whose ranks do not
        if len(ranks) > 1 or (newest and len(set(grid.counted(limits))) > 1):
            rank = "varying rank" if newest else "rank (varies)"
        else:
            rank = f"rank {ranks.pop()}"
        return [f"{what}: scheffe method with {rank} "]
    sizes = grid.counted(limits)
    if newer and len(set(sizes)) > 1:
        rows = "estimates" if limits else "tests"
        return [f"{what}: {adjust} method for varying numbers of {rows} "]
    if limits:
        varies = len(set(sizes)) > 1 and not grid.dialect.families_of_estimable
        size = "(varies)" if varies else str(sizes[-1])
        return [f"{what}: {adjust} method for {size} estimates "]
    return [f"{what}: {adjust} method for {sizes[-1]} tests "]


def _alternatives(grid: Grid) -> list[str]:
    lines = []
    if grid.delta > 0:
        kind = {-1: "nonsuperiority", 0: "equivalence", 1: "noninferiority"}[grid.side]
        threshold = format_numbers([grid.delta], 5)[0]
        lines.append(f"Statistics are tests of {kind} with a threshold of {threshold} ")
    if grid.side or grid.delta > 0:
        lines.append(f"P values are {'right' if grid.side > 0 else 'left'}-tailed ")
    return lines


# -- whole tables


def grid_text(
    grid: Grid, more: Mapping[str, Sequence[str]] | None = None, closing: Sequence[str] = ()
) -> str:
    """What R prints for an ``emmGrid``; ``more`` columns, and ``closing`` lines."""
    table = grid.table()
    name = grid.estimate_name
    digits = _digits(table[name].to_numpy(float), table["SE"].to_numpy(float))
    table = table.assign(**{header: list(cells) for header, cells in (more or {}).items()})
    cells = _cells(table, name, grid.estimable, digits, grid.dialect)
    text = dict(zip(table.columns, cells, strict=True))
    shown = [c for c in table.columns if c not in grid.by]
    left = [_is_text(table[c]) for c in shown]
    widest = [max([len(c), *map(len, text[c])]) for c in shown]
    lines: list[str] = []
    for rows in grid.families():
        if grid.by:
            lines.append(", ".join(f"{b} = {text[b][rows[0]]}" for b in grid.by) + ":")
        columns = [
            [text[c][i].ljust(w) if flush else text[c][i].rjust(w) for i in rows]
            for c, w, flush in zip(shown, widest, left, strict=True)
        ]
        lines += [*_block(shown, columns, left), ""]
    return "\n".join([*lines, *_annotations(grid), *closing])


def letters_text(made: Letters, alpha: float) -> str:
    """What R prints for a compact letter display."""
    closing = [*_adjusting(made.pairs, limits=False), *explanation(made, alpha)]
    return grid_text(made.grid, {made.header: made.groups}, closing)


def joint_text(tests: JointTests) -> str:
    """What R prints for joint tests."""
    table = tests.table
    shown = [str(c) for c in table.columns if c not in tests.by]
    # 0 by 0 where all has been tested, and nothing where there is nothing to test
    nothing = ["NA" if math.isnan(v) else "NaN" for v in table["df2"]]
    text: dict[str, list[str]] = {}
    for name in table.columns:
        values = table[name]
        if _is_text(values) or name == "df1":
            text[name] = _texts(values)
        elif name == "F.ratio":
            text[name] = [
                f"{v:.3f}" if math.isfinite(v) else gone
                for v, gone in zip(_to_three(values), nothing, strict=True)
            ]
        elif name == "Chisq":
            # emmeans multiplies what joint_tests() has rounded, but not what test() has
            of_terms = "model term" in table
            whole = table["df1"] * round_r(table["F.ratio"].to_numpy(float), 3)
            text[name] = [t or "NA" for t in _plain(_to_three(whole if of_terms else values))]
        elif name == "p.value":
            text[name] = [
                _p_value(float(v), tests.dialect) or gone
                for v, gone in zip(values, nothing, strict=True)
            ]
        elif name == "df2":
            text[name] = [t or "NA" for t in _plain(round_r(values.to_numpy(float), 2))]
        else:
            text[name] = _plain(values.to_numpy(float))
    left = [_is_text(table[c]) and c != "note" for c in shown]
    widest = [max([len(c), *map(len, text[c])]) for c in shown]
    lines: list[str] = []
    by = list(tests.by)
    groups = (
        [list(map(int, g)) for g in table.groupby(by, sort=False, observed=True).indices.values()]
        if by
        else [list(range(len(table)))]
    )
    for rows in sorted(groups):
        if by:
            lines.append(", ".join(f"{b} = {text[b][rows[0]].strip()}" for b in by) + ":")
        columns = [
            [text[c][i].ljust(w) if flush else text[c][i].rjust(w) for i in rows]
            for c, w, flush in zip(shown, widest, left, strict=True)
        ]
        lines += [*_block(shown, columns, left), ""]
    return "\n".join([*lines, *(f"{note} " for note in tests.notes)])


def _to_three(values: Any) -> Array:
    """Rounded to three decimals, or to as many as leave the largest seven digits."""
    rounded = np.asarray(round_r(np.asarray(values, dtype=np.float64), 3))
    known = np.isfinite(rounded)
    rounded[known] = zapsmall(rounded[known].tolist(), 7)
    return rounded


def _plain(values: Any) -> list[str]:
    known = [float(v) for v in values if not math.isnan(v)]
    texts = iter(format_numbers(known, 7))
    return ["" if math.isnan(v) else next(texts) for v in values]


def list_text(parts: Mapping[str, Any]) -> str:
    """What R prints for a list of tables: each below its name."""
    lines = []
    for name, part in parts.items():
        plain = all(c.isalnum() or c in "._" for c in name) and not name[:1].isdigit()
        lines.append(f"${name}" if plain else f"$`{name}`")
        lines += [str(part).rstrip("\n"), ""]
    return "\n".join(lines)
