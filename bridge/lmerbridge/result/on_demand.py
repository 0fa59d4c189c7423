"""Fields whose values are computed when they are first asked for, and what is said of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar, cast

import numpy as np

__all__ = ["LateReasons", "on_demand"]

T = TypeVar("T")


class _OnDemand(Generic[T]):
    computed_on_demand = True  # which by_value leaves out of hashes

    def __init__(self, *default: T):
        self._default = default

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = f"_{name}"

    def __get__(self, instance: Any, owner: type | None = None) -> T:
        if instance is None:
            if not self._default:
                raise AttributeError(self._name)  # which says that the field has no default
            return self._default[0]
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


def on_demand(*default: T) -> T:
    """A dataclass field that may be given a function of no arguments in place of its value; with a
    default or without one.

    The function is called when the value is first asked for: by its name, or by whatever looks at
    all fields, such as JSON, ``==`` and ``dataclasses.replace``. An exception in the function
    reaches the caller who read the field; the next read tries again. Pickling takes the function
    along.
    """
    return cast(T, _OnDemand(*default))


class LateReasons(Mapping[str, str]):
    """Why quantities are missing, where that is known only once they are asked for.

    It is the same whenever it is read: reading it asks. It is written to JSON, compared and
    pickled as any mapping; pickling takes the functions along.

    Parameters
    ----------
    known : mapping of str to str
        Reasons that are known from the start, by quantity.
    late : mapping of str to callable
        By quantity a function of no arguments that gives the reason, or ``None`` if the quantity is
        there. What it raises reaches the caller; the next read asks again.
    """

    def __init__(self, known: Mapping[str, str], late: Mapping[str, Callable[[], str | None]]):
        self._known, self._late = dict(known), dict(late)

    def _reasons(self) -> dict[str, str]:
        asked = {name: reason() for name, reason in self._late.items()}
        return {**self._known, **{name: why for name, why in asked.items() if why is not None}}

    def __getitem__(self, quantity: str) -> str:
        return self._reasons()[quantity]

    def __iter__(self) -> Iterator[str]:
        return iter(self._reasons())

    def __len__(self) -> int:
        return len(self._reasons())

    def __repr__(self) -> str:
        return repr(self._reasons())
