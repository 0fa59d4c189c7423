"""lme4 in R. All numbers of its results are R's own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from lmerbridge.design import ModelFrame
from lmerbridge.design.columns import Column, Factor, Logical, as_factor
from lmerbridge.design.contrasts import contrast_matrix
from lmerbridge.engines.protocol import Feature, FitSpec, Status, call_info, data_info
from lmerbridge.engines.r_names import aliases, with_names
from lmerbridge.engines.r_status import package_status
from lmerbridge.errors import DataError, EngineUnavailableError, FitFailedError
from lmerbridge.formula.parser import parse_expression
from lmerbridge.formula.syntax import names_in
from lmerbridge.result import (
    Criterion,
    Estimates,
    Evidence,
    FitResult,
    Provenance,
    RandomEffects,
)
from lmerbridge.rlang import (
    RFactor,
    RLogical,
    in_process,
    package_fix,
    prestart,
    r_session,
    r_versions,
)

__all__ = ["Lme4Engine", "call_arguments", "r_object", "raw_columns"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
_INT32 = 2**31 - 1


def _column_to_r(column: Column, grouping: bool) -> Any:
    if isinstance(column, Factor):
        return RFactor(column.codes, column.levels, column.ordered)
    if grouping:
        return _column_to_r(as_factor(column), False)
    if isinstance(column, Logical):
        return RLogical(np.where(np.isnan(column.values), -1, column.values))
    values = column.values
    if values.dtype.kind in "iu" and (len(values) == 0 or np.abs(values).max() <= _INT32):
        return values.astype(np.int32)
    return values.astype(np.float64, copy=False)


def raw_columns(frame: ModelFrame) -> dict[str, Any]:
    """The columns that the formula names, all rows, as they go to R.

    Columns that only group go as factors, with our levels in our order.
    """
    grouping = {c for term in frame.formula.random for c in term.grouping.columns}
    elsewhere = {name.id for label in frame.variables for name in _names(label)}
    return {
        name: _column_to_r(column, name in grouping and name not in elsewhere)
        for name, column in frame.raw.items()
    }


def _names(label: str) -> Any:
    return names_in(parse_expression(label))


def _strings(value: Any) -> tuple[str, ...]:
    """R's character vector: a lone string, a list, or nothing."""
    if value is None or (isinstance(value, np.ndarray) and value.size == 0):
        return ()
    return (value,) if isinstance(value, str) else tuple(value)


def _vector(value: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.atleast_1d(np.asarray(value, dtype=np.float64)).copy()


def _matrix(value: Any, size: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.asarray(value, dtype=np.float64).reshape(size, size).copy()


class Lme4Engine:
    """Fits with ``lme4::lmer`` in R."""

    name = "lme4"
    summary = "lme4 in R: the reference; every linear mixed model of the formula language"
    unsupported: Mapping[Feature, str] = {}

    def begin(self) -> None:
        """Start R in the background."""
        prestart()

    def status(self) -> Status:
        return package_status("lme4")

    def limits(self, frame: ModelFrame, spec: FitSpec) -> str | None:
        return None

    def fit(self, frame: ModelFrame, spec: FitSpec) -> FitResult:
        """Fit in R.

        Raises
        ------
        EngineUnavailableError, FitFailedError
        """
        versions = r_versions()
        if "lme4" not in (versions["packages"] or {}):
            raise EngineUnavailableError(
                f"R {versions['R']} has no package lme4; mend it with: {package_fix('lme4')}"
            )
        try:
            reply = r_session().call("fit", call_arguments(frame, spec), spec.timeout)
        except FitFailedError as error:
            raise FitFailedError(f"lme4 could not fit {frame.formula}: {error}") from error
        if reply.failure is not None:
            said = reply.failure.text + "".join(f"\n  {c.kind}: {c.text}" for c in reply.said)
            said = with_names(said, aliases(frame.raw))
            raise FitFailedError(f"lme4 could not fit {frame.formula}: {said}")
        return _result(frame, spec, reply.value, versions)


@dataclass
class _ConditionalVariances:
    """What ``ranef(m, condVar = TRUE)`` has of all terms: asked for once, with the first of them.

    It takes R a tenth of the time of a large fit.
    """

    frame: ModelFrame
    spec: FitSpec
    theta: Array
    sigma: float
    missing: dict[str, str]
    found: list[Array] | None = None

    def later(self, i: int) -> Any:
        """The i-th term's, for a field that is computed on demand."""
        return partial(self._of_term, i)

    def _of_term(self, i: int) -> Array | None:
        if self.found is None and "conditional variances" not in self.missing:
            self._ask()
        return None if self.found is None else self.found[i]

    def _ask(self) -> None:
        given = {**call_arguments(self.frame, self.spec), "theta": self.theta}
        del given["start"]
        reply = r_session().call("conditional_variances", given, self.spec.timeout)
        if reply.failure is not None:
            self.missing["conditional variances"] = reply.failure.text
            return
        if not math.isclose(reply.value["sigma"], self.sigma, rel_tol=1e-8):
            raise DataError(
                f"the data of {self.frame.formula} have changed since the fit, so that its "
                "conditional variances are lost: fit it again"
            )
        # R's arrays are k by k by levels, the first index fastest
        self.found = [
            np.array(said, dtype=np.float64).reshape(-1, len(block.names), len(block.names))
            for block, said in zip(self.frame.random, reply.value["terms"], strict=True)
        ]


def r_object(frame: ModelFrame, spec: FitSpec) -> Any:
    """lme4's own object of this model, fitted by R in this process; an object of rpy2's.

    Raises
    ------
    EngineUnavailableError, FitFailedError
    """
    return in_process().object("fitted_object", call_arguments(frame, spec))


def call_arguments(frame: ModelFrame, spec: FitSpec) -> dict[str, Any]:
    """What ``fit`` of ``lmerbridge.R`` is asked with."""
    other = aliases(frame.raw)
    return {
        "formula": str(frame.fitted_formula.with_names(other)),
        "columns": {other.get(k, k): v for k, v in raw_columns(frame).items()},
        "rows": frame.total_rows,
        "REML": spec.REML,
        "weights": frame.raw_weights,
        "offset": frame.raw_offset,
        "subset": frame.raw_subset,
        "na_action": frame.na_action,
        "contrasts": _contrasts_to_r(frame, other),
        "start": None if spec.start is None else np.array(spec.start),
        "control": _control_to_r(frame),
    }


def _contrasts_to_r(frame: ModelFrame, other: Mapping[str, str]) -> dict[str, Any] | None:
    sent: dict[str, Any] = {}
    for name, contrast in frame.asked_contrasts.items():
        if name not in frame.contrasts:
            continue
        if contrast.matrix is None and contrast.base == 1 and contrast.how_many is None:
            sent[other.get(name, name)] = contrast.name
        else:
            column = frame.variables[name]
            levels = column.levels if isinstance(column, Factor) else ("FALSE", "TRUE")
            sent[other.get(name, name)] = contrast_matrix(contrast, levels)[0]
    return sent or None


def _control_to_r(frame: ModelFrame) -> dict[str, Any]:
    names = {"check_rankX": "check.rankX", "check_scaleX": "check.scaleX"}
    return {
        names.get(name, name if name in ("optimizer", "optCtrl") else name.replace("_", ".")): dict(
            value
        )
        if isinstance(value, Mapping)
        else value
        for name, value in frame.control.given
    }


def _same_model(frame: ModelFrame, value: Mapping[str, Any]) -> None:
    """Refuse to report the fit of another model than that of the model frame.

    Raises
    ------
    FitFailedError
    """
    names = _strings(value["names"])
    found = [(t["group"], _strings(t["names"]), _strings(t["levels"])) for t in value["terms"]]
    wanted = [(b.group, b.names, b.levels) for b in frame.random]
    if aliases(frame.raw):  # R has other names for some columns: how many, and the levels
        same = len(names) == len(frame.x_names) and [(len(f[1]), f[2]) for f in found] == [
            (len(w[1]), w[2]) for w in wanted
        ]
    else:
        same = (names, found) == (frame.x_names, wanted)
    if not same:
        raise FitFailedError(
            "lme4 built another model than this model frame; please report it. "
            f"lme4: {names}, {[f[:2] for f in found]}; "
            f"here: {frame.x_names}, {[w[:2] for w in wanted]}"
        )


def _result(
    frame: ModelFrame,
    spec: FitSpec,
    value: Mapping[str, Any],
    versions: Mapping[str, Any],
) -> FitResult:
    _same_model(frame, value)
    names = frame.x_names
    p = len(names)
    missing: dict[str, str] = {}
    theta, sigma = _vector(value["theta"]), float(value["sigma"])
    conditional = _ConditionalVariances(frame, spec, theta, sigma, missing)
    random = []
    for i, (block, term) in enumerate(zip(frame.random, value["terms"], strict=True)):
        k, levels = len(_strings(term["names"])), len(_strings(term["levels"]))
        random.append(
            RandomEffects(
                label=block.label,
                group=block.group,
                names=block.names,
                covariance=_matrix(term["covariance"], k),
                deviations=_vector(term["deviations"]),
                correlation=_matrix(term["correlation"], k),
                modes=np.asarray(term["modes"], dtype=np.float64).reshape(levels, k).copy(),
                variances=conditional.later(i),
            )
        )
    gradient = value["gradient"]
    messages = _strings(value["lme4_messages"])
    warned = _strings(value["optimizer_warnings"])
    code = int(value["code"] or 0)
    failed = [m for m in messages if not m.startswith("boundary (singular)")]
    packages = {k: str(v) for k, v in versions["packages"].items()}
    return FitResult(
        call=call_info(frame, FitSpec(bool(value["REML"]), spec.start)),
        data=data_info(frame),
        estimates=Estimates(
            names=names,
            beta=_vector(value["beta"]) if p else np.empty(0),
            vcov=_matrix(value["vcov"], p) if p else np.empty((0, 0)),
            vcov_definition="conditional",
            theta=theta,
            sigma=sigma,
            random=tuple(random),
            fitted=_vector(value["fitted"]),
            residuals=_vector(value["residuals"]),
            weights=None if frame.weights is None else frame.weights.copy(),
        ),
        criterion=Criterion(
            kind="REML" if value["REML"] else "ML",
            value=float(value["criterion"]),
            logLik=float(value["logLik"]),
            parameters=int(value["parameters"]),
            AIC=float(value["AIC"]),
            BIC=float(value["BIC"]),
            df_residual=int(value["df_residual"]),
            components={k: float(v) for k, v in value["components"].items()},
        ),
        evidence=Evidence(
            converged=code == 0 and not failed,
            singular=bool(value["singular"]),
            gradient_norm=None if gradient is None else float(np.abs(_vector(gradient)).max()),
            optimizer=str(value["optimizer"]),
            code=code,
            message=" ".join(_strings(value["optimizer_message"])),
            evaluations=None if value["evaluations"] is None else int(np.max(value["evaluations"])),
            optimizer_warnings=warned,
            messages=messages,
            notes=tuple(note.text for note in frame.notes),
        ),
        provenance=Provenance(
            engine="lme4",
            engine_version=packages["lme4"],
            versions={"R": str(versions["R"]), **packages},
            platform=str(versions["platform"]),
            blas=str(versions["BLAS"] or ""),
            seconds=float(value["seconds"]),
        ),
        missing=missing,
    )
