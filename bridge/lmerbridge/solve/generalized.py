"""The criterion of a generalized linear mixed model as a function to minimize."""

from __future__ import annotations

import math
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lmerbridge.errors import FitFailedError
from lmerbridge.likelihood.higher_modes import HIGHER
from lmerbridge.likelihood.search import Coordinates
from lmerbridge.solve.objective import check_time
from lmerbridge.solve.settings import GENERALIZED, NEARBY
from lmerbridge.solve.steps import difference_hessian, free_of_floor

if TYPE_CHECKING:
    from lmerbridge.likelihood.criteria import Criterion, Point
    from lmerbridge.likelihood.laplace import LaplacePoint, Problem
    from lmerbridge.likelihood.layout import Array
    from lmerbridge.solve.optimum import Optimum

__all__ = ["GeneralizedFit", "fit_generalized"]

ROUGHLY = 1e-6  # of the penalized log-likelihood: modes where a search only comes near
# of the linear predictor: standard deviations from where a search begins once more, and at which
LARGE, MODERATE = 5.0, 2.0
MOST_MODES = 10  # searches, each with higher modes than the one before
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
        u: list[Array] | None = None,
    ):
        self.of, self.coordinates, self.origin, self.shape = criterion, coordinates, origin, shape
        self.joint, self._end = joint, end
        # of Q's columns, whose squares add up to 1: a step of 1 moves eta by about 1
        self.unit = math.sqrt(len(self.problem.y))
        self._key = b""
        self._gradients: dict[bytes, Any] = {}
        self._last: Point | None = None
        self._lowest: tuple[bytes, Point] | None = None
        self.u = u
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
        if self._lowest is not None and key == self._lowest[0]:
            return self._lowest[1]
        check_time(self._end)
        m = len(self.coordinates.bounded)
        last = len(x) - len(self.shape)
        beta = self._beta if self.joint else self.origin + self.unit * x[m:last]
        theta, shape = self.coordinates.theta(x[:m]), self.shape + x[last:]
        found = self.of.at(theta, beta, shape, self.u, self.joint)
        if found is not None:
            self.u = found.laplace.u
            if self.joint:
                self._beta = found.laplace.beta
            if self._lowest is None or found.criterion < self._lowest[1].criterion:
                self._lowest = key, found
        self._key, self._last = key, found
        return found

    def anew(self) -> _Objective:
        """The same without what it keeps."""
        found = copy(self)
        found._key, found._gradients, found._lowest = b"", {}, None
        return found

    def higher(self, x: Any) -> _Objective | None:
        """The same with higher modes at ``x``; ``None`` if there are none to be found."""
        at = self.at(x)
        u = None if at is None else at.laplace.higher_start()
        if at is None or u is None:
            return None
        moved = self.anew()
        moved.u = u
        found = moved.at(x)
        if found is None or found.laplace.penalized <= at.laplace.penalized + HIGHER:
            return None
        return moved

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
        return self.coordinates.slope_with(x, self._units(self.more))

    def _units(self, rest: int) -> Array:
        """Of the coordinates that follow those of theta (rest,)."""
        return np.append(np.full(rest - len(self.shape), self.unit), np.ones(len(self.shape)))

    def hessian(self, x: Any, free: Any) -> Array:
        """Over the coordinates that are free, beta in the units of Q."""
        found = difference_hessian(self.gradient, x, np.flatnonzero(free).tolist(), GENERALIZED)
        units = self._units(self.more)
        units = np.append(np.ones(len(x) - len(units)), units)[free]
        return np.asarray(found / np.outer(units, units))


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
    nearby = rough if joint else rough.to(ROUGHLY)
    # far from an optimum the highest modes lead elsewhere, so that they are looked for at the end
    zeros = [np.zeros((f.levels, f.width)) for f in problem.layout.factors]
    first = _Objective(nearby, coordinates, problem.start(), shape, True, end, zeros)
    begin = (
        None
        if start is None
        else np.append(
            coordinates.of_parameters(np.asarray(start, dtype=np.float64)), np.zeros(len(shape))
        )
    )
    if joint:
        return _found(*_minimum(first, begin))
    near = (
        begin
        if begin is not None
        else roughly(first.value, first.gradient, first.information, first.bounded, NEARBY)
    )
    at = first.at(near)
    if at is None:
        raise FitFailedError("the conditional modes cannot be found at the start of the search")
    objective = _Objective(rough, coordinates, at.laplace.beta, shape, False, end, at.laplace.u)
    objective, optimum = _minimum(objective, _lifted(near, coordinates, problem.p))
    if rough is not criterion:
        x, u = optimum.x, objective.u
        finer = _Objective(criterion, coordinates, at.laplace.beta, shape, False, end, u)
        starts = [x, *_moderate(finer, x)]
        ends = [_minimum(finer.anew(), _lifted(one, coordinates, 0)) for one in starts]
        objective, optimum = min(ends, key=lambda end: end[1].value)
    return _found(objective, optimum)


def _moderate(objective: _Objective, x: Array) -> list[Array]:
    """Where else to start: nearer to 0, where standard deviations are large.

    Laplace's approximation may have its optimum far out, from where another criterion does not lead
    back: the likelihood has several optima there.
    """
    m, last = len(objective.coordinates.bounded), len(x) - len(objective.shape)
    largest = float(np.abs(x[:m]).max(initial=0.0))
    if largest <= LARGE:
        return []
    part, unit, origin = MODERATE / largest, objective.unit, objective.origin
    beta = part * (origin + unit * x[m:last])
    return [np.concatenate([part * x[:m], (beta - origin) / unit, x[last:]])]


def _lifted(x: Array, coordinates: Coordinates, p: int) -> Array:
    """Where to start from: covariance parameters that are bounded off their bound, and, where there
    are none yet, ``p`` fixed effects that stay.
    """
    m = len(coordinates.bounded)
    theta = np.where(coordinates.bounded, np.maximum(x[:m], LIFTED), x[:m])
    return np.concatenate([theta, np.zeros(p), x[m:]])


def _minimum(objective: _Objective, start: Array | None) -> tuple[_Objective, Optimum]:
    """The minimum, and the criterion that it is of: with the highest modes that are found there."""
    found = _minimum_of(objective, start)
    for _ in range(MOST_MODES):
        higher = objective.higher(found.x)
        if higher is None:
            break
        objective, found = higher, _minimum_of(higher, found.x)
    return objective, found


def _minimum_of(objective: _Objective, start: Array | None) -> Optimum:
    from lmerbridge.solve.optimum import minimize

    return minimize(
        objective.value,
        objective.gradient,
        objective.bounded,
        GENERALIZED,
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
    zero = coordinates.bounded & (optimum.x[:m] <= GENERALIZED.at_floor)
    x = np.append(coordinates.settled(np.where(zero, 0.0, optimum.x[:m])), optimum.x[m:])
    point = objective.at(x) if np.isfinite(optimum.value) else None
    if point is None:
        raise FitFailedError("the conditional modes could not be found at any parameters tried")
    hessian = None
    if not objective.joint:
        free = free_of_floor(x, objective.bounded, GENERALIZED)
        hessian = objective.hessian(x, free)
    return GeneralizedFit(optimum, x[:m], zero, point, hessian)
