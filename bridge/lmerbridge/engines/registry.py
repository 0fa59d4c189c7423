"""Engines by name: ours and those of entry points, loaded on first use, chosen for a model."""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lmerbridge.arguments import checked
from lmerbridge.design import ModelFrame
from lmerbridge.engines.located import EngineName, engine_in, engine_name, package_of
from lmerbridge.engines.protocol import Costed, Engine, FitSpec, Status, features_of
from lmerbridge.errors import EngineUnavailableError, UnsupportedModelError, near_match
from lmerbridge.result import FitResult, Skipped

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = [
    "AUTO_ORDER",
    "BUILT_IN",
    "engine_names",
    "fit",
    "is_engine",
    "is_registered",
    "is_rival",
    "load_engine",
    "prepare",
    "refusal",
    "register_engine",
    "status_of",
]

ENTRY_POINT_GROUP = "lmerbridge.engines"
AUTO_ORDER = ("lme4", "statsmodels", "native")
QUICK_SECONDS = 2.0  # seconds that a fit may take before auto looks for a faster engine
# The engines of this package. Those of other packages are entry points of theirs, and of none that
# has a name of ours.
BUILT_IN = {
    "lme4": "lmerbridge.engines.lme4:Lme4Engine",
    "native": "lmerbridge.engines.native:NativeEngine",
    "statsmodels": "lmerbridge.engines.statsmodels:StatsmodelsEngine",
    "glmm": "lmerbridge.engines.rivals.native_packages:GlmmEngine",
    "glmmTMB": "lmerbridge.engines.rivals.r_packages:GlmmTMBEngine",
    "gpboost": "lmerbridge.engines.rivals.gpboost:GPBoostEngine",
    "interlace": "lmerbridge.engines.rivals.native_packages:InterlaceEngine",
    "lme-python": "lmerbridge.engines.rivals.native_packages:LmePythonEngine",
    "mixedlm": "lmerbridge.engines.rivals.mixedlm:MixedlmEngine",
    "nlme": "lmerbridge.engines.rivals.r_packages:NlmeEngine",
    "statsmodels-bayes": "lmerbridge.engines.rivals.bayes_statsmodels:BayesStatsmodelsEngine",
    "statsmodels-plain": "lmerbridge.engines.rivals.plain_statsmodels:PlainStatsmodelsEngine",
}
_loaded: dict[str, Engine] = {}
_registered: dict[str, Callable[[], Engine]] = {}


@checked
def register_engine(name: str, factory: Callable[[], Engine] | None) -> None:
    """Add an engine for this process, or take it away again.

    Parameters
    ----------
    name : str
        By which ``engine=`` asks for it; one of that name before gives way.
    factory : callable or None
        Makes the engine, when it is first asked for; ``None`` takes it away.
    """
    for known in [n for n in _loaded if package_of(n) == name]:
        del _loaded[known]
    if factory is None:
        _registered.pop(name, None)
    else:
        _registered[name] = factory


def is_registered(name: str) -> bool:
    """Whether an engine is one that :func:`register_engine` has added, for this process alone."""
    return package_of(name) in _registered


def is_engine(name: str) -> bool:
    """Whether a name is an engine's; of ``lme4@4.6.2`` only that lme4 is one."""
    return _factory(package_of(name)) is not None


@functools.cache
def _points() -> dict[str, EntryPoint]:
    """The entry points of other packages; looking for them takes milliseconds."""
    import importlib.metadata  # as long again, and a fit by an engine of ours needs neither

    found = importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)
    return {point.name: point for point in found if point.name not in BUILT_IN}


def _factory(name: str) -> Callable[[], Engine] | None:
    """What makes the engine ``name``; ``None`` where there is none."""
    if name in _registered:
        return _registered[name]
    if name in BUILT_IN:
        module, _, kind = BUILT_IN[name].partition(":")
        return lambda: getattr(importlib.import_module(module), kind)()
    point = _points().get(name)
    return None if point is None else lambda: point.load()()


def engine_names() -> list[str]:
    """List every engine known: those of ``engine="auto"`` in its order, then others by name."""
    known = {*BUILT_IN, *_points(), *_registered}
    return [n for n in AUTO_ORDER if n in known] + sorted(n for n in known if n not in AUTO_ORDER)


def is_rival(name: str) -> bool:
    """Whether an engine is another package that takes part only where it is named or a scorecard
    is asked for.
    """
    return load_engine(name).rival


def load_engine(name: str) -> Engine:
    """The engine ``name``; with an R after ``@``, in that one.

    Raises
    ------
    EngineUnavailableError
        Unknown, or its module does not import; or there is no such R.
    """
    if package_of(name) != name and name not in _loaded and is_engine(name):
        _loaded[name] = engine_in(load_engine(package_of(name)), name)
    if name not in _loaded:
        factory = _factory(name)
        if factory is None:
            raise EngineUnavailableError(
                f"there is no engine {name!r}{near_match(name, engine_names())}; "
                f"engines: auto, {', '.join(engine_names())}"
            )
        try:
            _loaded[name] = factory()
        except Exception as error:
            raise EngineUnavailableError(f"engine {name!r} does not load: {error}") from error
    return _loaded[name]


def status_of(name: str) -> Status:
    """The engine's status; never raises."""
    try:
        return load_engine(name).status()
    except Exception as error:
        return Status(False, None, str(error), None)


def refusal(engine: Engine, frame: ModelFrame, spec: FitSpec) -> str | None:
    """Why ``engine`` does not fit this model, or ``None``."""
    for feature in sorted(features_of(frame, spec) - engine.supports, key=lambda f: f.name):
        why = engine.why_not.get(feature, "this engine does not do that")
        return f"{feature.value}: {why}"
    return engine.limits(frame, spec)


def _able(frame: ModelFrame, spec: FitSpec, but: str) -> list[str]:
    names = []
    for name in engine_names():
        able = name != but and status_of(name).available
        if able and refusal(load_engine(name), frame, spec) is None:
            names.append(name)
    return names


def _fit_named(name: str, frame: ModelFrame, spec: FitSpec) -> FitResult:
    engine = load_engine(name)
    why = refusal(engine, frame, spec)
    if why is not None:
        able = _able(frame, spec, name)
        hint = (
            f"; engine={able[0]!r} can fit it here"
            if able
            else "; no other engine available here can fit it (see `lmerbridge doctor`)"
        )
        raise UnsupportedModelError(f"engine {name!r} does not fit {frame.formula} ({why}){hint}")
    state = engine.status()
    if not state.available:
        mend = f"; mend it with: {state.fix}" if state.fix else ""
        raise EngineUnavailableError(f"engine {name!r} is not available: {state.problem}{mend}")
    return engine.fit(frame, spec)


def _wanted(engine: EngineName) -> str:
    """The engine named, or the default that ``LMERBRIDGE_ENGINE`` sets."""
    engine = engine_name(engine)
    return (os.environ.get("LMERBRIDGE_ENGINE") or "auto") if engine == "auto" else engine


def prepare(engine: EngineName) -> None:
    """Let the engine that will fit begin to start, while the model frame is made."""
    wanted = _wanted(engine)
    name = AUTO_ORDER[0] if wanted == "auto" else wanted
    if package_of(name) in BUILT_IN and not is_registered(name):
        load_engine(name).begin()


def _too_slow(name: str, others: Sequence[str], frame: ModelFrame, spec: FitSpec) -> str | None:
    """Say why ``auto`` passes the engine over: it predicts a long fit, and one of ``others``, which
    predicts none, can fit the model; or return ``None``.
    """
    engine = load_engine(name)
    seconds = engine.predicted_seconds(frame, spec) if isinstance(engine, Costed) else 0.0
    if seconds <= QUICK_SECONDS:
        return None
    for other in others:
        able = not isinstance(load_engine(other), Costed) and status_of(other).available
        if able and refusal(load_engine(other), frame, spec) is None:
            return f"would take about {seconds:.0f} s for this model; {other} is many times faster"
    return None


def fit(frame: ModelFrame, spec: FitSpec, engine: EngineName = "auto") -> FitResult:
    """Fit with the engine named, or with the first of lme4, statsmodels, native that can and is not
    many times slower than a later one.

    Raises
    ------
    EngineUnavailableError, UnsupportedModelError, FitFailedError
        A named engine never falls back to another.
    """
    wanted = _wanted(engine)
    if wanted != "auto":
        return _fit_named(wanted, frame, spec)
    skipped: list[Skipped] = []
    names = [n for n in AUTO_ORDER if is_engine(n)]
    for number, name in enumerate(names):
        state = status_of(name)
        if not state.available:
            skipped.append(Skipped(name, state.problem or "not available"))
            continue
        why = refusal(load_engine(name), frame, spec)
        if why is not None:
            skipped.append(Skipped(name, f"does not fit this model ({why})"))
            continue
        slow = _too_slow(name, names[number + 1 :], frame, spec)
        if slow is not None:
            skipped.append(Skipped(name, slow))
            continue
        try:
            result = load_engine(name).fit(frame, spec)
        except EngineUnavailableError as error:
            skipped.append(Skipped(name, str(error)))
            continue
        return replace(result, provenance=replace(result.provenance, skipped=tuple(skipped)))
    reasons = "".join(f"\n  {s.engine}: {s.reason}" for s in skipped)
    refused = any("does not fit this model" in s.reason for s in skipped)
    kind = UnsupportedModelError if refused else EngineUnavailableError
    raise kind(
        f"no engine available here can fit {frame.formula}:{reasons}\n"
        "`lmerbridge doctor` says how to make more engines available"
    )
