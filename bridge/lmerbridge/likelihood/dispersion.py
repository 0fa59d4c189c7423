"""Laplace's approximation with a dispersion phi that is estimated: gamma, inverse Gaussian, normal.

Three definitions. By *maximum likelihood* phi is one more parameter of the criterion
(:mod:`lmerbridge.likelihood.shape`). lme4 2.1 has phi from the modes: with D(phi) the deviance at
the modes that the weights W / phi give, phi solves D(phi) = phi (n - q), q the rank of [X Z]
(``disp_dof_correction``; 0 without it), and the criterion is

    f = A(D) + |u|^2 + log|Lambda'Z'W Z Lambda / phi + I|,

A the family's ``aic`` in R without the 2 that it adds for the dispersion: -2 log-likelihood of the
rows with D / n for phi (NEWS of lme4 2.1-0, help of ``glmerControl``). Up to lme4 1.1 the modes are
found with phi = 1, and the 2 is in. This is what lme4 prints; it is no likelihood.

The gradient, with m = phi (A' + k), k = (df/dphi) / (n - q - dD/dphi) and s the scores (for phi):
that of Laplace's approximation with a = W'q + (2 - 2 m) s, since a change of the modes changes
A(D) + |u|^2 by as much as phi A' differs from 1, and one of phi by k.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lmerbridge.equality import by_value
from lmerbridge.likelihood.laplace import LaplacePoint, Problem
from lmerbridge.likelihood.layout import Array
from lmerbridge.likelihood.shape import first_shape

__all__ = ["MomentPoint", "moment_point"]

MOST_STEPS = 100
SETTLED = 1e-13  # of phi, between two steps


@by_value
@dataclass(frozen=True, eq=False)
class MomentPoint:
    """The criterion of lme4 at a theta and beta.

    Attributes
    ----------
    problem : Problem
        Whose weights are the prior ones.
    laplace : LaplacePoint
        The conditional modes for ``phi``.
    phi : float
    freedom : float or None
        n - q; ``None`` where phi is 1 whatever the rows are, as up to lme4 1.1.
    """

    problem: Problem
    laplace: LaplacePoint
    phi: float
    freedom: float | None

    @property
    def information(self) -> Array:
        """An approximation of the Hessian that is not negative: that of Laplace's criterion."""
        return self.laplace.information

    @property
    def deviance(self) -> float:
        """D, the sum of the squared deviance residuals."""
        return -2 * self.phi * float(self.laplace.rows.value.sum())

    @cached_property
    def criterion(self) -> float:
        """What lme4 calls -2 log-likelihood."""
        point, problem = self.laplace, self.problem
        mu = problem.family.link.inverse(point.eta)
        found = problem.family.aic(problem.y, mu, problem.prior, self.deviance)
        size = sum(float(np.vdot(own, own)) for own in point.u)
        counted = 0.0 if self.freedom is None else 2.0
        return found - counted + size + point.elimination.log_det

    @cached_property
    def gradient(self) -> Array:
        """Derivatives of the criterion over theta and beta (m + p,)."""
        point, phi = self.laplace, self.phi
        slope = self.problem.family.aic_slope(self.problem.y, self.problem.prior, self.deviance)
        c, v = point.moved(point.determinant_slopes)
        c_s, v_s = point.moved(point.rows.score)
        m = phi * slope
        if self.freedom is not None:
            own, across = _inner(v_s, point.u), _inner(v, point.u)
            whole = -(across + (2 - 2 * m) * own) / phi
            whole -= float(point.row_variances @ point.rows.expected) / phi
            m += phi * whole / (self.freedom - 2 * own)
        k = 2 - 2 * m
        return point.gradient_of(c + k * c_s, [a + k * b for a, b in zip(v, v_s, strict=True)])


def _inner(one: Sequence[Array], other: Sequence[Array]) -> float:
    return sum(float(np.vdot(a, b)) for a, b in zip(one, other, strict=True))


def moment_point(
    problem: Problem,
    theta: Array,
    beta: Array,
    u: Sequence[Array] | None,
    joint: bool,
    freedom: float | None,
    phi: float | None = None,
) -> MomentPoint | None:
    """Find the modes and the dispersion that belong together.

    Parameters
    ----------
    problem, theta, beta, u, joint
        As :meth:`lmerbridge.likelihood.laplace.Problem.at` takes them.
    freedom : float or None
        n - q; ``None`` for a phi of 1.
    phi : float, optional
        Where to start from; default: the mean deviance without random effects.

    Returns
    -------
    MomentPoint or None
        ``None`` where there are no modes to be found.
    """
    if freedom is None:
        point = problem.at(theta, beta, u, joint)
        return None if point is None else MomentPoint(problem, point, 1.0, None)
    low, high = 0.0, math.inf
    if phi is None:
        phi = first_shape(problem)
    for _ in range(MOST_STEPS):
        point = problem.of_dispersion(phi).at(theta, beta, u, joint)
        if point is None:
            return None
        u, beta = point.u, point.beta
        found = MomentPoint(problem, point, phi, freedom)
        # D(phi) / (n - q) - phi is positive below its root, negative above
        excess = found.deviance / freedom - phi
        if abs(excess) <= SETTLED * phi:
            return found
        low, high = (phi, high) if excess > 0 else (low, phi)
        slope = 2 * _inner(point.moved(point.rows.score)[1], point.u) / freedom - 1
        step = phi - excess / slope if slope < 0 else math.nan
        if not low < step < high:
            step = 0.5 * (low + high) if math.isfinite(high) else 2 * phi
        if abs(step - phi) <= SETTLED * phi:
            return found
        phi = step
    return None
