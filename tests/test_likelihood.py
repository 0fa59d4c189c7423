"""The evaluator against R, against a dense normal density, and against extended precision."""

from itertools import product

import mpmath
import numpy as np
import pandas as pd
import pytest

import lmerbridge as lb
from lmerbridge.crosscheck import golden, load_cases
from lmerbridge.design import build_frame, templates
from lmerbridge.design import row_chunks as row_work
from lmerbridge.engines.scaling import triangular
from lmerbridge.inference import relative_factor, z_matrix
from lmerbridge.likelihood import coupling as storage
from lmerbridge.likelihood import criterion, cross_products, derivatives, evaluate, layout
from lmerbridge.likelihood.crossed_traces import has_crossed_traces

CASES = [c for c in load_cases() if c.error is None]
MODELS = [
    ("y ~ x + (1 | g)", {}),
    ("y ~ x + (x | g)", {}),
    ("y ~ x + (x || g)", {"weights": "w"}),
    ("y ~ x + f + (x + z | g)", {"offset": "z"}),
    ("y ~ x + (1 | g) + (1 | h)", {}),
    ("y ~ x + (x | g) + (z | h)", {"weights": "w", "offset": "x"}),
    ("y ~ x + (x | g) + (1 | g:f)", {}),
    ("y ~ f + (0 + f | h) + (x || g)", {}),
    ("y ~ 0 + (1 | g) + (1 | h) + (1 | f)", {}),
    ("y ~ 1 + (1 | f2/g) + (0 + x | f2)", {}),
    ("y ~ x + (x | top/f2/g) + (1 | h)", {}),
    ("y ~ x + (1 | top/f2/g)", {"weights": "w"}),
]


STORAGES = {
    "as it comes": {},
    "dense": {(storage, "DENSE_SHARE"): 0.0},
    "pairs": {(storage, "DENSE_SHARE"): 1.0},
    "sparse": {
        (storage, "DENSE_SHARE"): 1.0,
        (storage, "MAX_STORED_NUMBERS"): 0,
        (storage, "BAND_NUMBERS"): 50,
    },
    "stages": {(layout, "SMALL_COLUMNS"): 0},
    "few rows at a time": {(row_work, "CHUNK_ROWS"): 7},
}


@pytest.fixture(params=list(STORAGES))
def any_storage(request, monkeypatch):
    """Every way in which the cross-products can be stored and worked on."""
    for (module, name), value in STORAGES[request.param].items():
        monkeypatch.setattr(module, name, value)


def data(simulated):
    return simulated.assign(f2=simulated.g // 4, top=simulated.g // 8)


def theta_of(frame, seed=0, singular=False):
    rng = np.random.default_rng(seed)
    theta = []
    for block in frame.random:
        k = len(block.names)
        T = np.tril(rng.normal(scale=0.5, size=(k, k)))
        T[np.diag_indices(k)] = 0.0 if singular is True else rng.uniform(0.3, 1.5, k)
        if singular == "correlations":
            T[k - 1, k - 1] = 0.0
        theta.append(T.T[np.triu_indices(k)])
    return np.concatenate(theta)


class Dense:
    """The model by its normal density, with matrices of n by n."""

    def __init__(self, frame, theta, REML):
        w = np.ones(frame.nobs) if frame.weights is None else frame.weights
        y = frame.y if frame.offset is None else frame.y - frame.offset
        X, Z = frame.X, z_matrix(frame).toarray()
        L = relative_factor(theta, frame).toarray()
        n, p = X.shape
        V = np.diag(1 / w) + Z @ L @ L.T @ Z.T
        inverse = np.linalg.inv(V)
        A = X.T @ inverse @ X
        self.beta = np.linalg.solve(A, X.T @ inverse @ y) if p else np.empty(0)
        r = y - X @ self.beta
        self.sigma = np.sqrt(r @ inverse @ r / (n - p if REML else n))
        self.vcov = self.sigma**2 * np.linalg.inv(A)
        self.criterion = np.linalg.slogdet(2 * np.pi * self.sigma**2 * V)[1]
        self.criterion += r @ inverse @ r / self.sigma**2
        if REML:
            self.criterion += np.linalg.slogdet(A / self.sigma**2)[1] - p * np.log(2 * np.pi)
        D = L @ L.T
        self.modes = D @ Z.T @ inverse @ r
        self.spread = self.sigma**2 * np.diag(D - D @ Z.T @ inverse @ Z @ D)


@pytest.mark.parametrize(("formula", "arguments"), MODELS)
def test_everything_is_that_of_the_normal_density(simulated, formula, arguments, any_storage):
    frame = build_frame(formula, data(simulated), **arguments)
    products = cross_products(frame)
    for singular, REML in product([False, True], [True, False]):
        if frame.X.shape[1] or not REML:
            is_that_of_the_normal_density(frame, products, theta_of(frame, singular=singular), REML)


def is_that_of_the_normal_density(frame, products, theta, REML):
    dense = Dense(frame, theta, REML)
    found = evaluate(products, theta, REML)
    assert found.criterion == pytest.approx(dense.criterion, rel=1e-10)
    assert criterion(products, theta, REML) == pytest.approx(found.criterion, rel=1e-13)
    assert derivatives(products, theta, REML).criterion == pytest.approx(found.criterion, rel=1e-13)
    assert found.sigma == pytest.approx(dense.sigma, rel=1e-10)
    np.testing.assert_allclose(found.beta, dense.beta, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(found.vcov, dense.vcov, rtol=1e-8)
    modes = np.concatenate([m.ravel() for m in found.modes])
    np.testing.assert_allclose(modes, dense.modes, atol=1e-9)
    spread = np.concatenate([np.diagonal(v, axis1=1, axis2=2).ravel() for v in found.variances])
    np.testing.assert_allclose(spread, dense.spread, atol=1e-9)


@pytest.mark.parametrize(("formula", "arguments"), MODELS)
def test_the_gradient_is_that_of_differences(simulated, formula, arguments, any_storage):
    frame = build_frame(formula, data(simulated), **arguments)
    products = cross_products(frame)
    for singular, REML in product([False, True, "correlations"], [True, False]):
        if REML and not frame.X.shape[1]:
            continue
        theta = theta_of(frame, seed=1, singular=singular)
        slope = derivatives(products, theta, REML).gradient
        step = 1e-5 * np.eye(len(theta))
        numeric = [
            (criterion(products, theta + s, REML) - criterion(products, theta - s, REML)) / 2e-5
            for s in step
        ]
        where = f"{singular} {REML}"
        np.testing.assert_allclose(slope, numeric, rtol=1e-6, atol=1e-5, err_msg=where)


CROSSED = [
    ("y ~ x + (1 | g) + (1 | h)", {}),
    ("y ~ x + f + (0 + x | g) + (1 | h)", {"weights": "w"}),
    ("y ~ 0 + (1 | f) + (1 | g) + (1 | h)", {}),
]


@pytest.mark.parametrize(("formula", "arguments"), CROSSED)
def test_the_hessian_of_crossed_factors_is_that_of_differences(
    simulated, formula, arguments, any_storage
):
    frame = build_frame(formula, data(simulated), **arguments)
    products = cross_products(frame)
    assert has_crossed_traces(products.layout)
    for size, REML in product([1e-3, 1.0, 5.0], [True, False]):
        if REML and not frame.X.shape[1]:
            continue
        theta = size * theta_of(frame, seed=4)
        found = derivatives(products, theta, REML).hessian
        for i, step in enumerate(np.diag(1e-5 * theta)):
            ahead, behind = (derivatives(products, theta + s, REML).gradient for s in (step, -step))
            numeric = (ahead - behind) / (2 * step[i])
            noise = 1e-8 * np.abs(found).max()
            np.testing.assert_allclose(found[i], numeric, rtol=1e-6, atol=noise, err_msg=f"{size}")


@pytest.mark.parametrize(
    "formula", ["y ~ (1 | g)", "y ~ (x | g) + (1 | h)", "y ~ cs(x | g) + (1|h)"]
)
def test_other_models_have_no_such_hessian(simulated, formula):
    assert not has_crossed_traces(cross_products(build_frame(formula, simulated)).layout)


@pytest.mark.parametrize("REML", [True, False])
@pytest.mark.parametrize(("formula", "arguments"), MODELS)
def test_average_information_is_that_of_dense_matrices(simulated, formula, arguments, REML):
    frame = build_frame(formula, data(simulated), **arguments)
    REML = REML and frame.X.shape[1] > 0
    theta = theta_of(frame, seed=3)
    w = np.ones(frame.nobs) if frame.weights is None else frame.weights
    y = frame.y if frame.offset is None else frame.y - frame.offset
    X, Z = frame.X, z_matrix(frame).toarray()
    L = relative_factor(theta, frame).toarray()
    inverse = np.linalg.inv(np.diag(1 / w) + Z @ L @ L.T @ Z.T)
    P = inverse
    if X.shape[1]:
        P = P - inverse @ X @ np.linalg.solve(X.T @ inverse @ X, X.T @ inverse)
    Py, freedom = P @ y, frame.nobs - (X.shape[1] if REML else 0)
    columns = []
    for step in np.eye(len(theta)):
        dL = relative_factor(theta + step, frame).toarray() - L
        columns.append(Z @ (dL @ L.T + L @ dL.T) @ Z.T @ Py)
    h, rss = np.column_stack(columns), y @ Py
    expected = freedom / rss * (h.T @ P @ h - np.outer(h.T @ Py, h.T @ Py) / rss)
    found = derivatives(cross_products(frame), theta, REML).information
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize(("size", "error"), [(1, 1e-8), (10, 1e-7)])
def test_no_digits_are_lost_far_from_the_origin(size, error):
    """Predictors around 100, at a theta far from the optimum: found by comparing with lme4, which
    had it right where the inverse of M was used to solve. Against 40 digits."""
    rng = np.random.default_rng(11)
    g, h = rng.integers(0, 20, 60), rng.integers(0, 4, 60)
    x, y = 100 + rng.normal(size=60), rng.normal(size=60)
    frame = build_frame("y ~ x + (1 | g) + (x | h)", pd.DataFrame({"g": g, "h": h, "x": x, "y": y}))
    theta = np.array([0.8, 1.06 * size, -0.0272 * size, 0.533 * size])
    found = evaluate(cross_products(frame), theta, True)
    with mpmath.workdps(40):
        exact = exact_criterion(frame, [mpmath.mpf(float(t)) for t in theta], True)
    assert found.criterion == pytest.approx(float(exact), abs=error)


def pivots(matrix):
    """Of Gaussian elimination in the order of a symmetric matrix."""
    matrix, found = matrix.copy(), []
    for j in range(len(matrix)):
        found.append(matrix[j, j])
        column = matrix[j + 1 :, j]
        matrix[j + 1 :, j + 1 :] -= np.outer(column, column / found[j])
    return found


def exact_criterion(frame, theta, REML):
    """The dense criterion in 50 digits."""
    exact = np.vectorize(mpmath.mpf, otypes=[object])
    Z = exact(z_matrix(frame).toarray())
    L = exact(np.zeros((Z.shape[1], Z.shape[1])))
    at = start = 0
    for block in frame.random:
        k = len(block.names)
        for _ in block.levels:
            i = at
            for column in range(k):
                for row in range(column, k):
                    L[start + row, start + column] = theta[i]
                    i += 1
            start += k
        at += k * (k + 1) // 2
    n, p = frame.X.shape
    # after V itself its Schur complement is left, -[X y]'V^-1 [X y]
    right = exact(np.column_stack([frame.X, frame.y]))
    V = (Z @ L) @ (Z @ L).T + exact(np.eye(n))
    found = pivots(np.block([[V, right], [right.T, exact(np.zeros((p + 1, p + 1)))]]))
    freedom, rss = n - p if REML else n, -found[-1]
    value = freedom * (1 + mpmath.log(2 * mpmath.pi * rss / freedom))
    value += mpmath.fsum(mpmath.log(pivot) for pivot in found[:n])
    return value + (mpmath.fsum(mpmath.log(-a) for a in found[n:-1]) if REML else 0)


@pytest.mark.parametrize("REML", [True, False])
@pytest.mark.parametrize("formula", ["y ~ x + (x | g)", "y ~ x + (1 | g) + (1 | f)"])
def test_criterion_and_gradient_in_extended_precision(simulated, formula, REML):
    frame = build_frame(formula, simulated[:32])
    theta = theta_of(frame, seed=2)
    found = derivatives(cross_products(frame), theta, REML)
    value, slope = found.criterion, found.gradient
    with mpmath.workdps(50):
        exact = [mpmath.mpf(float(t)) for t in theta]
        assert value == pytest.approx(float(exact_criterion(frame, exact, REML)), rel=1e-13)
        step = mpmath.mpf(10) ** -18
        for i in range(len(theta)):
            ahead = [t + (step if j == i else 0) for j, t in enumerate(exact)]
            behind = [t - (step if j == i else 0) for j, t in enumerate(exact)]
            numeric = (
                exact_criterion(frame, ahead, REML) - exact_criterion(frame, behind, REML)
            ) / (2 * step)
            assert slope[i] == pytest.approx(float(numeric), rel=1e-10, abs=1e-11)


@pytest.mark.parametrize("case", CASES, ids=[c.name for c in CASES])
def test_at_r_s_theta_it_says_what_r_says(case):
    if not lb.datasets.is_local(case.data):
        pytest.skip(f"{case.data} is not on this machine")
    frame = build_frame(case.formula, lb.datasets.load(case.data))
    for which in ("default", "polished"):
        r = golden(case)[which]
        found = evaluate(cross_products(frame), np.atleast_1d(r["theta"]).astype(float), case.REML)
        assert found.criterion == pytest.approx(r["criterion"], abs=1e-9)
        errors = np.atleast_1d(r["std_error"])
        np.testing.assert_allclose(found.beta, np.atleast_1d(r["beta"]), atol=1e-9 * errors.min())
        np.testing.assert_allclose(np.sqrt(np.diag(found.vcov)), errors, rtol=1e-10)
        assert found.sigma == pytest.approx(r["sigma"], rel=1e-12)


@pytest.mark.parametrize("REML", [True, False])
def test_scaled_columns_give_the_same_criterion(simulated, REML):
    """b = M b_s: theta of the scaled columns is that of Lambda_s with Lambda Lambda' = M Lambda_s
    Lambda_s' M'."""
    moved = simulated.assign(x=1e6 + simulated.x, z=1e-3 * simulated.z)
    frame = build_frame("y ~ x + (x | g) + (z | h)", moved)
    products = cross_products(frame)
    for M, block in zip(products.maps, frame.random, strict=True):
        scaled = block.columns @ M
        np.testing.assert_allclose(np.mean(scaled**2, axis=0), 1, rtol=1e-9)
    scaled = theta_of(frame, seed=4)
    theta = np.concatenate(
        [
            triangular(m @ t).T[np.triu_indices(2)]
            for m, t in zip(products.maps, templates(scaled, [2, 2]), strict=True)
        ]
    )
    found = criterion(products.in_own_units(), scaled, REML)
    assert found == pytest.approx(criterion(products, theta, REML), rel=1e-9)
    assert found != pytest.approx(criterion(products, scaled, REML), rel=1e-6)


def test_the_cost_of_an_evaluation_does_not_depend_on_rows(simulated):
    small, large = simulated, simulated.loc[np.repeat(simulated.index, 50)]
    a, b = (cross_products(build_frame("y ~ x + (x | g) + (1 | h)", d)) for d in (small, large))
    for name in ("ZZ1", "Zr1", "Zr2", "R"):
        assert getattr(a, name).shape == getattr(b, name).shape
    assert a.ZZ12.nnz == b.ZZ12.nnz


def test_no_digits_left_is_infinite_not_wrong(simulated):
    products = cross_products(build_frame("y ~ x + (1 | g)", simulated))
    assert criterion(products, np.array([np.nan]), True) == np.inf
    assert evaluate(products, np.array([np.nan]), True) is None


def test_the_layout_is_of_the_random_terms_alone(simulated):
    d = data(simulated)
    frame = lb.lmer("y ~ x + (x | g) + (1 | h)", d, engine="native").frame
    places = cross_products(frame).layout
    rng = np.random.default_rng(3)
    other = frame.with_response(rng.normal(size=frame.nobs)).with_weights(
        rng.uniform(0.5, 2, frame.nobs)
    )
    assert cross_products(other).layout == places
    # numbers on a layout that is known are those of one that is found
    theta = theta_of(frame)
    known, found = cross_products(other, places), cross_products(other)
    assert known.layout is places
    assert criterion(known, theta, True) == criterion(found, theta, True)
