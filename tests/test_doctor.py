"""What doctor and the engine's status say of each way in which R can be missing or broken."""

import stat

import pytest

from lmerbridge.cli.doctor import report
from lmerbridge.engines import Status, load_engine, registry
from lmerbridge.engines.lme4 import Lme4Engine
from lmerbridge.rlang import (
    RInstallation,
    RpyProblem,
    discover,
    find_r,
    rpy2_problem,
    rpy2_requirement,
)


@pytest.fixture
def fake_r(tmp_path, monkeypatch):
    """Put an ``Rscript`` of our own first on the path; it prints what it is told."""

    def install(output, status=0):
        script = tmp_path / "Rscript"
        script.write_text(f"#!/bin/sh\ncat <<'EOF'\n{output}\nEOF\nexit {status}\n")
        script.chmod(script.stat().st_mode | stat.S_IEXEC)
        monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
        monkeypatch.delenv("R_HOME", raising=False)

    return install


def test_r_is_found(fake_r):
    fake_r("R\t4.2.2\t/usr/lib/R\nlme4\t1.1.31\t\nlmerTest\t-\t")
    assert find_r() == RInstallation("/usr/lib/R", "4.2.2", {"lme4": "1.1.31"})


def test_no_r(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("R_HOME", raising=False)
    problem = find_r()
    assert isinstance(problem, RpyProblem)
    assert "R is not installed" in problem.what
    assert "apt-get install" in problem.fix
    status = Lme4Engine().status()
    assert (status.available, status.fix) == (False, problem.fix)


def test_a_wrong_r_home(monkeypatch, tmp_path):
    monkeypatch.setenv("R_HOME", str(tmp_path / "nowhere"))
    problem = find_r()
    assert isinstance(problem, RpyProblem)
    assert "R_HOME" in problem.what
    assert problem.fix == "unset R_HOME"
    assert "R_HOME" in Lme4Engine().status().problem


def test_r_without_lme4(fake_r):
    fake_r("R\t4.2.2\t/usr/lib/R\nlme4\t-\t")
    status = Lme4Engine().status()
    assert status.problem == "R 4.2.2 has no package lme4"
    assert "r-cran-lme4" in status.fix


@pytest.mark.parametrize(("output", "code"), [("Error: broken", 1), ("nonsense", 0)])
def test_an_r_that_fails(fake_r, output, code):
    fake_r(output, code)
    problem = find_r()
    assert isinstance(problem, RpyProblem)
    assert "fails" in problem.what


def test_no_rpy2(fake_r, monkeypatch):
    fake_r("R\t4.2.2\t/usr/lib/R\nlme4\t1.1.31\t")
    monkeypatch.setattr(discover, "rpy2_version", lambda: None)
    status = Lme4Engine().status()
    assert status.problem == "rpy2 is not installed"
    assert status.fix == 'pip install "rpy2-rinterface>=3.6.3,<3.6.6"'


@pytest.mark.parametrize(
    ("r", "rpy2", "fits"),
    [
        ("4.2.2", "3.6.5", True),
        ("4.2.2", "3.6.6", False),
        ("4.4.3", "3.6.7", False),
        ("4.5.0", "3.6.6", True),
        ("4.5.1", "3.6.7", True),
        ("4.6.0", "3.6.6", False),
        ("4.6.0", "3.6.7", True),
    ],
)
def test_which_rpy2_fits_which_r(monkeypatch, r, rpy2, fits):
    monkeypatch.setattr(discover, "rpy2_version", lambda: rpy2)
    monkeypatch.setattr(discover.importlib.util, "find_spec", lambda name: object())
    problem = rpy2_problem(RInstallation("/usr/lib/R", r))
    assert (problem is None) == fits
    if problem is not None:
        assert rpy2_requirement(tuple(map(int, r.split(".")))) in problem.fix


def test_status_survives_anything(monkeypatch):
    from lmerbridge.engines import lme4

    def explode(*_):
        raise RuntimeError("ffi.error: symbol not found: R_getVar")

    monkeypatch.setattr(lme4, "find_r", explode)
    status = Lme4Engine().status()
    assert not status.available
    assert "R_getVar" in status.problem


def test_doctor_says_what_is_wrong_and_what_mends_it(monkeypatch):
    broken = Status(False, None, "rpy2 is not installed", "pip install this", {"R": "4.2.2"})
    monkeypatch.setattr(load_engine("lme4"), "status", lambda: broken, raising=False)
    text, well = report()
    assert well  # statsmodels works
    assert "lme4: does not work" in text
    assert "  what is wrong: rpy2 is not installed" in text
    assert "  mend it with:  pip install this" in text
    assert "statsmodels: works (version" in text
    assert 'engine="auto" tries: statsmodels, native' in text


def test_doctor_tries_what_looks_available(monkeypatch):
    from lmerbridge.errors import EngineUnavailableError

    def fails(frame, spec):
        raise EngineUnavailableError("R does not start")

    for name in registry.engine_names():
        engine = load_engine(name)
        monkeypatch.setattr(engine, "status", lambda: Status(True, "1"), raising=False)
        monkeypatch.setattr(engine, "fit", fails, raising=False)
    text, well = report()
    assert not well
    assert text.count("what is wrong: R does not start") == 3
    assert 'engine="auto" tries: nothing works here' in text


@pytest.mark.r
def test_doctor_here():
    text, well = report()
    assert well
    assert "lme4: works (version" in text
    assert "\n  R: " in text
