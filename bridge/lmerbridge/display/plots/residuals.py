"""Residuals as pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmerbridge.display.plots.canvas import axes_of, crowded, drawing, smooth
from lmerbridge.inference.residuals import residuals

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["qq_line", "qq_residuals", "residuals_fitted", "scale_location"]


@drawing
def residuals_fitted(m: Any, type: str = "pearson", ax: Axes | None = None) -> Axes:
    """Draw residuals against fitted values, with a smooth; lme4's ``plot(m)``.

    Parameters
    ----------
    m : Model
        A fitted mixed model.
    type : str
        As of :meth:`lmerbridge.Model.residuals`.
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
    x, y = m.result.estimates.fitted, residuals(m.result, type)
    ax = axes_of(ax, m, figsize=(6, 4))
    ax.axhline(0, color="0.7", linewidth=1, zorder=0)
    ax.plot(x, y, "o", color="C0", markeredgewidth=0, **crowded(len(x)))
    if len(np.unique(x)) > 4:
        ax.plot(*smooth(x, y), color="C3", linewidth=1.5)
    ax.set_xlabel("fitted")
    ax.set_ylabel(f"{type} residual")
    return ax


@drawing
def scale_location(m: Any, ax: Axes | None = None) -> Axes:
    """Draw square roots of the absolute scaled residuals against fitted values.

    Parameters
    ----------
    m : Model
        A fitted mixed model.
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
    x = m.result.estimates.fitted
    y = np.sqrt(np.abs(residuals(m.result, "scaled")))
    ax = axes_of(ax, m, figsize=(6, 4))
    ax.plot(x, y, "o", color="C0", markeredgewidth=0, **crowded(len(x)))
    if len(np.unique(x)) > 4:
        ax.plot(*smooth(x, y), color="C3", linewidth=1.5)
    ax.set_xlabel("fitted")
    ax.set_ylabel(r"$\sqrt{|\mathrm{scaled\ residual}|}$")
    ax.set_ylim(bottom=0)
    return ax


def qq_line(ax: Axes, values: Any, color: str = "C0") -> None:
    """Draw sorted values against normal quantiles, with the line through the quartiles."""
    from scipy.special import ndtri

    values = np.sort(np.asarray(values, float))
    n = len(values)
    shift = 3 / 8 if n <= 10 else 1 / 2
    theory = ndtri((np.arange(1, n + 1) - shift) / (n + 1 - 2 * shift))
    ax.plot(theory, values, "o", color=color, markeredgewidth=0, **crowded(n))
    quartiles = np.quantile(values, [0.25, 0.75])
    slope = (quartiles[1] - quartiles[0]) / (2 * 0.6744897501960817)
    if slope > 0:
        ax.axline((0, float(quartiles.mean())), slope=float(slope), color="0.5", linewidth=1)
    ax.set_xlabel("normal quantile")


@drawing
def qq_residuals(m: Any, ax: Axes | None = None) -> Axes:
    """Draw scaled residuals against normal quantiles.

    Parameters
    ----------
    m : Model
        A fitted mixed model.
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
    ax = axes_of(ax, m, figsize=(4.5, 4.5))
    qq_line(ax, residuals(m.result, "scaled"))
    ax.set_ylabel("scaled residual")
    return ax
