"""What another package says of a model, as a :class:`FitResult`."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from lmerbridge.design import ModelFrame, theta_lower, upper_triangle
from lmerbridge.design.columns import Factor, as_categorical
from lmerbridge.engines.assemble import SINGULAR
from lmerbridge.engines.protocol import (
    FitSpec,
    Status,
    blas_name,
    call_info,
    data_info,
    package_version,
)
from lmerbridge.engines.scaling import triangular
from lmerbridge.equality import by_value
from lmerbridge.result import Criterion, Estimates, Evidence, FitResult, Provenance, RandomEffects

__all__ = ["Array", "Said", "as_result", "by_level", "installed", "raw_table"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


@by_value
@dataclass(frozen=True, eq=False)
class Said:
    """A package's own numbers.

    Attributes
    ----------
    names : sequence of str
        Of the fixed effects, as the package has them.
    vcov : array (p, p)
        By ``vcov_definition`` (:class:`lmerbridge.result.Estimates`).
    covariances : list of array (k, k)
        By random-effects term in the model frame's order.
    modes : list of array (levels, k)
    variances : list of array (levels, k, k), or None
    loglik, AIC, BIC : float
        NaN where the package has none.
    nobs : int, optional
        Rows used, if other than the model frame's.
    """

    names: Sequence[str]
    beta: Array
    vcov: Array
    vcov_definition: str
    covariances: list[Array]
    sigma: float
    modes: list[Array]
    variances: list[Array] | None
    fitted: Array
    loglik: float
    AIC: float
    BIC: float
    df_residual: int
    converged: bool
    REML: bool
    message: str = ""
    nobs: int | None = None
    missing: Mapping[str, str] = field(default_factory=dict)


def installed(package: str) -> Status:
    """The status of a Python package."""
    try:
        return Status(True, package_version(package))
    except Exception:
        return Status(
            False, None, f"the package {package} is not installed", f"pip install {package}"
        )


def raw_table(frame: ModelFrame) -> pd.DataFrame:
    """The columns that the formula names, rows used only, as pandas has them."""
    columns: dict[str, Any] = {}
    rows: Any = frame.source.kept
    for name, column in frame.source.raw.items():
        if isinstance(column, Factor):
            columns[name] = pd.Series(as_categorical(column)).iloc[rows].array
        else:
            values: Any = column.values
            columns[name] = values[rows]
    return pd.DataFrame(columns)


def by_level(frame: ModelFrame, term: int, index: Array, values: Array) -> Array:
    """A package's effects, one row per level in its own order, in the model frame's order.

    Parameters
    ----------
    index : array of int (n,)
        The package's number of each row's level.
    """
    block = frame.random[term]
    first = np.zeros(len(block.levels), dtype=np.int64)
    first[block.codes[::-1]] = np.arange(len(block.codes))[::-1]
    own: Any = np.asarray(index)[first]
    return np.asarray(values[own], dtype=np.float64)


def _factor(covariance: Array) -> Array:
    roots, vectors = np.linalg.eigh(0.5 * (covariance + covariance.T))
    return triangular(np.asarray(vectors * np.sqrt(np.maximum(roots, 0.0))))


def as_result(
    frame: ModelFrame,
    spec: FitSpec,
    said: Said,
    *,
    engine: str,
    package: str,
    version: str,
    seconds: float,
) -> FitResult:
    """The package's numbers in our schema; nothing is computed for it but theta, which is its
    covariance matrices relative to sigma^2.
    """
    random, theta = [], []
    for i, block in enumerate(frame.random):
        factor = _factor(said.covariances[i] / said.sigma**2)
        k = len(block.names)
        theta.append(factor.T[upper_triangle(k)])
        term = RandomEffects.of_factor(
            block.label,
            block.group,
            block.names,
            factor,
            said.sigma,
            said.modes[i],
            np.full((len(block.levels), k, k), np.nan)
            if said.variances is None
            else said.variances[i],
        )
        random.append(replace(term, covariance=said.covariances[i]))
    missing = dict(said.missing)
    if said.variances is None:
        missing["conditional variances"] = f"{package} does not report them"
    data = data_info(frame)
    if said.nobs is not None and said.nobs != frame.nobs:
        data = replace(data, nobs=said.nobs, kept=None)
    known = frame.family is not None and frame.family.dispersion is not None
    names, order = _names(frame, said.names)
    packed = np.concatenate(theta)
    diagonal = packed[theta_lower([len(block.names) for block in frame.random]) == 0]
    return FitResult(
        call=replace(call_info(frame, spec), REML=said.REML),
        data=data,
        estimates=Estimates(
            names=names,
            beta=said.beta[order],
            vcov=said.vcov[np.ix_(order, order)],
            vcov_definition=said.vcov_definition,
            theta=packed,
            sigma=None if known else said.sigma,
            random=tuple(random),
            fitted=said.fitted,
            residuals=(
                frame.y - said.fitted
                if len(said.fitted) == frame.nobs
                else np.full(len(said.fitted), np.nan)
            ),
            weights=None if frame.weights is None else frame.weights.copy(),
        ),
        criterion=Criterion(
            kind="REML" if said.REML else "ML",
            value=-2 * said.loglik,
            logLik=said.loglik,
            parameters=len(names) + len(packed) + (not known),
            AIC=said.AIC,
            BIC=said.BIC,
            df_residual=said.df_residual,
            counts="as the package counts",
        ),
        evidence=Evidence(
            converged=said.converged,
            singular=bool(np.any(diagonal < SINGULAR)),
            gradient_norm=None,
            optimizer=package,
            code=0 if said.converged else 1,
            message=said.message,
            evaluations=None,
        ),
        provenance=Provenance(
            engine=engine,
            engine_version=version,
            versions={package: version},
            platform=platform.platform(),
            blas=blas_name(),
            seconds=seconds,
        ),
        missing=missing,
    )


def _names(frame: ModelFrame, names: Sequence[str]) -> tuple[tuple[str, ...], list[int]]:
    """The package's names in R's words where they mean the same, in the model frame's order."""
    own = ["(Intercept)" if n in ("Intercept", "const") else n for n in names]
    if set(own) == set(frame.x_names):
        return frame.x_names, [own.index(n) for n in frame.x_names]
    return tuple(own), list(range(len(own)))
