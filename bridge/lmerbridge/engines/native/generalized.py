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
from lmerbridge.engines.protocol import FitSpec, with_size
from lmerbridge.errors import FitFailedError
from lmerbridge.likelihood.criteria import Estimated, Known, Moment
from lmerbridge.likelihood.dispersion import MomentPoint
from lmerbridge.likelihood.laplace import Problem
from lmerbridge.likelihood.shape import ShapePoint
from lmerbridge.result import Estimates, FitResult

if TYPE_CHECKING:
    from lmerbridge.family import Family
    from lmerbridge.likelihood.criteria import Criterion, Point
    from lmerbridge.likelihood.laplace import LaplacePoint
    from lmerbridge.likelihood.layout import Array
    from lmerbridge.solve.generalized import GeneralizedFit

__all__ = ["fit_family"]

LARGE_ERROR = 3.0  # on the scale of the linear predictor, where 3 is a factor of 20


def fit_family(frame: ModelFrame, spec: FitSpec, family: Family, began: float) -> FitResult:
    """Fit a generalized linear mixed model.

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
    from lmerbridge.likelihood.search import Coordinates
    from lmerbridge.likelihood.separation import separation
    from lmerbridge.solve.generalized import fit_generalized

    criterion = _criterion(frame, spec, family)
    problem = criterion.problem
    start = None if spec.start is None else np.array(spec.start)
    end = math.inf if spec.timeout is None else began + spec.timeout
    try:
        found = fit_generalized(criterion, spec.nAGQ == 0, start, end)
    except FitFailedError as error:
        direction = separation(frame.X, frame.y, frame.weights, family)
        why = str(error) if direction is None else direction.describe(frame.x_names)
        raise FitFailedError(f"{frame.formula} could not be fitted: {why}") from error
    theta = Coordinates(problem.effects.layout).users(found.x)
    estimates = _estimates(frame, found, theta)
    optimum = found.optimum
    doubt = _separated(frame, family, estimates) or _no_size(found)
    if doubt is not None:
        optimum = replace(optimum, certified=False, doubt=doubt)
    result = assembled(
        frame,
        spec,
        estimates,
        found.criterion - _left_out(problem, spec),
        optimum,
        free=~np.append(found.zero, np.zeros(len(found.optimum.x) - len(found.zero), dtype=bool)),
        engine="native",
        packages=("lmerbridge", "scipy", "numpy"),
        seconds=time.perf_counter() - began,
        components={"ldL2": found.point.elimination.log_det, "ussq": _sum_of_squares(found.point)},
    )
    if isinstance(found.at, ShapePoint) and family.theta is not None:
        return replace(result, call=with_size(result.call, family, found.at.shape))
    return result


def _criterion(frame: ModelFrame, spec: FitSpec, family: Family) -> Criterion:
    """What is to be minimized.

    Raises
    ------
    UnsupportedModelError
        Quadrature, or the moment estimate of a dispersion, is not for this model.
    """
    problem = Problem.of(frame, family, spec.information == "observed")
    if spec.size_estimated or (family.dispersion is None and spec.dispersion == "ML"):
        return Estimated(problem)
    if family.dispersion is None:
        return Moment(problem, None) if spec.like == "1.1" else Moment.of(problem)
    return Known(problem, max(1, spec.nAGQ))


def _left_out(problem: Problem, spec: FitSpec) -> float:
    """What lme4 1.1 leaves out of -2 log-likelihood where there are several nodes: that of the
    saturated model.
    """
    if spec.like != "1.1" or spec.nAGQ < 2:
        return 0.0
    return problem.family.aic(problem.y, problem.y, problem.prior, 0.0, problem.prior)


def _no_size(found: GeneralizedFit) -> str | None:
    """Say that the size of a negative binomial has no finite estimate."""
    if isinstance(found.at, ShapePoint) and found.at.endless:
        return (
            "the counts vary no more than Poisson counts do, so that the size of the negative"
            " binomial has no finite estimate: fit family='poisson'"
        )
    return None


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
    point, at = found.point, found.at
    sigma, scale = _sigma(at)
    conditional = _conditional(point)
    joint = None if found.hessian is None else _joint(found, found.hessian)
    vcov = conditional if joint is None else joint
    eta = point.problem.effects.frame_of(point.eta)
    mu = point.problem.family.link.inverse(eta)
    modes, variances = _modes_and_variances(point)
    return Estimates(
        names=frame.x_names,
        beta=linalg.solve_triangular(point.problem.R, point.beta)
        if point.problem.p
        else np.empty(0),
        vcov=np.full((point.problem.p, point.problem.p), np.nan) if vcov is None else vcov,
        vcov_definition="conditional" if joint is None else "joint",
        theta=theta,
        sigma=sigma,
        random=random_effects(frame, theta, scale, modes, [scale**2 * own for own in variances]),
        fitted=mu,
        residuals=frame.y - mu,
        weights=None if frame.weights is None else frame.weights.copy(),
        other_vcov={} if conditional is None or joint is None else {"conditional": conditional},
        par=None if frame.plain else parameters_of(frame, theta),
    )


def _sigma(at: Point) -> tuple[float | None, float]:
    """The residual scale, and what standard deviations of the random effects are in units of."""
    if isinstance(at, ShapePoint) and at.problem.family.theta is None:
        return math.sqrt(at.shape), 1.0
    if not isinstance(at, MomentPoint):
        return None, 1.0
    if at.freedom is not None:
        return math.sqrt(at.phi), 1.0
    # as up to lme4 1.1: of the penalized weighted residuals, and theta is in units of it
    problem, point = at.problem, at.laplace
    mu = problem.family.link.inverse(point.eta)
    pearson = problem.prior @ ((problem.y - mu) ** 2 / problem.family.variance(mu))
    sigma = math.sqrt((float(pearson) + _sum_of_squares(point)) / len(mu))
    return sigma, sigma


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


def _joint(found: GeneralizedFit, hessian: Array) -> Array | None:
    """Beta's block of the inverse Hessian; ``None`` where that is not positive. The size of a
    negative binomial is taken as given, as in lme4.
    """
    point = found.point
    p, at = point.problem.p, found.at
    if not p or not np.isfinite(hessian).all():
        return None
    last = len(hessian) - int(isinstance(at, ShapePoint))
    given = isinstance(at, ShapePoint) and at.problem.family.theta is not None
    size = last if given else len(hessian)
    L, failed = linalg.lapack.dpotrf(0.5 * hessian[:size, :size], lower=1)
    if failed:
        return None
    inverse = linalg.cho_solve((L, True), np.eye(size))
    return _in_units(point, inverse[last - p : last, last - p : last])


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
