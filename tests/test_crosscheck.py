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


@pytest.mark.parametrize(
    ("formula", "key"),
    [
        ("angle ~ recipe + temp + (1 | replicate) + diag(0 + recipe | replicate)", "replicate.1"),
        ("angle ~ recipe + temp + (1 | my.group) + diag(0 + recipe | my.group)", "my.group.1"),
    ],
)
def test_points_in_names_hide_no_effect_without_variance(formula, key):
    """lme4 2.1 stops at 1.7e-4 for recipe B's standard deviation: reference/structured."""
    cake = lb.datasets.load("cake").assign(**{"my.group": lambda d: d.replicate})
    q = of_result(lb.lmer(formula, cake, engine="native").result)
    assert q.values["std. deviations"][f"{key}.recipeB"] == 0
    assert math.isnan(q.values["correlations"][f"{key}.recipeA.recipeB"])
    compared = verdicts(q, changed(q, "correlations", f"{key}.recipeA.recipeB", 0.0))
    assert compared["correlations"].agrees
    off = changed(q, "correlations", f"{key}.recipeA.recipeC", 0.5)
    assert verdicts(q, off)["correlations"].difference == pytest.approx(0.5)


def test_rows_are_counted_from_1_in_what_is_shown(base):
    """And from 0 in the keys of stored values, which stay."""
    value = base.values["fitted"]["0"]
    moved = verdicts(base, changed(base, "fitted", "0", value + base.sigma))["fitted"]
    assert (moved.key, moved.row, moved.place) == ("0", 1, "row 1")
    nan = verdicts(base, changed(base, "fitted", "2", math.nan))["fitted"]
    assert nan.problem == "NaN at row 3"
    fewer = {k: v for k, v in base.values["fitted"].items() if k != "179"}
    lacking = replace(base, source="it", values={**base.values, "fitted": fewer})
    assert verdicts(base, lacking)["fitted"].problem == "it has no row 180"
    assert verdicts(lacking, base)["fitted"].problem == "it has no row 180"
    assert verdicts(base, base)["criterion"].place == "criterion"


@pytest.mark.parametrize(
    ("text", "first"), [("ok", 1), ("missing", 3), ("subset", 4)], ids=["all", "missing", "subset"]
)
def test_rows_are_those_of_the_data(text, first, sleepstudy):
    data, arguments = sleepstudy, {}
    if text == "missing":
        data = sleepstudy.assign(
            Reaction=[math.nan] * 2 + [float(v) for v in sleepstudy.Reaction[2:]]
        )
    if text == "subset":
        arguments = {"subset": "Days > 2"}
    m = lb.lmer("Reaction ~ Days + (1 | Subject)", data, engine="native", **arguments)
    found = of_result(m.result)
    moved = changed(found, "fitted", "0", found.values["fitted"]["0"] + found.sigma)
    assert verdicts(found, moved)["fitted"].row == first
    stored = replace(found, rows=None)  # a baseline or golden values do not know the rows
    assert verdicts(stored, moved)["fitted"].row == first


def test_the_report_says_rows_as_people_count_them(monkeypatch):
    case = next(c for c in load_cases() if c.name == "Dyestuff")
    report = run_case(case, ["native"])
    fitted = next(d for d in report.outcomes[0].differences if d.quantity == "fitted")
    worse = replace(fitted, difference=0.021, key="0", row=1)
    outcome = replace(
        report.outcomes[0],
        verdict=replace(report.outcomes[0].verdict, kind="unexplained"),
        differences=(worse,),
    )
    text = suite_text([replace(report, outcomes=(outcome,))])
    assert "fitted: row 1: 0.021 (sigma; limit 0.005)" in text


def test_what_one_side_was_never_asked_for_is_said(base):
    lacking = replace(
        base, source="it", values={k: v for k, v in base.values.items() if k != "modes"}
    )
    assert verdicts(base, lacking)["modes"].problem == "it has no modes"
    assert "modes" not in verdicts(lacking, base)


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
    assert "2 models, 2 fits: 1 agree, 1 error as expected; all well." in text


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


@pytest.mark.r
def test_live_lme4_is_the_reference_where_it_is():
    case = next(c for c in load_cases() if c.name == "sleepstudy")
    report = run_case(case, ["statsmodels", "lme4"])
    assert [(o.engine, o.against) for o in report.outcomes] == [
        ("statsmodels", "lme4"),
        ("lme4", "golden"),
    ]
    assert report.well
