"""What a model draws, and what a bootstrap gave, as pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmerbridge.arguments import check_level
from lmerbridge.display.plots.canvas import AxesArray, axes_of, drawing, grid_of_axes
from lmerbridge.errors import ArgumentError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["bootstrap", "predictive"]

POINTS = 200


def _density(values: Any, at: Any) -> Any:
    """A kernel estimate with Silverman's bandwidth (1986, equation 3.31)."""
    spread = min(values.std(ddof=1), np.subtract(*np.quantile(values, [0.75, 0.25])) / 1.34)
    width = 0.9 * (spread or values.std(ddof=1) or 1.0) * len(values) ** -0.2
    z = (at[:, None] - values) / width
    return np.exp(-0.5 * z**2).mean(axis=1) / (width * np.sqrt(2 * np.pi))


@drawing
def predictive(m: Any, nsim: int = 50, seed: int | None = 1, ax: Axes | None = None) -> Axes:
    """Draw the density of the response over those of responses that the model draws; where they
    part, the model does not describe the data (Gelman & Hill 2007, section 8.3).

    Parameters
    ----------
    m : Model
        A fitted mixed model.
    nsim : int
        How many responses are drawn.
    seed : int, optional
        Makes the draws again.
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
    if nsim < 1:
        raise ArgumentError(f"nsim must be 1 or more, not {nsim}")
    drawn = m.simulate(nsim, seed).to_numpy(float)
    drawn = drawn[np.isfinite(drawn).all(axis=1)]
    y = m.frame.y
    if len(y) > 2000:  # as many tell a density
        rows = np.random.default_rng(0).choice(len(y), 2000, replace=False)
        y, drawn = y[rows], drawn[rows]
    low, high = min(y.min(), drawn.min()), max(y.max(), drawn.max())
    at = np.linspace(low, high, POINTS)
    ax = axes_of(ax, m, figsize=(6, 4))
    for k, column in enumerate(drawn.T):
        label = f"{nsim} drawn by the model" if k == 0 else None
        ax.plot(at, _density(column, at), color="C0", linewidth=0.6, alpha=0.4, label=label)
    ax.plot(at, _density(y, at), color="black", linewidth=1.8, label="observed")
    ax.set_xlabel(m.frame.formula.response_label)
    ax.set_yticks([])
    ax.set_ylabel("density")
    ax.legend(frameon=False, fontsize=8)
    return ax


@drawing
def bootstrap(boot: Any, level: float = 0.95) -> AxesArray:
    """Draw histograms of the replications of each statistic, with the fit's own value and the
    percentile interval.

    Parameters
    ----------
    boot : Bootstrap
        Of :meth:`lmerbridge.Model.bootMer`.
    level : float
        Of the interval, between 0 and 1.

    Returns
    -------
    array of Axes (statistics,)

    Raises
    ------
    DataError
        matplotlib is missing.
    """
    if not (hasattr(boot, "t0") and hasattr(boot, "interval")):
        raise ArgumentError(f"boot must be of m.bootMer(), not {type(boot).__name__}")
    check_level(level)
    count = len(boot.names)
    columns = min(3, count)
    size = (2.9 * columns + 0.3, 2.3 * -(-count // columns) + 0.4)
    axes = grid_of_axes(count, columns, figsize=size)
    tail = 50 * (1 - level)
    for ax, name, own, values in zip(axes, boot.names, boot.t0, boot.t.T, strict=True):
        known = values[np.isfinite(values)]
        if len(known):
            ax.hist(known, bins=min(40, max(8, len(known) // 25)), color="C0", alpha=0.5)
            for limit in np.percentile(known, [tail, 100 - tail]):
                ax.axvline(limit, color="C1", linewidth=1, linestyle="--")
        ax.axvline(own, color="black", linewidth=1.3)
        ax.set_title(str(name), fontsize=9)
        ax.set_yticks([])
        ax.locator_params(axis="x", nbins=5)
        ax.tick_params(labelsize=8)
    axes[0].figure.suptitle(f"{len(boot.t)} replications, {100 * level:g} % interval", fontsize=9)
    return axes
