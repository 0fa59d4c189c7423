"""``FitResult``: the frozen schema, its tables and its JSON form."""

from lmerbridge.result.json_form import from_json, json_schema, stored_schema, to_json
from lmerbridge.result.on_demand import LateReasons
from lmerbridge.result.schema import (
    SCHEMA,
    CallInfo,
    Criterion,
    DataInfo,
    Estimates,
    Evidence,
    FitResult,
    Provenance,
    RandomEffects,
    Skipped,
)

__all__ = [
    "SCHEMA",
    "CallInfo",
    "Criterion",
    "DataInfo",
    "Estimates",
    "Evidence",
    "FitResult",
    "LateReasons",
    "Provenance",
    "RandomEffects",
    "Skipped",
    "from_json",
    "json_schema",
    "stored_schema",
    "to_json",
]
