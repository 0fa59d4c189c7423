"""The engine: MixedLM's likelihood and estimates in the schema of a result."""

from __future__ import annotations

import importlib
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from lmerbridge.design import ModelFrame, templates
from lmerbridge.engines.assemble import assembled, at_floor, fitted_values
from lmerbridge.engines.protocol import (
    LINEAR_MIXED,
    Engine,
    Feature,
    FitSpec,
    Status,
    package_version,
)
from lmerbridge.engines.scaling import triangular
from lmerbridge.engines.statsmodels.cost import predicted_seconds
from lmerbridge.engines.statsmodels.problem import (
    Problem,
    ScaledTerm,
    is_crossed,
    make_problem,
)
from lmerbridge.equality import by_value
from lmerbridge.errors import FitFailedError
from lmerbridge.result import Estimates, FitResult, RandomEffects
from lmerbridge.solve.settings import Settings

__all__ = ["MOST_CROSSED_CELLS", "MOST_CROSSED_EFFECTS", "StatsmodelsEngine"]

# Crossed factors make one group of all rows: MixedLM then works with dense n by q matrices,
# and an evaluation costs n q^2. Beyond these sizes a fit takes minutes.
MOST_CROSSED_EFFECTS = 600
MOST_CROSSED_CELLS = 3_000_000
# MixedLM inverts the relative covariance matrix; with a condition number beyond this its
# likelihood is wrong by more than 1e-4, and can be wrong by anything.
WORST_CONDITION = 1e12


FLOOR = 3e-5
# MixedLM's likelihood is not defined where a variance is 0: the search stops at a relative
# standard deviation of FLOOR, and an optimum there is reported as 0, which costs a multiple of
# FLOOR^2. Up to ten times that, differences of the criterion are noise. The tolerance is a
# hundredth of what would show in the digits that lme4 prints of any criterion; the step is wide
# because the gradient is noisy near the floor.
SETTINGS = Settings(tolerance=1e-6, floor=FLOOR, at_floor=10 * FLOOR, hessian_step=1e-3)


@by_value
@dataclass(frozen=True, eq=False)
class _Fitted:
    """MixedLM at the optimum, in scaled units."""

    model: Any
    beta: np.ndarray[Any, np.dtype[np.float64]]
    scale: float
    conditional: np.ndarray[Any, np.dtype[np.float64]]
    joint: np.ndarray[Any, np.dtype[np.float64]] | None
    effects: Mapping[int, np.ndarray[Any, np.dtype[np.float64]]]
    covariances: Mapping[int, np.ndarray[Any, np.dtype[np.float64]]] | None


class StatsmodelsEngine(Engine):
    """Fits with ``statsmodels.regression.mixed_linear_model.MixedLM``."""

    name = "statsmodels"
    summary = (
        "statsmodels' MixedLM, scaled and checked: nested factors, one term of correlated "
        "effects; crossed factors up to "
        f"{MOST_CROSSED_EFFECTS} random effects"
    )
    why_not: Mapping[Feature, str] = MappingProxyType(
        {
            Feature.NO_FIXED: "MixedLM needs at least one fixed effect",
            Feature.CORRELATED_INNER: "MixedLM has correlated effects on its groups only",
            Feature.SEVERAL_CORRELATED: "MixedLM has one term of correlated effects",
            Feature.STRUCTURED: "MixedLM has no structures; lme4 from 2.0 on and native have them",
            Feature.START: "this engine chooses its own starting values",
            Feature.SETTINGS: "this engine chooses its own optimizers",
            Feature.TIMEOUT: "its fit cannot be ended from here",
        }
    )
    supports = LINEAR_MIXED.difference(why_not)

    def begin(self) -> None:
        """Import statsmodels, if it is installed."""
        if self.status().available:
            _module()

    def status(self) -> Status:
        """Whether statsmodels is installed; it is not imported."""
        try:
            return Status(True, package_version("statsmodels"))
        except Exception as error:
            return Status(
                False, None, f"statsmodels is not installed ({error})", "pip install statsmodels"
            )

    def limits(self, frame: ModelFrame, spec: FitSpec) -> str | None:
        if not is_crossed(frame):
            return None
        effects = sum(len(b.levels) * len(b.names) for b in frame.random)
        if effects > MOST_CROSSED_EFFECTS or effects * frame.nobs > MOST_CROSSED_CELLS:
            return (
                f"crossed grouping factors with {effects} random effects on {frame.nobs} rows: "
                f"MixedLM would need dense matrices; the limit is {MOST_CROSSED_EFFECTS} "
                f"random effects and {MOST_CROSSED_CELLS:,} cells"
            )
        return None

    def predicted_seconds(self, frame: ModelFrame, spec: FitSpec) -> float:
        """Predict how long the fit takes; see :mod:`lmerbridge.engines.statsmodels.cost`."""
        return predicted_seconds(frame)

    def fit(self, frame: ModelFrame, spec: FitSpec) -> FitResult:
        """Fit on scaled data, and bring the estimates back to the user's units.

        Raises
        ------
        FitFailedError
            MixedLM cannot evaluate the model at all.
        """
        from lmerbridge.solve.optimum import minimize

        began = time.perf_counter()
        problem = make_problem(frame)
        model = _mixedlm(problem, spec.REML)
        diagonal = _diagonal(problem)
        start = None if spec.cold else _native_optimum(frame, problem, spec)
        optimum = minimize(
            lambda x: _criterion(model, x),
            lambda x: -2 * model.score(x),
            diagonal,
            SETTINGS,
            start,
        )
        if not np.isfinite(optimum.value):
            raise FitFailedError(
                f"statsmodels could not evaluate {frame.formula} anywhere; "
                f"tried {', '.join(optimum.tried)}"
            )
        missing: dict[str, str] = {}
        fitted = _at(model, problem, optimum.x, missing)
        zero = at_floor(optimum, diagonal, SETTINGS)
        shift = problem.loglike_reml if spec.REML else problem.loglike_ml
        return assembled(
            frame,
            spec,
            _estimates(frame, problem, fitted, np.where(zero, 0.0, optimum.x)),
            optimum.value - 2 * shift,
            optimum,
            free=~zero,
            engine=self.name,
            packages=("statsmodels", "scipy", "numpy", "lmerbridge"),
            seconds=time.perf_counter() - began,
            missing=missing,
            origin="" if start is None else "from the native engine's optimum",
        )


def _native_optimum(frame: ModelFrame, problem: Problem, spec: FitSpec) -> Any:
    """MixedLM's packed parameters at the optimum that the native engine finds, which takes it a
    hundredth of the time; the search from there is MixedLM's own.
    """
    from lmerbridge.engines.native import NativeEngine

    try:
        theta = NativeEngine().fit(frame, spec).estimates.theta
    except FitFailedError:
        return None
    blocks = templates(theta, [len(block.names) for block in frame.random])
    packed = []
    for term in ((problem.correlated,) if problem.correlated is not None else ()) + (
        problem.components
    ):
        own = triangular(np.asarray(np.linalg.solve(term.back, blocks[term.position]), np.float64))
        packed.append(own[np.tril_indices(len(own))])
    return np.concatenate(packed)


def _module() -> Any:
    """The module of MixedLM, untyped and imported late: it takes a second."""
    return importlib.import_module("statsmodels.regression.mixed_linear_model")


def _criterion(model: Any, x: Any) -> float:
    """-2 log-likelihood; infinite where MixedLM's arithmetic has no digits left."""
    k = model.k_re
    if k > 1:
        factor = np.zeros((k, k))
        factor[np.tril_indices(k)] = x[: model.k_re2]
        if np.linalg.cond(factor) ** 2 > WORST_CONDITION:
            return np.inf
    return -2 * float(model.loglike(x))


def _diagonal(problem: Problem) -> np.ndarray[Any, np.dtype[Any]]:
    flags: list[bool] = []
    if problem.correlated is not None:
        k = problem.correlated.columns.shape[1]
        flags += [i == j for i in range(k) for j in range(i + 1)]
    return np.array(flags + [True] * len(problem.components))


def _rows_by_group(problem: Problem) -> list[np.ndarray[Any, np.dtype[Any]]]:
    order = np.argsort(problem.groups, kind="stable")
    starts = np.flatnonzero(np.diff(problem.groups[order])) + 1
    return np.split(order, starts)


def _indicators(term: ScaledTerm, rows: Any) -> tuple[Any, Any]:
    """A scalar term's matrix for one group of rows, and the levels of its columns."""
    levels, position = np.unique(term.codes[rows], return_inverse=True)
    matrix = np.zeros((len(rows), len(levels)))
    matrix[np.arange(len(rows)), position] = term.columns[rows, 0]
    return matrix, levels


def _mixedlm(problem: Problem, REML: bool) -> Any:
    """The MixedLM object, ready for ``loglike`` and ``score``."""
    module = _module()

    rows = _rows_by_group(problem)
    spec = None
    if problem.components:
        built = [[_indicators(term, r) for r in rows] for term in problem.components]
        spec = module.VCSpec(
            [str(i) for i in range(len(built))],
            [[[str(v) for v in levels] for _, levels in term] for term in built],
            [[matrix for matrix, _ in term] for term in built],
        )
    exog_re = None if problem.correlated is None else problem.correlated.columns
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = module.MixedLM(
            problem.y, problem.X, groups=problem.groups, exog_re=exog_re, exog_vc=spec
        )
    model.reml = REML
    model.cov_pen = None
    model.fe_pen = None
    model._cov_sing = 0
    model._freepat = None
    return model


def _at(model: Any, problem: Problem, x: Any, missing: dict[str, str]) -> _Fitted:
    """Everything MixedLM says at the parameters ``x``."""
    module = _module()

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        params = module.MixedLMParams.from_packed(
            x, model.k_fe, model.k_re, use_sqrt=True, has_fe=False
        )
        params.fe_params, _ = model.get_fe_params(params.cov_re, params.vcomp)
        scale = float(model.get_scale(params.fe_params, params.cov_re, params.vcomp))
        hessian, _ = model.hessian(params)
        p = model.k_fe
        conditional = np.linalg.inv(-hessian[:p, :p])
        joint = None
        try:
            whole = np.linalg.inv(-hessian)
            if np.all(np.diag(whole)[:p] > 0) and np.isfinite(whole).all():
                joint = whole[:p, :p]
        except np.linalg.LinAlgError:
            pass
        if joint is None:
            missing["joint standard errors"] = "the joint Hessian is singular or indefinite"
        results = module.MixedLMResults(
            model, params.get_packed(use_sqrt=False, has_fe=True), np.eye(len(hessian))
        )
        results.fe_params = params.fe_params
        results.cov_re = scale * params.cov_re
        results.vcomp = scale * params.vcomp
        results.scale = scale
        for size in ("k_fe", "k_re", "k_re2", "k_vc"):
            setattr(results, size, getattr(model, size))
        effects = results.random_effects
        covariances = results.random_effects_cov
    return _Fitted(
        model,
        np.asarray(params.fe_params),
        scale,
        conditional,
        joint,
        {g: np.asarray(v) for g, v in effects.items()},
        {g: np.asarray(v) for g, v in covariances.items()},
    )


def _factor(term: ScaledTerm, packed: Any) -> Any:
    """A term's block of Lambda in the user's units, from MixedLM's packed parameters."""
    k = term.columns.shape[1]
    factor = np.zeros((k, k))
    factor[np.tril_indices(k)] = packed
    return triangular(term.back @ factor)


def _estimates(frame: ModelFrame, problem: Problem, fitted: _Fitted, x: Any) -> Estimates:
    c = problem.scale
    sigma = c * float(np.sqrt(fitted.scale))
    k = 0 if problem.correlated is None else problem.correlated.columns.shape[1]
    packed = k * (k + 1) // 2
    terms: dict[int, tuple[ScaledTerm, Any]] = {}
    if problem.correlated is not None:
        terms[problem.correlated.position] = (problem.correlated, x[:packed])
    for j, term in enumerate(problem.components):
        terms[term.position] = (term, x[packed + j : packed + j + 1])
    modes, variances = _modes(frame, problem, fitted, k)

    random, theta = [], []
    for position, block in enumerate(frame.random):
        term, values = terms[position]
        factor = _factor(term, values)
        if not factor.any():  # reported as 0, so that nothing may be left of it
            modes[position][:] = 0.0
            variances[position][:] = 0.0
        size = len(block.names)
        theta += [factor[i, j] for j in range(size) for i in range(j, size)]
        random.append(
            RandomEffects.of_factor(
                block.label,
                block.group,
                block.names,
                factor,
                sigma,
                modes[position],
                variances[position],
            )
        )
    beta = problem.beta_shift + c * problem.beta_map @ fitted.beta
    prediction = fitted_values(frame, beta, modes)

    def in_units(matrix: Any) -> Any:
        return c**2 * problem.beta_map @ matrix @ problem.beta_map.T

    return Estimates(
        names=frame.x_names,
        beta=beta,
        vcov=in_units(fitted.conditional),
        vcov_definition="conditional",
        other_vcov={} if fitted.joint is None else {"joint": in_units(fitted.joint)},
        theta=np.array(theta),
        sigma=sigma,
        random=tuple(random),
        fitted=prediction,
        residuals=frame.y - prediction,
        weights=None if frame.weights is None else frame.weights.copy(),
    )


def _modes(frame: ModelFrame, problem: Problem, fitted: _Fitted, k: int) -> tuple[Any, Any]:
    """Conditional modes and covariances per term, in the user's units."""
    c = problem.scale
    modes = [np.zeros((len(b.levels), len(b.names))) for b in frame.random]
    variances = [np.zeros((len(b.levels), len(b.names), len(b.names))) for b in frame.random]
    for group, rows in zip(fitted.model.group_labels, _rows_by_group(problem), strict=True):
        effects = fitted.effects[group]
        assert fitted.covariances is not None
        covariance = fitted.covariances[group]
        if problem.correlated is not None:
            term = problem.correlated
            level = int(term.codes[rows[0]])
            modes[term.position][level] = c * term.back @ effects[:k]
            variances[term.position][level] = c**2 * term.back @ covariance[:k, :k] @ term.back.T
        start = k
        for term in problem.components:
            levels = np.unique(term.codes[rows])
            stop = start + len(levels)
            size = float(term.back[0, 0])
            modes[term.position][levels, 0] = c * size * effects[start:stop]
            variances[term.position][levels, 0, 0] = (c * size) ** 2 * np.diag(covariance)[
                start:stop
            ]
            start = stop
    return modes, variances
