"""Separation: what has no finite estimate is found, and said with its direction."""

import numpy as np
import pandas as pd
import pytest

import lmerbridge as lb
from lmerbridge.errors import FitWarning
from lmerbridge.family.families import binomial, poisson
from lmerbridge.likelihood.separation import separation


def rises(X, y, direction):
    """Whether no row is on the wrong side, and some on the right one: the definition itself."""
    along = X @ direction
    right = (
        np.where(y == 1, along >= -1e-7, True)
        & np.where(y == 0, along <= 1e-7, True)
        & np.where((y > 0) & (y < 1), np.abs(along) < 1e-7, True)
    )
    return bool(right.all() and np.abs(along).max() > 1e-6)


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(4).normal(size=80)


def test_complete(x):
    X = np.column_stack([np.ones(80), x])
    found = separation(X, (x > 0.3).astype(float), None, binomial())
    assert found.complete
    assert rises(X, (x > 0.3).astype(float), found.direction)
    assert "complete separation" in found.describe(["(Intercept)", "x"])


def test_quasi_complete(x):
    level = (x > 1).astype(float)
    y = np.where(level == 1, 1.0, (np.arange(80) % 2).astype(float))
    X = np.column_stack([np.ones(80), level])
    found = separation(X, y, None, binomial("probit"))
    assert not found.complete
    assert rises(X, y, found.direction)
    assert found.direction == pytest.approx([0, 1], abs=1e-8)
    assert "quasi-complete separation" in found.describe(["(Intercept)", "fb"])
    assert "+1 fb" in found.describe(["(Intercept)", "fb"])


def test_none_where_every_side_has_both(x):
    X = np.column_stack([np.ones(80), x])
    y = (np.arange(80) % 3 == 0).astype(float)
    assert separation(X, y, None, binomial()) is None
    assert separation(X, np.where(x > 0, 1.0, 0.5), None, binomial()) is None


def test_proportions_hold_a_row_where_it_is():
    X = np.column_stack([np.ones(4), [0.0, 0, 1, 1]])
    assert separation(X, np.array([0.5, 0.2, 1, 1]), np.full(4, 5.0), binomial()) is not None
    assert separation(X, np.array([0.5, 0.2, 1, 0.9]), np.full(4, 5.0), binomial()) is None
    # a row without trials says nothing
    y, trials = np.array([0.5, 0.2, 1, 0.9]), np.array([5.0, 5, 5, 0])
    assert separation(X, y, trials, binomial()) is not None


def test_counts_of_nothing_but_zeros():
    X = np.column_stack([np.ones(6), [0.0, 0, 0, 1, 1, 1]])
    y = np.array([1.0, 4, 0, 0, 0, 0])
    found = separation(X, y, None, poisson())
    assert found.direction == pytest.approx([0, -1], abs=1e-8)
    assert separation(X, np.array([1.0, 4, 0, 0, 0, 1]), None, poisson()) is None


@pytest.mark.parametrize("seed", range(12))
def test_random_designs_by_definition(seed):
    """A direction that is found is one; where a separating plane was built in, one is found."""
    rng = np.random.default_rng(seed)
    X = np.column_stack([np.ones(30), rng.normal(size=(30, 3)), rng.integers(0, 2, 30)])
    plane = rng.normal(size=5)
    y = (X @ plane > 0).astype(float)
    if 0 < y.sum() < 30:
        assert rises(X, y, separation(X, y, None, binomial()).direction)
    units = np.array([1, 1e4, 1e-4, 1, 1])
    assert separation(X * units, y, None, binomial()) is not None


def test_a_fit_says_it():
    rng = np.random.default_rng(3)
    d = pd.DataFrame({"g": rng.integers(0, 10, 120).astype(str), "x": rng.normal(size=120)})
    d["f"] = np.where(d["x"] > 1, "a", "b")
    d["y"] = np.where(d["f"] == "a", 1, (rng.random(120) < 0.5).astype(int))
    with pytest.warns(FitWarning) as said:
        m = lb.glmer("y ~ f + (1 | g)", d, engine="native")
    assert any("quasi-complete separation" in str(w.message) for w in said)
    assert not m.result.evidence.converged
    assert "separation" in str(m.summary())
    well = lb.glmer("y ~ x + (1 | g)", d.assign(y=(rng.random(120) < 0.5) * 1), engine="native")
    assert well.result.evidence.converged
