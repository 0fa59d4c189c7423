"""Degrees of freedom where expressions for them divide by nothing, and tests that do not depend on
units: against identities, 50 digits, and what R says in good units.
"""

from dataclasses import replace

import mpmath as mp
import numpy as np
import pandas as pd
import pytest
from scipy import stats

import lmerbridge as lb
from lmerbridge.inference.adjust import adjusted_p, critical_values, two_sided
from lmerbridge.inference.anova import chi_squared
from lmerbridge.inference.degrees import Satterthwaite, of_fit
from lmerbridge.inference.fit import Fit
from lmerbridge.inference.kenward_roger import KenwardRoger, moments
from lmerbridge.inference.satterthwaite import pooled
from lmerbridge.inference.wald import FTest, contrasts
from lmerbridge.rank import combinations, echelon, null_space, rank

pytestmark = pytest.mark.filterwarnings("ignore::lmerbridge.errors.FitWarning")


def blocks(seed, n_blocks, treatments, sd=2.0):
    """Each treatment once in each block."""
    rng = np.random.default_rng(seed)
    d = pd.DataFrame(
        [(f"t{t}", f"b{b}") for b in range(n_blocks) for t in range(treatments)],
        columns=["t", "b"],
    )
    d["y"] = rng.normal(size=len(d)) + sd * rng.normal(size=n_blocks)[d["b"].str[1:].astype(int)]
    return d


def published(A1, A2, q):
    """Halekoh & Hojsgaard (2014), section 4, as it stands."""
    A1, A2 = mp.mpf(A1), mp.mpf(A2)
    B = (A1 + 6 * A2) / (2 * q)
    g = ((q + 1) * A1 - (q + 4) * A2) / ((q + 2) * A2)
    below = 3 * q + 2 * (1 - g)
    c1, c2, c3 = g / below, (q - g) / below, (q + 2 - g) / below
    E = 1 / (1 - A2 / q)
    V = mp.mpf(2) / q * (1 + c1 * B) / ((1 - c2 * B) ** 2 * (1 - c3 * B))
    rho = V / (2 * E**2)
    df = 4 + (q + 2) / (q * rho - 1)
    return df, df / (E * (df - 2))


@pytest.mark.parametrize("q", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("e", [0.0, 1e-3, 0.1, 0.5, 0.9])
def test_moments_are_the_published_ones(q, e):
    """In 50 digits, between the points where they are 0/0."""
    mp.mp.dps = 50
    for df in (1.3, 1.7, 2.4, 3.1, 3.999, 4.001, 7.3, 40.0, 1e4):
        A2 = 2 * q / df
        A1 = mp.mpf(q) * mp.mpf(A2) - mp.mpf(e) * mp.mpf(A2)
        expected, scaling = published(A1, A2, q)
        found = moments(A2, e, q)
        if abs(expected - 2) < 0.01:
            continue
        assert found[0] == pytest.approx(float(expected), rel=1e-10)
        assert found[1] == pytest.approx(float(scaling), rel=1e-9)


@pytest.mark.parametrize("q", [1, 2, 3, 5])
@pytest.mark.parametrize("df", [2.0, 4.0])
def test_moments_at_the_points_and_around_them(q, df):
    """Of variances in proportion: 2 / a and 1, also where the published expressions are 0/0."""
    mp.mp.dps = 50
    for off in (0.0, 1e-15, -1e-12, 1e-9, -1e-6, 1e-3):
        a = 2 / (df * (1 + off))
        for e in (0.0, 1e-24, 1e-16):  # what rounding leaves of 0
            assert moments(q * a, e, q) == pytest.approx((2 / a, 1.0), rel=1e-14)
        if off:
            near = published(q * mp.mpf(q * a), mp.mpf(q * a), q)
            assert float(near[0]) == pytest.approx(2 / a, rel=1e-12)
            assert float(near[1]) == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("n_blocks", [2, 3, 4, 5, 6])
@pytest.mark.parametrize("engine", ["native", pytest.param("lme4", marks=pytest.mark.r)])
def test_two_treatments_in_blocks_are_a_paired_t_test(n_blocks, engine):
    """On n - 1 degrees of freedom, 2 and 4 among them, wherever the variance is positive."""
    positive = 0
    for seed in range(8 if engine == "native" else 2):
        d = blocks(seed, n_blocks, 2)
        m = lb.lmer("y ~ t + (1 | b)", d, engine=engine)
        row = m.summary(ddf="Kenward-Roger").coefficients.loc["tt1"]
        assert row["df"] == pytest.approx(n_blocks - 1, rel=1e-9)
        joint = m.KRmodcomp([0.0, 1.0]).loc["Ftest"]
        assert joint["ddf"] == pytest.approx(n_blocks - 1, rel=1e-9)
        assert joint["F.scaling"] == 1
        assert joint["stat"] == pytest.approx(row["t value"] ** 2, rel=1e-9)
        if m.isSingular() or m.getME("theta").iloc[0] < 1e-3:
            continue
        positive += 1
        wide = d.pivot(index="b", columns="t", values="y")
        t, p = stats.ttest_rel(wide["t1"], wide["t0"])
        assert row["t value"] == pytest.approx(t, rel=1e-4)
        assert row["Pr(>|t|)"] == pytest.approx(p, rel=1e-3)
        pairs = m.emmeans("t").pairs().table
        assert pairs["p.value"].iloc[0] == pytest.approx(p, rel=1e-3)
        assert pairs["df"].iloc[0] == pytest.approx(n_blocks - 1, rel=1e-9)
    assert positive


@pytest.mark.parametrize(("n_blocks", "treatments"), [(2, 3), (3, 3), (2, 5), (5, 2), (4, 3)])
def test_a_balanced_block_design_has_its_exact_F_test(n_blocks, treatments):
    for seed in range(4):
        d = blocks(seed, n_blocks, treatments)
        m = lb.lmer("y ~ t + (1 | b)", d, engine="native")
        test = m.anova(ddf="Kenward-Roger").loc["t"]
        assert test["DenDF"] == pytest.approx((n_blocks - 1) * (treatments - 1), rel=1e-9)
        if m.isSingular() or m.getME("theta").iloc[0] < 1e-3:
            continue
        y = d["y"].to_numpy().reshape(n_blocks, treatments)
        fitted = y.mean(axis=0) + y.mean(axis=1, keepdims=True) - y.mean()
        error = np.sum((y - fitted) ** 2) / ((n_blocks - 1) * (treatments - 1))
        between = n_blocks * np.sum((y.mean(axis=0) - y.mean()) ** 2) / (treatments - 1)
        assert test["F value"] == pytest.approx(between / error, rel=1e-4)


@pytest.mark.parametrize(("groups", "per_group"), [(4, 3), (6, 2), (3, 4)])
def test_groups_that_are_treated_whole_have_the_one_way_F_test_of_their_means(groups, per_group):
    """Half of the groups treated: groups - 2 degrees of freedom, 1, 2 and 4 here."""
    for seed in range(4):
        rng = np.random.default_rng(seed)
        d = pd.DataFrame({"g": np.repeat(np.arange(groups), per_group)})
        d["t"] = np.where(d["g"] % 2 == 0, "a", "b")
        d["y"] = 3 * rng.normal(size=groups)[d["g"]] + rng.normal(size=len(d))
        d["g"] = d["g"].astype(str)
        m = lb.lmer("y ~ t + (1 | g)", d, engine="native")
        row = m.summary(ddf="Kenward-Roger").coefficients.loc["tb"]
        assert row["df"] == pytest.approx(groups - 2, rel=1e-8)
        means = d.groupby(["g", "t"])["y"].mean().reset_index()
        if groups % 2 == 0 and m.getME("theta").iloc[0] > 1e-2:
            t, p = stats.ttest_ind(
                means.loc[means["t"] == "b", "y"], means.loc[means["t"] == "a", "y"]
            )
            assert row["t value"] == pytest.approx(t, rel=1e-4)
            assert row["Pr(>|t|)"] == pytest.approx(p, rel=1e-3)


def test_beets_of_pbkrtest():
    """A split plot in three blocks: the F test of ``block`` is on 2 degrees of freedom."""
    rng = np.random.default_rng(1)
    d = pd.DataFrame(
        [(f"b{b}", f"h{h}", f"s{s}") for b in range(3) for h in range(2) for s in range(5)],
        columns=["block", "harvest", "sow"],
    )
    d["y"] = rng.normal(size=30) + 3 * rng.normal(size=6).repeat(5)
    m = lb.lmer("y ~ block + sow + harvest + (1 | block:harvest)", d, engine="native")
    table = m.anova(ddf="Kenward-Roger")
    np.testing.assert_allclose(table["DenDF"], [2, 20, 2], rtol=1e-9)
    plots = d.groupby(["block", "harvest"], sort=False)["y"].mean().to_numpy().reshape(3, 2)
    fitted = plots.mean(axis=1, keepdims=True) + plots.mean(axis=0) - plots.mean()
    error = np.sum((plots - fitted) ** 2) / 2
    F = 2 * np.sum((plots.mean(axis=1) - plots.mean()) ** 2) / 2 / error
    assert table.loc["block", "F value"] == pytest.approx(F, rel=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_degrees_of_freedom_are_at_most_those_of_the_residuals(seed):
    """By Cauchy and Schwarz: the variance of an estimate is as its components' are in proportion,
    and the information about that proportion is that of n - p residuals.
    """
    rng = np.random.default_rng(100 + seed)
    d = blocks(seed, 5, 3).assign(x=rng.normal(size=15)).drop(rng.choice(15, 3, replace=False))
    for formula in ("y ~ t + x + (1 | b)", "y ~ t * x + (x | b)", "y ~ 0 + t + (1 | b)"):
        m = lb.lmer(formula, d, engine="native")
        p = len(m.fixef())
        denominator = m.denominator("Kenward-Roger")
        L = np.vstack([np.eye(p), rng.normal(size=(20, p))])
        found = denominator.of_rows(L)
        assert np.all(found > 0)
        assert np.all(found <= (m.nobs() - p) * (1 + 1e-9))


def test_a_component_that_the_data_say_nothing_of():
    """``b`` fixed and random: its variance counts as known, and is not the reciprocal of a rounding
    error. Of the difference of two blocks, 2 (sigma^2 / 3 + sigma_b^2), only the first part is
    uncertain then, by 6 degrees of freedom; lmerTest and Satterthwaite's method know theta instead.
    """
    d = blocks(2, 4, 3)
    m = lb.lmer("y ~ b + t + (1 | b)", d, engine="native")
    for theta in (0.0, 0.3, 1.098577, 30.0):  # R's: 128.1 at the third
        result = replace(m.result, estimates=replace(m.result.estimates, theta=np.array([theta])))
        fit = Fit(result, m.frame)
        df = of_fit(fit, "Satterthwaite").of_rows(np.eye(6))
        np.testing.assert_allclose(df, 6, rtol=1e-6)
        df = of_fit(fit, "Kenward-Roger").of_rows(np.eye(6)[1:])
        blocks_apart = 6 * (1 + 3 * theta**2) ** 2
        np.testing.assert_allclose(df, [blocks_apart] * 3 + [6, 6], rtol=1e-6)


# -- no degrees of freedom


def test_no_degrees_of_freedom_are_not_infinitely_many():
    df = np.array([np.nan, np.inf, 3.0, 0.0, -1.0])
    p = two_sided(np.full(5, 2.18), df)
    assert np.isnan(p[[0, 3, 4]]).all()
    assert p[1] == pytest.approx(2 * stats.norm.sf(2.18))
    assert p[2] == pytest.approx(2 * stats.t.sf(2.18, 3))
    correlation = np.eye(3)
    for method in ("tukey", "scheffe", "sidak", "bonferroni", "holm", "none"):
        found = adjusted_p(np.full(3, 2.18), np.array([np.nan, 5, 5]), method, 3, 3, correlation)
        assert np.isnan(found[0])
        assert np.isfinite(found[1:]).all()
        limits = critical_values(0.95, np.array([np.nan, 5, 5]), method, 3, 3, correlation)
        assert np.isnan(limits[0])
    for ddf in (np.nan, 0.0, -3.0):
        assert np.isnan(FTest(2.0, 2, ddf).p_value)
    assert FTest(-1.0, 2, 1.9).p_value == 1  # where Kenward and Roger's scaling is negative


def test_what_has_no_variance_has_no_degrees_of_freedom():
    beta, vcov = np.ones(2), np.eye(2)
    flat = Satterthwaite(beta, vcov, np.zeros((1, 1)), vcov[None])
    nothing = KenwardRoger(beta, vcov, vcov, vcov, -vcov[None], np.zeros((1, 1)))
    for denominator in (flat, nothing):
        assert np.isnan(denominator.of_rows(np.eye(2))).all()
        assert np.isnan(denominator.of_all(np.eye(2)).ddf)
        assert np.isnan(denominator.of_all(np.eye(2)).p_value)
        assert np.isnan(denominator.of_all(np.zeros((1, 2))).F)


def test_pooled_degrees_of_freedom():
    """Fai & Cornelius (1996): E = sum nu / (nu - 2), and 2 E / (E - q)."""
    assert pooled(np.array([5.0, 5.0, 5.0])) == 5
    assert pooled(np.array([3.0, 6.0])) == pytest.approx(2 * 4.5 / 2.5)
    assert pooled(np.array([2.0, 60.0])) == 2
    assert pooled(np.array([1e9, 4.0])) == pytest.approx(2 * 3 / 1, rel=1e-8)
    assert np.isnan(pooled(np.array([np.nan, 4.0])))


# -- ranks


@pytest.mark.parametrize("size", [1e-12, 1e-6, 1.0, 1e6, 1e12])
def test_ranks_have_no_units(size):
    rng = np.random.default_rng(3)
    base = rng.normal(size=(3, 5))
    L = np.vstack([base, base[0] - 2 * base[2]])
    columns = size ** rng.uniform(-1, 1, 5)
    rows = size ** rng.uniform(-1, 1, 4)
    assert rank(L * columns * rows[:, None], columns) == 3
    weights, independent = combinations(L * columns * rows[:, None], columns)
    assert weights.shape == (3, 4)
    assert not independent
    form = echelon(L, np.ones(5))
    np.testing.assert_allclose(
        echelon(L * columns * rows[:, None], columns) / columns * columns[:3, None], form, rtol=1e-6
    )
    c = null_space(L * columns)
    assert c.shape == (1, 4)
    np.testing.assert_allclose(c @ (L * columns) / columns, 0, atol=1e-12)


def test_a_dependence_is_one_of_coefficients_and_of_estimates():
    """A cubic in calendar years has coefficients that are correlated by 1 - 1e-10, and two near
    points of a line have nearly the same coefficients; neither is a row too many.
    """
    year = np.linspace(2000, 2020, 30)
    X = np.vander(year, 4, increasing=True)
    scale = np.linalg.norm(X, axis=0)
    vcov = np.linalg.inv((X / scale).T @ (X / scale)) / np.outer(scale, scale)
    found = contrasts(np.eye(4)[1:], vcov)
    assert len(found) == 3
    assert not found.deficient
    line = np.linalg.inv(X[:, :2].T @ X[:, :2])
    assert len(contrasts(np.array([[1, 2000.0], [1, 2000.1]]), line)) == 2
    thirds = np.array([[0.3333, 0.3333], [1.0, 1.0]])
    assert len(contrasts(thirds, np.eye(2))) == 1


def growth(seed=4):
    """15 groups of 8 rows, x in thousands."""
    rng = np.random.default_rng(seed)
    d = pd.DataFrame({"g": np.repeat(np.arange(15), 8), "x": np.tile(np.arange(1, 9) * 0.5, 15)})
    d["s"] = rng.choice(["u", "v"], 120)
    d["f"] = rng.choice(["p", "q", "r"], 120)
    d["b"] = rng.normal(size=120)
    d["y"] = 2 * d["x"] - 0.3 * d["x"] ** 2 + rng.normal(size=15)[d["g"]] + rng.normal(size=120)
    d["g"] = d["g"].astype(str)
    return d


FORMULA = "y ~ poly(x, 2, raw = TRUE) + s + f * b + (1 | g)"


@pytest.mark.parametrize("units", [1e-6, 1e3, 1e6])
def test_tests_do_not_depend_on_units(units):
    d = growth()
    control = lb.lmerControl(check_scaleX="ignore")
    one = lb.lmer(FORMULA, d, engine="native", control=control)
    rest = "y ~ s + f * b + (1 | g)"
    for name, changed in (
        ("x", d.assign(x=d["x"] * units)),
        ("b", d.assign(b=d["b"] * units)),
        ("y", d.assign(y=d["y"] * units)),
        ("both", d.assign(x=d["x"] * units, b=d["b"] / units)),
    ):
        two = lb.lmer(FORMULA, changed, engine="native", control=control)
        for ddf in ("Satterthwaite", "Kenward-Roger"):
            for kind in (1, 2, 3):
                a, b = one.anova(ddf=ddf, type=kind), two.anova(ddf=ddf, type=kind)
                assert a["NumDF"].tolist() == b["NumDF"].tolist(), name
                np.testing.assert_allclose(b["F value"], a["F value"], rtol=1e-4)
                np.testing.assert_allclose(b["DenDF"], a["DenDF"], rtol=1e-3)
            L = np.eye(9)[1:]
            a, b = one.contest(L, ddf=ddf), two.contest(L, ddf=ddf)
            assert a["NumDF"].iloc[0] == b["NumDF"].iloc[0] == 8
            np.testing.assert_allclose(b["F value"], a["F value"], rtol=1e-4)
        a, b = one.anova(ddf="lme4"), two.anova(ddf="lme4")
        np.testing.assert_allclose(b["F value"], a["F value"], rtol=1e-4)
        for call in ("KRmodcomp", "SATmodcomp"):
            a, b = (
                getattr(one, call)("~ . - f:b - poly(x, 2, raw = TRUE)"),
                getattr(two, call)(
                    lb.lmer("y ~ s + f + b + (1 | g)", changed, engine="native", control=control)
                ),
            )
            np.testing.assert_allclose(b.iloc[0, :2], a.iloc[0, :2], rtol=1e-4)
    with pytest.raises(lb.DataError, match="not among"):
        one.KRmodcomp(lb.lmer(rest, d.assign(b=d["x"] ** 3 * units), engine="native"))


def test_a_likelihood_ratio_of_nothing_has_p_1():
    """Rounding leaves -1e-10 of it; without degrees of freedom there is no p, as in R's tables."""
    assert chi_squared(-1e-10, 1) == chi_squared(0.0, 2) == 1
    assert chi_squared(3.84, 1) == pytest.approx(stats.chi2.sf(3.84, 1))
    assert np.isnan(chi_squared(1.0, 0))
    rng = np.random.default_rng(1)
    d = pd.DataFrame({"g": np.repeat(list("abcdef"), 5), "h": np.tile(list("vwxyz"), 6)})
    d["y"] = rng.normal(size=30)
    found = lb.lmer("y ~ 1 + (1 | g) + (1 | h)", d, engine="native").ranova()
    nothing = found.iloc[1:][found["LRT"].iloc[1:].abs() < 1e-6]
    assert len(nothing)
    np.testing.assert_allclose(nothing["Pr(>Chisq)"], 1)
