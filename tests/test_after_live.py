"""Everything after the fit against live R, on models that no stored answer is of."""

import numpy as np
import pandas as pd
import pytest

import after
import test_means

pytestmark = [
    pytest.mark.r("lmerTest", "pbkrtest", "emmeans", "jsonlite"),
    pytest.mark.filterwarnings("ignore::lmerbridge.errors.FitWarning"),
]


def new_data(seed, n=160):
    """Unbalanced, with numbers of other sizes than those of the stored models."""
    rng = np.random.default_rng(seed)
    d = pd.DataFrame({"g": rng.integers(0, 14, n), "h": rng.integers(0, 6, n)})
    d["f"] = rng.choice(list("abbc"), n)
    d["k"] = rng.choice(["lo", "hi"], n)
    d["x"] = rng.normal(40, 15, n).round(2)
    effects = rng.normal(size=14) * 30
    slopes = rng.normal(size=14) * 0.8
    d["z"] = 800 + effects[d["g"]] + (1 + slopes[d["g"]]) * d["x"] + 15 * rng.normal(size=6)[d["h"]]
    d["z"] = (d["z"] + 10 * (d["f"] == "b") + 25 * rng.normal(size=n)).round(3)
    for column in ("g", "h"):
        d[column] = pd.Categorical(d[column].astype(str), sorted(d[column].astype(str).unique()))
    d["f"] = pd.Categorical(d["f"], ["c", "a", "b"])
    d["k"] = pd.Categorical(d["k"], ["lo", "hi"])
    return d


CASES = [
    {
        "name": "live-slopes",
        "data": "one",
        "formula": "z ~ f * k + x + (x | g)",
        "specs": ["f", "k"],
        "by": "k",
        "trends": "x",
    },
    {
        "name": "live-crossed",
        "data": "two",
        "formula": "z ~ f + k * x + (1 | g) + (1 | h)",
        "specs": ["k", "f"],
        "trends": "x",
    },
    {"name": "live-weights", "data": "two", "formula": "z ~ f + x + (0 + x | g)", "weights": "w"},
    {"name": "live-ml", "data": "one", "formula": "z ~ k + x + (1 | g/h)", "REML": False},
]


# what the tests below compare
QUESTIONS = (
    "^(theta|anova_.*|drop1.*|ranova|confint_wald|summary_satterthwaite|fitted_marginal|hatvalues"
    "|cooks|(emm|pairs|contrast|adjust)_.*|trends.*)$"
)


@pytest.fixture(scope="module", autouse=True)
def _asked(tmp_path_factory):
    data = {"one": new_data(11), "two": new_data(12)}
    after.ask_r(CASES, data, tmp_path_factory.mktemp("live"), QUESTIONS)
    yield
    for case in CASES:
        del after.CASES[case["name"]], after.MADE[case["name"]]


NAMES = [c["name"] for c in CASES]


def same(shown, name, question):
    expected = after.text(name, question)
    assert expected is not None, after.answers(name)[question]
    after.assert_same_text(after.without_engine(shown), expected)


@pytest.mark.parametrize("name", NAMES)
def test_tables_of_tests(name):
    m = after.at_r(name)
    for kind in (1, 2, 3):
        same(m.anova(type=kind), name, f"anova_{kind}")
    same(m.anova(ddf="lme4"), name, "anova_lme4")
    same(m.drop1(), name, "drop1")
    same(m.confint("Wald"), name, "confint_wald")
    if m.result.call.REML and name != "live-weights":
        same(m.anova(ddf="Kenward-Roger"), name, "anova_kr")
    fitted = after.fitted(name)
    same(fitted.drop1(ddf="lme4", test="Chisq"), name, "drop1_lme4")
    same(fitted.ranova(), name, "ranova")


@pytest.mark.parametrize("name", NAMES)
def test_numbers(name):
    m = after.at_r(name)
    df = m.summary(ddf="Satterthwaite").coefficients["df"]
    np.testing.assert_allclose(df, after.values(name, "summary_satterthwaite")[:, 2], rtol=1e-5)
    for question, call in (
        ("fitted_marginal", lambda m: m.predict(re_form="NA")),
        ("hatvalues", lambda m: m.hatvalues()),
        ("cooks", lambda m: m.cooks_distance()),
    ):
        np.testing.assert_allclose(call(m), after.values(name, question), rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize("name", ["live-slopes", "live-crossed"])
def test_marginal_means(name):
    asked = [
        q
        for q in after.answers(name)
        if q.startswith(("emm_", "pairs_", "contrast_", "adjust_", "trends"))
        and q not in test_means.INEXACT
    ]
    assert len(asked) > 15
    for question in asked:
        after.assert_same_text(str(test_means.ours(name, question)), after.text(name, question))
