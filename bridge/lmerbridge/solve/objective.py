"""The criterion of a linear mixed model as a function to minimize, and where to start."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from lmerbridge.errors import FitFailedError
from lmerbridge.likelihood.compact import CompactSolution
from lmerbridge.likelihood.crossed_traces import has_crossed_traces
from lmerbridge.solve.settings import SETTINGS
from lmerbridge.solve.steps import lifted

if TYPE_CHECKING:
    from lmerbridge.likelihood import Derivatives, Evaluation, Search
    from lmerbridge.solve.optimum import Optimum

__all__ = ["Objective", "check_time", "given_start", "minimum"]


NEAR_ZERO = 1e-3  # a relative standard deviation from which the search goes to 0, or away from it


def check_time(end: float) -> None:
    """Give up where the time is over.

    Parameters
    ----------
    end : float
        When that is, on the clock of ``time.perf_counter``.

    Raises
    ------
    FitFailedError
        It is over.
    """
    if time.perf_counter() > end:
        raise FitFailedError("the fit took longer than timeout= allows")


class Objective:
    """The criterion over the coordinates of a search, with its derivatives; all come of one
    factorization, which is kept.
    """

    def __init__(self, search: Search, REML: bool, end: float = math.inf):
        """``end``: when to give up, on the clock of ``time.perf_counter``."""
        self._search, self._REML, self._end = search, REML, end
        self._compact = search.compact
        self._key = b""
        self._last: Derivatives | CompactSolution | None = None
        self._exact = self._compact is not None or (
            search.plain and has_crossed_traces(search.products.layout)
        )

    @property
    def bounded(self) -> Any:
        """Which coordinates are bounded, by 0."""
        return self._search.bounded

    @property
    def hessian(self) -> Callable[[Any], Any] | None:
        """The Hessian at a point, where it is exact.

        Not kept: an object that holds its own method holds all its matrices until they are swept.
        """
        return self._hessian if self._exact else None

    @property
    def light(self) -> bool:
        """Whether a Hessian costs no more than the criterion does."""
        return self._compact is not None

    def without_effects(self) -> float:
        """The criterion where all random effects are 0."""
        from lmerbridge.likelihood import criterion_without_effects

        return criterion_without_effects(self._search.products, self._REML)

    def _at(self, x: Any) -> Derivatives | CompactSolution | None:
        key = x.tobytes()
        if key != self._key:
            check_time(self._end)
            self._key, self._last = key, self._solved(x)
        return self._last

    def _solved(self, x: Any) -> Derivatives | CompactSolution | None:
        if self._compact is not None:
            return self._compact.at(x, self._REML)
        from lmerbridge.likelihood import derivatives

        return derivatives(self._search.products, self._search.theta(x), self._REML)

    def evaluation(self, x: Any) -> Evaluation | None:
        """All quantities at ``x``, in the user's units."""
        search, at = self._search, self._at(x)
        if at is None:
            return None
        if isinstance(at, CompactSolution):
            found: Evaluation | None = at.evaluation(search.products, x)
        else:
            found = at.evaluation()
        return None if found is None else found.in_units(search.users(x), search.maps)

    def value(self, x: Any) -> float:
        at = self._at(x)
        return math.inf if at is None else at.criterion

    def gradient(self, x: Any) -> Any:
        at = self._at(x)
        if at is None:
            return np.zeros(len(x))
        return at.gradient if self._search.plain else self._search.slope(x).T @ at.gradient

    def information(self, x: Any) -> Any:
        at = self._at(x)
        if at is None:
            return np.zeros((len(x), len(x)))
        if self._search.plain:
            return at.information
        slope = self._search.slope(x)
        return slope.T @ at.information @ slope

    def _hessian(self, x: Any) -> Any:
        at = self._at(x)
        return np.full((len(x), len(x)), np.nan) if at is None else at.hessian


def minimum(
    search: Search, REML: bool, start: Any = None, end: float = math.inf
) -> tuple[Objective, Optimum]:
    """Minimize the criterion of one response: every fit of one comes here.

    The optimum is never above the ordinary regression, where theta is 0.

    Parameters
    ----------
    start : array (m,), optional
        Coordinates to start from; default the model's own.
    end : float
        When to give up, on the clock of ``time.perf_counter``.

    Raises
    ------
    FitFailedError
        The time is over.
    """
    objective = Objective(search, REML, end)
    further: tuple[Any, ...] = tuple(search.starts())
    if start is None:
        start, further = _own_start(search, REML, end), (*further, *search.wide_starts())
    optimum = _searched(objective, start, further)
    if optimum.value > objective.without_effects() + SETTINGS.tolerance:
        # a criterion of few rows beyond the fixed effects may have an optimum at 0 and another
        # one far from it, and the ordinary regression's value is known without a search
        near = _searched(objective, np.where(search.bounded, NEAR_ZERO, 0.0), ())
        optimum = min(optimum, near, key=lambda reached: reached.value)
    return objective, optimum


def _searched(objective: Objective, start: Any, further: tuple[Any, ...]) -> Optimum:
    from lmerbridge.solve.optimum import minimize

    return minimize(
        objective.value,
        objective.gradient,
        objective.bounded,
        SETTINGS,
        start,
        objective.information,
        further,
        objective.hessian,
        objective.light,
    )


def given_start(search: Search, parameters: Any) -> Any:
    """The coordinates (m,) to start from, of parameters of another fit."""
    return lifted(search.of_parameters(np.asarray(parameters, dtype=np.float64)), search.bounded)


def _own_start(search: Search, REML: bool, end: float) -> Any:
    """A start that costs little: of several factors by the models with one each, of one by the
    levels' own regressions; ``None`` for the usual one.
    """
    if len(search.products.factors) > 1:
        return _factor_by_factor(search, REML, end)
    return None if search.compact is None else search.compact.start(REML)


def _factor_by_factor(search: Search, REML: bool, end: float) -> Any:
    """A start from the models with one factor each, which cost little."""
    from lmerbridge.likelihood.starts import together
    from lmerbridge.solve.optimum import roughly

    start = np.zeros(len(search.bounded))
    for index in range(len(search.products.factors)):
        alone, where = search.alone(index)
        objective = Objective(alone, REML, end)
        found = roughly(
            objective.value, objective.gradient, objective.information, alone.bounded, SETTINGS
        )
        start[where] = np.where(alone.bounded, np.maximum(found, 0.1), found)
    joint = together(search.products, start) if search.plain else None
    return start if joint is None else joint
