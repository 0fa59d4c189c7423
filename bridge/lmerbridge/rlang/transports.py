"""Which way to R is taken: what ``LMERBRIDGE_R_TRANSPORT`` names, or the first that works."""

from __future__ import annotations

import atexit
import importlib.util
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from lmerbridge.errors import DataError, EngineUnavailableError, near_match
from lmerbridge.rlang.discover import rscript_path
from lmerbridge.rlang.pool import Pool, wanted_workers
from lmerbridge.rlang.values import PooledSession, Session

if TYPE_CHECKING:
    from lmerbridge.rlang.rpy2_session import Rpy2Session

__all__ = [
    "TRANSPORTS",
    "Choice",
    "chosen",
    "in_process",
    "prestart",
    "r_session",
    "remembered",
    "restart",
    "use",
]

TRANSPORTS: dict[str, str] = {
    "rpy2-worker": "rpy2 in a process of our own",
    "rscript": "an Rscript process, without rpy2",
    "rpy2": "rpy2 in this process, for R objects",
}
_open: dict[str, Session] = {}
_failed: dict[str, str] = {}
_starting = threading.RLock()
_given: Session | None = None
_versions: dict[str, Any] = {}


@dataclass(frozen=True)
class Choice:
    """The transport that is used, and why."""

    name: str
    why: str


def _named() -> str | None:
    name = os.environ.get("LMERBRIDGE_R_TRANSPORT", "auto") or "auto"
    if name == "auto":
        return None
    if name not in TRANSPORTS:
        raise DataError(
            f"LMERBRIDGE_R_TRANSPORT is {name!r}{near_match(name, TRANSPORTS)}; "
            f"it may be auto, {', '.join(TRANSPORTS)}"
        )
    return name


def chosen() -> Choice:
    """What the next call uses; nothing is started.

    Raises
    ------
    DataError
        ``LMERBRIDGE_R_TRANSPORT`` names no transport.
    """
    if _given is not None:
        return Choice(_given.name, "given by the program")
    name = _named()
    if name is not None:
        return Choice(name, "LMERBRIDGE_R_TRANSPORT says so")
    if "rpy2-worker" in _failed:
        return Choice(
            "rscript", f"rpy2 does not work here, and is not needed: {_failed['rpy2-worker']}"
        )
    if importlib.util.find_spec("rpy2") is None:
        return Choice("rscript", "rpy2 is not installed, and not needed")
    return Choice("rpy2-worker", "the default")


def _make(name: str) -> Callable[[], PooledSession]:
    from lmerbridge.rlang.processes import RscriptSession, WorkerSession

    made: dict[str, Callable[[], PooledSession]] = {
        "rpy2-worker": WorkerSession,
        "rscript": RscriptSession,
    }
    return made[name]


def _session(name: str) -> Session:
    with _starting:
        if name not in _open:
            if name == "rpy2":
                from lmerbridge.rlang.rpy2_session import Rpy2Session

                _open[name] = Rpy2Session()
            else:
                _open[name] = Pool(_make(name), wanted_workers(), name)
        return _open[name]


def r_session(transport: str | None = None) -> Session:
    """The way to R that is used, or the one that is named; R is started by the first call.

    Raises
    ------
    EngineUnavailableError
    """
    if transport is None and _given is not None:
        return _given
    if transport is not None:
        return _session(transport)
    name = chosen().name
    if name != "rpy2-worker" or _named() is not None:
        return _session(name)
    return _Falling()


def in_process() -> Rpy2Session:
    """R in this process, whatever the transport is.

    Raises
    ------
    EngineUnavailableError
    """
    session = _session("rpy2")
    assert hasattr(session, "object")
    return cast("Rpy2Session", session)


class _Falling:
    """rpy2's worker, and Rscript where that turns out not to work."""

    name = "rpy2-worker"

    def call(self, function: str, arguments: Any, timeout: float | None = None) -> Any:
        try:
            return _session("rpy2-worker").call(function, arguments, timeout)
        except EngineUnavailableError as error:
            with _starting:
                _failed["rpy2-worker"] = str(error)
        return _session("rscript").call(function, arguments, timeout)

    def close(self) -> None:
        restart()


def prestart() -> None:
    """Begin to start R in the background, if it runs in a process of its own."""
    if _given is not None or rscript_path()[0] is None:
        return
    name = chosen().name
    if name != "rpy2":
        session = _session(name)
        assert isinstance(session, Pool)
        session.prestart()


def remembered(ask: Callable[[], Any]) -> Any:
    """What ``ask`` says of the R in use, asked once until :func:`restart`; a session that was
    given is asked each time.
    """
    if _given is not None:
        return ask()
    name = chosen().name
    if name not in _versions:
        found = ask()
        name = chosen().name  # another, if that one turned out not to work
        _versions[name] = found
    return _versions[name]


def use(session: Session | None) -> Session | None:
    """Use this session for everything, such as a fake one; ``None`` ends that. Returns the one
    that was used so before.
    """
    global _given
    before, _given = _given, session
    return before


def restart() -> None:
    """End every R process of ours; the next call starts another."""
    with _starting:
        for name in list(_open):
            if name != "rpy2":  # R cannot be ended within a process
                _open.pop(name).close()
        _failed.clear()
        _versions.clear()


def _after_fork() -> None:
    """In a forked process: a lock that a thread of the parent's held is nobody's, and the parent's
    R is the parent's.
    """
    global _starting
    _starting = threading.RLock()
    for session in _open.values():
        if isinstance(session, Pool):
            session.forget_parent()


atexit.register(restart)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
