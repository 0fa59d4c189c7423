"""Files and tools around the comparison: reports, baselines, parallel work, pytest, lb.check."""

import json
import multiprocessing
import os
import platform
import signal
import threading
import time
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import numpy as np
import pytest
from joblib.externals.loky import get_reusable_executor

import lmerbridge as lb
from lmerbridge.crosscheck import Case, load_cases, parallel, run_cases, sharing, suite_text
from lmerbridge.crosscheck.baseline import against_baseline, load_baseline, record_baseline
from lmerbridge.crosscheck.formats import json_text, junit_text, markdown_text
from lmerbridge.crosscheck.html import html_text
from lmerbridge.crosscheck.parallel import _end_workers
from lmerbridge.crosscheck.record import from_plain, to_plain
from lmerbridge.crosscheck.scorecard import scorecard, scorecard_text
from lmerbridge.crosscheck.suite import run_case
from lmerbridge.engines import LINEAR_MIXED, Engine, Status, load_engine, register_engine
from lmerbridge.engines.protocol import package_version
from lmerbridge.errors import DataError

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.filterwarnings("ignore::lmerbridge.errors.FitWarning")
NAMES = ("Dyestuff", "sleepstudy-intercept", "psych252-unidentifiable", "BodyWeight")


def cases(*names):
    return [c for c in load_cases() if c.name in (names or NAMES)]


class One(Engine):
    """An engine for tests, which does what it is told."""

    name = "one"
    summary = "for tests"
    supports = LINEAR_MIXED

    def __init__(self, do):
        self.do = do

    def status(self):
        return Status(True, "2.0")

    def limits(self, frame, spec):
        return None

    def fit(self, frame, spec):
        return self.do(load_engine("native").fit(frame, spec))


@pytest.fixture
def one():
    yield lambda do: register_engine("one", lambda: One(do))
    register_engine("one", None)


def moved(result):
    beta = result.estimates.beta * 1.001
    result = replace(result, estimates=replace(result.estimates, beta=beta))
    return replace(result, provenance=replace(result.provenance, engine="one"))


def named(result):
    return replace(result, provenance=replace(result.provenance, engine="one"))


@pytest.fixture(scope="module")
def reports():
    return run_cases(cases(), ["native", "statsmodels"])


class TestFormats:
    def test_json_there_and_back(self, reports):
        found = json.loads(json_text(reports))
        assert found["well"]
        assert [c["name"] for c in found["cases"]] == [r.case.name for r in reports]
        again = [from_plain(r.case, to_plain(r)) for r in reports]
        assert suite_text(again) == suite_text(reports)

    def test_junit(self, reports):
        root = ElementTree.fromstring(junit_text(reports))
        suite = root.find("testsuite")
        assert suite.get("tests") == "7"
        assert suite.get("failures") == "0"
        times = [float(test.get("time")) for test in suite.iter("testcase")]
        assert float(suite.get("time")) == pytest.approx(sum(times), abs=1e-3 * len(times))
        age = datetime.now(UTC) - datetime.fromisoformat(suite.get("timestamp"))
        assert timedelta(0) <= age < timedelta(minutes=10)
        versions = {p.get("name"): p.get("value") for p in suite.iter("property")}
        assert versions["lmerbridge"] == lb.__version__
        assert {"platform", "numpy", "scipy"} <= set(versions)

    def test_junit_of_a_failure(self, one):
        one(moved)
        found = run_cases(cases("Dyestuff"), ["native", "one"])
        failure = ElementTree.fromstring(junit_text(found)).find(".//failure")
        assert failure.get("type") == "unexplained"
        assert "fixed effects" in failure.get("message")

    def test_markdown(self, reports):
        text = markdown_text(reports)
        assert "4 models, 7 fits:" in text
        assert "| Dyestuff" in text
        assert "agrees with golden" in text

    def test_html_is_one_page_with_pictures(self, one):
        pytest.importorskip("matplotlib")

        def short(result):
            from lmerbridge.crosscheck import Referee
            from lmerbridge.design import build_frame
            from lmerbridge.engines import FitSpec

            frame = build_frame("Yield ~ 1 + (1 | Batch)", lb.datasets.load("Dyestuff"))
            own = Referee(frame, FitSpec()).own(result, result.estimates.theta * 2)
            return named(own)

        one(short)
        found = run_cases(cases("Dyestuff"), ["native", "one"])
        text = html_text(found)
        assert "http" not in text.replace("http://www.w3.org", "").replace(
            "http://purl.org", ""
        ).replace("http://creativecommons.org", "").replace("https://matplotlib.org", "")
        assert text.count("<svg") == 2
        assert "other optimum" in text
        assert "<script" not in html_text(
            [replace(found[0], case=replace(found[0].case, shows="<script>"))]
        )

    def test_scorecard(self, reports):
        scores = {s.engine: s for s in scorecard(reports)}
        assert scores["native"].cases == 3
        assert scores["native"].agreeing == 3
        assert "native" in scorecard_text(list(scores.values()))


class TestBaseline:
    def test_it_agrees_with_itself(self, reports, tmp_path):
        path = tmp_path / "baseline.json"
        assert record_baseline(reports, path) == 6
        again = against_baseline(reports, load_baseline(path))
        kinds = {o.verdict.kind for r in again for o in r.outcomes}
        assert kinds == {"agree", "error as expected"}

    def test_drift_of_an_engine(self, one, tmp_path):
        path = tmp_path / "baseline.json"
        one(named)
        found = run_cases(cases("Dyestuff"), ["one"])
        record_baseline(found, path)
        kept = load_baseline(path)
        one(moved)
        now = run_cases(cases("Dyestuff"), ["one"])
        outcome = against_baseline(now, kept)[0].outcomes[0]
        assert outcome.verdict.kind == "drift"
        assert "; no version changed (one 2.0, " in outcome.verdict.sentence
        engine = kept["fits"]["Dyestuff"]["engines"]["one"]
        engine["version"] = "1.0"
        engine["versions"]["numpy"] = "1.26.4"
        outcome = against_baseline(now, kept)[0].outcomes[0]
        numpy = package_version("numpy")
        assert f"; one 1.0 then, 2.0 now; numpy 1.26.4 then, {numpy} now; " in (
            outcome.verdict.sentence
        )
        assert outcome.verdict.sentence.endswith(" the same")
        assert "recorded 20" in str(outcome.verdict.facts[0])
        del engine["versions"]  # as baselines were
        kept["platform"] = "another"
        sentence = against_baseline(now, kept)[0].outcomes[0].verdict.sentence
        assert f"one 1.0 then, 2.0 now; platform another then, {platform.platform()}" in sentence
        assert sentence.endswith("other versions are not in this baseline")

    def test_change_of_data_and_of_model(self, tmp_path):
        d = lb.datasets.load("Dyestuff")
        path = tmp_path / "baseline.json"
        first = lb.check("Yield ~ 1 + (1 | Batch)", d, ["native"])
        record_baseline([first.report], path)
        kept = load_baseline(path)
        other = lb.check(
            "Yield ~ 1 + (1 | Batch)", d.assign(Yield=d.Yield + np.eye(30)[3]), ["native"]
        )
        outcome = against_baseline([other.report], kept)[0].outcomes[0]
        assert outcome.verdict.kind == "other data"
        ml = lb.check("Yield ~ 1 + (1 | Batch)", d, ["native"], REML=False)
        outcome = against_baseline([ml.report], kept)[0].outcomes[0]
        assert outcome.verdict.kind == "other model"
        assert "REML: True then, False now" in str(outcome.verdict.facts[0])

    def test_what_the_baseline_lacks_is_said(self, reports, tmp_path):
        path = tmp_path / "baseline.json"
        record_baseline(reports[:1], path)
        again = against_baseline(reports, load_baseline(path))
        assert "the baseline has no such model" in again[1].outcomes[0].notes

    @pytest.mark.parametrize("text", ["", "{}", "[]"])
    def test_no_baseline(self, tmp_path, text):
        path = tmp_path / "b.json"
        path.write_text(text)
        with pytest.raises(DataError, match="no baseline"):
            load_baseline(path)


KILLER = """
import os
import signal

from lmerbridge.engines import LINEAR_MIXED, Engine, Status, load_engine


class Killer(Engine):
    name = "killer"
    summary = "kills its own process on one data set"
    supports = LINEAR_MIXED

    def status(self):
        return Status(True, "1")

    def limits(self, frame, spec):
        return None

    def fit(self, frame, spec):
        if frame.asked.data_name == "Dyestuff2":
            os.kill(os.getpid(), signal.SIGKILL)
        return load_engine("native").fit(frame, spec)
"""


def _without_seconds(report):
    return replace(report, outcomes=tuple(replace(o, seconds=0.0) for o in report.outcomes))


class TestParallel:
    def test_the_same_in_parallel(self, reports):
        found = run_cases(cases(), ["native", "statsmodels"], jobs=2)
        assert [r.case.name for r in found] == [r.case.name for r in reports]
        assert [o.verdict.kind for r in found for o in r.outcomes] == [
            o.verdict.kind for r in reports for o in r.outcomes
        ]

    def test_a_small_suite_starts_no_process(self, monkeypatch):
        monkeypatch.setattr(sharing, "_executor", lambda helpers: pytest.fail("a process started"))
        found = run_cases(cases(), ["native"], jobs=2)
        assert [r.case.name for r in found] == [c.name for c in cases()]

    @pytest.mark.parametrize(("start", "helped"), [(0.0, True), (0.4, False)])
    def test_helpers_come_only_where_that_pays(self, start, helped, monkeypatch):
        """What is left takes 1.5 s: more than five starts of 0 s, and less than five of 0.4 s."""
        monkeypatch.setattr(sharing, "AFTER", 0.1)
        monkeypatch.setattr(sharing, "WORTH", 0.5)
        started = []

        class Starting:
            """Helpers that are not ready before the end."""

            def __init__(self, helpers):
                started.append(helpers)

            def submit(self, *_):
                return Future()

            def shutdown(self, **_):
                pass

        monkeypatch.setattr(sharing, "_executor", Starting)
        work = sharing.shared(
            15, lambda _: time.sleep(0.1), print, lambda i: (i,), lambda: time.sleep(start), 1
        )
        assert len(list(work)) == 15
        assert started == [1] * helped

    def test_helpers_give_what_this_process_gives(self, monkeypatch):
        """The first case waits here until others have been done there, and comes first."""
        monkeypatch.setattr(sharing, "AFTER", 0.0)
        monkeypatch.setattr(sharing, "WORTH", 0.0)
        helped, here = threading.Event(), []
        given = sharing._Shared._next

        def told(self, done):
            if isinstance(done.result(), tuple):  # a case, and not that a helper is ready
                helped.set()
            given(self, done)

        def waiting(case, *rest):
            here.append(case.name)
            if len(here) == 1:
                assert helped.wait(120)
            return run_case(case, *rest)

        monkeypatch.setattr(sharing._Shared, "_next", told)
        monkeypatch.setattr(parallel, "run_case", waiting)
        suite = [*cases(), *(replace(case, name=f"{case.name}-again") for case in cases())]
        found = run_cases(suite, ["native", "statsmodels"], jobs=2)
        assert 0 < len(here) < len(suite)
        alone = [run_case(case, ["native", "statsmodels"]) for case in suite]
        assert [r.case.name for r in found] == [c.name for c in suite]
        assert [_without_seconds(r) for r in found] == [_without_seconds(r) for r in alone]
        assert not [p for p in multiprocessing.active_children() if "Loky" in p.name]

    def test_a_helper_that_died_is_none_and_the_rest_is_done(self, monkeypatch):
        monkeypatch.setattr(sharing, "AFTER", 0.0)
        monkeypatch.setattr(sharing, "WORTH", 0.0)
        died = threading.Event()
        given = sharing._Shared._next

        def told(self, done):
            if done.exception() is not None:
                died.set()
            given(self, done)

        monkeypatch.setattr(sharing._Shared, "_next", told)

        def here(i):
            assert died.wait(120)
            return i

        found = list(
            sharing.shared(4, here, signal.raise_signal, lambda i: (signal.SIGKILL,), os.getpid, 1)
        )
        assert sorted(v for v in found if v is not None) == [0, 2, 3]
        assert found[1] is None

    def test_a_killed_fit_takes_no_other_along(self, tmp_path, monkeypatch):
        # the engine must be found in the other processes: by an entry point in a folder
        (tmp_path / "killer_engine.py").write_text(KILLER)
        info = tmp_path / "killer-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: killer\nVersion: 1\n")
        (info / "entry_points.txt").write_text(
            "[lmerbridge.engines]\nkiller = killer_engine:Killer\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
        get_reusable_executor().shutdown(wait=True)  # workers that know the folder
        found = run_cases(cases("Dyestuff", "Dyestuff2", "Pastes"), ["native", "killer"], jobs=2)
        by_name = {r.case.name: r for r in found}
        assert not [p for p in multiprocessing.active_children() if "Loky" in p.name]
        assert [r.case.name for r in found] == ["Dyestuff", "Dyestuff2", "Pastes"]
        assert "signal 9" in by_name["Dyestuff2"].outcomes[0].verdict.sentence
        assert by_name["Dyestuff2"].outcomes[0].verdict.kind == "failed"
        for name in ("Dyestuff", "Pastes"):
            assert by_name[name].outcomes[0].verdict.kind == "agree"

    def test_workers_that_are_left_are_ended(self):
        executor = get_reusable_executor(max_workers=2)
        assert executor.submit(abs, -1).result() == 1
        left = [p for p in multiprocessing.active_children() if "Loky" in p.name]
        assert left
        _end_workers()
        assert not any(p.is_alive() for p in left)
        get_reusable_executor().shutdown(wait=True)

    def test_an_interrupted_run_goes_on(self, tmp_path, monkeypatch):
        from lmerbridge.engines.native import NativeEngine

        file, real, seen = tmp_path / "done.jsonl", NativeEngine.fit, []

        def counted(self, frame, spec):
            seen.append(frame.asked.data_name)
            if len(seen) == 3:
                raise KeyboardInterrupt
            return real(self, frame, spec)

        monkeypatch.setattr(NativeEngine, "fit", counted)
        with pytest.raises(KeyboardInterrupt):
            run_cases(cases(), ["native"], resume=file)
        found = run_cases(cases(), ["native"], resume=file)
        assert len(found) == 4
        assert len(seen) == 4  # two before, the interrupted one twice; the fourth is refused
        assert all(r.well for r in found)
        run_cases(cases(), ["native"], resume=file)
        assert len(seen) == 4

    def test_an_engine_that_raises_is_reported(self):
        report = run_cases([Case("x", "Dyestuff", "Yield ~ 1 + (1 | Nothing)")], ["native"])[0]
        assert report.outcomes[0].verdict.kind == "failed"
        assert "no column 'Nothing'" in report.outcomes[0].verdict.sentence


class TestCheck:
    def test_table_and_text(self, sleepstudy):
        found = lb.check(
            "Reaction ~ Days + (Days | Subject)", sleepstudy, ["native", "statsmodels"]
        )
        assert found.well
        assert found.verdicts["statsmodels"].kind == "agree"
        table = found.table()
        assert set(table.engine) == {"statsmodels"}
        assert table.agrees.all()
        assert found.estimates().shape[1] == 2
        assert "agrees with native" in str(found)

    def test_plots(self, sleepstudy):
        pytest.importorskip("matplotlib")
        found = lb.check(
            "Reaction ~ Days + (Days | Subject)", sleepstudy, ["native", "statsmodels"]
        )
        axes = found.plot()
        assert [t.get_text() for t in axes.get_yticklabels()] == ["(Intercept)", "Days"]
        line = found.plot_criterion("native", "statsmodels").lines[0]
        assert np.all(line.get_ydata() >= 0)
        with pytest.raises(DataError, match="gave no numbers"):
            found.plot_criterion("native", "lme4")

    def test_bad_arguments(self, sleepstudy):
        with pytest.raises(lb.EngineUnavailableError, match="there is no engine 'nativ'"):
            lb.check("Reaction ~ Days + (1 | Subject)", sleepstudy, ["nativ"])
        with pytest.raises(DataError, match="needs a reason"):
            lb.check(
                "Reaction ~ Days + (1 | Subject)",
                sleepstudy,
                ["native"],
                tolerances={"criterion": (1.0, "")},
            )


PLUGIN = """
import pytest

@pytest.mark.lmer("Reaction ~ Days + (Days | Subject)", data="sleepstudy", engines=["native"])
def test_marker(lmer_comparison):
    assert lmer_comparison.verdicts["native"].kind == "reference"

def test_fixture(lmer_agrees):
    lmer_agrees("Reaction ~ Days + (1 | Subject)", "sleepstudy", ["native", "statsmodels"])

def test_baseline(lmer_agrees):
    lmer_agrees("Yield ~ 1 + (1 | Batch)", "mine.csv", ["native"], baseline="base.json")
"""


class TestPlugin:
    def test_it_works_as_installed(self, pytester):
        pytester.makepyfile(PLUGIN)
        lb.datasets.load("Dyestuff").to_csv(pytester.path / "mine.csv", index=False)
        pytester.runpytest_subprocess("-p", "no:cacheprovider", "--lmer-record").assert_outcomes(
            passed=3
        )
        assert (pytester.path / "base.json").is_file()
        pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=3)
        d = lb.datasets.load("Dyestuff")
        d.loc[0, "Yield"] += 100
        d.to_csv(pytester.path / "mine.csv", index=False)
        result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
        result.assert_outcomes(passed=2, failed=1)
        result.stdout.fnmatch_lines(["*the data is not that of the baseline*"])
