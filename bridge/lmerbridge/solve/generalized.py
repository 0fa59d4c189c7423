"""The Laplace criterion of a generalized linear mixed model as a function to minimize."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lmerbridge.errors import FitFailedError
from lmerbridge.likelihood.quadrature import QuadraturePoint, check_nodes, quadrature
from lmerbridge.likelihood.search import Coordinates
from lmerbridge.solve.objective import check_time
from lmerbridge.solve.settings import SETTINGS
from lmerbridge.solve.steps import difference_hessian, free_of_floor

if TYPE_CHECKING:
    from lmerbridge.likelihood.laplace import LaplacePoint, Problem
    from lmerbridge.likelihood.layout import Array
    from lmerbridge.solve.optimum import Optimum

__all__ = ["GeneralizedFit", "fit_generalized"]

LIFTED = 0.1  # of a bounded coordinate, where a search begins at the end of another


class _Objective:
    """The criterion over the coordinates of theta and, unless they are found with the modes, the
    fixed effects, from ``origin`` on; the modes of the last point are where the next begins.
    """

    def __init__(
        self,
        problem: Problem,
        coordinates: Coordinates,
        origin: Array,
        joint: bool,
        end: float,
        nodes: int = 1,
    ):
        self.problem, self.coordinates, self.origin = problem, coordinates, origin
        self.joint, self._end, self._nodes = joint, end, nodes
        self._key = b""
        self._last: LaplacePoint | QuadraturePoint | None = None
        self._u: list[Array] | None = None
        self._beta = origin

    @property
    def bounded(self) -> Any:
        """Which coordinates are bounded, by 0."""
        own = self.coordinates.bounded
        return own if self.joint else np.append(own, np.zeros(self.problem.p, dtype=bool))

    def at(self, x: Any) -> LaplacePoint | QuadraturePoint | None:
        """The point at ``x``.

        Raises
        ------
        FitFailedError
            The time is over.
        """
        key = x.tobytes()
        if key == self._key:
            return self._last
        check_time(self._end)
        m = len(self.coordinates.bounded)
        beta = self._beta if self.joint else self.origin + x[m:]
        found = self.problem.at(self.coordinates.theta(x[:m]), beta, self._u, self.joint)
        if found is not None:
            self._u = found.u
            if self.joint:
                self._beta = found.beta
        last: LaplacePoint | QuadraturePoint | None = found
        if found is not None and self._nodes > 1:
            last = quadrature(found, self._nodes)
        self._key, self._last = key, last
        return last

    def value(self, x: Any) -> float:
        at = self.at(x)
        return math.inf if at is None else at.criterion

    def gradient(self, x: Any) -> Any:
        at = self.at(x)
        return np.zeros(len(x)) if at is None else self._chain(x).T @ at.gradient

    def information(self, x: Any) -> Any:
        at = self.at(x)
        if at is None:
            return np.zeros((len(x), len(x)))
        chain = self._chain(x)
        return chain.T @ at.information @ chain

    def _chain(self, x: Any) -> Any:
        m = len(self.coordinates.bounded)
        slope = self.coordinates.slope(x[:m])
        rest = len(x) - m
        whole = np.zeros((len(slope) + rest, len(x)))
        whole[: len(slope), :m] = slope
        whole[len(slope) :, m:] = np.eye(rest)
        return whole


@dataclass(frozen=True, eq=False)
class GeneralizedFit:
    """Where the search ended.

    Attributes
    ----------
    optimum : Optimum
    x : array (m,)
        The coordinates of the covariance parameters, what is at the floor as 0.
    zero : array of bool (m,)
        Which of them are at the floor.
    point : LaplacePoint
        At ``x`` and the fixed effects found: the modes and what belongs to them.
    hessian : array (free, free) or None
        Of the criterion over the covariance parameters that are not at the floor and beta, in the
        units of Q; by differences of the exact gradient. ``None`` with ``joint``.
    criterion : float
        At ``point``: what was minimized.
    quadrature : QuadraturePoint or None
        At ``point``, where more than one node was asked for.
    """

    optimum: Optimum
    x: Array
    zero: Any
    point: LaplacePoint
    hessian: Array | None
    criterion: float
    quadrature: QuadraturePoint | None = None


def fit_generalized(
    problem: Problem,
    joint: bool = False,
    start: Array | None = None,
    end: float = math.inf,
    nodes: int = 1,
) -> GeneralizedFit:
    """Minimize the criterion: first over theta with the fixed effects among the modes, which costs
    little, and from there over both; with several nodes from the optimum of that.

    Parameters
    ----------
    problem : Problem
    joint : bool
        Whether to stop after the first: lme4's ``nAGQ = 0``.
    start : array (m,), optional
        Covariance parameters to start from, in the user's units.
    end : float
        When to give up, on the clock of ``time.perf_counter``.
    nodes : int
        Of adaptive Gauss-Hermite quadrature, a dimension; 1 is Laplace's approximation. Of no
        effect with ``joint``.

    Raises
    ------
    ArgumentError, UnsupportedModelError
        These ``nodes`` are not for this model.
    FitFailedError
        The time is over, or there is no point at which the modes can be found.
    """
    from lmerbridge.solve.optimum import roughly

    check_nodes(problem, nodes)
    coordinates = Coordinates(problem.effects.layout)
    first = _Objective(problem, coordinates, problem.start(), True, end)
    begin = (
        None if start is None else coordinates.of_parameters(np.asarray(start, dtype=np.float64))
    )
    if joint:
        return _found(first, _minimum(first, begin))
    near = (
        begin
        if begin is not None
        else roughly(first.value, first.gradient, first.information, first.bounded, SETTINGS)
    )
    at = first.at(near)
    if at is None:
        raise FitFailedError("the conditional modes cannot be found at the start of the search")
    objective = _Objective(problem, coordinates, at.beta, False, end)
    x0 = np.append(_lifted(near, coordinates), np.zeros(problem.p))
    optimum = _minimum(objective, x0)
    if nodes > 1:
        m = len(coordinates.bounded)
        objective = _Objective(problem, coordinates, at.beta + optimum.x[m:], False, end, nodes)
        x0 = np.append(_lifted(optimum.x[:m], coordinates), np.zeros(problem.p))
        optimum = _minimum(objective, x0)
    return _found(objective, optimum)


def _lifted(x: Array, coordinates: Coordinates) -> Array:
    """Covariance parameters to start from, those that are bounded off their bound."""
    return np.where(coordinates.bounded, np.maximum(x, LIFTED), x)


def _minimum(objective: _Objective, start: Array | None) -> Optimum:
    from lmerbridge.solve.optimum import minimize

    return minimize(
        objective.value,
        objective.gradient,
        objective.bounded,
        SETTINGS,
        start,
        objective.information,
        (),
        None,
    )


def _found(objective: _Objective, optimum: Optimum) -> GeneralizedFit:
    """What belongs to an optimum.

    Raises
    ------
    FitFailedError
        It is no point at which the modes can be found.
    """
    coordinates, m = objective.coordinates, len(objective.coordinates.bounded)
    zero = coordinates.bounded & (optimum.x[:m] <= SETTINGS.at_floor)
    x = np.append(coordinates.settled(np.where(zero, 0.0, optimum.x[:m])), optimum.x[m:])
    point = objective.at(x) if np.isfinite(optimum.value) else None
    if point is None:
        raise FitFailedError("the conditional modes could not be found at any parameters tried")
    hessian = None
    if not objective.joint:
        free = np.append(
            free_of_floor(x[:m], coordinates.bounded, SETTINGS), np.ones(objective.problem.p)
        )
        which = np.flatnonzero(free).tolist()
        hessian = difference_hessian(objective.gradient, x, which, SETTINGS)
    if isinstance(point, QuadraturePoint):
        return GeneralizedFit(optimum, x[:m], zero, point.laplace, hessian, point.criterion, point)
    return GeneralizedFit(optimum, x[:m], zero, point, hessian, point.criterion)
