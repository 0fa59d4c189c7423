"""Responses drawn from a fitted model for its own rows, linear or generalized."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from lmerbridge.design import ModelFrame
from lmerbridge.inference.family_residuals import fitted_family
from lmerbridge.inference.predict import as_rows, predictions
from lmerbridge.inference.simulate import draw
from lmerbridge.result import FitResult

__all__ = ["drawn_responses"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


def drawn_responses(
    frame: ModelFrame,
    result: FitResult,
    rng: np.random.Generator,
    chosen: Sequence[Any],
    nsim: int,
) -> Array:
    """Draw responses (n, nsim); of a binomial proportions.

    Parameters
    ----------
    frame : ModelFrame
    result : FitResult
    rng : numpy.random.Generator
    chosen : sequence of array of bool (k,)
        Per term the columns whose effects are kept; the others are drawn anew.
    nsim : int

    """
    rows, family = as_rows(frame), fitted_family(result) if result.call.generalized else None
    estimates, levels = result.estimates, [len(b.levels) for b in frame.random]
    mean = predictions(result, rows, chosen)
    noise = family is None
    eta = draw(
        rng, rows, mean, estimates.theta, estimates.theta_scale, levels, chosen, nsim, noise=noise
    )
    if family is None:
        return eta
    weights = np.ones(len(eta)) if frame.weights is None else frame.weights
    return np.column_stack(
        [
            family.simulate(family.link.inverse(column), weights, estimates.scale**2, rng)
            for column in eta.T
        ]
    )
