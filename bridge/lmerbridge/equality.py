"""Equality and hashes of values that hold arrays, tables or mappings, which ``==`` of a dataclass
cannot compare.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

__all__ = ["by_value", "same"]

T = TypeVar("T")


def same(a: Any, b: Any) -> bool:
    """Compare two values, whatever they hold: arrays by shape and elements, tables by labels and
    values, mappings and sequences by what is in them. NaN is the same as NaN.
    """
    if a is b:
        return True
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and _same_arrays(a, b)
    if hasattr(a, "equals"):  # tables, columns and indices of pandas
        return type(a) is type(b) and bool(a.equals(b))
    if hasattr(a, "tocoo"):  # sparse matrices
        return hasattr(b, "tocoo") and a.shape == b.shape and (a != b).nnz == 0
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, functools.partial) and isinstance(b, functools.partial):
        return a.func == b.func and same(a.args, b.args) and same(a.keywords, b.keywords)
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a):
        return math.isnan(b)
    return type(a) is type(b) and bool(a == b)


def _same_arrays(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> bool:
    if a.shape != b.shape or a.dtype.kind != b.dtype.kind:
        return False
    if a.dtype.kind == "O":
        return all(map(same, a.ravel().tolist(), b.ravel().tolist()))
    return bool(np.array_equal(a, b, equal_nan=a.dtype.kind in "fc"))


def _key(value: Any) -> Any:
    """What equal values have in common, and what is cheap: of arrays and tables the shape alone."""
    if hasattr(value, "shape"):
        return value.shape
    if isinstance(value, Mapping):
        return frozenset(value)
    if isinstance(value, (list, tuple)):
        return tuple(map(_key, value))
    if isinstance(value, functools.partial):
        return _key((value.func, value.args))
    if isinstance(value, float) and math.isnan(value):
        return "nan"
    try:
        return hash(value)
    except TypeError:
        return type(value)


def by_value(cls: type[T]) -> type[T]:
    """Let instances of a frozen dataclass without ``eq`` be equal where all fields are the same.

    Hashes agree with that; fields that are computed when they are first asked for, and those with
    ``hash=False``, are left out of them.
    """
    own: Any = cls
    names = [field.name for field in dataclasses.fields(own)]
    compared = [field.name for field in dataclasses.fields(own) if field.compare]
    late = {name for name in names if getattr(vars(cls).get(name), "computed_on_demand", False)}
    late |= {f.name for f in dataclasses.fields(own) if f.hash is False}
    hashed = [name for name in compared if name not in late]

    def equal(self: Any, other: Any) -> Any:
        if type(other) is not type(self):
            return NotImplemented
        return all(same(getattr(self, name), getattr(other, name)) for name in compared)

    def hash_of(self: Any) -> int:
        return hash((type(self), *(_key(getattr(self, name)) for name in hashed)))

    own.__eq__ = equal
    own.__hash__ = hash_of
    return cls
