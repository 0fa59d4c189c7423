"""What an engine is: a name, a status, a declaration of what it fits, and ``fit``."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

import numpy as np
import pandas as pd

from lmerbridge.design import ModelFrame, nested_in
from lmerbridge.equality import by_value
from lmerbridge.result import CallInfo, DataInfo, FitResult

if TYPE_CHECKING:
    from lmerbridge.family import Family

__all__ = [
    "LINEAR_MIXED",
    "Costed",
    "Engine",
    "Feature",
    "FitSpec",
    "Status",
    "blas_name",
    "call_info",
    "data_info",
    "features_of",
    "package_version",
    "with_size",
]


# Packages whose module says the version that is installed; reading what the installation says of
# itself takes milliseconds.
TELLING = ("lmerbridge", "numpy", "scipy")


class Feature(Enum):
    """What a model or a call may ask of an engine; the value is how a refusal names it."""

    ML = "maximum likelihood"
    REML = "restricted maximum likelihood"
    WEIGHTS = "prior weights"
    OFFSET = "an offset"
    NO_FIXED = "a model without fixed effects"
    SEVERAL_FACTORS = "several grouping factors"
    CROSSED = "crossed grouping factors"
    CORRELATED = "correlated random effects"
    CORRELATED_INNER = "correlated random effects on a factor that others are not nested in"
    SEVERAL_CORRELATED = "more than one term of correlated random effects"
    STRUCTURED = "covariance structures such as cs() and ar1()"
    START = "start="
    SETTINGS = "an optimizer's settings in control="
    TIMEOUT = "timeout="
    FAMILY = "another family than gaussian, or another link than the identity"
    DISPERSION = "a family whose dispersion is estimated (Gamma, inverse.gaussian, gaussian)"
    QUADRATURE = "nAGQ > 1"
    DEFINITION = "dispersion=, information= or like="
    SIZE = "a negative binomial whose size is estimated"


# What linear mixed models ask of an engine. A feature that is added later is in no engine's
# ``supports`` until the engine says so.
LINEAR_MIXED = frozenset(
    {
        Feature.ML,
        Feature.REML,
        Feature.WEIGHTS,
        Feature.OFFSET,
        Feature.NO_FIXED,
        Feature.SEVERAL_FACTORS,
        Feature.CROSSED,
        Feature.CORRELATED,
        Feature.CORRELATED_INNER,
        Feature.SEVERAL_CORRELATED,
        Feature.STRUCTURED,
        Feature.START,
        Feature.SETTINGS,
        Feature.TIMEOUT,
    }
)


@dataclass(frozen=True)
class FitSpec:
    """How to fit: everything of the call that is not in the model frame.

    ``cold``: no engine may start from what another one found. ``timeout``: seconds after which
    the fit is given up. ``nAGQ``: of a generalized model the nodes of the quadrature, 1 for
    Laplace's approximation, 0 for the rougher one with beta among the modes. ``dispersion``,
    ``information``, ``like``: which definition of its criterion, as of :func:`lmerbridge.glmer`.
    ``size_estimated``: whether the size of a negative binomial is estimated.
    """

    REML: bool = True
    start: tuple[float, ...] | None = None
    cold: bool = False
    timeout: float | None = None
    nAGQ: int = 1
    dispersion: str = "moment"
    information: str = "expected"
    like: str | None = None
    size_estimated: bool = False


@by_value
@dataclass(frozen=True, eq=False)
class Status:
    """Whether an engine works here.

    ``problem`` says what is wrong and ``fix`` is the command that mends it.
    """

    available: bool
    version: str | None = None
    problem: str | None = None
    fix: str | None = None
    details: Mapping[str, str] | None = None


@runtime_checkable
class Engine(Protocol):
    """An engine fits a :class:`ModelFrame` and reports its own numbers.

    A class that inherits from this one has the defaults below; one that does not declares all.

    Attributes
    ----------
    name, summary : str
        How it is asked for, and one line for ``lmerbridge engines``.
    supports : frozenset of Feature
        What it does: the one declaration that the refusal, ``lmerbridge engines`` and the tests
        read. What is not in it is refused. For most it is a part of :data:`LINEAR_MIXED`.
    why_not : mapping of Feature to str
        The reason for what it does not do, where there is one to tell.
    rival : bool
        Whether it is another package that takes part only where it is named or a scorecard is asked
        for.
    """

    name: str
    summary: str
    supports: frozenset[Feature]
    why_not: Mapping[Feature, str] = MappingProxyType({})
    rival: bool = False

    def begin(self) -> None:
        """Start in the background what a fit will need, while the model frame is made."""
        return

    def status(self) -> Status:
        """Say whether it works here; never raises."""
        ...

    def limits(self, frame: ModelFrame, spec: FitSpec) -> str | None:
        """Say why a model that it supports is refused, for its size or the like; or ``None``."""
        return None

    def fit(self, frame: ModelFrame, spec: FitSpec) -> FitResult:
        """Fit.

        Raises
        ------
        EngineUnavailableError
            The engine does not work here, which only the fit shows.
        FitFailedError
            It tried and could not fit the model.
        """
        ...


@runtime_checkable
class Costed(Protocol):
    """An engine that says beforehand how long a fit takes, so that ``auto`` can pass it over."""

    def predicted_seconds(self, frame: ModelFrame, spec: FitSpec) -> float: ...


def features_of(frame: ModelFrame, spec: FitSpec) -> set[Feature]:
    """What this model and call ask of an engine."""
    found = {Feature.REML if spec.REML else Feature.ML}
    if frame.weights is not None:
        found.add(Feature.WEIGHTS)
    if frame.offset is not None:
        found.add(Feature.OFFSET)
    if frame.X.shape[1] == 0:
        found.add(Feature.NO_FIXED)
    if spec.start is not None:
        found.add(Feature.START)
    if frame.asked.control.engine_settings:
        found.add(Feature.SETTINGS)
    if spec.timeout is not None:
        found.add(Feature.TIMEOUT)
    if not frame.plain:
        found.add(Feature.STRUCTURED)
    if frame.family is not None:
        found.add(Feature.FAMILY)
        if frame.family.dispersion is None:
            found.add(Feature.DISPERSION)
        if spec.nAGQ > 1:
            found.add(Feature.QUADRATURE)
        if spec.size_estimated:
            found.add(Feature.SIZE)
        if (spec.dispersion, spec.information, spec.like) != ("moment", "expected", None):
            found.add(Feature.DEFINITION)
    outermost = frame.random[-1]
    if len(frame.groups) > 1:
        found.add(Feature.SEVERAL_FACTORS)
        if not all(nested_in(block, outermost) for block in frame.random):
            found.add(Feature.CROSSED)
    correlated = [term for term in frame.design.random if len(term.names) > 1]
    if correlated:
        found.add(Feature.CORRELATED)
        if len(correlated) > 1:
            found.add(Feature.SEVERAL_CORRELATED)
        if Feature.CROSSED in found or any(t.group != outermost.group for t in correlated):
            found.add(Feature.CORRELATED_INNER)
    return found


def call_info(frame: ModelFrame, spec: FitSpec) -> CallInfo:
    """The call, for the result; the same whichever engine fits."""
    family = frame.family
    return CallInfo(
        formula=str(frame.formula),
        formula_lines=tuple(frame.formula.lines),
        written=frame.formula.text,
        REML=spec.REML,
        data_name=frame.asked.data_name,
        weights=frame.asked.weights_name,
        offset=frame.asked.offset_name,
        subset=frame.asked.subset_name,
        na_action=frame.asked.na_action,
        contrasts={label: c.name for label, c in frame.design.contrasts.items()},
        start=spec.start,
        control=str(frame.asked.control) if frame.asked.control.given else None,
        family="gaussian" if family is None else family.name,
        link="identity" if family is None else family.link.name,
        shape=None if family is None else family.theta,
        nAGQ=spec.nAGQ,
        dispersion=spec.dispersion,
        information=spec.information,
        like=spec.like,
        size_estimated=spec.size_estimated,
    )


def with_size(call: CallInfo, family: Family, size: float) -> CallInfo:
    """The call of a negative binomial with the size that was estimated."""
    from lmerbridge.family import with_theta

    found = with_theta(family, size)
    return replace(call, family=found.name, shape=found.theta)


def data_info(frame: ModelFrame) -> DataInfo:
    """What the model saw, for the result; the same whichever engine fits."""
    every_row = frame.nobs == frame.source.total_rows
    labels = None
    if (
        frame.source.index is not None
        and not isinstance(frame.source.index, pd.RangeIndex)
        and not (frame.source.index.equals(pd.Index(frame.source.kept)))
    ):
        labels = tuple(str(label) for label in frame.source.index)
    return DataInfo(
        nobs=frame.nobs,
        total_rows=frame.source.total_rows,
        dropped=frame.source.dropped.astype(np.int64),
        kept=None if every_row else frame.source.kept.astype(np.int64),
        row_labels=labels,
        groups=frame.groups,
        columns_dropped=frame.design.x_dropped,
        fingerprint=cast("str", lambda: frame.fingerprint),  # computed on demand
    )


@functools.cache
def blas_name() -> str:
    """The BLAS that NumPy was built with."""
    try:
        config: Any = np.show_config(mode="dicts")
        blas = config["Build Dependencies"]["blas"]
        return f"{blas['name']} {blas['version']}"
    except (KeyError, TypeError):
        return ""


@functools.cache
def package_version(name: str) -> str:
    """The version of an installed package."""
    if name in TELLING:
        return str(importlib.import_module(name).__version__)
    from importlib.metadata import version

    return version(name)
