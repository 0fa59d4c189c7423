"""The referee of generalized models: the criterion that was asked for, computed at any engine's
theta and fixed effects with the inner iteration ended to working precision, and its second
derivatives there. By the definitions of lme4 2.1.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import linalg

from lmerbridge.design import ModelFrame
from lmerbridge.engines import FitSpec
from lmerbridge.errors import UnsupportedModelError
from lmerbridge.likelihood.criteria import Criterion, Known, Moment, Point
from lmerbridge.likelihood.laplace import Problem
from lmerbridge.likelihood.quadrature import refused_for
from lmerbridge.likelihood.search import Coordinates
from lmerbridge.solve.settings import SETTINGS
from lmerbridge.solve.steps import difference_hessian, free_of_floor

if TYPE_CHECKING:
    from lmerbridge.family import Family
    from lmerbridge.likelihood.layout import Array

__all__ = ["GeneralizedReferee"]

OLD = "modes for a dispersion of 1, as lme4 has them up to 2.0"


class GeneralizedReferee:
    """Judges points (theta, beta) of one generalized model."""

    def __init__(self, frame: ModelFrame, spec: FitSpec):
        self.frame, self.spec = frame, spec
        self._problems: dict[bool, Problem] = {}
        self._criteria: dict[tuple[int, bool], Criterion] = {}
        self._values: dict[tuple[bytes, int, bool], float] = {}

    @property
    def family(self) -> Family:
        assert self.frame.family is not None
        return self.frame.family

    @property
    def dispersed(self) -> bool:
        """Whether a dispersion is estimated; the criterion is then that of lme4 2.1."""
        return self.family.dispersion is None

    @cached_property
    def knows(self) -> bool:
        """Whether it has the criterion; not of an estimated size, nor of a dispersion that has no
        moment estimate.
        """
        if self.spec.size_estimated:
            return False
        try:
            return self._criterion(self.spec.nAGQ, False) is not None
        except UnsupportedModelError:
            return False

    def _problem(self, observed: bool = False) -> Problem:
        if observed not in self._problems:
            self._problems[observed] = Problem.of(self.frame, self.family, observed)
        return self._problems[observed]

    @cached_property
    def _coordinates(self) -> Coordinates:
        return Coordinates(self._problem().effects.layout)

    def _criterion(self, nAGQ: int, observed: bool) -> Criterion:
        """What is minimized.

        Raises
        ------
        UnsupportedModelError
            It is not defined for this model.
        """
        key = (nAGQ, observed)
        if key not in self._criteria:
            problem = self._problem(observed)
            self._criteria[key] = (
                Moment.of(problem) if self.dispersed else Known(problem, max(1, nAGQ))
            )
        return self._criteria[key]

    def _point(self, x: Array, own: Array, nAGQ: int, observed: bool = False) -> Point | None:
        theta = self._coordinates.theta(x)
        return self._criterion(nAGQ, observed).at(theta, own, np.empty(0), None, nAGQ == 0)

    def value(
        self, theta: Array, beta: Array | None, nAGQ: int | None = None, observed: bool = False
    ) -> float:
        """Compute -2 log-likelihood by the approximation that was asked for, or another.

        Parameters
        ----------
        theta : array
        beta : array (p,) or None
            In the frame's order; of no effect with ``nAGQ = 0``.
        nAGQ : int, optional
            Of the approximation; default the one that was asked for.
        observed : bool
            With the observed information in the determinant.

        Returns
        -------
        float
            NaN where the referee has no such criterion, infinite where there are no modes.
        """
        if not self.knows or beta is None:
            return math.nan
        nodes = self.spec.nAGQ if nAGQ is None else nAGQ
        theta, beta = np.asarray(theta, dtype=np.float64), np.asarray(beta, dtype=np.float64)
        key = (theta.tobytes() + beta.tobytes(), nodes, observed)
        if key not in self._values:
            own = self._problem().R @ beta
            point = self._point(self._coordinates.of_users(theta), own, nodes, observed)
            self._values[key] = math.inf if point is None else float(point.criterion)
        return self._values[key]

    def others(self, theta: Array, beta: Array) -> dict[str, float]:
        """By name the criterion of other approximations than the one that was asked for."""
        if self.dispersed:
            x = self._coordinates.of_users(np.asarray(theta, dtype=np.float64))
            own = self._problem().R @ np.asarray(beta, dtype=np.float64)
            old = Moment(self._problem(), None)
            at = old.at(self._coordinates.theta(x), own, np.empty(0), None, self.spec.nAGQ == 0)
            return {} if at is None else {OLD: at.criterion}
        found = {}
        for nAGQ in (0, 1, 25):
            if nAGQ == self.spec.nAGQ or (nAGQ > 1 and refused_for(nAGQ, self.frame)):
                continue
            name = {0: "nAGQ = 0", 1: "Laplace's approximation"}.get(nAGQ, f"nAGQ = {nAGQ}")
            found[name] = self.value(theta, beta, nAGQ)
        if self.spec.nAGQ == 1:
            found["the observed information in the determinant"] = self.value(
                theta, beta, observed=True
            )
        return found

    def beta_among_modes(self, theta: Array) -> Array | None:
        """The fixed effects (p,) that are found with the modes at ``theta``, as by ``nAGQ = 0``."""
        problem = self._problem()
        if not self.knows or not problem.p:
            return None
        point = self._point(self._coordinates.of_users(theta), problem.start(), 0)
        return None if point is None else linalg.solve_triangular(problem.R, point.laplace.beta)

    @property
    def saturated(self) -> float:
        """-2 log-likelihood of the saturated model, which lme4 up to 1.1 leaves out of the
        criterion with ``nAGQ > 1`` (lme4#161, #868).
        """
        return self._problem().saturated

    def covariances(self, theta: Array, beta: Array) -> dict[str, Array]:
        """The fixed effects' covariance matrix at a point, by definition.

        ``joint`` is of the Hessian over theta and beta, by differences of the exact gradient on
        both sides; ``given theta`` of beta's block alone.
        """
        problem = self._problem()
        x = self._coordinates.of_users(np.asarray(theta, dtype=np.float64))
        own = problem.R @ np.asarray(beta, dtype=np.float64)
        nAGQ, m = self.spec.nAGQ, len(x)
        point = self._point(x, own, nAGQ) if self.knows and problem.p else None
        if point is None:
            return {}
        found = {"given theta": problem.beta_vcov(point.laplace.precision)}
        if nAGQ > 0:
            free = free_of_floor(x, self._coordinates.bounded, SETTINGS)
            which = np.flatnonzero(np.append(free, np.ones(problem.p, dtype=bool)))

            def gradient(z: Array) -> Array:
                at = self._point(z[:m], z[m:], nAGQ)
                if at is None:
                    return np.full(len(z), np.nan)
                slope = self._coordinates.slope_with(z, np.ones(problem.p))
                return np.asarray(slope.T @ at.gradient)

            settings = replace(SETTINGS, central=True)
            hessian = difference_hessian(gradient, np.append(x, own), which.tolist(), settings)
            found["joint"] = problem.beta_vcov(0.5 * hessian)
        return {name: vcov for name, vcov in found.items() if vcov is not None}
