"""The marginal likelihood of a generalized linear mixed model as it is, against which an
approximation of it is held.

Where the grouping factors are nested and have few effects a level, by quadrature of rising order;
elsewhere by importance sampling (:mod:`lmerbridge.likelihood.importance`), which says its error.
The quadrature is placed not by the modes but by the means and covariances of the integrands
(Naylor & Smith 1982, Applied Statistics 31, 214-225), which suit skew ones: so it shares with the
engines' own neither nodes nor scales.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lmerbridge.equality import by_value
from lmerbridge.errors import ArgumentError, FitFailedError
from lmerbridge.likelihood.importance import importance_sampling
from lmerbridge.likelihood.laplace import LaplacePoint, Problem
from lmerbridge.likelihood.layout import Array
from lmerbridge.likelihood.paths import Integral, Paths, root_of
from lmerbridge.likelihood.quadrature import MOST_NUMBERS, refused_nodes

__all__ = ["ExactCriterion", "exact_at", "exact_criterion"]

DRAWS = 20_000
AGREED = 1e-8  # of -2 log-likelihood, between two orders
# nodes a dimension, by the number of dimensions
ORDERS = {
    1: (20, 30, 45, 65, 100, 150, 220, 320),
    2: (12, 18, 27, 40, 60, 90),
    3: (8, 12, 18, 27, 40),
    4: (6, 9, 13, 18, 24),
}
MOMENT_STEPS = 3  # how often the quadrature is placed anew
MOST_ROWS = 400_000_000  # rows times nodes: some minutes
KEPT = 0.01  # of the covariance at the modes, added so that it is never singular


@by_value
@dataclass(frozen=True, eq=False)
class ExactCriterion:
    """Minus twice the log of the marginal likelihood, with what is known of its error.

    Attributes
    ----------
    value : float
        -2 log-likelihood, all constants included.
    error : float
        By quadrature the change from the order before; by sampling the standard error.
    method : str
        ``"quadrature"`` or ``"importance sampling"``.
    nodes : int
        Nodes a dimension, or draws.
    effective : float or None
        Of the draws, the effective sample size: the least of the independent blocks.
    tail : float or None
        Of the draws' weights, the shape of the tail (Pareto's k): the largest of the blocks. Above
        0.7 the standard error is not to be trusted (Vehtari et al. 2024, JMLR 25(72)).
    """

    value: float
    error: float
    method: str
    nodes: int
    effective: float | None = None
    tail: float | None = None


def exact_criterion(
    problem: Problem,
    theta: Array,
    beta: Array,
    *,
    sampling: bool = False,
    draws: int = DRAWS,
    seed: int = 0,
) -> ExactCriterion:
    """Compute minus twice the log of the marginal likelihood.

    A row's density is taken at any linear predictor that has a mean of the distribution's (also
    below 0 for the square root), and is 0 elsewhere. Where the edge of that range is within reach
    of the effects (a log link with means near 1), the integrand has a jump, the quadrature
    converges slowly, and ``error`` says so.

    Parameters
    ----------
    problem : Problem
        ``observed`` is of no effect on the value.
    theta : array
        Of the scaled columns.
    beta : array (p,)
        In the units of Q.
    sampling : bool
        Whether to sample also where quadrature would do.
    draws : int
        Where it is sampled; even.
    seed : int
        Of the draws.

    Raises
    ------
    ArgumentError
        ``draws`` are too few, or odd.
    FitFailedError
        There are no conditional modes at these parameters.
    UnsupportedModelError
        More random effects than can be sampled.
    """
    point = problem.at(np.asarray(theta, dtype=np.float64), np.asarray(beta, dtype=np.float64))
    if point is None:
        raise FitFailedError(
            "the conditional modes of the random effects cannot be found at these parameters:"
            " without them there is no place to integrate around"
        )
    return exact_at(point, sampling=sampling, draws=draws, seed=seed)


def exact_at(
    point: LaplacePoint, *, sampling: bool = False, draws: int = DRAWS, seed: int = 0
) -> ExactCriterion:
    """Compute :func:`exact_criterion` around modes that are known.

    Parameters
    ----------
    point : LaplacePoint
        The modes.
    sampling, draws, seed
        As there.

    Raises
    ------
    ArgumentError, UnsupportedModelError
        As there.
    """
    problem = point.problem
    if not sampling and not refused_nodes(6, problem.layout.factors, problem.effects.codes):
        return _by_quadrature(point)
    if draws < 100 or draws % 2:
        raise ArgumentError(f"draws must be an even number from 100 on, not {draws}")
    found = importance_sampling(point, draws, seed)
    return ExactCriterion(
        found.value, found.error, "importance sampling", draws, found.effective, found.tail
    )


def _by_quadrature(point: LaplacePoint) -> ExactCriterion:
    paths = Paths.of(point)
    d = paths.columns.shape[1]
    place = Integral(
        paths, point.eta, paths.along(point.u[::-1]), paths.root(point.rows.expected), ORDERS[d][0]
    )
    fixed = point.problem.linear(point.beta)
    least = KEPT * (place.root @ place.root.swapaxes(1, 2))
    for _ in range(MOMENT_STEPS):
        place = _by_moments(place, fixed, least)
    found = ExactCriterion(np.inf, np.inf, "quadrature", 0)
    for order in ORDERS[d]:
        total = order**d
        if found.nodes and (
            len(place.u) * total > MOST_NUMBERS or len(point.eta) * total > MOST_ROWS
        ):
            break
        value = point.problem.constant - 2 * replace(place, nodes=order).value
        found = ExactCriterion(value, abs(value - found.value), "quadrature", order)
        if found.error < AGREED:
            break
    return found


def _by_moments(place: Integral, fixed: Array, least: Array) -> Integral:
    """The place with the means and covariances that the integrands have by this rule."""
    root, (z, squares) = place.root, place.moments
    u = place.u + np.einsum("pab,pb->pa", root, z)
    spread = squares - z[:, :, None] * z[:, None, :]
    root = root_of(root @ spread @ root.swapaxes(1, 2) + least)
    paths = place.paths
    eta = fixed + np.einsum("na,na->n", paths.columns, u[paths.codes])
    return Integral(paths, eta, u, root, place.nodes)
