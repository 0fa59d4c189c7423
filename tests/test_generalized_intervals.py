"""Profiles, intervals and bootstraps of generalized models."""

import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import optimize
from scipy.special import ndtri

import lmerbridge as lb
from lmerbridge.errors import ArgumentError, UnsupportedModelError
from lmerbridge.likelihood.criteria import Estimated
from lmerbridge.likelihood.laplace import Problem
from lmerbridge.likelihood.search import Coordinates
from lmerbridge.rlang import find_r

CBPP = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
PROFILE = """
suppressMessages(library(lme4))
m <- glmer(cbind(incidence, size - incidence) ~ period + (1 | herd), cbpp, binomial,
           glmerControl("bobyqa", optCtrl = list(rhoend = 1e-9), tolPwrss = 1e-13))
cat(sprintf("%.10g", confint(profile(m, which = c(1, 3), devtol = 1e-4))))
"""


@pytest.fixture(scope="module")
def m():
    return lb.glmer(CBPP, lb.datasets.load("cbpp"), engine="native")


@pytest.fixture(scope="module")
def slopes():
    rng = np.random.default_rng(3)
    d = pd.DataFrame({"g": rng.integers(0, 14, 140), "x": rng.normal(size=140)})
    u = rng.normal(size=(14, 2)) * [0.7, 0.5]
    d["y"] = rng.poisson(np.exp(0.5 + 0.4 * d["x"] + u[d["g"], 0] + u[d["g"], 1] * d["x"]))
    return lb.glmer("y ~ x + (x | g)", d.astype({"g": str}), "poisson", engine="native")


@pytest.mark.r
def test_profile_is_r_s(m):
    """R interpolates zeta by a spline over points about 0.4 apart, and its inner iteration stops
    early, so that the ends are good for four digits; ours are found to 1e-8 in zeta.
    """
    done = subprocess.run(
        [str(Path(find_r().home) / "bin" / "Rscript"), "--vanilla", "-e", PROFILE],
        capture_output=True,
        text=True,
        check=True,
    )
    wanted = np.array([float(v) for v in done.stdout.split()]).reshape(2, 2).T
    found = m.confint(parm=[".sig01", "period2"]).to_numpy()
    assert found == pytest.approx(wanted, abs=2e-4)


def constrained(m, name, value):
    """The least criterion with a fixed effect at a value, by a search without derivatives."""
    problem = Problem.of(m.frame, m.family)
    place = list(m.result.estimates.names).index(name)
    others = [j for j in range(problem.p) if j != place]
    own = Coordinates(problem.effects.layout)

    def criterion(x):
        beta = np.empty(problem.p)
        beta[place], beta[others] = value, x[-len(others) :]
        at = problem.at(own.theta(x[: len(own.bounded)]), problem.R @ beta)
        return np.inf if at is None else at.criterion

    estimates = m.result.estimates
    start = np.append(own.of_parameters(estimates.theta), estimates.beta[others])
    found = optimize.minimize(
        criterion,
        start,
        method="Nelder-Mead",
        options={"xatol": 1e-7, "fatol": 1e-9, "maxiter": 4000},
    )
    return found.fun


def test_the_criterion_at_the_ends_is_the_quantile_s(slopes):
    low, high = slopes.confint(parm="x", level=0.9).iloc[0]
    for value in (low, high):
        excess = constrained(slopes, "x", value) - slopes.result.criterion.value
        assert excess == pytest.approx(ndtri(0.95) ** 2, abs=1e-5)


def test_all_parameters_of_a_slope(slopes):
    profiled = slopes.profile(alphamax=0.2)
    assert list(profiled.points) == [".sig01", ".sig02", ".sig03", "(Intercept)", "x"]
    cells = slopes.VarCorr()["sdcor"].to_numpy()
    # lme4's order is that of the lower triangle: standard deviation, correlation, deviation
    assert profiled.estimates[:3] == pytest.approx([cells[0], cells[2], cells[1]], rel=1e-8)
    table = profiled.table()
    for name in profiled.points:
        own = table[table[".par"] == name]
        assert (np.diff(own[".zeta"]) > 0).all()
        assert own[name].to_numpy() == pytest.approx(own[".focal"].to_numpy(), rel=1e-8, abs=1e-8)
    variances = slopes.confint(parm=1, prof_scale="varcov").to_numpy()
    assert variances == pytest.approx(slopes.confint(parm=1).to_numpy() ** 2, rel=1e-6)


def test_units_of_a_predictor_do_not_matter(slopes):
    d = slopes.fit.call.data
    other = lb.glmer("y ~ x + (x | g)", d.assign(x=100 * d["x"]), "poisson", engine="native")
    wanted = slopes.confint(parm=[".sig03", "x"]).to_numpy()
    assert 100 * other.confint(parm=[".sig03", "x"]).to_numpy() == pytest.approx(wanted, rel=1e-4)


def test_quadrature_is_profiled_too(m):
    nine = m.update(nAGQ=9)
    found, laplace = nine.confint(parm=".sig01"), m.confint(parm=".sig01")
    assert np.abs(found.to_numpy() - laplace.to_numpy()).max() < 0.05
    assert not np.allclose(found, laplace, atol=1e-3)


def least(criterion, x, shape):
    """Of an estimated parameter of the distribution at a value, by a search without derivatives."""

    def at(x):
        found = criterion.at(np.abs(x[:1]), x[1:], np.log([shape]), None, False)
        return np.inf if found is None else found.criterion

    options = {"xatol": 1e-7, "fatol": 1e-10, "maxiter": 4000}
    return optimize.minimize(at, x, method="Nelder-Mead", options=options).fun


@pytest.mark.parametrize("family", ["Gamma(log)", "inverse.gaussian(log)", "gaussian(log)"])
def test_a_dispersion_by_maximum_likelihood_is_profiled(family):
    rng = np.random.default_rng(6)
    g, x = np.repeat(np.arange(10), 6), rng.normal(size=60)
    y = np.exp(0.4 * x + 0.4 * rng.normal(size=10)[g]) * rng.gamma(20, 0.05, 60)
    d = pd.DataFrame({"y": y, "x": x, "g": g.astype(str)})
    m = lb.glmer("y ~ x + (1 | g)", d, family, engine="native", dispersion="ML")
    problem = Problem.of(m.frame, m.family)
    own = Coordinates(problem.effects.layout).of_users(m.result.estimates.theta)
    start = np.append(own, problem.R @ m.result.estimates.beta)
    low, high = m.confint(parm=".sigma", level=0.9).iloc[0]
    assert low < m.sigma() < high
    for end in (low, high):
        excess = least(Estimated(problem), start, end**2) - m.result.criterion.value
        assert excess == pytest.approx(ndtri(0.95) ** 2, abs=1e-5)
    varied = m.confint(parm=".sigma", level=0.9, prof_scale="varcov").iloc[0]
    assert varied.to_numpy() == pytest.approx([low**2, high**2], rel=1e-6)
    moment = m.update(dispersion="moment")
    with pytest.raises(UnsupportedModelError, match="the dispersion of this fit is a moment"):
        moment.confint()


@pytest.fixture(scope="module")
def counted(slopes):
    rng, d = np.random.default_rng(2), slopes.fit.call.data
    p = 0.4 / (1 + np.exp(rng.normal(size=14)))[d["g"].astype(int)]
    d = d.assign(y=rng.negative_binomial(2, p))
    return lb.glmer_nb("y ~ x + (1 | g)", d, engine="native")


def test_a_size_is_profiled(counted):
    """A fit with the size given at an end of its interval is worse by the quantile."""
    table = counted.confint(size="free")
    assert list(table.index) == [".sig01", ".size", "(Intercept)", "x"]
    for end in table.loc[".size"]:
        given = lb.glmer(
            counted.formula,
            counted.fit.call.data,
            lb.families.negative_binomial(end),
            engine="native",
        )
        excess = 2 * (counted.logLik() - given.logLik())
        assert excess == pytest.approx(ndtri(0.975) ** 2, abs=1e-6)
    # a parameter more to minimize over: no interval is shorter
    held = counted.confint(parm="x").iloc[0]
    assert table.loc["x"].iloc[0] <= held.iloc[0] + 1e-7
    assert table.loc["x"].iloc[1] >= held.iloc[1] - 1e-7


def test_a_size_that_was_not_estimated_is_not_free(m, counted):
    with pytest.raises(ArgumentError, match="of a glmer_nb"):
        m.profile(size="free")
    with pytest.raises(ArgumentError, match="size belongs to"):
        counted.confint("Wald", size="free")


def test_an_estimated_size_is_held(counted):
    d, size = counted.fit.call.data, counted.getME("glmer.nb.theta")
    given = lb.glmer("y ~ x + (1 | g)", d, lb.families.negative_binomial(size), engine="native")
    found, wanted = counted.confint(parm="x"), given.confint(parm="x")
    assert found.to_numpy() == pytest.approx(wanted.to_numpy(), abs=1e-4)


def test_the_observed_information_is_profiled_too():
    d = lb.datasets.load("cbpp")
    m = lb.glmer(CBPP, d, "binomial(cloglog)", engine="native", information="observed")
    found = m.profile(parm="period3", alphamax=0.5)
    zeta = [p.zeta for p in found.points["period3"]]
    assert 0.0 in zeta
    assert min(abs(z) for z in zeta if z) > 1e-3  # no step at the estimate


def test_what_has_no_profile(m):
    with pytest.raises(UnsupportedModelError, match="nAGQ=0 has no profile"):
        m.update(nAGQ=0).profile()
    with pytest.raises(TypeError):
        m.bootMer(type="semiparametric")


def test_wald_is_of_the_fixed_effects(m):
    table = m.confint("Wald")
    assert list(table.index) == [".sig01", *m.fixef().index]
    assert table.iloc[0].isna().all()


@pytest.mark.filterwarnings("ignore::lmerbridge.FitWarning")
def test_bootstrap(m):
    made = m.bootMer(nsim=12, seed=4)
    assert made.names == (".sig01", *m.fixef().index)
    assert made.t0 == pytest.approx([m.VarCorr()["sdcor"].iloc[0], *m.fixef()])
    assert not made.failed
    # by hand: the same draws, each fitted from the beginning
    from lmerbridge.inference.bootstrap import responses

    rng = np.random.default_rng(np.random.SeedSequence([4, 0]))
    drawn = responses(m.frame, m.result, rng, 12, False, "parametric")
    for i in (0, 7):
        again = m.refit(drawn[:, i])
        assert made.t[i, 1:] == pytest.approx(again.fixef().to_numpy(), abs=1e-5)
        assert made.t[i, 0] == pytest.approx(again.VarCorr()["sdcor"].iloc[0], abs=1e-5)
    odds = m.bootMer(lambda one: np.exp(one.fixef()["period2"]), nsim=12, seed=4)
    assert odds.t[:, 0] == pytest.approx(np.exp(made.t[:, 2]), rel=1e-4)
    table = m.confint("boot", nsim=12, seed=4, parm="period2")
    assert table.to_numpy()[0] == pytest.approx(made.interval().loc["period2"].to_numpy())


@pytest.mark.filterwarnings("ignore::lmerbridge.FitWarning")
def test_many_responses(m):
    drawn = m.simulate(3, seed=8)
    many = m.refit_many(drawn)
    for i in range(3):
        again = m.refit(drawn.iloc[:, i])
        assert many.beta[i] == pytest.approx(again.fixef().to_numpy(), abs=1e-5)
        assert many.criterion[i] == pytest.approx(again.result.criterion.value, abs=1e-7)


@pytest.mark.r
def test_every_optimizer_ends_near_the_native_one(m):
    table = m.allFit()
    assert list(table["engine"]) == ["native", *["lme4"] * 4]
    # lme4's inner iteration has a tolerance of 1e-7 by default, of a deviance of 184: 1e-3
    assert table["above"].abs().max() < 2e-3
    assert table["period2"].to_numpy() == pytest.approx(m.fixef()["period2"], abs=5e-3)
