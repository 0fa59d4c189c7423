"""What the R that is used says of itself and its packages; and what is wrong where it does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lmerbridge.errors import EngineUnavailableError, LmerBridgeError
from lmerbridge.rlang.discover import (
    RInstallation,
    find_r,
    rpy2_problem,
    rpy2_version,
)
from lmerbridge.rlang.transports import chosen, r_session, remembered

__all__ = ["PackageState", "package_fix", "package_state", "r_versions"]


@dataclass(frozen=True)
class PackageState:
    """Whether a package of R's can be used, and what mends it if not."""

    version: str | None
    problem: str | None = None
    fix: str | None = None
    details: Mapping[str, str] = field(default_factory=dict)


def r_versions() -> Mapping[str, Any]:
    """Versions of R and of everything that can move a number, rpy2 among them; R is asked once.

    Raises
    ------
    EngineUnavailableError
    """

    def ask() -> Mapping[str, Any]:
        reply = r_session().call("versions", {})
        if reply.failure is not None:
            raise EngineUnavailableError(f"R does not answer: {reply.failure.text}")
        return {**reply.value, "rpy2": rpy2_version()}

    found: Mapping[str, Any] = remembered(ask)
    return found


def package_fix(package: str) -> str:
    """The command that installs a package of R's."""
    fix = f"sudo apt-get install --no-install-recommends r-cran-{package.lower()}"
    return f"{fix} (or, in R: install.packages('{package}'))"


def _transport(rpy2: str | None) -> dict[str, str]:
    choice = chosen()
    return {
        "transport": f"{choice.name} ({choice.why})",
        "rpy2": rpy2 or "not installed, and not needed",
    }


def package_state(package: str) -> PackageState:
    """Whether ``package`` is there for the R that would be used. R is started to find out, if it
    is a process of its own (as the first fit would).
    """
    try:
        if chosen().name == "rpy2":
            return _judged(package)
        versions = r_versions()
    except LmerBridgeError as error:
        state = _judged(package)
        if state.problem is not None:
            return state
        return PackageState(state.version, str(error), "lmerbridge doctor", state.details)
    packages = {k: str(v) for k, v in (versions["packages"] or {}).items()}
    details = {
        "R": f"{versions['R']} at {versions['home']}",
        **packages,
        **_transport(versions["rpy2"]),
    }
    if package not in packages:
        problem = f"R {versions['R']} has no package {package}"
        return PackageState(None, problem, package_fix(package), details)
    return PackageState(packages[package], details=details)


def _judged(package: str) -> PackageState:
    """The same without the transport: by an ``Rscript`` that only says what is there."""
    r = find_r()
    if not isinstance(r, RInstallation):
        return PackageState(None, r.what, r.fix)
    details = {"R": f"{r.version} at {r.home}", **r.packages, **_transport(rpy2_version())}
    if package not in r.packages:
        problem = f"R {r.version} has no package {package}"
        return PackageState(None, problem, package_fix(package), details)
    if chosen().name == "rpy2":
        wrong = rpy2_problem(r)
        if wrong is not None:
            return PackageState(r.packages[package], wrong.what, wrong.fix, details)
    return PackageState(r.packages[package], details=details)
