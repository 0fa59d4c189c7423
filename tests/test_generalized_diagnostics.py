"""What a generalized model explains, what it draws, and what each row does to it."""

import json
import math
import subprocess
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats
from scipy.special import polygamma

import lmerbridge as lb
from lmerbridge.errors import UnsupportedModelError
from lmerbridge.inference.latent import distribution_variance, mean_over_effects
from lmerbridge.rlang import find_r

CBPP = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
SHARES = """
if (!requireNamespace("performance", quietly = TRUE)) { cat("null"); quit() }
suppressMessages({library(lme4); library(performance)})
found <- sapply(c("logit", "probit", "cloglog"), function(link) {
  m <- glmer(cbind(incidence, size - incidence) ~ period + (1 | herd), cbpp, binomial(link),
             glmerControl("bobyqa", optCtrl = list(rhoend = 1e-9), tolPwrss = 1e-13))
  r <- r2_nakagawa(m); i <- icc(m)
  c(r$R2_marginal, r$R2_conditional, i$ICC_adjusted, i$ICC_unadjusted)
})
cat(jsonlite::toJSON(t(found), digits = I(15)))
"""


@pytest.fixture(scope="module")
def m():
    return lb.glmer(CBPP, lb.datasets.load("cbpp"), engine="native")


def counts(zeros=0.0, size=None, seed=4):
    rng = np.random.default_rng(seed)
    d = pd.DataFrame({"g": rng.integers(0, 15, 240).astype(str), "x": rng.normal(size=240)})
    mu = np.exp(0.9 + 0.3 * d["x"] + 0.4 * rng.normal(size=15)[d["g"].astype(int)])
    lam = mu if size is None else rng.gamma(size, mu / size)
    d["y"] = np.where(rng.random(240) < zeros, 0, rng.poisson(lam))
    return d


@pytest.fixture(scope="module")
def poisson():
    return lb.glmer("y ~ x + (1 | g)", counts(), "poisson", engine="native")


@pytest.mark.r
def test_shares_are_those_of_performance(m):
    done = subprocess.run(
        [str(Path(find_r().home) / "bin" / "Rscript"), "--vanilla", "-e", SHARES],
        capture_output=True,
        text=True,
        check=True,
    )
    if json.loads(done.stdout) is None:
        pytest.skip("R has no package performance")
    for link, wanted in zip(("logit", "probit", "cloglog"), json.loads(done.stdout), strict=True):
        one = m.update(family=f"binomial({link})")
        found = [one.r2().marginal, one.r2().conditional, one.icc().adjusted, one.icc().unadjusted]
        # lme4 stops where its criterion is flat to 1e-9 of it
        assert found == pytest.approx(wanted, abs=2e-4)


def test_shares_of_counts(poisson):
    """Nakagawa et al. (2017), table 1: lambda = exp(b0 + tau^2 / 2) of the model without x."""
    null = poisson.update(". ~ . - x")
    tau2 = null.VarCorr()["vcov"].iloc[0]
    mean = math.exp(null.fixef().iloc[0] + tau2 / 2)
    fixed = np.var(poisson.model_matrix() @ poisson.fixef(), ddof=1)
    random = poisson.VarCorr()["vcov"].iloc[0]
    wanted = {
        None: math.log(1 + 1 / mean),
        "lognormal": math.log(1 + 1 / mean),
        "delta": 1 / mean,
        "trigamma": float(polygamma(1, mean)),
    }
    for approximation, residual in wanted.items():
        found = poisson.r2(approximation)
        assert found.marginal == pytest.approx(fixed / (fixed + random + residual), rel=1e-6)
        assert poisson.icc(approximation).adjusted == pytest.approx(
            random / (random + residual), rel=1e-6
        )


def test_observation_level_variances():
    """Table 2 of Nakagawa et al. (2017)."""
    f = lb.families
    of = distribution_variance
    assert of(f.binomial("logit"), 0.3, 1, "delta") == pytest.approx(1 / (0.3 * 0.7))
    assert of(f.poisson("sqrt"), 7.0, 1, "delta") == pytest.approx(0.25)
    negative = f.negative_binomial(2.5)
    assert of(negative, 3.0, 1, "lognormal") == pytest.approx(math.log(1 + 1 / 3 + 1 / 2.5))
    assert of(negative, 3.0, 1, "trigamma") == pytest.approx(
        float(polygamma(1, 1 / (1 / 3 + 1 / 2.5)))
    )
    assert of(f.Gamma("log"), 3.0, 0.2, "lognormal") == pytest.approx(math.log(1.2))
    assert of(f.Gamma("log"), 3.0, 0.2, "trigamma") == pytest.approx(float(polygamma(1, 5)))


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog"])
def test_means_over_effects_are_integrals(link):
    family = lb.families.binomial(link)
    wanted, _ = integrate.quad(
        lambda z: float(family.link.inverse(np.array([-0.7 + 1.2 * z]))[0]) * stats.norm.pdf(z),
        -9,
        9,
        epsabs=1e-12,
    )
    assert mean_over_effects(family, -0.7, 1.44) == pytest.approx(wanted, abs=1e-8)


def test_shares_that_there_are_not(m):
    with pytest.raises(UnsupportedModelError, match="without a variance"):
        m.update(family="binomial(cauchit)").r2()
    with pytest.raises(UnsupportedModelError, match="approximation='delta'"):
        m.r2("lognormal")


def test_deleted_groups_are_left_out(m):
    d = lb.datasets.load("cbpp")
    found = m.influence("herd")
    assert len(found.sets) == 15
    for herd in ("1", "11"):
        other = m.update(data=d[d["herd"].astype(str) != herd])
        at = found.sets.index(herd)
        assert found.beta[at] == pytest.approx(other.fixef().to_numpy(), abs=1e-5)
        errors = np.sqrt(np.diag(other.vcov()))
        assert found.std_error[at] == pytest.approx(errors, rel=1e-4)
    change = found.dfbeta().to_numpy()
    V = np.linalg.inv(m.vcov().to_numpy())
    wanted = np.einsum("sp,pq,sq->s", change, V, change) * (15 - 4) / (15 * 4)
    assert found.cooks_distance().to_numpy() == pytest.approx(wanted)


def test_pearson_s_chi_squared(poisson):
    table = poisson.overdispersion().iloc[0]
    mu = poisson.fitted().to_numpy()
    chisq = float(np.sum((poisson.getME("y") - mu) ** 2 / mu))
    assert table.tolist() == pytest.approx(
        [chisq, chisq / (240 - 3), 240 - 3, stats.chi2.sf(chisq, 240 - 3)]
    )


def test_quantile_residuals_are_uniform(poisson):
    """With all effects kept, the probability integral transform, randomized, by simulation."""
    found = poisson.quantile_residuals(nsim=4000, seed=3, re_form=None).to_numpy()
    mu, y = poisson.fitted().to_numpy(), poisson.getME("y")
    low, high = stats.poisson.cdf(y - 1, mu), stats.poisson.cdf(y, mu)
    assert (found > low - 0.04).all()
    assert (found < high + 0.04).all()
    assert stats.kstest(found, "uniform").pvalue > 0.01


def test_a_right_model_passes_and_wrong_ones_do_not(poisson):
    right = poisson.residual_tests(seed=1)
    assert (right["p_value"] > 0.02).all()
    assert right.loc["dispersion", "expected"] == pytest.approx(1, abs=0.02)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        many_zeros = lb.glmer("y ~ x + (1 | g)", counts(0.35), "poisson", engine="native")
        spread = lb.glmer("y ~ x + (1 | g)", counts(size=0.8), "poisson", engine="native")
    assert many_zeros.residual_tests(seed=1).loc["zero inflation", "p_value"] < 0.02
    # given the modes: new random effects would vary more than the rows do
    wide = spread.residual_tests(seed=1, re_form=None)
    assert wide.loc["dispersion", "p_value"] < 0.02
    assert wide.loc["dispersion", "observed"] > 1.3
    assert spread.overdispersion()["Pr(>Chisq)"].iloc[0] < 1e-6


def test_plots(m):
    pytest.importorskip("matplotlib").use("Agg")
    axes = lb.plots.quantile_residuals(m, nsim=50)
    assert len(axes) == 2
    assert len(axes[0].lines[1].get_xdata()) == m.nobs()
    lb.plots.caterpillar(m)
    lb.plots.residuals_fitted(m)
    lb.plots.influence(m.influence("herd"))
    with pytest.raises(UnsupportedModelError, match="quantile_residuals"):
        lb.plots.qq_residuals(m)


@pytest.mark.parametrize("family", ["poisson", "Gamma(log)"])
def test_leverages_are_the_diagonal_of_the_working_model_s_hat_matrix(family):
    d = counts()
    d["y"] += family != "poisson"
    m = lb.glmer("y ~ x + (1 | g)", d, family, engine="native")
    Z = pd.get_dummies(d["g"]).to_numpy(float) * m.VarCorr()["sdcor"].iloc[0] / m.sigma()
    mu = m.fitted().to_numpy()
    root = np.sqrt(mu if family == "poisson" else np.ones(len(mu)))  # (dmu/deta)^2 / V(mu)
    C = np.column_stack([Z, m.model_matrix()]) * root[:, None]
    P = np.diag([1.0] * Z.shape[1] + [0.0] * 2)
    h = np.einsum("np,pn->n", C, np.linalg.solve(C.T @ C + P, C.T))
    np.testing.assert_allclose(m.hatvalues(), h, rtol=1e-6)
    r = m.residuals("pearson") / m.sigma()
    np.testing.assert_allclose(m.cooks_distance(), (r / (1 - h)) ** 2 * h / 2, rtol=1e-6)
