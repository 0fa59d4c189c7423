"""mixedlm: lme4's formulas in Python with a core in Rust; it builds its own model frame."""

from __future__ import annotations

import importlib
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
from lmerbridge.engines.report import Said, as_result, by_level, installed, raw_table
from lmerbridge.errors import FitFailedError
from lmerbridge.result import FitResult

__all__ = ["MixedlmEngine"]

FAMILIES = {"binomial": "Binomial", "poisson": "Poisson"}


class MixedlmEngine(Engine):
    """``mixedlm.lmer(formula, data)``."""

    name = "mixedlm"
    summary = "mixedlm from PyPI, with its own defaults"
    rival = True
    why_not: Mapping[Feature, str] = MappingProxyType(
        {
            Feature.STRUCTURED: "not passed on",
            Feature.START: "not passed on",
            Feature.SETTINGS: "not passed on",
            Feature.TIMEOUT: "its fit cannot be ended from here",
            Feature.DISPERSION: "not passed on",
        }
    )
    supports = LINEAR_MIXED.difference(why_not) | {Feature.FAMILY, Feature.QUADRATURE}

    def status(self) -> Status:
        return installed("mixedlm")

    def limits(self, frame: ModelFrame, spec: FitSpec) -> str | None:
        if frame.family is not None and frame.family.name not in FAMILIES:
            return "the size of a negative binomial is not passed on"
        return None

    def fit(self, frame: ModelFrame, spec: FitSpec) -> FitResult:
        """Fit the formula as written on the rows used.

        Raises
        ------
        FitFailedError
            mixedlm raises, or its terms cannot be told apart.
        """
        module: Any = importlib.import_module("mixedlm")
        asked = {k: c.name for k, c in frame.design.asked_contrasts.items()}
        arguments: dict[str, Any] = {"contrasts": asked} if asked else {}
        began = time.perf_counter()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                data, formula, fitter = raw_table(frame), frame.formula.text, module.lmer
                if frame.family is None:
                    arguments["REML"] = spec.REML
                else:
                    made = importlib.import_module("mixedlm.families")
                    link = getattr(made, f"{frame.family.link.name.capitalize()}Link")()
                    arguments["family"] = getattr(made, FAMILIES[frame.family.name])(link)
                    arguments["nAGQ"] = spec.nAGQ
                    # whose response may be an expression
                    data["response"] = frame.y
                    formula, fitter = f"response ~ {formula.partition('~')[2]}", module.glmer
                m = fitter(
                    formula,
                    data,
                    weights=frame.weights,
                    offset=frame.offset,
                    **arguments,
                )
        except Exception as error:
            raise FitFailedError(f"mixedlm: {type(error).__name__}: {error}") from error
        seconds = time.perf_counter() - began
        said = _said(frame, spec, m)
        return as_result(
            frame,
            spec,
            said,
            engine=self.name,
            package="mixedlm",
            version=package_version("mixedlm"),
            seconds=seconds,
        )


def _said(frame: ModelFrame, spec: FitSpec, m: Any) -> Said:
    sigma = float(m.sigma) if frame.family is None else 1.0
    structures = list(m.matrices.random_structures)
    theta = np.asarray(m.theta, dtype=np.float64)
    parts: list[tuple[str, Any, Any, Any]] = []  # group, names, covariance, modes in its order
    at = start = 0
    for s in structures:
        k, levels = int(s.n_terms), int(s.n_levels)
        L = np.zeros((k, k))
        if s.correlated:
            L.T[np.triu_indices(k)] = theta[at : at + k * (k + 1) // 2]
            at += k * (k + 1) // 2
        else:
            L[np.diag_indices(k)] = theta[at : at + k]
            at += k
        u = np.asarray(m.u)[start : start + k * levels].reshape(levels, k)
        start += k * levels
        parts.append((s.grouping_factor, tuple(s.term_names), sigma**2 * L @ L.T, u))
    covariances, modes = [], []
    for i, block in enumerate(frame.random):
        for j, (group, names, covariance, u) in enumerate(parts):
            where = [names.index(n) for n in block.names if n in names]
            same = sorted(group.split(":")) == sorted(block.group.split(":"))
            if same and len(where) == len(block.names):
                covariances.append(covariance[np.ix_(where, where)])
                index = np.asarray(structures[j].level_indices)
                if len(index) == frame.nobs:
                    modes.append(by_level(frame, i, index, u[:, where]))
                else:
                    modes.append(np.full((len(block.levels), len(where)), np.nan))
                break
        else:
            terms = ", ".join(f"({' + '.join(p[1])} | {p[0]})" for p in parts)
            raise FitFailedError(
                f"mixedlm built other random effects than ({block.text}): it has {terms}"
            )
    X = np.asarray(m.matrices.X, dtype=np.float64)
    # the same columns under names of its own
    same = X.shape == frame.X.shape and np.allclose(X, frame.X)
    return Said(
        names=list(frame.x_names if same else m.matrices.fixed_names),
        beta=np.asarray(m.beta, dtype=np.float64),
        vcov=np.asarray(m.vcov(), dtype=np.float64),
        vcov_definition="conditional",
        covariances=covariances,
        sigma=sigma,
        modes=modes,
        variances=None,
        fitted=np.asarray(m.fitted(), dtype=np.float64),
        loglik=float(m.logLik()),
        AIC=float(m.AIC()),
        BIC=float(m.BIC()),
        df_residual=int(m.df_residual()) if frame.family is None else 0,
        missing={} if frame.family is None else {"df": "it counts the fixed effects alone"},
        converged=bool(m.converged),
        REML=spec.REML,
        message=str(m.message),
        nobs=int(m.matrices.n_obs),
    )
