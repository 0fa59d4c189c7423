"""Fields whose values are computed when they are first asked for."""

from __future__ import annotations

from typing import Any, Generic, TypeVar, cast

import numpy as np

__all__ = ["on_demand"]

T = TypeVar("T")


class _OnDemand(Generic[T]):
    computed_on_demand = True  # which by_value leaves out of hashes

    def __init__(self, default: T):
        self._default = default

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = f"_{name}"

    def __get__(self, instance: Any, owner: type | None = None) -> T:
        if instance is None:
            return self._default
        values = vars(instance)
        value = values[self._name]
        if callable(value):  # two threads that ask at once both compute it
            value = value()
            if isinstance(value, np.ndarray):
                value.setflags(write=False)
            values[self._name] = value
        return cast(T, value)

    def __set__(self, instance: Any, value: Any) -> None:
        vars(instance)[self._name] = value


def on_demand(default: T) -> T:
    """A dataclass field that may be given a function of no arguments in place of its value.

    The function is called when the value is first asked for: by its name, or by whatever looks at
    all fields, such as JSON, ``==`` and ``dataclasses.replace``. An exception in the function
    reaches the caller who read the field; the next read tries again. Pickling takes the function
    along.
    """
    return cast(T, _OnDemand(default))
