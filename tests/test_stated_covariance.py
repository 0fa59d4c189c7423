"""simulate_design() from standard deviations and correlations, as VarCorr() prints them."""

import numpy as np
import pandas as pd
import pytest

import lmerbridge as lb
from lmerbridge.design import build_frame, templates, theta_of
from lmerbridge.inference.stated_covariance import parameters_of_deviations


@pytest.fixture(scope="module")
def d():
    rng = np.random.default_rng(1)
    rows = pd.DataFrame({"g": np.repeat(range(6), 8), "h": np.tile(range(8), 6)})
    return rows.assign(
        x=rng.normal(size=48), z=rng.normal(size=48), y=rng.normal(size=48), f=list("abcd") * 12
    )


def covariances(frame, par, sigma):
    """Of each term sigma^2 L L'."""
    factors = templates(theta_of(frame, par), [len(b.names) for b in frame.random])
    return [sigma**2 * L @ L.T for L in factors]


def test_the_covariance_matrix_is_that_of_what_is_given(d):
    frame = build_frame("y ~ x + (x + z | g) + (1 | h)", d)
    sd, cor = np.array([24.7, 5.9, 2.0]), [0.3, -0.5, 0.1]  # 2 with 1, 3 with 1, 3 with 2
    R = np.array([[1, 0.3, -0.5], [0.3, 1, 0.1], [-0.5, 0.1, 1]])
    # h has more levels, so it is the first, in VarCorr() as well
    for given in (([7.0, *sd], cor), ({"h": 7.0, "g": sd}, {"g": cor})):
        found = covariances(frame, parameters_of_deviations(frame, *given, 25.6), 25.6)
        np.testing.assert_allclose(found[0], [[49.0]], rtol=1e-12)
        np.testing.assert_allclose(found[1], np.outer(sd, sd) * R, rtol=1e-12)


@pytest.mark.parametrize(("sd", "cor"), [([2.0, 3.0], 1.0), ([2.0, 3.0], -1.0), ([0.0, 3.0], 0.4)])
def test_singular_ones_are_covariance_matrices_too(d, sd, cor):
    frame = build_frame("y ~ x + (x | g)", d)
    par = parameters_of_deviations(frame, sd, cor, 0.5)
    assert par[0] >= 0
    assert par[2] >= 0
    expected = np.outer(sd, sd) * np.array([[1, cor], [cor, 1]])
    np.testing.assert_allclose(covariances(frame, par, 0.5)[0], expected, atol=1e-12)


def test_structures_share_what_they_share(d):
    frame = build_frame("y ~ x + cs(0 + f | g) + ar1(0 + f | h)", d)
    par = parameters_of_deviations(frame, {"g": [1, 2, 3, 4], "h": 5.0}, {"g": 0.2, "h": 0.6}, 2.0)
    by_label = dict(zip([b.label for b in frame.random], covariances(frame, par, 2.0), strict=True))
    sd = np.array([1, 2, 3, 4.0])
    np.testing.assert_allclose(
        by_label["g"], np.outer(sd, sd) * (0.2 + 0.8 * np.eye(4)), rtol=1e-12
    )
    lag = np.abs(np.subtract.outer(range(4), range(4)))
    np.testing.assert_allclose(by_label["h"], 25 * 0.6**lag, rtol=1e-12)
    frame = build_frame("y ~ x + diag(x | h)", d)
    par = parameters_of_deviations(frame, [6, 7], None, 2.0)
    np.testing.assert_allclose(covariances(frame, par, 2.0)[0], np.diag([36.0, 49.0]), atol=1e-12)


def test_the_same_responses_as_from_theta(d):
    at = ("y ~ x + (x || g)", d, [1, 2])
    known = lb.simulate_design(*at, [3 / 5, 4 / 5], 5.0, nsim=2, seed=3)
    pd.testing.assert_frame_equal(
        lb.simulate_design(*at, sigma=5.0, sd=[3, 4], nsim=2, seed=3), known
    )
    one = lb.simulate_design("y ~ x + (1 | g)", d, [1, 2], sigma=5.0, sd=3, seed=3)
    pd.testing.assert_frame_equal(
        one, lb.simulate_design("y ~ x + (1 | g)", d, [1, 2], [0.6], 5.0, seed=3)
    )


def test_a_fit_finds_them_again():
    rng = np.random.default_rng(4)
    d = pd.DataFrame({"g": np.repeat(range(2000), 6), "x": rng.normal(size=12_000)})
    y = lb.simulate_design("y ~ x + (x | g)", d, [250, 10], sigma=4.0, sd=[24, 6], cor=0.4, seed=1)
    found = lb.lmer("y ~ x + (x | g)", d.assign(y=y["sim_1"]), engine="native").VarCorr()
    assert found.sdcor.tolist() == pytest.approx([24, 6, 0.4, 4], rel=0.1)


@pytest.mark.parametrize(
    ("formula", "given", "words"),
    [
        ("y ~ x + (x | g)", {"sd": [1]}, r"sd has 1 value; the model has 2 .*\(g: 2\)"),
        ("y ~ x + (x | g)", {"sd": [1, 2], "cor": [0.1, 0.2]}, "cor has 2 values"),
        ("y ~ x + (x | g)", {"sd": {"G": [1, 2]}}, r"no random term 'G' \(did you mean 'g'"),
        ("y ~ x + (1 | g) + (1 | h)", {"sd": {"g": 1}}, "sd lacks the random term 'h'"),
        ("y ~ x + (x | g)", {"sd": {"g": [1]}}, r"sd\['g'\] has 1 value; the term has 2"),
        ("y ~ x + (x | g)", {"sd": [1, -2]}, "must not be negative"),
        ("y ~ x + (x | g)", {"sd": [1, 2], "cor": 1.5}, "within -1 and 1"),
        ("y ~ x + (x | g)", {"sd": [1, float("nan")]}, "finite"),
        ("y ~ x + (x | g)", {"sd": ["a", 2]}, "sd"),
        ("y ~ x + (x + z | g)", {"sd": [1, 1, 1], "cor": [0.9, -0.9, 0.9]}, "no effects have"),
        ("y ~ x + (1 | g)", {}, "need theta, or sd"),
        ("y ~ x + (1 | g)", {"sd": 1, "theta": [1]}, "not both"),
        ("y ~ x + (1 | g)", {"theta": [1], "cor": 0.2}, "not both"),
        ("y ~ x + (1 | g)", {"sd": 1, "sigma": None}, "needs sigma"),
        ("y ~ x + (1 | g)", {"sd": 1, "sigma": 0}, "sigma must be positive"),
    ],
)
def test_what_is_wrong_is_said(d, formula, given, words):
    with pytest.raises(lb.DataError, match=words):
        lb.simulate_design(formula, d, [1, 2], **{"sigma": 1.0, **given})
