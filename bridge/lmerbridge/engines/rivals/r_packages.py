"""nlme and glmmTMB in R, on the model matrices of the model frame."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Self

import numpy as np

from lmerbridge.design import ModelFrame, nested_in
from lmerbridge.engines.protocol import LINEAR_MIXED, Engine, Feature, FitSpec, Status
from lmerbridge.engines.r_status import named, package_status, with_deaths
from lmerbridge.engines.report import Said, as_result
from lmerbridge.errors import FitFailedError
from lmerbridge.result import FitResult
from lmerbridge.rlang import RCommand, r_session

__all__ = ["GlmmTMBEngine", "NlmeEngine"]


def _fit(
    frame: ModelFrame,
    spec: FitSpec,
    *,
    engine: str,
    function: str,
    definition: str,
    r: RCommand | None,
    name: str,
) -> FitResult:
    generalized = frame.family is not None
    apart = frame.offset is not None and not generalized  # what is normal needs no offset
    y = frame.y - frame.offset if apart and frame.offset is not None else frame.y
    of_family = {}
    if frame.family is not None:
        link = frame.family.link.name
        of_family = {
            "family": {"name": frame.family.name, "link": link, "theta": None},
            "offset": frame.offset,
        }
    reply = r_session(r=r).call(
        function,
        {
            "y": y,
            "X": np.asfortranarray(frame.X).ravel(order="F"),
            "p": frame.X.shape[1],
            "Z": [block.columns.ravel(order="F") for block in frame.random],
            "sizes": [block.columns.shape[1] for block in frame.random],
            "groups": [block.codes.astype(np.int32) + 1 for block in frame.random],
            "REML": spec.REML,
            "weights": frame.weights,
            **of_family,
        },
        spec.timeout,
    )
    if reply.failure is not None:
        raise FitFailedError(f"{engine} could not fit {frame.formula}: {reply.failure.text}")
    value = reply.value
    p = frame.X.shape[1]
    fitted = np.atleast_1d(np.asarray(value["fitted"], dtype=np.float64))
    if apart and frame.offset is not None:
        fitted = fitted + frame.offset
    sizes = [len(block.names) for block in frame.random]

    def square(values: Any, k: int) -> Any:
        return np.asarray(values, dtype=np.float64).reshape(k, k).copy()

    said = Said(
        names=frame.x_names,
        beta=np.atleast_1d(np.asarray(value["beta"], dtype=np.float64)),
        vcov=square(value["vcov"], p),
        vcov_definition=definition,
        covariances=[square(v, k) for v, k in zip(value["covariances"], sizes, strict=True)],
        sigma=float(value["sigma"]),
        modes=[
            np.asarray(v, dtype=np.float64).reshape(len(block.levels), k).copy()
            for v, block, k in zip(value["modes"], frame.random, sizes, strict=True)
        ],
        variances=None,
        fitted=fitted,
        loglik=float(value["logLik"]),
        AIC=float(value["AIC"]),
        BIC=float(value["BIC"]),
        df_residual=int(value["df_residual"]),
        converged=bool(value["converged"]),
        REML=spec.REML,
        message=str(value["message"]),
        missing={} if value["df_residual"] else {"df": f"{engine} has none for the whole model"},
    )
    result = as_result(
        frame,
        spec,
        said,
        engine=engine,
        package=engine,
        version=str(value["version"]),
        seconds=float(value["seconds"]),
    )
    return with_deaths(named(result, name), reply)


class _RPackage(Engine):
    """An engine that is a package of R's; ``r`` is an R of its own, if not the one in use."""

    package = ""

    def __init__(self, r: RCommand | None = None, name: str = ""):
        self.r, self.name = r, name or self.package

    def at(self, r: RCommand, name: str) -> Self:
        """Return the engine in another R."""
        return type(self)(r, name)

    def status(self) -> Status:
        return package_status(self.package, self.r)


class NlmeEngine(_RPackage):
    """``nlme::lme``."""

    package = "nlme"
    summary = "nlme's lme in R: nested factors, one term on each"
    rival = True
    why_not: Mapping[Feature, str] = MappingProxyType(
        {
            Feature.NO_FIXED: "lme needs a fixed effect",
            Feature.CROSSED: "lme is for nested factors",
            Feature.STRUCTURED: "not passed on",
            Feature.START: "not passed on",
            Feature.SETTINGS: "not passed on",
        }
    )
    supports = LINEAR_MIXED.difference(why_not)

    def limits(self, frame: ModelFrame, spec: FitSpec) -> str | None:
        blocks = frame.random
        if len({b.group for b in blocks}) < len(blocks):
            return "several terms on one factor"
        chain = all(nested_in(a, b) for a, b in itertools.pairwise(blocks))
        return None if chain else "factors that are not nested in one another"

    def fit(self, frame: ModelFrame, spec: FitSpec) -> FitResult:
        return _fit(
            frame,
            spec,
            engine="nlme",
            function="fit_nlme",
            definition="conditional",
            r=self.r,
            name=self.name,
        )


class GlmmTMBEngine(_RPackage):
    """``glmmTMB::glmmTMB``, also of a family: the observed information in Laplace's determinant."""

    package = "glmmTMB"
    summary = "glmmTMB in R: any terms, by automatic differentiation"
    rival = True
    why_not: Mapping[Feature, str] = MappingProxyType(
        {
            Feature.NO_FIXED: "its REML needs a fixed effect",
            Feature.STRUCTURED: "not passed on",
            Feature.START: "not passed on",
            Feature.SETTINGS: "not passed on",
            Feature.DISPERSION: "not passed on",
            Feature.QUADRATURE: "it has Laplace's approximation alone",
        }
    )
    supports = LINEAR_MIXED.difference(why_not) | {Feature.FAMILY}

    def limits(self, frame: ModelFrame, spec: FitSpec) -> str | None:
        if frame.family is not None and frame.family.name not in ("binomial", "poisson"):
            return "it estimates the size of a negative binomial"
        return "it has no nAGQ = 0" if spec.nAGQ == 0 else None

    def fit(self, frame: ModelFrame, spec: FitSpec) -> FitResult:
        return _fit(
            frame,
            spec,
            engine="glmmTMB",
            function="fit_glmmtmb",
            definition="joint",
            r=self.r,
            name=self.name,
        )
