"""The Laplace criterion of a generalized linear mixed model as a function to minimize."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lmerbridge.errors import FitFailedError
from lmerbridge.likelihood.search import Coordinates
from lmerbridge.solve.objective import check_time
from lmerbridge.solve.settings import SETTINGS
from lmerbridge.solve.steps import difference_hessian, free_of_floor

if TYPE_CHECKING:
    from lmerbridge.likelihood.laplace import LaplacePoint, Problem
    from lmerbridge.likelihood.layout import Array
    from lmerbridge.solve.optimum import Optimum

__all__ = ["GeneralizedFit", "fit_generalized"]


class _Objective:
    """The criterion over the coordinates of theta and, unless they are found with the modes, the
    fixed effects, from ``origin`` on; the modes of the last point are where the next begins.
    """

    def __init__(
        self, problem: Problem, coordinates: Coordinates, origin: Array, joint: bool, end: float
    ):
        self.problem, self.coordinates, self.origin = problem, coordinates, origin
        self.joint, self._end = joint, end
        self._key = b""
        self._last: LaplacePoint | None = None
        self._u: list[Array] | None = None
        self._beta = origin

    @property
    def bounded(self) -> Any:
        """Which coordinates are bounded, by 0."""
        own = self.coordinates.bounded
        return own if self.joint else np.append(own, np.zeros(self.problem.p, dtype=bool))

    def at(self, x: Any) -> LaplacePoint | None:
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
        self._key, self._last = key, found
        if found is not None:
            self._u = found.u
            if self.joint:
                self._beta = found.beta
        return found

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
        At ``x`` and the fixed effects found.
    hessian : array (free, free) or None
        Of the criterion over the covariance parameters that are not at the floor and beta, in the
        units of Q; by differences of the exact gradient. ``None`` with ``joint``.
    """

    optimum: Optimum
    x: Array
    zero: Any
    point: LaplacePoint
    hessian: Array | None


def fit_generalized(
    problem: Problem,
    joint: bool = False,
    start: Array | None = None,
    end: float = math.inf,
) -> GeneralizedFit:
    """Minimize the criterion: first over theta with the fixed effects among the modes, which costs
    little, and from there over both.

    Parameters
    ----------
    problem : Problem
    joint : bool
        Whether to stop after the first: lme4's ``nAGQ = 0``.
    start : array (m,), optional
        Covariance parameters to start from, in the user's units.
    end : float
        When to give up, on the clock of ``time.perf_counter``.

    Raises
    ------
    FitFailedError
        The time is over, or there is no point at which the modes can be found.
    """
    from lmerbridge.solve.optimum import minimize, roughly

    coordinates = Coordinates(problem.effects.layout)
    bounded = coordinates.bounded
    first = _Objective(problem, coordinates, problem.start(), True, end)
    begin = (
        None if start is None else coordinates.of_parameters(np.asarray(start, dtype=np.float64))
    )
    if joint:
        objective, x0 = first, begin
    else:
        near = (
            begin
            if begin is not None
            else roughly(first.value, first.gradient, first.information, first.bounded, SETTINGS)
        )
        at = first.at(near)
        if at is None:
            raise FitFailedError("the conditional modes cannot be found at the start of the search")
        objective = _Objective(problem, coordinates, at.beta, False, end)
        x0 = np.append(np.where(bounded, np.maximum(near, 0.1), near), np.zeros(problem.p))
    optimum = minimize(
        objective.value,
        objective.gradient,
        objective.bounded,
        SETTINGS,
        x0,
        objective.information,
        (),
        None,
    )
    m = len(bounded)
    zero = bounded & (optimum.x[:m] <= SETTINGS.at_floor)
    x = np.append(coordinates.settled(np.where(zero, 0.0, optimum.x[:m])), optimum.x[m:])
    point = objective.at(x) if np.isfinite(optimum.value) else None
    if point is None:
        raise FitFailedError("the conditional modes could not be found at any parameters tried")
    hessian = None
    if not joint:
        free = np.append(free_of_floor(x[:m], bounded, SETTINGS), np.ones(problem.p))
        which = np.flatnonzero(free).tolist()
        hessian = difference_hessian(objective.gradient, x, which, SETTINGS)
    return GeneralizedFit(optimum, x[:m], zero, point, hessian)
