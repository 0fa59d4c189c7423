"""Engines fit; one file or folder each. The registry lists ours, entry points find others."""

from lmerbridge.engines.asked import Seconds, fit_spec, like_lme4, start_values, timeout_seconds
from lmerbridge.engines.located import EngineName, engine_name, package_of
from lmerbridge.engines.protocol import (
    LINEAR_MIXED,
    Engine,
    Feature,
    FitSpec,
    Status,
    features_of,
)
from lmerbridge.engines.registry import (
    AUTO_ORDER,
    engine_names,
    fit,
    is_engine,
    is_registered,
    is_rival,
    load_engine,
    prepare,
    refusal,
    register_engine,
    status_of,
)

__all__ = [
    "AUTO_ORDER",
    "LINEAR_MIXED",
    "Engine",
    "EngineName",
    "Feature",
    "FitSpec",
    "Seconds",
    "Status",
    "engine_name",
    "engine_names",
    "features_of",
    "fit",
    "fit_spec",
    "is_engine",
    "is_registered",
    "is_rival",
    "like_lme4",
    "load_engine",
    "package_of",
    "prepare",
    "refusal",
    "register_engine",
    "start_values",
    "status_of",
    "timeout_seconds",
]
