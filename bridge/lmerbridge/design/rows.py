"""Work on many rows, some at a time, so that it takes little memory beside the data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

__all__ = ["chunks", "triangle"]

# Enough rows for numpy to be efficient.
CHUNK = 250_000


def chunks(rows: int) -> Iterator[slice]:
    """All rows, some at a time."""
    for start in range(0, rows, CHUNK):
        yield slice(start, min(start + CHUNK, rows))


def triangle(parts: Iterable[np.ndarray[Any, np.dtype[np.float64]]]) -> Any:
    """R of the QR decomposition of a matrix that comes some rows at a time."""
    R = None
    for part in parts:
        R = np.linalg.qr(part if R is None else np.concatenate([R, part]), mode="r")
    return R
