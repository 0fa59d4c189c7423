"""The only place that knows R: finding it, talking to it, what crosses to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmerbridge.lazy import names_from

if TYPE_CHECKING:
    from lmerbridge.rlang.command import RCommand
    from lmerbridge.rlang.discover import (
        RInstallation,
        RpyProblem,
        find_r,
        r_in_use,
        rpy2_problem,
        rpy2_requirement,
        rpy2_version,
        rscript_path,
    )
    from lmerbridge.rlang.fake import FakeSession
    from lmerbridge.rlang.installations import (
        Installation,
        find_installations,
        named,
        probed,
        r,
        r_of,
        take_as_named,
    )
    from lmerbridge.rlang.installed import PackageState, package_fix, package_state, r_versions
    from lmerbridge.rlang.traces import r_traces
    from lmerbridge.rlang.transports import (
        TRANSPORTS,
        Choice,
        chosen,
        in_process,
        prestart,
        r_session,
        recall,
        restart,
        use,
    )
    from lmerbridge.rlang.values import Condition, Reply, RFactor, RFailure, RLogical, Session

__all__ = [
    "TRANSPORTS",
    "Choice",
    "Condition",
    "FakeSession",
    "Installation",
    "PackageState",
    "RCommand",
    "RFactor",
    "RFailure",
    "RInstallation",
    "RLogical",
    "Reply",
    "RpyProblem",
    "Session",
    "chosen",
    "find_installations",
    "find_r",
    "in_process",
    "named",
    "package_fix",
    "package_state",
    "prestart",
    "probed",
    "r",
    "r_in_use",
    "r_of",
    "r_session",
    "r_traces",
    "r_versions",
    "recall",
    "restart",
    "rpy2_problem",
    "rpy2_requirement",
    "rpy2_version",
    "rscript_path",
    "take_as_named",
    "use",
]

# an engine that does not run in R needs few of them
__getattr__ = names_from(
    __name__,
    {
        "command": "RCommand",
        "discover": "RInstallation RpyProblem find_r r_in_use rpy2_problem rpy2_requirement"
        " rpy2_version rscript_path",
        "fake": "FakeSession",
        "installations": "Installation find_installations named probed r r_of take_as_named",
        "installed": "PackageState package_fix package_state r_versions",
        "traces": "r_traces",
        "transports": "TRANSPORTS Choice chosen in_process prestart r_session recall restart use",
        "values": "Condition Reply RFactor RFailure RLogical Session",
    },
)
