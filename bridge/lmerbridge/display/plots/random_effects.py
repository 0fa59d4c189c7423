"""Random effects as pictures."""

from __future__ import annotations

from typing import Any

import numpy as np

from lmerbridge.display.plots.canvas import AxesArray, drawing, grid_of_axes
from lmerbridge.display.plots.residuals import qq_line
from lmerbridge.errors import ArgumentError, DataError, near_match

__all__ = ["caterpillar", "qq_random"]

READABLE_LEVELS = 60  # levels whose names can stand beside each other


def _terms(m: Any, group: str | None) -> tuple[str, list[tuple[str, Any, Any]]]:
    """The group's name, and per column its name, modes and conditional standard deviations."""
    groups = list(m.result.data.groups)
    chosen = groups[0] if group is None else group
    if chosen not in groups:
        raise DataError(
            f"group {chosen!r} is no grouping factor of the model{near_match(chosen, groups)}; "
            f"it has {', '.join(groups)}"
        )
    found = []
    for term in m.result.estimates.random:
        if term.group != chosen:
            continue
        for j, name in enumerate(term.names):
            spread = None
            if term.variances is not None:
                spread = np.sqrt(np.maximum(term.variances[:, j, j], 0))
            found.append((name, term.modes[:, j], spread))
    return chosen, found


@drawing
def caterpillar(m: Any, group: str | None = None, level: float = 0.95) -> AxesArray:
    """Draw conditional modes with their intervals, sorted by the first column's; an axes per
    column.

    Parameters
    ----------
    m : Model
        A fitted mixed model.
    group : str, optional
        The grouping factor; default the first.
    level : float
        Of the intervals, between 0 and 1.

    Returns
    -------
    array of Axes (columns,)

    Raises
    ------
    DataError
        There is no such grouping factor, or matplotlib is missing.
    """
    from scipy.special import ndtri

    if not 0 < level < 1:
        raise ArgumentError(f"level must be between 0 and 1, not {level}")
    chosen, terms = _terms(m, group)
    levels = list(m.result.data.groups[chosen])
    count = len(levels)
    named = count <= READABLE_LEVELS
    height = float(np.clip(1.2 + 0.19 * count, 2.5, 11)) if named else 6
    width = 3.2 * len(terms) + 0.8
    axes = grid_of_axes(len(terms), len(terms), figsize=(width, height), sharey=True)
    order = np.argsort(terms[0][1], kind="stable")
    at = np.arange(count)
    half = float(ndtri(0.5 + level / 2))
    size = 4.0 if count <= 100 else 1.2
    for ax, (name, modes, spread) in zip(axes, terms, strict=True):
        ax.axvline(0, color="0.7", linewidth=1, zorder=0)
        if spread is not None:
            ax.hlines(
                at,
                (modes - half * spread)[order],
                (modes + half * spread)[order],
                color="C0",
                linewidth=1.2 if count <= 100 else 0.4,
                alpha=1.0 if count <= 100 else 0.4,
            )
        ax.plot(modes[order], at, "o", color="C0", markersize=size, markeredgewidth=0)
        ax.set_title(name, fontsize=10)
        ax.set_ylim(-0.7, count - 0.3)
    if named:
        axes[0].set_yticks(at, [levels[i] for i in order], fontsize=8 if count <= 40 else 6)
    else:
        axes[0].set_yticks([])
        axes[0].set_ylabel(f"{count} levels of {chosen}, sorted")
    if named:
        axes[0].set_ylabel(chosen)
    return axes


@drawing
def qq_random(m: Any, group: str | None = None) -> AxesArray:
    """Draw conditional modes against normal quantiles; an axes per column.

    Parameters
    ----------
    m : Model
        A fitted mixed model.
    group : str, optional
        The grouping factor; default the first.

    Returns
    -------
    array of Axes (columns,)

    Raises
    ------
    DataError
        There is no such grouping factor, or matplotlib is missing.
    """
    chosen, terms = _terms(m, group)
    axes = grid_of_axes(len(terms), 3, figsize=(3.6 * min(len(terms), 3) + 0.4, 3.8))
    for ax, (name, modes, _) in zip(axes, terms, strict=True):
        qq_line(ax, modes)
        ax.set_title(name, fontsize=10)
    axes[0].set_ylabel(f"conditional mode, {chosen}")
    return axes
