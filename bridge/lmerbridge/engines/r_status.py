"""Whether an engine that is a package of R's is available."""

from __future__ import annotations

from lmerbridge.engines.protocol import Status
from lmerbridge.rlang import package_state

__all__ = ["package_status"]


def package_status(package: str) -> Status:
    """Whether R and the package are here, and the way to them works; what was found is remembered
    while R runs.
    """
    try:
        state = package_state(package)
    except Exception as error:
        return Status(False, None, f"{type(error).__name__}: {error}", "lmerbridge doctor")
    return Status(
        state.problem is None, state.version, state.problem, state.fix, state.details or None
    )
