"""Values as bytes for an R process that reads them with base R alone (``serve.R``).

Every value is a tag (a little-endian 32-bit integer), counts, and data as R holds it: 0 ``NULL``;
1, 2, 3 logical, integer, double (count, number of dimensions, dimensions, numbers); 4 strings
(count, how many are missing, texts that end with 0, positions of the missing); 5 a list (count,
whether it has names, names, values); 6 a factor (whether ordered, levels, codes); 7 a value kept
before under this key; 8 a key and the value to keep under it; 9 keys to forget, and the value
that follows.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from lmerbridge.rlang.blobs import Forget, Kept, Known
from lmerbridge.rlang.values import (
    RFactor,
    RLogical,
    Value,
    codes_in_r,
    doubles_in_r,
    refuse_nul,
    truth_in_r,
)

__all__ = ["MESSAGE_MARK", "BadReplyError", "decode", "encode"]

MESSAGE_MARK = 1279414092
MAX_LENGTH = 2**31 - 1
MAX_DEPTH = 64


class BadReplyError(Exception):
    """What came back is no reply: the connection is in an unknown state."""


def _whole(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}i", *numbers)


def _text(value: str) -> bytes:
    refuse_nul(value)
    return value.encode("utf-8", "surrogatepass") + b"\0"


def encode(value: Value) -> list[Any]:
    """The bytes of a value, in pieces (large arrays are not copied).

    Raises
    ------
    UnsupportedModelError
        A text with NUL.
    TypeError
        Something that has no counterpart in R.
    """
    pieces: list[Any] = []
    _put(value, pieces)
    return pieces


def _put(value: Value, out: list[Any]) -> None:
    if value is None:
        out.append(_whole(0))
    elif isinstance(value, (bool, np.bool_)):
        out.append(_whole(1, 1, 0, int(value)))
    elif isinstance(value, (int, np.integer)):
        out.append(_whole(2, 1, 0, int(value)))
    elif isinstance(value, (float, np.floating)):
        out.append(_whole(3, 1, 0))
        out.append(doubles_in_r(np.array([value], dtype=np.float64)).data)
    elif isinstance(value, str):
        out.append(_whole(4, 1, 0) + _text(value))
    elif isinstance(value, RFactor):
        codes = codes_in_r(value)
        out.append(_whole(6, int(value.ordered), len(value.levels)))
        out.append(b"".join(map(_text, value.levels)))
        out.append(_whole(len(codes)))
        out.append(codes.data)
    elif isinstance(value, RLogical):
        truth = truth_in_r(value)
        out.append(_whole(1, len(truth), 0))
        out.append(truth.data)
    elif isinstance(value, np.ndarray):
        _put_array(value, out)
    elif isinstance(value, Kept):
        out.append(_whole(8) + _text(value.key))
        _put(value.value, out)
    elif isinstance(value, Known):
        out.append(_whole(7) + _text(value.key))
    elif isinstance(value, Forget):
        out.append(_whole(9, len(value.keys)) + b"".join(map(_text, value.keys)))
        _put(value.value, out)
    elif isinstance(value, dict):
        out.append(_whole(5, len(value), 1) + b"".join(_text(str(k)) for k in value))
        for item in value.values():
            _put(item, out)
    elif isinstance(value, (tuple, list)) and all(isinstance(v, str) for v in value):
        out.append(_whole(4, len(value), 0) + b"".join(map(_text, value)))
    elif isinstance(value, (tuple, list)):
        out.append(_whole(5, len(value), 0))
        for item in value:
            _put(item, out)
    else:
        raise TypeError(f"cannot send {type(value).__name__} to R")


def _put_array(array: np.ndarray[Any, np.dtype[Any]], out: list[Any]) -> None:
    flat = np.ravel(array, order="F")
    tag, dtype = {"b": (1, np.int32), "i": (2, np.int32), "f": (3, np.float64)}[flat.dtype.kind]
    dims = array.shape if array.ndim == 2 else ()
    out.append(_whole(tag, len(flat), len(dims), *dims))
    data = np.ascontiguousarray(flat, dtype=dtype)
    out.append((doubles_in_r(data) if tag == 3 else data).data)


class _Reader:
    def __init__(self, read: Callable[[int], Any], text: Callable[[int], list[bytes]]):
        self.read, self.text = read, text

    def whole(self, count: int = 1) -> tuple[int, ...]:
        return struct.unpack(f"<{count}i", self.read(4 * count))

    def size(self, number: int) -> int:
        if not 0 <= number <= MAX_LENGTH:
            raise BadReplyError(f"a size of {number}")
        return number

    def value(self, depth: int = 0) -> Value:
        if depth > MAX_DEPTH:
            raise BadReplyError("lists within lists without end")
        (tag,) = self.whole()
        if tag == 0:
            return None
        if tag in (1, 2, 3):
            return self.vector(tag)
        if tag == 4:
            count, missing = (self.size(n) for n in self.whole(2))
            texts: list[str | None] = list(self.strings(count))
            for place in self.whole(missing) if missing else ():
                if not 1 <= place <= count:
                    raise BadReplyError(f"a missing string at {place}")
                texts[place - 1] = None
            return texts[0] if count == 1 else texts
        if tag == 5:
            count, named = self.whole(2)
            labels = self.strings(self.size(count)) if named else None
            items = [self.value(depth + 1) for _ in range(self.size(count))]
            return items if labels is None else dict(zip(labels, items, strict=True))
        raise BadReplyError(f"a tag of {tag}")

    def strings(self, count: int) -> list[str]:
        return [text.decode("utf-8", "replace") for text in self.text(count)] if count else []

    def vector(self, tag: int) -> Value:
        count, dims = self.whole(2)
        if not 0 <= dims <= 8:
            raise BadReplyError(f"{dims} dimensions")
        dim = self.whole(dims) if dims else ()
        dtype = np.dtype("<f8") if tag == 3 else np.dtype("<i4")
        data = self.read(self.size(count) * dtype.itemsize)
        if count == 0:
            return np.empty(0)
        array: np.ndarray[Any, np.dtype[Any]] = np.frombuffer(data, dtype=dtype)
        if tag == 1:
            array = array != 0
        if dims:
            if int(np.prod(dim, dtype=np.int64)) != count:
                raise BadReplyError("dimensions that do not fit")
            return array.reshape(dim, order="F")
        return array.item() if count == 1 else array


def decode(
    read: Callable[[int], Any],
    text: Callable[[int], list[bytes]],
    begun: Callable[[], None] = lambda: None,
) -> Value:
    """A value of R's.

    Parameters
    ----------
    read : callable
        Gives so many bytes.
    text : callable
        Gives so many texts that end with 0, without that.
    begun : callable
        Called once the reply has begun.

    Raises
    ------
    BadReplyError
        What is read is no reply.
    """
    reader = _Reader(read, text)
    (mark,) = reader.whole()
    begun()
    if mark != MESSAGE_MARK:
        raise BadReplyError(f"{mark:#x} where a reply begins")
    return reader.value()
