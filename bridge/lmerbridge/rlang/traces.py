"""What an R leaves in the file system: as long as it is the same, R says the same of itself, and
need not be started to be asked for its versions.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lmerbridge.errors import LmerBridgeError
from lmerbridge.rlang.discover import RpyProblem, r_in_use, rpy2_version
from lmerbridge.rlang.transports import chosen

__all__ = ["r_traces"]

# what decides which R is started, and where it looks for packages
_NAMES = ("HOME", "LD_LIBRARY_PATH", "LD_PRELOAD", "LMERBRIDGE_R", "LMERBRIDGE_R_TRANSPORT")
_OF_HOME = (
    "bin/R",
    "bin/exec/R",
    "lib/libR.so",
    "etc/Renviron",
    "etc/Rprofile.site",
    "etc/ldpaths",
)
_OF_USER = ("~/.Renviron", "~/.Rprofile", ".Renviron", ".Rprofile")


def _stamp(path: str | Path) -> str:
    """Where the file really is, its size and when it was written; or that there is none."""
    real = os.path.realpath(os.path.expanduser(path))
    try:
        found = os.stat(real)
    except OSError:
        return f"{path}: none"
    return f"{path}: {real} {found.st_size} {found.st_mtime_ns}"


def _packages(library: str) -> Iterable[str]:
    """The packages of a library; a package that is installed anew has a new DESCRIPTION."""
    folder = Path(os.path.expanduser(library))
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return [f"{library}: none"]
    return [f"{library}", *(_stamp(folder / name / "DESCRIPTION") for name in names)]


def r_traces(versions: Mapping[str, Any] | None = None) -> str | None:
    """Return a digest of the traces of the R that would be used: how it is found and, of an R that
    has told its versions, its files and the packages in each library where it looks.

    ``None`` where there is no R, or it runs in this process, or its files may be elsewhere: then it
    must be asked.
    """
    try:
        used = r_in_use()
        choice = chosen().name
    except LmerBridgeError:
        return None
    if isinstance(used, RpyProblem) or not used.plain or choice == "rpy2":
        return None
    said = [choice, str(rpy2_version()), _stamp(used.words[0])]
    said += [f"{k}={v}" for k, v in sorted(os.environ.items()) if k in _NAMES or k[:2] == "R_"]
    if versions is not None:
        home = Path(str(versions["home"]))
        said += [_stamp(home / name) for name in _OF_HOME]
        said += [_stamp(name) for name in _OF_USER]
        said += [_stamp(name) for name in _texts(versions.get("files"))]
        for library in _texts(versions.get("libraries")):
            said += _packages(library)
    return hashlib.sha256("\n".join(said).encode("utf-8", "surrogateescape")).hexdigest()


def _texts(value: Any) -> list[str]:
    """R's character vector: a lone string, several, or none."""
    if value is None:
        return []
    return [value] if isinstance(value, str) else [str(v) for v in value]
