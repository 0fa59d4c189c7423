"""Several R processes, lent to whoever calls: from any thread, in parallel, and after a fork."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from lmerbridge.errors import DataError, EngineUnavailableError
from lmerbridge.rlang.child import GoneError, KilledError, KilledStartingError
from lmerbridge.rlang.line import POLL_SECONDS
from lmerbridge.rlang.values import PooledSession, Reply, Value

__all__ = ["Pool", "wanted_workers"]

MAX_FAILED_STARTS = 5


def wanted_workers() -> int:
    """How many processes ``LMERBRIDGE_R_WORKERS`` allows; one by default.

    Raises
    ------
    DataError
        It is set to what is no positive whole number.
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
        self._repeats = 0  # repeated calls that wait for a process
        self._change = threading.Condition()
        self._pid = os.getpid()
        self._closed = False
        self._worked = False

    def prestart(self) -> None:
        """Begin to start a process, if there is none; whoever calls first waits for it."""
        with contextlib.suppress(Exception):
            session = self._taken(None)
            self._given_back(session)

    def _taken_for_a_repeat(self, end: float | None) -> PooledSession:
        """Return the next process that is free, before all other calls.

        One that works is ready at once. A new one takes a second to start, and whatever killed the
        first may have killed it by then; another is begun all the same, so that a repeat does not
        wait for calls that take long.
        """
        with self._change:
            self._repeats += 1
            another = bool(self._busy) and not self._free and self._room()
            self._starting += another
        try:
            if another:
                threading.Thread(target=self._start_another, daemon=True).start()
            return self._taken(end, repeat=True)
        finally:
            with self._change:
                self._repeats -= 1
                self._change.notify_all()

    def _start_another(self) -> None:
        with contextlib.suppress(Exception):  # whoever needs it meets the error
            session = self._made()
            try:
                session.start()
            finally:
                self._given_back(session)

    def _room(self) -> bool:
        return len(self._busy) + self._starting < self.size

    def _taken(self, end: float | None, repeat: bool = False) -> PooledSession:
        self.forget_parent()
        with self._change:
            while True:
                while self._free and (repeat or not self._repeats):
                    session = self._free.pop()
                    if session.alive:
                        self._busy.add(session)
                        return session
                    session.close()
                if self._room() and not (repeat and self._busy):
                    self._starting += 1
                    break
                left = None if end is None else end - time.monotonic()
                if left is not None and left <= 0:
                    raise GoneError("every R process was busy for the whole timeout")
                # a moment at a time: see line.py
                self._change.wait(POLL_SECONDS if left is None else min(left, POLL_SECONDS))
        return self._made()

    def _made(self) -> PooledSession:
        """Return a new process in the place that ``_starting`` keeps for it."""
        made: list[PooledSession] = []
        try:
            made.append(self._make())
        finally:
            with self._change:
                self._starting -= 1
                self._busy.update(made)
                self._change.notify_all()
        return made[0]

    def _given_back(self, session: PooledSession) -> None:
        with self._change:
            self._busy.discard(session)
            if session.alive and not self._closed:
                self._free.append(session)
            self._change.notify_all()
        if not session.alive or self._closed:
            session.close()

    def call(
        self, function: str, arguments: Mapping[str, Value], timeout: float | None = None
    ) -> Reply:
        """Run ``function`` in a process that is free; see
        :class:`lmerbridge.rlang.values.Session`.

        What R is asked depends on the arguments alone, so that a call whose process a signal ended
        is repeated once, by another process and in what is left of ``timeout``; the reply's
        ``deaths`` say so.

        Raises
        ------
        EngineUnavailableError
            R does not start.
        FitFailedError
            R ended in both tries, or ended by itself, or took longer than ``timeout`` seconds.
        """
        end = None if timeout is None else time.monotonic() + timeout
        try:
            return self._call_once(function, arguments, end, timeout)
        except KilledError as error:
            left = None if end is None else end - time.monotonic()
            if self._closed or (left is not None and left <= 0):
                raise
            death = str(error).removesuffix("; the next call starts another")
        reply = self._call_once(function, arguments, end, left, repeat=True)
        return replace(reply, deaths=(death,))

    def _call_once(
        self,
        function: str,
        arguments: Mapping[str, Value],
        end: float | None,
        timeout: float | None,
        repeat: bool = False,
    ) -> Reply:
        session = self._started(end, repeat)
        try:
            return session.call(function, arguments, timeout)
        finally:
            self._given_back(session)

    def _started(self, end: float | None, repeat: bool) -> PooledSession:
        """Return a process that answers.

        One that ends while it starts is replaced by another, where others have worked; where none
        has, once, and only if a signal ended it.

        Raises
        ------
        EngineUnavailableError
            R does not start, and never has.
        GoneError
            Processes that end while they start, though R works here.
        """
        killed = 0
        for tries in range(MAX_FAILED_STARTS, 0, -1):
            session = self._taken_for_a_repeat(end) if repeat else self._taken(end)
            try:
                session.start()
            except EngineUnavailableError as error:
                self._given_back(session)
                killed += isinstance(error, KilledStartingError)
                if self._worked and tries == 1:
                    raise GoneError(
                        f"{MAX_FAILED_STARTS} processes ended while they started: {error}"
                    ) from error
                if self._worked or (isinstance(error, KilledStartingError) and killed == 1):
                    continue
                raise
            except BaseException:
                self._given_back(session)
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
        self._free, self._busy, self._starting, self._repeats = [], set(), 0, 0
        self._change = threading.Condition()
        self._pid = os.getpid()
        for session in sessions:
            session.let_go()
