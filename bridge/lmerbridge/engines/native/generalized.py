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
        return Estimated(problem, max(1, spec.nAGQ))
    if family.dispersion is None:
        return Moment(problem, None) if spec.like == "1.1" else Moment.of(problem)
    return Known(problem, max(1, spec.nAGQ))


def _left_out(problem: Problem, spec: FitSpec) -> float:
    """What lme4 1.1 leaves out of -2 log-likelihood where there are several nodes: that of the
    saturated model.
    """
    if spec.like != "1.1" or spec.nAGQ < 2:
        return 0.0
    return problem.saturated


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
    conditional = point.problem.beta_vcov(point.precision)
    joint = _joint(found)
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


def _joint(found: GeneralizedFit) -> Array | None:
    """Beta's covariance matrix by the Hessian; ``None`` where that is not positive, or not there.
    The size of a negative binomial is taken as given, as in lme4.
    """
    if found.hessian is None:
        return None
    problem, at, information = found.point.problem, found.at, 0.5 * found.hessian
    if not isinstance(at, ShapePoint):
        return problem.beta_vcov(information)
    if at.problem.family.theta is not None:
        return problem.beta_vcov(information[:-1, :-1])
    return problem.beta_vcov(information, following=1)


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
