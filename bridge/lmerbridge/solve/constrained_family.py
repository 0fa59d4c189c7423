"""The criterion of a generalized model over all parameters but one, which is held.

As :mod:`lmerbridge.solve.constrained`, but that the fixed effects are among the free numbers: the
criterion cannot be minimized over them in closed form. A fixed effect is held as a part of the
offset. A dispersion phi that is estimated is sigma^2, the size of a negative binomial sigma^-2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from scipy import linalg

from lmerbridge.likelihood.criteria import Estimated, Known
from lmerbridge.likelihood.laplace import Problem
from lmerbridge.solve.constrained import Held

__all__ = ["HeldFamily", "held_family"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, eq=False)
class HeldFamily:
    """The criterion with something held; free are what :class:`Held` has, log sigma where the
    distribution has something to estimate, and the fixed effects in the units of Q.

    Attributes
    ----------
    criterion : Known or Estimated
        With theta in the units of the frame's columns.
    held : Held
    power : int
        Of sigma, that is the parameter of the distribution; 0 where there is none.
    """

    criterion: Known | Estimated
    held: Held
    power: int

    @property
    def problem(self) -> Problem:
        """That of the criterion."""
        return self.criterion.problem

    @property
    def _last(self) -> int | None:
        """Where the numbers that :class:`Held` has and that are free end."""
        return None if self.power or self.held.kind == "sigma" else -1

    def start(self, L: Array, sigma: float, beta: Array) -> Array:
        """The free numbers where the terms' own are ``L`` and the fixed effects ``beta``."""
        return np.concatenate([self.held.pack(L, sigma)[: self._last], self.problem.R @ beta])

    def shifted(self, shift: Array) -> HeldFamily:
        """The criterion with ``shift`` (n,) in the linear predictor."""
        own = self.problem.effects.rows_of(shift)
        before = self.problem.offset
        moved = replace(self.problem, offset=own if before is None else before + own)
        return replace(self, criterion=replace(self.criterion, problem=moved))

    def at(self, value: float) -> Callable[[Array], tuple[float, Array]]:
        """The criterion over the free numbers, and its gradient; infinite where there is none."""
        modes: list[Any] = [None]  # of the last point, where the next begins
        p = self.problem.p

        def evaluated(free: Array) -> tuple[float, Array]:
            own, sigma, rest = self._own(free, value)
            L, slope = self.held.expand(own)
            shape = np.full(1 if self.power else 0, self.power * math.log(sigma))
            found = self.criterion.at(L, rest, shape, modes[0], False)
            if found is None or not math.isfinite(found.criterion):
                return math.inf, np.zeros_like(free)
            modes[0] = found.laplace.u
            over_L, over_beta, over_shape = np.split(found.gradient, [len(L), len(L) + p])
            if slope is not None:
                over_L = slope.T @ over_L
            over_sigma = self.power * float(over_shape.sum())
            over_own = self.held.gradient(over_L, over_sigma, value, own)[: self._last]
            return found.criterion, np.concatenate([over_own, over_beta])

        return evaluated

    def parameters(self, free: Array, value: float) -> tuple[Array, float, Array]:
        """L in theta's order, sigma and the fixed effects."""
        own, sigma, rest = self._own(free, value)
        beta = linalg.solve_triangular(self.problem.R, rest) if len(rest) else rest
        return self.held.expand(own)[0], sigma, np.asarray(beta, dtype=np.float64)

    def _own(self, free: Array, value: float) -> tuple[Array, float, Array]:
        own, rest = np.split(free, [len(free) - self.problem.p])
        return *self.held.unpack(own if self._last is None else np.append(own, 0.0), value), rest


def held_family(criterion: Known | Estimated, held: Held, power: int) -> HeldFamily:
    """Return a criterion with something held; arguments as there."""
    problem, effects = criterion.problem, criterion.problem.effects
    columns = [
        np.asfortranarray(linalg.solve(M.T, own.T).T)
        for own, M in zip(effects.columns, effects.layout.scales, strict=True)
    ]
    plain = replace(effects.layout, maps=tuple(np.eye(len(M)) for M in effects.layout.maps))
    own_units = replace(effects, layout=plain, columns=tuple(columns))
    own = replace(criterion, problem=replace(problem, effects=own_units))
    return HeldFamily(own, held, power)
