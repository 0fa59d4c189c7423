"""The criterion of a generalized linear mixed model as a function to minimize."""

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
    from lmerbridge.likelihood.criteria import Criterion, Point
    from lmerbridge.likelihood.laplace import LaplacePoint, Problem
    from lmerbridge.likelihood.layout import Array
    from lmerbridge.solve.optimum import Optimum

__all__ = ["GeneralizedFit", "fit_generalized"]

LIFTED = 0.1  # of a bounded coordinate, where a search begins at the end of another


class _Objective:
    """The criterion over the coordinates of theta and, unless they are found with the modes, the
    fixed effects, from ``origin`` on, and what the distribution has to estimate, from ``shape`` on;
    the modes of the last point are where the next begins.
    """

    def __init__(
        self,
        criterion: Criterion,
        coordinates: Coordinates,
        origin: Array,
        shape: Array,
        joint: bool,
        end: float,
    ):
        self.of, self.coordinates, self.origin, self.shape = criterion, coordinates, origin, shape
        self.joint, self._end = joint, end
        self._key = b""
        self._gradients: dict[bytes, Any] = {}
        self._last: Point | None = None
        self._u: list[Array] | None = None
        self._beta = origin

    @property
    def problem(self) -> Problem:
        return self.of.problem

    @property
    def more(self) -> int:
        """How many coordinates follow those of theta."""
        return (0 if self.joint else self.problem.p) + len(self.shape)

    @property
    def bounded(self) -> Any:
        """Which coordinates are bounded, by 0."""
        return np.append(self.coordinates.bounded, np.zeros(self.more, dtype=bool))

    def at(self, x: Any) -> Point | None:
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
        last = len(x) - len(self.shape)
        beta = self._beta if self.joint else self.origin + x[m:last]
        theta, shape = self.coordinates.theta(x[:m]), self.shape + x[last:]
        found = self.of.at(theta, beta, shape, self._u, self.joint)
        if found is not None:
            self._u = found.laplace.u
            if self.joint:
                self._beta = found.laplace.beta
        self._key, self._last = key, found
        return found

    def value(self, x: Any) -> float:
        at = self.at(x)
        return math.inf if at is None else at.criterion

    def gradient(self, x: Any) -> Any:
        """Derivatives at ``x``, kept: the Hessian, by differences of them, is asked for twice, for
        the certificate and for the standard errors.
        """
        key = x.tobytes()
        if key not in self._gradients:
            at = self.at(x)
            found = np.zeros(len(x)) if at is None else self._chain(x).T @ at.gradient
            self._gradients[key] = found
        return self._gradients[key].copy()

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
    at : Point
        At ``x`` and the rest of what was found: the criterion that was minimized.
    hessian : array (free, free) or None
        Of the criterion over the covariance parameters that are not at the floor, beta in the units
        of Q and the log of what the distribution has to estimate; by differences of the exact
        gradient. ``None`` with ``joint``.
    """

    optimum: Optimum
    x: Array
    zero: Any
    at: Point
    hessian: Array | None

    @property
    def point(self) -> LaplacePoint:
        """The modes and what belongs to them."""
        return self.at.laplace

    @property
    def criterion(self) -> float:
        """What was minimized."""
        return self.at.criterion


def fit_generalized(
    criterion: Criterion,
    joint: bool = False,
    start: Array | None = None,
    end: float = math.inf,
) -> GeneralizedFit:
    """Minimize the criterion: first over theta with the fixed effects among the modes, which costs
    little, and from there over all; with several nodes from the optimum of Laplace's approximation.

    Parameters
    ----------
    criterion : Criterion
    joint : bool
        Whether the fixed effects stay among the modes: lme4's ``nAGQ = 0``.
    start : array (m,), optional
        Covariance parameters to start from, in the user's units.
    end : float
        When to give up, on the clock of ``time.perf_counter``.

    Raises
    ------
    FitFailedError
        The time is over, or there is no point at which the modes can be found.
    """
    from lmerbridge.solve.optimum import roughly

    problem, rough = criterion.problem, criterion.rough
    coordinates = Coordinates(problem.effects.layout)
    shape = criterion.first_shape()
    first = _Objective(rough, coordinates, problem.start(), shape, True, end)
    begin = (
        None
        if start is None
        else np.append(
            coordinates.of_parameters(np.asarray(start, dtype=np.float64)), np.zeros(len(shape))
        )
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
    objective = _Objective(rough, coordinates, at.laplace.beta, shape, False, end)
    optimum = _minimum(objective, _lifted(near, coordinates, problem.p))
    if rough is not criterion:
        x = optimum.x
        objective = _Objective(criterion, coordinates, at.laplace.beta, shape, False, end)
        optimum = _minimum(objective, _lifted(x, coordinates, 0))
    return _found(objective, optimum)


def _lifted(x: Array, coordinates: Coordinates, p: int) -> Array:
    """Where to start from: covariance parameters that are bounded off their bound, and, where there
    are none yet, ``p`` fixed effects that stay.
    """
    m = len(coordinates.bounded)
    theta = np.where(coordinates.bounded, np.maximum(x[:m], LIFTED), x[:m])
    return np.concatenate([theta, np.zeros(p), x[m:]])


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
            free_of_floor(x[:m], coordinates.bounded, SETTINGS), np.ones(objective.more)
        )
        which = np.flatnonzero(free).tolist()
        hessian = difference_hessian(objective.gradient, x, which, SETTINGS)
    return GeneralizedFit(optimum, x[:m], zero, point, hessian)
