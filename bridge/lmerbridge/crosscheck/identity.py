"""What a fit depends on beside the model: the engine, its versions, this package, the machine."""

from __future__ import annotations

import functools
import inspect
import os
import platform
import sys
from pathlib import Path
from typing import Any

from lmerbridge._version import __version__
from lmerbridge.digest import digest_of_files, own_code
from lmerbridge.engines import is_registered, load_engine, status_of
from lmerbridge.engines.protocol import blas_name
from lmerbridge.errors import LmerBridgeError
from lmerbridge.rlang import RCommand, r_in_use, r_versions

__all__ = ["engine_identity"]


def _installed() -> list[str]:
    """Everything that is installed for this Python, with versions; nothing is imported."""
    found = []
    for folder in dict.fromkeys(sys.path):
        try:
            names = os.listdir(folder or ".")
        except OSError:
            continue
        found += sorted(n for n in names if n.endswith((".dist-info", ".egg-info")))
    return found


@functools.cache
def _processor() -> str:
    """Its name: a BLAS takes other ways on other processors."""
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()


def _surroundings() -> dict[str, Any]:
    """What may move any engine's numbers. Not the number of threads: it moves last bits, and an
    interrupted run may go on with another number of processes.
    """
    return {
        "lmerbridge": __version__,
        "code": own_code(),
        "Python": sys.version,
        "packages": _installed(),
        "platform": platform.platform(),
        "processor": _processor(),
        "BLAS": blas_name(),
    }


def _elsewhere(r: RCommand | None) -> tuple[str, ...] | None:
    """The command that starts an R which may be on another file system: there the same path can be
    another BLAS.
    """
    used = r_in_use() if r is None else r
    return used.words if isinstance(used, RCommand) and not used.plain else None


def engine_identity(name: str) -> dict[str, Any] | None:
    """What an engine's fits depend on beside the model and the call.

    ``None`` if nobody can say so: the engine is not available, or is one that the program made for
    itself, which may be another the next time.
    """
    state = status_of(name)
    if not state.available or is_registered(name):
        return None
    try:
        engine = load_engine(name)
        r = getattr(engine, "r", None)
        in_r = "R" in (state.details or {})
        found = {
            "engine": name,
            "version": state.version,
            "R": dict(r_versions(r)) if in_r else None,
            "R in use": in_r and r is None,
            "R by": _elsewhere(r) if in_r else None,
            **_surroundings(),
        }
        kind = type(engine)
        source = inspect.getsourcefile(kind)
        found["made by"] = f"{kind.__module__}.{kind.__qualname__}"
        found["source"] = None if source is None else digest_of_files([Path(source)])
    except (LmerBridgeError, OSError, TypeError):
        return None
    return found
