"""What the distribution has to estimate: a dispersion, by maximum likelihood and as lme4 does, and
the size of a negative binomial; against definitions in mpmath and against lme4.
"""

from __future__ import annotations

import warnings

import mpmath as mp
import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import lmerbridge as lb
from glmm_mpmath import Model, gradient, problem_of
from lmerbridge.errors import ArgumentError, FitWarning, UnsupportedModelError
from lmerbridge.likelihood.criteria import Estimated, Moment
from lmerbridge.likelihood.dispersion import moment_point
from r_here import lme4_version

DISPERSED = {
    "Gamma(log)": "y ~ x + (1 | g)",
    "Gamma(identity)": "y ~ x + (1 | g) + (1 | h)",
    "Gamma": "y ~ x + (x | g)",
    "inverse.gaussian(log)": "y ~ x + (x | g)",
    "inverse.gaussian": "y ~ x + (1 | g)",
    "gaussian(log)": "y ~ x + (1 | g) + (1 | h)",
    "gaussian(inverse)": "y ~ x + (1 | g)",
}
SIZES = {
    "negative.binomial(theta = 2)": "y ~ x + (x | g)",
    "negative.binomial(theta = 2, link = sqrt)": "y ~ x + (1 | g)",
}
WEIGHTED = ("Gamma(log)", "gaussian(log)", "inverse.gaussian(log)")


def data_of(family, seed=3):
    rng = np.random.default_rng(seed)
    n = 16
    d = pd.DataFrame({"x": rng.normal(size=n), "g": np.repeat(list("abcd"), 4)})
    d["h"] = np.tile(list("pqrs"), 4)
    d["w"] = rng.uniform(0.5, 2.0, n)
    d["y"] = rng.gamma(8, 0.25, n)
    if family.startswith("negative"):
        d["y"] = rng.negative_binomial(2, 0.2, n).astype(float)
    return d


def problem_and_model(family, formula, observed=False):
    d = data_of(family)
    weights = {"weights": d["w"]} if family in WEIGHTED else {}
    frame, problem = problem_of(formula, d, family, observed, **weights)
    size = sum(term.size * (term.size + 1) // 2 for term in problem.layout.terms)
    theta = np.array([0.03, 0.01, 0.02] if size == 3 else [0.03, 0.025][:size])
    return problem, Model(frame, problem), theta


def floats(values):
    return [mp.mpf(float(v)) for v in values]


def modes(point):
    layout = point.problem.layout
    return np.concatenate([point.u[t.factor][:, t.within].ravel() for t in layout.terms])


# -- against the definitions


@pytest.mark.parametrize("family", [*DISPERSED, *SIZES])
@pytest.mark.parametrize("observed", [False, True])
def test_maximum_likelihood(family, observed):
    problem, model, theta = problem_and_model(family, {**DISPERSED, **SIZES}[family], observed)
    shape, m = (1.7 if family in SIZES else 0.15), len(theta)
    at = Estimated(problem).at(theta, problem.start(), np.log([shape]), None, False)
    with mp.workdps(40):
        u = floats(modes(at.laplace))

        def criterion(x):
            model.shape = mp.exp(x[-1])
            return model.laplace(x[:m], x[m:-1], u, observed)

        here = [*floats([*theta, *at.laplace.beta]), mp.log(mp.mpf(shape))]
        assert at.criterion == pytest.approx(float(criterion(here)), rel=0, abs=1e-10)
        expected = gradient(criterion, here)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(at.gradient, expected, rtol=0, atol=1e-8 * scale)


@pytest.mark.parametrize("family", DISPERSED)
@pytest.mark.parametrize("freedom", [12.0, None])
def test_the_criterion_of_lme4(family, freedom):
    problem, model, theta = problem_and_model(family, DISPERSED[family])
    m, beta = len(theta), problem.start()
    at = moment_point(problem, theta, beta, None, False, freedom)
    with mp.workdps(30):
        u = floats(modes(at.laplace))
        here = floats([*theta, *beta])
        expected = float(model.moment(here[:m], here[m:], u, freedom, at.phi))
        assert at.criterion == pytest.approx(expected, rel=0, abs=1e-9)

        slopes = gradient(lambda x: model.moment(x[:m], x[m:], u, freedom, at.phi), here)
    scale = np.abs(slopes).max()
    np.testing.assert_allclose(at.gradient, slopes, rtol=0, atol=1e-8 * scale)


def test_fixed_effects_among_the_modes():
    """The gradient against differences of the criterion itself, in double precision."""
    for family in ("Gamma(log)", "negative.binomial(theta = 2)"):
        problem, _, theta = problem_and_model(family, "y ~ x + (1 | g)")
        theta = theta + 0.3
        for of in (Estimated(problem), Moment.of(problem)):
            if family.startswith("negative") and isinstance(of, Moment):
                continue
            shape = of.first_shape()

            def at(x, of=of, problem=problem):
                return of.at(x[:1], problem.start(), x[1:], None, True)

            x, found = np.append(theta, shape), []
            for i in range(len(x)):
                ends = [x.copy(), x.copy()]
                ends[0][i] += 1e-5
                ends[1][i] -= 1e-5
                found.append((at(ends[0]).criterion - at(ends[1]).criterion) / 2e-5)
            np.testing.assert_allclose(at(x).gradient, found, rtol=1e-5, atol=1e-6)


def test_a_rank_of_both_parts():
    """Four levels, an intercept that they span, and x."""
    problem, _, _ = problem_and_model("Gamma(log)", "y ~ x + (1 | g)")
    assert Moment.of(problem).freedom == 16 - 5
    problem, _, _ = problem_and_model("Gamma(log)", "y ~ x + (1 | g) + (1 | h)")
    assert Moment.of(problem).freedom == 16 - 8
    d = data_of("Gamma").assign(k=np.repeat(list("abcdefgh"), 2))
    _, problem = problem_of("y ~ x + (1 | k) + (0 + x | k)", d, "Gamma(log)")
    with pytest.raises(UnsupportedModelError, match="no moment estimate of the dispersion"):
        Moment.of(problem)


# -- closed forms


def test_without_random_effects_it_is_the_ordinary_model():
    """A normal with the log link, theta 0: the maximum-likelihood variance is the mean square."""
    problem, _, _ = problem_and_model("gaussian(log)", "y ~ x + (1 | g)")
    residuals = problem.prior * (problem.y - np.exp(problem.linear(problem.start()))) ** 2
    phi = residuals.mean()
    at = Estimated(problem).at(np.zeros(1), problem.start(), np.log([phi]), None, False)
    expected = -2 * stats.norm.logpdf(np.sqrt(residuals), scale=np.sqrt(phi)).sum()
    expected -= np.log(problem.prior).sum()
    assert at.criterion == pytest.approx(expected, rel=1e-12)
    assert at.gradient[-1] == pytest.approx(0, abs=1e-9)


# -- as users ask for it


def reaction():
    return lb.datasets.load("sleepstudy").assign(y=lambda t: t["Reaction"] / 100)


def counts(size=2.0, levels=40, rows=10, seed=2):
    rng = np.random.default_rng(seed)
    g, x = np.repeat(np.arange(levels), rows), rng.normal(size=levels * rows)
    mu = np.exp(0.5 + 0.4 * x + 0.6 * rng.normal(size=levels)[g])
    y = np.round(mu) if size is None else rng.poisson(rng.gamma(size, mu / size)).astype(float)
    return pd.DataFrame({"y": y, "x": x, "g": [f"g{i}" for i in g]})


@pytest.mark.r
@pytest.mark.parametrize("family", ["Gamma(log)", "gaussian(log)", "inverse.gaussian(log)"])
def test_like_lme4_1_1(family):
    """lme4 here is 1.1: its numbers, to what its optimizer and tolerances leave."""
    if lme4_version() >= (2,):
        pytest.skip("this lme4 has other definitions")
    d = reaction()
    control = lb.glmerControl(optimizer="bobyqa", tolPwrss=1e-13)
    formula = "y ~ Days + (1 | Subject)"
    theirs = lb.glmer(formula, d, family, engine="lme4", control=control)
    ours = lb.glmer(formula, d, family, engine="native", like="1.1")
    assert ours.result.criterion.value == pytest.approx(theirs.result.criterion.value, abs=1e-4)
    assert ours.result.criterion.value < theirs.result.criterion.value + 1e-7
    assert ours.AIC() == pytest.approx(theirs.AIC(), abs=1e-4)
    assert ours.sigma() == pytest.approx(theirs.sigma(), rel=1e-4)
    for get in (
        lambda m: m.fixef().to_numpy(),
        lambda m: m.result.estimates.theta,
        lambda m: m.VarCorr()["sdcor"].to_numpy(dtype=float),
        lambda m: m.ranef()["condval"].to_numpy(),
        lambda m: m.ranef()["condsd"].to_numpy(),
    ):
        np.testing.assert_allclose(get(ours), get(theirs), rtol=1e-3, atol=1e-4)


@pytest.mark.r
def test_quadrature_like_lme4_1_1():
    cbpp = lb.datasets.load("cbpp")
    if lme4_version() >= (2,):
        pytest.skip("this lme4 has the constants")
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    theirs = lb.glmer(formula, cbpp, nAGQ=5, engine="lme4")
    ours = lb.glmer(formula, cbpp, nAGQ=5, engine="native", like="1.1")
    assert ours.logLik() == pytest.approx(theirs.logLik(), abs=1e-5)
    full = lb.glmer(formula, cbpp, nAGQ=5, engine="native")
    n, k = cbpp["size"].to_numpy(), cbpp["incidence"].to_numpy()
    saturated = stats.binom.logpmf(k, n, k / n).sum()
    assert full.logLik() - ours.logLik() == pytest.approx(saturated, rel=1e-12)


@pytest.mark.r
def test_glmer_nb_is_lme4_s():
    d = counts()
    control = lb.glmerControl(optimizer="bobyqa", tolPwrss=1e-13)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on the way lme4 may say that a step has not converged
        theirs = lb.glmer_nb("y ~ x + (1 | g)", d, engine="lme4", control=control)
    ours = lb.glmer_nb("y ~ x + (1 | g)", d, engine="native")
    size = ours.getME("glmer.nb.theta")
    assert size == pytest.approx(theirs.getME("glmer.nb.theta"), rel=1e-3)
    assert ours.logLik() == pytest.approx(theirs.logLik(), abs=1e-4)
    assert ours.logLik() > theirs.logLik() - 1e-6
    assert ours.AIC() == pytest.approx(theirs.AIC(), abs=1e-3)
    np.testing.assert_allclose(ours.fixef(), theirs.fixef(), rtol=0, atol=1e-4)
    np.testing.assert_allclose(ours.vcov(), theirs.vcov(), rtol=5e-3, atol=1e-6)
    assert str(ours.family).startswith("negative_binomial(theta=")
    # given, the size that was estimated is the same model
    given = lb.glmer("y ~ x + (1 | g)", d, ours.family, engine="native")
    assert given.logLik() == pytest.approx(ours.logLik(), abs=1e-8)
    np.testing.assert_allclose(given.vcov(), ours.vcov(), rtol=1e-6)


def test_a_size_that_is_no_larger_is_better():
    """The likelihood falls to both sides of the size that was estimated."""
    d = counts()
    found = lb.glmer_nb("y ~ x + (1 | g)", d, engine="native")
    for factor in (0.9, 1.1):
        family = lb.families.negative_binomial(found.getME("glmer.nb.theta") * factor)
        assert lb.glmer("y ~ x + (1 | g)", d, family, engine="native").logLik() < found.logLik()


def test_counts_that_vary_less_than_poisson_have_no_size():
    d = counts(size=None)
    with pytest.warns(FitWarning, match="no finite estimate: fit family='poisson'"):
        m = lb.glmer_nb("y ~ x + (1 | g)", d, engine="native")
    poisson = lb.glmer("y ~ x + (1 | g)", d, "poisson", engine="native")
    assert m.logLik() == pytest.approx(poisson.logLik(), abs=1e-3)
    np.testing.assert_allclose(m.vcov(), poisson.vcov(), rtol=1e-3)


def test_units_of_y():
    """A gamma with the log link: 1000 times the response is an intercept more."""
    d, formula = reaction(), "y ~ Days + (1 | Subject)"
    for dispersion in ("moment", "ML"):
        one, other = (
            lb.glmer(formula, t, "Gamma(log)", engine="native", dispersion=dispersion)
            for t in (d, d.assign(y=1000 * d["y"]))
        )
        moved = other.fixef() - one.fixef()
        np.testing.assert_allclose(moved, [np.log(1000), 0], rtol=0, atol=1e-6)
        assert other.sigma() == pytest.approx(one.sigma(), rel=1e-6)
        np.testing.assert_allclose(
            other.result.estimates.theta, one.result.estimates.theta, rtol=1e-5
        )
        lower = other.logLik() - one.logLik()
        assert lower == pytest.approx(-180 * np.log(1000), abs=1e-6)


def test_which_information_is_asked_for():
    d = reaction()
    formula = "y ~ Days + (1 | Subject)"
    expected = lb.glmer(formula, d, "Gamma(log)", engine="native", dispersion="ML")
    observed = lb.glmer(
        formula, d, "Gamma(log)", engine="native", dispersion="ML", information="observed"
    )
    assert observed.result.call.information == "observed"
    assert observed.logLik() != pytest.approx(expected.logLik(), abs=1e-6)
    assert observed.logLik() == pytest.approx(expected.logLik(), abs=0.5)
    again = lb.from_json(observed.to_json(), data=d)
    assert again.result.call.information == "observed"
    assert again.update(". ~ . - Days").result.call.dispersion == "ML"


# -- after the fit


@pytest.fixture(scope="module")
def gammas():
    formula, asked = "y ~ Days + (1 | Subject)", {"family": "Gamma(log)", "engine": "native"}
    d = reaction()
    return [
        lb.glmer(formula, d, **asked),
        lb.glmer(formula, d, **asked, dispersion="ML"),
        lb.glmer(formula, d, **asked, like="1.1"),
    ]


def test_what_theta_is_in_units_of(gammas):
    """SDs are theta itself, but up to lme4 1.1 theta times sigma."""
    for m, scale in zip(gammas, (1.0, 1.0, gammas[2].sigma()), strict=True):
        own = m.result.estimates
        assert own.theta_scale == pytest.approx(scale)
        assert m.VarCorr()["sdcor"][0] == pytest.approx(own.theta[0] * scale)


def test_simulated_responses_have_the_moments_of_the_model(gammas):
    """Of log y: the variances of the random effect, and of the log of a gamma of shape 1 / phi."""
    for m in gammas:
        logs = np.log(m.simulate(400, seed=1).to_numpy())
        of_subject = m.VarCorr()["sdcor"][0] ** 2
        expected = of_subject + special.polygamma(1, 1 / m.sigma() ** 2)
        rows = logs.var(axis=1)
        assert rows.mean() == pytest.approx(expected, rel=0.05)


def test_standard_errors_of_predictions(gammas):
    """Nearly those of the modes, as there are few fixed effects; not with sigma in them twice."""
    for m in gammas:
        errors = m.predict(se_fit=True)["se_fit"].to_numpy()
        modes = m.ranef()["condsd"].to_numpy()
        assert 0.5 * modes.min() < errors.min()
        assert errors.max() < 2 * modes.max()


def test_a_bootstrap_has_sigma(gammas):
    for m in gammas:
        found = m.bootMer(nsim=3, seed=1)
        assert found.table().index.tolist() == [".sig01", ".sigma", "(Intercept)", "Days"]
        original = found.table()["original"].to_numpy()
        expected = [m.VarCorr()["sdcor"][0], m.sigma(), *m.fixef()]
        np.testing.assert_allclose(original, expected, rtol=1e-10)


def test_further_fits_are_by_the_same_definition(gammas):
    for m in gammas:
        same = m.refit_many(np.column_stack([m.frame.y] * 2))
        np.testing.assert_allclose(same.criterion, m.result.criterion.value, rtol=1e-9)
        np.testing.assert_allclose(same.theta[:, 0], m.result.estimates.theta[0], rtol=1e-4)


def test_how_far_the_estimates_are_from_the_likelihood_s(gammas):
    """The definition of lme4 1.1 is off by more than a third of the standard deviation."""
    moment, ml, old = (m.approximation() for m in gammas)
    assert not moment.matters
    assert not ml.matters
    assert old.estimates["shift"].iloc[-1] < -0.3
    assert moment.exact == pytest.approx(ml.exact, abs=0.05)
    assert old.exact < ml.exact - 5


def test_after_glmer_nb():
    d = counts()
    m = lb.glmer_nb("y ~ x + (1 | g)", d, engine="native")
    size = m.getME("glmer.nb.theta")
    assert m.family.theta == m.frame.family.theta == size
    again = lb.from_json(m.to_json(), data=d)
    assert again.family.theta == size
    # another response has another size; the model without x too
    assert m.refit(counts(seed=9)["y"]).getME("glmer.nb.theta") != pytest.approx(size, rel=1e-3)
    assert again.update(". ~ . - x").getME("glmer.nb.theta") != pytest.approx(size, rel=1e-3)
    variance = m.simulate(300, seed=1).to_numpy().var()
    mu2 = np.exp(2 * 0.33 + 2 * 0.41**2 + 2 * 0.7**2)  # roughly: E exp(2 eta)
    assert variance > mu2 / size


def test_refusals():
    d = reaction()
    formula = "y ~ Days + (1 | Subject)"
    with pytest.raises(ArgumentError, match="dispersion"):
        lb.glmer(formula, d, "Gamma", dispersion="REML")
    with pytest.raises(ArgumentError, match="like"):
        lb.glmer(formula, d, "Gamma", like="1.0")
    with pytest.raises(UnsupportedModelError, match="ask for dispersion='ML'"):
        lb.glmer(formula, d, "Gamma(log)", nAGQ=5, engine="native")
    with pytest.raises(UnsupportedModelError, match="each version of lme4 has its own definitions"):
        lb.glmer(formula, d, "Gamma(log)", like="1.1", engine="lme4")
    with pytest.raises(UnsupportedModelError, match="log link alone"):
        lb.glmer_nb("y ~ x + (1 | g)", counts(), link="sqrt", engine="lme4")
