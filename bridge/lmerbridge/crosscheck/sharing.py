"""Work that this process does, and others help with once that is worth it.

A process that helps imports what it needs and starts R before its first case: some seconds, in
which this one would have done a small suite. So this one begins, and takes the time of its own
start; helpers are started when what is left would take several times as long, and are given work
when they are ready for it. On busy cores all of these times are longer alike.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

__all__ = ["AFTER", "STARTS", "WORTH", "shared"]

# Seconds before anyone is asked to help, and seconds of work left that make it worth while: at
# least, and in starts of this process. That is three times what a helper needs, which imports more.
AFTER, WORTH, STARTS = 2.0, 12.0, 5.0

T = TypeVar("T")


def shared(
    count: int,
    here: Callable[[int], T],
    there: Callable[..., T],
    arguments: Callable[[int], tuple[Any, ...]],
    ready: Callable[[], object],
    helpers: int,
    timed: bool = True,
) -> Generator[T | None]:
    """Do ``count`` pieces of work, here and in other processes, and give the results in order.

    Parameters
    ----------
    here : callable
        Does the piece of this number in this process.
    there : callable
        Does it in another, from ``arguments`` of its number.
    ready : callable
        What a helper does before its first piece.
    helpers : int
        Processes beside this one, at most.
    timed : bool
        Whether this process does ``ready`` too, to know what a start takes.

    Yields
    ------
    object
        A result; ``None`` where the process that had it died.
    """
    began = time.perf_counter()
    if timed:
        ready()
    worth = max(WORTH, STARTS * (time.perf_counter() - began))
    work = _Shared(count, there, arguments, ready, helpers, worth)
    watch = threading.Thread(target=work.watch, daemon=True)
    watch.start()
    try:
        for i in range(count):
            yield work.result(i, here)
    finally:
        work.end(watch)


class _Shared(Generic[T]):
    """Which pieces are left, who has which, and what they gave."""

    def __init__(
        self,
        count: int,
        there: Callable[..., T],
        arguments: Callable[[int], tuple[Any, ...]],
        ready: Callable[[], object],
        helpers: int,
        worth: float,
    ) -> None:
        self._there, self._arguments, self._ready = there, arguments, ready
        self._helpers, self._worth = helpers, worth
        self._left = deque(range(count))
        self._begun = 0
        self._began = time.perf_counter()
        self._found: dict[int, T | None] = {}
        self._given: dict[int, Future[T]] = {}
        self._lock = threading.Lock()  # over what is left and what is given
        self._over = threading.Event()
        self._executor: Any = None

    def result(self, i: int, here: Callable[[int], T]) -> T | None:
        """The result of piece ``i``; while another process has it, further pieces are done here."""
        while i not in self._found:
            with self._lock:
                given = self._given.get(i)
                come = given is not None and given.done()
                mine = self._left.popleft() if self._left and not come else None
                self._begun += mine is not None
            if mine is not None:
                self._found[mine] = here(mine)
            elif given is not None:
                self._found[i] = _given_by(given)
        return self._found.pop(i)

    def watch(self) -> None:
        """Start the helpers when that is worth it."""
        while not self._over.wait(0.1) and self._left:
            seconds = time.perf_counter() - self._began
            if seconds >= AFTER and seconds / max(self._begun, 1) * len(self._left) >= self._worth:
                self._executor = _executor(self._helpers)
                for _ in range(self._helpers):
                    self._executor.submit(self._ready).add_done_callback(self._next)
                return

    def _next(self, done: Future[Any]) -> None:
        """Give the next piece to the process that has done one."""
        if done.cancelled() or done.exception() is not None or self._over.is_set():
            return
        with self._lock:
            if not self._left:
                return
            i = self._left.popleft()
            try:
                future = self._executor.submit(self._there, *self._arguments(i))
            except Exception:  # another helper has died and taken the rest along: it is done here
                self._left.appendleft(i)
                return
            self._given[i] = future
        future.add_done_callback(self._next)

    def end(self, watch: threading.Thread) -> None:
        """End the helpers, whatever they are at."""
        self._over.set()
        watch.join()
        if self._executor is not None:
            self._executor.shutdown(wait=True, kill_workers=True)


def _given_by(future: Future[T]) -> T | None:
    from joblib.externals.loky.process_executor import BrokenProcessPool

    with contextlib.suppress(BrokenProcessPool):
        return future.result()
    return None


def _executor(helpers: int) -> Any:
    """Processes that share the cores with this one: the threads of their BLAS are as many as there
    are cores for each.
    """
    from joblib.externals.loky.process_executor import ProcessPoolExecutor

    share = str(max((os.cpu_count() or 1) // (helpers + 1), 1))
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    env = {name: share for name in threads if name not in os.environ}
    return ProcessPoolExecutor(max_workers=helpers, env=env)
