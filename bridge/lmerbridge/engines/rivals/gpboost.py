"""gpboost's GPModel: scalar random effects, maximum likelihood, by an iterative optimizer."""

from __future__ import annotations

import contextlib
import importlib
import io
import time
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
from lmerbridge.errors import FitFailedError
from lmerbridge.result import FitResult

__all__ = ["GPBoostEngine"]


class GPBoostEngine(Engine):
    """``GPModel(group_data).fit(y, X)``, with exact (Cholesky) arithmetic."""

    name = "gpboost"
    summary = "gpboost's GPModel: random intercepts, maximum likelihood"
    rival = True
    why_not: Mapping[Feature, str] = MappingProxyType(
        {
            Feature.REML: "gpboost maximizes the likelihood only",
            Feature.NO_FIXED: "not supported here",
            Feature.WEIGHTS: "not passed on",
            Feature.OFFSET: "not passed on",
            Feature.CORRELATED: "gpboost has independent random effects",
            Feature.STRUCTURED: "not passed on",
            Feature.START: "not passed on",
            Feature.SETTINGS: "not passed on",
            Feature.TIMEOUT: "its fit cannot be ended from here",
        }
    )
    supports = LINEAR_MIXED.difference(why_not)

    def status(self) -> Status:
        return installed("gpboost")

    def limits(self, frame: ModelFrame, spec: FitSpec) -> str | None:
        if any(not np.all(block.columns == 1) for block in frame.random):
            return "random slopes"
        return None

    def fit(self, frame: ModelFrame, spec: FitSpec) -> FitResult:
        groups = np.column_stack([block.codes for block in frame.random])
        began = time.perf_counter()
        try:
            # it prints how many threads it uses, among what the user's program prints
            with contextlib.redirect_stdout(io.StringIO()):
                module: Any = importlib.import_module("gpboost")
                m = module.GPModel(
                    group_data=groups, likelihood="gaussian", matrix_inversion_method="cholesky"
                )
                m.fit(y=frame.y, X=frame.X, params={"trace": False})
        except Exception as error:
            raise FitFailedError(f"gpboost: {type(error).__name__}: {error}") from error
        seconds = time.perf_counter() - began
        variances = np.asarray(m.get_cov_pars(std_err=False)).ravel()
        coefficients = np.asarray(m.get_coef(std_err=True))
        beta, errors = (
            coefficients.reshape(2, -1)
            if coefficients.ndim > 1
            else (
                coefficients,
                np.full(len(coefficients), np.nan),
            )
        )
        effects = np.asarray(m.predict_training_data_random_effects())
        modes, fitted = [], frame.X @ beta
        for i, block in enumerate(frame.random):
            own = np.zeros((len(block.levels), 1))
            own[block.codes, 0] = effects[:, i]
            modes.append(own)
            fitted = fitted + own[block.codes, 0]
        loglik = -float(m.get_current_neg_log_likelihood())
        count = len(beta) + len(variances)
        said = Said(
            names=frame.x_names,
            beta=np.asarray(beta, dtype=np.float64),
            vcov=np.diag(np.asarray(errors, dtype=np.float64) ** 2),
            vcov_definition="conditional",
            covariances=[np.array([[v]]) for v in variances[1:]],
            sigma=float(np.sqrt(variances[0])),
            modes=modes,
            variances=None,
            fitted=fitted,
            loglik=loglik,
            AIC=-2 * loglik + 2 * count,
            BIC=-2 * loglik + float(np.log(frame.nobs)) * count,
            df_residual=frame.nobs - count,
            converged=True,
            REML=False,
        )
        return as_result(
            frame,
            spec,
            said,
            engine=self.name,
            package="gpboost",
            version=package_version("gpboost"),
            seconds=seconds,
        )
