"""Differences of means in units of a standard deviation: emmeans' ``eff_size``.

The standard deviation is an estimate too, with a variance of sigma^2 / (2 edf): that of the square
root of a chi-squared variable over its edf, by the delta method.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from lmerbridge.errors import ArgumentError
from lmerbridge.formula.syntax import format_number
from lmerbridge.inference.contrasts import contrast_grid
from lmerbridge.inference.linear_functions import Grid
from lmerbridge.inference.regrid import Inherited

__all__ = ["effect_sizes"]


def effect_sizes(grid: Grid, sigma: float, edf: float, method: Any = "pairwise") -> Grid:
    """Contrasts of the rows of ``grid``, on the scale of the model, over ``sigma``.

    Parameters
    ----------
    grid : Grid
        The means or contrasts.
    sigma : float
        The standard deviation of the population.
    edf : float
        Degrees of freedom of ``sigma``; infinite where it is known.
    method : str or mapping
        As of :func:`lmerbridge.inference.contrasts.contrast_grid`; ``identity`` for rows that are
        differences already.

    Raises
    ------
    DataError
        If ``sigma`` or ``edf`` is not positive.
    """
    if not (math.isfinite(sigma) and sigma > 0):
        raise ArgumentError(f"sigma must be positive, not {sigma}")
    if not edf > 0:
        raise ArgumentError(f"edf must be positive, not {edf}")
    estimates, _, df = grid.numbers
    known = grid.estimable
    values = np.where(known, estimates, 0.0) / sigma
    V = grid.L @ grid.denominator.vcov @ grid.L.T / sigma**2
    V = V + np.outer(values, values) / (2 * edf)
    name = grid.denominator.name
    method_of_df = {"lme4": "asymptotic"}.get(name, name.lower())
    sizes = replace(
        grid,
        L=np.eye(len(values)),
        offset=np.zeros(len(values)),
        denominator=Inherited(
            values,
            V,
            np.where(known, df, np.inf),
            f"inherited from {method_of_df} when re-gridding",
        ),
        link=None,
        response=False,
        df=None,
    )
    found = contrast_grid(sizes, method, adjust="none")
    return replace(
        found,
        estimate="effect.size",
        infer="ci",
        still="",
        remarks=(f"sigma used for effect sizes: {format_number(sigma, 4)} ",),
    )
