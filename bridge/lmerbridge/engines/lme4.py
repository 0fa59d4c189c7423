"""lme4 in R. All numbers of its results are R's own."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from lmerbridge.design import ModelFrame
from lmerbridge.design.columns import EXACT_MAX, Column, Factor, Logical, Numeric, as_factor
from lmerbridge.design.contrasts import contrast_matrix
from lmerbridge.design.control import r_name
from lmerbridge.engines.asked import like_lme4
from lmerbridge.engines.protocol import (
    LINEAR_MIXED,
    Engine,
    Feature,
    FitSpec,
    Status,
    call_info,
    data_info,
    with_size,
)
from lmerbridge.engines.r_names import aliases, with_names
from lmerbridge.engines.r_status import named, package_status, with_deaths
from lmerbridge.errors import DataError, EngineUnavailableError, FitFailedError
from lmerbridge.formula.parser import parse_expression
from lmerbridge.formula.syntax import names_in
from lmerbridge.result import (
    Criterion,
    Estimates,
    Evidence,
    FitResult,
    LateReasons,
    Provenance,
    RandomEffects,
)
from lmerbridge.rlang import (
    RCommand,
    RFactor,
    RLogical,
    in_process,
    package_fix,
    prestart,
    r_in_use,
    r_session,
    r_versions,
)
from lmerbridge.version_numbers import version_number

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
    if column.time is not None:
        time = column.time
        return {
            "values": column.floats,
            "class": ["POSIXct", "POSIXt"] if time.kind == "POSIXct" else [time.kind],
            "units": time.unit if time.is_difference else None,
            "tzone": (time.zone or "UTC") if time.kind == "POSIXct" else None,
        }
    if values.dtype.kind in "iu" and (len(values) == 0 or np.abs(values).max() <= _INT32):
        return values.astype(np.int32)
    if column.integer and values.ndim == 1 and bool(np.all(~(np.abs(values) > _INT32))):
        return np.where(np.isnan(values), -_INT32 - 1, values).astype(np.int32)  # R's NA
    return values.astype(np.float64, copy=False)


def raw_columns(frame: ModelFrame) -> dict[str, Any]:
    """The columns that the formula names, all rows, as they go to R.

    Columns that only group go as factors, with our levels in our order.
    """
    grouping = {c for term in frame.formula.random for c in term.grouping.columns}
    elsewhere = {name.id for label in frame.rows.variables for name in _names(label)}
    as_factors = {
        name.id
        for label, column in frame.rows.variables.items()
        if isinstance(column, Factor)
        for name in _names(label)
    }
    for name in as_factors & set(frame.source.raw):
        if _beyond_floats(frame.source.raw[name]):
            raise DataError(
                f"column {name!r} has numbers that R cannot tell apart (it holds whole numbers up "
                "to 2^53, and 15 digits of others): make texts of them"
            )
    return {
        name: _column_to_r(column, name in grouping and name not in elsewhere)
        for name, column in frame.source.raw.items()
    }


def _beyond_floats(column: Column) -> bool:
    if not isinstance(column, Numeric):
        return False
    values = column.values
    wide = values.dtype.kind in "iu" and len(values) > 0 and np.abs(values).max() > EXACT_MAX
    return column.exact is not None or bool(wide)


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


class Lme4Engine(Engine):
    """Fits with ``lme4::lmer`` in R.

    Parameters
    ----------
    r : RCommand, optional
        An R of its own; default: the one in use.
    name : str
        By which the engine was asked for.
    """

    summary = "lme4 in R: the reference; every mixed model of the formula language, glmer's too"
    supports = LINEAR_MIXED | {
        Feature.FAMILY,
        Feature.DISPERSION,
        Feature.QUADRATURE,
        Feature.SIZE,
    }
    why_not: Mapping[Feature, str] = MappingProxyType(
        {Feature.DEFINITION: "each version of lme4 has its own definitions"}
    )

    def __init__(self, r: RCommand | None = None, name: str = "lme4"):
        self.r, self.name = r, name

    def at(self, r: RCommand, name: str) -> Lme4Engine:
        """Return the engine in another R."""
        return Lme4Engine(r, name)

    def begin(self) -> None:
        """Start R in the background."""
        prestart(self.r)

    def status(self) -> Status:
        return package_status("lme4", self.r)

    def limits(self, frame: ModelFrame, spec: FitSpec) -> str | None:
        if spec.size_estimated and frame.family is not None and frame.family.link.name != "log":
            return "glmer.nb() of lme4 has the log link alone"
        effects = sum(len(block.names) for block in frame.random)
        if frame.family is not None and spec.nAGQ > 1 and effects > 1:
            return "nAGQ > 1 is only available for models with a single, scalar random-effects term"
        if spec.size_estimated and spec.nAGQ > 1 and like_lme4(self.status().version or "2.1"):
            return (
                "glmer.nb() with nAGQ > 1 maximizes over the size a criterion without the constant"
                " that depends on it (lme4#161, mended in 2.1)"
            )
        needed = frame.formula.lme4_needed
        version = None if needed is None else self.status().version
        if (
            needed is None
            or version is None
            or version_number(version) >= version_number(needed[0])
        ):
            return None
        return f"{needed[1]} needs lme4 {needed[0]}, and this is {version}"

    def fit(self, frame: ModelFrame, spec: FitSpec) -> FitResult:
        """Fit in R.

        Raises
        ------
        EngineUnavailableError
            R or lme4 does not work here.
        FitFailedError
            lme4 raised an error, R ended, or the timeout was over.
        """
        r = self.r or _r_now()
        versions = r_versions(r)
        if "lme4" not in (versions["packages"] or {}):
            raise EngineUnavailableError(
                f"R {versions['R']} has no package lme4; mend it with: {package_fix('lme4', r)}"
            )
        try:
            reply = r_session(r=r).call("fit", call_arguments(frame, spec), spec.timeout)
        except FitFailedError as error:
            raise FitFailedError(f"lme4 could not fit {frame.formula}: {error}") from error
        if reply.failure is not None:
            said = reply.failure.text + "".join(f"\n  {c.kind}: {c.text}" for c in reply.said)
            said = with_names(said, aliases(frame.source.raw))
            raise FitFailedError(f"lme4 could not fit {frame.formula}: {said}{_hint(frame)}")
        conditional = partial(_ConditionalVariances, frame, spec, r)
        result = _result(frame, spec, reply.value, versions, conditional)
        return with_deaths(named(result, self.name), reply)


def _r_now() -> RCommand | None:
    """The R in use, to stay with it after the fit, whatever is in use by then."""
    used = r_in_use()
    return used if isinstance(used, RCommand) else None


@dataclass
class _ConditionalVariances:
    """What ``ranef(m, condVar = TRUE)`` has of all terms: asked for once, with the first of them.

    It takes R a tenth of the time of a large fit.
    """

    frame: ModelFrame
    spec: FitSpec
    r: RCommand | None
    theta: Array
    sigma: float
    found: list[Array] | None = None
    refusal: str | None = None  # why R gives none

    def why_missing(self) -> str | None:
        """Why there are none, or ``None`` if there are; asks if nobody has."""
        if self.found is None and self.refusal is None:
            self._ask()
        return self.refusal

    def later(self, i: int) -> Any:
        """The i-th term's, for a field that is computed on demand."""
        return partial(self._of_term, i)

    def _of_term(self, i: int) -> Array | None:
        self.why_missing()
        return None if self.found is None else self.found[i]

    def _ask(self) -> None:
        given = {**call_arguments(self.frame, self.spec), "theta": self.theta}
        del given["start"]
        reply = r_session(r=self.r).call("conditional_variances", given, self.spec.timeout)
        if reply.failure is not None:
            self.refusal = reply.failure.text
            return
        if not math.isclose(reply.value["sigma"], self.sigma, rel_tol=1e-8):
            raise DataError(
                f"the data of {self.frame.formula} have changed since the fit, so that its "
                "conditional variances are lost: fit it again"
            )
        self.found = [
            _sent_variances(said, len(block.names))
            for block, said in zip(self.frame.random, reply.value["terms"], strict=True)
        ]


def r_object(frame: ModelFrame, spec: FitSpec, r: RCommand | None = None) -> Any:
    """lme4's own object of this model, fitted by R in this process; an object of rpy2's. ``r`` is
    the R that it must be, if not the one in use.

    Raises
    ------
    EngineUnavailableError
        rpy2, R or lme4 does not work here.
    FitFailedError
        lme4 raised an error.
    """
    return in_process(r).object("fitted_object", call_arguments(frame, spec))


def call_arguments(frame: ModelFrame, spec: FitSpec) -> dict[str, Any]:
    """What ``fit`` of ``lmerbridge.R`` is asked with."""
    other = aliases(frame.source.raw)
    return {
        "formula": str(frame.fitted_formula.with_names(other)),
        "columns": {other.get(k, k): v for k, v in raw_columns(frame).items()},
        "rows": frame.source.total_rows,
        "REML": spec.REML,
        "weights": frame.source.raw_weights,
        "offset": frame.source.raw_offset,
        "subset": frame.source.raw_subset,
        "na_action": frame.asked.na_action,
        "contrasts": _contrasts_to_r(frame, other),
        "start": None if spec.start is None else np.array(spec.start),
        "control": _control_to_r(frame),
        **_family_to_r(frame, spec),
    }


def _family_to_r(frame: ModelFrame, spec: FitSpec) -> dict[str, Any]:
    """What makes it ``glmer``; nothing for a linear model."""
    family = frame.family
    if family is None:
        return {}
    name = "negative.binomial" if family.theta is not None else family.name
    return {
        "family": {"name": name, "link": family.link.name, "theta": family.theta},
        "nAGQ": spec.nAGQ,
        "size_estimated": spec.size_estimated,
    }


def _contrasts_to_r(frame: ModelFrame, other: Mapping[str, str]) -> dict[str, Any] | None:
    sent: dict[str, Any] = {}
    for name, contrast in frame.design.asked_contrasts.items():
        if name not in frame.design.contrasts:
            continue
        if contrast.matrix is None and contrast.base == 1 and contrast.how_many is None:
            sent[other.get(name, name)] = contrast.name
        else:
            column = frame.rows.variables[name]
            levels = column.levels if isinstance(column, Factor) else ("FALSE", "TRUE")
            sent[other.get(name, name)] = contrast_matrix(contrast, levels)[0]
    return sent or None


def _control_to_r(frame: ModelFrame) -> dict[str, Any]:
    def sent(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: sent(v) for key, v in value.items()}
        return np.array(value) if isinstance(value, tuple) else value

    return {r_name(name): sent(value) for name, value in frame.asked.control.given}


def _hint(frame: ModelFrame) -> str:
    """What else there is to say where lme4 fails."""
    if frame.plain:
        return ""
    return (
        "; lme4 2.1 fails so where a variance or a correlation of a covariance structure is at its "
        "bound: engine='native' fits such models"
    )


def _same_model(frame: ModelFrame, value: Mapping[str, Any]) -> None:
    """Refuse to report the fit of another model than that of the model frame.

    Raises
    ------
    FitFailedError
    """
    names = _strings(value["names"])
    found = [(t["group"], _strings(t["names"]), _strings(t["levels"])) for t in value["terms"]]
    wanted = [(b.group, b.names, b.levels) for b in frame.random]
    if aliases(frame.source.raw):  # R has other names for some columns: how many, and the levels
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


def _sent_variances(said: Any, k: int) -> Array:
    """Conditional variances (levels, k, k); R's arrays are k by k by levels, the first index
    fastest.
    """
    return np.array(said, dtype=np.float64).reshape(-1, k, k)


def _result(
    frame: ModelFrame,
    spec: FitSpec,
    value: Mapping[str, Any],
    versions: Mapping[str, Any],
    conditional_variances: Callable[[Array, float], _ConditionalVariances],
) -> FitResult:
    _same_model(frame, value)
    names = frame.x_names
    p = len(names)
    theta, sigma = _vector(value["theta"]), float(value["sigma"])
    par = None if frame.plain else _vector(value["par"])
    if math.isnan(sigma):
        raise FitFailedError(
            f"lme4 could not fit {frame.formula}: its sigma is not a number{_hint(frame)}"
        )
    family = frame.family
    generalized = family is not None
    conditional = (
        None if generalized else conditional_variances(theta if par is None else par, sigma)
    )
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
                variances=_sent_variances(term["variances"], k)
                if conditional is None
                else conditional.later(i),
                structure=block.structure.kind,
                hom=block.structure.hom,
            )
        )
    gradient = value["gradient"]
    messages = _strings(value["lme4_messages"])
    warned = _strings(value["optimizer_warnings"])
    code = int(value["code"] or 0)
    failed = [m for m in messages if not m.startswith("boundary (singular)")]
    packages = {k: str(v) for k, v in versions["packages"].items()}
    call = call_info(frame, replace(spec, REML=bool(value["REML"]), cold=False, timeout=None))
    if family is not None and spec.size_estimated:
        call = with_size(call, family, float(value["shape"]))
    return FitResult(
        call=call,
        data=data_info(frame),
        estimates=Estimates(
            names=names,
            beta=_vector(value["beta"]) if p else np.empty(0),
            vcov=_matrix(value["vcov"], p) if p else np.empty((0, 0)),
            vcov_definition="joint"
            if generalized and value["hessian"] is not None
            else "conditional",
            theta=theta,
            sigma=None if family is not None and family.dispersion is not None else sigma,
            random=tuple(random),
            fitted=_vector(value["fitted"]),
            residuals=_vector(value["residuals"]),
            weights=None if frame.weights is None else frame.weights.copy(),
            par=par,
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
            notes=tuple(note.text for note in frame.asked.notes),
        ),
        provenance=Provenance(
            engine="lme4",
            engine_version=packages["lme4"],
            versions={"R": str(versions["R"]), **packages},
            platform=str(versions["platform"]),
            blas=str(versions["BLAS"] or ""),
            seconds=float(value["seconds"]),
        ),
        missing={}
        if conditional is None
        else LateReasons({}, {"conditional variances": conditional.why_missing}),
    )
