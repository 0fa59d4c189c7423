"""statsmodels' Bayesian mixed GLM by variational Bayes: a posterior, which is another criterion."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from scipy import sparse

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

__all__ = ["BayesStatsmodelsEngine"]

POSTERIOR = (
    "a variational bound, its numbers being means and standard deviations of a posterior whose "
    "parameters are taken as independent, under normal priors (SD 2 of fixed effects, SD 1 of log "
    "standard deviations)"
)
MOST_EFFECTS = 150
FAMILIES = {("binomial", "logit"), ("poisson", "log")}


class BayesStatsmodelsEngine(Engine):
    """``BinomialBayesMixedGLM(...).fit_vb()`` and ``PoissonBayesMixedGLM``."""

    name = "statsmodels-bayes"
    summary = "statsmodels' Bayesian mixed GLM: a posterior of logistic and Poisson models"
    rival = True
    why_not: Mapping[Feature, str] = MappingProxyType(
        {
            Feature.REML: "it fits generalized models",
            Feature.CORRELATED: "its variance components are independent",
            Feature.SEVERAL_CORRELATED: "its variance components are independent",
            Feature.CORRELATED_INNER: "its variance components are independent",
            Feature.NO_FIXED: "not passed on",
            Feature.WEIGHTS: "it has no weights, and no binomial of more than one trial",
            Feature.OFFSET: "it has no offset",
            Feature.STRUCTURED: "not passed on",
            Feature.START: "not passed on",
            Feature.SETTINGS: "not passed on",
            Feature.TIMEOUT: "its fit cannot be ended from here",
            Feature.DISPERSION: "it fits logistic and Poisson models",
            Feature.QUADRATURE: "it integrates nothing",
        }
    )
    supports = (LINEAR_MIXED | {Feature.FAMILY}).difference(why_not)

    def status(self) -> Status:
        return installed("statsmodels")

    def limits(self, frame: ModelFrame, spec: FitSpec) -> str | None:
        family = frame.family
        if family is None or (family.name, family.link.name) not in FAMILIES:
            return "it fits logistic and Poisson models"
        effects = sum(len(block.levels) * len(block.names) for block in frame.random)
        if effects > MOST_EFFECTS:
            return f"with {effects} random effects it takes minutes; here up to {MOST_EFFECTS}"
        return None

    def fit(self, frame: ModelFrame, spec: FitSpec) -> FitResult:
        """Approximate the posterior on the rows used.

        Raises
        ------
        FitFailedError
            statsmodels raises.
        """
        from statsmodels.genmod import bayes_mixed_glm

        family = frame.family
        assert family is not None
        makers: dict[str, Any] = {
            "binomial": bayes_mixed_glm.BinomialBayesMixedGLM,
            "poisson": bayes_mixed_glm.PoissonBayesMixedGLM,
        }
        rows = np.arange(frame.nobs)
        parts = [
            sparse.csr_matrix((column, (rows, block.codes)), (frame.nobs, len(block.levels)))
            for block in frame.random
            for column in block.columns.T
        ]
        Z: Any = sparse.hstack(parts, format="csr")
        kinds = np.repeat(np.arange(len(parts)), [part.shape[1] for part in parts])
        began = time.perf_counter()
        try:
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                m = makers[family.name](frame.y, frame.X, Z, kinds).fit_vb(rng=0)
        except Exception as error:
            raise FitFailedError(f"{self.name}: {type(error).__name__}: {error}") from error
        seconds = time.perf_counter() - began
        deviations, effects = np.exp(m.vcp_mean), np.asarray(m.vc_mean)
        split = np.split(effects, np.cumsum([part.shape[1] for part in parts])[:-1])
        covariances, modes, at = [], [], 0
        for block in frame.random:
            k = len(block.names)
            covariances.append(np.diag(deviations[at : at + k] ** 2))
            modes.append(np.column_stack(split[at : at + k]))
            at += k
        nan = float("nan")
        numbers = Said(
            names=frame.x_names,
            beta=np.asarray(m.fe_mean),
            vcov=np.diag(np.asarray(m.fe_sd) ** 2),
            vcov_definition="joint",
            covariances=covariances,
            sigma=1.0,
            modes=modes,
            variances=None,
            fitted=family.link.inverse(frame.X @ np.asarray(m.fe_mean) + Z @ effects),
            loglik=nan,
            AIC=nan,
            BIC=nan,
            df_residual=0,
            converged=not any("converge" in str(w.message).lower() for w in said),
            REML=False,
            missing={"log-likelihood": POSTERIOR, "df": "it has none"},
        )
        return as_result(
            frame,
            spec,
            numbers,
            engine=self.name,
            package="statsmodels",
            version=package_version("statsmodels"),
            seconds=seconds,
        )
