"""Generalized linear models against R's ``glm``: numbers and text, and identities of profiles."""

import warnings

import numpy as np
import pandas as pd
import pytest

import lmerbridge as lb
from live import ask, case
from lmerbridge.errors import ArgumentError, DataError, FitWarning, UnsupportedModelError


def _data():
    rng = np.random.default_rng(17)
    n = 48
    x = np.round(rng.normal(size=n), 3)
    a = np.resize(["p", "q", "r"], n)
    size = rng.integers(1, 9, n)
    eta = 0.4 * x - 0.3 + 0.5 * (a == "q")
    hits = rng.binomial(size, 1 / (1 + np.exp(-eta)))
    d = pd.DataFrame(
        {
            "x": x,
            "a": pd.Categorical(a),
            "z": 2 * x + 1,
            "size": size,
            "hits": hits,
            "share": hits / size,
            "won": pd.Categorical(np.where(hits > size / 2, "yes", "no")),
            "count": rng.poisson(np.exp(eta + 1)),
            "time": np.round(rng.uniform(1, 4, n), 2),
            "pos": np.round(rng.gamma(4, np.exp(eta) / 4), 3) + 0.05,
            "w": np.round(rng.uniform(0.5, 2, n), 1),
        }
    )
    d["w0"] = np.where(np.arange(n) % 7 == 3, 0, d["w"])
    d["gap"] = np.where(np.arange(n) % 11 == 5, np.nan, d["x"])
    d.attrs["name"] = "d"
    return d


MODELS = {
    "cbind": ("cbind(hits, size - hits) ~ a + x", "binomial", {}),
    "probit": ("cbind(hits, size - hits) ~ a * x", 'binomial(link = "probit")', {}),
    "factor": ("won ~ x + a", "binomial", {}),
    "share": ("share ~ x + z + a", "binomial", {"weights": "size"}),
    "counts": ("count ~ a + x + offset(log(time))", "poisson", {}),
    "sqrt": ("count ~ a + x", 'poisson(link = "sqrt")', {"weights": "w0"}),
    "gaps": ("count ~ gap + a:gap + I(gap^2) + offset(log(time)) + log(time)", "poisson", {}),
    "Gamma": ("pos ~ x + a", "Gamma", {"weights": "w"}),
    "Gamma log": ("pos ~ 0 + a + x", 'Gamma(link = "log")', {}),
    "inverse": ("pos ~ x", 'inverse.gaussian(link = "log")', {}),
    "normal": ("pos ~ x + a", 'gaussian(link = "log")', {"weights": "w"}),
    "quasi": ("count ~ x + a", "quasipoisson", {}),
    "one": ("count ~ 1", "poisson", {}),
}
of_r = pytest.mark.r("lme4", "lmerTest", "jsonlite", "car")
by_model = pytest.mark.parametrize("name", list(MODELS))
NEW = "data.frame(x = c(0, 1.5), gap = 1:2, z = c(1, 4), a = factor(c('p', 'r')), time = 2:3)"
QUESTIONS = {
    "print": "capture.output(print(m))",
    "summary": "capture.output(print(summary(m)))",
    "anova": "anova(m)",
    "Chisq": "anova(m, test = 'Chisq')",
    "F": "anova(m, test = 'F')",
    "drop1": "drop1(m, test = 'Chisq')",
    "drop1F": "drop1(m, test = 'F')",
    "Anova": "car::Anova(m)",
    "coef": "coef(m)",
    "vcov": "vcov(m)",
    "criteria": "c(AIC(m), BIC(m), as.numeric(logLik(m)), nobs(m), df.residual(m))",
    "deviances": "c(deviance(m), m$null.deviance, summary(m)$dispersion)",
    "fitted": "unname(fitted(m))",
    "hatvalues": "unname(hatvalues(m))",
    "cooks_distance": "unname(cooks.distance(m))",
    "predict": f"as.data.frame(predict(m, {NEW}, se.fit = TRUE)[1:2])",
    "means": f"as.data.frame(predict(m, {NEW}, type = 'response', se.fit = TRUE)[1:2])",
    "confint": "suppressMessages(confint(m, level = 0.9))",
    "Wald": "confint.default(m)",
    **{
        kind: f"unname(residuals(m, '{kind}'))"
        for kind in ("deviance", "pearson", "working", "response")
    },
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    d = _data()
    cases = [
        case(name, formula, d, QUESTIONS, function="glm", family=family, **more)
        for name, (formula, family, more) in MODELS.items()
    ]
    two = "glmer(cbind(hits, size - hits) ~ x + (1 | a), d, family = binomial)"
    cases.append(
        case(
            "compared",
            "cbind(hits, size - hits) ~ x",
            d,
            {
                "models": "anova(m, update(m, . ~ . + a), update(m, . ~ a * x), test = 'Chisq')",
                "F": "anova(update(m, . ~ . + a), m, test = 'F')",
                # lme4 has the prior weights where the working ones belong
                "hat": f"{{g <- {two}; h <- suppressWarnings(hatvalues(g)); "
                "unname(h * weights(g, 'working') / weights(g))}",
                "mixed": f"{{g <- {two}; m0 <- update(m, . ~ 1); anova(g, m, m0)}}",
            },
            function="glm",
            family="binomial",
        )
    )
    return ask(cases, tmp_path_factory.mktemp("glm"))


def model(name):
    formula, family, more = MODELS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        return lb.glm(formula, _data(), family, **more)


def numbers(answer):
    value = answer["value"]
    rows = value["values"]
    return np.array(
        [[np.nan if v in ("NA", "NaN", None) else v for v in np.atleast_1d(row)] for row in rows],
        dtype=float,
    ).squeeze()


@of_r
@by_model
def test_text_is_r_s(name, answers):
    m, asked = model(name), answers[name]
    assert str(m).split("\n") == asked["print"]["value"]
    assert m.summary().rstrip("\n").split("\n") == asked["summary"]["value"][:-1]
    assert str(m.anova()).split("\n") == asked["anova"]["text"]
    assert str(m.anova(test="Chisq")).split("\n") == asked["Chisq"]["text"]
    assert str(m.anova(test="F")).split("\n") == asked["F"]["text"]
    if name != "one":
        assert str(m.drop1()).split("\n") == asked["drop1"]["text"]
        assert str(m.drop1("F")).split("\n") == asked["drop1F"]["text"]
        assert str(m.Anova()).split("\n") == asked["Anova"]["text"]


@of_r
@by_model
def test_numbers_are_r_s(name, answers):
    m, asked = model(name), answers[name]
    fit = m.least_squares

    def close(ours, what, rtol=1e-9):
        theirs = numbers(asked[what])
        scale = np.nanmax(np.abs(theirs), initial=0)
        np.testing.assert_allclose(np.squeeze(ours), theirs, rtol, 1e-9 * scale, err_msg=what)

    close(m.coef(), "coef")
    close(m.vcov(), "vcov")
    close([m.AIC(), m.BIC(), m.logLik(), m.nobs(), m.df_residual()], "criteria")
    close([m.deviance(), m.null_deviance(), fit.sigma**2], "deviances")
    for kind in ("deviance", "pearson", "working", "response"):
        close(m.residuals(kind), kind)
    close(m.fitted(), "fitted")
    counted = m.scoring.prior > 0  # R leaves the others out
    close(m.hatvalues()[counted], "hatvalues")
    close(m.cooks_distance()[counted], "cooks_distance")
    new = pd.DataFrame({"x": [0, 1.5], "gap": [1, 2], "z": [1, 4], "a": ["p", "r"], "time": [2, 3]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)  # of columns left out
        close(m.predict(new, se_fit=True), "predict")
        close(m.predict(new, se_fit=True, type="response"), "means")
    close(m.confint(method="Wald"), "Wald")


@of_r
@pytest.mark.parametrize("name", sorted({*MODELS} - {"sqrt"}))  # R fails where a weight is 0
def test_profile_intervals_are_r_s_as_far_as_it_interpolates(name, answers):
    m = model(name)
    errors = np.sqrt(np.diag(m.vcov()))[:, None]
    ours = m.confint(0.9).to_numpy()
    theirs = numbers(answers[name]["confint"]).reshape(ours.shape)
    np.testing.assert_allclose(ours / errors, theirs / errors, rtol=0, atol=2e-3)


@pytest.mark.parametrize("name", ["cbind", "sqrt", "Gamma log", "normal", "quasi"])
def test_the_deviance_at_the_ends_of_a_profile_is_what_the_level_says(name):
    m = model(name)
    formula, family, more = MODELS[name]
    for end in m.confint(parm="x").loc["x"]:
        d = _data()
        d["fixed"] = end * d["x"]
        others = m.model_matrix().drop(columns="x")
        start = np.linalg.lstsq(others, m.predict() - d["fixed"], rcond=None)[0].tolist()
        less = lb.glm(f"{formula} - x + offset(fixed)", d, family, **more, start=start)
        change = (less.deviance() - m.deviance()) / m.sigma() ** 2
        assert change == pytest.approx(1.959963984540054**2, rel=1e-6)


@of_r
def test_models_are_compared_as_r_does(answers):
    d, asked = _data(), answers["compared"]
    m = lb.glm("cbind(hits, size - hits) ~ x", d, "binomial")
    larger, largest = m.update(". ~ . + a"), m.update(". ~ a * x")
    assert str(m.anova(larger, largest, test="Chisq")).split("\n") == asked["models"]["text"]
    assert str(larger.anova(m, test="F")).split("\n") == asked["F"]["text"]
    g = lb.glmer("cbind(hits, size - hits) ~ x + (1 | a)", d, "binomial", engine="lme4")
    m0 = m.update(". ~ 1")
    ours = g.anova(m, m0, model_names=["g", "m", "m0"])
    assert str(ours).split("\n") == asked["mixed"]["text"]
    np.testing.assert_allclose(g.hatvalues(), numbers(asked["hat"]), rtol=1e-3)


def test_separation_is_said_in_words():
    d = pd.DataFrame({"x": [1, 2, 3, 4, 5, 6.0], "y": [0, 0, 0, 1, 1, 1], "n": [0, 0, 0, 2, 5, 9]})
    with pytest.warns(FitWarning, match="complete separation: .* along -1 .Intercept., .* x"):
        m = lb.glm("y ~ x", d, "binomial")
    assert not m.converged
    with pytest.warns(FitWarning, match="quasi-complete separation"):
        lb.glm("n ~ I(x > 3)", d, "poisson")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert lb.glm("n ~ x", d, "poisson").converged


def test_simulated_responses_have_the_moments_of_the_fit():
    m = model("Gamma log")
    drawn = m.simulate(2000, seed=3)
    spread = m.fitted() * m.sigma()
    assert (np.abs(drawn.mean(axis=1) - m.fitted()) < 5 * spread / 2000**0.5).all()
    np.testing.assert_allclose(drawn.std(axis=1), spread, rtol=0.15)
    assert m.simulate(1, seed=3).equals(m.simulate(1, seed=3))


def test_what_is_refused():
    m = model("cbind")
    with pytest.raises(UnsupportedModelError, match="no prediction interval"):
        m.predict(interval="prediction")
    with pytest.raises(UnsupportedModelError, match="quasipoisson has no distribution"):
        model("quasi").simulate()
    with pytest.raises(DataError, match="compares models by glm"):
        m.anova(lb.lm("hits ~ x", _data()))
    with pytest.raises(DataError, match="another response"):
        m.anova(model("factor"))
    with pytest.raises(ArgumentError, match=r"no argument 'famly'.*family"):
        m.update(famly="poisson")
    with pytest.raises(ArgumentError, match=r"control has no 'epsilom'.*epsilon"):
        m.update(control={"epsilom": 1e-9})
    with pytest.raises(ArgumentError, match="4 values"):
        m.update(start=[1.0])
    with pytest.raises(DataError, match="y values must be 0 <= y <= 1"):
        lb.glm("size ~ x", _data(), "binomial")


def test_a_start_at_the_estimates_ends_at_them():
    m = model("counts")
    again = m.update(start=m.coef().tolist(), control={"epsilon": 1e-12})
    assert again.scored.iterations <= 2
    np.testing.assert_allclose(again.coef(), m.coef(), rtol=1e-6)
    with pytest.warns(FitWarning, match="did not converge"):
        assert not m.update(control={"maxit": 1}).converged


def test_intervals_of_means_are_brought_back_from_the_link():
    m = model("counts")
    eta = m.predict(interval="confidence")
    mu = m.predict(interval="confidence", type="response")
    np.testing.assert_allclose(mu, np.exp(eta), rtol=1e-12)
    tidied = m.tidy(conf_int=True, exponentiate=True)
    np.testing.assert_allclose(tidied["estimate"], np.exp(m.coef()), rtol=1e-14)
    np.testing.assert_allclose(tidied[["conf_low", "conf_high"]], np.exp(m.confint()), rtol=1e-14)
