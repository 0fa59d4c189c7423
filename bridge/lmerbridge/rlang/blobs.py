"""Large arrays are sent to an R process once: later calls name them by what they hold."""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np

from lmerbridge.rlang.values import RFactor, RLogical, Value

__all__ = ["Forget", "Kept", "Known", "Ledger", "resolved"]

LARGE_BYTES = 1 << 16  # bytes from which an array is worth naming
CACHE_BYTES = int(os.environ.get("LMERBRIDGE_R_CACHE", 1 << 30))  # bytes that a process keeps


@dataclass(frozen=True)
class Kept:
    """A value to be kept under this key."""

    key: str
    value: Value


@dataclass(frozen=True)
class Known:
    """The value kept under this key."""

    key: str


@dataclass(frozen=True)
class Forget:
    """Keys to forget before ``value``."""

    keys: tuple[str, ...]
    value: Value


def _buffers(value: Any) -> tuple[np.ndarray[Any, np.dtype[Any]], ...]:
    if isinstance(value, RFactor):
        return (value.codes,)
    if isinstance(value, RLogical):
        return (value.values,)
    return (value,) if isinstance(value, np.ndarray) else ()


def _key(value: Any) -> str:
    digest = hashlib.blake2b(digest_size=20)
    digest.update(type(value).__name__.encode())
    for buffer in _buffers(value):
        digest.update(f"{buffer.dtype.str}{buffer.shape}{buffer.flags.f_contiguous}".encode())
        digest.update(np.ascontiguousarray(buffer).data)
    if isinstance(value, RFactor):
        digest.update(repr((value.ordered, value.levels)).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


class Ledger:
    """What one R process has kept, in order of use; the process itself only obeys."""

    def __init__(self, room: int | None = None):
        self.room = CACHE_BYTES if room is None else room
        self.sizes: OrderedDict[str, int] = OrderedDict()

    def prepared(self, arguments: dict[str, Value]) -> Value:
        """The arguments with large arrays named, and what has to be forgotten for them."""
        used: set[str] = set()
        named = self._named(arguments, used)
        gone = []
        while sum(self.sizes.values()) > self.room:
            key = next((k for k in self.sizes if k not in used), None)
            if key is None:
                break
            del self.sizes[key]
            gone.append(key)
        return Forget(tuple(gone), named) if gone else named

    def _named(self, value: Value, used: set[str]) -> Value:
        if isinstance(value, dict):
            return {k: self._named(v, used) for k, v in value.items()}
        if isinstance(value, (list, tuple)) and not all(isinstance(v, str) for v in value):
            return [self._named(v, used) for v in value]
        size = sum(buffer.nbytes for buffer in _buffers(value))
        if size < LARGE_BYTES:
            return value
        key = _key(value)
        used.add(key)
        if key in self.sizes:
            self.sizes.move_to_end(key)
            return Known(key)
        self.sizes[key] = size
        return Kept(key, value)


def resolved(value: Value, kept: dict[str, Value], made: Any) -> Value:
    """The value with names replaced, on the side that keeps; ``made`` makes what is kept."""
    if isinstance(value, Forget):
        for key in value.keys:
            kept.pop(key, None)
        return resolved(value.value, kept, made)
    if isinstance(value, Kept):
        kept[value.key] = made(value.value)
        return kept[value.key]
    if isinstance(value, Known):
        return kept[value.key]
    if isinstance(value, dict):
        return {k: resolved(v, kept, made) for k, v in value.items()}
    if isinstance(value, (list, tuple)) and not all(isinstance(v, str) for v in value):
        return [resolved(v, kept, made) for v in value]
    return value
