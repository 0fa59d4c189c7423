"""drop1, ranova and anova of models: which terms can go, what is left, and R's text of it."""

import warnings

import numpy as np
import pandas as pd
import pytest

import after
import live
import lmerbridge as lb
from lmerbridge.errors import DataError

pytestmark = pytest.mark.filterwarnings(
    "ignore::lmerbridge.errors.FitWarning", "ignore::lmerbridge.errors.FitMessage"
)

LONG = "a_rather_long_name_of_a_predictor"


def data():
    rng = np.random.default_rng(5)
    n = 80
    d = pd.DataFrame({"x": rng.normal(size=n).round(2), "o": rng.normal(size=n).round(2)})
    d[LONG], d[f"{LONG}_2"] = rng.normal(size=n).round(2), rng.normal(size=n).round(2)
    d["w"] = rng.uniform(0.5, 2, n).round(2)
    d["g"] = pd.Categorical([f"g{i % 8}" for i in range(n)])
    d["h"] = pd.Categorical([f"h{i // 16}" for i in range(n)])
    d["a"] = pd.Categorical(rng.choice(list("pqr"), n), list("pqr"))
    d["b"] = pd.Categorical(rng.choice(list("uv"), n), list("uv"))
    effects = rng.normal(size=(2, 8))[:, np.arange(n) % 8]
    d["y"] = (d["x"] * (1 + effects[1]) + effects[0] + rng.normal(size=n)).round(3)
    d["miss"] = d["x"].where(~d.index.isin([2, 3, 4]))
    d["gm"] = d["g"].where(~d.index.isin([0, 8]))
    return d


def fit(formula, **arguments):
    d = data()
    return lb.lmer(formula, d, engine="native", **arguments)


DELETIONS = {
    "drop1(m)": lambda m: m.drop1(),
    'drop1(m, ddf = "lme4")': lambda m: m.drop1("lme4"),
    'drop1(m, ddf = "lme4", test = "Chisq")': lambda m: m.drop1("lme4", "Chisq"),
}
RANDOM = {
    "ranova(m)": lambda m: m.ranova(),
    "ranova(m, reduce.terms = FALSE)": lambda m: m.ranova(reduce_terms=False),
}
ANOVA = {
    "anova(m)": lambda m: m.anova(),
    'anova(m, type = "marginal")': lambda m: m.anova(type="marginal"),
    'anova(m, ddf = "Kenward-Roger")': lambda m: m.anova(ddf="Kenward-Roger"),
    'anova(m, ddf = "lme4")': lambda m: m.anova(ddf="lme4"),
}
SCOPES = {
    'drop1(m, scope = "x")': lambda m: m.drop1(scope="x"),
    'drop1(m, scope = c("a:b", "x"))': lambda m: m.drop1(scope=["a:b", "x"]),
    'drop1(m, ddf = "lme4", scope = ~ x + b)': lambda m: m.drop1("lme4", scope="~ x + b"),
    'drop1(m, ddf = "lme4", scope = c("x", "a:b"), test = "Chisq")': lambda m: m.drop1(
        "lme4", "Chisq", scope=["x", "a:b"]
    ),
    'drop1(m, ddf = "lme4", k = log(80))': lambda m: m.drop1("lme4", k=np.log(80)),
}
MODELS = {
    "y ~ x + I(2 * x) + a + (1 | g)": {**DELETIONS, **ANOVA},
    "y ~ x + poly(x, 2) + a:x + (1 | g)": {**DELETIONS, **ANOVA},
    # an aliased pair alone
    "y ~ x + I(2 * x) + (1 | g)": {"drop1(m)": DELETIONS["drop1(m)"], **ANOVA},
    "y ~ 0 + x + I(2 * x) + (1 | g)": {'drop1(m, ddf = "Ken")': lambda m: m.drop1("Ken"), **ANOVA},
    "y ~ a + I(a) + (1 | g)": DELETIONS,
    "y ~ 0 + a + b + x + (1 | g)": {**DELETIONS, **ANOVA, **RANDOM},
    "y ~ 0 + a * b + (1 | g)": {**DELETIONS, **ANOVA},
    "y ~ a + a:b + x:b + (1 | g)": {**DELETIONS, **ANOVA},
    "y ~ 1 + (1 | g)": {**DELETIONS, **ANOVA, **RANDOM},
    # lme4's own table of no effects ends in an error there
    "y ~ 0 + (1 | g)": {**DELETIONS, **RANDOM, "anova(m)": ANOVA["anova(m)"]},
    "y ~ a * b + x + offset(o) + (1 | g)": {**DELETIONS, **RANDOM, **SCOPES},
    f"y ~ {LONG} * a + {LONG}_2 + b + offset(o) + (1 | g)": {**DELETIONS, **RANDOM, **ANOVA},
    "y ~ miss + a + (1 | g)": {"drop1(m)": DELETIONS["drop1(m)"], **RANDOM},
    "y ~ x + (0 + x | g)": RANDOM,
    "y ~ x + (x || g)": RANDOM,
    "y ~ x + (b | g)": RANDOM,
    "y ~ x + (0 + b | g)": RANDOM,
    "y ~ x + (1 | h/b)": RANDOM,
    "y ~ x + (x + o | g)": RANDOM,
    "y ~ a * b + x + (1 | g) + (0 + x | g)": RANDOM,
    "y ~ x + (x * b | g)": RANDOM,
    "log(y + 20) ~ scale(x) + offset(o) + (1 | g)": RANDOM,
    "y ~ -1 + x + (x - 1 | g)": {"ranova(m)": RANDOM["ranova(m)"]},
    f"y ~ {LONG} + (1 + {LONG} | g)": RANDOM,
}
COMPARISONS = {
    "anova(m, one)": lambda m: m.anova(_one(), model_names=["m", "one"]),
    "anova(m, two, one)": lambda m: m.anova(_two(), _one(), model_names=["m", "two", "one"]),
    "anova(m, flat)": lambda m: m.anova(lb.lm("y ~ a", data()), model_names=["m", "flat"]),
    "anova(two, m, refit = FALSE)": lambda m: _two().anova(
        m, refit=False, model_names=["two", "m"]
    ),
    "anova(m, m)": lambda m: m.anova(m),
}
OTHERS = """{
  one <- lmer(y ~ a + (1 | g), d); two <- lmer(y ~ b + x + (1 | g), d, REML = FALSE)
  flat <- lm(y ~ a, d); 0 }"""


def _one():
    return fit("y ~ a + (1 | g)")


def _two():
    return fit("y ~ b + x + (1 | g)", REML=False)


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    d = data()
    cases = [
        live.case(formula, formula, d, {**{q: q for q in questions}, "theta": "m@theta"})
        for formula, questions in MODELS.items()
    ]
    questions = {"others": OTHERS, **{q: q for q in COMPARISONS}}
    cases.append(live.case("models", f"y ~ x + {LONG} * {LONG}_2 + (1 | g)", d, questions))
    return live.ask(cases, tmp_path_factory.mktemp("deletions"))


def same_text(ours, answer):
    assert "failure" not in answer, answer
    after.assert_same_text(after.without_engine(ours), "\n".join(answer["text"]), 2e-3)


@pytest.mark.r
@pytest.mark.parametrize("formula", MODELS)
def test_terms_left_out_are_r_s_text(asked, formula):
    m = fit(formula)
    for question, call in MODELS[formula].items():
        if asked[formula][question].get("failure") == "no 'nobs' method is available":
            # lmerTest 3.2-1 on a response that is a call; docs/versions.md
            assert question.startswith("ranova")
            assert "(" in formula.partition("~")[0]
            continue
        same_text(call(m), asked[formula][question])


@pytest.mark.r
@pytest.mark.parametrize("question", COMPARISONS)
def test_comparisons_of_models_are_r_s_text(asked, question):
    m = fit(f"y ~ x + {LONG} * {LONG}_2 + (1 | g)")
    answer = asked["models"][question]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        same_text(COMPARISONS[question](m), answer)
    ours = [str(w.message) for w in said if w.category is lb.FitMessage]
    assert ours == [text.strip() for text in answer["said"]]


def test_missing_values_are_refused_and_the_advice_works():
    m = fit("y ~ miss + a + (1 | g)")
    with pytest.raises(DataError, match="number of rows in use has changed, from 77 to 80"):
        m.drop1("lme4")
    kept = m.update(subset=m.frame.kept)
    assert kept.nobs() == 77
    assert list(kept.drop1("lme4").index) == ["<none>", "miss", "a"]
    assert m.drop1("lme4", scope="a").loc["a", "npar"] == 2  # of the same rows
    m = fit("y ~ x + (1 | g) + (1 | gm)")
    with pytest.raises(DataError, match="number of rows in use has changed, from 78 to 80"):
        m.ranova()
    assert list(m.update(subset=m.frame.kept).ranova().index) == ["<none>", "(1 | g)", "(1 | gm)"]
    # a slope goes, its group stays
    assert len(fit("y ~ x + (x | gm)").ranova()) == 2


def test_scopes_that_are_none():
    m = fit("y ~ a * b + x + (1 | g)")
    with pytest.raises(DataError, match="'zz' is no fixed term of the model; it has a, b, x, a:b"):
        m.drop1(scope="zz")
    with pytest.raises(DataError, match="scope is not a subset of term labels: 'b:a'"):
        m.drop1("lme4", scope="~ b:a")
    with pytest.raises(DataError, match=r"only marginal terms .* that can go: x, a:b"):
        m.drop1(scope=["x", "a"])
    with pytest.raises(DataError, match="scope must be text or a list of text"):
        m.drop1(scope=3)


def test_a_term_inside_others_leaves_the_model_as_it_is():
    found = fit("y ~ a * b + x + (1 | g)").drop1("lme4", "Chisq", scope="a")
    assert found.loc["a", "npar"] == 0
    assert found.loc["a", "LRT"] == pytest.approx(0, abs=1e-6)
    assert np.isnan(found.loc["a", "Pr(Chi)"])


def test_tests_of_nothing_are_empty_tables():
    for formula in ("y ~ 0 + (1 | g)", "y ~ 1 + (1 | g)"):
        m = fit(formula)
        for kind in (1, 2, 3, "marginal"):
            for ddf in ("Satterthwaite", "Kenward-Roger"):
                table = m.anova(type=kind, ddf=ddf)
                assert table.shape == (0, 6)
        assert m.anova(ddf="lme4").shape == (0, 4)
        assert m.drop1().shape == (0, 6)
        assert m.show_tests() == {}
