"""Ordinary regressions, by number and by text against what R's ``lm`` gave (regressions.R)."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import lmerbridge as lb
from lmerbridge.errors import DataError, FitMessage, FitWarning

STORED = Path(__file__).parent / "stored"
FOUND = json.loads((STORED / "regressions.json").read_text("utf-8"))
MODELS = {m["name"]: m for m in FOUND["models"]}
COMPARED = {c["name"]: c for c in FOUND["comparisons"]}

by_model = pytest.mark.parametrize("name", list(MODELS))


def data():
    d = lb.datasets.read_csv(STORED / "regressions.csv")
    few = d[~((d["a"] == "r") & (d["b"] == "v"))]
    small = d.iloc[[*range(5), *range(12, 16)]].reset_index(drop=True)
    tables = {"d": d, "few": few, "small": small}
    for name, table in tables.items():
        table.attrs["name"] = name
    return tables


def model(name):
    asked = MODELS[name]
    more = {"weights": "w"} if name == "weights" else {}
    return lb.lm(asked["formula"], data()[asked["data"]], **more)


def new():
    d = pd.DataFrame({"x": [0, 1.5, -2], "a": ["p", "q", "p"], "b": ["u", "v", "v"]})
    return d.assign(w=1, o=0.5, z=2 * d["x"] + 1)


def numbers(values):
    return np.array([np.nan if v in ("NA", "NaN") else float(v) for v in values])


def table(columns):
    return np.column_stack([numbers(c) for c in columns.values()])


def close(ours, theirs, tolerance=1e-9):
    scale = np.nanmax(np.abs(theirs), initial=0.0)
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=1e-12 * scale)


@by_model
def test_text_is_r_s(name):
    m, asked = model(name), MODELS[name]
    assert str(m).split("\n") == asked["print"]
    assert str(m.anova()).split("\n") == asked["anova"]
    assert str(m.confint()).split("\n") == asked["confint"]
    assert m.summary().rstrip("\n").split("\n") == asked["summary"][:-1]


@by_model
def test_estimates_are_r_s(name):
    m, asked = model(name), MODELS[name]
    assert list(m.coef().index) == asked["names"]
    close(m.coef(), numbers(asked["coef"]))
    close(m.vcov().to_numpy(), table(asked["vcov"]))
    for what in ("AIC", "BIC", "logLik"):
        assert getattr(m, what)() == pytest.approx(asked[what], rel=1e-10)
    assert m.logLik(REML=True) == pytest.approx(asked["logLikREML"], rel=1e-10)
    close(m.confint(level=0.9).to_numpy(), table(asked["confint90"]))
    close(m.anova().to_numpy(), table(asked["table"]), 1e-8)


@by_model
@pytest.mark.filterwarnings("ignore::lmerbridge.errors.FitWarning")
def test_predictions_are_r_s_where_the_fit_determines_them(name):
    m, asked = model(name), MODELS[name]
    known = ~np.isnan(m.predict(new()))
    assert known.sum() >= 2
    for found, question in (
        (m.predict(new(), interval="confidence"), "confidence"),
        (m.predict(new(), interval="prediction", level=0.8), "prediction"),
    ):
        assert list(found.columns) == list(asked[question])
        close(found[known].to_numpy(), table(asked[question])[known])
    close(m.predict(new(), se_fit=True)["se_fit"][known], numbers(asked["se"])[known])
    close(m.predict(interval="prediction").to_numpy(), table(asked["own"]))


@by_model
def test_rows_are_r_s(name):
    m, asked = model(name), MODELS[name]
    for method, question in (
        ("rstandard", "rstandard"),
        ("rstudent", "rstudent"),
        ("cooks_distance", "cooks"),
    ):
        found = getattr(m, method)()
        assert found.index.equals(m.fitted().index)
        close(found, numbers(asked[question]), 1e-8)


def compared(name):
    d, few = data()["d"], data()["few"]
    one, two = lb.lm("y ~ x", d), lb.lm("y ~ x + a", d)
    weighted = [lb.lm(f, d, weights="w") for f in ("y ~ x", "y ~ x + a")]
    return {
        "two": lambda: one.anova(two),
        "back": lambda: two.anova(one),
        "three": lambda: lb.lm("y ~ 1", d).anova(one, lb.lm("y ~ a * b * x", d)),
        "chisq": lambda: one.anova(two, test="Chisq"),
        "cp": lambda: one.anova(two, test="Cp"),
        "aliased": lambda: lb.lm("y ~ a + b", few).anova(lb.lm("y ~ a * b", few)),
        "weights": lambda: weighted[0].anova(weighted[1]),
    }[name]()


@pytest.mark.parametrize("name", list(COMPARED))
def test_comparisons_are_r_s(name):
    found, asked = compared(name), COMPARED[name]
    assert str(found).split("\n") == asked["text"]
    close(found.to_numpy(), table(asked["table"]), 1e-8)


@pytest.mark.parametrize("asked", FOUND["means"], ids=lambda a: f"{a['name']}: {a['here']}")
@pytest.mark.filterwarnings("ignore::lmerbridge.errors.FitMessage")
def test_marginal_means_are_r_s(asked):
    found = eval(asked["here"], {"m": model(asked["name"])})  # our own question
    assert str(found).rstrip("\n").split("\n") == "\n".join(asked["text"]).rstrip("\n").split("\n")


def test_a_row_that_an_aliased_fit_does_not_determine_is_missing():
    m = model("aliased")
    far = new().assign(z=0.0)  # z was 2 x + 1
    with pytest.warns(FitWarning, match="2 of 3 rows cannot be estimated"):
        found = m.predict(far.assign(z=[1.0, 0.0, 0.0]), interval="confidence", se_fit=True)
    assert np.isnan(found.iloc[1:].to_numpy()).all()
    assert not np.isnan(found.iloc[0].to_numpy()).any()


def test_what_r_says_of_prediction_intervals_is_said():
    with pytest.warns(FitMessage, match="predictions on current data refer to _future_ responses"):
        model("plain").predict(interval="prediction")
    with pytest.warns(FitMessage, match="Assuming constant prediction variance"):
        model("weights").predict(new(), interval="prediction")


def test_parameters_of_intervals_are_chosen_by_name_or_place():
    m = model("aliased")
    assert list(m.confint(parm="x").index) == ["x"]
    assert list(m.confint(parm=[4, 1]).index) == ["(Intercept)", "aq"]
    assert np.isnan(m.confint(parm="z").to_numpy()).all()
    assert list(m.vcov(complete=False)) == ["(Intercept)", "x", "aq", "ar"]
    assert list(m.model_matrix()) == ["(Intercept)", "x", "aq", "ar"]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m: m.confint(parm="zz"), "'zz' is no parameter"),
        (lambda m: m.confint(level=2), "level must be between 0 and 1"),
        (lambda m: m.predict(interval="zz"), "interval must be one of"),
        (lambda m: m.predict(level=1.5), "level must be between 0 and 1"),
        (lambda m: m.anova(test="Cp"), "test belongs to comparisons of models"),
        (lambda m: m.anova(m, test="zz"), "test must be one of F, Chisq, Cp"),
        (lambda m: m.anova(3), "compares regressions, not int"),
        (lambda m: m.anova(model("holes")), "not all fitted to the same size"),
        (lambda m: m.anova(lb.lm("x ~ a", data()["d"])), "another response"),
    ],
)
def test_what_cannot_be_answered_is_refused(call, words):
    with pytest.raises(DataError, match=words):
        call(model("plain"))


def test_a_regression_with_nothing_left_is_refused():
    d = pd.DataFrame({"y": [1.0, 2.0, 4.0], "a": ["p", "q", "r"]})
    with pytest.raises(DataError, match="nothing is left to estimate variances from"):
        lb.lm("y ~ a", d)
