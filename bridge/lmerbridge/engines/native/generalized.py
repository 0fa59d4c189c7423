"""Generalized linear mixed models by the native engine: Laplace's approximation, or quadrature, at
its exact optimum, with standard errors from the joint Hessian of all parameters.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import linalg

from lmerbridge.design import ModelFrame, parameters_of
from lmerbridge.engines.assemble import assembled, random_effects
from lmerbridge.engines.protocol import FitSpec
from lmerbridge.errors import FitFailedError
from lmerbridge.result import Estimates, FitResult

if TYPE_CHECKING:
    from lmerbridge.family import Family
    from lmerbridge.likelihood.laplace import LaplacePoint
    from lmerbridge.likelihood.layout import Array
    from lmerbridge.solve.generalized import GeneralizedFit

__all__ = ["fit_family"]

LARGE_ERROR = 3.0  # on the scale of the linear predictor, where 3 is a factor of 20


def fit_family(frame: ModelFrame, spec: FitSpec, family: Family, began: float) -> FitResult:
    """Fit a generalized linear mixed model with a known dispersion.

    Parameters
    ----------
    frame : ModelFrame
        Its response is as :mod:`lmerbridge.design.family_response` reads it.
    spec : FitSpec
        Of ``nAGQ`` as :func:`lmerbridge.likelihood.quadrature.check_nodes` allows it.
    family : Family
    began : float
        When the fit began, on the clock of ``time.perf_counter``.

    Raises
    ------
    FitFailedError
        The conditional modes cannot be found anywhere, or the time is over.
    """
    from lmerbridge.likelihood.laplace import Problem
    from lmerbridge.likelihood.search import Coordinates
    from lmerbridge.likelihood.separation import separation
    from lmerbridge.solve.generalized import fit_generalized

    problem = Problem.of(frame, family)
    start = None if spec.start is None else np.array(spec.start)
    end = math.inf if spec.timeout is None else began + spec.timeout
    try:
        found = fit_generalized(problem, spec.nAGQ == 0, start, end, max(1, spec.nAGQ))
    except FitFailedError as error:
        direction = separation(frame.X, frame.y, frame.weights, family)
        why = str(error) if direction is None else direction.describe(frame.x_names)
        raise FitFailedError(f"{frame.formula} could not be fitted: {why}") from error
    theta = Coordinates(problem.effects.layout).users(found.x)
    estimates = _estimates(frame, found, theta)
    optimum = found.optimum
    separated = _separated(frame, family, estimates)
    if separated is not None:
        optimum = replace(optimum, certified=False, doubt=separated)
    return assembled(
        frame,
        spec,
        estimates,
        found.criterion,
        optimum,
        free=~np.append(found.zero, np.zeros(len(found.optimum.x) - len(found.zero), dtype=bool)),
        engine="native",
        packages=("lmerbridge", "scipy", "numpy"),
        seconds=time.perf_counter() - began,
        components={"ldL2": found.point.elimination.log_det, "ussq": _sum_of_squares(found.point)},
    )


def _separated(frame: ModelFrame, family: Family, estimates: Estimates) -> str | None:
    """Say that some fixed effects have no finite estimate; looked for where a standard error, times
    the standard deviation of its column, is so large that they may have none.
    """
    from lmerbridge.likelihood.separation import separation

    if not len(estimates.names):
        return None
    spread = frame.X.std(axis=0)
    errors = np.sqrt(np.diag(estimates.vcov)) * np.where(spread > 0, spread, 1.0)
    if np.isfinite(errors).all() and errors.max() < LARGE_ERROR:
        return None
    found = separation(frame.X, frame.y, frame.weights, family)
    return None if found is None else found.describe(frame.x_names)


def _sum_of_squares(point: LaplacePoint) -> float:
    return float(sum(np.vdot(own, own) for own in point.u))


def _estimates(frame: ModelFrame, found: GeneralizedFit, theta: Array) -> Estimates:
    point = found.point
    conditional = _conditional(point)
    joint = None if found.hessian is None else _joint(point, found.hessian)
    vcov = conditional if joint is None else joint
    eta = point.problem.effects.frame_of(point.eta)
    mu = point.problem.family.link.inverse(eta)
    return Estimates(
        names=frame.x_names,
        beta=linalg.solve_triangular(point.problem.R, point.beta)
        if point.problem.p
        else np.empty(0),
        vcov=np.full((point.problem.p, point.problem.p), np.nan) if vcov is None else vcov,
        vcov_definition="conditional" if joint is None else "joint",
        theta=theta,
        sigma=None,
        random=random_effects(frame, theta, 1.0, *_modes_and_variances(point)),
        fitted=mu,
        residuals=frame.y - mu,
        weights=None if frame.weights is None else frame.weights.copy(),
        other_vcov={} if conditional is None or joint is None else {"conditional": conditional},
        par=None if frame.plain else parameters_of(frame, theta),
    )


def _conditional(point: LaplacePoint) -> Array | None:
    """Beta's covariance matrix given theta; ``None`` where the rows say nothing of some of it."""
    p = point.problem.p
    if not p:
        return None
    L, failed = linalg.lapack.dpotrf(point.precision, lower=1)
    return None if failed else _in_units(point, linalg.cho_solve((L, True), np.eye(p)))


def _in_units(point: LaplacePoint, vcov: Array) -> Array:
    """The covariance matrix (p, p) of beta, from that of the coefficients of Q."""
    half = linalg.solve_triangular(point.problem.R, vcov)
    found: Array = linalg.solve_triangular(point.problem.R, half.T)
    return 0.5 * (found + found.T)


def _joint(point: LaplacePoint, hessian: Array) -> Array | None:
    """Beta's block of the inverse Hessian; ``None`` where that is not positive."""
    p = point.problem.p
    if not p or not np.isfinite(hessian).all():
        return None
    L, failed = linalg.lapack.dpotrf(0.5 * hessian, lower=1)
    if failed:
        return None
    inverse = linalg.cho_solve((L, True), np.eye(len(hessian)))
    return _in_units(point, inverse[-p:, -p:])


def _modes_and_variances(point: LaplacePoint) -> tuple[list[Array], list[Array]]:
    """The conditional modes and their covariance matrices by term, in the user's units."""
    from lmerbridge.likelihood.evaluate import spreads

    layout = point.problem.effects.layout
    effects = point.Lambda.effects(point.u)
    spread = spreads(layout, point.elimination)
    pairs = list(zip(layout.terms, layout.maps, strict=True))
    return (
        [effects[t.factor][:, t.within] @ M.T for t, M in pairs],
        [M @ spread[t.factor][:, t.within, t.within] @ M.T for t, M in pairs],
    )
