"""The estimates that maximize the exact likelihood of a generalized linear mixed model, and how far
those of an approximation are from them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lmerbridge.equality import by_value
from lmerbridge.errors import FitFailedError
from lmerbridge.likelihood.criteria import Known
from lmerbridge.likelihood.exact import ExactCriterion, exact_criterion
from lmerbridge.likelihood.quadrature import check_nodes
from lmerbridge.likelihood.search import Coordinates
from lmerbridge.solve.generalized import GeneralizedFit, fit_generalized
from lmerbridge.solve.settings import SETTINGS
from lmerbridge.solve.steps import free_of_floor

if TYPE_CHECKING:
    from lmerbridge.likelihood.laplace import Problem
    from lmerbridge.likelihood.layout import Array

__all__ = ["ExactEstimates", "exact_estimates"]

# nodes a dimension that are tried in turn, by the number of dimensions
ORDERS = {1: (15, 25, 45, 75, 100), 2: (9, 15, 25, 41), 3: (7, 11, 17), 4: (5, 7, 10)}
SETTLED = 1e-3  # standard errors, between two orders


@by_value
@dataclass(frozen=True, eq=False)
class ExactEstimates:
    """The optimum of the exact criterion.

    Attributes
    ----------
    fit : GeneralizedFit
        By the last quadrature.
    laplace : GeneralizedFit
        By Laplace's approximation.
    nodes : int
        Of the last quadrature, a dimension.
    settled : float
        By how many standard errors the estimates moved at most from the order before.
    criterion : ExactCriterion
        At the estimates, by the quadrature of :func:`lmerbridge.likelihood.exact.exact_criterion`.
    """

    fit: GeneralizedFit
    laplace: GeneralizedFit
    nodes: int
    settled: float
    criterion: ExactCriterion

    @property
    def shifts(self) -> Array:
        """By how many standard errors of the exact fit Laplace's estimates are off (m + p,).

        The covariance parameters come first (as coordinates of the search), then the fixed
        effects in the units of the user's columns; not a number where a parameter is at its bound.
        """
        return _apart(self.laplace, self.fit)

    @property
    def errors(self) -> Array:
        """Standard errors of the exact fit (m + p,), in the order of :attr:`shifts`."""
        return _errors(self.fit)


def exact_estimates(
    problem: Problem, start: Array | None = None, end: float = math.inf
) -> ExactEstimates:
    """Minimize the exact criterion, by quadrature of rising order until the estimates are settled.

    Parameters
    ----------
    problem : Problem
        Of nested grouping factors with few effects a level.
    start : array (m,), optional
        Covariance parameters to start from, in the user's units.
    end : float
        When to give up, on the clock of ``time.perf_counter``.

    Raises
    ------
    UnsupportedModelError
        The likelihood does not fall into small blocks.
    FitFailedError
        The time is over, or there is no point at which the modes can be found.
    """
    check_nodes(problem, 2)
    coordinates = Coordinates(problem.effects.layout)
    laplace = fit_generalized(Known(problem), start=start, end=end)
    fit, settled, nodes = laplace, math.inf, 1
    for nodes in ORDERS[sum(factor.width for factor in problem.layout.factors)]:
        begin = coordinates.parameters(fit.x)
        found = fit_generalized(Known(problem, nodes), start=begin, end=end)
        moves = _apart(fit, found)
        known = moves[np.isfinite(moves)]
        settled = float(np.abs(known).max()) if len(known) else 0.0
        fit = found
        if settled < SETTLED:
            break
    theta = coordinates.theta(fit.x)
    return ExactEstimates(
        fit, laplace, nodes, settled, exact_criterion(problem, theta, fit.point.beta)
    )


def _apart(one: GeneralizedFit, other: GeneralizedFit) -> Array:
    """The difference of two fits' estimates in standard errors of the second."""
    errors = _errors(other)
    found = _estimates(one) - _estimates(other)
    return np.asarray(found / np.where(errors > 0, errors, np.nan), dtype=np.float64)


def _errors(fit: GeneralizedFit) -> Array:
    """Standard errors (m + p,) of the covariance parameters' coordinates and of the user's fixed
    effects; not a number where a parameter is at its bound.

    Raises
    ------
    FitFailedError
        It is a fit without a Hessian.
    """
    hessian = fit.hessian
    if hessian is None:
        raise FitFailedError("a fit without a Hessian has no standard errors")
    problem, m = fit.point.problem, len(fit.x)
    bounded = Coordinates(problem.effects.layout).bounded
    free = np.append(free_of_floor(fit.x, bounded, SETTINGS), np.ones(problem.p)).astype(bool)
    into = np.eye(len(hessian))
    first = len(hessian) - problem.p
    into[first:, first:] = np.linalg.inv(problem.R)
    variances = np.diag(into @ np.linalg.pinv(0.5 * hessian, hermitian=True) @ into.T)
    errors = np.full(m + problem.p, np.nan)
    errors[free] = np.sqrt(np.maximum(variances, 0.0))
    return errors


def _estimates(fit: GeneralizedFit) -> Array:
    """The covariance parameters' coordinates and the user's fixed effects (m + p,)."""
    beta = np.linalg.solve(fit.point.problem.R, fit.point.beta)
    return np.append(fit.x, np.asarray(beta, dtype=np.float64))
