"""Of the modes that a link can give, the highest."""

import numpy as np
import pandas as pd
import pytest

import lmerbridge as lb
from lmerbridge.likelihood.laplace import Problem

FAMILIES = {
    "poisson(sqrt)": lb.families.poisson("sqrt"),
    "negative.binomial(sqrt)": lb.families.negative_binomial(theta=2, link="sqrt"),
    "binomial(cauchit)": lb.families.binomial("cauchit"),
}


def drawn(name, seed, levels=12, rows=60):
    rng = np.random.default_rng(seed)
    g = rng.integers(0, levels, rows)
    x = rng.normal(size=rows)
    eta = 0.4 + 0.5 * x + rng.normal(size=levels)[g]
    y = {
        "poisson(sqrt)": rng.poisson(eta**2),
        "negative.binomial(sqrt)": rng.negative_binomial(2, 2 / (2 + eta**2)),
        "binomial(cauchit)": (rng.random(rows) < 0.5 + np.arctan(3 * eta) / np.pi) * 1.0,
    }[name]
    return pd.DataFrame({"y": y, "x": x, "g": pd.Categorical(g)})


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", FAMILIES)
def test_no_place_of_a_fine_grid_is_higher(name, seed):
    d = drawn(name, seed)
    family = FAMILIES[name]
    fit = lb.glmer("y ~ x + (1 | g)", d, family, engine="native", nAGQ=0)
    problem = Problem.of(fit.frame, family)
    rng = np.random.default_rng(seed)
    sd = rng.uniform(0.4, 1.6)
    beta = problem.R @ rng.normal([0.3, 0.4], 0.3)
    point = problem.at(np.array([sd]), beta)
    places = np.linspace(-6, 6, 6001)
    codes, fixed = problem.effects.codes[0], problem.linear(beta)
    best = np.full(point.u[0].shape[0], -np.inf)
    with np.errstate(all="ignore"):
        for place in places:
            value = family.value(problem.y, fixed + sd * place, problem.prior)
            height = np.bincount(codes, value, len(best)) - place**2 / 2
            best = np.fmax(best, height)
    # the grid is coarser than the mode is exact
    assert point.penalized >= best.sum() - 1e-12
    assert point.penalized == pytest.approx(best.sum(), abs=1e-2)


def test_where_two_modes_are_as_high_as_each_other_either_will_do():
    """Without fixed effects the square root cannot tell eta from -eta."""
    d = drawn("poisson(sqrt)", 1)
    fit = lb.glmer("y ~ 0 + (1 | g)", d, lb.families.poisson("sqrt"), engine="native")
    mirrored = lb.glmer(
        "y ~ 0 + (1 | g)", d.iloc[::-1], lb.families.poisson("sqrt"), engine="native"
    )
    assert fit.logLik() == pytest.approx(mirrored.logLik(), abs=1e-7)


@pytest.mark.r
def test_lme4_stays_in_lower_modes():
    ticks = lb.datasets.load("grouseticks")
    formula, family = "TICKS ~ YEAR + (1 | LOCATION)", lb.families.poisson("sqrt")
    ours = lb.glmer(formula, ticks, family, engine="native")
    theirs = lb.glmer(formula, ticks, family, engine="lme4")
    assert ours.logLik() > theirs.logLik() + 10
    problem = Problem.of(ours.frame, family)
    beta = problem.R @ theirs.fixef().to_numpy()
    # their own modes at their own estimates are lower than those which the native engine finds
    point = problem.at(np.asarray(theirs.getME("theta")), beta)
    b = theirs.ranef()["condval"].to_numpy()
    u = b / theirs.getME("theta")[0]
    eta = problem.linear(beta) + problem.effects.predictor([b[:, None]])
    value = family.value(problem.y, eta, problem.prior)
    assert point.penalized > value.sum() - 0.5 * u @ u + 1
