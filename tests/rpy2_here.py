"""Whether rpy2 works here: it need not, and then what only it can do is not tested."""

import functools
import importlib.util
import os
import subprocess
import sys

import pytest

REQUIRED = os.environ.get("LMERBRIDGE_REQUIRE_RPY2") == "1"


@functools.cache
def rpy2_problem() -> str | None:
    """Tried in another process, as an import that fails leaves things behind."""
    if importlib.util.find_spec("rpy2") is None:
        return "rpy2 is not installed here; R is used without it"
    tried = subprocess.run(
        [sys.executable, "-c", "import rpy2.rinterface as ri; ri.initr()"],
        capture_output=True,
        text=True,
    )
    if tried.returncode == 0:
        return None
    return f"rpy2 does not work here: {(tried.stderr.strip() or 'no reason').splitlines()[-1]}"


def needs_rpy2() -> None:
    problem = rpy2_problem()
    if problem is not None and REQUIRED:
        pytest.fail(f"rpy2 is required here (LMERBRIDGE_REQUIRE_RPY2=1): {problem}")
    if problem is not None:
        pytest.skip(problem)
