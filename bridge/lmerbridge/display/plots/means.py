"""Marginal means and contrasts as pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmerbridge.arguments import check_level
from lmerbridge.display.plots.canvas import axes_of, drawing
from lmerbridge.errors import ArgumentError, DataError
from lmerbridge.inference.axes import level_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["means"]

MOST = 80


@drawing
def means(e: Any, level: float = 0.95, ax: Axes | None = None) -> Axes:
    """Draw marginal means, trends or contrasts with their confidence intervals, a line each;
    emmeans' ``plot(e)``.

    Parameters
    ----------
    e : MarginalMeans
        Of :meth:`lmerbridge.Model.emmeans` and its like.
    level : float
        Of the intervals, between 0 and 1.
    ax : matplotlib Axes, optional
        To draw on; default those of a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        There is nothing to draw, or matplotlib is missing.
    """
    if not (hasattr(e, "confint") and hasattr(e, "contrasts")):
        raise ArgumentError(f"e must be marginal means, not {type(e).__name__}")
    check_level(level)
    table = e.confint(level=level).table
    at = list(table.columns).index("SE") - 1
    labels = [", ".join(map(level_text, row)) for row in table.iloc[:, :at].itertuples(index=False)]
    if not labels or len(labels) > MOST:
        raise DataError(f"there are {len(labels)} rows; from 1 to {MOST} can be drawn")
    low, high = (c for c in table.columns if str(c).endswith((".CL", "LCL", "UCL")))
    value = table.iloc[:, at].to_numpy(float)
    ax = axes_of(ax, figsize=(6, float(np.clip(1.2 + 0.26 * len(labels), 2, 14))))
    rows = np.arange(len(labels))
    ax.hlines(rows, table[low], table[high], color="C0", linewidth=5, alpha=0.3)
    ax.plot(value, rows, "o", color="C0", markersize=4)
    if "contrast" in table:
        ax.axvline(0, color="0.8", linewidth=1, zorder=0)
    ax.set_yticks(rows, labels, fontsize=8)
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.set_ylabel(", ".join(map(str, table.columns[:at])))
    ax.set_xlabel(f"{table.columns[at]}, {100 * level:g} % interval")
    return ax
