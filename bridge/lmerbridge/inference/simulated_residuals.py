"""Quantile residuals by simulation: where each response lies among what the model makes."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from lmerbridge.design import ModelFrame
from lmerbridge.errors import ArgumentError
from lmerbridge.inference.predict import as_rows, predictions
from lmerbridge.inference.re_form import NA, chosen_effects
from lmerbridge.inference.simulate import draw, generator
from lmerbridge.result import FitResult

__all__ = ["quantile_residuals"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


def quantile_residuals(
    frame: ModelFrame, result: FitResult, nsim: int = 250, seed: Any = None, re_form: Any = NA
) -> Array:
    """Uniform on (0, 1) if the model holds (Dunn & Smyth 1996, J. Comput. Graph. Stat. 5, 236-244,
    by simulation): the share of ``nsim`` responses below each observed one, ties broken at random.
    With the default new random effects are drawn each time.
    """
    if nsim < 1:
        raise ArgumentError(f"nsim must be a positive whole number, not {nsim}")
    rng = generator(seed)
    rows = as_rows(frame)
    chosen = chosen_effects(frame, re_form)
    mean = predictions(result, rows, chosen)
    levels = [len(b.levels) for b in frame.random]
    estimates = result.estimates
    below = np.zeros(frame.nobs)
    done = 0
    while done < nsim:  # some at a time, for the memory
        count = min(50, nsim - done)
        made = draw(rng, rows, mean, estimates.theta, estimates.scale, levels, chosen, count)
        below += np.sum(made < frame.y[:, None], axis=1)
        done += count
    return np.asarray((below + rng.uniform(size=frame.nobs)) / (nsim + 1))
