"""Residuals as pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmerbridge.arguments import check_level
from lmerbridge.display.plots.canvas import (
    AxesArray,
    axes_of,
    crowded,
    drawing,
    entitle,
    grid_of_axes,
    smooth,
)
from lmerbridge.errors import UnsupportedModelError
from lmerbridge.inference.residuals import residuals

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "qq_line",
    "qq_residuals",
    "quantile_residuals",
    "residuals_fitted",
    "scale_location",
    "worm",
]


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


def _positions(n: int) -> Any:
    """Probabilities of n sorted values, as R's ``ppoints``."""
    shift = 3 / 8 if n <= 10 else 1 / 2
    return (np.arange(1, n + 1) - shift) / (n + 1 - 2 * shift)


def qq_line(ax: Axes, values: Any, color: str = "C0") -> None:
    """Draw sorted values against normal quantiles, with the line through the quartiles."""
    from scipy.special import ndtri

    values = np.sort(np.asarray(values, float))
    n = len(values)
    theory = ndtri(_positions(n))
    ax.plot(theory, values, "o", color=color, markeredgewidth=0, **crowded(n))
    quartiles = np.quantile(values, [0.25, 0.75])
    slope = (quartiles[1] - quartiles[0]) / (2 * 0.6744897501960817)
    if slope > 0:
        ax.axline((0, float(quartiles.mean())), slope=float(slope), color="0.5", linewidth=1)
    ax.set_xlabel("normal quantile")


@drawing
def qq_residuals(m: Any, ax: Axes | None = None) -> Axes:
    """Draw scaled residuals against normal quantiles, of a linear model.

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
    UnsupportedModelError
        A generalized model, whose residuals are not normal.
    """
    if m.result.call.generalized:
        raise UnsupportedModelError(
            "residuals of a generalized model are not normal: lb.plots.quantile_residuals(m)"
        )
    ax = axes_of(ax, m, figsize=(4.5, 4.5))
    qq_line(ax, residuals(m.result, "scaled"))
    ax.set_ylabel("scaled residual")
    return ax


@drawing
def quantile_residuals(m: Any, nsim: int = 250, seed: Any = 1, re_form: Any = "NA") -> AxesArray:
    """Draw quantile residuals: sorted, against those of a uniform distribution, and against the
    ranks of the fitted values, with a smooth that is flat at 0.5 if the model holds.

    Parameters
    ----------
    m : Model or GeneralizedModel
        A fitted mixed model.
    nsim, seed, re_form
        As of :meth:`lmerbridge.Model.quantile_residuals`.

    Returns
    -------
    array of Axes (2,)

    Raises
    ------
    DataError
        matplotlib is missing.
    """
    share = np.asarray(m.quantile_residuals(nsim, seed, re_form), dtype=float)
    share = share[np.isfinite(share)]
    n = len(share)
    axes = grid_of_axes(2, 2, figsize=(8, 4))
    axes[0].axline((0, 0), slope=1, color="0.5", linewidth=1, zorder=0)
    axes[0].plot(_positions(n), np.sort(share), "o", color="C0", markeredgewidth=0, **crowded(n))
    axes[0].set_xlabel("uniform quantile")
    axes[0].set_ylabel("quantile residual")
    place = np.argsort(np.argsort(m.result.estimates.fitted, kind="stable")) / max(n - 1, 1)
    axes[1].axhline(0.5, color="0.7", linewidth=1, zorder=0)
    axes[1].plot(place, share, "o", color="C0", markeredgewidth=0, **crowded(n))
    if n > 4:
        axes[1].plot(*smooth(place, share), color="C3", linewidth=1.5)
    axes[1].set_xlabel("rank of the fitted value")
    entitle(axes, m)
    return axes


@drawing
def worm(
    m: Any,
    nsim: int = 250,
    seed: Any = 1,
    re_form: Any = "NA",
    level: float = 0.95,
    ax: Axes | None = None,
) -> Axes:
    """Draw a worm plot of quantile residuals: how far their normal scores are from the normal
    quantiles where they should lie, over these quantiles (van Buuren & Fredriks 2001, Statistics
    in Medicine 20, 1259-1277).

    A worm that lies above 0 shows a mean that is too low, one that rises a variance that is too
    small, a parabola skewness and an S tails: the cubic polynomial through the points, drawn as a
    line, shows which. Between the dashed lines is a share ``level`` of the points of independent
    residuals of a model that holds: +- z sqrt(p (1 - p) / n) / phi(x), with p = Phi(x). Rows of one
    group are not independent with the default ``re_form``, and leave the lines together.

    Parameters
    ----------
    m : Model
        A fitted mixed model.
    nsim, seed, re_form
        As of :meth:`lmerbridge.Model.quantile_residuals`.
    level : float
        Of the lines, between 0 and 1.
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
    from scipy.special import ndtri

    check_level(level)
    share = np.asarray(m.quantile_residuals(nsim, seed, re_form), dtype=float)
    scores = np.sort(ndtri(share[np.isfinite(share)]))
    n = len(scores)
    theory = ndtri(_positions(n))
    off = scores - theory
    ax = axes_of(ax, m, figsize=(6, 4))
    ax.axhline(0, color="0.7", linewidth=1, zorder=0)
    ax.plot(theory, off, "o", color="C0", markeredgewidth=0, **crowded(n))
    if n > 4:
        ax.plot(theory, np.polyval(np.polyfit(theory, off, 3), theory), color="C3", linewidth=1.5)
    at = np.linspace(1.05 * theory[0], 1.05 * theory[-1], 201)
    band = float(ndtri(0.5 + level / 2)) * _score_error(at, n)
    for limit in (-band, band):
        ax.plot(at, limit, color="0.5", linewidth=1, linestyle="--")
    ax.set_xlabel("normal quantile")
    ax.set_ylabel("deviation of the score")
    return ax


def _score_error(at: Any, n: int) -> Any:
    """The standard error of the quantiles ``at`` of n normal values."""
    from scipy.special import ndtr

    density = np.exp(-0.5 * at**2) / np.sqrt(2 * np.pi)
    return np.sqrt(ndtr(at) * ndtr(-at) / n) / density
