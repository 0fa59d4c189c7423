"""Laplace's approximation with a parameter of the distribution that is estimated by maximum
likelihood: the dispersion phi of a gamma, inverse Gaussian or normal, the size theta of a negative
binomial.

At a given eta the parameter t changes the log densities by l_t, the scores by s_t and the weights
by W_t. The modes, which solve Lambda'Z's = u, move by M_h^-1 Lambda'Z's_t, so that with a, c of
:mod:`lmerbridge.likelihood.laplace`

    df/dt = -2 sum l_t + q'W_t + ((a - c) / h)'s_t.

By quadrature l_t is the mean over the nodes, with the q and Z Lambda v = (a - c) / h of
:mod:`lmerbridge.likelihood.quadrature`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import linalg

from lmerbridge.equality import by_value
from lmerbridge.family import ThetaDerivatives, with_theta
from lmerbridge.likelihood.laplace import LaplacePoint, Problem
from lmerbridge.likelihood.layout import Array
from lmerbridge.likelihood.quadrature import QuadraturePoint

__all__ = ["ShapePoint", "first_shape", "of_shape"]

LEAST, MOST = 1e-3, 1e3  # of a first value of theta
ENDLESS = 1e6  # times the mean: with a larger theta a negative binomial is a Poisson distribution


def of_shape(problem: Problem, shape: float) -> Problem:
    """Return the problem with this dispersion, or this size of a negative binomial.

    Parameters
    ----------
    problem : Problem
        Whose weights are the prior ones.
    shape : float
        Positive.
    """
    if problem.family.theta is None:
        return problem.of_dispersion(shape)
    return problem.of_family(with_theta(problem.family, shape))


def first_shape(problem: Problem) -> float:
    """Return where to start: by the moments of a fit without random effects.

    Parameters
    ----------
    problem : Problem
    """
    mu = problem.family.link.inverse(problem.linear(problem.start()))
    y, prior = problem.y, problem.prior
    if problem.family.theta is None:
        dev = problem.family.deviance_residuals_squared(y, mu, prior)
        return float(max(dev.mean(), np.finfo(float).tiny))
    excess = float(prior @ ((y - mu) ** 2 - mu))
    return float(np.clip(prior @ mu**2 / excess, LEAST, MOST)) if excess > 0 else MOST


@by_value
@dataclass(frozen=True, eq=False)
class ShapePoint:
    """The criterion at a theta, a beta and a parameter of the distribution.

    Attributes
    ----------
    problem : Problem
        Whose weights are the prior ones.
    point : LaplacePoint or QuadraturePoint
        Of the problem of this shape.
    shape : float
        The dispersion, or the size of a negative binomial.
    """

    problem: Problem
    point: LaplacePoint | QuadraturePoint
    shape: float

    @property
    def laplace(self) -> LaplacePoint:
        """The conditional modes and Laplace's approximation."""
        return self.point.laplace

    @property
    def criterion(self) -> float:
        """-2 log-likelihood by Laplace's approximation, or by quadrature."""
        return self.point.criterion

    @cached_property
    def _derivatives(self) -> ThetaDerivatives:
        """By the parameter, at the eta of the modes."""
        point, problem = self.laplace, self.laplace.problem
        family, rows = problem.family, point.rows
        if family.theta is not None:
            return family.theta_derivatives(problem.y, point.eta, problem.weights)
        first, second = family.dispersion_derivatives(
            problem.y, point.eta, self.problem.prior, self.shape
        )
        observed = rows.expected if rows.observed is None else rows.observed
        parts = (-part / self.shape for part in (rows.score, rows.expected, observed))
        return ThetaDerivatives(first, second, *parts)

    @property
    def endless(self) -> bool:
        """Whether theta is so large that it is of no effect."""
        mean = max(1.0, float(self.problem.y.mean()))
        return self.problem.family.theta is not None and self.shape > ENDLESS * mean

    @cached_property
    def gradient(self) -> Array:
        """Derivatives over theta, beta and the log of the shape (m + p + 1,)."""
        point, own = self.point, self._derivatives
        first = own.first
        if isinstance(point, QuadraturePoint):
            first, _ = point.integral.means(self._slopes)
            gradient, moves = point.gradient, point.moves
        else:
            rows, a = point.rows, point.determinant_slopes
            h = rows.expected if rows.observed is None else rows.observed
            c, v = point.moved(a)
            moves = np.divide(a - c, h, out=np.zeros_like(a), where=h != 0)
            gradient = point.gradient_of(c, v)
        weights = own.observed if self.laplace.problem.observed else own.expected
        slope = -2 * first.sum() + point.row_variances @ weights + moves @ own.score
        return np.append(gradient, 0.0 if self.endless else self.shape * float(slope))

    def _slopes(self, y: Array, eta: Array, weights: Array) -> Array:
        """Derivatives of the log densities by the parameter; ``weights`` are for this shape."""
        family = self.laplace.problem.family
        if family.theta is not None:
            return family.theta_derivatives(y, eta, weights).first
        return family.dispersion_derivatives(y, eta, self.shape * weights, self.shape)[0]

    @property
    def information(self) -> Array:
        """An approximation of the Hessian that is not negative."""
        own = self._derivatives
        curvature = -2 * self.shape**2 * float(own.second.sum())
        least = math.sqrt(len(own.second))  # it is negative where the fit is poor
        return np.asarray(
            linalg.block_diag(self.laplace.information, np.full((1, 1), max(curvature, least)))
        )
