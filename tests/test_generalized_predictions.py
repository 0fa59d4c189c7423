"""Standard errors of predictions of generalized models, against dense matrices."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtri

import lmerbridge as lb
from lmerbridge.errors import UnsupportedModelError


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(5)
    d = pd.DataFrame({"g": rng.integers(0, 9, 150), "h": rng.integers(0, 5, 150)})
    d["x"] = rng.normal(size=150)
    eta = 0.4 + 0.5 * d["x"] + rng.normal(size=9)[d["g"]] + 0.5 * rng.normal(size=5)[d["h"]]
    eta += 0.6 * rng.normal(size=9)[d["g"]] * d["x"]
    d["y"] = rng.poisson(np.exp(eta))
    d["won"] = rng.binomial(6, 1 / (1 + np.exp(-eta)))
    return d.astype({"g": str, "h": str})


@pytest.fixture(scope="module")
def m(data):
    return lb.glmer("y ~ x + (x | g) + (1 | h)", data, "poisson", engine="native")


def dense(m, weights):
    """Rows (x, z) of the fit, and the inverse of the mixed model equations."""
    X = m.frame.X
    parts, covariances = [X], [np.zeros((X.shape[1], X.shape[1]))]
    for block, term in zip(m.frame.random, m.result.estimates.random, strict=True):
        k, levels = len(block.names), len(block.levels)
        Z = np.zeros((len(X), levels * k))
        for i in range(k):
            Z[np.arange(len(X)), block.codes * k + i] = block.columns[:, i]
        parts.append(Z)
        covariances.extend([np.linalg.inv(term.covariance)] * levels)
    T = np.hstack(parts)
    whole = np.zeros((T.shape[1],) * 2)
    at = 0
    for C in covariances:
        whole[at : at + len(C), at : at + len(C)] = C
        at += len(C)
    return T, np.linalg.inv(T.T @ (weights[:, None] * T) + whole)


def test_given_the_modes_they_are_of_the_working_model(m):
    mu = m.fitted().to_numpy()
    T, inverse = dense(m, mu)  # V(mu) = mu, and the log link has the slope mu
    wanted = np.sqrt(np.einsum("np,pq,nq->n", T, inverse, T))
    found = m.predict(se_fit=True)
    assert found["fit"].to_numpy() == pytest.approx(np.log(mu), abs=1e-10)
    assert found["se_fit"].to_numpy() == pytest.approx(wanted, rel=1e-7)


def test_trials_count(data):
    m = lb.glmer("cbind(won, 6 - won) ~ x + (1 | g)", data, "binomial", engine="native")
    mu = m.fitted().to_numpy()
    T, inverse = dense(m, 6 * mu * (1 - mu))
    wanted = np.sqrt(np.einsum("np,pq,nq->n", T, inverse, T))
    found = m.predict(se_fit=True, type="response")
    assert found["se_fit"].to_numpy() == pytest.approx(wanted * mu * (1 - mu), rel=1e-7)


def test_without_random_effects_they_are_vcov_s(m):
    new = pd.DataFrame({"x": [-1.0, 0.5]})
    found = m.predict(new, re_form="NA", se_fit=True, interval="confidence", level=0.9)
    X = np.column_stack([np.ones(2), new["x"]])
    error = np.sqrt(np.einsum("np,pq,nq->n", X, m.vcov().to_numpy(), X))
    assert found["se_fit"].to_numpy() == pytest.approx(error, rel=1e-10)
    assert (found["upr"] - found["fit"]).to_numpy() == pytest.approx(ndtri(0.95) * error)
    of_mean = m.predict(new, re_form="NA", type="response", se_fit=True, interval="confidence")
    assert of_mean["se_fit"].to_numpy() == pytest.approx(error * of_mean["fit"].to_numpy())
    assert np.log(of_mean["lwr"]).to_numpy() == pytest.approx(
        np.log(of_mean["fit"]).to_numpy() - ndtri(0.975) * error
    )


def test_a_new_level_adds_its_variance(m):
    new = pd.DataFrame({"x": [0.3], "g": ["new"], "h": ["other"]})
    se = m.predict(new, allow_new_levels=True, se_fit=True)["se_fit"].iloc[0]
    known = pd.DataFrame({"x": [0.3], "g": ["0"], "h": ["0"]})
    assert se > m.predict(known, se_fit=True)["se_fit"].iloc[0]
    own = m.result.estimates.random
    z = np.array([1, 0.3])
    assert se**2 > z @ own[0].covariance @ z + own[1].covariance[0, 0]


def test_no_interval_for_a_new_response(m):
    with pytest.raises(UnsupportedModelError, match="not normal"):
        m.predict(interval="prediction")
