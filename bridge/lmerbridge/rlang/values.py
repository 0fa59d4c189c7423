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

from lmerbridge.equality import by_value
from lmerbridge.errors import UnsupportedModelError

__all__ = [
    "Condition",
    "PooledSession",
    "RFactor",
    "RFailure",
    "RLogical",
    "Reply",
    "Session",
    "Value",
    "codes_in_r",
    "doubles_in_r",
    "refuse_nul",
    "reply_of",
    "truth_in_r",
]

Whole: TypeAlias = np.ndarray[Any, np.dtype[np.int32]]
Doubles: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
NA_INTEGER = -(2**31)
NA_REAL = 0x7FF00000000007A2  # the NaN whose payload is 1954


@by_value
@dataclass(frozen=True, eq=False)
class RFactor:
    """An R factor: 0-based ``codes`` (-1 for NA) into ``levels``."""

    codes: np.ndarray[Any, np.dtype[Any]]
    levels: tuple[str, ...]
    ordered: bool = False


@by_value
@dataclass(frozen=True, eq=False)
class RLogical:
    """An R logical vector that may hold NA: 1, 0, and -1 for NA."""

    values: np.ndarray[Any, np.dtype[Any]]


def codes_in_r(factor: RFactor) -> Whole:
    """The codes as R holds them: from 1 on, NA an integer of its own."""
    codes = factor.codes.astype(np.int32) + np.int32(1)
    codes[factor.codes < 0] = NA_INTEGER
    return codes


def truth_in_r(logical: RLogical) -> Whole:
    """Truth values as R holds them."""
    truth = np.ascontiguousarray(logical.values.astype(np.int32))
    truth[logical.values < 0] = NA_INTEGER
    return truth


def doubles_in_r(flat: Doubles) -> Doubles:
    """Doubles as R holds them. A NaN of ours is NA; to R they differ, as levels for instance."""
    missing = np.isnan(flat)
    if missing.any():
        flat = flat.copy()
        flat.view(np.uint64)[missing] = NA_REAL
    return flat


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
    """What one call brought: a value or a failure, and what R said meanwhile.

    ``deaths`` says how R ended in earlier tries of the same call.
    """

    value: Value
    failure: RFailure | None
    said: tuple[Condition, ...]
    output: tuple[str, ...]
    deaths: tuple[str, ...] = ()


def reply_of(answer: Any) -> Reply:
    """What ``run`` of ``lmerbridge.R`` returned, as a :class:`Reply`.

    Raises
    ------
    KeyError, TypeError, AttributeError
        It is something else.
    """
    failure, said, output = answer["failure"], answer["said"], answer["output"]
    return Reply(
        answer["value"],
        None if failure is None else RFailure(failure["text"], failure["call"]),
        tuple(Condition(s["kind"], s["text"].rstrip("\n")) for s in said or []),
        tuple([output] if isinstance(output, str) else output or ()),
    )


class Session(Protocol):
    """A running R: the one thing a transport has to provide.

    ``call`` runs a function of ``lmerbridge.R`` with named arguments. It raises
    ``EngineUnavailableError`` if R cannot be reached, ``FitFailedError`` if R ends meanwhile or
    takes longer than ``timeout`` seconds; an error inside R is a :class:`Reply` with ``failure``.
    """

    name: str

    def call(
        self, function: str, arguments: Mapping[str, Value], timeout: float | None = None
    ) -> Reply: ...

    def close(self) -> None: ...


class PooledSession(Session, Protocol):
    """A session that is a process, which may end."""

    @property
    def alive(self) -> bool: ...

    @property
    def number(self) -> int:
        """Process id."""
        ...

    def start(self) -> None:
        """Wait until it answers."""
        ...

    def let_go(self) -> None:
        """Forget the process without ending it."""


def refuse_nul(value: Value) -> None:
    """R's texts end at a NUL, so that two levels could become one: refused before anything is sent.

    Raises
    ------
    UnsupportedModelError
        A text, a level or a name has a NUL.
    """
    if isinstance(value, str):
        if "\0" in value:
            raise UnsupportedModelError(
                f"R cannot hold the text {value!r}, which has a NUL character; engine='native' can"
            )
    elif isinstance(value, RFactor):
        if "\0" in "".join(value.levels):
            refuse_nul(next(level for level in value.levels if "\0" in level))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            refuse_nul(key)
            refuse_nul(item)
    elif isinstance(value, (tuple, list)):
        for item in value:
            refuse_nul(item)
