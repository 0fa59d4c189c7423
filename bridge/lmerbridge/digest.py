"""Digests, by which an earlier answer is known to be of the same question: of what a value holds
(equal values have equal ones, in every process), of files, and of this package's code.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["digest", "digest_of_files", "own_code"]

_PLAIN = (bool, int, float, complex, str, bytes)


def _parts(value: Any) -> Iterator[bytes]:
    """What tells the value apart; each part says its kind and its length, so that none runs into
    the next.
    """
    if isinstance(value, np.generic):
        value = value.item()  # a number, whoever made it
    if value is None or isinstance(value, _PLAIN):
        text = value if isinstance(value, bytes) else repr(value).encode("utf-8", "surrogatepass")
        yield f"{type(value).__name__} {len(text)}:".encode() + text
    elif isinstance(value, Enum):
        yield f"enum {type(value).__qualname__}.{value.name};".encode()
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        yield f"{type(value).__qualname__} {len(fields)}:".encode()
        for field in fields:  # not vars(): what was computed since is no part of it
            yield f"{field.name}=".encode()
            yield from _parts(getattr(value, field.name))
    elif isinstance(value, np.ndarray):
        yield f"array {value.dtype.str} {value.shape}:".encode()
        if value.dtype.hasobject:
            yield from _parts(value.ravel().tolist())
        else:
            yield np.ascontiguousarray(value).tobytes()
    elif isinstance(value, pd.Index):
        yield f"index {type(value).__name__} {value.dtype} {list(value.names)!r}:".encode()
        plain = value.dtype.kind in "iufb"
        yield from _parts(value.to_numpy() if plain else [repr(label) for label in value])
    elif isinstance(value, Mapping):
        yield f"mapping {len(value)}:".encode()
        for key, found in value.items():
            yield from _parts(key)
            yield from _parts(found)
    elif isinstance(value, (tuple, list)):
        yield f"{type(value).__name__} {len(value)}:".encode()
        for item in value:
            yield from _parts(item)
    elif isinstance(value, (set, frozenset)):
        yield f"set {len(value)}:".encode()
        for one in sorted(digest(item) for item in value):
            yield one.encode()
    else:
        raise TypeError(f"no digest of a {type(value).__qualname__}")


def digest(*values: Any) -> str:
    """SHA-256 of what the values hold: numbers, texts, arrays, and whatever is made of them.

    Raises
    ------
    TypeError
        Something else, of which nobody can say that it is the same as another time.
    """
    found = hashlib.sha256()
    for part in _parts(values):
        found.update(part)
    return found.hexdigest()


def digest_of_files(paths: Iterable[Path]) -> str:
    """SHA-256 of the names and contents of files."""
    found = hashlib.sha256()
    for path in paths:
        found.update(path.name.encode("utf-8", "surrogateescape"))
        found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


@functools.cache
def own_code() -> str:
    """A digest of the code of this package: a checkout changes, and keeps its version."""
    folder = Path(__file__).parent
    return digest_of_files(sorted(p for e in ("py", "R") for p in folder.rglob(f"*.{e}")))
