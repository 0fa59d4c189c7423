"""The only place that knows R: finding it, talking to it, what crosses to it."""

from __future__ import annotations

import threading

from lmerbridge.rlang.discover import (
    RInstallation,
    RpyProblem,
    find_r,
    rpy2_problem,
    rpy2_requirement,
    rpy2_version,
)
from lmerbridge.rlang.values import Condition, Reply, RFactor, RFailure, RLogical, Session

__all__ = [
    "Condition",
    "RFactor",
    "RFailure",
    "RInstallation",
    "RLogical",
    "Reply",
    "RpyProblem",
    "Session",
    "find_r",
    "r_session",
    "rpy2_problem",
    "rpy2_requirement",
    "rpy2_version",
]

_session: Session | None = None
_starting = threading.Lock()


def r_session() -> Session:
    """The running R, started on first use.

    Raises
    ------
    EngineUnavailableError
    """
    global _session
    with _starting:
        if _session is None:
            from lmerbridge.rlang.rpy2_session import Rpy2Session

            _session = Rpy2Session()
        return _session
