"""glmm, lme_python and interlace from PyPI: native packages that build their own model frames."""

from __future__ import annotations

import importlib
import time
import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from lmerbridge.design import ModelFrame
from lmerbridge.engines.protocol import (
    LINEAR_MIXED,
    Engine,
    Feature,
    FitSpec,
    Status,
    package_version,
)
from lmerbridge.engines.report import Array, Said, as_result, installed, raw_table
from lmerbridge.errors import FitFailedError
from lmerbridge.result import FitResult

__all__ = ["GlmmEngine", "InterlaceEngine", "LmePythonEngine"]

# (grouping factor, effects, covariance (k, k), {level: effects (k,)})
Term = tuple[str, tuple[str, ...], Array, Mapping[str, Array]]


def _fit(
    frame: ModelFrame,
    spec: FitSpec,
    engine: str,
    package: str,
    call: Callable[[pd.DataFrame], Any],
    said: Callable[[Any], Said],
) -> FitResult:
    data = raw_table(frame)
    for name in data.columns[[isinstance(t, pd.CategoricalDtype) for t in data.dtypes]]:
        data[name] = data[name].astype(str)
    began = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            m = call(data)
            seconds = time.perf_counter() - began
            numbers = said(m)
    except FitFailedError:
        raise
    except BaseException as error:  # a panic of Rust is no Exception
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        raise FitFailedError(f"{engine}: {type(error).__name__}: {error}") from error
    return as_result(
        frame,
        spec,
        numbers,
        engine=engine,
        package=package,
        version=package_version(package),
        seconds=seconds,
    )


def _matched(frame: ModelFrame, engine: str, terms: list[Term]) -> tuple[list[Array], list[Array]]:
    """The package's terms in the model frame's order: covariances and modes."""
    covariances, modes = [], []
    left = list(terms)
    for block in frame.random:
        for term in left:
            group, names, covariance, effects = term
            same = sorted(group.split(":")) == sorted(block.group.split(":"))
            if same and sorted(names) == sorted(block.names):
                order = [names.index(n) for n in block.names]
                covariances.append(covariance[np.ix_(order, order)])
                turned = group != block.group
                empty = np.full(len(names), np.nan)
                by_level = [_of_level(effects, level, turned, empty) for level in block.levels]
                modes.append(np.array([np.asarray(values)[order] for values in by_level]))
                left.remove(term)
                break
        else:
            has = ", ".join(f"({' + '.join(t[1])} | {t[0]})" for t in terms)
            raise FitFailedError(
                f"{engine} built other random effects than ({block.text}): it has {has}"
            )
    return covariances, modes


def _of_level(effects: Mapping[str, Array], level: str, turned: bool, empty: Array) -> Array:
    """A level's effects; packages join the levels of an interaction by different signs, and in
    the order of the factors in its name.
    """
    parts = level.split(":")
    for sign in (":", "/", "_", "."):
        key = sign.join(parts[::-1] if turned else parts)
        if key in effects:
            return effects[key]
    return empty


class _Package(Engine):
    """What the engines of this module share."""

    package = ""
    rival = True

    def status(self) -> Status:
        return installed(self.package)

    def limits(self, frame: ModelFrame, spec: FitSpec) -> str | None:
        return "contrasts= is not passed on" if frame.design.asked_contrasts else None


class GlmmEngine(_Package):
    """``glmm.fit(data, formula)``."""

    name = "glmm"
    summary = "glmm from PyPI, with its own defaults"
    package = "glmm"
    why_not: Mapping[Feature, str] = MappingProxyType(
        {
            Feature.OFFSET: "not passed on",
            Feature.STRUCTURED: "not passed on",
            Feature.START: "not passed on",
            Feature.SETTINGS: "not passed on",
            Feature.TIMEOUT: "its fit cannot be ended from here",
            Feature.DISPERSION: "not passed on",
            Feature.QUADRATURE: "not passed on",
        }
    )
    supports = LINEAR_MIXED.difference(why_not) | {Feature.FAMILY}

    def limits(self, frame: ModelFrame, spec: FitSpec) -> str | None:
        if frame.family is not None and frame.family.name not in ("binomial", "poisson"):
            return "it estimates the size of a negative binomial"
        if spec.nAGQ == 0:
            return "it has no nAGQ = 0"
        return super().limits(frame, spec)

    def fit(self, frame: ModelFrame, spec: FitSpec) -> FitResult:
        module: Any = importlib.import_module("glmm")

        def said(m: Any) -> Said:
            terms: list[Term] = []
            values = np.asarray(m.ranef, dtype=np.float64)
            start = 0
            for block, packed in zip(m.ranef_blocks, m.varcorr, strict=True):
                names, levels = tuple(block["terms"]), [str(v) for v in block["levels"]]
                k = len(names)
                lower = np.zeros((k, k))
                lower.T[np.triu_indices(k)] = np.asarray(packed, dtype=np.float64)
                covariance = lower + np.tril(lower, -1).T
                own = values[start : start + k * len(levels)].reshape(len(levels), k)
                start += k * len(levels)
                terms.append(
                    (block["group"], names, covariance, dict(zip(levels, own, strict=True)))
                )
            covariances, modes = _matched(frame, self.name, terms)
            return Said(
                names=list(m.names),
                beta=np.asarray(m.beta, dtype=np.float64),
                vcov=np.asarray(m.vcov, dtype=np.float64),
                vcov_definition="joint",
                covariances=covariances,
                sigma=float(np.sqrt(m.dispersion)),
                modes=modes,
                variances=None,
                fitted=np.asarray(m.fitted, dtype=np.float64),
                loglik=float(m.loglik),
                AIC=float(m.aic),
                BIC=float(m.bic),
                df_residual=0,
                converged=bool(m.converged),
                REML=spec.REML,
                nobs=int(m.nobs),
                missing={"df": "glmm has none for the whole model"},
            )

        def call(data: pd.DataFrame) -> Any:
            family = frame.family
            if family is None:
                return module.fit(data, frame.formula.text, reml=spec.REML, weights=frame.weights)
            formula = frame.formula.text
            if family.name == "binomial":  # whose response may be an expression
                sizes = np.ones(frame.nobs) if frame.weights is None else frame.weights
                data["successes"] = np.round(frame.y * sizes)
                data["failures"] = sizes - data["successes"]
                formula = f"cbind(successes, failures) ~ {formula.partition('~')[2]}"
            weights = None if family.name == "binomial" else frame.weights
            return module.fit(data, formula, family.name, link=family.link.name, weights=weights)

        return _fit(frame, spec, self.name, self.package, call, said)


class LmePythonEngine(_Package):
    """``lme_python.lmer(formula, data)``."""

    name = "lme-python"
    summary = "lme_python from PyPI, with its own defaults"
    package = "lme-python"
    why_not: Mapping[Feature, str] = MappingProxyType(
        {
            Feature.OFFSET: "not passed on",
            Feature.WEIGHTS: "not passed on",
            Feature.STRUCTURED: "not passed on",
            Feature.START: "not passed on",
            Feature.SETTINGS: "not passed on",
            Feature.TIMEOUT: "its fit cannot be ended from here",
        }
    )
    supports = LINEAR_MIXED.difference(why_not)

    def fit(self, frame: ModelFrame, spec: FitSpec) -> FitResult:
        module: Any = importlib.import_module("lme_python")

        def said(m: Any) -> Said:
            pieces: dict[str, dict[tuple[str, str], float]] = {}
            for group, one, two, value, _ in m.var_corr:
                if group != "Residual":
                    pieces.setdefault(group, {})[(one, two)] = value
            effects: dict[str, dict[str, dict[str, float]]] = {}
            for group, level, name, value in m.ranef:
                effects.setdefault(group, {}).setdefault(str(level), {})[name] = value
            terms: list[Term] = []
            for group, found in pieces.items():
                names = tuple(dict.fromkeys(n for pair in found for n in pair))
                covariance = np.array(
                    [[found.get((a, b), found.get((b, a), 0.0)) for b in names] for a in names]
                )
                own = {
                    level: np.array([values.get(n, np.nan) for n in names])
                    for level, values in effects.get(group, {}).items()
                }
                terms.append((group, names, covariance, own))
            covariances, modes = _matched(frame, self.name, terms)
            return Said(
                names=list(m.fixed_names),
                beta=np.asarray(m.coefficients, dtype=np.float64),
                vcov=np.asarray(m.v_beta_unscaled, dtype=np.float64) * float(m.sigma2),
                vcov_definition="conditional",
                covariances=covariances,
                sigma=float(np.sqrt(m.sigma2)),
                modes=modes,
                variances=None,
                fitted=np.asarray(m.fitted, dtype=np.float64),
                loglik=float(m.log_likelihood),
                AIC=float(m.aic),
                BIC=float(m.bic),
                df_residual=0,
                converged=bool(m.converged),
                REML=spec.REML,
                nobs=int(m.num_obs),
                missing={"df": "lme_python has none for the whole model"},
            )

        def call(data: pd.DataFrame) -> Any:
            return module.lmer(frame.formula.text, data, reml=spec.REML)

        return _fit(frame, spec, self.name, self.package, call, said)


class InterlaceEngine(_Package):
    """``interlace.fit(fixed, data, random=[...])``."""

    name = "interlace"
    summary = "interlace-lme from PyPI, with its own defaults"
    package = "interlace-lme"
    why_not: Mapping[Feature, str] = MappingProxyType(
        {
            Feature.NO_FIXED: "not supported",
            Feature.OFFSET: "not passed on",
            Feature.WEIGHTS: "not passed on",
            Feature.STRUCTURED: "not passed on",
            Feature.START: "not passed on",
            Feature.SETTINGS: "not passed on",
            Feature.TIMEOUT: "its fit cannot be ended from here",
        }
    )
    supports = LINEAR_MIXED.difference(why_not)

    def fit(self, frame: ModelFrame, spec: FitSpec) -> FitResult:
        module: Any = importlib.import_module("interlace")
        fixed, bars = _parts(frame.formula.text)

        def said(m: Any) -> Said:
            terms: list[Term] = []
            for group, found in m.variance_components.items():
                effects = m.random_effects[group]
                if isinstance(found, pd.DataFrame):
                    names = tuple(_intercept(str(n)) for n in found.columns)
                    covariance = found.to_numpy(dtype=np.float64)
                    own = {str(k): row.to_numpy(dtype=np.float64) for k, row in effects.iterrows()}
                else:
                    names, covariance = ("(Intercept)",), np.array([[float(found)]])
                    own = {str(k): np.array([float(v)]) for k, v in effects.items()}
                terms.append((str(group), names, covariance, own))
            covariances, modes = _matched(frame, self.name, terms)
            return Said(
                names=[_intercept(str(n)) for n in m.fe_params.index],
                beta=m.fe_params.to_numpy(dtype=np.float64),
                vcov=np.asarray(m.fe_cov, dtype=np.float64),
                vcov_definition="conditional",
                covariances=covariances,
                sigma=float(np.sqrt(m.scale)),
                modes=modes,
                variances=None,
                fitted=np.asarray(m.fittedvalues, dtype=np.float64),
                loglik=float(m.llf),
                AIC=float(m.aic),
                BIC=float(m.bic),
                df_residual=0,
                converged=bool(m.converged),
                REML=spec.REML,
                nobs=int(m.nobs),
                missing={"df": "interlace has none for the whole model"},
            )

        def call(data: pd.DataFrame) -> Any:
            method = "REML" if spec.REML else "ML"
            return module.fit(fixed, data, random=bars, method=method)

        return _fit(frame, spec, self.name, self.package, call, said)


def _intercept(name: str) -> str:
    return "(Intercept)" if name == "Intercept" else name


def _parts(text: str) -> tuple[str, list[str]]:
    """The fixed part as written, and the terms in parentheses with a bar."""
    bars, kept, depth, start = [], "", 0, 0
    for i, c in enumerate(text):
        if c == "(":
            start = i if depth == 0 else start
            depth += 1
        elif c == ")":
            depth -= 1
            if depth == 0:
                piece = text[start : i + 1]
                if "|" in piece:
                    bars.append(piece)
                else:
                    kept += piece
                continue
        if depth == 0:
            kept += c
    response, _, right = kept.partition("~")
    pieces = [p.strip() for p in right.split("+") if p.strip()]
    return f"{response.strip()} ~ {' + '.join(pieces) or '1'}", bars
