"""Standard errors of predictions on several grouping factors, against Henderson's equations."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.sparse.linalg import splu

import lmerbridge as lb
from lmerbridge.inference import z_matrix
from lmerbridge.likelihood import row_products as module


def henderson(m, x, z):
    """Variances of x'beta + z'b by the inverse of the mixed model equations (Henderson 1975)."""
    frame, sigma2 = m.frame, m.sigma() ** 2
    Z = sparse.csc_array(z_matrix(frame))
    G = []
    for term, block in zip(m.result.estimates.random, frame.random, strict=True):
        G += [term.covariance / sigma2] * len(block.levels)
    X = sparse.csc_array(frame.X)
    W = sparse.block_array(
        [[X.T @ X, X.T @ Z], [Z.T @ X, Z.T @ Z + sparse.block_diag([np.linalg.inv(g) for g in G])]],
        format="csc",
    )
    rows = np.concatenate([x, z], axis=1).T
    factors = splu(sparse.csc_matrix(W), permc_spec="MMD_AT_PLUS_A")
    return sigma2 * np.einsum("qn,qn->n", rows, factors.solve(rows))


def rows_of(m, places):
    """x and z of rows of the fit."""
    return m.frame.X[places], np.asarray(z_matrix(m.frame)[places].todense())


@pytest.fixture(scope="module")
def crossed():
    rng = np.random.default_rng(5)
    n = 20_000
    a, b = rng.integers(0, 9_000, n), rng.integers(0, 50, n)
    y = rng.normal(size=9_000)[a] + rng.normal(size=50)[b] + rng.normal(size=n)
    return pd.DataFrame({"y": y, "x": rng.normal(size=n), "a": a, "b": b})


def test_of_more_effects_than_one_dense_matrix_holds(crossed):
    m = lb.lmer("y ~ x + (1 | a) + (1 | b)", crossed, engine="native")
    assert sum(len(b.levels) for b in m.frame.random) > 8000
    places = np.arange(7)
    errors = m.predict(crossed.iloc[places], se_fit=True)["se_fit"].to_numpy()
    assert errors**2 == pytest.approx(henderson(m, *rows_of(m, places)), rel=1e-8)


MODELS = {
    "crossed": "y ~ x + (1 | g) + (1 | h)",
    "slopes": "y ~ x + (x | g) + (0 + x | h)",
    "nested": "y ~ x + (1 | g) + (1 | top)",
    "one": "y ~ x + (x | g)",
}


@pytest.mark.parametrize("formula", MODELS.values(), ids=list(MODELS))
@pytest.mark.parametrize("rows_per_effect", [0, 10**9], ids=["dense", "solved"])
def test_both_ways_are_those_of_the_equations(simulated, formula, rows_per_effect, monkeypatch):
    rng = np.random.default_rng(2)
    d = simulated.assign(top=simulated.g // 4)
    d["y"] = d.y + rng.normal(size=20)[d.g] + rng.normal(size=20)[d.g] * d.x
    d["y"] += 2 * rng.normal(size=8)[d.h] * (1 + d.x) + 4 * rng.normal(size=5)[d.top]
    m = lb.lmer(formula, d, engine="native")
    assert not m.isSingular()
    monkeypatch.setattr(module, "ROWS_PER_EFFECT", rows_per_effect)
    monkeypatch.setattr(module, "BATCH_ROWS", 50)
    errors = m.predict(d, se_fit=True)["se_fit"].to_numpy()
    assert errors**2 == pytest.approx(henderson(m, *rows_of(m, np.arange(len(d)))), rel=1e-8)


@pytest.mark.parametrize("rows_per_effect", [0, 10**9], ids=["dense", "solved"])
def test_an_unknown_level_has_the_whole_variance(simulated, rows_per_effect, monkeypatch):
    monkeypatch.setattr(module, "ROWS_PER_EFFECT", rows_per_effect)
    rng = np.random.default_rng(2)
    d = simulated.assign(y=simulated.y + rng.normal(size=20)[simulated.g])
    m = lb.lmer("y ~ x + (1 | g) + (1 | h)", d, engine="native")
    new = d.head(4).assign(g=[0, 99, 0, 99], h=[0, 0, 99, 99])
    errors = m.predict(new, se_fit=True, allow_new_levels=True)["se_fit"].to_numpy()
    x, z = rows_of(m, np.zeros(4, dtype=int))
    x[:, 1] = new.x
    levels = len(m.frame.random[0].levels)
    by_group = {b.group: s for b, s in zip(m.frame.random, (0, levels), strict=True)}
    z[:] = 0
    z[[0, 2], by_group["g"]] = 1
    z[[0, 1], by_group["h"]] = 1
    variances = m.VarCorr().set_index("grp").vcov
    expected = henderson(m, x, z)
    expected[[1, 3]] += variances["g"]
    expected[[2, 3]] += variances["h"]
    assert errors**2 == pytest.approx(expected, rel=1e-8)
