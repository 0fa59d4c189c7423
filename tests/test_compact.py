"""The formulae for one grouping factor with few columns against the general ones."""

import numpy as np
import pytest

import lmerbridge as lb
from lmerbridge.design import build_frame
from lmerbridge.likelihood import cross_products, derivatives, evaluate
from lmerbridge.likelihood.compact import compact
from lmerbridge.likelihood.search import Search

MODELS = [
    ("y ~ x + (1 | g)", {}),
    ("y ~ x + (x | g)", {}),
    ("y ~ x + (x || g)", {"weights": "w"}),
    ("y ~ x + f + (0 + z | h)", {"offset": "z"}),
    ("y ~ 0 + (1 | g)", {}),
    ("y ~ 0 + (x | g)", {"weights": "w"}),
    ("y ~ f * z + (0 + x + z | g)", {}),
]


def both(simulated, formula, arguments, own):
    c = cross_products(build_frame(formula, simulated, **arguments))
    c = c.in_own_units() if own else c
    return c, compact(c)


def some_theta(count, seed):
    rng = np.random.default_rng(seed)
    return np.abs(rng.normal(size=count)) + 0.05


@pytest.mark.parametrize(("formula", "arguments"), MODELS)
@pytest.mark.parametrize("REML", [True, False])
@pytest.mark.parametrize("own", [True, False])
def test_value_gradient_and_information_are_those_of_the_general_formulae(
    simulated, formula, arguments, REML, own
):
    c, short = both(simulated, formula, arguments, own)
    for seed in range(3):
        theta = some_theta(len(short.slopes), seed)
        general, here = derivatives(c, theta, REML), short.at(theta, REML)
        assert here.criterion == pytest.approx(general.criterion, rel=1e-12)
        size = np.abs(general.information).max()
        np.testing.assert_allclose(here.gradient, general.gradient, atol=1e-9 * size, rtol=0)
        np.testing.assert_allclose(here.information, general.information, atol=1e-9 * size, rtol=0)


@pytest.mark.parametrize(("formula", "arguments"), MODELS)
@pytest.mark.parametrize("REML", [True, False])
def test_the_hessian_is_the_gradients_derivative(simulated, formula, arguments, REML):
    c, short = both(simulated, formula, arguments, True)
    theta = some_theta(len(short.slopes), 5)
    step = 1e-5
    differences = [
        (derivatives(c, theta + e, REML).gradient - derivatives(c, theta - e, REML).gradient)
        / (2 * step)
        for e in step * np.eye(len(theta))
    ]
    hessian = short.at(theta, REML).hessian
    np.testing.assert_allclose(hessian, differences, atol=1e-7 * np.abs(hessian).max(), rtol=0)


@pytest.mark.parametrize("theta", [[0.0, 0.0, 0.0], [0.0, 0.5, 0.2], [0.8, -0.4, 0.0]])
def test_singular_covariances_are_no_special_case(simulated, theta):
    c, short = both(simulated, "y ~ x + (x | g)", {}, True)
    general, here = derivatives(c, np.array(theta), True), short.at(np.array(theta), True)
    assert here.criterion == pytest.approx(general.criterion, rel=1e-13)
    np.testing.assert_allclose(here.gradient, general.gradient, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("REML", [True, False])
@pytest.mark.parametrize("formula", ["y ~ 1 + (1 | g)", "y ~ t + (t | g)"])
def test_the_start_of_balanced_data_is_the_optimum(formula, REML):
    """Of balanced data with a positive estimate the moments are REML's estimates in closed form
    (Searle, Casella & McCulloch 1992, Variance Components, section 4.2); ML's have the number of
    levels in place of one less.
    """
    rng = np.random.default_rng(3)
    t = np.tile(np.arange(6.0), 12)
    g = np.repeat(np.arange(12), 6)
    y = 3 * rng.normal(size=12)[g] + t * rng.normal(size=12)[g] + rng.normal(size=72)
    data = {"y": y, "t": t, "g": g}
    c = cross_products(build_frame(formula, data))
    search = Search(c)
    start = search.compact.start(REML)
    assert np.abs(search.compact.at(start, REML).gradient).max() < 1e-9
    m = lb.lmer(formula, data, REML=REML, engine="native")
    np.testing.assert_allclose(m.getME("theta"), search.users(start), rtol=1e-9)


@pytest.mark.parametrize(
    "formula",
    ["y ~ x + (1 | g) + (1 | h)", "y ~ x + (x + z | g)", "y ~ x + (x || g) + (0 + z | g)"],
)
def test_other_models_have_the_general_form_alone(simulated, formula):
    assert compact(cross_products(build_frame(formula, simulated))) is None


@pytest.mark.parametrize("size", [1e-4, 1.0, 1e2])
def test_evaluations_keep_their_digits_far_from_the_optimum(simulated, size):
    c, short = both(simulated, "y ~ x + (x | g)", {}, True)
    theta = size * np.array([1.0, 0.3, 0.7])
    assert short.at(theta, True).criterion == pytest.approx(
        evaluate(c, theta, True).criterion, rel=1e-11
    )
