"""The exact likelihood: against integrals in mpmath, and its two methods against each other."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pandas as pd
import pytest
from scipy import special

import lmerbridge as lb
from glmm_mpmath import Model, problem_of
from lmerbridge.errors import ArgumentError, FitFailedError, UnsupportedModelError
from lmerbridge.likelihood.exact import exact_at, exact_criterion
from lmerbridge.likelihood.importance import pareto_shapes
from lmerbridge.likelihood.quadrature import quadrature
from lmerbridge.solve.exact_estimates import exact_estimates
from lmerbridge.solve.sampled_estimates import sampled_estimates

PLAIN, SLOPE = "y ~ x + (1 | g)", "y ~ x + (x | g)"


def data_of(family, levels=3, rows=4, seed=11):
    rng = np.random.default_rng(seed)
    n = levels * rows
    d = pd.DataFrame({"g": np.repeat([f"g{i}" for i in range(levels)], rows)})
    d["x"], d["w"] = rng.normal(size=n), rng.normal(size=n)
    if family.startswith("binomial"):
        d["size"] = rng.integers(1, 5, n).astype(float)
        chance = 0.1 if family == "binomial(log)" else 0.4
        d["y"] = rng.binomial(d["size"].astype(int), chance) / d["size"]
    else:
        d["size"] = 1.0
        d["y"] = rng.poisson(40 if "identity" in family or "sqrt" in family else 3, n).astype(float)
    return d


def model_of(family, formula, **shape):
    d = data_of(family, **shape)
    weights = d["size"] if family.startswith("binomial") else None
    return problem_of(formula, d, family, weights=weights)


def integral(model, theta, beta, step, reach):
    with mp.workdps(25):
        values = [mp.mpf(float(v)) for v in theta], [mp.mpf(float(v)) for v in beta]
        return float(model.integral(*values, mp.mpf(step), reach))


def coin_tosses(levels, rows, sd, seed=4):
    """Binary rows in groups."""
    rng = np.random.default_rng(seed)
    g, x = np.repeat(np.arange(levels), rows), rng.normal(size=levels * rows)
    eta = -0.5 + 0.8 * x + sd * rng.normal(size=levels)[g]
    y = rng.binomial(1, 1 / (1 + np.exp(-eta))).astype(float)
    return pd.DataFrame({"y": y, "x": x, "g": [f"g{i}" for i in g]})


# -- quadrature


@pytest.mark.parametrize(
    ("family", "theta"),
    [
        ("binomial", 0.8),
        ("binomial", 3.0),
        ("binomial(probit)", 0.8),
        ("binomial(cloglog)", 0.8),
        ("binomial(cauchit)", 0.4),
        ("poisson", 0.8),
        ("poisson(identity)", 0.8),
        ("poisson(sqrt)", 0.4),
        ("negative.binomial(theta = 2)", 0.8),
    ],
)
def test_the_quadrature_is_the_integral(family, theta):
    frame, problem = model_of(family, PLAIN)
    beta = problem.start()
    found = exact_criterion(problem, np.array([theta]), beta)
    expected = integral(Model(frame, problem), [theta], beta, 0.1, 11)
    assert found.method == "quadrature"
    assert found.error < 1e-8
    # the change from the order before bounds the error of the last; 1e-10 where it converges fast
    assert found.value == pytest.approx(expected, rel=0, abs=max(1e-10, found.error))


def test_the_edge_of_a_link_s_range_is_told_by_the_error():
    """The log of a probability: beyond eta = 0 there is none, and the integrand has a jump."""
    frame, problem = model_of("binomial(log)", PLAIN)
    beta = problem.start()
    for theta, limit in ((0.3, 1e-6), (1.0, 1e-1)):
        found = exact_criterion(problem, np.array([theta]), beta)
        expected = _to_the_edge(Model(frame, problem), theta, beta)
        assert abs(found.value - expected) < max(1e-10, 5 * found.error)
        assert found.error < limit


def _to_the_edge(model, theta, beta):
    """The integral up to where a row's eta becomes 0, by mpmath's own quadrature."""
    with mp.workdps(20):
        A = model.columns([mp.mpf(theta)])
        fixed = model.Q * mp.matrix([mp.mpf(float(b)) for b in beta])
        total = mp.mpf(0)
        for level in range(A.cols):
            rows = [i for i in range(model.n) if model.blocks[0].codes[i] == level]
            edge = min(-fixed[i] / A[i, level] for i in rows)

            def integrand(u, rows=rows, level=level):
                logs = [model.density(i, fixed[i] + A[i, level] * u) for i in rows]
                return mp.exp(mp.fsum(logs)) * mp.npdf(u)

            total += mp.log(mp.quad(integrand, [-12, -6, -3, 0, edge]))
        return float(-2 * total)


def test_two_effects_a_level():
    frame, problem = model_of("binomial", SLOPE, levels=2, rows=3)
    theta, beta = np.array([0.5, 0.2, 0.4]), problem.start()
    expected = integral(Model(frame, problem), theta, beta, 0.4, 8)
    found = exact_criterion(problem, theta, beta)
    assert found.value == pytest.approx(expected, rel=0, abs=1e-8)


def test_three_effects_a_level_agree_with_adaptive_quadrature():
    """Of the engine, which has other nodes at another place."""
    _, problem = model_of("poisson", "y ~ x + (x + w | g)")
    theta = np.array([0.5, 0.2, -0.1, 0.4, 0.1, 0.3])
    point = problem.at(theta, problem.start())
    found = exact_criterion(problem, theta, point.beta)
    assert found.error < 1e-8
    assert found.value == pytest.approx(quadrature(point, 21).criterion, rel=0, abs=1e-7)


def test_no_variance_leaves_the_ordinary_likelihood():
    _, problem = model_of("poisson", PLAIN)
    beta = problem.start()
    eta = problem.Q @ beta
    y = problem.y
    logs = [float(v * e - mp.exp(e) - mp.loggamma(v + 1)) for v, e in zip(y, eta, strict=True)]
    found = exact_criterion(problem, np.array([0.0]), beta)
    assert found.value == pytest.approx(-2 * sum(logs), rel=1e-13)
    sampled = exact_criterion(problem, np.array([0.0]), beta, sampling=True)
    assert sampled.value == pytest.approx(-2 * sum(logs), abs=4 * sampled.error + 1e-10)


# -- sampling


@pytest.mark.parametrize(
    ("family", "formula", "theta"),
    [
        ("binomial", PLAIN, [0.8]),
        ("binomial", PLAIN, [2.5]),
        ("binomial(cloglog)", SLOPE, [0.5, 0.2, 0.4]),
        ("poisson", "y ~ x + (x + w | g)", [0.5, 0.2, -0.1, 0.4, 0.1, 0.3]),
        ("negative.binomial(theta = 2)", SLOPE, [0.8, 0.2, 0.5]),
    ],
)
def test_sampling_agrees_with_quadrature(family, formula, theta):
    _, problem = model_of(family, formula, levels=12)
    theta, beta = np.array(theta), problem.start()
    exact = exact_criterion(problem, theta, beta)
    found = exact_criterion(problem, theta, beta, sampling=True, draws=10_000, seed=1)
    assert found.method == "importance sampling"
    assert found.tail < 0.7
    assert 0 < found.error < 0.05
    assert abs(found.value - exact.value) < 4 * found.error + exact.error
    assert 0.5 * found.nodes < found.effective <= found.nodes


def test_the_standard_error_of_sampling_is_the_spread_of_repetitions():
    _, problem = model_of("binomial", SLOPE, levels=6)
    theta, beta = np.array([1.5, 0.2, 1.0]), problem.start()
    exact = exact_criterion(problem, theta, beta).value
    found = [
        exact_criterion(problem, theta, beta, sampling=True, draws=1000, seed=k) for k in range(200)
    ]
    z = np.array([(f.value - exact) / f.error for f in found])
    assert abs(z.mean()) < 4 / np.sqrt(len(z))
    assert 0.85 < z.std() < 1.2
    again = exact_criterion(problem, theta, beta, sampling=True, draws=1000, seed=3)
    assert again.value == found[3].value


def test_crossed_factors():
    """Two by two levels: the integral over all four effects, in a product rule of its own."""
    rng = np.random.default_rng(8)
    d = pd.DataFrame({"g": list("aabb") * 4, "h": list("pqpq") * 4})
    d["y"] = rng.binomial(1, 0.5, 16).astype(float)
    _, problem = problem_of("y ~ 1 + (1 | g) + (1 | h)", d, "binomial")
    theta, beta = np.array([1.2, 0.8]), np.array([0.6])
    found = exact_criterion(problem, theta, beta, draws=40_000)
    assert found.method == "importance sampling"
    z, w = np.polynomial.hermite_e.hermegauss(40)
    w = w / w.sum()
    a, b, c, e = np.meshgrid(z, z, z, z, indexing="ij")
    # the mean over all nodes of the product of the rows' probabilities
    logs = np.zeros_like(a)
    fixed = float(problem.Q[0, 0]) * 0.6
    for g, first in (("a", a), ("b", b)):
        for h, second in (("p", c), ("q", e)):
            y = d.y[(d.g == g) & (d.h == h)]
            eta = fixed + 1.2 * first + 0.8 * second
            logs += y.sum() * eta - len(y) * np.logaddexp(0, eta)
    expected = -2 * np.log(np.einsum("abce,a,b,c,e->", np.exp(logs), w, w, w, w))
    assert abs(found.value - expected) < 4 * found.error
    assert found.error < 0.02


def test_a_nested_factor_falls_into_blocks():
    """Integrals over the inner levels' effects within those over the outer ones'."""
    rng = np.random.default_rng(9)
    d = pd.DataFrame({"g": np.repeat(list("abc"), 8), "k": np.tile(list("ppqqrrss"), 3)})
    d["y"] = rng.poisson(2.0, 24).astype(float)
    theta, beta = np.array([0.5, 0.7]), np.array([0.6])
    _, whole = problem_of("y ~ 1 + (1 | g / k)", d, "poisson")
    found = exact_criterion(whole, theta, whole.R @ beta)
    # by the trapezoidal rule, which converges exponentially (Trefethen & Weideman 2014)
    z = np.arange(-100, 101) * 0.1
    w = 0.1 * np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)
    # eta by node of the outer and of the inner level (each of the inner levels by itself)
    eta = 0.6 + theta[1] * z[:, None] + theta[0] * z
    total = 0.0
    for _, outer in d.groupby("g"):
        inner = np.ones(len(z))
        for _, own in outer.groupby("k"):
            y = own.y.to_numpy()
            logs = y.sum() * eta - len(y) * np.exp(eta) - special.gammaln(y + 1).sum()
            inner *= np.exp(logs) @ w
        total -= 2 * np.log(inner @ w)
    assert found.method == "quadrature"
    assert found.value == pytest.approx(total, rel=0, abs=1e-10)
    sampled = exact_criterion(whole, theta, whole.R @ beta, sampling=True)
    assert abs(sampled.value - total) < 4 * sampled.error
    assert found.error < 0.02


def test_many_effects_that_hang_together():
    """240 effects of crossed factors: of large counts Laplace's approximation is nearly exact."""
    rng = np.random.default_rng(10)
    d = pd.DataFrame({"g": np.repeat(np.arange(120), 10), "h": rng.integers(0, 120, 1200)})
    d["y"] = rng.poisson(1e4, 1200).astype(float)
    _, problem = problem_of("y ~ 1 + (1 | g) + (1 | h)", d.astype({"g": str, "h": str}), "poisson")
    point = problem.at(np.array([0.3, 0.3]), problem.start())
    found = exact_at(point, draws=2000)
    assert found.method == "importance sampling"
    assert 0 < found.error < 0.2
    assert abs(point.criterion - found.value) < 4 * found.error + 0.02
    assert found.effective > 200


def test_pareto_shapes_of_known_tails():
    rng = np.random.default_rng(0)
    for k in (0.2, 0.5, 1.0):
        x = 1 + (rng.uniform(size=(20, 4000)) ** -k - 1) / k
        assert pareto_shapes(x).mean() == pytest.approx(k, abs=0.05)
    assert (pareto_shapes(np.ones((2, 30))) == -np.inf).all()


# -- what is made of it


def test_laplace_is_off_where_binary_rows_are_few():
    d = coin_tosses(60, 4, 2.0)
    _, problem = problem_of(PLAIN, d, "binomial")
    theta, beta = np.array([2.0]), problem.R @ [-0.5, 0.8]
    point = problem.at(theta, beta)
    found = exact_at(point)
    assert found == exact_criterion(problem, theta, beta)
    difference = point.criterion - found.value
    assert difference == pytest.approx(point.criterion - quadrature(point, 100).criterion)
    assert difference > 1
    assert found.error < 1e-7
    small = problem.at(np.array([0.1]), beta)
    assert abs(small.criterion - exact_at(small).value) < 0.01


def test_exact_estimates():
    d = coin_tosses(60, 4, 2.0)
    _, problem = problem_of(PLAIN, d, "binomial")
    found = exact_estimates(problem)
    assert found.settled < 1e-3
    assert found.fit.optimum.certified
    assert found.fit.criterion == pytest.approx(found.criterion.value, abs=1e-3)
    x0 = np.append(found.fit.x, found.fit.point.beta)
    for i in range(3):
        for step in (-0.05, 0.05):
            moved = x0.copy()
            moved[i] += step
            there = exact_criterion(problem, moved[:1], moved[1:]).value
            assert there > found.criterion.value
    # Laplace's estimate of the standard deviation is too small here, and not by little
    assert found.laplace.x[0] < found.fit.x[0]
    assert found.shifts[0] < -0.1
    assert len(found.shifts) == 3


# -- refusals


def test_refusals(monkeypatch):
    _, problem = model_of("poisson", PLAIN)
    beta = problem.start()
    with pytest.raises(ArgumentError, match="even number from 100"):
        exact_criterion(problem, np.array([0.5]), beta, sampling=True, draws=101)
    with pytest.raises(FitFailedError, match="modes"):
        exact_criterion(problem, np.array([np.inf]), beta)
    monkeypatch.setattr("lmerbridge.likelihood.importance.MOST_EFFECTS", 2)
    with pytest.raises(UnsupportedModelError, match="3 random effects"):
        exact_criterion(problem, np.array([0.5]), beta, sampling=True)
    d = data_of("poisson", levels=4)
    d["h"] = np.tile(list("pqrs"), 4)
    _, crossed = problem_of("y ~ x + (1 | g) + (1 | h)", d, "poisson")
    with pytest.raises(UnsupportedModelError, match="one grouping factor"):
        exact_estimates(crossed)


# -- estimates by sampling


def test_sampled_estimates_are_the_exact_ones_within_their_error():
    """The error stated is that of repetitions, and no larger than it need be."""
    _, problem = problem_of(PLAIN, coin_tosses(30, 5, 1.0), "binomial")
    best = exact_estimates(problem)
    exact = np.append(best.fit.x, best.fit.point.beta)
    runs = [sampled_estimates(problem, 1000, seed) for seed in range(16)]
    apart = np.array([np.append(run.x, run.beta) - exact for run in runs])
    errors = np.array([np.sqrt(np.diag(run.sampling)) for run in runs])
    z = apart / errors
    assert np.abs(z).max() < 4.5
    assert (np.abs(z.mean(axis=0)) < 1.0).all()  # of 16: four of its standard errors
    assert (z.std(axis=0) > 0.6).all()
    assert (z.std(axis=0) < 1.5).all()


@pytest.mark.filterwarnings("ignore::lmerbridge.FitWarning")
def test_crossed_factors_have_exact_estimates():
    """Against quadrature of a model of which the second factor has no variance to be found."""
    d = coin_tosses(40, 4, 1.2)
    d["h"] = np.tile(list("pqrs"), 40)
    d["y"] = np.where(d.index % 7 == 0, 1 - d["y"], d["y"])
    crossed = lb.glmer("y ~ x + (1 | g) + (1 | h)", d, "binomial", engine="native")
    told = crossed.approximation(draws=2000, seed=1)
    table = told.estimates
    assert told.method == "importance sampling"
    assert list(table.columns) == ["fitted", "exact", "sampling", "std_error", "shift"]
    assert table.loc["sd_(Intercept)|h", "exact"] == 0.0
    alone = lb.glmer("y ~ x + (1 | g)", d, "binomial", engine="native").approximation().estimates
    rows = ["(Intercept)", "x", "sd_(Intercept)|g"]
    apart = (table.loc[rows, "exact"] - alone.loc[rows, "exact"]).abs()
    assert (apart < 4 * table.loc[rows, "sampling"]).all()
    assert table["std_error"].iloc[:2].to_numpy() == pytest.approx(
        alone["std_error"].iloc[:2].to_numpy(), rel=0.05
    )
