"""Adaptive Gauss-Hermite quadrature over nested factors, and with an estimated parameter of the
distribution: against integrals in mpmath, differences, and lme4.
"""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pandas as pd
import pytest

import lmerbridge as lb
from glmm_mpmath import Model, differences, problem_of
from lmerbridge.errors import UnsupportedModelError
from lmerbridge.likelihood.criteria import Estimated
from lmerbridge.likelihood.exact import exact_criterion
from lmerbridge.likelihood.quadrature import quadrature
from r_here import lme4_version

NESTED = "y ~ x + (1 | g / k)"
SHAPES = {
    NESTED: [0.6, 0.4],
    "y ~ x + (1 | g:k) + (x | g)": [0.6, 0.5, 0.2, 0.4],
    "y ~ x + (x | g:k) + (1 | g)": [0.5, 0.2, 0.4, 0.6],
    "y ~ x + (1 | g / k / j)": [0.4, 0.5, 0.6],
}


def data_of(family, outer=2, inner=2, rows=2, seed=5):
    """Two levels in each but the last outer one, which has one."""
    rng = np.random.default_rng(seed)
    d = pd.DataFrame(
        [(f"g{a}", f"k{b}", f"j{c}") for a in range(outer) for b in range(inner) for c in range(2)],
        columns=["g", "k", "j"],
    )
    d = d[(d["g"] != f"g{outer - 1}") | (d["k"] == "k0")]
    d = pd.concat([d] * rows, ignore_index=True)
    n = len(d)
    d["x"], d["size"] = rng.normal(size=n), 1.0
    if family.startswith("binomial"):
        d["size"] = rng.integers(1, 5, n).astype(float)
        d["y"] = rng.binomial(d["size"].astype(int), 0.4) / d["size"]
    elif family.startswith(("Gamma", "gaussian", "inverse")):
        d["y"] = np.exp(0.3 * d["x"]) * rng.gamma(4, 0.25, n)
    else:
        d["y"] = rng.poisson(3, n).astype(float)
    return d


def model_of(family, formula, observed=False, **shape):
    d = data_of(family, **shape)
    weights = d["size"] if family.startswith("binomial") else None
    return problem_of(formula, d, family, observed, weights=weights)


def integral(model, theta, beta, step="0.3", reach=28):
    """Of an intercept in each of two nested factors, by the trapezoidal rule within that rule."""
    with mp.workdps(20):
        h = mp.mpf(step)
        points = [h * i for i in range(-reach, reach + 1)]
        weights = [h * mp.npdf(z) for z in points]
        A = model.columns([mp.mpf(float(t)) for t in theta])
        fixed = model.Q * mp.matrix([mp.mpf(float(b)) for b in beta])
        inner, outer = model.blocks
        total = mp.mpf(0)
        for g in range(len(outer.levels)):
            rows = [i for i in range(model.n) if outer.codes[i] == g]
            products = [mp.mpf(1)] * len(points)
            for k in sorted({int(inner.codes[i]) for i in rows}):
                own = [i for i in rows if inner.codes[i] == k]
                a = [A[i, k] for i in own]
                b = [A[i, len(inner.levels) + g] for i in own]
                for j, v in enumerate(points):
                    products[j] *= mp.fsum(
                        w
                        * mp.exp(
                            mp.fsum(
                                model.density(i, fixed[i] + p * u + q * v)
                                for i, p, q in zip(own, a, b, strict=True)
                            )
                        )
                        for u, w in zip(points, weights, strict=True)
                    )
            total += mp.log(mp.fsum(w * f for w, f in zip(weights, products, strict=True)))
        return float(-2 * total)


@pytest.mark.parametrize("family", ["binomial(cloglog)", "poisson"])
def test_many_nodes_are_the_integral(family):
    frame, problem = model_of(family, NESTED, rows=1)
    theta, beta = np.array(SHAPES[NESTED]), problem.start()
    expected = integral(Model(frame, problem), theta, beta)
    point = problem.at(theta, beta)
    assert quadrature(point, 40).criterion == pytest.approx(expected, rel=0, abs=1e-10)
    exact = exact_criterion(problem, theta, beta)
    assert exact.method == "quadrature"
    assert exact.error < 1e-8
    assert exact.value == pytest.approx(expected, rel=0, abs=1e-10)


@pytest.mark.parametrize("formula", SHAPES)
def test_one_node_is_the_laplace_approximation(formula):
    _, problem = model_of("binomial(cloglog)", formula, outer=3)
    point = problem.at(np.array(SHAPES[formula]), problem.start())
    one = quadrature(point, 1)
    assert problem.constant - 2 * one.integral.value == pytest.approx(one.criterion, rel=1e-13)


@pytest.mark.parametrize("formula", SHAPES)
def test_nodes_and_the_moments_of_the_integrand_agree(formula):
    """The engine's quadrature around the modes, and the judge's around the means."""
    _, problem = model_of("poisson", formula, outer=3)
    point = problem.at(np.array(SHAPES[formula]), problem.start())
    exact = exact_criterion(problem, np.array(SHAPES[formula]), problem.start())
    nodes = 16 if len(point.problem.R) + len(SHAPES[formula]) > 5 else 24
    assert quadrature(point, nodes).criterion == pytest.approx(exact.value, rel=0, abs=1e-7)


@pytest.mark.parametrize("formula", SHAPES)
@pytest.mark.parametrize("nodes", [2, 3])
def test_the_gradient_is_that_of_the_criterion_computed(formula, nodes):
    for observed in (False, True):
        _, problem = model_of("binomial(probit)", formula, observed, outer=3)
        theta = np.array(SHAPES[formula])
        m, x = len(theta), np.append(theta, 0.9 * problem.start())

        def at(x, problem=problem, m=m):
            return quadrature(problem.at(x[:m], x[m:]), nodes)

        expected = differences(lambda x, at=at: at(x).criterion, x)
        found, scale = at(x).gradient, np.abs(expected).max()
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-7 * scale)


@pytest.mark.parametrize(
    "family", ["Gamma(log)", "inverse.gaussian(log)", "gaussian(log)", "negative.binomial(theta=2)"]
)
def test_the_gradient_by_a_parameter_of_the_distribution(family):
    for observed in (False, True):
        _, problem = model_of(family, NESTED, observed, outer=3)
        criterion, m = Estimated(problem, 3), 2
        x = np.concatenate([SHAPES[NESTED], problem.start(), criterion.first_shape()])

        def at(x, of=criterion, m=m):
            return of.at(x[:m], x[m:-1], x[-1:], None, False)

        expected = differences(lambda x, at=at: at(x).criterion, x)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(at(x).gradient, expected, rtol=0, atol=1e-7 * scale)


# -- as users ask for it


def pupils(family="poisson", seed=3):
    rng = np.random.default_rng(seed)
    school, room = np.repeat(np.arange(16), 12), np.repeat(np.arange(48), 4)
    x = rng.normal(size=192)
    eta = 0.3 + 0.5 * x + 0.8 * rng.normal(size=16)[school] + 0.7 * rng.normal(size=48)[room]
    y = rng.poisson(np.exp(eta)) if family == "poisson" else rng.random(192) < np.exp(eta - 1.5)
    if family == "counts":
        y = rng.poisson(np.exp(eta) * rng.gamma(1.5, 1 / 1.5, 192))
    return pd.DataFrame({"y": y.astype(float), "x": x, "s": school, "r": room}).astype(
        {"s": str, "r": str}
    )


@pytest.fixture(scope="module")
def binary():
    return lb.glmer("y ~ x + (1 | s / r)", pupils("binary"), nAGQ=15, engine="native")


def test_a_fit_of_nested_factors(binary):
    assert binary.result.evidence.converged
    laplace = binary.update(nAGQ=1)
    found, told = binary.approximation(estimates=False), laplace.approximation()
    assert found.method == told.method == "quadrature"
    assert abs(found.difference) < 1e-3
    assert abs(told.difference) > 0.1
    assert told.estimates["exact"][["(Intercept)", "x"]].to_numpy() == pytest.approx(
        binary.fixef().to_numpy(), abs=1e-3
    )
    sampled = exact_criterion(_problem(binary), *_at(binary), sampling=True)
    assert abs(sampled.value + 2 * found.exact) < 4 * sampled.error
    low, high = binary.confint(parm="x").iloc[0]
    assert low < binary.fixef()["x"] < high


def _problem(m):
    from lmerbridge.likelihood.laplace import Problem

    return Problem.of(m.frame, m.family)


def _at(m):
    from lmerbridge.likelihood.search import Coordinates

    problem = _problem(m)
    own = Coordinates(problem.effects.layout).of_users(m.result.estimates.theta)
    return own, problem.R @ m.result.estimates.beta


def test_a_size_by_quadrature():
    """The size given is the same model; and it is where the criterion is least."""
    m = lb.glmer_nb("y ~ x + (1 | s)", pupils("counts"), nAGQ=9, engine="native")
    size = m.getME("glmer.nb.theta")
    for factor in (0.98, 1.0, 1.02):
        family = lb.families.negative_binomial(factor * size)
        given = lb.glmer("y ~ x + (1 | s)", m.fit.call.data, family, nAGQ=9, engine="native")
        if factor == 1.0:
            assert given.logLik() == pytest.approx(m.logLik(), abs=1e-8)
        else:
            assert given.logLik() < m.logLik()
    assert m.approximation().difference == pytest.approx(0, abs=1e-3)
    assert m.confint(parm=".size", size="free").iloc[0, 0] < size


def test_a_dispersion_by_quadrature():
    d = pupils()
    d["y"] = np.exp(0.4 * d["x"]) * np.random.default_rng(4).gamma(3, 1 / 3, len(d))
    m = lb.glmer("y ~ x + (1 | s)", d, "Gamma(log)", nAGQ=9, engine="native", dispersion="ML")
    assert m.approximation(estimates=False).difference == pytest.approx(0, abs=1e-3)
    with pytest.raises(UnsupportedModelError, match="ask for dispersion='ML'"):
        m.update(dispersion="moment")


def test_crossed_factors_are_refused():
    d = pupils().assign(c=lambda t: t.index % 5)
    with pytest.raises(UnsupportedModelError, match="factors nested in each other"):
        lb.glmer("y ~ x + (1 | s) + (1 | c)", d, "poisson", nAGQ=5, engine="native")


@pytest.mark.r
def test_lme4_leaves_it_to_the_native_engine():
    """It has quadrature over one effect a level alone."""
    assert lb.glmer("y ~ x + (1 | s / r)", pupils(), "poisson", nAGQ=3).engine == "native"
    with pytest.raises(UnsupportedModelError, match="a single, scalar random-effects term"):
        lb.glmer("y ~ x + (1 | s / r)", pupils(), "poisson", nAGQ=3, engine="lme4")
    if lme4_version() < (2, 1):  # which finds a size of 0.12 where that of nAGQ = 1 is 1.87
        with pytest.raises(UnsupportedModelError, match="without the constant"):
            lb.glmer_nb("y ~ x + (1 | s)", pupils("counts"), nAGQ=3, engine="lme4")
