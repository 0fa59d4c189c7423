"""Minimizing a criterion over theta, and checking that the minimum is one.

Parameters on the diagonal of a covariance factor are bounded below by ``floor``: 0, or, where a
likelihood is not defined there, a number so small that an optimum there may be reported as 0.
What decides where a search ends is in :mod:`lmerbridge.solve.settings` and
:mod:`lmerbridge.solve.steps`, for many searches at once as for this one.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from lmerbridge.equality import by_value
from lmerbridge.solve.settings import (
    DAMPING_FIRST,
    DAMPING_LEAST,
    DAMPING_LOW,
    DAMPING_MOST,
    FRACTIONS,
    HEIGHTS,
    LEAST_SHRINK,
    NEWTON_STEPS,
    ROUNDING,
    SAME_HESSIAN,
    SCORING_STEPS,
    STALLED,
    WELL_WITHIN,
    Settings,
)
from lmerbridge.solve.steps import (
    above_floor,
    attempts_enough,
    damped_step,
    difference_hessian,
    free_of_floor,
    free_of_scoring,
    improves,
    learned,
    noise_at_floor,
    scoring_trial,
    shorter,
    spectrum,
    to_be_lowered,
    usual_starts,
)

__all__ = ["Attempt", "Optimum", "attempts", "minimize", "roughly", "shown_above"]

Vector: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Flags: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]


@by_value
@dataclass(frozen=True, eq=False)
class Optimum:
    """Where the search ended.

    ``decrement`` is the change of the criterion that one more Newton step promises, over the
    parameters that are not at the floor; ``certified`` says that it is small, that the Hessian
    there is not negative, and that stepping off the floor does not help. ``doubt`` says which of
    these is not so, in words.
    """

    x: Vector
    value: float
    gradient: Vector
    decrement: float
    certified: bool
    optimizer: str
    evaluations: int
    tried: tuple[str, ...]
    doubt: str = ""


class _Objective:
    """Counts evaluations and turns failures of the arithmetic into +inf."""

    def __init__(
        self,
        value: Callable[[Vector], float],
        gradient: Callable[[Vector], Vector],
        settings: Settings,
        hessian: Callable[[Vector], Vector] | None = None,
        light: bool = False,
    ):
        self._value, self._gradient, self._hessian = value, gradient, hessian
        self._light = light
        self.settings = settings
        self.evaluations = 0
        self._place = (b"", b"")
        self._spectrum: tuple[Vector, Vector, bool] | None = None

    def value(self, x: Vector) -> float:
        self.evaluations += 1
        try:
            found = float(self._value(x))
        except (np.linalg.LinAlgError, FloatingPointError):
            return np.inf
        return found if np.isfinite(found) else np.inf

    def gradient(self, x: Vector) -> Vector:
        try:
            return np.asarray(self._gradient(x), dtype=np.float64)
        except (np.linalg.LinAlgError, FloatingPointError):
            return np.zeros_like(x)

    def is_near(self, x: Vector, gradient: Vector) -> bool:
        """Whether a Hessian that costs little says that Newton's steps are the better ones."""
        if not self._light:
            return False
        found = self.spectrum(x, np.ones(len(x), dtype=bool))
        if found is None:
            return False
        vectors, sizes, convex = found
        along = vectors.T @ gradient
        return convex and 0.5 * float(along @ (along / sizes)) < SAME_HESSIAN

    def spectrum(self, x: Vector, free: Flags) -> tuple[Vector, Vector, bool] | None:
        """:func:`spectrum` of :meth:`hessian`, of the last point kept; ``None`` where the Hessian
        cannot be computed.
        """
        place = (x.tobytes(), free.tobytes())
        if place != self._place:
            hessian = self.hessian(x, free)
            self._place, self._spectrum = place, None
            if np.isfinite(hessian).all():
                vectors, sizes, convex = spectrum(hessian)
                self._spectrum = vectors, sizes, bool(convex)
        return self._spectrum

    def hessian(self, x: Vector, free: Flags) -> Vector:
        """Of the free parameters: exact, or by differences of the gradient."""
        if self._hessian is not None:
            whole = np.asarray(self._hessian(x))
            return whole if free.all() else whole[free][:, free]
        return difference_hessian(self.gradient, x, np.flatnonzero(free).tolist(), self.settings)


def _to_floor(objective: _Objective, x: Vector, diagonal: Flags) -> Vector:
    """Put small diagonal parameters onto the floor where that costs nothing."""
    s = objective.settings
    for i in np.flatnonzero(to_be_lowered(x, diagonal, s)):
        moved = x.copy()
        moved[i] = s.floor
        if objective.value(moved) <= objective.value(x) + noise_at_floor(x[i], s):
            x = moved
    return x


def _newton(objective: _Objective, x: Vector, diagonal: Flags) -> tuple[Vector, float, bool]:
    """Polish ``x`` by Newton steps; also the last decrement, and whether the Hessian is convex."""
    s = objective.settings
    decrement, convex = np.inf, False
    near: Flags | None = None  # the free parameters of a Hessian that still holds
    vectors = sizes = np.empty(0)
    for _ in range(NEWTON_STEPS):
        x = _to_floor(objective, x, diagonal)
        value = objective.value(x)
        free = free_of_floor(x, diagonal, s)
        gradient = objective.gradient(x)[free]
        if not free.any():
            return x, 0.0, True
        if near is None or not np.array_equal(near, free):
            found = objective.spectrum(x, free)
            if found is None:
                return x, np.inf, False
            vectors, sizes, convex = found
        along = vectors.T @ gradient
        decrement = float(0.5 * np.sum(along**2 / sizes))
        if decrement < WELL_WITHIN * s.tolerance:
            break
        step = np.zeros_like(x)
        step[free] = -vectors @ (along / sizes)
        for fraction in FRACTIONS:
            trial = above_floor(x + fraction * step, diagonal, s.floor)
            if objective.value(trial) < value:
                x = trial
                near = free if fraction == 1.0 and decrement < SAME_HESSIAN else None
                break
        else:
            break
    return x, decrement, convex


def _scoring(
    objective: _Objective,
    information: Callable[[Vector], Vector],
    x: Vector,
    diagonal: Flags,
) -> Vector:
    """Fisher scoring with an approximation of the Hessian that is never negative, damped as by
    Levenberg and Marquardt, until Newton's own steps are the better ones.
    """
    settings, floor = objective.settings, objective.settings.floor
    damping, shrinks = 0.0, LEAST_SHRINK
    value, gradient = objective.value(x), objective.gradient(x)
    if objective.is_near(x, gradient):
        return x
    matrix = information(x)
    changes: list[tuple[Vector, Vector]] = []
    for _ in range(SCORING_STEPS):
        free = free_of_scoring(x, gradient, diagonal, floor)
        if not free.any() or not np.isfinite(value):
            break
        try:
            step = damped_step(matrix, gradient, free, damping)
        except np.linalg.LinAlgError:
            break
        if damping <= DAMPING_LOW and -0.5 * float(gradient @ step) < settings.near:
            break
        trial = scoring_trial(x, step, diagonal, floor, shrinks)
        found = objective.value(trial)
        # where a Hessian is learned, steps go on that are too short for the criterion's digits
        slack = ROUNDING * abs(value) if settings.learns else 0.0
        if settings.shortens:
            if found < value + slack:
                shrinks = max(shrinks**2, LEAST_SHRINK)
            else:
                trial, part = shorter(x, trial, found - value, gradient, diagonal)
                shrinks **= part
                found = objective.value(trial)
        if found < value + slack:
            if not slack and value - found < STALLED * abs(value):
                return trial
            changed = objective.gradient(trial)
            if settings.learns:
                changes.append((trial - x, changed - gradient))
            x, value, gradient = trial, found, changed
            matrix = learned(information(x), changes)
            damping = 0.1 * damping if damping > DAMPING_LEAST else 0.0
        elif damping > DAMPING_MOST:
            break
        else:
            damping = max(10 * damping, DAMPING_FIRST)
    return x


def _off_floor_helps(objective: _Objective, x: Vector, diagonal: Flags) -> bool:
    """Whether the criterion falls when a parameter at the floor moves up."""
    here, s = objective.value(x), objective.settings
    for i in np.flatnonzero(~free_of_floor(x, diagonal, s)):
        for height in HEIGHTS:
            moved = x.copy()
            moved[i] = height
            if objective.value(moved) < here - s.tolerance:
                return True
    return False


def shown_above(value: float, limit: float) -> str:
    """Write a value above a limit in two digits, or in as many as it takes to be read as above it.

    Parameters
    ----------
    value, limit : float
        In the same unit; a value that is not above the limit, or is no number, has two digits.
    """
    texts = (f"{value:.{digits}g}" for digits in range(2, 18))
    return next((text for text in texts if float(text) > limit), f"{value:.2g}")


def _doubt(
    objective: _Objective,
    x: Vector,
    diagonal: Flags,
    found: float,
    decrement: float,
    convex: bool,
) -> str:
    """Why the point ``x`` may be no optimum; empty if nothing speaks against it."""
    tolerance = objective.settings.tolerance
    if not np.isfinite(found):
        return "the criterion cannot be computed there"
    if not decrement < tolerance:
        return (
            "one more Newton step would change the criterion by "
            f"{shown_above(decrement, tolerance)} "
            f"(tol = {tolerance:g})"
        )
    if not convex:
        return "the Hessian there is not that of a minimum"
    if _off_floor_helps(objective, x, diagonal):
        return "the criterion falls where a variance that is 0 grows"
    return ""


def _by_scipy(*args: Any, **settings: Any) -> Any:
    """What scipy's minimize returns; its import takes 0.15 s, and few fits need it."""
    from scipy import optimize

    return optimize.minimize(*args, **settings)


def _optimizers(
    objective: _Objective, diagonal: Flags, information: Callable[[Vector], Vector] | None
) -> dict[str, Callable[[Vector], Vector]]:
    """What can search, by name."""
    floor = objective.settings.floor
    bounds = [(floor if d else None, None) for d in diagonal]
    size = len(diagonal)

    def quasi_newton(x: Vector) -> Vector:
        found = _by_scipy(
            objective.value,
            x,
            jac=objective.gradient,
            method="L-BFGS-B",
            bounds=bounds,
            options={"ftol": 1e-13, "gtol": 1e-7, "maxiter": 500},
        )
        return np.asarray(found.x)

    def simplex(x: Vector) -> Vector:
        found = _by_scipy(
            objective.value,
            x,
            method="Nelder-Mead",
            bounds=bounds,
            options={"xatol": 1e-6, "fatol": 1e-9, "maxiter": 200 * size, "adaptive": size > 4},
        )
        return np.asarray(found.x)

    def directions(x: Vector) -> Vector:
        wide = [(floor if d else -1e3, 1e3) for d in diagonal]
        try:
            found = _by_scipy(
                objective.value,
                x,
                method="Powell",
                bounds=wide,
                options={"xtol": 1e-6, "ftol": 1e-11, "maxiter": 20},
            )
        except ValueError:  # scipy's line search, where no value is finite
            return x
        return np.asarray(found.x)

    found: dict[str, Callable[[Vector], Vector]] = {}
    if information is not None:
        found["Fisher scoring"] = lambda x: _scoring(objective, information, x, diagonal)
    return {**found, "L-BFGS-B": quasi_newton, "Powell": directions, "Nelder-Mead": simplex}


def _attempts(
    objective: _Objective,
    diagonal: Flags,
    start: Vector | None,
    information: Callable[[Vector], Vector] | None,
    further: tuple[Vector, ...],
) -> Iterator[tuple[str, Vector]]:
    optimizers = _optimizers(objective, diagonal, information)
    starts = usual_starts(diagonal)
    starts[1:1] = further
    if start is not None:
        starts.insert(0, above_floor(start, diagonal, objective.settings.floor))
    for name in ("Fisher scoring", "L-BFGS-B"):
        if name in optimizers:
            for x in starts:
                yield name, optimizers[name](x)
    for name in ("Powell", "Nelder-Mead"):
        yield name, optimizers[name](starts[0])


@contextmanager
def _quiet() -> Iterator[None]:
    """What fails on the way is seen by its value."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


@_quiet()
def roughly(
    value: Callable[[Vector], float],
    gradient: Callable[[Vector], Vector],
    information: Callable[[Vector], Vector],
    diagonal: Flags,
    settings: Settings,
) -> Vector:
    """Near a minimum: Fisher scoring alone, for a start elsewhere."""
    objective = _Objective(value, gradient, settings)
    return _scoring(objective, information, np.where(diagonal, 1.0, 0.0), diagonal)


@by_value
@dataclass(frozen=True, eq=False)
class Attempt:
    """Where one optimizer alone ended, from the usual start."""

    x: Vector
    value: float
    evaluations: int
    seconds: float


@_quiet()
def attempts(
    value: Callable[[Vector], float],
    gradient: Callable[[Vector], Vector],
    diagonal: Flags,
    settings: Settings,
    information: Callable[[Vector], Vector],
) -> dict[str, Attempt]:
    """Every optimizer by itself; Fisher scoring, which only comes near, with Newton's steps."""
    found = {}
    for name in _optimizers(_Objective(value, gradient, settings), diagonal, information):
        began = time.perf_counter()
        objective = _Objective(value, gradient, settings)
        x = _optimizers(objective, diagonal, information)[name](np.where(diagonal, 1.0, 0.0))
        title = name
        if name == "Fisher scoring":
            x, _, _ = _newton(objective, x, diagonal)
            title = "scoring, Newton"
        count = objective.evaluations
        found[title] = Attempt(x, objective.value(x), count, time.perf_counter() - began)
    return found


@_quiet()
def minimize(
    value: Callable[[Vector], float],
    gradient: Callable[[Vector], Vector],
    diagonal: Flags,
    settings: Settings,
    start: Vector | None = None,
    information: Callable[[Vector], Vector] | None = None,
    further: tuple[Vector, ...] = (),
    hessian: Callable[[Vector], Vector] | None = None,
    light: bool = False,
) -> Optimum:
    """The minimum of a criterion over theta.

    Optimizers and starts are tried in turn until one ends at a point that is certified; if it
    lies at the floor, the other starts are tried as well, since such a criterion often has a
    second optimum.

    Parameters
    ----------
    value, gradient : callable
        Criterion (-2 log-likelihood) and its gradient.
    diagonal : array of bool
        Which parameters are on the diagonal, and so bounded below.
    settings : Settings
    start : array, optional
        Tried before the usual starts.
    information : callable, optional
        A non-negative approximation of the Hessian; with it, Fisher scoring is tried first.
    further : tuple of array, optional
        Starts that are tried as well, whatever the first ends at.
    hessian : callable, optional
        The Hessian itself, where it is cheaper than differences of the gradient.
    light : bool
        Whether it is so cheap that the search asks for it at its start as well.
    """
    objective = _Objective(value, gradient, settings, hessian, light)
    best: tuple[float, Vector, float, bool, str, str] | None = None
    tried: list[str] = []
    for count, (name, reached) in enumerate(
        _attempts(objective, diagonal, start, information, further), 1
    ):
        tried.append(name)
        x, decrement, convex = _newton(objective, reached, diagonal)
        found = objective.value(x)
        doubt = _doubt(objective, x, diagonal, found, decrement, convex)
        good = not doubt
        if best is None or improves(found, good, best[0], best[3], settings):
            best = (found, x, decrement, good, name, doubt)
        at_floor = not free_of_floor(best[1], diagonal, settings).all()
        if best[3] and count >= attempts_enough(at_floor, len(further)):
            break
    assert best is not None
    return Optimum(
        best[1],
        best[0],
        objective.gradient(best[1]),
        best[2],
        best[3],
        best[4],
        objective.evaluations,
        tuple(tried),
        best[5],
    )
