"""Engines fit; one file each, found through entry points."""

from lmerbridge.engines.protocol import Engine, Feature, FitSpec, Status, features_of
from lmerbridge.engines.registry import (
    AUTO_ORDER,
    engine_names,
    fit,
    is_rival,
    load_engine,
    prepare,
    refusal,
    register_engine,
    status_of,
)

__all__ = [
    "AUTO_ORDER",
    "Engine",
    "Feature",
    "FitSpec",
    "Status",
    "engine_names",
    "features_of",
    "fit",
    "is_rival",
    "load_engine",
    "prepare",
    "refusal",
    "register_engine",
    "status_of",
]
