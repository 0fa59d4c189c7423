"""What engines that are packages of R's share: whether they are available, and what is said of an R
that ended during a fit.
"""

from __future__ import annotations

from dataclasses import replace

from lmerbridge.engines.protocol import Status
from lmerbridge.result import FitResult
from lmerbridge.rlang import RCommand, Reply, package_state

__all__ = ["named", "package_status", "with_deaths"]


def package_status(package: str, r: RCommand | None = None) -> Status:
    """Whether R and the package are here, and the way to them works; what was found is remembered
    while R runs. ``r`` is another R than the one in use.
    """
    try:
        state = package_state(package, r)
    except Exception as error:
        return Status(False, None, f"{type(error).__name__}: {error}", "lmerbridge doctor")
    return Status(
        state.problem is None, state.version, state.problem, state.fix, state.details or None
    )


def named(result: FitResult, engine: str) -> FitResult:
    """Return the result under the name that the engine was asked for by: which R it ran in."""
    return replace(result, provenance=replace(result.provenance, engine=engine))


def with_deaths(result: FitResult, reply: Reply) -> FitResult:
    """Return the result with a note in its evidence for each try in which R ended."""
    if not reply.deaths:
        return result
    said = tuple(f"{death}; the fit is another R's" for death in reply.deaths)
    evidence = replace(result.evidence, notes=(*result.evidence.notes, *said))
    return replace(result, evidence=evidence)
