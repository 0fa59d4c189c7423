"""Marginal means and tests of generalized models, as the R of this machine prints them.

Both sides are of the same fits: lme4 makes them there and here.
"""

import warnings

import numpy as np
import pandas as pd
import pytest

import lmerbridge as lb
from live import ask, case
from lmerbridge.errors import DataError


def rows():
    rng = np.random.default_rng(11)
    n = 120
    d = pd.DataFrame(
        {
            "a": pd.Categorical(np.tile(list("uvw"), 40)),
            "b": pd.Categorical(np.repeat(["s", "t"], 60)),
            "x": rng.integers(1, 9, n).astype(float),
            "o": rng.normal(size=n) / 4,
            "g": pd.Categorical([f"g{i}" for i in rng.integers(0, 10, n)]),
        }
    )
    eta = 0.2 + 0.12 * d["x"] + 0.3 * d["a"].cat.codes + rng.normal(size=10)[d["g"].cat.codes] / 2
    d["count"] = rng.poisson(np.exp(eta)).astype(float)
    d["y"] = (rng.random(n) < 1 / (1 + np.exp(0.7 - eta))).astype(float)
    d["time"] = rng.gamma(4, np.exp(eta) / 4)
    return d


D = rows()
CONTROL = 'glmerControl("bobyqa")'
FITS = {
    "logit": ("y ~ a * b + x + (1 | g)", "binomial"),
    "log": ("count ~ a * x + (1 | g)", "poisson"),
    "sqrt": ("count ~ a + x + (1 | g)", 'poisson("sqrt")'),
    "offset": ("count ~ a + offset(o) + (1 | g)", "poisson"),
    "probit": ("y ~ a + (1 | g)", 'binomial("probit")'),
    "cloglog": ("y ~ a + (1 | g)", 'binomial("cloglog")'),
    "negative": ("count ~ a + (1 | g)", "MASS::negative.binomial(theta = 3)"),
    "inverse": ("time ~ a + (1 | g)", "Gamma"),
}
BOTH = {
    "means": ('emmeans(m, "a")', lambda m: m.emmeans("a")),
    "means of the response": (
        'emmeans(m, "a", type = "response")',
        lambda m: m.emmeans("a", type="response"),
    ),
    "pairs": ('pairs(emmeans(m, "a"))', lambda m: m.emmeans("a").pairs()),
    "pairs of the response": (
        'pairs(emmeans(m, "a"), type = "response", infer = TRUE)',
        lambda m: m.emmeans("a").pairs(type="response", infer=True),
    ),
    "tests of the response": (
        'test(emmeans(m, "a", type = "response"))',
        lambda m: m.emmeans("a", type="response").test(),
    ),
    "no difference": (
        'contrast(emmeans(m, "a"), list(w = c(.5, .5, 0)), type = "response")',
        lambda m: m.emmeans("a").contrasts({"w": [0.5, 0.5, 0]}, type="response"),
    ),
    "regridded": (
        'emmeans(m, pairwise ~ a, regrid = "response")',
        lambda m: m.emmeans("pairwise ~ a", regrid="response"),
    ),
    "bias": (
        'emmeans(m, "a", type = "response", bias.adjust = TRUE, sigma = 0.4)',
        lambda m: m.emmeans("a", type="response", bias_adjust=True, sigma=0.4),
    ),
    "joint tests": ("joint_tests(m)", lambda m: m.joint_tests()),
}
MORE = {
    ("logit", "by"): (
        'pairs(emmeans(m, ~ a | b), type = "response", by = "b")',
        lambda m: m.emmeans("~ a | b").pairs(type="response", by="b"),
    ),
    ("logit", "interaction"): (
        'contrast(emmeans(m, ~ a * b), interaction = "pairwise", type = "response")',
        lambda m: m.emmeans("~ a * b").contrasts(interaction="pairwise", type="response"),
    ),
    ("logit", "as logarithms"): (
        'emmeans(m, "a", regrid = "log")',
        lambda m: m.emmeans("a", regrid="log"),
    ),
    ("logit", "without ratios"): (
        'contrast(emmeans(m, "a"), "eff", ratios = FALSE, type = "response")',
        lambda m: m.emmeans("a").contrasts("eff", ratios=False, type="response"),
    ),
    ("log", "slopes"): ('emtrends(m, "a", "x")', lambda m: m.emtrends("a", "x")),
    ("log", "pairs of slopes"): (
        'pairs(emtrends(m, "a", "x"))',
        lambda m: m.emtrends("a", "x").pairs(),
    ),
    ("log", "at"): (
        'emmeans(m, "a", at = list(x = c(2, 5)), by = "x", type = "response")',
        lambda m: m.emmeans("a", at={"x": [2, 5]}, by="x", type="response"),
    ),
    ("log", "grid"): ("str(ref_grid(m))", lambda m: m.ref_grid().structure()),
    ("log", "type II"): ("car::Anova(m)", lambda m: m.Anova()),
    ("log", "type III"): ("car::Anova(m, type = 3)", lambda m: m.Anova("III")),
    ("inverse", "type II"): ("car::Anova(m)", lambda m: m.Anova()),
    ("logit", "dropped"): ('drop1(m, test = "Chisq")', lambda m: m.drop1()),
    ("log", "AIC alone"): ("drop1(m)", lambda m: m.drop1("none")),
}
TEXTS = {(name, q): both for name in FITS for q, both in BOTH.items()} | MORE
del TEXTS["offset", "joint tests"], TEXTS["offset", "regridded"]  # this emmeans fails there
HYPOTHESIS = [[0, 1, 0, 0], [0, 0, 1, -0.5]]
NUMBERS = "car::linearHypothesis(m, c('av = 0.1', 'aw - 0.5 * x = 0.2'))"


@pytest.fixture(scope="module")
def r(tmp_path_factory):
    cases = []
    for name, (formula, family) in FITS.items():
        questions = {
            q: f"{{suppressPackageStartupMessages(library(emmeans)); capture.output({code})}}"
            if code.startswith("str")
            else f"{{suppressPackageStartupMessages(library(emmeans)); "
            f"capture.output(print({code}))}}"
            for (of, q), (code, _) in TEXTS.items()
            if of == name
        }
        if name == "sqrt":
            questions["hypothesis"] = NUMBERS
        made = case(name, formula, D, questions, family=family, control=CONTROL)
        cases.append(made)
    return ask(cases, tmp_path_factory.mktemp("means"))


@pytest.fixture(scope="module")
def models():
    control, d = lb.glmerControl(optimizer="bobyqa"), D.copy()
    d.attrs["name"] = "d"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            name: lb.glmer(formula, d, family.replace("MASS::", ""), engine="lme4", control=control)
            for name, (formula, family) in FITS.items()
        }


@pytest.mark.r
@pytest.mark.filterwarnings("ignore::lmerbridge.FitMessage")
@pytest.mark.parametrize(("name", "question"), TEXTS)
def test_text_is_r_s(r, models, name, question):
    wanted = [line.rstrip() for line in r[name][question]["value"]]
    found = [line.rstrip() for line in str(TEXTS[name, question][1](models[name])).splitlines()]
    assert "\n".join(found).strip() == "\n".join(wanted).strip()


@pytest.mark.r
def test_hypotheses_are_car_s(r, models):
    wanted = r["sqrt"]["hypothesis"]["value"]["values"][1]
    found = models["sqrt"].contest(HYPOTHESIS, rhs=[0.1, 0.2])
    assert found.iloc[0].tolist() == pytest.approx(
        [float(wanted[1]), float(wanted[0]), float(wanted[2])], rel=1e-9
    )


@pytest.fixture(scope="module")
def m():
    d = D.assign(count=D["count"].astype(int))
    return lb.glmer("count ~ a + x + (1 | g)", d, "poisson", engine="native")


def test_a_test_of_one_row_is_the_summary_s(m):
    table, rows = m.summary().coefficients, m.contest(np.eye(4), joint=False)
    for column in ("Estimate", "Std. Error", "z value", "Pr(>|z|)"):
        assert rows[column].to_numpy() == pytest.approx(table[column].to_numpy(), rel=1e-12)
    one = m.contest({"x": [[0, 0, 0, 1]]})
    assert one["Chisq"].iloc[0] == pytest.approx(table.loc["x", "z value"] ** 2, rel=1e-12)
    assert list(m.contest({"x": [[0, 0, 0, 1]]}, collect=False)) == ["x"]


def test_what_is_dropped_is_compared_by_likelihoods(m):
    table = m.drop1(scope="a", k=3)
    smaller = m.update(". ~ . - a")
    assert table["LRT"].iloc[1] == pytest.approx(2 * (m.logLik() - smaller.logLik()), abs=1e-9)
    assert table["AIC"].iloc[1] == pytest.approx(smaller.AIC(3), abs=1e-9)


def test_bias_is_not_adjusted_by_a_residual_that_there_is_not(m):
    for asked in ({"type": "response"}, {"regrid": "response"}):
        with pytest.raises(DataError, match="sum of its random effects"):
            m.emmeans("a", bias_adjust=True, **asked)
    # E exp(eta + N(0, s^2)) is exp(eta) (1 + s^2 / 2) to second order
    plain = m.emmeans("a", type="response").table["rate"]
    found = m.emmeans("a", type="response", bias_adjust=True, sigma=0.3).table["rate"]
    assert (found / plain).to_numpy() == pytest.approx(1 + 0.3**2 / 2)
