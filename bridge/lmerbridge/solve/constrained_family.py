"""The criterion of a generalized model over all parameters but one, which is held.

As :mod:`lmerbridge.solve.constrained`, but that the fixed effects are among the free numbers: the
criterion cannot be minimized over them in closed form. A fixed effect is held as a part of the
offset.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from scipy import linalg

from lmerbridge.likelihood.laplace import Problem
from lmerbridge.likelihood.quadrature import quadrature
from lmerbridge.solve.constrained import Held

__all__ = ["HeldFamily", "held_family"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, eq=False)
class HeldFamily:
    """The criterion with something held; free are each term's own numbers and the fixed effects in
    the units of Q.

    Attributes
    ----------
    problem : Problem
        With theta in the units of the frame's columns.
    held : Held
    nodes : int
        Of the quadrature; 1 for Laplace's approximation.
    """

    problem: Problem
    held: Held
    nodes: int

    def start(self, L: Array, sigma: float, beta: Array) -> Array:
        """The free numbers where the terms' own are ``L`` and the fixed effects ``beta``."""
        return np.concatenate([self.held.pack(L, sigma)[:-1], self.problem.R @ beta])

    def shifted(self, shift: Array) -> HeldFamily:
        """The criterion with ``shift`` (n,) in the linear predictor."""
        own = self.problem.effects.rows_of(shift)
        before = self.problem.offset
        moved = replace(self.problem, offset=own if before is None else before + own)
        return replace(self, problem=moved)

    def at(self, value: float) -> Callable[[Array], tuple[float, Array]]:
        """The criterion over the free numbers, and its gradient; infinite where there is none."""
        modes: list[Any] = [None]  # of the last point, where the next begins
        problem, p = self.problem, self.problem.p

        def evaluated(free: Array) -> tuple[float, Array]:
            own, rest = self._own(free, value)
            L, slope = self.held.expand(own)
            found = problem.at(L, rest, modes[0])
            if found is None or not math.isfinite(found.criterion):
                return math.inf, np.zeros_like(free)
            modes[0] = found.u
            point = found if self.nodes == 1 else quadrature(found, self.nodes)
            over_L, over_beta = np.split(point.gradient, [len(L)])
            if slope is not None:
                over_L = slope.T @ over_L
            over_own = self.held.gradient(over_L, 0.0, value, own)[:-1]
            assert len(over_beta) == p
            return point.criterion, np.concatenate([over_own, over_beta])

        return evaluated

    def parameters(self, free: Array, value: float) -> tuple[Array, float, Array]:
        """L in theta's order, sigma and the fixed effects."""
        own, rest = self._own(free, value)
        beta = linalg.solve_triangular(self.problem.R, rest) if len(rest) else rest
        return self.held.expand(own)[0], 1.0, np.asarray(beta, dtype=np.float64)

    def _own(self, free: Array, value: float) -> tuple[Array, Array]:
        own, rest = np.split(free, [len(free) - self.problem.p])
        return self.held.unpack(np.append(own, 0.0), value)[0], rest


def held_family(problem: Problem, held: Held, nodes: int) -> HeldFamily:
    """Return the criterion of a problem with something held; arguments as there."""
    effects = problem.effects
    columns = [
        np.asfortranarray(linalg.solve(M.T, own.T).T)
        for own, M in zip(effects.columns, effects.layout.scales, strict=True)
    ]
    plain = replace(effects.layout, maps=tuple(np.eye(len(M)) for M in effects.layout.maps))
    own_units = replace(effects, layout=plain, columns=tuple(columns))
    return HeldFamily(replace(problem, effects=own_units), held, nodes)
