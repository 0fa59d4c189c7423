"""The only place that knows R: finding it, talking to it, what crosses to it."""

from lmerbridge.rlang.discover import (
    RInstallation,
    RpyProblem,
    find_r,
    rpy2_problem,
    rpy2_requirement,
    rpy2_version,
    rscript_path,
)
from lmerbridge.rlang.fake import FakeSession
from lmerbridge.rlang.installed import PackageState, package_fix, package_state, r_versions
from lmerbridge.rlang.transports import (
    TRANSPORTS,
    Choice,
    chosen,
    in_process,
    prestart,
    r_session,
    restart,
    use,
)
from lmerbridge.rlang.values import Condition, Reply, RFactor, RFailure, RLogical, Session

__all__ = [
    "TRANSPORTS",
    "Choice",
    "Condition",
    "FakeSession",
    "PackageState",
    "RFactor",
    "RFailure",
    "RInstallation",
    "RLogical",
    "Reply",
    "RpyProblem",
    "Session",
    "chosen",
    "find_r",
    "in_process",
    "package_fix",
    "package_state",
    "prestart",
    "r_session",
    "r_versions",
    "restart",
    "rpy2_problem",
    "rpy2_requirement",
    "rpy2_version",
    "rscript_path",
    "use",
]
