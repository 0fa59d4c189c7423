"""The estimates at which the derivatives of the likelihood are 0 that importance sampling gives:
where it does not fall into small blocks, as with crossed factors.

All points have the same standardized draws, around their own conditional modes, so that what is
solved is smooth. Newton's steps begin at the estimates of Laplace's approximation, with its
Hessian. The error of the derivatives, V, makes one of the estimates, H^-1 V H^-1 (Geyer 1994, J. R.
Stat. Soc. B 56, 261-274, theorem 7).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lmerbridge.equality import by_value
from lmerbridge.errors import FitFailedError
from lmerbridge.likelihood.criteria import Known
from lmerbridge.likelihood.importance import sampled_score
from lmerbridge.likelihood.search import Coordinates
from lmerbridge.solve.generalized import fit_generalized
from lmerbridge.solve.objective import check_time
from lmerbridge.solve.settings import SETTINGS
from lmerbridge.solve.steps import difference_hessian, free_of_floor

if TYPE_CHECKING:
    from lmerbridge.likelihood.laplace import Problem
    from lmerbridge.likelihood.layout import Array

__all__ = ["SampledEstimates", "sampled_estimates"]

MOST_STEPS = 20
SETTLED = 0.02  # of the error by sampling, or of a hundredth of a standard error, a step
OF_HESSIAN = 5  # how many times fewer draws the Hessian has
MOST_NUMBERS = 20_000_000  # rows times draws
FEWEST = 1000


@by_value
@dataclass(frozen=True, eq=False)
class SampledEstimates:
    """Where the estimated derivatives are 0.

    Attributes
    ----------
    x : array (m,)
        The coordinates of the covariance parameters.
    beta : array (p,)
        In the units of Q.
    draws : int
        That were taken.
    covariance, sampling : array (m + p, m + p)
        Of the estimates, by the Hessian; and of their error by sampling. 0 for a parameter at its
        bound, which stays there.
    """

    x: Array
    beta: Array
    draws: int
    covariance: Array
    sampling: Array


def sampled_estimates(
    problem: Problem,
    draws: int,
    seed: int,
    start: Array | None = None,
    end: float = math.inf,
) -> SampledEstimates:
    """Maximize the likelihood.

    Parameters
    ----------
    problem : Problem
    draws : int
        Even; fewer are taken where there are many rows.
    seed : int
    start, end
        As of :func:`lmerbridge.solve.exact_estimates.exact_estimates`.

    Raises
    ------
    UnsupportedModelError
        More random effects than can be sampled.
    FitFailedError
        The time is over, or the steps do not settle.
    """
    coordinates = Coordinates(problem.effects.layout)
    laplace = fit_generalized(Known(problem), start=start, end=end)
    m = len(laplace.x)
    free = np.append(
        free_of_floor(laplace.x, coordinates.bounded, SETTINGS), np.ones(problem.p, dtype=bool)
    )
    which = np.flatnonzero(free)
    draws = 2 * (min(draws, max(FEWEST, MOST_NUMBERS // len(problem.y))) // 2)

    def score(x: Array, count: int) -> tuple[Array, Array]:
        check_time(end)
        point = problem.at(coordinates.theta(x[:m]), x[m:], laplace.point.u)
        if point is None:
            raise FitFailedError("the conditional modes cannot be found on the way")
        g, V = sampled_score(point, count, seed)
        slope = coordinates.slope_with(x, np.ones(problem.p))
        return slope.T @ g, slope.T @ V @ slope

    def with_fewer(x: Array) -> Array:
        return score(x, max(FEWEST, draws // OF_HESSIAN))[0]

    assert laplace.hessian is not None
    x, hessian = np.append(laplace.x, laplace.point.beta), laplace.hessian
    exact = False
    for _ in range(MOST_STEPS):
        g, V = score(x, draws)
        inverse = np.linalg.inv(hessian)
        step = -inverse @ g[which]
        sampling = inverse @ V[np.ix_(which, which)] @ inverse
        errors = np.sqrt(np.diag(sampling)) + 0.01 * np.sqrt(np.abs(np.diag(2 * inverse)))
        small = float(np.max(np.abs(step) / errors))
        if small < 1 and not exact:  # near enough for its own Hessian
            hessian = difference_hessian(with_fewer, x, which.tolist(), SETTINGS)
            exact = True
            continue
        x[which] += step
        x[:m] = np.where(coordinates.bounded, np.maximum(x[:m], 0.0), x[:m])
        if small < SETTLED and exact:
            whole = np.zeros((2, len(x), len(x)))
            whole[:, which[:, None], which] = 2 * inverse, sampling
            return SampledEstimates(x[:m], x[m:], draws, *whole)
    raise FitFailedError("the steps towards the largest likelihood do not settle: take more draws")
