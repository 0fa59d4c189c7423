"""What doctor and the engine's status say of each way in which R can be missing or broken."""

import stat
import sys
from types import SimpleNamespace

import pytest

from lmerbridge.cli import doctor
from lmerbridge.cli.doctor import Mended, report
from lmerbridge.engines import Status, load_engine, registry
from lmerbridge.engines.lme4 import Lme4Engine
from lmerbridge.errors import DataError
from lmerbridge.rlang import (
    Choice,
    RInstallation,
    RpyProblem,
    chosen,
    discover,
    find_r,
    restart,
    rpy2_problem,
    rpy2_requirement,
    rscript_path,
)


@pytest.fixture
def fresh(monkeypatch):
    """Nothing is remembered of R, and what is found here is forgotten afterwards."""
    monkeypatch.setenv("LMERBRIDGE_R_TRANSPORT", "rscript")
    restart()
    yield
    restart()


@pytest.fixture
def fake_r(tmp_path, monkeypatch, fresh):
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


@pytest.mark.usefixtures("fresh")
def test_no_r(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(discover, "ROOT", tmp_path)
    monkeypatch.delenv("R_HOME", raising=False)
    problem = find_r()
    assert isinstance(problem, RpyProblem)
    assert "R is not installed" in problem.what
    assert "apt-get install" in problem.fix
    status = Lme4Engine().status()
    assert (status.available, status.fix) == (False, problem.fix)


@pytest.mark.usefixtures("fresh")
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


def test_no_rpy2_where_r_is_wanted_in_this_process(fake_r, monkeypatch):
    fake_r("R\t4.2.2\t/usr/lib/R\nlme4\t1.1.31\t")
    monkeypatch.setenv("LMERBRIDGE_R_TRANSPORT", "rpy2")
    monkeypatch.setattr(discover, "rpy2_version", lambda: None)
    status = Lme4Engine().status()
    assert status.problem == "rpy2 is not installed"
    assert status.fix == 'pip install "rpy2-rinterface>=3.6.3,<3.6.6"'


def test_an_unknown_transport(monkeypatch):
    monkeypatch.setenv("LMERBRIDGE_R_TRANSPORT", "rscrip")
    with pytest.raises(DataError, match="did you mean 'rscript'"):
        chosen()
    status = Lme4Engine().status()
    assert not status.available
    assert "LMERBRIDGE_R_TRANSPORT" in status.problem


@pytest.mark.usefixtures("fresh")
def test_which_transport_and_why(monkeypatch):
    assert chosen() == Choice("rscript", "LMERBRIDGE_R_TRANSPORT says so")
    monkeypatch.delenv("LMERBRIDGE_R_TRANSPORT")
    found = {"rpy2": object()}
    monkeypatch.setattr(discover.importlib.util, "find_spec", lambda name: found.get(name))
    assert chosen() == Choice("rpy2-worker", "the default")
    found.clear()
    assert chosen() == Choice("rscript", "rpy2 is not installed, and not needed")


class TestWhereRIs:
    @pytest.fixture
    def nowhere(self, monkeypatch, tmp_path):
        monkeypatch.delenv("R_HOME", raising=False)
        monkeypatch.setattr(discover.shutil, "which", lambda name: None)
        monkeypatch.setattr(discover, "ROOT", tmp_path)

        def put(place):
            path = tmp_path / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            return str(path)

        return put

    def test_nowhere(self, nowhere):
        assert rscript_path() == (None, None)

    def test_r_home_comes_first(self, nowhere, monkeypatch, tmp_path):
        nowhere("usr/bin/Rscript")
        here = nowhere("mine/bin/Rscript")
        monkeypatch.setenv("R_HOME", str(tmp_path / "mine"))
        assert rscript_path() == (here, None)

    def test_the_path_comes_second(self, nowhere, monkeypatch):
        nowhere("usr/bin/Rscript")
        monkeypatch.setattr(discover.shutil, "which", lambda name: f"/on/the/path/{name}")
        assert rscript_path() == ("/on/the/path/Rscript", None)

    @pytest.mark.parametrize(
        "places",
        [
            ["usr/bin/Rscript", "opt/R/4.5.1/bin/Rscript"],
            ["opt/R/4.10.0/bin/Rscript", "opt/R/4.9.2/bin/Rscript", "opt/R/4.10.0-old/x"],
        ],
    )
    def test_linux(self, nowhere, monkeypatch, places):
        monkeypatch.setattr(sys, "platform", "linux")
        wanted, *_ = [nowhere(p) for p in places]
        assert rscript_path() == (wanted, None)

    @pytest.mark.parametrize(
        "place",
        [
            "Library/Frameworks/R.framework/Resources/bin/Rscript",
            "Library/Frameworks/R.framework/Versions/4.4-arm64/Resources/bin/Rscript",
            "opt/homebrew/bin/Rscript",
            "usr/local/bin/Rscript",
        ],
    )
    def test_macos(self, nowhere, monkeypatch, place):
        monkeypatch.setattr(sys, "platform", "darwin")
        wanted = nowhere(place)
        assert rscript_path() == (wanted, None)

    @pytest.mark.parametrize(
        ("variable", "place"),
        [
            ("ProgramFiles", "R/R-4.5.1/bin/x64/Rscript.exe"),
            ("ProgramFiles", "R/R-4.5.1/bin/Rscript.exe"),
            ("LOCALAPPDATA", "Programs/R/R-4.4.0/bin/Rscript.exe"),
        ],
    )
    def test_windows_usual_places(self, nowhere, monkeypatch, tmp_path, variable, place):
        monkeypatch.setattr(sys, "platform", "win32")
        monkeypatch.setitem(sys.modules, "winreg", None)  # no registry
        monkeypatch.setenv(variable, str(tmp_path))
        wanted = nowhere(place)
        nowhere(place.replace("4.5.1", "4.5.0").replace("4.4.0", "4.3.9"))
        assert rscript_path() == (wanted, None)

    def test_windows_registry(self, nowhere, monkeypatch, tmp_path):
        class Key:
            def __init__(self, hive, path):
                if (hive, path) != ("user", r"Software\R-core\R"):
                    raise OSError

            def __enter__(self):
                return self

            def __exit__(self, *_):
                return None

        registry = SimpleNamespace(
            HKEY_LOCAL_MACHINE="machine",
            HKEY_CURRENT_USER="user",
            OpenKey=Key,
            QueryValueEx=lambda key, name: (str(tmp_path / "registered"), 1),
        )
        monkeypatch.setattr(sys, "platform", "win32")
        monkeypatch.setitem(sys.modules, "winreg", registry)
        wanted = nowhere("registered/bin/Rscript.exe")
        assert rscript_path() == (wanted, None)


class TestFix:
    @pytest.fixture
    def pip(self, monkeypatch):
        """What pip is asked for, and what it answers."""
        asked, answer = [], SimpleNamespace(returncode=0, stdout="", stderr="")
        monkeypatch.setattr(doctor, "pip_fixes", lambda: ["rpy2-rinterface>=3.6.3,<3.6.6"])

        def run(command, **_):
            asked.append(command)
            return answer

        monkeypatch.setattr(doctor.subprocess, "run", run)
        return asked, answer

    def test_pip_is_run_in_this_environment(self, pip):
        asked, _ = pip
        assert doctor.mend() == [Mended("rpy2-rinterface>=3.6.3,<3.6.6", None)]
        wanted = [sys.executable, "-m", "pip", "install", "rpy2-rinterface>=3.6.3,<3.6.6"]
        assert asked == [wanted]

    def test_what_pip_could_not_do_is_said(self, pip):
        _, answer = pip
        answer.returncode, answer.stderr = 1, "Collecting\nERROR: no network"
        assert doctor.mend()[0].problem == "ERROR: no network"

    def test_what_can_be_mended(self, fake_r, monkeypatch):
        fake_r("R\t4.2.2\t/usr/lib/R\nlme4\t1.1.31\t")
        monkeypatch.setattr(discover, "rpy2_version", lambda: "3.6.7")
        monkeypatch.setattr(discover.importlib.util, "find_spec", lambda name: object())
        assert doctor.pip_fixes() == ["rpy2-rinterface>=3.6.3,<3.6.6"]

    def test_nothing_to_mend(self, fake_r, monkeypatch):
        fake_r("R\t4.2.2\t/usr/lib/R\nlme4\t1.1.31\t")
        monkeypatch.setattr(discover, "rpy2_version", lambda: "3.6.5")
        monkeypatch.setattr(discover.importlib.util, "find_spec", lambda name: object())
        assert doctor.pip_fixes() == []


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
    from lmerbridge.engines import r_status

    def explode(*_):
        raise RuntimeError("ffi.error: symbol not found: R_getVar")

    monkeypatch.setattr(r_status, "package_state", explode)
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
    assert "\n  transport: " in text
