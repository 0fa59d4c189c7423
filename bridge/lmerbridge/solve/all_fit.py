"""A model by every optimizer that the native engine has, each by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lmerbridge.design import ModelFrame, theta_lower
from lmerbridge.solve.objective import Objective
from lmerbridge.solve.settings import SETTINGS, SINGULAR
from lmerbridge.solve.steps import floor_as_zero

if TYPE_CHECKING:
    from lmerbridge.likelihood import CrossProducts, Evaluation

__all__ = ["OptimizerFit", "all_fits"]

GRADIENT_TOLERANCE = 2e-3  # lme4's tolerance for a component of the gradient


@dataclass(frozen=True)
class OptimizerFit:
    """Where one optimizer ended, in the user's units."""

    optimizer: str
    found: Evaluation
    converged: bool
    singular: bool
    evaluations: int
    seconds: float


def all_fits(frame: ModelFrame, c: CrossProducts, REML: bool) -> list[OptimizerFit]:
    """The fits, in the order in which the engine tries the optimizers."""
    from lmerbridge.likelihood import Search, evaluate
    from lmerbridge.solve.optimum import attempts

    sizes = [len(b.names) for b in frame.random]
    lower = theta_lower(sizes) == 0
    search = Search(c)
    diagonal = search.bounded
    objective = Objective(search, REML)
    tried = attempts(objective.value, objective.gradient, diagonal, SETTINGS, objective.information)
    fits = []
    for name, attempt in tried.items():
        x = floor_as_zero(attempt.x, diagonal, SETTINGS)
        found = evaluate(c, search.users(search.settled(x)), REML)
        if found is None:
            continue
        slope = np.abs(objective.gradient(attempt.x)[~(diagonal & (x == 0))])
        fits.append(
            OptimizerFit(
                name,
                found,
                bool(slope.max(initial=0.0) < GRADIENT_TOLERANCE),
                bool(np.any(found.theta[lower] < SINGULAR)),
                attempt.evaluations,
                attempt.seconds,
            )
        )
    return fits
