"""lme4 compared with lme4 in another R: what moved, and what is known of why."""

import json
import shutil
import stat
import sys
from dataclasses import replace

import numpy as np
import pytest

import lmerbridge as lb
from lmerbridge.crosscheck import load_cases, run_case
from lmerbridge.crosscheck.cases import Case
from lmerbridge.crosscheck.identity import engine_identity
from lmerbridge.crosscheck.memory import open_memory
from lmerbridge.crosscheck.parallel import run_cases
from lmerbridge.crosscheck.suite import Outcome
from lmerbridge.crosscheck.upgrade import _concerns, between, drifted, engines_of, for_an_upgrade
from lmerbridge.crosscheck.verdict import Verdict
from lmerbridge.crosscheck.versions import Change
from lmerbridge.design import build_frame
from lmerbridge.engines import LINEAR_MIXED, Engine, FitSpec, load_engine
from lmerbridge.engines.lme4 import Lme4Engine
from lmerbridge.errors import ArgumentError, DataError, FitFailedError
from lmerbridge.rlang import restart

FORMULA = "Reaction ~ Days + (Days | Subject)"
CASE = Case("sleep", "sleepstudy", FORMULA)
pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="R is named by scripts here"),
    pytest.mark.usefixtures("no_r_named"),
]


@pytest.fixture
def wrapper(tmp_path):
    """A script that becomes this machine's Rscript: another R, as far as anybody can tell."""
    restart()

    def make(name, setting=""):
        path = tmp_path / name
        path.write_text(f'#!/bin/sh\n{setting}\nexec "{shutil.which("Rscript")}" "$@"\n')
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return str(path)

    yield make
    restart()


@pytest.fixture
def models(tmp_path):
    path = tmp_path / "models.toml"
    path.write_text(
        f'[[model]]\nname = "sleep"\ndata = "sleepstudy"\nformula = "{FORMULA}"\n'
        'engines = ["lme4", "native"]\nexpect = { lme4 = "other optimum" }\n\n'
        '[[model]]\nname = "wrong"\ndata = "sleepstudy"\nerror = "Day"\n'
        'formula = "Reaction ~ Day + (1 | Subject)"\n'
    )
    return path


def moving(monkeypatch, name):
    """Let lme4 fit by ML in the R of this name, whatever is asked for."""
    fit = Lme4Engine.fit

    def other(self, frame, spec):
        return fit(self, frame, replace(spec, REML=False) if name in self.name else spec)

    monkeypatch.setattr(Lme4Engine, "fit", other)


class Moved(Engine):
    """The native engine, stopped beside the optimum; or at once."""

    name = "fake"
    summary = "for tests"
    supports = LINEAR_MIXED

    def __init__(self, far=0.0, problem=None):
        self.far, self.problem = far, problem

    def status(self):
        return load_engine("native").status()

    def limits(self, frame, spec):
        return None

    def fit(self, frame, spec):
        if self.problem is not None:
            raise FitFailedError(self.problem)
        result = load_engine("native").fit(frame, spec)
        estimates = replace(result.estimates, beta=result.estimates.beta + self.far)
        made = replace(result.provenance, engine="fake", versions={"lme4": "2.1-0", "R": "4.6.2"})
        return replace(result, estimates=estimates, provenance=made)


class TestDrift:
    """What is made of the verdicts, without R."""

    def report(self, engine_slot, reference="native", **how):
        lb.register_engine(engine_slot, lambda: Moved(**how))
        (case,) = for_an_upgrade([CASE], ["native", "fake"])
        case = replace(case, reference=reference)
        return drifted(run_case(case, ["native", "fake"]))

    def test_nothing_moved(self, engine_slot):
        report = self.report(engine_slot)
        assert [o.verdict.kind for o in report.outcomes] == ["reference", "agree"]
        assert report.well

    def test_what_differs_is_drift_and_says_how(self, engine_slot):
        report = self.report(engine_slot, far=1.0)
        first, other = report.outcomes
        assert first.verdict.kind == "reference"
        assert other.verdict.kind == "drift"
        assert other.against == "native"
        assert "fake gives other numbers than native (" in other.verdict.sentence
        assert "lme4 none then, 2.1-0 now" in other.verdict.sentence
        assert "no item of NEWS" in str(other.verdict.facts[-1])
        assert not report.well

    def test_one_that_no_longer_fits_is_drift(self, engine_slot):
        other = self.report(engine_slot, problem="no more").outcomes[1]
        assert other.verdict.kind == "drift"
        assert "fake does not fit it, and native does: no more" in other.verdict.sentence
        assert not other.well

    def test_one_that_now_fits_is_drift(self, engine_slot):
        report = self.report(engine_slot, reference="fake", problem="not yet")
        native = report.outcomes[0]
        assert native.verdict.kind == "drift"
        assert "native fits it, and fake does not: not yet" in native.verdict.sentence
        assert not report.well

    def test_what_nobody_fits_has_not_moved(self):
        refused = Verdict("refused", "no such model")
        report = run_case(replace(CASE, error="x"), [])
        outcomes = tuple(Outcome(name, refused) for name in ("a", "b"))
        report = replace(report, case=replace(CASE, reference="a"), outcomes=outcomes)
        assert drifted(report).outcomes == outcomes

    def test_news_that_are_known(self, engine_slot, monkeypatch):
        found = self.report(engine_slot, far=1.0)
        then = replace(found.outcomes[0], versions={"lme4": "1.1-31", "R": "4.2.2"})
        now = replace(found.outcomes[1], versions={"lme4": "2.1-0", "R": "4.6.2"})
        lines = between([replace(found, outcomes=(then, now))])
        assert (
            lines[0] == "from native to fake: lme4 1.1-31 then, 2.1-0 now; R 4.2.2 then, 4.6.2 now"
        )
        assert any("NEWS of lme4 1.1-38: the convergence checks" in line for line in lines)
        assert not any("generalized" in line for line in lines)


@pytest.mark.parametrize(
    ("touches", "formula", "it_does"),
    [
        (("fit", "formula"), "y ~ x + cs(1 + x | g)", True),
        (("fit", "formula"), "y ~ x + (1 + x | g)", False),
        (("fit",), "y ~ x + (1 + x | g)", True),
    ],
)
def test_news_of_functions_concern_the_models_that_have_them(touches, formula, it_does):
    change = Change("lme4", "2.0-1", "terms have structures: us(), cs()", touches, "the same")
    assert _concerns(change, formula) is it_does


class TestCases:
    """What is compared of a suite."""

    def test_models_that_must_be_refused_are_left_out(self, models):
        (case,) = for_an_upgrade(load_cases(models), ["lme4@a", "lme4@b"])
        assert case.name == "sleep"
        assert case.engines == case.require == ("lme4@a", "lme4@b")
        assert case.reference == "lme4@a"

    def test_what_is_expected_of_other_comparisons_does_not_count(self, models):
        (case,) = for_an_upgrade(load_cases(models), ["lme4@a", "lme4@b"])
        assert case.expected("lme4@b") == ()

    def test_what_is_said_of_lme4_holds_in_every_r(self, models):
        case = load_cases(models)[0]
        assert case.takes("lme4@4.6.2")
        assert not case.takes("nlme@4.6.2")
        assert case.expected("lme4@4.6.2") == ("other optimum",)


class TestNewcomers:
    """What is said of wrong use."""

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--r", "/no/where", "--r", "/no/other"], "'/no/where' is no R"),
            (["--r", "0.1.2", "--r", "0.1.3"], "there is no R 0.1.2; found: "),
            (["--r", "true", "--r", "true"], "are the same R, which can only agree with itself"),
            (["--r", "true", "--r", "false"], "true cannot take part: "),
            (["--r", "true", "--engine", "native"], "leave out --engine"),
            (["--r", "true", "--scorecard"], "leave out --scorecard"),
            (["--r", "true", "--require", "lme4"], "leave out --require"),
        ],
    )
    def test_on_the_command_line(self, run, models, arguments, said):
        status, _, err = run("check", str(models), *arguments)
        assert status == 2
        assert said in err
        assert err.startswith("lmerbridge: --r")
        assert err.count("\n") == 1

    @pytest.mark.r
    def test_the_r_in_use_alone(self, run, models):
        status, _, err = run("check", str(models), "--r", shutil.which("Rscript"))
        assert status == 2
        assert "is the R in use, which can only agree with itself" in err

    @pytest.mark.parametrize("more", [{"engines": ["native"]}, {"require": "lme4"}])
    def test_in_python(self, sleepstudy, more):
        with pytest.raises(ArgumentError, match="compares lme4 with lme4"):
            lb.check(FORMULA, sleepstudy, r=["true", "false"], **more)

    def test_a_lone_text_in_python(self, sleepstudy):
        with pytest.raises(DataError, match=r"list|sequence"):
            lb.check(FORMULA, sleepstudy, r="true")


@pytest.mark.r
class TestLive:
    """This machine's R, and a script that becomes it."""

    def test_the_same_r_by_another_name_agrees(self, run, models, wrapper, tmp_path):
        out = tmp_path / "out.json"
        other = wrapper("other")
        status, text, _ = run(
            "check", str(models), "--r", other, "--json", str(out), "--junit", f"{tmp_path}/j.xml"
        )
        assert status == 0
        assert "1 agree, 1 reference; all well." in text
        assert "no version changed" in text
        (case,) = json.loads(out.read_text())["cases"]
        assert [o["verdict"] for o in case["outcomes"]] == ["reference", "agree"]
        assert case["outcomes"][1]["engine"] == f"lme4@{other}"

    @pytest.mark.parametrize("jobs", ["1", "2"])
    def test_names_are_known_in_every_process(self, run, models, wrapper, jobs):
        text = models.read_text()
        models.write_text(text + text.split("\n\n")[0].replace('"sleep"', '"again"') + "\n")
        one, other = wrapper("one"), wrapper("other")
        status, out, _ = run("check", str(models), "--r", one, "--r", other, "-j", jobs)
        assert status == 0
        assert "2 agree, 2 reference; all well." in out

    def test_what_moved_is_told(self, run, models, wrapper, monkeypatch, tmp_path):
        other = wrapper("other")
        moving(monkeypatch, other)
        page = tmp_path / "page.html"
        status, out, _ = run(
            "check", str(models), "--r", wrapper("one"), "--r", other, "--html", str(page)
        )
        assert status == 1
        out = " ".join(out.split())  # lines end at the width of the terminal
        assert f"lme4@{other} gives other numbers than lme4@" in out
        assert "fitted by ML where REML was asked for" in out
        assert "drift" in page.read_text().lower()

    def test_a_memory_answers_for_no_other_r(self, wrapper, tmp_path, sleepstudy):
        names = engines_of([wrapper("one"), wrapper("other")], "here")
        assert len({json.dumps(engine_identity(name), default=str) for name in names}) == 2
        frame = build_frame(FORMULA, sleepstudy)
        memory = open_memory(tmp_path / "fits")
        keys = {memory.key(frame, FitSpec(), name) for name in (*names, "lme4")}
        assert len(keys - {None}) == 3

    def test_a_run_resumed_says_the_same(self, wrapper, tmp_path, monkeypatch):
        names = engines_of([wrapper("one"), wrapper("other")], "here")
        cases = for_an_upgrade([CASE], names)
        first = run_cases(cases, names, resume=tmp_path / "fits")
        monkeypatch.setattr(Lme4Engine, "fit", None)  # all is in the file
        again = run_cases(cases, names, resume=tmp_path / "fits")
        for one, two in zip(first[0].outcomes, again[0].outcomes, strict=True):
            assert one.verdict == two.verdict
            assert one.engine == two.engine
            np.testing.assert_array_equal(one.theta, two.theta)

    def test_from_python(self, wrapper, sleepstudy):
        found = lb.check(FORMULA, sleepstudy, r=[wrapper("one"), lb.r(wrapper("other"))])
        assert [v.kind for v in found.verdicts.values()] == ["reference", "agree"]
        assert found.well

    def test_what_moved_in_python(self, wrapper, sleepstudy, monkeypatch):
        other = wrapper("other")
        moving(monkeypatch, other)
        found = lb.check(FORMULA, sleepstudy, r=[wrapper("one"), other])
        assert found.verdicts[f"lme4@{other}"].kind == "drift"
        assert not found.well

    @pytest.mark.parametrize("command", ["engines", "doctor"])
    def test_installations_are_listed(self, run, wrapper, monkeypatch, command):
        one = wrapper("one")
        monkeypatch.setenv("LMERBRIDGE_R_INSTALLATIONS", f"{one}\n/no/where\n")
        status, out, _ = run(command)
        assert status == 0
        assert "(in use): lme4 " in out
        assert f"{one} (LMERBRIDGE_R_INSTALLATIONS): lme4 " in out
        assert "/no/where (LMERBRIDGE_R_INSTALLATIONS): cannot be used: '/no/where' is no R" in out

    def test_engines_in_an_r_are_named_in_a_file(self, run, models, wrapper):
        other = wrapper("other")
        models.write_text(
            f'[[model]]\nname = "sleep"\ndata = "sleepstudy"\nformula = "{FORMULA}"\n'
            f'engines = ["lme4", "lme4@{other}"]\n'
        )
        status, out, _ = run("check", str(models))
        assert status == 0
        assert f"lme4@{other}" in out
        assert "1 agree, 1 reference; all well." in out
