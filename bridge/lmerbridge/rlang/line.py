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

__all__ = ["POLL_SECONDS", "ClosedError", "Line"]

POLL_SECONDS = 0.1  # that Ctrl-C may go unnoticed
STALL_SECONDS = 30.0  # that a message may pause
LONGEST_TEXT_BYTES = 1 << 28


class ClosedError(OSError):
    """The other end has closed it."""


class _Patient(io.RawIOBase):
    """Wait for the socket a moment at a time, so that Ctrl-C ends it; the raw stream under the
    reader of :class:`Line`.
    """

    def __init__(self, line: socket.socket):
        self.line = line
        self.end: float | None = None  # of ``time.monotonic``
        self.pause: float | None = None  # seconds without a byte

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        return self.wait(partial(self.line.recv_into, buffer))

    def wait(self, act: Callable[[], int]) -> int:
        """Call ``act``, which reads or writes, as soon as the socket lets it.

        Raises
        ------
        TimeoutError
            The time of :meth:`Line.limit` is over, or after :meth:`Line.flowing` no byte came for
            :data:`STALL_SECONDS`.
        """
        end = self.end if self.pause is None else time.monotonic() + self.pause
        while True:
            left = POLL_SECONDS if end is None else end - time.monotonic()
            self.line.settimeout(min(max(left, 1e-3), POLL_SECONDS))
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
        """Let reading and writing end at ``end``, seconds of ``time.monotonic``, or at no time."""
        self._patient.end, self._patient.pause = end, None

    def flowing(self) -> None:
        """From now on, raise ``TimeoutError`` where a message that has begun to arrive stops for
        more than :data:`STALL_SECONDS`.
        """
        self._patient.pause = STALL_SECONDS

    def send(self, pieces: Sequence[Any]) -> None:
        """Write all pieces, small ones together.

        Raises
        ------
        OSError
            The process has ended or closed its end.
        TimeoutError
            The time of :meth:`limit` is over.
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
        """Read ``count`` bytes.

        Raises
        ------
        ClosedError
            The process closed its end before it had sent them.
        OSError
            The connection was lost.
        TimeoutError
            The time of :meth:`limit` is over, or a message that had begun stopped.
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
        """Read ``count`` texts, each ended by a zero byte.

        Raises
        ------
        ClosedError, OSError, TimeoutError
            As :meth:`read`.
        ValueError
            A text is longer than :data:`LONGEST_TEXT_BYTES`.
        """
        found: list[bytes] = []
        rest = b""
        while len(found) < count:
            part = self._reader.peek(1)
            if not part:
                raise ClosedError("the line was closed")
            if len(rest) > LONGEST_TEXT_BYTES:
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
