"""Marginal means and contrasts as pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmerbridge.arguments import belongs, check_level
from lmerbridge.display.plots.canvas import axes_of, drawing
from lmerbridge.errors import ArgumentError, DataError
from lmerbridge.inference.arrows import arrows_of
from lmerbridge.inference.axes import level_text

if TYPE_CHECKING:
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
) -> Axes:
    """Draw marginal means, trends or contrasts with their confidence intervals, a line each;
    emmeans' ``plot(e)``.

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
        To draw on; default those of a new figure.

    Returns
    -------
    Axes

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
    labels = [", ".join(map(level_text, row)) for row in table.iloc[:, :at].itertuples(index=False)]
    if not labels or len(labels) > MOST:
        raise DataError(f"there are {len(labels)} rows; from 1 to {MOST} can be drawn")
    arrows = arrows_of(shown.grid, labels, alpha, adjust) if comparisons else None
    low, high = (c for c in table.columns if str(c).endswith((".CL", "LCL", "UCL")))
    value = table.iloc[:, at].to_numpy(float)
    ax = axes_of(ax, figsize=(6, float(np.clip(1.2 + 0.26 * len(labels), 2, 14))))
    rows = np.arange(len(labels))
    ax.hlines(rows, table[low], table[high], color="C0", linewidth=5, alpha=0.3)
    ax.plot(value, rows, "o", color="C0", markersize=4)
    if arrows is not None:
        _draw(ax, rows, value, arrows)
    if "contrast" in table:
        ax.axvline(0, color="0.8", linewidth=1, zorder=0)
    ax.set_yticks(rows, labels, fontsize=8)
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.set_ylabel(", ".join(map(str, table.columns[:at])))
    ax.set_xlabel(f"{table.columns[at]}, {100 * level:g} % interval")
    return ax


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
