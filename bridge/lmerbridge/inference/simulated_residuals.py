"""Quantile residuals by simulation: where each response lies among what the model makes."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from lmerbridge.design import ModelFrame
from lmerbridge.errors import ArgumentError
from lmerbridge.inference.drawn import drawn_responses
from lmerbridge.inference.re_form import NA, chosen_effects
from lmerbridge.inference.simulate import generator
from lmerbridge.result import FitResult

__all__ = ["quantile_residuals"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

TIED = 1e-12  # of a response: what is nearer is the same


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
    chosen = chosen_effects(frame, re_form)
    below, ties = np.zeros(frame.nobs), np.zeros(frame.nobs)
    done = 0
    while done < nsim:  # some at a time, for the memory
        count = min(50, nsim - done)
        made = drawn_responses(frame, result, rng, chosen, count)
        y = frame.y[:, None]
        equal = np.abs(made - y) <= TIED * np.abs(y)  # proportions of trials, but for rounding
        ties += equal.sum(axis=1)
        below += np.sum((made < y) & ~equal, axis=1)
        done += count
    # the response is one more of those it is equal to, with a place among them at random
    return np.asarray((below + rng.uniform(size=frame.nobs) * (ties + 1)) / (nsim + 1))
