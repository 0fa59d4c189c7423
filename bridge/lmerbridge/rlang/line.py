"""A socket to a process of ours, whose waiting Ctrl-C always ends.

A signal ends a blocking ``recv`` only where its handler was installed to do so. Other libraries
install theirs so that the call goes on (polars does, when it is imported), and on Windows no
signal ends it; hence nothing here waits for longer than a moment at a time.
"""

from __future__ import annotations

import contextlib
import io
import socket
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

__all__ = ["MOMENT", "ClosedError", "Line"]

MOMENT = 0.1  # seconds that Ctrl-C may go unnoticed
STALL = 30.0  # seconds that a message may pause
LONGEST = 1 << 28  # bytes of a text


class ClosedError(OSError):
    """The other end has closed it."""


class _Patient(io.RawIOBase):
    """The raw side of the reader, and what waits."""

    def __init__(self, line: socket.socket):
        self.line = line
        self.end: float | None = None  # of ``time.monotonic``
        self.pause: float | None = None  # seconds without a byte

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        return self.wait(partial(self.line.recv_into, buffer))

    def wait(self, act: Callable[[], int]) -> int:
        """Do it once it can be done.

        Raises
        ------
        TimeoutError
        """
        end = self.end if self.pause is None else time.monotonic() + self.pause
        while True:
            left = MOMENT if end is None else end - time.monotonic()
            self.line.settimeout(min(max(left, 1e-3), MOMENT))
            try:
                return act()
            except TimeoutError:
                if end is not None and time.monotonic() >= end:
                    raise


class Line:
    """Bytes to and from a process.

    Parameters
    ----------
    line : socket.socket
        Connected; it is the line's from now on.
    """

    def __init__(self, line: socket.socket):
        self._line = line
        self._patient = _Patient(line)
        self._reader = io.BufferedReader(self._patient, 1 << 20)

    def limit(self, end: float | None) -> None:
        """Reading and writing from now on is over at ``end`` (of ``time.monotonic``)."""
        self._patient.end, self._patient.pause = end, None

    def flowing(self) -> None:
        """What was begun to be sent must go on: a pause in it from now on is a ``TimeoutError``."""
        self._patient.pause = STALL

    def send(self, pieces: Sequence[Any]) -> None:
        """Write all pieces, small ones together.

        Raises
        ------
        OSError, TimeoutError
        """
        small = bytearray()
        for piece in pieces:
            view = memoryview(piece).cast("B") if not isinstance(piece, bytes) else piece
            if len(view) < 1 << 16:
                small += view
                continue
            if small:
                self._send(small)
                small = bytearray()
            self._send(view)
        if small:
            self._send(small)

    def _send(self, piece: bytes | bytearray | memoryview) -> None:
        view, done = memoryview(piece), 0
        while done < len(view):
            done += self._patient.wait(partial(self._line.send, view[done:]))

    def read(self, count: int) -> bytearray:
        """So many bytes.

        Raises
        ------
        ClosedError, OSError, TimeoutError
        """
        data = bytearray(count)
        view, done = memoryview(data), 0
        while done < count:
            got = self._reader.readinto(view[done:])
            if not got:
                raise ClosedError("the line was closed")
            done += got
        return data

    def texts(self, count: int) -> list[bytes]:
        """So many texts that end with 0.

        Raises
        ------
        ClosedError, OSError, TimeoutError
        ValueError
            A text without end.
        """
        found: list[bytes] = []
        rest = b""
        while len(found) < count:
            part = self._reader.peek(1)
            if not part:
                raise ClosedError("the line was closed")
            if len(rest) > LONGEST:
                raise ValueError("a text without end")
            pieces = part.split(b"\0", count - len(found))
            complete = pieces[:-1]
            if len(complete) == count - len(found):
                used = sum(len(p) + 1 for p in complete)
            else:
                used = len(part)
            self._reader.read(used)
            if complete:
                complete[0] = rest + complete[0]
                rest = b""
            found += complete
            if used == len(part):
                rest += pieces[-1]
        return found

    def close(self) -> None:
        """Close this end."""
        for part in (self._reader, self._line):
            with contextlib.suppress(OSError):
                part.close()
