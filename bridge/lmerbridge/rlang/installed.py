"""What an R says of itself and its packages; and what is wrong where it does not. ``r`` names it;
``None`` is the R in use.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lmerbridge.equality import by_value
from lmerbridge.errors import EngineUnavailableError, FitFailedError, LmerBridgeError
from lmerbridge.rlang.command import RCommand
from lmerbridge.rlang.discover import (
    RInstallation,
    find_r,
    r_of_this_machine,
    rpy2_problem,
    rpy2_version,
)
from lmerbridge.rlang.transports import chosen, r_session, remembered

__all__ = ["PackageState", "package_fix", "package_state", "r_versions"]


@by_value
@dataclass(frozen=True, eq=False)
class PackageState:
    """Whether a package of R's can be used, and what mends it if not."""

    version: str | None
    problem: str | None = None
    fix: str | None = None
    details: Mapping[str, str] = field(default_factory=dict)


def r_versions(r: RCommand | None = None) -> Mapping[str, Any]:
    """Versions of R and of everything that can move a number, rpy2 among them; R is asked once.

    Raises
    ------
    EngineUnavailableError
        R does not work here, or does not answer.
    """

    def ask() -> Mapping[str, Any]:
        reply = r_session(r=r).call("versions", {})
        if reply.failure is not None:
            raise EngineUnavailableError(f"R does not answer: {reply.failure.text}")
        return {**reply.value, "rpy2": rpy2_version()}

    found: Mapping[str, Any] = remembered(ask, r)
    return found


def package_fix(package: str, r: RCommand | None = None) -> str:
    """The command that installs a package of R's."""
    if r is not None and r != r_of_this_machine():
        return f"""{r} -e 'install.packages("{package}")'"""
    fix = f"sudo apt-get install --no-install-recommends r-cran-{package.lower()}"
    return f"{fix} (or, in R: install.packages('{package}'))"


def _transport(rpy2: str | None, r: RCommand | None) -> dict[str, str]:
    choice = chosen(r)
    return {
        "transport": f"{choice.name} ({choice.why})",
        "rpy2": rpy2 or "not installed, and not needed",
    }


def package_state(package: str, r: RCommand | None = None) -> PackageState:
    """Whether ``package`` is there for an R. R is started to find out, if it is a process of its
    own (as the first fit would).
    """
    try:
        if chosen(r).name == "rpy2":
            return _judged(package, r)
        versions = r_versions(r)
    except FitFailedError:
        # R starts here, and was ended twice while it was asked: no reason to take another engine
        return _judged(package, r)
    except LmerBridgeError as error:
        state = _judged(package, r)
        if state.problem is not None:
            return state
        return PackageState(state.version, str(error), "lmerbridge doctor", state.details)
    packages = {k: str(v) for k, v in (versions["packages"] or {}).items()}
    details = {
        "R": f"{versions['R']} at {versions['home']}",
        **packages,
        **_transport(versions["rpy2"], r),
    }
    if package not in packages:
        problem = f"R {versions['R']} has no package {package}"
        return PackageState(None, problem, package_fix(package, r), details)
    return PackageState(packages[package], details=details)


def _judged(package: str, r: RCommand | None) -> PackageState:
    """The same without the transport: by an ``Rscript`` that only says what is there."""
    found = find_r(r=r)
    if not isinstance(found, RInstallation):
        return PackageState(None, found.what, found.fix or None)
    details = {
        "R": f"{found.version} at {found.home}",
        **found.packages,
        **_transport(rpy2_version(), r),
    }
    if package not in found.packages:
        problem = f"R {found.version} has no package {package}"
        return PackageState(None, problem, package_fix(package, r), details)
    if chosen(r).name == "rpy2":
        wrong = rpy2_problem(found)
        if wrong is not None:
            return PackageState(found.packages[package], wrong.what, wrong.fix, details)
    return PackageState(found.packages[package], details=details)
