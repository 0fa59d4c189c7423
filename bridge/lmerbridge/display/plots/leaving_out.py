"""Influence of groups or rows as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmerbridge.display.plots.canvas import axes_of, drawing
from lmerbridge.errors import ArgumentError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["influence"]

NAMED = 5


@drawing
def influence(found: Any, ax: Axes | None = None) -> Axes:
    """Draw Cook's distance of each set of rows that was left out, the largest named.

    Parameters
    ----------
    found : Influence
        Of :meth:`lmerbridge.Model.influence`.
    ax : matplotlib Axes, optional
        To draw on; default those of a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        matplotlib is missing.
    """
    if not (hasattr(found, "cooks_distance") and hasattr(found, "sets")):
        raise ArgumentError(f"found must be of m.influence(), not {type(found).__name__}")
    distance = found.cooks_distance()
    values = distance.to_numpy(float)
    ax = axes_of(ax, figsize=(6.5, 3.6))
    at = np.arange(len(values))
    ax.vlines(at, 0, values, color="C0", linewidth=1.2 if len(at) <= 100 else 0.5)
    ax.plot(at, values, "o", color="C0", markersize=3 if len(at) <= 100 else 1.2)
    for i in np.argsort(-np.nan_to_num(values), kind="stable")[:NAMED].tolist():
        ax.annotate(
            str(distance.index[i]),
            (i, values[i]),
            fontsize=8,
            xytext=(3, 2),
            textcoords="offset points",
        )
    ax.set_ylim(bottom=0)
    ax.set_xticks([])
    ax.set_xlabel(f"{len(at)} sets left out, by {found.by}")
    ax.set_ylabel("Cook's distance")
    return ax
