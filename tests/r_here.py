"""Which packages R has here: tests that ask one that is missing are left out, or fail where R is
required.
"""

import functools
import os
import re
import subprocess
from pathlib import Path

import pytest

from lmerbridge.dialects import PACKAGES
from lmerbridge.engines import load_engine
from lmerbridge.rlang import RInstallation, find_r

# the R that made the texts which tests and documents state: tests/stored, reference, the README
STORED_DIALECT = "R 4.2.2, lme4 1.1-31, lmerTest 3.1-3, emmeans 1.8.4, pbkrtest 0.5.2"
REQUIRED = os.environ.get("LMERBRIDGE_REQUIRE_R") == "1"


@functools.cache
def installed() -> frozenset[str]:
    """The packages of the R that is used."""
    done = subprocess.run(
        [
            str(Path(find_r().home) / "bin" / "Rscript"),
            "--vanilla",
            "-e",
            "writeLines(rownames(installed.packages()))",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return frozenset(done.stdout.split())


@functools.cache
def live_dialect() -> str:
    """The versions of the R that is used, as ``LMERBRIDGE_DIALECT`` names them."""
    found = find_r()
    if not isinstance(found, RInstallation):
        return ""
    return ", ".join(
        f"{name} {version}"
        for name, version in {"R": found.version, **found.packages}.items()
        if name in PACKAGES
    )


def r_problem(packages: tuple[str, ...]) -> str | None:
    """What is missing of R with lme4 and these packages; ``None``: nothing."""
    status = load_engine("lme4").status()
    if not status.available:
        return f"needs R with lme4: {status.problem}"
    absent = sorted(set(packages) - installed()) if packages else []
    return f"needs R's package {', '.join(absent)}, not installed here" if absent else None


def needs_r(*packages: str) -> None:
    """Skip the test, or fail where R is required, unless R has lme4 and these packages."""
    problem = r_problem(packages)
    if problem is None:
        return
    if REQUIRED:
        pytest.fail(f"R is required here (LMERBRIDGE_REQUIRE_R=1): {problem}")
    pytest.skip(problem)


@functools.cache
def lme4_version() -> tuple[int, ...]:
    """The version of lme4 that is used; empty where there is none."""
    version = load_engine("lme4").status().version or ""
    return tuple(int(part) for part in re.findall(r"\d+", version))


def needs_lme4(*version: int) -> None:
    """Skip the test unless R has lme4 of this version or a newer one."""
    if lme4_version() < version:
        wanted = ".".join(str(v) for v in version)
        have = ".".join(str(v) for v in lme4_version())
        pytest.skip(f"needs lme4 {wanted}, and here is {have or 'none'}")
