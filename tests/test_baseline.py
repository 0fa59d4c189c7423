"""A baseline that lacks something never lets it pass in silence."""

import gzip
import json
import math
from dataclasses import replace

import pytest

import lmerbridge as lb
from lmerbridge.crosscheck import TOLERANCES
from lmerbridge.crosscheck.baseline import (
    against_baseline,
    load_baseline,
    not_compared,
    record_baseline,
)
from lmerbridge.errors import DataError

pytest_plugins = ["pytester"]
FORMULA = "Reaction ~ Days + (Days | Subject)"


@pytest.fixture(scope="module")
def report():
    return lb.check(FORMULA, lb.datasets.load("sleepstudy"), ["native"]).report


@pytest.fixture
def path(report, tmp_path):
    record_baseline([report], tmp_path / "base.json")
    return tmp_path / "base.json"


def edit(path, change):
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def values_of(record):
    return record["fits"]["model"]["engines"]["native"]["quantities"]["values"]


def judged(report, path):
    return against_baseline([report], load_baseline(path))[0].outcomes[0]


def test_a_whole_one_agrees(report, path):
    assert judged(report, path).verdict.kind == "agree"


@pytest.mark.parametrize("quantity", [t.quantity for t in TOLERANCES])
def test_a_quantity_that_it_lacks_is_said(report, path, quantity):
    edit(path, lambda record: values_of(record).pop(quantity))
    if quantity in ("nobs", "criterion"):
        with pytest.raises(DataError, match=f"it lacks '{quantity}'; record it again"):
            load_baseline(path)
        return
    found = judged(report, path)
    assert found.verdict.kind == "incomplete baseline"
    assert quantity in found.verdict.sentence
    assert "record it again" in found.verdict.sentence
    assert not found.well


def test_the_half_that_an_earlier_version_recorded_is_said(report, path):
    half = ("correlation of fixed effects", "modes", "conditional SDs", "fitted")
    edit(path, lambda record: [values_of(record).pop(q) for q in half])
    assert ", ".join(half) in judged(report, path).verdict.sentence


def test_a_key_that_it_lacks_is_said(report, path):
    edit(path, lambda record: values_of(record)["modes"].popitem())
    found = judged(report, path)
    assert found.verdict.kind == "drift"
    wrong = next(d for d in found.differences if not d.agrees)
    assert str(wrong.problem).startswith("the baseline has no 'Subject.")


def test_drift_is_said_before_what_it_lacks(report, path):
    def change(record):
        values_of(record).pop("modes")
        values_of(record)["criterion"]["criterion"] += 1

    edit(path, change)
    assert judged(report, path).verdict.kind == "drift"


def test_what_the_engine_no_longer_has_is_said(report, path):
    outcome = report.outcomes[0]
    nothing = dict.fromkeys(outcome.quantities.values["conditional SDs"], math.nan)
    without = replace(
        outcome.quantities,
        values={**outcome.quantities.values, "conditional SDs": nothing},
        absent={"conditional SDs": "R did not say"},
    )
    now = replace(report, outcomes=(replace(outcome, quantities=without),))
    found = judged(now, path)
    assert found.verdict.kind == "drift"
    problem = next(d.problem for d in found.differences if not d.agrees)
    assert problem == "native no longer has it: R did not say"
    record_baseline([now], path)
    assert judged(now, path).verdict.kind == "agree"
    found = judged(report, path)  # and the other way round
    assert found.verdict.kind == "incomplete baseline"
    assert "conditional SDs" in found.verdict.sentence


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r.pop("fits"),
        lambda r: r.pop("recorded"),
        lambda r: r.update(fits=[]),
        lambda r: r.update(platform=3),
        lambda r: r["fits"].update(model=None),
        lambda r: r["fits"]["model"].pop("formula"),
        lambda r: r["fits"]["model"].pop("REML"),
        lambda r: r["fits"]["model"].update(fingerprint=None),
        lambda r: r["fits"]["model"].pop("engines"),
        lambda r: r["fits"]["model"]["engines"].update(native=[]),
        lambda r: r["fits"]["model"]["engines"]["native"].pop("version"),
        lambda r: r["fits"]["model"]["engines"]["native"].pop("quantities"),
        lambda r: r["fits"]["model"]["engines"]["native"]["quantities"].pop("sigma"),
        lambda r: values_of(r).update(nobs=3),
        lambda r: values_of(r)["fitted"].update({"0": "many"}),
        lambda r: values_of(r)["criterion"].clear(),
    ],
)
def test_one_that_is_not_whole_is_refused_in_words(path, change):
    edit(path, change)
    with pytest.raises(DataError, match=r"base.json is no baseline that can be used: .*--record"):
        load_baseline(path)


def test_what_was_not_run_is_said(report, path):
    kept = load_baseline(path)
    assert not_compared([report], kept) == []
    renamed = replace(report, case=replace(report.case, name="renamed"))
    assert not_compared([renamed], kept) == ["the baseline has models that were not run: model"]
    other = replace(report, outcomes=(replace(report.outcomes[0], engine="lme4"),))
    sentence = "the baseline has fits by native that were not made: model"
    assert not_compared([other], kept) == [sentence]
    assert not_compared([other], kept, ["lme4"]) == []


def test_a_renamed_model_is_said_on_the_command_line(run, tmp_path):
    models, base = tmp_path / "models.toml", str(tmp_path / "base.json")
    models.write_text(
        '[[model]]\nname = "a"\ndata = "Dyestuff"\nformula = "Yield ~ 1 + (1 | Batch)"\n'
    )
    run("check", str(models), "--engine", "native", "--record", base)
    models.write_text(models.read_text().replace('"a"', '"b"'))
    _, out, _ = run("check", str(models), "--engine", "native", "--baseline", base)
    assert "b: native: the baseline has no such model" in out
    assert "the baseline has models that were not run: a" in out


def test_adding_keeps_the_other_models(report, path):
    edit(path, lambda r: r.update(platform="another machine"))
    other = replace(report, case=replace(report.case, name="other"))
    assert record_baseline([other], path, add=True) == 1
    kept = load_baseline(path)
    assert list(kept["fits"]) == ["model", "other"]
    found = against_baseline([report, other], kept)
    assert [r.outcomes[0].verdict.kind for r in found] == ["agree", "agree"]
    edit(path, lambda r: values_of(r)["criterion"].update(criterion=0.0))
    facts = " ".join(map(str, judged(report, path).verdict.facts))
    assert "another machine" in facts  # where that model was recorded


def test_adding_to_another_file_is_refused(report, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("notes")
    with pytest.raises(DataError, match="no baseline"):
        record_baseline([report], path, add=True)
    assert path.read_text() == "notes"


def test_adding_to_one_that_cannot_be_used_begins_anew(report, path):
    edit(path, lambda r: r["fits"]["model"].pop("engines"))
    assert record_baseline([report], path, add=True) == 1
    assert judged(report, path).verdict.kind == "agree"


def test_a_baseline_that_cannot_be_written_is_said(report, tmp_path):
    with pytest.raises(DataError, match="cannot be written"):
        record_baseline([report], tmp_path / "nowhere" / "base.json")


SHARED = """
import pytest

FORMULA = "Reaction ~ Days + (1 | Subject)"

def test_one(lmer_agrees):
    lmer_agrees(FORMULA, "sleepstudy", ["native"], baseline="b.json")
    lmer_agrees("Yield ~ 1 + (1 | Batch)", "Dyestuff", ["native"], baseline="b.json")

@pytest.mark.parametrize("slope", ["Days", "1"])
def test_each(lmer_agrees, slope):
    formula = f"Reaction ~ Days + ({slope} | Subject)"
    lmer_agrees(formula, "sleepstudy", ["native"], baseline="b.json")

@pytest.mark.lmer(FORMULA, data="sleepstudy", engines=["native"], baseline="b.json", name="mine")
def test_marker(lmer_comparison):
    pass
"""
TWICE = """
def test_one(lmer_agrees):
    lmer_agrees("Yield ~ 1 + (1 | Batch)", "Dyestuff", ["native"], baseline="b.json", name="m")

def test_two(lmer_agrees):
    lmer_agrees("Yield ~ 1 + (1 | Batch)", "Dyestuff2", ["native"], baseline="b.json", name="m")
"""


class TestShared:
    """One baseline for several models of pytest; the plugin as installed, in a process of its own,
    is tried in test_harness.py.
    """

    @pytest.fixture
    def pytest_run(self, pytester):
        def run(*options):
            return pytester.runpytest_inprocess("-p", "no:cacheprovider", *options)

        return run

    def test_models_are_named_after_their_tests(self, pytester, pytest_run):
        pytester.makepyfile(test_models=SHARED)
        pytest_run("--lmer-record").assert_outcomes(passed=4)
        fits = json.loads((pytester.path / "b.json").read_text())["fits"]
        test = "test_models.py::test_"
        assert list(fits) == [
            f"{test}one",
            f"{test}one (2)",
            f"{test}each[Days]",
            f"{test}each[1]",
            "mine",
        ]
        pytest_run().assert_outcomes(passed=4)
        pytest_run("-k", "Days", "--lmer-record").assert_outcomes(passed=1, deselected=3)
        pytest_run().assert_outcomes(passed=4)

    def test_each_is_compared_with_its_own(self, pytester, pytest_run):
        pytester.makepyfile(test_models=SHARED)
        pytest_run("--lmer-record")
        path = pytester.path / "b.json"
        fits = json.loads(path.read_text())
        model = fits["fits"]["test_models.py::test_one (2)"]
        model["engines"]["native"]["quantities"]["values"]["criterion"]["criterion"] += 1
        path.write_text(json.dumps(fits))
        found = pytest_run()
        found.assert_outcomes(passed=3, failed=1)
        found.stdout.fnmatch_lines(["*FAILED test_models.py::test_one*"])

    def test_a_name_that_two_models_have_is_refused(self, pytester, pytest_run):
        pytester.makepyfile(test_models=TWICE)
        found = pytest_run("--lmer-record")
        found.assert_outcomes(passed=1, failed=1)
        found.stdout.fnmatch_lines(
            ["*two models are named 'm' in b.json (the other one by test_models.py::test_one)*"]
        )

    def test_a_model_that_was_not_recorded_fails(self, pytester, pytest_run):
        pytester.makepyfile(test_models=SHARED)
        pytest_run("--lmer-record", "-k", "each")
        found = pytest_run("-k", "test_one")
        found.assert_outcomes(failed=1, deselected=3)
        found.stdout.fnmatch_lines(
            ["*b.json has no model 'test_models.py::test_one', so that nothing can be compared*"]
        )

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            (None, "there is no baseline *b.json; "),
            ("{}", "*b.json is no baseline: it lacks format = *; "),
            ("notes", "*b.json is no baseline: Expecting value*; "),
        ],
    )
    def test_a_baseline_that_there_is_not_says_how_to_record_one(
        self, pytester, pytest_run, text, words
    ):
        pytester.makepyfile(test_models=SHARED)
        if text is not None:
            (pytester.path / "b.json").write_text(text)
        found = pytest_run("-k", "Days")
        found.assert_outcomes(failed=1, deselected=3)
        command = "pytest --lmer-record 'test_models.py::test_each?Days?'"
        found.stdout.fnmatch_lines([f"{words}record one by: {command}"])
        found.stdout.no_fnmatch_line("*Error*")
        recorded = pytest_run("--lmer-record", "test_models.py::test_each[Days]")
        if text is None:
            recorded.assert_outcomes(passed=1)
            pytest_run("-k", "Days").assert_outcomes(passed=1, deselected=3)
        else:
            recorded.assert_outcomes(failed=1)
            recorded.stdout.fnmatch_lines(["*it stays as it is: remove it, or name another file"])

    def test_what_cannot_be_fitted_is_of_the_test_alone(self, pytester, pytest_run):
        pytester.makepyfile(test_models=SHARED.replace("~ Days", "~ Dayz"))
        found = pytest_run("-k", "Days")
        found.assert_outcomes(failed=1, deselected=3)
        found.stdout.fnmatch_lines(["*no column 'Dayz' (did you mean 'Days'?)*"])
        assert len(found.stdout.lines) < 40
        found.stdout.no_fnmatch_line("*frame.py*")

    def test_engines_that_were_not_recorded_fail(self, pytester, pytest_run):
        pytester.makepyfile(test_models=SHARED)
        pytest_run("--lmer-record", "-k", "marker")
        pytester.makepyfile(
            test_models=SHARED.replace('engines=["native"]', 'engines=["statsmodels"]')
        )
        found = pytest_run("-k", "marker")
        found.assert_outcomes(errors=1, deselected=3)
        found.stdout.fnmatch_lines(["*b.json has no fit of 'mine' by statsmodels*"])

    def test_processes_of_xdist_do_not_record(self, pytester, pytest_run):
        pytest.importorskip("xdist")
        pytester.makepyfile(test_models=TWICE)
        found = pytest_run("--lmer-record", "-n", "2")
        found.assert_outcomes(failed=2)
        found.stdout.fnmatch_lines(["*baselines are recorded by one process: add -n 0*"])
        assert not (pytester.path / "b.json").exists()


def test_it_may_be_compressed(report, path, tmp_path):
    packed = tmp_path / "base.json.gz"
    record_baseline([report], packed)
    plain, unpacked = json.loads(path.read_text()), json.loads(gzip.decompress(packed.read_bytes()))
    assert unpacked["fits"] == plain["fits"]
    assert judged(report, packed).verdict.kind == "agree"
    assert packed.stat().st_size < path.stat().st_size / 2


@pytest.mark.parametrize("damage", [lambda b: b[:100], lambda b: b[:2] + b"zz", lambda b: b[:-4]])
def test_a_compressed_one_that_is_not_whole_is_refused(report, tmp_path, damage):
    packed = tmp_path / "base.json.gz"
    record_baseline([report], packed)
    packed.write_bytes(damage(packed.read_bytes()))
    with pytest.raises(DataError, match="cannot be read as a baseline"):
        load_baseline(packed)
