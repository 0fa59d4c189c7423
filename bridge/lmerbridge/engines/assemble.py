"""The result of an engine that minimizes here: counts, evidence and provenance, in one place."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any

import numpy as np

from lmerbridge.design import ModelFrame
from lmerbridge.engines.optimum import Optimum, Settings
from lmerbridge.engines.protocol import (
    FitSpec,
    blas_name,
    call_info,
    data_info,
    package_version,
)
from lmerbridge.result import Criterion, Estimates, Evidence, FitResult, Provenance

__all__ = ["assembled", "at_floor"]


def at_floor(optimum: Optimum, diagonal: Any, settings: Settings) -> Any:
    """Which parameters count as 0."""
    return diagonal & (optimum.x <= settings.at_floor)


def assembled(
    frame: ModelFrame,
    spec: FitSpec,
    estimates: Estimates,
    criterion: float,
    optimum: Optimum,
    settings: Settings,
    *,
    free: Any,
    singular: bool,
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
    n, parameters = frame.nobs, frame.X.shape[1] + len(estimates.theta) + 1
    messages = ["boundary (singular) fit: see help('isSingular')"] if singular else []
    if not optimum.certified:
        messages.append(
            "Model failed to converge: one more Newton step would change the criterion by "
            f"{optimum.decrement:.2g} (tol = {settings.tolerance:g})"
        )
    return FitResult(
        call=call_info(frame, spec),
        data=data_info(frame),
        estimates=estimates,
        criterion=Criterion(
            kind="REML" if spec.REML else "ML",
            value=criterion,
            logLik=-0.5 * criterion,
            parameters=parameters,
            AIC=criterion + 2 * parameters,
            BIC=criterion + float(np.log(n)) * parameters,
            df_residual=n - parameters,
            components=components or {},
        ),
        evidence=Evidence(
            converged=optimum.certified,
            singular=singular,
            gradient_norm=float(np.abs(optimum.gradient[free]).max(initial=0.0)),
            optimizer=optimum.optimizer,
            code=0 if optimum.certified else 1,
            message=f"tried {', '.join(optimum.tried)}" + (f", {origin}" if origin else ""),
            evaluations=optimum.evaluations,
            messages=tuple(messages),
            notes=tuple(note.text for note in frame.notes),
        ),
        provenance=Provenance(
            engine=engine,
            engine_version=package_version(packages[0]),
            versions={name: package_version(name) for name in packages},
            platform=platform.platform(),
            blas=blas_name(),
            seconds=seconds,
        ),
        missing=missing or {},
    )
