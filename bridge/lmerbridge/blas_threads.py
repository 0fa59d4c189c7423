"""The threads of numpy's and scipy's BLAS, which a small matrix only waits for.

A BLAS that hands a small product to a second thread waits until that thread is awake: where
another process has the core, that takes a thousand times longer than the product (a fit of 480
rows took 0.8 s with one thread, and 7 to 40 s with two on two cores that were busy).
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from threadpoolctl import LibController, ThreadpoolController

__all__ = ["WORTH_THREADS", "one_thread_below"]

# Rows of a square matrix from which its factorization gains by threads.
WORTH_THREADS = 3000

# What to go back to, while there is a limit.
_before: list[tuple[LibController, int]] = []


@cache
def _libraries(_with_scipy: bool) -> tuple[LibController, ...]:
    """Those loaded: scipy may bring one of its own."""
    return tuple(ThreadpoolController().select(user_api="blas").lib_controllers)


def _restore() -> None:
    for library, threads in _before:
        library.set_num_threads(threads)
    _before.clear()


if hasattr(os, "register_at_fork"):  # a forked process is not inside what its parent is inside
    os.register_at_fork(after_in_child=_restore)


@contextmanager
def one_thread_below(size: int, scipy: bool = True) -> Iterator[None]:
    """Let BLAS use one thread inside, if no matrix there has ``WORTH_THREADS`` rows.

    The limit is the process's, and OpenBLAS takes it from the main thread alone reliably: in
    other threads of Python this does nothing.

    Parameters
    ----------
    size : int
        Rows of the largest square matrix that is factorized inside.
    scipy : bool
        Whether scipy computes inside: its BLAS must be loaded by then.
    """
    main = threading.current_thread() is threading.main_thread()
    if size >= WORTH_THREADS or _before or not main:
        yield
        return
    if scipy:
        importlib.import_module("scipy.linalg")
    for library in _libraries("scipy.linalg" in sys.modules):
        threads = library.num_threads
        if threads is not None and threads > 1:
            _before.append((library, threads))
            library.set_num_threads(1)
    try:
        yield
    finally:
        _restore()
