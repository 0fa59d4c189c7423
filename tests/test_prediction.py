"""Prediction and simulation: against lme4 in R, and by identities."""

import numpy as np
import pandas as pd
import pytest

import after
import lmerbridge as lb
from after import at_r

NAMES = list(after.CASES)


def sleep(**columns):
    return pd.DataFrame(columns)


@pytest.mark.parametrize("name", NAMES)
def test_marginal_predictions_are_r_s(name):
    found = at_r(name).predict(re_form="NA").to_numpy()
    np.testing.assert_allclose(found, after.values(name, "fitted_marginal"), rtol=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_predicting_the_data_gives_the_fitted_values(name):
    m = after.fitted(name)
    found = m.predict(after.data_of(name), allow_new_levels=True).to_numpy()
    kept = m.frame.source.kept
    np.testing.assert_allclose(found[kept], m.result.estimates.fitted, rtol=1e-10)


@pytest.mark.parametrize(
    ("question", "ask"),
    [
        (
            "predict_new",
            lambda m: m.predict(
                sleep(Days=[0, 5, np.nan, 20], Subject=["308", "372", "308", "335"])
            ),
        ),
        (
            "predict_new_level",
            lambda m: m.predict(sleep(Days=[0, 5], Subject=["308", "new"]), allow_new_levels=True),
        ),
        (
            "predict_na_group",
            lambda m: m.predict(sleep(Days=[0, 5], Subject=["308", None]), allow_new_levels=True),
        ),
        ("predict_partial", lambda m: m.predict(re_form="~ (1 | Subject)")),
        ("predict_slope", lambda m: m.predict(re_form="~ (0 + Days | Subject)")),
    ],
)
def test_new_rows_are_predicted_as_in_r(question, ask):
    np.testing.assert_allclose(
        ask(at_r("sleep")).to_numpy(), after.values("sleep", question), rtol=1e-9
    )


def test_poly_is_remembered():
    new = sleep(Days=[0.5, 11.0], Subject=["308", "372"])
    found = at_r("sleep-poly").predict(new)
    np.testing.assert_allclose(found, after.values("sleep-poly", "predict_poly"), rtol=1e-9)


def test_nested_levels_are_known_apart():
    new = sleep(batch=["A", "B", "Z"], cask=["a", "c", "a"])
    found = at_r("pastes").predict(new, allow_new_levels=True)
    np.testing.assert_allclose(found, after.values("pastes", "predict_nested"), rtol=1e-9)


@pytest.mark.parametrize("question", ["predict_new_level_error", "predict_na_group_error"])
def test_what_r_refuses_is_refused_with_its_words(question):
    failure = after.answers("sleep")[question]["failure"]
    level = "new" if "new" in question else None
    with pytest.raises(lb.DataError) as caught:
        at_r("sleep").predict(sleep(Days=[0, 5], Subject=["308", level]))
    assert failure.split(" unless")[0] in str(caught.value)


def test_what_the_fit_learned_is_remembered(simulated):
    m = lb.lmer(
        "y ~ scale(x) + poly(z, 2) + f + bs(x, df = 4) + cut(z, c(-9, 0, 9)) + (scale(x) | g)",
        simulated,
        engine="native",
        control=lb.lmerControl(check_rankX="silent.drop.cols"),
    )
    some = simulated.iloc[[3, 77, 12]]
    np.testing.assert_allclose(m.predict(some), m.fitted().iloc[[3, 77, 12]], rtol=1e-9)
    before = {k: dict(v) for k, v in m.frame.design.memory.items()}
    m.predict(some.assign(x=100.0))
    assert {k: dict(v) for k, v in m.frame.design.memory.items()}.keys() == before.keys()


def test_offsets_and_other_frames(simulated):
    import polars as pl

    m = lb.lmer("y ~ x + offset(z) + (1 | g)", simulated, offset="w", engine="native")
    np.testing.assert_allclose(m.predict(pl.from_pandas(simulated)), m.fitted(), rtol=1e-10)
    with pytest.raises(lb.DataError, match="offset 'w'"):
        m.predict(simulated.drop(columns="w"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.drop(columns="x"), "no column 'x'"),
        (lambda d: d.assign(f="zz"), "factor f has new level zz"),
        (lambda d: d.assign(x="many"), "fitted as numbers"),
    ],
)
def test_new_data_that_does_not_fit_is_refused(simulated, change, message):
    m = lb.lmer("y ~ x + f + (1 | g)", simulated, engine="native")
    with pytest.raises(lb.DataError, match=message):
        m.predict(change(simulated))


@pytest.mark.parametrize("re_form", ["~ (1 | h)", "~ (x | g)", 3, "y ~ (1 | g)"])
def test_effects_that_the_model_lacks_are_refused(simulated, re_form):
    m = lb.lmer("y ~ x + (1 | g)", simulated, engine="native")
    with pytest.raises(lb.DataError, match="re_form"):
        m.predict(re_form=re_form)


@pytest.mark.parametrize("nothing", ["NA", "~0", "~ 0", False, float("nan"), pd.NA])
def test_ways_to_say_no_random_effects(simulated, nothing):
    m = lb.lmer("y ~ x + (1 | g)", simulated, engine="native")
    fixed = m.frame.X @ m.fixef().to_numpy()
    np.testing.assert_allclose(m.predict(re_form=nothing), fixed)
    # grouping factors are then not needed
    assert len(m.predict(simulated[["x"]], re_form=nothing)) == len(simulated)


@pytest.mark.parametrize("name", ["sleep", "penicillin", "oats", "weighted"])
def test_standard_errors_against_dense_matrices(name):
    """The errors of prediction by Henderson's equations, written out."""
    m = after.fitted(name)
    X, Z, Lambda = m.getME("X"), m.getME("Z").toarray(), m.getME("Lambda").toarray()
    w = m.getME("weights")
    W = np.diag(w)
    Sigma = Lambda @ Lambda.T
    # conditional covariance of (beta, b) by the inverse of the mixed model equations
    p, q = X.shape[1], Z.shape[1]
    C = np.block([[X.T @ W @ X, X.T @ W @ Z], [Z.T @ W @ X, Z.T @ W @ Z]])
    C[p:, p:] += np.linalg.inv(Sigma + 1e-12 * np.eye(q))
    inverse = np.linalg.inv(C)
    rows = np.hstack([X, Z])
    expected = m.sigma() * np.sqrt(np.einsum("ni,ij,nj->n", rows, inverse, rows))
    table = m.predict(se_fit=True)
    np.testing.assert_allclose(table["se_fit"], expected, rtol=1e-5)
    fixed = m.predict(re_form="NA", se_fit=True)
    V = m.vcov().to_numpy()
    np.testing.assert_allclose(
        fixed["se_fit"], np.sqrt(np.einsum("ni,ij,nj->n", X, V, X)), rtol=1e-8
    )


def test_intervals_widen_as_they_should():
    m = after.fitted("sleep")
    new = sleep(Days=[0.0, 5.0, 20.0], Subject=["308", "372", "new"])
    confidence = m.predict(new, interval="confidence", allow_new_levels=True)
    prediction = m.predict(new, interval="prediction", allow_new_levels=True)
    assert np.all(prediction["upr"] > confidence["upr"])
    half = (confidence["upr"] - confidence["fit"]) / 1.959963984540054
    np.testing.assert_allclose(half, confidence["se_fit"])
    # a new subject adds its effects' own variance
    S = m.result.estimates.random[0].covariance
    z = np.array([1.0, 20.0])
    x = m.vcov().to_numpy()
    np.testing.assert_allclose(confidence["se_fit"].iloc[2] ** 2, z @ S @ z + z @ x @ z, rtol=1e-8)
    with pytest.raises(lb.DataError, match="interval"):
        m.predict(interval="credible")


def test_na_action_exclude_keeps_places(simulated):
    d = simulated.copy()
    d.loc[[4, 9], "x"] = np.nan
    m = lb.lmer("y ~ x + (1 | g)", d, na_action="exclude", engine="native")
    assert len(m.predict()) == len(d)
    assert m.predict().isna().sum() == 2
    assert m.predict(d).isna().sum() == 2


# -- simulation


def test_simulated_moments_are_those_of_the_model():
    m = after.fitted("sleep")
    Y = m.simulate(4000, seed=1).to_numpy()
    V = m.sigma() ** 2 * np.eye(180)
    A = m.getME("Z").toarray() @ m.getME("Lambda").toarray()
    V += m.sigma() ** 2 * A @ A.T
    mean = m.predict(re_form="NA").to_numpy()
    z = (Y.mean(axis=1) - mean) / np.sqrt(np.diag(V) / 4000)
    assert np.abs(z).max() < 5
    S = np.cov(Y[:20])
    error = np.sqrt((V[:20, :20] ** 2 + np.outer(np.diag(V)[:20], np.diag(V)[:20])) / 4000)
    assert (np.abs(S - V[:20, :20]) / error).max() < 5


def test_what_is_conditioned_on_is_not_drawn():
    m = after.fitted("sleep")
    kept = m.simulate(3000, seed=2, re_form=None).to_numpy()
    z = (kept.mean(axis=1) - m.fitted().to_numpy()) / (m.sigma() / np.sqrt(3000))
    assert np.abs(z).max() < 5
    np.testing.assert_allclose(kept.std(axis=1, ddof=1).mean(), m.sigma(), rtol=0.01)
    slopes = m.simulate(2000, seed=3, re_form="~ (0 + Days | Subject)").to_numpy()
    assert slopes[0].std() > 1.2 * m.sigma()  # the intercepts are drawn


def test_seeds_reproduce_and_weights_count():
    m = after.fitted("weighted")
    one, two = (m.simulate(2, seed=7) for _ in range(2))
    pd.testing.assert_frame_equal(one, two)
    assert not m.simulate(1, seed=8).equals(one[["sim_1"]])
    Y = m.simulate(3000, seed=1, re_form=None).to_numpy()
    spread = Y.std(axis=1, ddof=1) * np.sqrt(m.frame.weights) / m.sigma()
    np.testing.assert_allclose(spread, 1, atol=0.08)
    with pytest.raises(lb.DataError, match="weights"):
        m.simulate(newdata=sleep(Days=[1.0], Subject=["308"]))
    with pytest.raises(lb.DataError, match="nsim"):
        m.simulate(0)
    with pytest.raises(lb.DataError, match="seed"):
        m.simulate(1, seed="x")


def test_new_levels_share_their_effects():
    m = after.fitted("sleep-poly")
    new = sleep(Days=[1.0, 1.0, 1.0], Subject=["p", "p", "q"])
    Y = m.simulate(4000, seed=4, newdata=new, allow_new_levels=True).to_numpy()
    r = np.corrcoef(Y)
    assert r[0, 1] == pytest.approx(m.icc().by_group["Subject"], abs=0.04)
    assert abs(r[0, 2]) < 0.06


def test_a_design_without_a_fit():
    """Documents 2 and 3 simulate so: parameters in, and a fit finds them again."""
    d = pd.DataFrame({"clus": np.repeat(np.arange(400), 10)})
    d["x"] = np.random.default_rng(1).normal(size=4000)
    y = lb.simulate_design("y ~ x + (1 | clus)", d, [3, 0.75], [0.5], 1.0, nsim=1, seed=5)
    m = lb.lmer("y ~ x + (1 | clus)", d.assign(y=y["sim_1"]), engine="native")
    z = (m.fixef() - [3, 0.75]) / np.sqrt(np.diag(m.vcov()))
    assert np.abs(z).max() < 4
    assert m.VarCorr()["sdcor"].iloc[0] == pytest.approx(0.5, abs=0.08)
    named = lb.simulate_design(
        "y ~ x + (1 | clus)", d, {"x": 0.75, "(Intercept)": 3}, [0.5], 1.0, seed=5
    )
    pd.testing.assert_frame_equal(named, y)
    for bad, message in [
        (([1], [0.5], 1.0), "beta has 1"),
        (([1, 2], [0.5, 1], 1.0), "theta has 2"),
        (([1, 2], [-0.5], 1.0), "negative"),
        (([1, 2], [0.5], 0.0), "sigma"),
        (({"x": 1}, [0.5], 1.0), "beta"),
    ]:
        with pytest.raises(lb.DataError, match=message):
            lb.simulate_design("y ~ x + (1 | clus)", d, *bad)
