"""MixedLM as most people call it: no scaling, its own optimizers, its own standard errors."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from lmerbridge.design import ModelFrame
from lmerbridge.engines.protocol import (
    LINEAR_MIXED,
    Engine,
    Feature,
    FitSpec,
    Status,
    package_version,
)
from lmerbridge.engines.report import Said, as_result, installed
from lmerbridge.result import FitResult

__all__ = ["PlainStatsmodelsEngine"]


class PlainStatsmodelsEngine(Engine):
    """``MixedLM(y, X, groups, exog_re).fit(reml=...)``."""

    name = "statsmodels-plain"
    summary = "statsmodels' MixedLM with its own defaults: one term on one factor"
    rival = True
    why_not: Mapping[Feature, str] = MappingProxyType(
        {
            Feature.NO_FIXED: "MixedLM needs at least one fixed effect",
            Feature.SEVERAL_FACTORS: "MixedLM has one grouping factor",
            Feature.WEIGHTS: "MixedLM has no weights",
            Feature.OFFSET: "MixedLM has no offset",
            Feature.STRUCTURED: "not passed on",
            Feature.START: "not passed on",
            Feature.SETTINGS: "not passed on",
            Feature.TIMEOUT: "its fit cannot be ended from here",
        }
    )
    supports = LINEAR_MIXED.difference(why_not)

    def status(self) -> Status:
        return installed("statsmodels")

    def limits(self, frame: ModelFrame, spec: FitSpec) -> str | None:
        if len(frame.random) > 1:
            return "several terms on one factor"
        return None

    def fit(self, frame: ModelFrame, spec: FitSpec) -> FitResult:
        from statsmodels.regression.mixed_linear_model import MixedLM

        block = frame.random[0]
        began = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model: Any = MixedLM(frame.y, frame.X, groups=block.codes, exog_re=block.columns)
            m = model.fit(reml=spec.REML)
            seconds = time.perf_counter() - began
            effects = m.random_effects
            try:
                covariances = m.random_effects_cov
                variances = [
                    np.stack([np.asarray(covariances[g]) for g in range(len(block.levels))])
                ]
            except np.linalg.LinAlgError:
                variances = None
            modes = [np.stack([np.asarray(effects[g]) for g in range(len(block.levels))])]
            p = frame.X.shape[1]
            said = Said(
                names=frame.x_names,
                beta=np.asarray(m.fe_params),
                vcov=np.asarray(m.cov_params())[:p, :p],
                vcov_definition="joint",
                covariances=[np.atleast_2d(np.asarray(m.cov_re))],
                sigma=float(np.sqrt(m.scale)),
                modes=modes,
                variances=variances,
                fitted=np.asarray(m.fittedvalues),
                loglik=float(m.llf),
                AIC=float(m.aic),
                BIC=float(m.bic),
                df_residual=int(m.df_resid),
                converged=bool(m.converged),
                REML=spec.REML,
            )
        return as_result(
            frame,
            spec,
            said,
            engine=self.name,
            package="statsmodels",
            version=package_version("statsmodels"),
            seconds=seconds,
        )
