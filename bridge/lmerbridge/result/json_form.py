"""``FitResult`` to JSON and back without loss, and its JSON Schema.

Everything follows the dataclasses' annotations. Arrays are ``{"shape": [...], "data": [...]}``
in C order; numbers that JSON lacks are the strings ``"NaN"``, ``"Infinity"``, ``"-Infinity"``. A
field with a default may be missing; what is not known here is kept in ``FitResult.others`` and
written again in its place.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import json
import math
import types
import typing
from importlib import resources
from typing import Any, TypeAlias

import numpy as np

from lmerbridge.errors import DataError
from lmerbridge.result.schema import SCHEMA, FitResult, IntArray
from lmerbridge.result.upgrades import upgraded

__all__ = ["from_json", "json_schema", "stored_schema", "to_json"]

OTHERS = "others"  # of FitResult: no field of the document
_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
Path: TypeAlias = "tuple[str | int, ...]"


def _required(field: dataclasses.Field[Any]) -> bool:
    """Whether a document must have the field; one computed on demand has always been written."""
    return field.default is field.default_factory is dataclasses.MISSING


def _shown(where: Path) -> str:
    parts = [f"[{p}]" if isinstance(p, int) else f".{p}" for p in where]
    return "result" + "".join(parts)


def _number(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _encode(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            f.name: _encode(getattr(value, f.name))
            for f in dataclasses.fields(value)
            if f.name != OTHERS
        }
    if isinstance(value, np.ndarray) and value.dtype.kind == "i":  # positions, in one dimension
        return value.tolist()
    if isinstance(value, np.ndarray):
        return {"shape": list(value.shape), "data": [_number(v) for v in value.ravel().tolist()]}
    if isinstance(value, collections.abc.Mapping):
        return {str(k): _encode(v) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return [_encode(v) for v in value]
    if isinstance(value, float):
        return _number(value)
    return value


def to_json(result: FitResult, indent: int | None = None) -> str:
    """The result as JSON text."""
    document = _encode(result)
    for path, value in result.others.items():
        *way, name = json.loads(path)
        place = document
        for step in way:
            place = place[step]
        place[name] = value
    return json.dumps(document, indent=indent, ensure_ascii=False, allow_nan=False)


def _optional(kind: Any) -> tuple[Any, bool]:
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        inner = [a for a in typing.get_args(kind) if a is not type(None)]
        return inner[0], True
    return kind, False


def _is_positions(kind: Any) -> bool:
    return bool(kind == IntArray)


def _is_array(kind: Any) -> bool:
    return typing.get_origin(kind) is np.ndarray or kind is np.ndarray


def _decode(value: Any, kind: Any, where: Path, others: dict[str, Any]) -> Any:
    """The value of this type; what is not known of it is added to ``others`` by its path."""
    kind, optional = _optional(kind)
    if value is None:
        if optional:
            return None
        raise DataError(f"not a {SCHEMA} document: {_shown(where)} is null")
    try:
        if dataclasses.is_dataclass(kind):
            hints = typing.get_type_hints(kind)
            fields = {f.name: f for f in dataclasses.fields(kind) if f.name != OTHERS}
            for name, field in fields.items():
                if name not in value and _required(field):
                    raise DataError(f"not a {SCHEMA} document: {_shown((*where, name))} is missing")
            others.update({json.dumps([*where, n]): value[n] for n in value if n not in fields})
            make: Any = kind
            return make(
                **{
                    n: _decode(value[n], hints[n], (*where, n), others)
                    for n in fields
                    if n in value
                }
            )
        if _is_positions(kind):
            if not all(type(v) is int for v in value):
                raise TypeError("positions are whole numbers")
            return np.array(value, dtype=np.int64)
        if _is_array(kind):
            data = [_SPECIAL[v] if isinstance(v, str) else float(v) for v in value["data"]]
            return np.array(data, dtype=np.float64).reshape(value["shape"])
        origin, args = typing.get_origin(kind), typing.get_args(kind)
        if origin is tuple:
            return tuple(_decode(v, args[0], (*where, i), others) for i, v in enumerate(value))
        if origin is collections.abc.Mapping:
            return {k: _decode(v, args[1], (*where, k), others) for k, v in value.items()}
        if kind is float:
            return _SPECIAL[value] if isinstance(value, str) else float(value)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"not a {SCHEMA} document: {_shown(where)}: {error!r}") from error
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise DataError(f"not a {SCHEMA} document: {_shown(where)} should be {kind.__name__}")
    return value


def _if_a_file(text: str) -> str:
    """A hint where the text is the name of a file and not what is in it."""
    if "{" in text or "\n" in text or not text.rstrip().endswith(".json"):
        return ""
    return f"; the text itself is wanted, as pathlib.Path({text!r}).read_text() gives it"


def from_json(text: str) -> FitResult:
    """The result from :func:`to_json`'s text.

    Raises
    ------
    DataError
        The text is not a document of this schema or an earlier one.
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise DataError(f"not JSON: {error}{_if_a_file(text)}") from error
    others: dict[str, Any] = {}
    result = _decode(upgraded(document), FitResult, (), others)
    assert isinstance(result, FitResult)
    return dataclasses.replace(result, others=others) if others else result


def _schema_of(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    kind, optional = _optional(kind)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        name = kind.__name__
        if name not in definitions:
            definitions[name] = {}
            hints = typing.get_type_hints(kind)
            fields = [f for f in dataclasses.fields(kind) if f.name != OTHERS]
            definitions[name] = {
                "type": "object",
                "description": (kind.__doc__ or "").strip().splitlines()[0],
                "properties": {f.name: _schema_of(hints[f.name], definitions) for f in fields},
                "required": [f.name for f in fields if _required(f)],
            }
        schema: dict[str, Any] = {"$ref": f"#/$defs/{name}"}
    elif _is_positions(kind):
        schema = {"type": "array", "items": {"type": "integer"}}
    elif _is_array(kind):
        schema = {"$ref": "#/$defs/array"}
    elif typing.get_origin(kind) is tuple:
        schema = {"type": "array", "items": _schema_of(typing.get_args(kind)[0], definitions)}
    elif typing.get_origin(kind) is collections.abc.Mapping:
        schema = {
            "type": "object",
            "additionalProperties": _schema_of(typing.get_args(kind)[1], definitions),
        }
    else:
        schema = {
            float: {"$ref": "#/$defs/number"},
            int: {"type": "integer"},
            bool: {"type": "boolean"},
            str: {"type": "string"},
        }[kind]
    return {"anyOf": [schema, {"type": "null"}]} if optional else schema


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the document, made from the dataclasses."""
    definitions: dict[str, Any] = {
        "number": {"anyOf": [{"type": "number"}, {"enum": list(_SPECIAL)}]},
        "array": {
            "type": "object",
            "properties": {
                "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
                "data": {"type": "array", "items": {"$ref": "#/$defs/number"}},
            },
            "required": ["shape", "data"],
            "additionalProperties": False,
        },
    }
    root = _schema_of(FitResult, definitions)
    definitions["FitResult"]["properties"]["schema"] = {"const": SCHEMA}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA,
        "title": "A linear mixed model fitted by any engine of lmerbridge",
        **root,
        "$defs": definitions,
    }


def stored_schema() -> dict[str, Any]:
    """The JSON Schema file that ships with the package (equal to :func:`json_schema`)."""
    text = resources.files("lmerbridge.result").joinpath("schema.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded
