"""Marginal means and contrasts as pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lmerbridge.arguments import belongs, check_level
from lmerbridge.display.plots.canvas import AxesArray, axes_of, drawing, grid_of_axes
from lmerbridge.equality import by_value
from lmerbridge.errors import ArgumentError, DataError
from lmerbridge.inference.arrows import arrows_of
from lmerbridge.inference.axes import level_text

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["means"]

MOST = 80


@drawing
def means(
    e: Any,
    level: float = 0.95,
    comparisons: bool = False,
    alpha: float = 0.05,
    adjust: str | None = None,
    ax: Axes | None = None,
) -> Axes | AxesArray:
    """Draw marginal means, trends or contrasts with their confidence intervals, a line each;
    emmeans' ``plot(e)``.

    What was computed ``by`` other factors has a panel for each of their levels, with one scale of
    values for all.

    With ``comparisons`` there are arrows too, by which means of a family can be compared, as by
    the intervals they cannot: two means differ significantly if the arrows that they point at each
    other do not meet (vignette "comparisons" of emmeans). The two arrows are together as long as
    the margin of error of the difference, for every pair at once as nearly as that can be, and
    without a pair for which they mislead if that can be; the lowest mean needs no arrow
    downwards, the highest none upwards.

    Parameters
    ----------
    e : MarginalMeans
        Of :meth:`lmerbridge.Model.emmeans` and its like.
    level : float
        Of the intervals, between 0 and 1.
    comparisons : bool
        Whether arrows are drawn, of means or trends that are no contrasts.
    alpha : float
        What the differences are tested at for the arrows, between 0 and 1.
    adjust : str, optional
        Of those tests, as of :meth:`lmerbridge.MarginalMeans.pairs`; default ``tukey``.
    ax : matplotlib Axes, optional
        To draw on, all families together, their levels in the labels; default those of a new
        figure.

    Returns
    -------
    Axes, or array (families,) of Axes
        The array where there is a panel for each family.

    Raises
    ------
    DataError
        There is nothing to draw, there are arrows for contrasts, or matplotlib is missing.

    Warns
    -----
    FitWarning
        No arrows are right for all pairs; it names those that the arrows mislead about.
    """
    if not (hasattr(e, "confint") and hasattr(e, "contrasts")):
        raise ArgumentError(f"e must be marginal means, not {type(e).__name__}")
    check_level(level)
    if not comparisons:
        belongs("comparisons=True", alpha=alpha != 0.05, adjust=adjust is not None)
    if not 0 < alpha < 1:
        raise ArgumentError(f"alpha must be between 0 and 1, not {alpha}")
    shown = e.confint(level=level)
    table = shown.table
    at = list(table.columns).index("SE") - 1
    names = [str(c) for c in table.columns[:at]]
    if not 0 < len(table) <= MOST:
        raise DataError(f"there are {len(table)} rows; from 1 to {MOST} can be drawn")
    every = _labels(table, names)
    arrows = arrows_of(shown.grid, every, alpha, adjust) if comparisons else None
    by = [name for name in shown.grid.by if name in names]
    within = [name for name in names if name not in by]
    low, high = (c for c in table.columns if str(c).endswith((".CL", "LCL", "UCL")))
    lines = _Lines(
        table.iloc[:, at].to_numpy(float), table[low].to_numpy(), table[high].to_numpy(), arrows
    )
    xlabel = f"{table.columns[at]}, {100 * level:g} % interval"
    if ax is not None or not by or not within:
        ax = axes_of(ax, figsize=(6, float(np.clip(1.2 + 0.26 * len(table), 2, 14))))
        _panel(ax, lines, np.arange(len(table)), every, "contrast" in names)
        ax.set_ylabel(", ".join(names))
        ax.set_xlabel(xlabel)
        return ax
    families = shown.grid.families()
    columns = int(np.clip(-(-len(families) // 4), 1, 3))
    tallest = max(map(len, families)) * -(-len(families) // columns)
    height = 0.9 + 0.26 * tallest + 0.35 * -(-len(families) // columns)
    size = (6 if columns == 1 else 4 * columns, float(np.clip(height, 2, 16)))
    axes = grid_of_axes(len(families), columns, figsize=size, sharex=True)
    labels, titles = _labels(table, within), _labels(table, by, named=True)
    for panel, rows in zip(axes, families, strict=True):
        _panel(panel, lines, rows, [labels[row] for row in rows], "contrast" in names)
        panel.set_title(titles[rows[0]], fontsize=9)
    axes[0].figure.supylabel(", ".join(within), fontsize="medium")
    axes[0].figure.supxlabel(xlabel, fontsize="medium")
    return axes


@by_value
@dataclass(frozen=True, eq=False)
class _Lines:
    """The values (rows,), the limits of their intervals, and the ends of arrows (2, rows)."""

    value: Any
    low: Any
    high: Any
    arrows: Any


def _labels(table: pd.DataFrame, names: list[str], named: bool = False) -> list[str]:
    """What stands at each row: the levels of ``names``, or ``name = level``."""
    levels = table[names].itertuples(index=False)
    if not named:
        return [", ".join(map(level_text, row)) for row in levels]
    return [
        ", ".join(f"{name} = {level_text(v)}" for name, v in zip(names, row, strict=True))
        for row in levels
    ]


def _panel(ax: Any, lines: _Lines, rows: Any, labels: list[str], zero: bool) -> None:
    """Draw some rows, the first above."""
    places = np.arange(len(rows))
    ax.hlines(places, lines.low[rows], lines.high[rows], color="C0", linewidth=5, alpha=0.3)
    ax.plot(lines.value[rows], places, "o", color="C0", markersize=4)
    if lines.arrows is not None:
        _draw(ax, places, lines.value[rows], lines.arrows[:, rows])
    if zero:
        ax.axvline(0, color="0.8", linewidth=1, zorder=0)
    ax.set_yticks(places, labels, fontsize=8)
    ax.set_ylim(len(rows) - 0.5, -0.5)


def _draw(ax: Any, rows: Any, value: Any, ends: Any) -> None:
    for to in ends:
        for row, start, end in zip(rows.tolist(), value.tolist(), to.tolist(), strict=True):
            if np.isfinite(end):
                ax.annotate(
                    "",
                    (end, row),
                    (start, row),
                    arrowprops={
                        "arrowstyle": "-|>,head_width=0.15,head_length=0.3",
                        "color": "C3",
                        "linewidth": 1.3,
                        "shrinkA": 0,
                        "shrinkB": 0,
                    },
                )
    reach = ends[np.isfinite(ends)]
    if len(reach):  # annotations do not widen the axes
        ax.update_datalim([(reach.min(), rows[0]), (reach.max(), rows[-1])])
        ax.autoscale_view()
