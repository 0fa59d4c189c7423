"""Pictures of a comparison: estimates by engine, and the criterion between two engines' optima."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from lmerbridge.crosscheck.quantities import Quantities
from lmerbridge.crosscheck.referee import Referee
from lmerbridge.display.plots.canvas import axes_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["criterion_between", "plot_criterion", "plot_estimates"]

MAX_EFFECTS = 12  # fixed effects in one picture


def plot_estimates(quantities: Mapping[str, Quantities], ax: Axes | None = None) -> Axes:
    """Fixed effects by engine, with 95 % intervals, each less the first engine's estimate and in
    units of its standard error; at most 12, those that differ most, in the model's order.

    Returns
    -------
    matplotlib Axes
        Not shown.
    """
    engines = list(quantities)
    first = quantities[engines[0]]
    names = [
        n
        for n in first.values["fixed effects"]
        if all(n in q.values["fixed effects"] for q in quantities.values())
    ]

    def moved(q: Quantities, name: str) -> float:
        gap = q.values["fixed effects"][name] - first.values["fixed effects"][name]
        return gap / first.values["standard errors"][name]

    left_out = len(names) - MAX_EFFECTS
    ranked = sorted(names, key=lambda n: -max(abs(moved(q, n)) for q in quantities.values()))
    names = [n for n in names if n in ranked[:MAX_EFFECTS]]  # in the model's order
    ax = axes_of(ax, figsize=(7, 1.2 + 0.28 * max(len(names), 1) * max(len(engines), 2) ** 0.6))
    height = 0.8 / max(len(engines), 1)
    for k, engine in enumerate(engines):
        q = quantities[engine]
        at = np.arange(len(names)) + (k - (len(engines) - 1) / 2) * height
        shift = [moved(q, n) for n in names]
        width = [
            1.96 * q.values["standard errors"][n] / first.values["standard errors"][n]
            for n in names
        ]
        ax.errorbar(shift, at, xerr=width, fmt="o", markersize=4, capsize=2, label=engine)
    ax.axvline(0, color="0.8", zorder=0)
    ax.set_yticks(np.arange(len(names)), names)
    ax.invert_yaxis()
    ax.set_xlabel(f"estimate less {engines[0]}'s, in its standard errors (95 % intervals)")
    if left_out > 0:
        ax.set_title(f"the {MAX_EFFECTS} that differ most, of {MAX_EFFECTS + left_out}", fontsize=9)
    ax.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


def criterion_between(
    referee: Referee, one: Any, two: Any, points: int = 41
) -> tuple[np.ndarray[Any, np.dtype[np.float64]], np.ndarray[Any, np.dtype[np.float64]]]:
    """The exact criterion along the line from theta ``one`` (0) to ``two`` (1), and beyond."""
    along = np.linspace(-0.25, 1.25, points)
    start, step = np.asarray(one, dtype=np.float64), np.subtract(two, one)
    return along, np.array([referee.criterion(start + a * step) for a in along])


def plot_criterion(
    referee: Referee, one: Any, two: Any, names: tuple[str, str], ax: Axes | None = None
) -> Axes:
    """The criterion along the line between two engines' theta.

    Returns
    -------
    matplotlib Axes
        Not shown.
    """
    along, values = criterion_between(referee, one, two)
    ax = axes_of(ax, figsize=(5, 3))
    low = np.nanmin(values[np.isfinite(values)])
    ax.plot(along, values - low, color="0.3")
    for place, name in ((0.0, names[0]), (1.0, names[1])):
        ax.plot(place, np.interp(place, along, values) - low, "o", label=name)
    ax.set_xticks([0, 1], list(names))
    ax.set_ylabel("criterion above its lowest here")
    ax.set_xlabel("theta, from one optimum to the other")
    ax.legend(fontsize=8, frameon=False)
    return ax
