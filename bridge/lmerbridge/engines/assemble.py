"""The result of an engine that minimizes here: counts, evidence and provenance, in one place."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lmerbridge.design import ModelFrame, chunks, parameters_of, templates, theta_lower
from lmerbridge.engines.protocol import (
    FitSpec,
    blas_name,
    call_info,
    data_info,
    package_version,
)
from lmerbridge.result import (
    Criterion,
    Estimates,
    Evidence,
    FitResult,
    Provenance,
    RandomEffects,
)
from lmerbridge.solve.settings import SINGULAR

if TYPE_CHECKING:
    from lmerbridge.likelihood import Evaluation
    from lmerbridge.solve.optimum import Optimum
    from lmerbridge.solve.settings import Settings

__all__ = [
    "SINGULAR",
    "assembled",
    "at_floor",
    "counted",
    "estimates_at",
    "fitted_values",
    "random_effects",
    "result_of",
]


def fitted_values(frame: ModelFrame, beta: Any, modes: Sequence[Any]) -> Any:
    """Predictions (n,) from fixed effects and conditional modes by term; some rows at a time."""
    found = np.empty(frame.nobs)
    for rows in chunks(frame.nobs):
        part = found[rows]
        np.matmul(frame.X[rows], beta, out=part)
        if frame.offset is not None:
            part += frame.offset[rows]
        for block, effects in zip(frame.random, modes, strict=True):
            codes = block.codes[rows]
            for column, own in zip(block.columns[rows].T, effects.T, strict=True):
                effect = np.ascontiguousarray(own)[codes]
                effect *= column
                part += effect
    return found


def random_effects(
    frame: ModelFrame, theta: Any, scale: float, modes: Sequence[Any], variances: Sequence[Any]
) -> tuple[RandomEffects, ...]:
    """The random-effects terms of a frame, estimated.

    Parameters
    ----------
    theta : array (m,)
        Relative to ``scale``: sigma, or 1 in a family without a dispersion.
    modes, variances : sequence of array (levels, k), (levels, k, k)
        By term.
    """
    terms = frame.design.random
    factors = templates(theta, [len(term.names) for term in terms])
    return tuple(
        RandomEffects.of_factor(
            term.label,
            term.group,
            term.names,
            factor,
            scale,
            own,
            spread,
            term.structure.kind,
            term.structure.hom,
        )
        for term, factor, own, spread in zip(terms, factors, modes, variances, strict=True)
    )


def estimates_at(frame: ModelFrame, found: Evaluation, par: Any = None) -> Estimates:
    """The estimates that belong to an evaluation of the exact criterion; ``par`` are the parameters
    of a model with other than unstructured covariance matrices (default: those of theta).
    """
    fitted = fitted_values(frame, found.beta, found.modes)
    if par is None and not frame.plain:
        par = parameters_of(frame, found.theta)
    return Estimates(
        names=frame.x_names,
        beta=found.beta,
        vcov=found.vcov,
        vcov_definition="conditional",
        theta=found.theta,
        sigma=found.sigma,
        random=random_effects(frame, found.theta, found.sigma, found.modes, found.variances),
        fitted=fitted,
        residuals=frame.y - fitted,
        weights=None if frame.weights is None else frame.weights.copy(),
        par=par,
    )


def counted(
    frame: ModelFrame,
    REML: bool,
    value: float,
    components: Mapping[str, float] | None = None,
    *,
    dispersion: bool = True,
) -> Criterion:
    """Return a criterion with AIC, BIC and degrees of freedom as lme4 counts them; ``dispersion``
    says whether sigma is one of the parameters.
    """
    n, value = frame.nobs, float(value)
    parameters = frame.X.shape[1] + frame.covariance_parameters + int(dispersion)
    return Criterion(
        kind="REML" if REML else "ML",
        value=value,
        logLik=-0.5 * value,
        parameters=parameters,
        AIC=value + 2 * parameters,
        BIC=value + float(np.log(n)) * parameters,
        df_residual=n - parameters,
        components=components or {},
    )


def at_floor(optimum: Optimum, diagonal: Any, settings: Settings) -> Any:
    """Which parameters count as 0."""
    return diagonal & (optimum.x <= settings.at_floor)


def result_of(
    frame: ModelFrame,
    spec: FitSpec,
    estimates: Estimates,
    criterion: float,
    *,
    converged: bool,
    engine: str,
    packages: tuple[str, ...],
    seconds: float,
    optimizer: str = "",
    message: str = "",
    doubt: str = "",
    evaluations: int | None = None,
    gradient_norm: float | None = None,
    components: Mapping[str, float] | None = None,
    missing: Mapping[str, str] | None = None,
) -> FitResult:
    """Build the result of a fit, with lme4's counts and words.

    Parameters
    ----------
    frame, spec : ModelFrame, FitSpec
        What the engine was given.
    estimates : Estimates
        Its estimates, in the frame's units and order (:func:`estimates_at` makes them of a theta).
    criterion : float
        The REML criterion or the deviance at these estimates, as lme4 defines it: with all
        constants, so that it is -2 times the log-likelihood.
    converged : bool
        Whether the engine vouches for the optimum.
    engine : str
        The engine's name.
    packages : tuple of str
        Installed distributions whose versions the numbers depend on, the engine's own first.
    seconds : float
        How long the fit took.
    optimizer, message : str
        What found the optimum, and what it said.
    doubt : str
        Why the engine does not vouch for it.
    evaluations : int, optional
        How often the criterion was computed.
    gradient_norm : float, optional
        The largest absolute component of the criterion's gradient over theta.
    components, missing : mapping, optional
        As in :class:`lmerbridge.result.Criterion` and :class:`lmerbridge.result.FitResult`.

    Raises
    ------
    importlib.metadata.PackageNotFoundError
        A package is not installed.
    """
    diagonal = theta_lower([len(term.names) for term in frame.design.random]) == 0
    singular = bool(np.any(estimates.theta[diagonal] < SINGULAR))
    messages = ["boundary (singular) fit: see help('isSingular')"] if singular else []
    if not converged:
        messages.append("Model failed to converge" + (f": {doubt}" if doubt else ""))
    # lme4 counts the size of a negative binomial, even one that was given
    shape = frame.family is not None and frame.family.theta is not None
    sigma = estimates.sigma
    if isinstance(sigma, np.floating):  # no number of numpy's
        estimates = replace(estimates, sigma=float(sigma))
    return FitResult(
        call=call_info(frame, spec),
        data=data_info(frame),
        estimates=estimates,
        criterion=counted(
            frame, spec.REML, criterion, components, dispersion=sigma is not None or shape
        ),
        evidence=Evidence(
            converged=bool(converged),
            singular=singular,
            gradient_norm=gradient_norm,
            optimizer=optimizer,
            code=0 if converged else 1,
            message=message,
            evaluations=evaluations,
            messages=tuple(messages),
            notes=tuple(note.text for note in frame.asked.notes),
        ),
        provenance=Provenance(
            engine=engine,
            engine_version=package_version(packages[0]),
            versions={name: package_version(name) for name in packages},
            platform=platform.platform(),
            blas=blas_name(),
            seconds=float(seconds),
        ),
        missing=missing or {},
    )


def assembled(
    frame: ModelFrame,
    spec: FitSpec,
    estimates: Estimates,
    criterion: float,
    optimum: Optimum,
    *,
    free: Any,
    engine: str,
    packages: tuple[str, ...],
    seconds: float,
    components: Mapping[str, float] | None = None,
    missing: Mapping[str, str] | None = None,
    origin: str = "",
) -> FitResult:
    """A result with lme4's counts and words.

    Parameters
    ----------
    criterion : float
        REML criterion or deviance, in the user's units.
    free : array of bool
        The parameters that are not at the floor.
    packages : tuple of str
        What computed; the first is the engine's own.
    origin : str
        Where the search started, if not at the engine's usual place.
    """
    return result_of(
        frame,
        spec,
        estimates,
        criterion,
        converged=optimum.certified,
        engine=engine,
        packages=packages,
        seconds=seconds,
        optimizer=optimum.optimizer,
        message=f"tried {', '.join(optimum.tried)}" + (f", {origin}" if origin else ""),
        doubt=optimum.doubt,
        evaluations=optimum.evaluations,
        gradient_norm=float(np.abs(optimum.gradient[free]).max(initial=0.0)),
        components=components,
        missing=missing,
    )
