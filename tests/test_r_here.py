"""Tests that ask a package of R's name it, and set-up installs it."""

import ast
import re
from pathlib import Path

import pytest

import r_here

ROOT = Path(__file__).parent.parent
LIST = ROOT / "scripts" / "r_packages.txt"
OF_R_ITSELF = {"base", "stats", "utils", "datasets", "splines", "tools", "methods", "parallel"}


@pytest.mark.r
@pytest.mark.parametrize("required", [False, True])
def test_a_missing_package_is_named(monkeypatch, required):
    monkeypatch.setattr(r_here, "REQUIRED", required)
    raised = pytest.fail.Exception if required else pytest.skip.Exception
    with pytest.raises(raised, match="R's package noSuchPackage, not installed here"):
        r_here.needs_r("lme4", "noSuchPackage")
    r_here.needs_r("lme4")


def asked_in_python():
    """Package names in ``pytest.mark.r(...)``."""
    found = set()
    for file in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.r":
                found |= {ast.literal_eval(a) for a in node.args}
    return found


def asked_in_r():
    """Package names in ``library()`` and before ``::`` of the R scripts."""
    found = set()
    for folder in ("reference", "tests", "datasets", "benchmarks"):
        for file in (ROOT / folder).rglob("*.R"):
            code = re.sub(r"#.*", "", file.read_text("utf-8"))
            found |= set(re.findall(r"library\((\w[\w.]*)\)|\b([A-Za-z][\w.]*)::", code))
    return {name for pair in found for name in pair if name} - OF_R_ITSELF


@pytest.mark.skipif(not LIST.is_file(), reason="not in a checkout")
def test_set_up_installs_every_package_that_is_asked():
    lines = [line for line in LIST.read_text("utf-8").splitlines() if not line.startswith("#")]
    listed = {line.split()[0] for line in lines}
    assert {line.split()[1] for line in lines} == {"needed", "compared"}
    assert {"lmerTest", "emmeans"} <= asked_in_python()
    assert {"performance", "car"} <= asked_in_r()
    assert asked_in_python() | asked_in_r() <= listed
