"""What is minimized of a generalized linear mixed model: one of the approximations of -2
log-likelihood, as a function of theta, beta and, where it is estimated by maximum likelihood, a
parameter of the distribution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol, Self, TypeAlias

import numpy as np

from lmerbridge.equality import by_value
from lmerbridge.errors import UnsupportedModelError
from lmerbridge.likelihood.dispersion import MomentPoint, moment_point
from lmerbridge.likelihood.laplace import LaplacePoint, Problem
from lmerbridge.likelihood.layout import Array
from lmerbridge.likelihood.quadrature import QuadraturePoint, check_nodes, quadrature
from lmerbridge.likelihood.shape import ShapePoint, first_shape, of_shape

__all__ = ["Criterion", "Estimated", "Known", "Moment", "Point"]

MOST_EFFECTS = 3000
RANK = 1e-9  # of an eigenvalue of the correlations of the columns


# a criterion at its parameters; the conditional modes are in ``laplace``
Point: TypeAlias = LaplacePoint | QuadraturePoint | MomentPoint | ShapePoint


class Criterion(Protocol):
    """What is minimized.

    Attributes
    ----------
    problem : Problem
        Whose weights are the prior ones.
    """

    @property
    def problem(self) -> Problem:
        """The rows, the family and the effects."""
        ...

    @property
    def rough(self) -> Criterion:
        """What costs less, to find where to start from."""
        ...

    def to(self, tolerance: float) -> Criterion:
        """Return itself with the modes found to this tolerance."""
        ...

    def first_shape(self) -> Array:
        """Return the log of the parameter of the distribution where to start from (1,), or of none
        (0,).
        """
        ...

    def at(
        self, theta: Array, beta: Array, shape: Array, u: Sequence[Array] | None, joint: bool
    ) -> Point | None:
        """Return the criterion at these parameters; ``None`` where there are no modes."""
        ...


@dataclass(frozen=True, eq=False)
class _Of:
    """What every criterion has.

    Attributes
    ----------
    problem : Problem
    """

    problem: Problem

    def to(self, tolerance: float) -> Self:
        """Return itself with the modes found to this tolerance."""
        return replace(self, problem=replace(self.problem, tolerance=tolerance))


@dataclass(frozen=True, eq=False)
class _OfNodes(_Of):
    """What Laplace's approximation and quadrature have.

    Attributes
    ----------
    problem : Problem
    nodes : int
        A dimension; 1 is Laplace's approximation.

    Raises
    ------
    ArgumentError, UnsupportedModelError
        These ``nodes`` are not for this model.
    """

    nodes: int = 1

    def __post_init__(self) -> None:
        check_nodes(self.problem, self.nodes)

    @property
    def rough(self) -> Self:
        """Laplace's approximation."""
        return replace(self, nodes=1) if self.nodes > 1 else self

    def approximation(self, point: LaplacePoint) -> LaplacePoint | QuadraturePoint:
        """Return the approximation around these modes."""
        return point if self.nodes == 1 else quadrature(point, self.nodes)


@by_value
@dataclass(frozen=True, eq=False)
class Known(_OfNodes):
    """Laplace's approximation, or quadrature, with a dispersion that is known.

    Attributes
    ----------
    problem : Problem
    nodes : int
        A dimension; 1 is Laplace's approximation.

    Raises
    ------
    ArgumentError, UnsupportedModelError
        These ``nodes`` are not for this model.
    """

    def first_shape(self) -> Array:
        """Return none."""
        return np.empty(0)

    def at(
        self, theta: Array, beta: Array, shape: Array, u: Sequence[Array] | None, joint: bool
    ) -> Point | None:
        """Return the point; ``shape`` is of no effect."""
        found = self.problem.at(theta, beta, u, joint)
        return None if found is None else self.approximation(found)


@by_value
@dataclass(frozen=True, eq=False)
class Moment(_Of):
    """lme4's criterion with an estimated dispersion (:mod:`lmerbridge.likelihood.dispersion`).

    Attributes
    ----------
    problem : Problem
    freedom : float or None
        n - q; ``None`` for modes with a dispersion of 1, as up to lme4 1.1.
    """

    problem: Problem
    freedom: float | None

    @classmethod
    def of(cls, problem: Problem) -> Moment:
        """Take q, the rank of [X Z].

        Raises
        ------
        UnsupportedModelError
            There are too many random effects for that, or as many as rows.
        """
        factors = problem.layout.factors
        q = problem.p + sum(factor.columns for factor in factors)
        if q > MOST_EFFECTS:
            raise UnsupportedModelError(
                f"the moment estimate of the dispersion needs the rank of {q} columns, which is"
                f" computed up to {MOST_EFFECTS}: ask for dispersion='ML'"
            )
        Z, Q = problem.effects.matrix([np.eye(factor.width) for factor in factors]), problem.Q
        across = Z.T @ Q
        gram = np.block([[(Z.T @ Z).toarray(), across], [across.T, Q.T @ Q]])
        size = np.sqrt(np.maximum(np.diag(gram), np.finfo(float).tiny))
        rank = np.linalg.matrix_rank(gram / np.outer(size, size), tol=RANK, hermitian=True)
        found = len(problem.y) - int(rank)
        if found < 1:
            raise UnsupportedModelError(
                "the fixed and random effects have as many columns as there are rows: there is no"
                " moment estimate of the dispersion; ask for dispersion='ML'"
            )
        return cls(problem, float(found))

    @cached_property
    def _phi(self) -> float:
        """Where the search for a dispersion begins."""
        return first_shape(self.problem)

    @property
    def rough(self) -> Criterion:
        """Itself."""
        return self

    def first_shape(self) -> Array:
        """Return none: the dispersion is found with the modes."""
        return np.empty(0)

    def at(
        self, theta: Array, beta: Array, shape: Array, u: Sequence[Array] | None, joint: bool
    ) -> Point | None:
        """Return the point; ``shape`` is of no effect."""
        return moment_point(self.problem, theta, beta, u, joint, self.freedom, self._phi)


@by_value
@dataclass(frozen=True, eq=False)
class Estimated(_OfNodes):
    """Laplace's approximation, or quadrature, over a parameter of the distribution as well: the
    dispersion, or the size of a negative binomial.

    Attributes
    ----------
    problem : Problem
    nodes : int
        A dimension; 1 is Laplace's approximation.

    Raises
    ------
    ArgumentError, UnsupportedModelError
        These ``nodes`` are not for this model.
    """

    def first_shape(self) -> Array:
        """Return the log of a moment estimate."""
        return np.log([first_shape(self.problem)])

    def at(
        self, theta: Array, beta: Array, shape: Array, u: Sequence[Array] | None, joint: bool
    ) -> Point | None:
        """Return the point."""
        value = float(np.exp(shape[0]))
        if not np.isfinite(value) or value <= 0:
            return None
        found = of_shape(self.problem, value).at(theta, beta, u, joint)
        return None if found is None else ShapePoint(self.problem, self.approximation(found), value)
