"""Laplace's approximation against its definition, evaluated in mpmath with dense matrices."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pandas as pd
import pytest

from glmm_mpmath import FAMILIES, Model, gradient, problem_of
from lmerbridge.likelihood.criteria import Known
from lmerbridge.solve.generalized import fit_generalized

DIGITS = 40
SHAPES = {
    "slope": "y ~ x + (x | g)",
    "crossed": "y ~ x + (1 | g) + (1 | h)",
    "nested": "y ~ x + (1 | g / k)",
    "offset and weights": "y ~ x + (1 | g)",
}
PLAIN = "y ~ x + (1 | g)"


def data_of(family, seed=3):
    """Sixteen rows whose means are well within the range of the link."""
    rng = np.random.default_rng(seed)
    n = 16
    d = pd.DataFrame(
        {
            "x": rng.normal(size=n),
            "g": np.repeat(["a", "b", "c", "d"], 4),
            "h": np.tile(["p", "q", "r", "s"], 4),
            "k": np.tile(["m", "m", "n", "n"], 4),
            "o": rng.uniform(-0.1, 0.1, n),
        }
    )
    if family.startswith("binomial"):
        d["size"] = rng.integers(3, 9, n).astype(float)
        d["y"] = rng.binomial(d["size"].astype(int), 0.15 if "log)" in family else 0.4) / d["size"]
        if "cloglog" in family:
            d["y"] = rng.binomial(d["size"].astype(int), 0.4) / d["size"]
    else:
        d["size"] = rng.integers(1, 4, n).astype(float)
        d["y"] = rng.poisson(9, n).astype(float)
    return d


def point_of(family, shape, observed=False, joint=False):
    d = data_of(family)
    arguments = {}
    if shape == "offset and weights":
        arguments = {"weights": d["size"], "offset": d["o"]}
    elif family.startswith("binomial"):
        arguments = {"weights": d["size"]}
    frame, problem = problem_of(SHAPES[shape], d, family, observed, **arguments)
    theta = np.array({"slope": [0.3, 0.1, 0.2]}.get(shape, [0.3, 0.25])[: _count(problem)])
    beta = problem.start()
    point = problem.at(theta, beta, joint=joint)
    assert point is not None
    return Model(frame, problem), point, theta


def _count(problem):
    return sum(t.size * (t.size + 1) // 2 for t in problem.layout.terms)


def ordered(point):
    """The modes in the order of the columns of the dense Z: by term, level, column."""
    layout = point.problem.layout
    return np.concatenate([point.u[t.factor][:, t.within].ravel() for t in layout.terms])


def floats(values):
    return [mp.mpf(float(v)) for v in values]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_criterion_is_its_definition(family, shape):
    for observed in (False, True):
        model, point, theta = point_of(family, shape, observed)
        with mp.workdps(30):
            u = floats(ordered(point))
            expected = model.laplace(floats(theta), floats(point.beta), u, observed)
        assert point.criterion == pytest.approx(float(expected), rel=0, abs=1e-10)


@pytest.mark.parametrize(
    ("family", "shape"),
    [(family, list(SHAPES)[i % 4]) for i, family in enumerate(FAMILIES)]
    + [("binomial(probit)", "slope"), ("binomial(cloglog)", "crossed")],
)
@pytest.mark.parametrize("observed", [False, True])
def test_the_gradient_is_that_of_the_definition(family, shape, observed):
    model, point, theta = point_of(family, shape, observed)
    m = len(theta)
    with mp.workdps(DIGITS):
        u = floats(ordered(point))

        def criterion(x):
            return model.laplace(x[:m], x[m:], u, observed)

        expected = gradient(criterion, floats([*theta, *point.beta]))
    scale = np.abs(expected).max()
    np.testing.assert_allclose(point.gradient, expected, rtol=0, atol=1e-8 * scale)


@pytest.mark.parametrize(
    ("family", "shape", "observed"),
    [
        ("binomial", "nested", False),
        ("binomial(cloglog)", "slope", False),
        ("binomial(probit)", "crossed", True),
        ("poisson(sqrt)", "offset and weights", False),
        ("negative.binomial(theta = 2)", "slope", False),
    ],
)
def test_the_gradient_with_fixed_effects_among_the_modes(family, shape, observed):
    model, point, theta = point_of(family, shape, observed, joint=True)
    with mp.workdps(DIGITS):
        u, beta = floats(ordered(point)), floats(point.beta)
        expected_value = model.laplace(floats(theta), beta, u, observed, joint=True)

        def criterion(x):
            return model.laplace(x, beta, u, observed, joint=True)

        expected = gradient(criterion, floats(theta))
    assert point.criterion == pytest.approx(float(expected_value), rel=0, abs=1e-10)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(point.gradient, expected, rtol=0, atol=1e-8 * scale)


def test_modes_are_found_where_single_rows_are_not_concave():
    """The cauchit has such rows: scoring alone takes more steps there than are allowed."""
    rng = np.random.default_rng(5)
    n, groups = 2000, 100
    g, x = rng.integers(0, groups, n), rng.normal(size=n)
    eta = -0.5 + 0.8 * x + rng.normal(size=groups)[g] + 0.5 * rng.normal(size=groups)[g] * x
    y = rng.binomial(1, 1 / (1 + np.exp(-eta))).astype(float)
    d = pd.DataFrame({"y": y, "x": x, "g": g.astype(str)})
    _, problem = problem_of("y ~ x + (x | g)", d, "binomial(cauchit)")
    point = problem.at(np.array([1.0, 0.0, 1.0]), problem.start())
    assert point is not None
    assert point.rows.observed.min() < 0
    slope = point.Lambda.back(point.scores)[0] - point.u[0]
    assert np.abs(slope).max() < 1e-10
    assert point.steps < 15


def test_a_model_without_fixed_effects():
    d = data_of("poisson")
    frame, problem = problem_of("y ~ 0 + (1 | g)", d, "poisson")
    theta = np.array([0.7])
    point = problem.at(theta, np.empty(0))
    with mp.workdps(DIGITS):
        model, u = Model(frame, problem), floats(ordered(point))
        expected = gradient(lambda x: model.laplace(x, [0], u), floats(theta))
        assert point.criterion == pytest.approx(
            float(model.laplace(floats(theta), [0], u)), abs=1e-10
        )
    np.testing.assert_allclose(point.gradient, expected, rtol=1e-8)
    fit = fit_generalized(Known(problem))
    assert fit.optimum.certified
    assert fit.hessian.shape == (1, 1)


@pytest.mark.parametrize(
    "family",
    ["poisson(identity)", "negative.binomial(theta = 2, link = identity)", "binomial(identity)"],
)
def test_a_mean_that_the_distribution_lacks_has_no_likelihood(family):
    """Rows of 0 would pull the modes below 0, where they are the likelier the lower they are."""
    d = data_of("poisson")
    d["y"] = [0.0] * (len(d) - 1) + [1.0]
    _, problem = problem_of("y ~ 1 + (1 | g)", d, family)
    eta = np.full(len(d), 0.5)

    def likelihood():
        return problem.family.derivatives(problem.y, eta, problem.weights, 2).value.sum()

    assert np.isfinite(likelihood())
    eta[3] = -0.01
    with np.errstate(all="ignore"):
        assert not np.isfinite(likelihood())
