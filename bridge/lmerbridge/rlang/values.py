"""What crosses between Python and R, whatever the transport.

To R: floats, ints, bools, strings, ``None``, NumPy arrays of float64, int32 or bool (one or two
dimensions; NaN stands for NA), tuples of strings, :class:`RFactor`, :class:`RLogical`, and dicts of
these (named lists).
From R: the same, with vectors as arrays, character vectors as lists, lists as dicts or lists.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np

__all__ = ["Condition", "RFactor", "RFailure", "RLogical", "Reply", "Session"]


@dataclass(frozen=True)
class RFactor:
    """An R factor: 0-based ``codes`` (-1 for NA) into ``levels``."""

    codes: np.ndarray[Any, np.dtype[Any]]
    levels: tuple[str, ...]
    ordered: bool = False


@dataclass(frozen=True)
class RLogical:
    """An R logical vector that may hold NA: 1, 0, and -1 for NA."""

    values: np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Condition:
    """A warning or message of R's: ``kind`` is ``"warning"`` or ``"message"``."""

    kind: str
    text: str


@dataclass(frozen=True)
class RFailure:
    """An error of R's: its message and the R call that raised it."""

    text: str
    call: str


Value: TypeAlias = Any


@dataclass(frozen=True)
class Reply:
    """What one call brought: a value or a failure, and what R said meanwhile."""

    value: Value
    failure: RFailure | None
    said: tuple[Condition, ...]
    output: tuple[str, ...]


class Session(Protocol):
    """A running R: the one thing a transport has to provide.

    ``call`` runs a function of ``lmerbridge.R`` with named arguments. It raises
    ``EngineUnavailableError`` if R cannot be reached; an error inside R is a
    :class:`Reply` with ``failure``.
    """

    name: str

    def call(self, function: str, arguments: Mapping[str, Value]) -> Reply: ...

    def close(self) -> None: ...
