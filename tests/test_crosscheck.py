import math
from dataclasses import replace

import pytest

import lmerbridge as lb
from lmerbridge.crosscheck import (
    TOLERANCES,
    Case,
    compare,
    golden,
    load_cases,
    of_golden,
    of_result,
    run_case,
    run_cases,
    suite_text,
)
from lmerbridge.errors import DataError

pytestmark = pytest.mark.filterwarnings("ignore::lmerbridge.errors.FitWarning")


@pytest.fixture(scope="module")
def base():
    m = lb.lmer(
        "Reaction ~ Days + (Days | Subject)", lb.datasets.load("sleepstudy"), engine="statsmodels"
    )
    return of_result(m.result)


def verdicts(reference, other):
    return {c.quantity: c for c in compare(reference, other)}


def changed(q, quantity, key, value):
    return replace(q, values={**q.values, quantity: {**q.values[quantity], key: value}})


def test_a_fit_agrees_with_itself(base):
    assert all(c.agrees and c.difference == 0 for c in compare(base, base))


@pytest.mark.parametrize("tolerance", TOLERANCES, ids=lambda t: t.quantity)
def test_every_quantity_can_disagree(base, tolerance):
    key, value = next(iter(base.values[tolerance.quantity].items()))
    found = verdicts(base, changed(base, tolerance.quantity, key, value * 1.5 + 1))
    assert not found[tolerance.quantity].agrees
    assert found[tolerance.quantity].key == key
    assert sum(not c.agrees for c in found.values()) == 1


@pytest.mark.parametrize("tolerance", TOLERANCES, ids=lambda t: t.quantity)
def test_nan_agrees_with_nothing(base, tolerance):
    key = next(iter(base.values[tolerance.quantity]))
    both = changed(base, tolerance.quantity, key, math.nan)
    for one, two in ((base, both), (both, base), (both, both)):
        assert not verdicts(one, two)[tolerance.quantity].agrees


@pytest.mark.parametrize("tolerance", TOLERANCES, ids=lambda t: t.quantity)
def test_a_missing_or_extra_key_is_a_disagreement(base, tolerance):
    values = base.values[tolerance.quantity]
    fewer = replace(base, values={**base.values, tolerance.quantity: {}})
    assert not verdicts(base, fewer)[tolerance.quantity].agrees
    assert not verdicts(fewer, base)[tolerance.quantity].agrees
    assert values


def test_units_of_fixed_effects(base):
    error = base.values["standard errors"]["Days"]
    moved = changed(base, "fixed effects", "Days", base.values["fixed effects"]["Days"] + error / 2)
    assert verdicts(base, moved)["fixed effects"].difference == pytest.approx(0.5)


def test_correlations_with_nothing_are_not_compared(base):
    tiny = changed(base, "std. deviations", "Subject.Days", 1e-9)
    other = changed(tiny, "correlations", "Subject.(Intercept).Days", -0.9)
    assert verdicts(tiny, other)["correlations"].difference is None


def test_every_tolerance_has_a_reason():
    assert all(t.reason and t.unit for t in TOLERANCES)
    assert {t.quantity for t in TOLERANCES} == set(
        of_golden(golden(load_cases()[0]), "default", "golden").values
    )


def test_golden_quantities_come_from_the_right_keys():
    case = next(c for c in load_cases() if c.name == "sleepstudy")
    q = of_golden(golden(case), "default", "golden")
    # document 2 prints 612.10 and 24.741; 35.07 and 5.922; 0.07
    assert round(q.values["std. deviations"]["Subject.(Intercept)"], 3) == 24.741
    assert round(q.values["std. deviations"]["Subject.Days"], 3) == 5.922
    assert round(q.values["correlations"]["Subject.(Intercept).Days"], 2) == 0.07
    assert round(q.values["std. deviations"]["Residual"], 3) == 25.592


def test_every_case_has_golden_values():
    assert [c.name for c in load_cases() if golden(c) is None] == []


def test_a_suite_runs_and_reports():
    cases = [c for c in load_cases() if c.name in ("Dyestuff", "psych252-unidentifiable")]
    reports = run_cases(cases, ["statsmodels"])
    assert all(r.well for r in reports)
    text = suite_text(reports)
    assert "agrees with golden" in text
    assert "2 cases: 1 agree, 1 error as expected; all well." in text


def test_a_disagreement_is_seen(monkeypatch):
    from lmerbridge.crosscheck import suite

    case = next(c for c in load_cases() if c.name == "Dyestuff")
    record = golden(case)
    for which in ("default", "polished"):
        record[which] = {**record[which], "beta": 1500.0}
    monkeypatch.setattr(suite, "golden", lambda _: record)
    report = run_case(case, ["statsmodels"])
    assert not report.well
    text = suite_text([report])
    assert "UNEXPLAINED" in text
    assert "1 not well." in text
    assert "(Intercept): 1.4 (standard errors; limit 0.001)" in text


def test_a_model_that_is_wrongly_accepted_is_seen():
    case = Case("x", "Dyestuff", "Yield ~ 1 + (1 | Batch)", error="must be refused")
    assert not run_case(case, ["statsmodels"]).well


def test_a_better_optimum_is_compared_with_polished_lme4():
    case = next(c for c in load_cases() if c.name == "BodyWeight")
    outcome = run_case(case, ["statsmodels"]).outcomes[0]
    assert (outcome.verdict.kind, outcome.against) == ("better optimum", "lme4 polished")
    assert "below that of golden, which stopped early" in outcome.verdict.sentence
    assert outcome.well


def test_a_suite_of_ones_own(tmp_path):
    lb.datasets.load("Dyestuff").to_csv(tmp_path / "mine.csv", index=False)
    path = tmp_path / "cases.toml"
    path.write_text(
        '[[case]]\nname = "mine"\ndata = "mine.csv"\nformula = "Yield ~ 1 + (1 | Batch)"\n'
    )
    report = run_cases(load_cases(path), ["statsmodels"])[0]
    assert report.outcomes[0].verdict.kind == "reference"


HEAD = '[[case]]\nname = "a"\ndata = "b"\nformula = "c"\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no [[case]]"),
        ("[[case]]\nname = 3", 'cases.toml:2: case 3 needs name = "..."'),
        ("x = ", "cases.toml"),
        ("[other]", "unknown table 'other'"),
        (
            HEAD + "reml = true",
            "cases.toml:5: case 'a' has an unknown key 'reml' (did you mean 'REML'?)",
        ),
        (HEAD * 2, "cases.toml:6: more than one case 'a'"),
        (HEAD + "REML = 1", "cases.toml:5: REML must be true or false"),
        (HEAD + "weights = 1", "cases.toml:5: weights must be a text"),
        (HEAD + "engines = []", "cases.toml:5: engines must be"),
        (HEAD + 'expect = { native = "fine" }', "cases.toml:5: there is no verdict 'fine'"),
        (HEAD + 'contrasts = "contr.sum"', "cases.toml:5: contrasts must be {"),
        (
            HEAD + '[[case.tolerance]]\nquantity = "criterium"\nlimit = 1.0\nreason = "x"',
            "there is no quantity 'criterium' (did you mean 'criterion'?)",
        ),
        (
            HEAD + '[[case.tolerance]]\nquantity = "criterion"\nlimit = 1.0',
            "cases.toml:5: the tolerance of 'criterion' needs a reason",
        ),
        (
            HEAD + '[[case.tolerance]]\nquantity = "criterion"\nlimit = "x"\nreason = "x"',
            "must be a number of at least 0",
        ),
    ],
)
def test_bad_suites_are_refused(tmp_path, text, words):
    path = tmp_path / "cases.toml"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        load_cases(path)
    assert words in str(caught.value)


def test_everything_that_a_case_may_say(tmp_path):
    d = lb.datasets.load("Pastes")
    d["w"] = range(1, len(d) + 1)
    d.to_csv(tmp_path / "mine.csv", index=False)
    (tmp_path / "mine.toml").write_text(
        '[columns.batch]\nlevels = ["J", "A", "B", "C", "D", "E", "F", "G", "H", "I"]\n'
    )
    path = tmp_path / "models.toml"
    path.write_text(
        """
[[model]]
name = "mine"
data = "mine.csv"
formula = "strength ~ cask + (1 | batch)"
REML = false
weights = "w"
subset = "w > 6"
contrasts = { cask = "contr.sum" }
engines = ["native"]
shows = "all of it"

[[model.tolerance]]
quantity = "criterion"
limit = 0.5
reason = "to try it"
"""
    )
    case = load_cases(path)[0]
    report = run_case(case, ["native", "statsmodels"])
    assert [o.engine for o in report.outcomes] == ["native"]
    q = report.outcomes[0].quantities
    assert q.values["nobs"]["nobs"] == 54
    assert list(q.values["fixed effects"]) == ["(Intercept)", "cask1", "cask2"]
    assert next(t.limit for t in case.tolerances if t.quantity == "criterion") == 0.5
    frame_levels = lb.datasets.read_csv(tmp_path / "mine.csv").batch.cat.categories
    assert frame_levels[0] == "J"


@pytest.mark.r
def test_live_lme4_is_the_reference_where_it_is():
    case = next(c for c in load_cases() if c.name == "sleepstudy")
    report = run_case(case, ["statsmodels", "lme4"])
    assert [(o.engine, o.against) for o in report.outcomes] == [
        ("statsmodels", "lme4"),
        ("lme4", "golden"),
    ]
    assert report.well
