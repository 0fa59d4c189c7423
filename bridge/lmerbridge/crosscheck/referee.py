"""The referee: the exact criterion at any engine's theta, on the common model frame.

Independent of every engine and optimizer, so that it tells another optimum from another criterion
and both from another definition.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from lmerbridge.design import ModelFrame
from lmerbridge.engines import FitSpec
from lmerbridge.engines.assemble import counted, estimates_at
from lmerbridge.likelihood import (
    CrossProducts,
    Search,
    criterion,
    cross_products,
    derivatives,
    evaluate,
    joint_vcov,
)
from lmerbridge.result import FitResult

__all__ = ["Point", "Referee"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Point:
    """What the referee says of a theta.

    Attributes
    ----------
    criterion : float
        Of the kind asked for, REML or ML.
    gradient : float
        Largest absolute component of its gradient.
    promise : float
        By how much one more step would lower it, by its gradient and average information; over
        the parameters that are not at 0.
    """

    criterion: float
    gradient: float
    promise: float


class Referee:
    """Judges points of one model."""

    def __init__(self, frame: ModelFrame, spec: FitSpec):
        self.frame, self.spec = frame, spec

    @cached_property
    def products(self) -> CrossProducts:
        return cross_products(self.frame)

    def criterion(self, theta: Array, REML: bool | None = None) -> float:
        """REML criterion or deviance at ``theta``; infinite where it cannot be computed."""
        return criterion(self.products, theta, self.spec.REML if REML is None else REML)

    def value(self, theta: Array, beta: Array | None = None) -> float:
        """The criterion at ``theta``, to which the fixed effects belong."""
        return self.criterion(theta)

    def point(self, theta: Array) -> Point:
        search = Search(self.products)
        c, theta, x = self.products, np.asarray(theta, dtype=np.float64), theta
        if not search.plain:
            c, x = search.products, search.of_users(theta)
            theta = search.theta(x)
        derived = derivatives(c, theta, self.spec.REML)
        if not math.isfinite(derived.criterion):
            return Point(math.inf, math.nan, math.nan)
        gradient, information = derived.gradient, derived.information
        free = np.abs(x) > 1e-3  # nearer to 0 the information says nothing
        if not search.plain:
            slope = search.slope(x)
            gradient, information = slope.T @ gradient, slope.T @ information @ slope
            free |= ~search.bounded
        if not free.any():
            return Point(derived.criterion, 0.0, 0.0)
        # in units of each parameter: a direction on which nothing depends has no information
        size = np.where(np.abs(x) > 1e-3, np.abs(x), 1.0)[free]
        roots, vectors = np.linalg.eigh(information[np.ix_(free, free)] * np.outer(size, size))
        along = vectors.T @ (size * gradient[free])
        known = roots > 1e-10 * max(float(roots.max()), 1.0)
        promise = float(0.5 * np.sum(along[known] ** 2 / roots[known]))
        return Point(derived.criterion, float(np.abs(gradient[free]).max()), promise)

    def other_weights(self, theta: Array) -> dict[str, float]:
        """The criterion under other readings of the prior weights."""
        weights = self.frame.weights
        if weights is None:
            return {}
        c, REML = self.products, self.spec.REML
        unweighted = replace(self.frame, rows=replace(self.frame.rows, weights=None))
        plain = cross_products(unweighted, self.products.layout)
        repeated = replace(c, n=round(float(weights.sum())), log_weights=0.0)
        return {
            "no weights": criterion(plain, theta, REML),
            "weights as frequencies": criterion(repeated, theta, REML),
        }

    def constants(self) -> dict[str, float]:
        """What packages add to the criterion or leave out."""
        c = self.products
        n, p = c.n, c.p
        log_2pi = math.log(2 * math.pi)
        constants = {
            "n log(2 pi)": n * log_2pi,
            "(n - p) log(2 pi)": (n - p) * log_2pi,
            "p log(2 pi)": p * log_2pi,
            "log|X'X|": c.log_det_R,
            "n": float(n),
            "n - p": float(n - p),
        }
        return {name: value for name, value in constants.items() if value}

    def own(self, result: FitResult, theta: Array | None = None) -> FitResult | None:
        """Compute all estimates at the engine's theta by the definitions of lme4.

        Parameters
        ----------
        result : FitResult
            The engine's.
        theta : array, optional
            Another than the engine's.

        Returns
        -------
        FitResult or None
            ``result`` with the referee's estimates and criterion in place of the engine's; ``None``
            where they cannot be computed.
        """
        theta = result.estimates.theta if theta is None else theta
        evaluation = evaluate(self.products, theta, self.spec.REML)
        if evaluation is None:
            return None
        return replace(
            result,
            estimates=estimates_at(self.frame, evaluation),
            criterion=counted(self.frame, self.spec.REML, evaluation.criterion),
        )

    def covariances(self, theta: Array) -> dict[str, Array]:
        """The fixed effects' covariance matrix at ``theta`` by definitions other than lme4's."""
        c, REML = self.products, self.spec.REML
        evaluation = evaluate(c, theta, REML)
        if evaluation is None:
            return {}
        joint = {
            "of the joint Hessian of fixed effects and variances": joint_vcov(c, theta, REML),
            "of the joint Hessian under ML": joint_vcov(c, theta, False),
        }
        definitions = {name: vcov for name, vcov in joint.items() if vcov is not None}
        ratio = c.n / (c.n - c.p)
        definitions["lme4's times n / (n - p)"] = evaluation.vcov * ratio
        definitions["lme4's times (n - p) / n"] = evaluation.vcov / ratio
        return definitions
