"""Marginal means, contrasts and trends against emmeans in R."""

import math

import numpy as np
import pandas as pd
import pytest

import after
import lmerbridge as lb
from after import at_r
from lmerbridge.inference.adjust import ADJUSTMENTS, adjusted_p, critical_values, p_adjust

DDF = {"kenward": "Kenward-Roger", "satterthwaite": "Satterthwaite", "asymptotic": "asymptotic"}
QUESTIONS = [
    (name, question)
    for name, case in after.CASES.items()
    for question in after.answers(name)
    if question.startswith(("emm_", "pairs_", "contrast_", "adjust_", "trends"))
]
# Monte Carlo or approximate in R, exact here: compared as numbers below
INEXACT = ("contrast_trt.vs.ctrl", "contrast_trt.vs.ctrlk", "contrast_consec", "contrast_mean_chg")


def ours(name, question):
    """Our answer to a question that R was asked."""
    m, case = at_r(name), after.CASES[name]
    specs = case.get("specs", ["Diet"])
    kind, _, which = question.partition("_")

    def emm(names=specs[0], ddf="Satterthwaite", **more):
        return m.emmeans(names, ddf=ddf, **more)

    if which in DDF:
        means = emm(ddf=DDF[which])
        return means.pairs() if kind == "pairs" else means
    answers = {
        "emm_both": lambda: emm(specs),
        "pairs_both": lambda: emm(specs).pairs(),
        "emm_proportional": lambda: emm(weights="proportional"),
        "emm_by": lambda: emm(f"~ {specs[0]} | {case['by']}"),
        "pairs_by": lambda: emm(specs[0], by=case["by"]).pairs(),
        "pairs_confint": lambda: emm().pairs().confint(),
        "trends": lambda: m.emtrends(specs[0], case["trends"], ddf="Satterthwaite"),
        "trends_pairs": lambda: m.emtrends(specs[0], case["trends"], ddf="Satterthwaite").pairs(),
        "emm_at": lambda: emm([specs[0], case["trends"]], at={case["trends"]: [1, 10]}),
        "emm_log_link": lambda: emm("Diet"),
        "emm_log_response": lambda: emm("Diet", type="response"),
        "pairs_log_link": lambda: emm("Diet").pairs(),
        "pairs_log_response": lambda: emm("Diet", type="response").pairs(),
    }
    if question in answers:
        return answers[question]()
    if kind == "contrast":
        return emm().contrasts(which)
    assert kind == "adjust"
    return emm().contrasts("pairwise", adjust=which)


@pytest.mark.parametrize(("name", "question"), QUESTIONS, ids=lambda v: v)
def test_text_is_r_s(name, question):
    expected = after.text(name, question)
    if expected is None:
        pytest.skip("R failed")
    if question in INEXACT and len(at_r(name).emmeans(after.CASES[name]["specs"][0]).table) > 2:
        pytest.skip("compared as numbers")
    after.assert_same_text(str(ours(name, question)), expected)


@pytest.mark.parametrize(
    ("question", "R_question"),
    [
        ("contrast_trt.vs.ctrl", "mvt_trt.vs.ctrl"),
        ("contrast_trt.vs.ctrlk", "mvt_trt.vs.ctrlk"),
        ("contrast_consec", "contrast_consec"),
        ("contrast_mean_chg", "contrast_mean_chg"),
    ],
)
@pytest.mark.parametrize("name", ["machines", "oats", "chick", "cake"])
def test_multivariate_t(name, question, R_question):
    """R's "mvt" is Monte Carlo with an error of up to 1e-3 (its default "dunnettx" is an
    approximation, up to 0.022 off); here the probabilities are exact to 1e-5.
    """
    found = ours(name, question).table
    R = after.answers(name)[R_question]["value"]
    t = np.array([after.number(v) for v in R["values"][R["columns"].index("t.ratio")]])
    p = np.array([after.number(v) for v in R["values"][R["columns"].index("p.value")]])
    np.testing.assert_allclose(found["t.ratio"], t, rtol=1e-6)
    assert np.abs(found["p.value"] - p).max() < 1.5e-3


@pytest.mark.parametrize("df", [10.0, 5.9])  # emmeans' "mvt" has 5 for 5.9
def test_dunnett_against_its_integral(df):
    """Equal correlations of 1/2: P(max|T| <= t) is a double integral (Dunnett 1955)."""
    from scipy import integrate, stats

    k, t = 3, 2.5
    correlation = np.full((k, k), 0.5) + 0.5 * np.eye(k)

    def inside(s):
        def given(z):
            root = math.sqrt(0.5)
            upper = stats.norm.cdf((t * s - root * z) / root)
            return stats.norm.pdf(z) * (upper - stats.norm.cdf((-t * s - root * z) / root)) ** k

        value, _ = integrate.quad(given, -8, 8)
        return value * stats.chi.pdf(s * math.sqrt(df), df) * math.sqrt(df)

    exact = 1 - integrate.quad(inside, 0, 4)[0]
    found = adjusted_p(np.full(k, t), np.full(k, df), "dunnett", k, k, correlation)
    assert np.abs(found - exact).max() < 5e-5


def test_singular_correlations():
    """Two contrasts and their sum: the third adds nothing that is not bounded by the others."""
    base = np.array([[1.0, 0.0], [0.0, 1.0], [1 / math.sqrt(2), 1 / math.sqrt(2)]])
    p = adjusted_p(np.full(3, 2.0), np.full(3, math.inf), "mvt", 3, 3, base @ base.T)[0]
    single = 2 * 0.02275013
    assert single < p < 3 * single
    assert 1 - (1 - single) ** 2 < p


def test_stepwise_adjustments_are_r_s():
    """p.adjust(c(.001, .011, .02, .03, .2, .9)) in R."""
    p = np.array([0.001, 0.011, 0.02, 0.03, 0.2, 0.9])
    expected = {
        "holm": [0.006, 0.055, 0.080, 0.090, 0.400, 0.900],
        "hochberg": [0.006, 0.055, 0.080, 0.090, 0.400, 0.900],
        "hommel": [0.006, 0.05, 0.06, 0.09, 0.4, 0.9],
        "BH": [0.006, 0.033, 0.040, 0.045, 0.240, 0.900],
        "BY": [0.01470, 0.08085, 0.09800, 0.11025, 0.58800, 1.0],
        "bonferroni": [0.006, 0.066, 0.120, 0.180, 1.0, 1.0],
    }
    for method, values in expected.items():
        np.testing.assert_allclose(p_adjust(p, method), values, atol=1e-9, err_msg=method)
    p2 = np.array([0.01, 0.02, 0.022, 0.09, 0.04, 0.03])
    np.testing.assert_allclose(p_adjust(p2, "hommel"), [0.05, 0.06, 0.06, 0.09, 0.08, 0.06])
    shuffled = np.array([3, 0, 5, 1, 4, 2])
    for method in expected:
        np.testing.assert_allclose(p_adjust(p[shuffled], method), p_adjust(p, method)[shuffled])


@pytest.mark.parametrize("method", [m for m in ADJUSTMENTS if m not in ("mvt",)])
def test_limits_and_tests_agree(method):
    """A limit is at 0 exactly where the adjusted p-value is 1 - level (single-step methods)."""
    if method in ("holm", "hochberg", "hommel", "BH", "fdr", "BY"):
        pytest.skip("stepwise methods have no limits of their own")
    df = np.full(3, 12.0)
    correlation = np.full((3, 3), 0.5) + 0.5 * np.eye(3)
    t = critical_values(0.95, df, method, 3, 2, correlation)
    p = adjusted_p(t, df, method, 3, 2, correlation)
    np.testing.assert_allclose(p, 0.05, atol=1e-4)


def test_a_rival_s_degrees_of_freedom():
    """Means between whole plots have few degrees of freedom, not n - p."""
    m = after.fitted("machines")
    df = m.emmeans("Machine").table["df"]
    np.testing.assert_allclose(df, 8.521698, rtol=1e-5)


def test_recoding_contrasts_changes_nothing():
    d = after.data_of("oats")
    kwargs = {"engine": "native"}
    one = lb.lmer("Y ~ N * V + (1 | B/V)", d, **kwargs)
    two = lb.lmer(
        "Y ~ N * V + (1 | B/V)", d, contrasts={"N": "contr.sum", "V": "contr.helmert"}, **kwargs
    )
    for specs in ("N", "V", ["N", "V"]):
        a, b = one.emmeans(specs).table, two.emmeans(specs).table
        for column in ("emmean", "SE", "df"):
            np.testing.assert_allclose(a[column], b[column], rtol=1e-6)
    for kind in (2, 3):
        a, b = one.anova(type=kind), two.anova(type=kind)
        np.testing.assert_allclose(a["F value"], b["F value"], rtol=1e-6)
        np.testing.assert_allclose(a["DenDF"], b["DenDF"], rtol=1e-5)


def test_custom_contrasts_and_references():
    m = after.fitted("machines")
    means = m.emmeans("Machine")
    custom = means.contrasts({"A - rest": [1, -0.5, -0.5]})
    assert custom.table["estimate"].iloc[0] == pytest.approx(
        means.table["emmean"].to_numpy() @ [1, -0.5, -0.5]
    )
    versus = means.contrasts("trt.vs.ctrl", ref="C").table
    assert list(versus["contrast"]) == ["A - C", "B - C"]
    assert list(m.emmeans("pairwise ~ Machine").table["contrast"]) == ["A - B", "A - C", "B - C"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.emmeans("Machin"), "did you mean 'Machine'"),
        (lambda m: m.emmeans("Machine", at={"x": [1]}), "no predictor"),
        (lambda m: m.emmeans("Machine", at={"Machine": ["Z"]}), "has no level"),
        (lambda m: m.emmeans("Machine", weights="rows"), "weights must be"),
        (lambda m: m.emmeans("Machine", type="odds"), "type must be"),
        (lambda m: m.emmeans("Machine").contrasts("pairs"), "unknown contrasts"),
        (lambda m: m.emmeans("Machine").contrasts(adjust="turkey"), "did you mean 'tukey'"),
        (lambda m: m.emmeans("Machine").contrasts({"a": [1, -1]}), "2 coefficients for 3"),
        (lambda m: m.emtrends("Machine", "Machine"), "no numeric predictor"),
        (lambda m: m.emmeans("Machine").confint(level=2), "between 0 and 1"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(lb.DataError, match=message):
        call(after.fitted("machines"))


def test_logical_and_offset_predictors(simulated):
    m = lb.lmer("y ~ b + x + o + offset(z) + (1 | g)", simulated, engine="native")
    means = m.emmeans("b").table
    assert list(means["b"]) == [False, True]
    by_hand = m.predict(
        pd.DataFrame(
            {
                "b": [False] * 3,
                "x": simulated["x"].mean(),
                "z": simulated["z"].mean(),
                "o": ["lo", "mid", "hi"],
            }
        ),
        re_form="NA",
    ).mean()
    assert means["emmean"].iloc[0] == pytest.approx(by_hand)
