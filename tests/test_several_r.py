"""Several R at once: how one is named, found and started, and that nothing of one is taken for
another's.
"""

import os
import shutil
import signal
import stat
import sys

import psutil
import pytest

import lmerbridge as lb
from lmerbridge.engines import load_engine, status_of
from lmerbridge.errors import DataError, EngineUnavailableError, FitFailedError
from lmerbridge.rlang import (
    RInstallation,
    RpyProblem,
    chosen,
    discover,
    find_installations,
    r_session,
    r_traces,
    r_versions,
    restart,
    transports,
)
from lmerbridge.rlang.command import RCommand, command_of
from lmerbridge.rlang.installations import listed, names_a_version
from lmerbridge.rlang.installations import r as named_r
from lmerbridge.rlang.processes import RscriptSession

FORMULA = "Reaction ~ Days + (Days | Subject)"
pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="R is named by scripts here"),
    pytest.mark.usefixtures("no_r_named"),
]


def program(path, text="#!/bin/sh\nexit 0\n"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def fake_home(tmp_path):
    """A folder that looks like the home of an R."""
    home = tmp_path / "opt" / "R 4"
    program(home / "bin" / "R")
    program(home / "bin" / "Rscript", "\x7fELF")
    return home


@pytest.fixture
def wrapper(tmp_path):
    """A script that becomes this machine's Rscript, in an environment of its own."""
    real = shutil.which("Rscript")
    restart()

    def make(name, setting="", last=f'exec "{real}" "$@"'):
        return program(tmp_path / name, f"#!/bin/sh\n{setting}\n{last}\n")

    yield make
    restart()


class TestNames:
    """What names an R."""

    @pytest.mark.parametrize("part", ["", "bin", "bin/R", "bin/Rscript"])
    def test_a_path_of_rs(self, fake_home, part):
        assert command_of(str(fake_home / part)).words == (str(fake_home / "bin" / "Rscript"),)

    def test_every_path_of_one_r_is_the_same_r(self, fake_home, tmp_path):
        (tmp_path / "bin").mkdir()
        for name in ("R", "Rscript"):
            (tmp_path / "bin" / name).symlink_to(fake_home / "bin" / name)
        found = {command_of(str(fake_home)), command_of(str(tmp_path / "bin" / "R"))}
        assert len(found) == 1

    def test_a_start_script_that_was_copied_is_the_same_r(self, tmp_path):
        for place in ("bin", "lib/R/bin"):
            program(tmp_path / place / "R")
            program(tmp_path / place / "Rscript", "\x7fELF")
        assert command_of(str(tmp_path)) == command_of(str(tmp_path / "lib" / "R"))

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("env A=1 Rscript", ("env", "A=1", "Rscript")),
            ("env 'A=b c' Rscript", ("env", "A=b c", "Rscript")),
            ("env A=1 R", ("env", "A=1", "Rscript")),
            ("env A=1 /opt/x/bin/R", ("env", "A=1", "/opt/x/bin/Rscript")),
        ],
    )
    def test_a_command_in_the_words_of_a_shell(self, text, words):
        found = command_of(text)
        assert found.words == words
        assert command_of(found.text) == found
        assert not found.plain

    def test_a_script_is_no_r_of_this_machine(self, fake_home, tmp_path):
        assert command_of(str(fake_home)).plain
        assert not command_of(str(program(tmp_path / "Rscript"))).plain

    def test_another_program_beside_r_is_not_r(self, fake_home):
        other = program(fake_home / "bin" / "true", "\x7fELF")
        assert command_of(str(other)) != command_of(str(fake_home))
        assert not command_of(str(other)).plain

    def test_a_relative_path_goes_on_to_mean_the_same(self, fake_home, monkeypatch):
        monkeypatch.chdir(fake_home)
        found = command_of("bin/Rscript")
        monkeypatch.chdir("/")
        assert command_of(found.text) == found

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "this is empty"),
            ("/no/where", "there is no file '/no/where'"),
            ("no-such-command Rscript", "there is no file or command 'no-such-command'"),
            ("env 'Rscript", "No closing quotation"),
        ],
    )
    def test_what_names_no_r(self, text, said):
        with pytest.raises(DataError, match=said):
            command_of(text)

    def test_a_folder_without_r(self, tmp_path):
        with pytest.raises(DataError, match="there is no bin/Rscript in this folder"):
            command_of(str(tmp_path))

    def test_r_without_rscript(self, tmp_path):
        with pytest.raises(DataError, match="it has no Rscript beside it"):
            command_of(str(program(tmp_path / "R")))

    def test_a_file_that_is_no_program(self, tmp_path):
        (tmp_path / "Rscript").write_text("")
        with pytest.raises(DataError, match="it is not a program"):
            command_of(str(tmp_path / "Rscript"))

    @pytest.mark.parametrize(
        ("text", "is_one"),
        [("4.2.2", True), ("4.2", True), ("4", False), ("/opt/R/4.2.2", False), ("R", False)],
    )
    def test_a_version(self, text, is_one):
        assert names_a_version(text) is is_one


class TestFound:
    """Where R is looked for."""

    @pytest.mark.parametrize(
        ("text", "names"),
        [
            ("", []),
            (f"/a{os.pathsep}/b", ["/a", "/b"]),
            ("docker exec -i c:1 Rscript\n", ["docker exec -i c:1 Rscript"]),
            ("/a\n\n  env X=1 Rscript\n", ["/a", "env X=1 Rscript"]),
        ],
    )
    def test_the_list_of_the_environment(self, text, names):
        assert listed(text) == names

    @pytest.fixture
    def alone(self, tmp_path, monkeypatch):
        """A machine on which each R says the version that its path has."""
        monkeypatch.setattr(discover, "ROOT", tmp_path)
        monkeypatch.setattr(discover.shutil, "which", lambda name: None)
        for name in ("PATH", "R_HOME", "CONDA_PREFIX", "CONDA_ROOT"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        monkeypatch.setattr(discover.sys, "platform", "linux")

        def probed(command):
            version = command.text.split("-")[-1].split("/")[0]
            if not names_a_version(version):
                return RpyProblem("it does not run", "reinstall R")
            return RInstallation(os.path.dirname(command.text), version, {"lme4": "1.1.31"})

        monkeypatch.setattr("lmerbridge.rlang.installations.probed", probed)
        return tmp_path

    def where(self):
        return {i.name: i.found for i in find_installations()}

    def test_in_opt(self, alone):
        script = program(alone / "opt" / "R" / "r-4.6.2" / "bin" / "Rscript", "\x7fELF")
        assert self.where() == {str(script): "in use"}

    def test_in_environments_of_conda(self, alone):
        scripts = [
            program(alone / "home" / "miniconda3" / "envs" / "r-4.3.1" / "bin" / "Rscript"),
            program(alone / "elsewhere" / "r-4.4.1" / "bin" / "Rscript"),
        ]
        (alone / "home" / ".conda").mkdir()
        (alone / "home" / ".conda" / "environments.txt").write_text(f"{alone}/elsewhere/r-4.4.1\n")
        assert self.where() == {str(script): "conda" for script in scripts}

    def test_on_the_path(self, alone, monkeypatch):
        scripts = [program(alone / f"r-4.{n}.1" / "Rscript") for n in (3, 4)]
        monkeypatch.setenv("PATH", os.pathsep.join(str(s.parent) for s in scripts))
        assert self.where() == {str(script): "the path" for script in scripts}

    def test_an_unusable_one_is_listed_with_what_is_wrong(self, alone, monkeypatch):
        broken = program(alone / "r-broken" / "Rscript")
        monkeypatch.setenv("LMERBRIDGE_R_INSTALLATIONS", f"{broken}\n/no/where")
        said = {i.name: i.said.what for i in find_installations()}
        assert said[str(broken)] == "it does not run"
        assert "there is no file '/no/where'" in said["/no/where"]

    def test_a_version_among_them(self, alone, monkeypatch):
        scripts = [program(alone / f"r-4.{n}.1" / "Rscript") for n in (3, 4)]
        monkeypatch.setenv("LMERBRIDGE_R_INSTALLATIONS", "\n".join(map(str, scripts)))
        assert load_engine("lme4@4.4").r == command_of(str(scripts[1]))

    def test_a_version_that_is_not_among_them(self, alone, monkeypatch):
        script = program(alone / "r-4.3.1" / "Rscript")
        monkeypatch.setenv("LMERBRIDGE_R_INSTALLATIONS", str(script))
        with pytest.raises(
            EngineUnavailableError, match=r"no R 4\.9\.9; found: 4\.3\.1 \(.*Rscript"
        ):
            load_engine("lme4@4.9.9")

    def test_a_version_that_two_have(self, alone, monkeypatch):
        scripts = [program(alone / name / "r-4.3.1" / "Rscript") for name in "ab"]
        monkeypatch.setenv("LMERBRIDGE_R_INSTALLATIONS", "\n".join(map(str, scripts)))
        with pytest.raises(
            EngineUnavailableError, match=r"2 installations of R 4\.3\.1: .*by its path"
        ):
            load_engine("lme4@4.3.1")


class TestInUse:
    """``LMERBRIDGE_R``."""

    def test_it_is_used(self, fake_home, monkeypatch):
        monkeypatch.setenv("LMERBRIDGE_R", str(fake_home))
        assert discover.r_in_use() == command_of(str(fake_home))

    def test_it_is_before_r_home(self, fake_home, monkeypatch):
        monkeypatch.setenv("R_HOME", "/no/where")
        monkeypatch.setenv("LMERBRIDGE_R", str(fake_home))
        assert discover.r_in_use() == command_of(str(fake_home))

    def test_one_that_is_none_is_said(self, monkeypatch):
        monkeypatch.setenv("LMERBRIDGE_R", "/no/where")
        status = status_of("lme4")
        assert not status.available
        assert "LMERBRIDGE_R: '/no/where' is no R" in status.problem
        assert status.fix == "unset LMERBRIDGE_R"

    def test_rpy2_is_for_the_r_of_this_machine(self, fake_home, monkeypatch):
        monkeypatch.setenv("LMERBRIDGE_R", str(fake_home))
        assert chosen().name == "rscript"
        monkeypatch.setenv("LMERBRIDGE_R_TRANSPORT", "rpy2-worker")
        assert chosen().name == "rpy2-worker"

    @pytest.mark.parametrize("transport", ["auto", "rpy2-worker", "rpy2"])
    def test_a_command_goes_by_rscript(self, transport, monkeypatch):
        monkeypatch.setenv("LMERBRIDGE_R_TRANSPORT", transport)
        assert chosen(command_of("env A=1 Rscript")).name == "rscript"

    @pytest.mark.r
    def test_objects_of_a_command_are_out_of_rpy2s_reach(self, sleepstudy):
        m = lb.lmer(FORMULA, sleepstudy, engine="lme4@env A=1 Rscript")
        with pytest.raises(EngineUnavailableError, match="env A=1 Rscript is a command"):
            m.r_object  # noqa: B018
        restart()

    def test_its_files_say_nothing_where_they_are_elsewhere(self, monkeypatch):
        monkeypatch.setenv("LMERBRIDGE_R", "env A=1 Rscript")
        assert r_traces() is None


class TestEngines:
    """The names of engines in an R."""

    @pytest.mark.parametrize("name", ["native@4.2.2", "statsmodels@/usr"])
    def test_only_engines_of_rs(self, name):
        with pytest.raises(EngineUnavailableError, match="does not run in R"):
            load_engine(name)

    def test_an_engine_that_there_is_not(self):
        with pytest.raises(EngineUnavailableError, match="there is no engine 'lme5@"):
            load_engine("lme5@4.2.2")

    @pytest.mark.parametrize("name", ["lme4", "nlme", "glmmTMB"])
    def test_each_in_another_r(self, name, fake_home):
        engine = load_engine(f"{name}@{fake_home}")
        assert (engine.name, engine.r) == (f"{name}@{fake_home}", command_of(str(fake_home)))
        assert load_engine(name).r is None

    def test_r_needs_a_name(self):
        with pytest.raises(DataError, match="empty"):
            lb.r("")

    def test_an_r_that_is_none_is_not_available(self, sleepstudy):
        with pytest.raises(EngineUnavailableError, match="there is no file '/no/where'"):
            lb.lmer(FORMULA, sleepstudy, engine="lme4@/no/where")

    def test_a_program_that_is_no_r(self, sleepstudy):
        with pytest.raises(EngineUnavailableError, match=r"is not available: .*true"):
            lb.lmer(FORMULA, sleepstudy, engine=lb.r("true"))


@pytest.mark.r
class TestSideBySide:
    """Two R in one process: this machine's, and a script that becomes it."""

    def of(self, model):
        return model.result.provenance

    def test_each_fits_by_itself(self, wrapper, sleepstudy):
        here = lb.lmer(FORMULA, sleepstudy, engine="lme4")
        other = lb.lmer(FORMULA, sleepstudy, engine=lb.r(str(wrapper("another"))))
        assert other.REMLcrit() == pytest.approx(here.REMLcrit(), abs=1e-8)
        assert other.engine.startswith("lme4@")
        assert here.engine == "lme4"
        assert self.of(other).versions["R"] == self.of(here).versions["R"]
        ways = {(r, name) for r, name in transports._open if name != "rpy2"}
        assert len({r for r, _ in ways}) == 2
        assert str(other.summary()) == str(here.summary())

    def test_what_is_asked_after_the_fit_is_asked_of_the_same_r(self, wrapper, sleepstudy):
        one = wrapper("one", "LMERBRIDGE_TEST=one; export LMERBRIDGE_TEST")
        m = lb.lmer(FORMULA, sleepstudy, engine=f"lme4@{one}")
        pool = transports._open[command_of(str(one)), "rscript"]
        before = pool.processes()
        assert (m.ranef()["condsd"] > 0).all()
        assert m.update(REML=False).engine == m.engine
        assert m.refitML().engine == m.engine
        assert m.refit(sleepstudy["Reaction"] + 1).engine == m.engine
        assert pool.processes() == before
        assert [r for r, name in transports._open if name != "rpy2"] == [command_of(str(one))]

    def test_another_r_in_use_later_does_not_answer_for_it(self, wrapper, sleepstudy, monkeypatch):
        restart()
        one, two = wrapper("one"), wrapper("two")
        monkeypatch.setenv("LMERBRIDGE_R", str(one))
        m = lb.lmer(FORMULA, sleepstudy, engine="lme4")
        monkeypatch.setenv("LMERBRIDGE_R", str(two))
        assert (m.ranef()["condsd"] > 0).all()
        assert [r for r, name in transports._open if name != "rpy2"] == [command_of(str(one))]

    def test_what_one_said_is_not_taken_for_another(self, wrapper):
        libraries = {}
        for name in ("one", "two"):
            folder = wrapper(name).parent / f"library-{name}"
            folder.mkdir()
            script = wrapper(name, f'R_LIBS="{folder}"; export R_LIBS')
            libraries[name] = r_versions(named_r(str(script)))["libraries"]
        assert any("library-one" in text for text in libraries["one"])
        assert not any("library-one" in text for text in libraries["two"])

    def test_restart_ends_them_all(self, wrapper):
        scripts = [named_r(str(wrapper(name))) for name in ("one", "two")]
        numbers = []
        for script in scripts:
            r_versions(script)
            numbers += transports._open[script, "rscript"].processes()
        assert len(set(numbers)) == 2
        restart()
        for number in numbers:
            with pytest.raises(ProcessLookupError):
                os.kill(number, 0)

    def test_all_of_it_goes_by_the_pipe(self, tmp_path, sleepstudy):
        """R in an environment without any of ours, as in a container, which greets."""
        path = os.path.dirname(shutil.which("Rscript"))
        script = program(
            tmp_path / "contained",
            f'#!/bin/sh\necho Welcome\nexec env -i PATH="{path}:/usr/bin:/bin" Rscript "$@"\n',
        )
        m = lb.lmer(FORMULA, sleepstudy, engine=lb.r(str(script)))
        here = lb.lmer(FORMULA, sleepstudy, engine="lme4")
        assert m.fixef().tolist() == pytest.approx(here.fixef().tolist(), rel=1e-8)
        restart()

    def test_names_and_levels_beyond_ascii(self, tmp_path, sleepstudy):
        path = os.path.dirname(shutil.which("Rscript"))
        script = program(
            tmp_path / "contained",
            f'#!/bin/sh\nexec env -i PATH="{path}:/usr/bin:/bin" Rscript "$@"\n',
        )
        d = sleepstudy.rename(columns={"Days": "Größe"})
        m = lb.lmer("Reaction ~ Größe + (1 | Subject)", d, engine=lb.r(str(script)))
        assert list(m.fixef().index) == ["(Intercept)", "Größe"]
        restart()

    @pytest.mark.parametrize("last", ['exec "{real}" "$@"', '"{real}" "$@"'])
    def test_a_fit_whose_r_is_killed_is_made_again(self, wrapper, sleepstudy, monkeypatch, last):
        real = shutil.which("Rscript")
        r = lb.r(str(wrapper("mortal", last=last.format(real=real))))
        r_versions(r)
        kill_once(monkeypatch)
        m = lb.lmer(FORMULA, sleepstudy, engine=r)
        here = lb.lmer(FORMULA, sleepstudy, engine="lme4")
        assert m.REMLcrit() == pytest.approx(here.REMLcrit(), abs=1e-8)
        assert any("was killed by SIGKILL" in note for note in m.result.evidence.notes)

    def test_an_r_that_is_killed_twice_is_an_error(self, wrapper, sleepstudy, monkeypatch):
        r = lb.r(str(wrapper("mortal")))
        r_versions(r)
        kill_once(monkeypatch, times=2)
        with pytest.raises(FitFailedError, match="was killed by SIGKILL"):
            lb.lmer(FORMULA, sleepstudy, engine=r)

    def test_a_timeout_ends_it(self, wrapper):
        r = lb.r(str(wrapper("slow")))
        r_versions(r)
        with pytest.raises(FitFailedError, match="did not answer within"):
            r_session(r=r).call("lmerbridge_no_function", {"x": "y" * 100}, 1e-9)

    def test_standard_input_that_is_closed(self, wrapper):
        script = wrapper("deaf", last=f'exec "{shutil.which("Rscript")}" "$@" </dev/null')
        status = status_of(f"lme4@{script}")
        assert "nothing comes by its standard input (docker exec needs -i)" in status.problem

    def test_an_r_without_lme4(self, wrapper, monkeypatch):
        found = {**r_versions(), "packages": {}}
        r = lb.r(str(wrapper("bare")))
        monkeypatch.setitem(transports._versions, (r, "rscript"), found)
        status = status_of(f"lme4@{r}")
        assert "has no package lme4" in status.problem
        assert status.fix == f"{r} -e 'install.packages(\"lme4\")'"

    def test_the_environment_names_the_r_in_use(self, wrapper, sleepstudy, monkeypatch):
        script = wrapper("another", "R_LIBS=/lmerbridge-test; export R_LIBS")
        monkeypatch.setenv("LMERBRIDGE_R", str(script))
        m = lb.lmer(FORMULA, sleepstudy)
        assert m.engine == "lme4"
        assert "/lmerbridge-test" in r_versions()["libraries"]

    def test_all_fit_stays_with_it(self, wrapper, sleepstudy):
        m = lb.lmer(FORMULA, sleepstudy, engine=lb.r(str(wrapper("another"))))
        table = m.allFit()
        assert set(table["engine"]) == {"native", m.engine}

    def test_nothing_is_left_behind(self, wrapper):
        session = RscriptSession(command_of(str(wrapper("brief"))))
        session.start()
        number = session.number
        group = [p for p in psutil.pids() if in_group(p, number)]
        assert number in group
        session.close()
        assert not [p for p in group if psutil.pid_exists(p)]


def in_group(process, leader):
    try:
        return os.getpgid(process) == leader
    except ProcessLookupError:
        return False


def kill_once(monkeypatch, times=1):
    """Let R be killed when a fit is asked for, so many times."""
    whole, left = RscriptSession._request, [times]

    def killing(self, function, arguments):
        if function == "fit" and left[0]:
            left[0] -= 1
            os.killpg(self.number, signal.SIGKILL)
        return whole(self, function, arguments)

    monkeypatch.setattr(RscriptSession, "_request", killing)


def test_equal_names_are_one_r():
    assert RCommand.of("env", "A=1", "Rscript") == RCommand.of("env", "A=1", "Rscript")
    assert RCommand.of("env", "A=1", "Rscript") != RCommand.of("env", "A=2", "Rscript")
