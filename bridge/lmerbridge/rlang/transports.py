"""Which way to an R is taken: what ``LMERBRIDGE_R_TRANSPORT`` names, or the first that works.

Several R may be used side by side, each by its own processes. Here ``r`` names one of them;
``None`` is the R in use (:func:`lmerbridge.rlang.discover.r_in_use`).
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from lmerbridge.errors import DataError, EngineUnavailableError, near_match
from lmerbridge.rlang.command import RCommand
from lmerbridge.rlang.discover import r_in_use, r_of_this_machine
from lmerbridge.rlang.installations import forget
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
    "recall",
    "remembered",
    "restart",
    "use",
]

TRANSPORTS: dict[str, str] = {
    "rpy2-worker": "rpy2 in a process of our own",
    "rscript": "an Rscript process, without rpy2",
    "rpy2": "rpy2 in this process, for R objects",
}
# an R and a transport; no R, where none is found: whoever calls is told so
Way: TypeAlias = tuple[RCommand | None, str]
_open: dict[Way, Session] = {}
_failed: dict[Way, str] = {}
_starting = threading.RLock()
_given: Session | None = None
_versions: dict[Way, Any] = {}


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


def _meant(r: RCommand | None) -> RCommand | None:
    """The R that is meant, if there is one."""
    used = r_in_use() if r is None else r
    return used if isinstance(used, RCommand) else None


def _in_this_process() -> RCommand | None:
    """The R that runs in this process, or would."""
    running = [r for r, name in list(_open) if name == "rpy2"]
    return running[0] if running else _meant(None)


def chosen(r: RCommand | None = None) -> Choice:
    """What the next call uses; nothing is started.

    Raises
    ------
    DataError
        ``LMERBRIDGE_R_TRANSPORT`` names no transport.
    """
    if _given is not None:
        return Choice(_given.name, "given by the program")
    name, meant = _named(), _meant(r)
    another = meant if meant != r_of_this_machine() else None
    if another is not None and not another.plain:
        return Choice("rscript", "this R is started by a command")
    if name == "rpy2" and r is not None and meant != _in_this_process():
        return Choice("rscript", "rpy2 has another R in this process, which holds one")
    if name is not None:
        return Choice(name, "LMERBRIDGE_R_TRANSPORT says so")
    if another is not None:
        return Choice("rscript", "rpy2 is for the R that is found without a name")
    failed = _failed.get((meant, "rpy2-worker"))
    if failed is not None:
        return Choice("rscript", f"rpy2 does not work here, and is not needed: {failed}")
    if importlib.util.find_spec("rpy2") is None:
        return Choice("rscript", "rpy2 is not installed, and not needed")
    return Choice("rpy2-worker", "the default")


def _make(name: str, r: RCommand | None) -> Callable[[], PooledSession]:
    from lmerbridge.rlang.processes import RscriptSession, WorkerSession

    made: dict[str, Callable[[], PooledSession]] = {
        "rpy2-worker": partial(WorkerSession, r),
        "rscript": partial(RscriptSession, r),
    }
    return made[name]


def _session(name: str, r: RCommand | None) -> Session:
    way = _meant(r), name
    with _starting:
        if way not in _open:
            if name == "rpy2":
                from lmerbridge.rlang.rpy2_session import Rpy2Session

                _open[way] = Rpy2Session()
            else:
                _open[way] = Pool(_make(name, way[0]), wanted_workers(), name)
        return _open[way]


def r_session(transport: str | None = None, r: RCommand | None = None) -> Session:
    """The way to R that is used, or the one that is named; R is started by the first call.

    Raises
    ------
    EngineUnavailableError
        There is no such transport, or none works here.
    """
    if transport is None and _given is not None:
        return _given
    if transport == "rpy2":
        return in_process(r)
    if transport is not None:
        return _session(transport, r)
    name = chosen(r).name
    if name == "rpy2":
        return in_process(r)
    if name != "rpy2-worker" or _named() is not None:
        return _session(name, r)
    return _Falling(r)


def in_process(r: RCommand | None = None) -> Rpy2Session:
    """R in this process, whatever the transport is.

    Raises
    ------
    EngineUnavailableError
        It cannot be used, or is another one than is asked for.
    """
    running = _in_this_process()
    if r is not None and r != running:
        if not r.plain:
            raise EngineUnavailableError(
                f"R cannot be used through rpy2: {r} is a command, and not an R that runs in this "
                "process"
            )
        raise EngineUnavailableError(
            f"a process can hold one R through rpy2, and in this one it is {running}, not {r}; "
            "LMERBRIDGE_R, set before Python starts, names another"
        )
    session = _session("rpy2", running)
    assert hasattr(session, "object")
    return cast("Rpy2Session", session)


class _Falling:
    """rpy2's worker, and Rscript where that turns out not to work."""

    name = "rpy2-worker"

    def __init__(self, r: RCommand | None):
        self._r = _meant(r)

    def call(self, function: str, arguments: Any, timeout: float | None = None) -> Any:
        try:
            return _session("rpy2-worker", self._r).call(function, arguments, timeout)
        except EngineUnavailableError as error:
            with _starting:
                _failed[self._r, "rpy2-worker"] = str(error)
        return _session("rscript", self._r).call(function, arguments, timeout)

    def close(self) -> None:
        restart()


def prestart(r: RCommand | None = None) -> None:
    """Begin to start R in the background, if it runs in a process of its own."""
    if _given is not None or _meant(r) is None:
        return
    name = chosen(r).name
    if name != "rpy2":
        session = _session(name, r)
        assert isinstance(session, Pool)
        session.prestart()


def remembered(ask: Callable[[], Any], r: RCommand | None = None) -> Any:
    """What ``ask`` says of an R, asked once until :func:`restart`; a session that was given is
    asked each time.
    """
    if _given is not None:
        return ask()
    meant = _meant(r)
    way = meant, chosen(r).name
    if way not in _versions:
        found = ask()
        way = meant, chosen(r).name  # another, if that one turned out not to work
        _versions[way] = found
    return _versions[way]


def recall(found: Any) -> None:
    """Take ``found`` for what the R in use says of itself, as it did to an earlier process and
    still would: no R is started to ask it again. What is known already stays.
    """
    name = chosen().name
    if _given is None and name != "rpy2":
        _versions.setdefault((_meant(None), name), found)


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
        for way in list(_open):
            if way[1] != "rpy2":  # R cannot be ended within a process
                _open.pop(way).close()
        _failed.clear()
        _versions.clear()
        forget()


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
