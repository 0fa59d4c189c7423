"""Wald tables as car's Anova, and all terms tested by likelihood ratios or bootstrap."""

import numpy as np
import pytest

import after
import live
import lmerbridge as lb
from lmerbridge.errors import DataError
from test_deletions import data, fit

pytestmark = pytest.mark.filterwarnings(
    "ignore::lmerbridge.errors.FitWarning", "ignore::lmerbridge.errors.FitMessage"
)

FORMULAS = [
    "y ~ a * b + x + (1 | g)",
    "y ~ a/b + (1 | g)",
    "y ~ poly(x, 2) * a + b + (1 | g)",
    "y ~ a + a:x + b:x + (1 | g)",
    "y ~ x + I(2 * x) + a + (1 | g)",
    "y ~ 0 + x + (1 | g)",
    "log(y + 20) ~ scale(x) * b + offset(o) + (1 | g)",
]
TABLES = {
    "car::Anova(m)": lambda m: m.Anova(),
    "car::Anova(m, type = 3)": lambda m: m.Anova(type=3),
    'car::Anova(m, test.statistic = "F")': lambda m: m.Anova(test_statistic="F"),
    'car::Anova(m, type = "III", test.statistic = "F")': lambda m: m.Anova("III", "F"),
}


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    questions = {**{q: q for q in TABLES}, "theta": 'lme4::getME(m, "theta")'}
    cases = [
        live.case(f"{formula} {i}", formula, data(), questions, contrasts)
        for formula in FORMULAS
        for i, contrasts in enumerate(({}, {"a": "contr.sum", "b": "contr.helmert"}))
        if not i or formula == FORMULAS[0]
    ]
    return cases, live.ask(cases, tmp_path_factory.mktemp("car"))


@pytest.mark.r
@pytest.mark.parametrize("question", TABLES)
def test_wald_tables_are_car_s_text(asked, question):
    cases, answers = asked
    for case in cases:
        answer = answers[case["name"]]
        m = live.at_theta(live.fit(case), answer["theta"]["value"]["values"])
        assert "failure" not in answer[question], answer
        after.assert_same_text(str(TABLES[question](m)), "\n".join(answer[question]["text"]))


def test_wald_of_type_2_is_a_difference():
    """W of a term with its relatives, less W of the relatives, by the same covariances."""
    m = fit("y ~ a * b + x + (1 | g)")
    beta, V = m.fixef().to_numpy(), m.vcov().to_numpy()

    def W(columns):
        return beta[columns] @ np.linalg.solve(V[np.ix_(columns, columns)], beta[columns])

    names = list(m.fixef().index)
    both = [names.index("aq:bv"), names.index("ar:bv")]
    a = [names.index("aq"), names.index("ar")]
    assert m.Anova().loc["a", "Chisq"] == pytest.approx(W([*a, *both]) - W(both))


def test_what_wald_tables_refuse():
    m = fit("y ~ a + (1 | g)")
    with pytest.raises(DataError, match="type must be one of II, III, 2, 3"):
        m.Anova(type=1)
    with pytest.raises(DataError, match="test_statistic must be one of Chisq, F"):
        m.Anova(test_statistic="LR")


def test_likelihood_ratios_of_type_3_leave_columns_out_that_sum_to_zero():
    """As afex does it: the factors by sums to zero, and one term's columns gone."""
    d = data()
    found = fit("y ~ a * b + x + (1 | g)").mixed()
    p = (d["a"] == "p").astype(float) - (d["a"] == "r")
    q = (d["a"] == "q").astype(float) - (d["a"] == "r")
    u = (d["b"] == "u").astype(float) - (d["b"] == "v")
    d = d.assign(p=p, q=q, u=u, pu=p * u, qu=q * u)
    parts = {"a": ["p", "q"], "b": ["u"], "x": ["x"], "a:b": ["pu", "qu"]}

    def deviance(terms):
        formula = f"y ~ {' + '.join(terms)} + (1 | g)"
        return -2 * lb.lmer(formula, d, REML=False, engine="native").logLik()

    every = [c for own in parts.values() for c in own]
    for label, own in parts.items():
        expected = deviance([c for c in every if c not in own]) - deviance(every)
        assert found.loc[label, "Chisq"] == pytest.approx(expected, abs=1e-6)
        assert found.loc[label, "Df"] == len(own)


def test_likelihood_ratios_of_type_2_leave_terms_out():
    found = fit("y ~ a * b + x + (1 | g)").mixed(type="II")
    plain = fit("y ~ a + b + x + (1 | g)").drop1("lme4", "Chisq")
    for label in ("a", "b"):
        assert found.loc[label, "Chisq"] == pytest.approx(plain.loc[label, "LRT"], abs=1e-6)
    whole = fit("y ~ a * b + x + (1 | g)").drop1("lme4", "Chisq")
    for label in ("x", "a:b"):
        assert found.loc[label, "Chisq"] == pytest.approx(whole.loc[label, "LRT"], abs=1e-6)
        assert found.loc[label, "Df"] == whole.loc[label, "npar"]


def test_bootstrap_of_every_term():
    """The p-values are those of PBmodcomp from the same seed, for a term that only has itself."""
    m = fit("y ~ a + b + (1 | g)")
    found = m.mixed("PB", nsim=60, seed=4)
    assert list(found.columns) == ["Df", "Chisq", "Pr(>Chisq)", "Pr(PB)"]
    one = m.PBmodcomp(fit("y ~ a + (1 | g)"), nsim=60, seed=4)
    assert found.loc["b", "Pr(PB)"] == pytest.approx(one.loc["PBtest", "p.value"], abs=0.02)
    assert str(found).startswith("Mixed Model Anova Table (Type 3 tests, PB-method)\n\nModel:\n")


def test_methods_by_name():
    m = fit("y ~ a + b + (1 | g)")
    assert str(m.mixed("KR")) == str(m.anova(ddf="Kenward-Roger"))
    assert str(m.mixed("S", type=2)) == str(m.anova(type=2))
    with pytest.raises(DataError, match="method must be one of LRT, PB, KR, S"):
        m.mixed("z")


def test_a_term_without_columns_is_not_tested():
    for kind in (2, 3):
        found = fit("y ~ x + I(2 * x) + a + (1 | g)").mixed(type=kind)
        assert found.loc["I(2 * x)"].isna().all()
        assert found.loc["a", "Df"] == 2
