"""Engines that are required: a run without them is not well."""

import json
from dataclasses import replace
from xml.etree import ElementTree

import pytest

import lmerbridge as lb
from lmerbridge.crosscheck import Case, Verdict, run_case, suite_text
from lmerbridge.crosscheck.expectations import is_well
from lmerbridge.crosscheck.formats import json_text, junit_text, markdown_text
from lmerbridge.crosscheck.html import html_text
from lmerbridge.crosscheck.requirements import (
    demanded,
    for_a_run,
    listed,
    missing,
)
from lmerbridge.engines import LINEAR_MIXED, Engine, Status, load_engine, register_engine
from lmerbridge.errors import DataError

pytest_plugins = ["pytester"]


class Absent(Engine):
    """lme4 on a machine without R."""

    name = "lme4"
    summary = "for tests"
    supports = LINEAR_MIXED

    def status(self):
        return Status(False, None, "R was not found", "apt-get install r-base")

    def limits(self, frame, spec):
        return None

    def fit(self, frame, spec):
        raise AssertionError("an engine that is not available must not be asked")


@pytest.fixture
def no_r(monkeypatch):
    monkeypatch.delenv("LMERBRIDGE_REQUIRE_R", raising=False)
    register_engine("lme4", Absent)
    yield
    register_engine("lme4", None)


MODEL = '[[model]]\nname = "dye"\ndata = "Dyestuff"\nformula = "Yield ~ 1 + (1 | Batch)"\n'


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "models.toml"
        path.write_text(text)
        return str(path)

    return write


DYE = Case("dye", "Dyestuff", "Yield ~ 1 + (1 | Batch)")


@pytest.mark.parametrize(
    ("kind", "expected", "required", "well"),
    [
        ("unavailable", (), False, True),
        ("unavailable", (), True, False),
        ("unavailable", ("unavailable",), True, True),
        ("unavailable", ("flat",), False, True),
        ("unavailable", ("flat",), True, False),
        ("agree", ("unavailable",), True, True),
        ("failed", ("unavailable",), True, False),
        ("agree", ("flat", "unavailable"), False, False),
        ("flat", ("agree", "flat"), False, True),
        ("other optimum", ("other optimum", "not converged"), False, True),
        ("not converged", ("other optimum", "not converged"), False, True),
        ("unexplained", ("other optimum", "not converged"), False, False),
    ],
)
def test_what_is_well(kind, expected, required, well):
    assert is_well(Verdict(kind, ""), expected, required) is well


def test_options_may_be_lists():
    assert listed(["a,b", " c ", "a"]) == ["a", "b", "c"]
    assert listed([]) == []


class TestCommand:
    def test_without_it_a_missing_engine_is_well(self, run, file, no_r):
        status, out, _ = run("check", file(MODEL + 'engines = ["lme4", "native"]'))
        assert status == 0
        assert "engine 'lme4' took no part: R was not found" in out

    @pytest.mark.parametrize(
        "arguments",
        [
            ("--require", "lme4"),
            ("--require", "native,lme4"),
            ("--require", "native", "--require", "lme4"),
        ],
    )
    @pytest.mark.parametrize("line", ["", 'engines = ["lme4", "native"]'])
    def test_option(self, run, file, no_r, arguments, line):
        status, out, err = run("check", file(MODEL + line), *arguments)
        assert status == 1
        assert "UNAVAILABLE" in out
        assert err.count("lme4 is required, and does not work here: R was not found") == 1
        assert "FAIL dye: UNAVAILABLE (lme4) lme4 is required" in " ".join(out.split())
        assert "1 not well." in out

    def test_environment(self, run, file, no_r, monkeypatch):
        monkeypatch.setenv("LMERBRIDGE_REQUIRE_R", "1")
        status, _, err = run("check", file(MODEL))
        assert status == 1
        assert "lme4 is required" in err
        # other engines alone, where that is what was asked for
        assert run("check", file(MODEL), "--engine", "native")[0] == 0
        assert run("check", file(MODEL + 'engines = ["native"]'))[0] == 0
        monkeypatch.setenv("LMERBRIDGE_REQUIRE_R", "0")
        assert run("check", file(MODEL))[0] == 0

    @pytest.mark.parametrize("text", ['require = ["lme4"]\n' + MODEL, MODEL + 'require = "lme4"'])
    def test_file(self, run, file, no_r, text):
        status, _, err = run("check", file(text))
        assert status == 1
        assert "lme4 is required" in err

    def test_expected_to_be_missing(self, run, file, no_r):
        text = MODEL + 'expect = { lme4 = "unavailable" }\n'
        status, out, err = run("check", file(text), "--require", "lme4")
        assert status == 0
        assert "unavailable (expected)" in out
        assert "required" not in err
        both = text + MODEL.replace('"dye"', '"dye2"')
        status, out, _ = run("check", file(both), "--require", "lme4")
        assert status == 1
        assert "FAIL dye2: UNAVAILABLE (lme4) lme4 is required" in " ".join(out.split())

    def test_the_scorecard_fails_too(self, run, file, no_r):
        assert run("check", file(MODEL), "--scorecard", "--require", "lme4")[0] == 1

    @pytest.mark.parametrize(
        ("text", "arguments", "words"),
        [
            (MODEL, ("--require", "lm4"), "there is no engine 'lm4' (did you mean 'lme4'?)"),
            (
                MODEL,
                ("--require", "lme4", "--engine", "native"),
                "--require: engine 'lme4' is required, and --engine leaves it out",
            ),
            (
                'require = ["lme4"]\n' + MODEL,
                ("--engine", "native"),
                "engine 'lme4' is required, and --engine leaves it out",
            ),
            (
                MODEL + 'engines = ["native"]',
                ("--require", "lme4"),
                "engine 'lme4' is required, and fits no model here",
            ),
        ],
    )
    def test_wrong_use(self, run, file, no_r, text, arguments, words):
        status, _, err = run("check", file(text), *arguments)
        assert status == 2
        assert words in err

    def test_an_engine_that_works_satisfies(self, run, file):
        status, out, _ = run("check", file(MODEL), "--engine", "native", "--require", "native")
        assert status == 0
        assert "1 reference; all well." in out


class TestReports:
    @pytest.fixture
    def report(self, no_r):
        case = demanded([DYE], ["lme4"], "here")[0]
        return run_case(case, ["native"])

    def test_json(self, report):
        found = json.loads(json_text([report]))
        assert not found["well"]
        lme4 = next(o for o in found["cases"][0]["outcomes"] if o["engine"] == "lme4")
        assert lme4["required"]
        assert not lme4["well"]

    def test_junit(self, report):
        suite = ElementTree.fromstring(junit_text([report])).find("testsuite")
        assert (suite.get("failures"), suite.get("skipped")) == ("1", "0")
        assert "lme4 is required" in suite.find(".//failure").get("message")

    def test_markdown_and_html(self, report):
        text = markdown_text([report])
        assert "**unavailable**" in text
        assert "lme4 is required" in text
        assert '<span class="wrong">unavailable</span>' in html_text([report])

    def test_missing(self, report):
        assert list(missing([report])) == ["lme4"]
        assert "mend it with: apt-get install r-base" in missing([report])["lme4"]
        assert "1 not well" in suite_text([report])

    def test_a_model_that_fails_anyway_says_that_alone(self, no_r):
        bad = replace(DYE, formula="Yield ~ 1 + (1 | Nothing)", require=("lme4",))
        report = run_case(bad, ["native"])
        assert [o.engine for o in report.outcomes] == ["all"]

    def test_a_rival_that_is_required_takes_part(self):
        case = demanded([DYE], ["statsmodels-plain"], "here")[0]
        report = run_case(case, ["native"])
        assert [o.engine for o in report.outcomes] == ["native", "statsmodels-plain"]

    def test_models_that_leave_an_engine_out_do_not_require_it(self, monkeypatch):
        monkeypatch.delenv("LMERBRIDGE_REQUIRE_R", raising=False)
        only = replace(DYE, engines=("native",))
        found = for_a_run([DYE, only], ["lme4"], [])
        assert [case.require for case in found] == [("lme4",), ()]


class TestCheck:
    CALL = ("Yield ~ 1 + (1 | Batch)", lb.datasets.load("Dyestuff"))

    def test_require(self, no_r):
        assert lb.check(*self.CALL, ["native"]).well
        found = lb.check(*self.CALL, ["native"], require="lme4")
        assert not found.well
        assert "lme4 is required" in found.verdicts["lme4"].sentence
        assert lb.check(
            *self.CALL, ["native"], require=["lme4"], expect={"lme4": "unavailable"}
        ).well

    def test_environment(self, no_r, monkeypatch):
        monkeypatch.setenv("LMERBRIDGE_REQUIRE_R", "1")
        assert not lb.check(*self.CALL).well
        assert lb.check(*self.CALL, ["native"]).well

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ({"require": "lm4"}, "there is no engine 'lm4' (did you mean 'lme4'?)"),
            ({"expect": {"nativ": "flat"}}, "there is no engine 'nativ' (did you mean 'native'?)"),
            ({"expect": {"native": "falt"}}, "no verdict 'falt' (did you mean 'flat'?)"),
            ({"expect": {"lme4": "flat"}}, "expect names 'lme4', which does not fit this model"),
            ({"expect": "flat"}, "expect must be"),
            ({"tolerances": {"criterion": 1e-3}}, "tolerances are {quantity: (limit, reason)}"),
            ({"tolerances": {"criterium": (1, "x")}}, "(did you mean 'criterion'?)"),
            ({"tolerances": {"correlations": (1, "x")}}, "of which this model has none"),
            ({"start": [1.0, 2.0]}, "start has 2 values; theta has 1"),
            ({"timeout": -1}, "timeout must be a positive number"),
        ],
    )
    def test_names_that_apply_to_nothing(self, arguments, words):
        with pytest.raises(DataError) as caught:
            lb.check(*self.CALL, ["native"], **arguments)
        assert words in str(caught.value)

    def test_start_and_timeout_reach_the_engines(self):
        found = lb.check(*self.CALL, ["native", "statsmodels"], start=[0.7], timeout=60)
        assert found.verdicts["native"].kind == "reference"
        assert found.verdicts["statsmodels"].sentence.startswith("start=: ")

    def test_a_message_names_all_the_verdicts_expected(self):
        found = lb.check(
            *self.CALL,
            ["native", "statsmodels"],
            expect={"statsmodels": "other optimum or not converged"},
        )
        assert not found.well
        assert "the verdict expected was 'other optimum' or 'not converged'" in str(found)


def test_unavailable_is_no_verdict_that_an_engine_that_works_must_get():
    case = replace(DYE, expect={"native": ("unavailable",)}, require=("native",))
    assert run_case(case, ["native"]).well
    assert load_engine("native").status().available


CONFTEST = """
from lmerbridge.engines import Engine, Status, register_engine

class Absent(Engine):
    name, summary, supports = "lme4", "for tests", frozenset()

    def status(self):
        return Status(False, None, "R was not found")

register_engine("lme4", Absent)
"""
PLUGIN = """
import pytest

def test_fixture(lmer_agrees):
    lmer_agrees("Yield ~ 1 + (1 | Batch)", "Dyestuff", ["native"], require="lme4")

@pytest.mark.lmer("Yield ~ 1 + (1 | Batch)", data="Dyestuff", engines=["native"], require=["lme4"])
def test_marker(lmer_comparison):
    pass

def test_plain(lmer_agrees):
    lmer_agrees("Yield ~ 1 + (1 | Batch)", "Dyestuff", ["native"])

def test_all(lmer_agrees):
    lmer_agrees("Yield ~ 1 + (1 | Batch)", "Dyestuff")
"""


def test_the_plugin_fails_without_what_is_required(pytester, monkeypatch):
    monkeypatch.delenv("LMERBRIDGE_REQUIRE_R", raising=False)
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(PLUGIN)
    plain = ("-p", "no:cacheprovider")
    result = pytester.runpytest_subprocess(*plain)
    # the marker's fixture fails in the test's set-up
    result.assert_outcomes(passed=2, failed=1, errors=1)
    result.stdout.fnmatch_lines(["*lme4 is required, and does not work here: R was not found*"])
    result = pytester.runpytest_subprocess(*plain, "--lmer-require", "native,lme4")
    result.assert_outcomes(failed=3, errors=1)
    monkeypatch.setenv("LMERBRIDGE_REQUIRE_R", "1")
    # those by the native engine alone do not ask for R
    result = pytester.runpytest_subprocess(*plain)
    result.assert_outcomes(passed=1, failed=2, errors=1)
