"""Comparison arrows: two means differ significantly if their arrows do not meet."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from lmerbridge.errors import DataError, FitWarning
from lmerbridge.inference.contrasts import contrast_grid
from lmerbridge.inference.linear_functions import Grid
from lmerbridge.inference.options import with_options
from lmerbridge.messages import from_outside

__all__ = ["arrows_of", "comparison_arrows"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
CLOSE = 0.1  # of a margin: pairs that are nearer to it all count alike
ROOM = 1e-3  # of a difference: what is left between arrows that must not meet


def comparison_arrows(means: Array, margins: Array) -> tuple[Array, Array, list[tuple[int, int]]]:
    """Find the lengths of arrows from each mean to the lower and to the higher ones.

    Of two means ``m_i < m_j`` the arrow of i upwards and that of j downwards shall together be as
    long as the margin of error of their difference, so that they meet if and only if it is not
    significant (vignette "xplanations" of emmeans, "Comparison arrows"). Where no lengths do that
    for all pairs, they are those of least weighted squares that are not negative, and the weights
    are the greater the nearer a difference is to its margin, where it matters most; the vignette
    leaves the weights open, and these are ours. Should some pair of these mislead, the lengths
    with the least sum of absolute deviations among those that mislead for no pair are taken, if
    there are such lengths.

    Parameters
    ----------
    means : array (k,)
        Not NaN.
    margins : array (k, k)
        Symmetric: half of each difference's confidence interval.

    Returns
    -------
    down, up : array (k,)
        Lengths; NaN for those that have nothing to be compared with.
    misleading : list of (int, int)
        Pairs whose arrows meet though they differ significantly, or the other way round.
    """
    k = len(means)
    down, up = np.full(k, np.nan), np.full(k, np.nan)
    low, high = np.nonzero(means[:, None] < means[None, :])
    if not len(low):
        return down, up, []
    apart, margin = means[high] - means[low], margins[low, high]
    ups, downs = np.unique(low), np.unique(high)
    design = np.zeros((len(low), len(ups) + len(downs)))
    rows = np.arange(len(low))
    design[rows, np.searchsorted(ups, low)] = 1
    design[rows, len(ups) + np.searchsorted(downs, high)] = 1
    lengths = _least_squares(design, apart, margin)
    wrong = _wrong(design @ lengths, apart, margin)
    if wrong.any():
        other = _none_misleading(design, apart, margin)
        if other is not None:
            lengths, wrong = other, np.zeros_like(wrong)
    up[ups], down[downs] = lengths[: len(ups)], lengths[len(ups) :]
    return down, up, list(zip(low[wrong].tolist(), high[wrong].tolist(), strict=True))


def arrows_of(grid: Grid, labels: Sequence[str], alpha: float, adjust: str | None = None) -> Array:
    """Find where the arrows of each mean end, within each family, on the scale that is shown.

    Parameters
    ----------
    grid : Grid
        Of means.
    labels : sequence of str
        Of its rows, for the warning.
    alpha : float
        What the differences are tested at.
    adjust : str, optional
        Of these tests; default ``tukey``.

    Returns
    -------
    array (2, rows)
        Ends of the arrows downwards and upwards; NaN where there is none.

    Raises
    ------
    DataError
        The rows are contrasts.

    Warns
    -----
    FitWarning
        Names the pairs about which the arrows mislead.
    """
    if grid.contrast:
        raise DataError("comparisons=True draws arrows of means, and these are contrasts")
    pairs = with_options(contrast_grid(grid, "pairwise", adjust=adjust), level=1 - alpha)
    lower, upper = pairs.limits()
    half = (upper - lower) / 2
    estimates = grid.numbers[0]
    ends = np.full((2, len(estimates)), np.nan)
    misled: list[str] = []
    for rows, own in zip(grid.families(), pairs.families(), strict=True):
        k = len(rows)
        margins = np.full((k, k), np.nan)
        if k > 1:
            margins[np.triu_indices(k, 1)] = half[own]
        margins = np.fmax(margins, margins.T)
        known = np.flatnonzero(np.isfinite(estimates[rows]))
        chosen = rows[known]
        down, up, wrong = comparison_arrows(estimates[chosen], margins[np.ix_(known, known)])
        ends[0, chosen], ends[1, chosen] = estimates[chosen] - down, estimates[chosen] + up
        misled += [f"{labels[chosen[i]]} and {labels[chosen[j]]}" for i, j in wrong]
    if misled:
        warnings.warn(
            f"no arrows tell all pairs apart; do not judge by them {'; '.join(misled)}",
            FitWarning,
            stacklevel=from_outside(),
        )
    return grid.link.inverse(ends) if grid.response and grid.link is not None else ends


def _wrong(together: Array, apart: Array, margin: Array) -> Any:
    """Which pairs' arrows say another thing than their test."""
    meet = together >= apart * (1 - 1e-12)
    return meet == (apart > margin)


def _least_squares(design: Array, apart: Array, margin: Array) -> Array:
    from scipy.optimize import lsq_linear

    weight = 1 / (np.abs(apart - margin) / margin + CLOSE)
    # half of the pairs' mean margin; the shortest step from there, if many do
    start = design.T @ margin / design.sum(axis=0) / 2
    scaled = design * weight[:, None]
    step = np.linalg.lstsq(scaled, weight * (margin - design @ start), rcond=1e-10)[0]
    found = np.asarray(start + step, dtype=float)
    if (found >= 0).all():
        return found
    bounded = lsq_linear(scaled, weight * margin, bounds=(0, np.inf)).x
    return np.asarray(np.maximum(bounded, 0.0), dtype=float)


def _none_misleading(design: Array, apart: Array, margin: Array) -> Array | None:
    from scipy.optimize import linprog

    pairs, arrows = design.shape
    differs = apart > margin
    # lengths x and deviations t >= |design x - margin|; arrows that must meet, and that must not
    sign = np.where(differs, 1.0, -1.0)
    limit = np.where(differs, apart * (1 - ROOM), -apart)
    unit = np.eye(pairs)
    found = linprog(
        np.concatenate([np.zeros(arrows), np.ones(pairs)]),
        A_ub=np.block(
            [
                [sign[:, None] * design, np.zeros((pairs, pairs))],
                [design, -unit],
                [-design, -unit],
            ]
        ),
        b_ub=np.concatenate([limit, margin, -margin]),
        bounds=(0, None),
        method="highs",
    )
    return np.asarray(found.x, dtype=float)[:arrows] if found.success else None
