"""Several R processes, lent to whoever calls: from any thread, in parallel, and after a fork."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Mapping

from lmerbridge.errors import DataError, EngineUnavailableError
from lmerbridge.rlang.child import GoneError
from lmerbridge.rlang.line import MOMENT
from lmerbridge.rlang.values import PooledSession, Reply, Value

__all__ = ["Pool", "wanted_workers"]

TRIES = 5


def wanted_workers() -> int:
    """How many processes ``LMERBRIDGE_R_WORKERS`` allows; one by default.

    Raises
    ------
    DataError
    """
    text = os.environ.get("LMERBRIDGE_R_WORKERS", "1") or "1"
    try:
        count = int(text)
    except ValueError:
        count = 0
    if count < 1:
        raise DataError(f"LMERBRIDGE_R_WORKERS must be a positive whole number, not {text!r}")
    return count


class Pool:
    """Starts processes when they are needed, up to a number, and gives each call one of its own.

    Parameters
    ----------
    make : callable
        Starts a process; it need not be ready.
    size : int
    """

    def __init__(self, make: Callable[[], PooledSession], size: int, name: str):
        self.name = name
        self._make, self.size = make, size
        self._free: list[PooledSession] = []
        self._busy: set[PooledSession] = set()
        self._starting = 0
        self._change = threading.Condition()
        self._pid = os.getpid()
        self._closed = False
        self._worked = False

    def prestart(self) -> None:
        """Begin to start a process, if there is none; whoever calls first waits for it."""
        with contextlib.suppress(Exception):
            session = self._taken(None)
            self._given_back(session)

    def _taken(self, end: float | None) -> PooledSession:
        self.forget_parent()
        with self._change:
            while True:
                while self._free:
                    session = self._free.pop()
                    if session.alive:
                        self._busy.add(session)
                        return session
                    session.close()
                if len(self._busy) + self._starting < self.size:
                    self._starting += 1
                    break
                left = None if end is None else end - time.monotonic()
                if left is not None and left <= 0:
                    raise GoneError("every R process was busy for the whole timeout")
                # a moment at a time: see line.py
                self._change.wait(MOMENT if left is None else min(left, MOMENT))
        try:
            session = self._make()
        finally:
            with self._change:
                self._starting -= 1
                self._change.notify()
        with self._change:
            self._busy.add(session)
        return session

    def _given_back(self, session: PooledSession) -> None:
        with self._change:
            self._busy.discard(session)
            if session.alive and not self._closed:
                self._free.append(session)
            self._change.notify()
        if not session.alive:
            session.close()

    def call(
        self, function: str, arguments: Mapping[str, Value], timeout: float | None = None
    ) -> Reply:
        """Run ``function`` in a process that is free; see
        :class:`lmerbridge.rlang.values.Session`.
        """
        end = None if timeout is None else time.monotonic() + timeout
        session = self._started(end)
        try:
            return session.call(function, arguments, timeout)
        finally:
            self._given_back(session)

    def _started(self, end: float | None) -> PooledSession:
        """A process that answers. One that ends while it starts, where others have started, is no
        failure of a call's: another is started.
        """
        for tries in range(TRIES, 0, -1):
            session = self._taken(end)
            try:
                session.start()
            except BaseException as error:
                self._given_back(session)
                if isinstance(error, EngineUnavailableError) and self._worked and tries > 1:
                    continue
                raise
            self._worked = True
            return session
        raise AssertionError  # the last try has returned or raised

    def processes(self) -> list[int]:
        """Process ids."""
        self.forget_parent()
        with self._change:
            return [s.number for s in (*self._free, *self._busy)]

    def close(self) -> None:
        """End all processes."""
        if self._pid != os.getpid():
            self.forget_parent()
            return
        with self._change:
            sessions = [*self._free, *self._busy]
            self._free.clear()
            self._closed = True
        for session in sessions:
            session.close()

    def forget_parent(self) -> None:
        """After a fork: the processes are the parent's."""
        if self._pid == os.getpid():
            return
        sessions = [*self._free, *self._busy]
        self._free, self._busy, self._starting = [], set(), 0
        self._change = threading.Condition()
        self._pid = os.getpid()
        for session in sessions:
            session.let_go()
