"""Power by simulation, against the power that theory gives."""

import math
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import lmerbridge as lb
from lmerbridge.errors import ArgumentError
from lmerbridge.model import power as module

BLOCKS, SPREAD, SIGMA = 12, 5.0, 1.0


@pytest.fixture(scope="module")
def paired():
    """Two treatments once in each of 12 blocks: the test is the paired t test."""
    rng = np.random.default_rng(4)
    d = pd.DataFrame({"block": np.repeat([f"b{i:02d}" for i in range(BLOCKS)], 2)})
    d["treated"] = [0.0, 1.0] * BLOCKS
    d["y"] = rng.normal(size=BLOCKS).repeat(2) * SPREAD + rng.normal(size=2 * BLOCKS) * SIGMA
    return lb.lmer("y ~ treated + (1 | block)", d, engine="native")


def theory(m, effect):
    """Of the paired t test on n - 1 degrees of freedom (noncentral t)."""
    away = effect * math.sqrt(BLOCKS) / (m.sigma() * math.sqrt(2))
    limit = stats.t.ppf(0.975, BLOCKS - 1)
    return stats.nct.sf(limit, BLOCKS - 1, away) + stats.nct.cdf(-limit, BLOCKS - 1, away)


@pytest.mark.parametrize("effect", [0.0, 0.8, 1.5])
def test_it_is_that_of_the_paired_t_test(paired, effect):
    found = paired.power("treated", effect=effect, nsim=100, seed=11)
    low, high = found.interval(0.999)
    assert low <= theory(paired, effect) <= high
    assert found.failed == 0
    beta = {"(Intercept)": paired.fixef()["(Intercept)"], "treated": effect}
    drawn = paired.simulate(100, 11, newparams={"beta": beta}).to_numpy()
    expected = stats.ttest_rel(drawn[::2], drawn[1::2]).pvalue
    np.testing.assert_allclose(found.p_values, expected, rtol=1e-5)


@pytest.mark.parametrize("test", ["LRT", "z"])
def test_tests_of_all_at_once_are_those_of_one_at_a_time(paired, test):
    found = paired.power("treated", effect=0.7, nsim=5, test=test, seed=3)
    beta = {"(Intercept)": paired.fixef()["(Intercept)"], "treated": 0.7}
    drawn = paired.simulate(5, 3, newparams={"beta": beta})
    for i in range(5):
        d = paired.model_frame().assign(y=drawn.iloc[:, i])
        m = lb.lmer("y ~ treated + (1 | block)", d, engine="native")
        if test == "z":
            z = m.fixef()["treated"] / math.sqrt(m.vcov().loc["treated", "treated"])
            expected = 2 * stats.norm.sf(abs(z))
        else:
            large, small = m.update(REML=False), m.update(". ~ . - treated", REML=False)
            expected = stats.chi2.sf(small.deviance() - large.deviance(), 1)
        assert found.p_values[i] == pytest.approx(expected, rel=1e-5)


def test_a_term_of_several_effects_and_one_of_them():
    m = lb.lmer("Yield ~ Plate + (1 | Batch)", plates(), engine="native")
    several = m.power("Plate", effect={"PlateB": 100.0, "PlateC": 0.0}, nsim=20, seed=1)
    assert several.power == 1.0
    assert m.power("PlateC", effect=0.0, nsim=20, seed=1).power < 0.4
    assert m.power("Plate", nsim=4, test="Kenward-Roger", seed=1).p_values.shape == (4,)
    with pytest.raises(ArgumentError, match="has several effects: effect must be a dict"):
        m.power("Plate", effect=3.0, nsim=2)
    with pytest.raises(ArgumentError, match="z tests one"):
        m.power("Plate", nsim=2, test="z")
    with pytest.raises(ArgumentError, match="is one effect of a term"):
        m.power("PlateB", nsim=2, test="LRT")


def plates():
    d = lb.datasets.load("Dyestuff")
    return d.assign(Plate=(list("ABC") * 10))


def test_what_is_said(paired):
    found = paired.power("treated", effect=1.5, nsim=30, seed=2)
    assert str(found).startswith(f"Power of treated: {100 * found.power:.1f} % (95 % interval ")
    assert "seed 2" in repr(found)
    again = paired.power("treated", effect=1.5, nsim=30, seed=2)
    np.testing.assert_array_equal(found.p_values, again.p_values)
    # Clopper and Pearson's limits
    low, high = stats.binomtest(found.rejections, 30).proportion_ci(0.95, "exact")
    assert found.interval() == pytest.approx((low, high))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"term": "treatd"}, lb.DataError, "did you mean 'treated'"),
        ({"nsim": 0}, ArgumentError, "nsim must be 1 or more"),
        ({"alpha": 1.0}, ArgumentError, "alpha must be between 0 and 1"),
        ({"test": "lr"}, ArgumentError, "unknown test 'lr'"),
        ({"effect": {"tretaed": 1}}, lb.DataError, "effect: no fixed effect 'tretaed'"),
        ({"effect": "big"}, ArgumentError, "must be a number"),
    ],
)
def test_what_cannot_be_asked(paired, arguments, error, words):
    with pytest.raises(error, match=words):
        paired.power(**{"term": "treated", "nsim": 2, **arguments})


@pytest.mark.parametrize("test", ["LRT", "z"])
def test_responses_are_refitted_in_parts_with_a_bar(test, monkeypatch):
    m = lb.lmer("Reaction ~ Days + (1 | Subject)", lb.datasets.load("sleepstudy"), engine="native")
    whole = m.power("Days", effect=3.0, nsim=30, test=test, seed=4)
    told = []

    @contextmanager
    def bar(title, show):
        yield lambda done, total: told.append((done, total))

    monkeypatch.setattr(module, "AT_ONCE", 12)
    monkeypatch.setattr(module, "progress_bar", bar)
    parts = m.power("Days", effect=3.0, nsim=30, test=test, seed=4)
    assert told == [(0, 30), (12, 30), (24, 30)]
    np.testing.assert_allclose(parts.p_values, whole.p_values, rtol=1e-6)
    assert parts.seed == whole.seed == 4


def test_of_a_generalized_model_tests_are_those_of_one_at_a_time():
    d = lb.datasets.load("cbpp")
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    m = lb.glmer(formula, d, engine="native")
    effect = {"period2": 0.0, "period3": 0.0, "period4": -0.5}
    ratios = m.power("period", effect=effect, nsim=3, test="LRT", seed=5)
    errors = m.power("period4", effect=effect, nsim=3, seed=5)
    assert ratios.effect == errors.effect == {"(Intercept)": m.fixef()["(Intercept)"], **effect}
    # the draws: rows' probabilities, and effects of herds
    drawn = module._drawn_of_family(m.fit, errors.effect, 3, 5)
    assert (drawn * d["size"].to_numpy()[:, None]).round(9).mod(1).eq(0).all(axis=None)
    small = m.update(". ~ . - period")
    for i in range(3):
        one, other = m.refit(drawn[i]), small.refit(drawn[i])
        z = one.fixef()["period4"] / math.sqrt(one.vcov().loc["period4", "period4"])
        assert errors.p_values[i] == pytest.approx(2 * stats.norm.sf(abs(z)), rel=1e-6)
        ratio = 2 * (one.logLik() - other.logLik())
        assert ratios.p_values[i] == pytest.approx(stats.chi2.sf(ratio, 3), rel=1e-5)
    with pytest.raises(ArgumentError, match="unknown test 'Satterthwaite'; tests: LRT, z"):
        m.power("period4", test="Satterthwaite")


def test_draws_of_a_generalized_model_have_the_means_that_were_asked_for():
    rng = np.random.default_rng(3)
    d = pd.DataFrame({"g": np.repeat(np.arange(20).astype(str), 10), "x": [0.0, 1.0] * 100})
    d["y"] = rng.poisson(np.exp(0.5 + 0.2 * d["x"] + 0.3 * rng.normal(size=20).repeat(10)))
    m = lb.glmer("y ~ x + (1 | g)", d, "poisson", engine="native")
    asked = {"(Intercept)": 0.4, "x": 0.9}
    drawn = module._drawn_of_family(m.fit, asked, 400, 1)
    shift = float(m.VarCorr()["vcov"].iloc[0]) / 2  # of a lognormal mean
    for x, mean in ((0.0, math.exp(0.4 + shift)), (1.0, math.exp(1.3 + shift))):
        assert drawn[(d["x"] == x).to_numpy()].to_numpy().mean() == pytest.approx(mean, rel=0.03)
