"""What stands in the places of rows that na_action="exclude" keeps, and what takes it again.

R's numbers were printed by lme4 1.1-31 for sleepstudy with Days missing in rows 3 and 50.
"""

import warnings

import numpy as np
import pandas as pd
import pytest

import lmerbridge as lb
from lmerbridge.datasets import load

FORMULA = "Reaction ~ Days + (Days | Subject)"
WEIGHTS = np.resize([1.0, 2.0, 0.5], 180)


def holes():
    d = load("sleepstudy")
    d["Days"] = d["Days"].astype(float)
    d.loc[[2, 49], "Days"] = np.nan
    return d


@pytest.fixture(scope="module")
def padded():
    return lb.lmer(FORMULA, holes(), na_action="exclude", engine="native")


@pytest.fixture(scope="module")
def short():
    return lb.lmer(FORMULA, holes(), engine="native")


def test_everything_with_a_value_per_row_is_padded(padded, short):
    for name in ("fitted", "residuals", "predict", "hatvalues", "cooks_distance", "rstudent"):
        long, of_used = getattr(padded, name)(), getattr(short, name)()
        assert len(long) == 180, name
        assert list(np.flatnonzero(long.isna())) == [2, 49], name
        np.testing.assert_allclose(long.dropna(), of_used, rtol=1e-12)
    drawn = padded.simulate(3, seed=1)
    assert drawn.shape == (180, 3)
    assert list(np.flatnonzero(drawn.isna().all(axis=1))) == [2, 49]
    pd.testing.assert_frame_equal(drawn.dropna(), short.simulate(3, seed=1))
    table = padded.predict(se_fit=True, interval="prediction")
    assert list(np.flatnonzero(table.isna().all(axis=1))) == [2, 49]
    # R: head(predict(m)), head(rstudent(m))
    R = [261.4796, 280.3181, np.nan, 317.9952, 336.8337, 355.6723]
    np.testing.assert_allclose(padded.predict()[:6], R, atol=2e-4)
    R = [-0.5516630, -0.9569077, np.nan, 0.1451971, 0.8369025, 2.4716874]
    np.testing.assert_allclose(padded.rstudent()[:6], R, atol=2e-5)


def test_augment_is_padded_with_the_data_s_values(padded, short):
    table = padded.augment()
    assert len(table) == 180
    assert table[".fitted"].isna().sum() == table[".resid"].isna().sum() == 2
    assert table.loc[2, "Reaction"] == holes().loc[2, "Reaction"]
    assert table.loc[49, "Subject"] == holes().loc[49, "Subject"]
    assert np.isnan(table.loc[2, "Days"])
    pd.testing.assert_frame_equal(
        table.drop([2, 49]), short.augment(), check_dtype=False, check_categorical=False
    )
    # a variable that is computed has no value there, one of the data has its own
    d = holes()
    formula = "log(Reaction) ~ I(Days / 2) + (1 | Subject)"
    table = lb.lmer(formula, d, na_action="exclude", engine="native").augment()
    assert np.isnan(table.loc[2, "log(Reaction)"])
    assert table.loc[2, "Subject"] == d.loc[2, "Subject"]


def test_places_are_those_of_the_subset_as_in_r():
    """R: length(fitted(m)) is 144 of 180 with subset = Days > 1, with one of them missing."""
    d = holes()
    m = lb.lmer(
        "Reaction ~ Days + (1 | Subject)",
        d,
        subset="Reaction > 250",
        na_action="exclude",
        engine="native",
    )
    rows = (d["Reaction"] > 250).sum()
    assert len(m.fitted()) == len(m.simulate()) == len(m.augment()) == rows
    assert list(m.fitted().index) == list(d.index[d["Reaction"] > 250])


def test_deletion_of_a_row_that_is_not_used_changes_nothing(padded):
    """R's influence() has a row for each of the data; it gives 7e-7 where here is 0."""
    found = padded.influence()
    R = [[0.3640684, -0.05580499], [0.5065599, -0.07219379], [0, 0], [-0.04650353, 0.004896625]]
    np.testing.assert_allclose(found.dfbeta()[:4], R, atol=1e-5)
    R = [1.762169e-03, 3.277463e-03, 0, 2.452506e-05]
    np.testing.assert_allclose(found.cooks_distance()[:4], R, rtol=1e-3)
    assert len(padded.influence("Subject").sets) == 18


# -- what one function gives, another takes


@pytest.mark.parametrize("which", ["padded", "short"])
def test_a_simulated_response_is_fitted_again(which, request):
    m = request.getfixturevalue(which)
    drawn = m.simulate(3, seed=4)
    one = m.refit(drawn[["sim_1"]])
    for shape in (
        drawn["sim_1"],
        drawn["sim_1"].to_numpy(),
        drawn["sim_1"].tolist(),
        drawn[["sim_1"]].to_numpy(),
        [drawn["sim_1"]],
        {"y": drawn["sim_1"]},
        drawn["sim_1"].dropna(),
        drawn["sim_1"].reindex(range(180)),
    ):
        np.testing.assert_array_equal(m.refit(shape).fixef(), one.fixef())
    many = m.refit_many(drawn)
    np.testing.assert_allclose(many.beta[0], one.fixef(), rtol=1e-6)
    np.testing.assert_allclose(m.refit_many(drawn.dropna().to_numpy()).beta, many.beta, rtol=1e-12)
    np.testing.assert_allclose(m.refit_many(drawn["sim_1"]).beta[0], many.beta[0], rtol=1e-12)


def test_a_response_for_all_rows_of_the_data_is_taken(short):
    """R takes it too: refit(m, sleepstudy$Reaction)."""
    whole = load("sleepstudy")["Reaction"]
    np.testing.assert_allclose(short.refit(whole).fixef(), short.fixef(), rtol=1e-8)
    import polars as pl

    series = pl.Series("Reaction", whole.to_list())
    for again in (series, series.to_frame(), whole.astype("Float64"), whole.astype(object)):
        np.testing.assert_allclose(short.refit(again).fixef(), short.fixef(), rtol=1e-8)
    assert short.refit(whole > 300).fixef()["Days"] > 0
    np.testing.assert_array_equal(short.refit().fixef(), short.fixef())


@pytest.mark.parametrize(
    ("response", "message"),
    [
        ([1, 2, 3], "has 3 values; the model has 178 rows, 180 with those dropped"),
        (load("sleepstudy")["Reaction"].astype(str), "must be numeric"),
        (load("sleepstudy")["Subject"], "must be numeric"),
        (load("sleepstudy")["Reaction"].where(WEIGHTS < 2), "missing or infinite.*first in row 2 "),
        (np.where(WEIGHTS < 2, 1.0, np.inf), "missing or infinite"),
        (np.ones((180, 2)) * WEIGHTS[:, None], "2 columns; give one, or all of them to refit_many"),
        (1j * WEIGHTS, "must be numeric"),
        (np.ones(180), "constant"),
        ("Reaction", "must be numeric"),
        (5.0, "value per row"),
    ],
)
def test_responses_that_cannot_be_are_refused(short, response, message):
    with pytest.raises(lb.DataError, match=message):
        short.refit(response)


def test_other_weights():
    m = lb.lmer(FORMULA, load("sleepstudy"), engine="native")
    again = m.refit(newweights=np.resize([1.0, 2.0], 180))
    # R: lmer(..., weights = rep(c(1, 2), 90))@beta
    np.testing.assert_allclose(again.fixef(), [251.84441, 10.47173], atol=2e-5)
    with pytest.raises(lb.DataError, match="must be positive"):
        m.refit(newweights=np.resize([1.0, -2.0], 180))


def test_comparison_by_bootstrap_of_padded_models(padded, short):
    small = "Reaction ~ 1 + (Days | Subject)"
    d = holes()
    one = padded.PBmodcomp(lb.lmer(small, d, na_action="exclude", engine="native"), 20, seed=1)
    two = short.PBmodcomp(lb.lmer(small, d, engine="native"), 20, seed=1)
    assert str(one) == str(two)
    assert padded.bootMer(nsim=5, seed=1).failed == 0
    assert padded.quantile_residuals(nsim=20, seed=1).isna().sum() == 2


def test_other_actions():
    whole = load("sleepstudy")
    for action in ("pass", "na.pass", "fail", "na.fail"):
        again = lb.lmer(FORMULA, whole, na_action=action, engine="native")
        assert again.nobs() == 180
        with pytest.raises(lb.DataError, match=r"missing values in object: Days \(2\)"):
            lb.lmer(FORMULA, holes(), na_action=action, engine="native")
    assert len(lb.lmer(FORMULA, holes(), na_action="na.exclude", engine="native").fitted()) == 180
    with pytest.raises(lb.DataError, match="na_action must be one of"):
        lb.lmer(FORMULA, whole, na_action="drop", engine="native")


def said(caught):
    return [str(w.message) for w in caught if issubclass(w.category, lb.FitMessage)]


def test_rows_that_are_left_out_are_counted_by_variable():
    d = holes()
    d.loc[[2, 5, 7], "Reaction"] = np.nan
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        m = lb.lmer(FORMULA, d, engine="native")
        lb.lmer(FORMULA, d, engine="native", subset="Days > 4")
        m.anova(m.update(". ~ . - Days"))  # refits say it no more
    assert said(caught)[0] == "4 observations deleted due to missingness: Reaction (3), Days (2)"
    assert len(said(caught)) == 3
    assert said(caught)[1] == "2 observations deleted due to missingness: Reaction (2)"
    assert said(caught)[2] == "refitting model(s) with ML (instead of REML)"


def test_whole_data_and_subsets_without_missing_values_say_nothing():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        lb.lmer(FORMULA, load("sleepstudy"), engine="native")
        lb.lmer("Reaction ~ 1 + (1 | Subject)", holes(), engine="native")
    assert said(caught) == []


def test_the_command_line_says_it_on_standard_error(run, tmp_path):
    file = tmp_path / "holes.csv"
    holes().to_csv(file, index=False)
    status, out, err = run("fit", FORMULA, str(file), "--engine", "native")
    assert status == 0
    assert "Number of obs: 178" in out
    assert "note: 2 observations deleted due to missingness: Days (2)" in err
