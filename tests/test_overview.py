"""What `lmerbridge check` says first, and its page."""

import re
from dataclasses import replace

import pytest

import lmerbridge as lb
from lmerbridge.crosscheck import VERDICTS, Case, run_cases
from lmerbridge.crosscheck.html import html_text
from lmerbridge.crosscheck.overview import (
    ADVICE,
    MARKS,
    conclusion,
    mark_of,
    overview_text,
    worst_difference,
)
from lmerbridge.crosscheck.suite import CaseReport, Outcome
from lmerbridge.crosscheck.verdict import HARMLESS, Verdict
from lmerbridge.engines import load_engine

pytestmark = pytest.mark.filterwarnings("ignore::lmerbridge.errors.FitWarning")
DYESTUFF = Case("dye", "Dyestuff", "Yield ~ 1 + (1 | Batch)")
NOWHERE = Case("nowhere", "Dyestuff", "Yield ~ 1 + (1 | Nothing)")


@pytest.fixture(scope="module")
def fitted():
    """One model that two engines agree on, one that is wrong."""
    return run_cases([DYESTUFF, NOWHERE], ["native", "statsmodels"])


def outcome(kind, engine="other", **arguments):
    return Outcome(engine, Verdict(kind, f"what {kind} means"), "lme4", **arguments)


def report(*outcomes, name="model", **arguments):
    return CaseReport(Case(name, "Dyestuff", "y ~ 1 + (1 | g)"), tuple(outcomes), **arguments)


REFERENCE = Outcome("lme4", Verdict("reference", "the others are compared with it"))


def test_a_model_is_a_line(fitted):
    lines = overview_text(fitted).splitlines()
    (line,) = [one for one in lines if one.startswith("ok")]
    assert re.fullmatch(
        r"ok    dye +\d+\.\d s  \w+ \de-\d\d of \de-\d\d +native, statsmodels agree", line
    )
    assert line.split(" s  ")[1].startswith(worst_difference(fitted[0]))


def test_the_worst_difference_is_the_largest_part_of_its_limit(fitted):
    differences = [d for o in fitted[0].outcomes for d in o.differences if d.tolerance.limit > 0]
    parts = [d.difference / d.tolerance.limit for d in differences if d.difference is not None]
    _, value, _, limit = worst_difference(fitted[0]).split()
    assert float(value) / float(limit) == pytest.approx(max(parts), rel=0.5)


def test_the_order_failures_last_then_the_totals_and_a_sentence():
    reports = [
        report(REFERENCE, outcome("unexplained"), name="bad"),
        report(REFERENCE, outcome("better optimum"), name="low"),
        report(REFERENCE, outcome("agree"), name="good"),
        report(name="away", skipped="the data is not here"),
    ]
    assert [mark_of(r) for r in reports] == ["FAIL", "note", "ok", "skip"]
    text = overview_text(reports)
    first, blocks = text.split("\n\n", 1)
    assert [line.split()[1].strip(",:") for line in first.splitlines()[-4:]] == [
        *("bad", "low", "good", "away")
    ]
    assert blocks.index("note  low: better optimum (other)") < blocks.index(
        "FAIL  bad: UNEXPLAINED (other)"
    )
    assert "      what unexplained means\n      -> trust neither" in blocks
    assert "good" not in blocks
    *_, totals, sentence = text.splitlines()
    assert totals.startswith("4 models, 6 fits: 1 agree, 1 better optimum, 1 unexplained")
    assert sentence == ("Not well: 1 model needs care (bad); what to do stands at FAIL above.")


@pytest.mark.parametrize("kind", sorted(VERDICTS))
def test_whatever_needs_a_word_has_it_with_what_to_do(kind):
    text = overview_text([report(REFERENCE, outcome(kind))])
    quiet = kind in ("agree", "reference", "error as expected", "refused", "unavailable")
    assert (f"what {kind} means" in text) == (not quiet)
    assert ("-> " in text) == (not quiet)
    assert (kind in ADVICE) == (kind not in ("agree", "reference", "error as expected"))
    assert (kind.upper() in text) == (kind not in HARMLESS)


def test_what_is_expected_needs_no_block():
    found = report(REFERENCE, outcome("failed", expected=("failed",)))
    assert mark_of(found) == "ok"
    assert "other: failed (expected)" in overview_text([found])
    assert "what failed means" not in overview_text([found])


def test_a_change_of_the_data_is_said():
    found = report(REFERENCE, outcome("other data"), change="column y differs in row 3")
    assert "FAIL  model: the data changed: column y differs in row 3" in overview_text([found])


def test_a_note_of_an_engine_that_agrees_is_said():
    found = report(replace(REFERENCE, notes=("drift: lme4 3 here",)), outcome("agree"))
    assert mark_of(found) == "note"
    assert "note  model: lme4: drift: lme4 3 here" in overview_text([found])


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_the_terminal(fitted, width):
    many = [
        report(REFERENCE, *(outcome("flat", f"engine-{i}") for i in range(12)), name=f"model-{k}")
        for k in range(3)
    ]
    away = [report(name=f"away-{k}", skipped="the data is not here") for k in range(9)]
    text = overview_text([*fitted, *many, *away], width)
    assert max(map(len, text.splitlines())) <= width
    for engine in (f"engine-{i}" for i in range(12)):
        assert engine in text
    assert text.count("the data is not here") == 1


def test_the_sentence():
    agree = report(REFERENCE, outcome("agree"))
    assert conclusion([report(REFERENCE)]) == (
        "Nothing is wrong, and no two fits were there to compare."
    )
    assert conclusion([]) == conclusion([agree])  # nothing was measured of either
    two = run_cases([DYESTUFF], ["native", "statsmodels"])
    assert conclusion(two) == (
        "All is well: wherever two engines can be compared, they give the same numbers."
    )
    assert "see the notes" in conclusion([*two, report(REFERENCE, outcome("flat"))])
    assert conclusion([*two, report(outcome("failed"), name="x")]).startswith("Not well: 1 model")


def test_another_definition_at_the_same_optimum_is_well(run, tmp_path):
    """nlme counts BIC otherwise, which is nobody's fault."""
    assert report(REFERENCE, outcome("same optimum, other definition")).well


def test_all_is_told_by_verbose(run, tmp_path):
    path = tmp_path / "models.toml"
    path.write_text(
        '[[model]]\nname = "dye"\ndata = "Dyestuff"\nformula = "Yield ~ 1 + (1 | Batch)"\n'
    )
    engines = ("--engine", "native", "--engine", "statsmodels")
    status, short, _ = run("check", str(path), *engines)
    assert status == 0
    assert len(short.splitlines()) == 6
    status, long, _ = run("check", str(path), *engines, "-v")
    assert status == 0
    assert "Each cell is the worst difference over all keys of a quantity" in long
    assert short.splitlines()[-2:] == long.splitlines()[-2:]


def test_the_marks_are_in_the_order_of_care():
    assert MARKS == ("ok", "note", "skip", "FAIL")


class TestPage:
    @pytest.fixture
    def page(self, fitted):
        return html_text(fitted)

    def test_what_failed_is_first_and_marked(self, page):
        rows = re.findall(r'<tr class="(\w+)">.*?<a href="#(\w+)">', page)
        assert rows == [("FAIL", "nowhere"), ("ok", "dye")]
        assert re.findall(r'<h2 id="(\w+)"', page) == ["nowhere", "dye"]
        assert "What to do: mend what the message says." in page
        assert "tr.FAIL td { background: #fdeaea; }" in page

    def test_nothing_is_cut_off(self, page):
        """Quantities are rows, and engines the columns: there are few of them."""
        assert "nowrap; }\n  th" not in page
        assert "overflow-x" not in page
        widest = max(row.count("<th") for row in re.findall(r"<tr>.*?</tr>", page))
        assert widest <= 5
        for quantity in ("criterion", "BIC", "df"):
            assert f"<td>{quantity}</td>" in page

    def test_the_run_is_told(self, page):
        run = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", page))
        assert {"date", "platform", "seconds in fits", "Python", "lmerbridge", "numpy"} <= set(run)
        assert run["lmerbridge"] == lb.__version__
        assert run["statsmodels"] == load_engine("statsmodels").status().version
        assert any(name.startswith("BLAS of ") for name in run)

    def test_engines_that_agree_have_no_picture(self, page):
        assert "<svg" not in page
