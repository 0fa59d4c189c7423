"""One search for one response and for many: the two may not part, at hard optima least of all.

The single fits are held to R elsewhere (test_native_engine.py, `make exactness`); here the fits of
many responses are held to them.
"""

import warnings

import numpy as np
import pandas as pd
import pytest

from lmerbridge.design import build_frame
from lmerbridge.engines import FitSpec, load_engine
from lmerbridge.errors import LmerBridgeError
from lmerbridge.likelihood import cross_products
from lmerbridge.solve.constrained import Held, deviance_with
from lmerbridge.solve.many import minimize_many
from lmerbridge.solve.optimum import minimize
from lmerbridge.solve.quasi_newton import QuasiNewton
from lmerbridge.solve.refits import refit_many
from lmerbridge.solve.settings import HELD, Settings

# standard deviations of intercept and slope, and their correlation: none, one of the two, a line,
# tiny, huge
HARD = [
    (0, 0, 0),
    (1, 1, 0.999999),
    (1, 1, -1),
    (0.01, 0.01, 0),
    (0.3, 0, 0),
    (0, 0.3, 0),
    (30, 10, 0.5),
    (0.2, 0.2, 0.9),
    (1e-4, 1, 0.99),
    (30, 1e-3, -0.9),
]
FORMULAS = [
    "y ~ x + (1 | g)",
    "y ~ x + (x | g)",
    "y ~ x + (x || g)",
    "y ~ 1 + (0 + x | g)",
    "y ~ x + (x + z | g)",
    "y ~ x + (f | g)",
    "y ~ 0 + (x | g)",
    "y ~ x + z + (1 | g) + (0 + f || g)",
]


def made(rng):
    """A design of few groups, of one size or of several, and a response of each hard kind."""
    groups, per = int(rng.integers(4, 18)), int(rng.integers(5, 12))
    n = groups * per
    d = pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": rng.normal(size=n),
            "z": rng.normal(size=n),
            "f": np.array(["a", "b", "c"])[rng.integers(0, 3, n)],
            "w": rng.uniform(0.5, 2, n),
            "g": np.repeat([f"g{i:02}" for i in range(groups)], per),
        }
    )
    if rng.random() < 0.5:
        keep = rng.random(n) < 0.7
        keep[::per] = True
        d = d[keep].reset_index(drop=True)
    codes = np.unique(d["g"], return_inverse=True)[1]
    x = d["x"].to_numpy()
    columns = []
    for sd0, sd1, rho in HARD:
        u, v = rng.normal(size=(2, groups))
        slopes = sd1 * (rho * u + np.sqrt(1 - rho**2) * v)
        columns.append(1 + x / 2 + sd0 * u[codes] + slopes[codes] * x + rng.normal(size=len(d)))
    return d, np.array(columns).T


def alone(frame, y, spec):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return load_engine("native").fit(frame.with_response(y), spec)
    except LmerBridgeError:
        return None


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("seed", range(3))
def test_many_hard_responses_are_fitted_as_each_alone(seed, formula):
    """The criterion of each is that of its single fit to 1e-8, and so is what is said of it."""
    rng = np.random.default_rng([seed, FORMULAS.index(formula)])
    d, Y = made(rng)
    frame = build_frame(formula, d, weights="w" if seed == 1 else None)
    REML = seed != 2 and frame.X.shape[1] > 0
    given = None
    if seed == 1:  # as a bootstrap does: from the parameters of one fit
        given = tuple(alone(frame, Y[:, 7], FitSpec(REML)).estimates.parameters)
    found = refit_many(frame, Y, REML, given)
    for i in range(Y.shape[1]):
        one = alone(frame, Y[:, i], FitSpec(REML, given))
        if one is None:
            assert not found.converged[i]
            continue
        value = one.criterion.value
        assert abs(found.criterion[i] - value) <= 1e-8, HARD[i]
        assert found.converged[i] == one.evidence.converged, HARD[i]
        assert found.singular[i] == one.evidence.singular, HARD[i]


# -- functions whose minima are known, with what may meet a search


def valley(x):
    """Rosenbrock's, of which no quadratic is an image."""
    a, b = 1 - x[0], x[1] - x[0] ** 2
    return a**2 + 20 * b**2, np.array([-2 * a - 80 * b * x[0], 40 * b])


def wells(x):
    """Two minima, the lower one at about (1.06, 0)."""
    value = (x[0] ** 2 - 1) ** 2 - 0.5 * x[0] + x[1] ** 2
    return value, np.array([4 * x[0] * (x[0] ** 2 - 1) - 0.5, 2 * x[1]])


def floor(x):
    return x[0] ** 2 + (x[1] - 0.3) ** 2, np.array([2 * x[0], 2 * (x[1] - 0.3)])


def cliff(x):
    """Not defined beyond 1.4; the minimum is at (1.2, -0.5)."""
    if x[0] > 1.4:
        return np.inf, np.zeros(2)
    return np.cosh(x[0] - 1.2) + (x[1] + 0.5) ** 4, np.array(
        [np.sinh(x[0] - 1.2), 4 * (x[1] + 0.5) ** 3]
    )


def metric(x):
    return np.array([[2.0, 0.3], [0.3, 4.0]]) * (1 + x[0] ** 2)


FUNCTIONS = [valley, wells, floor, cliff]
BOUNDED = np.array([True, False])


def visited_by_one(function, s, start):
    points = []

    def value(x):
        points.append(x.copy())
        return function(x)[0]

    found = minimize(value, lambda x: function(x)[1], BOUNDED, s, start, metric)
    return found, points


def visited_by_many(functions, s, starts):
    """Where each is evaluated, step by step."""
    points = [[] for _ in functions]

    def at(which, X, information):
        for i, x in zip(which, X, strict=True):
            points[i].append(x.copy())
        found = [functions[i](x) for i, x in zip(which, X, strict=True)]
        return (
            np.array([value for value, _ in found]),
            np.array([gradient for _, gradient in found]).reshape(-1, 2),
            np.array([metric(x) for x in X]).reshape(-1, 2, 2),
        )

    return minimize_many(at, starts, BOUNDED, s), points


@pytest.mark.parametrize("central", [False, True])
@pytest.mark.parametrize("given", [False, True])
def test_one_and_many_visit_the_same_points(central, given):
    """Step by step, whatever else is in the batch: its limits, fractions and rules are the same."""
    s = Settings(1e-8, floor=1e-6, at_floor=1e-5, hessian_step=1e-5, central=central)
    start = np.array([0.4, 0.7])
    starts = np.tile(start if given else np.full(2, np.nan), (len(FUNCTIONS), 1))
    optima, points = visited_by_many(FUNCTIONS, s, starts)
    for i, function in enumerate(FUNCTIONS):
        one, alone = visited_by_one(function, s, start if given else None)
        if not optima.certified[i]:  # goes to the single search, which has further optimizers
            assert not one.certified or len(set(one.tried)) > 1
            continue
        assert one.certified
        np.testing.assert_allclose(optima.x[i], one.x, rtol=1e-9, atol=1e-12)
        rest = iter(points[i])  # has the points of differences, too
        for x in alone_without_repeats(alone):
            assert any(np.allclose(x, y, rtol=1e-9, atol=1e-12) for y in rest), function.__name__


def alone_without_repeats(points):
    seen = []
    for x in points:
        if not any(np.array_equal(x, y) for y in seen):
            seen.append(x)
    return seen


def test_a_wrong_gradient_is_certified_by_neither():
    def wrong(x):
        return float((x[0] - 2) ** 2 + x[1] ** 2), np.array([5.0, 0.0])

    s = Settings(1e-8, floor=1e-6, at_floor=1e-5)
    optima, _ = visited_by_many([wrong, floor], s, np.full((2, 2), np.nan))
    assert optima.certified.tolist() == [False, True]
    assert not visited_by_one(wrong, s, None)[0].certified


# -- with a number held


def test_a_learned_hessian_finds_the_minimum_again_and_again():
    """Of Rosenbrock's valley, moved a little each time; it is (a, a^2)."""
    search, x, counts = QuasiNewton(), np.array([-0.5, 0.8]), []
    for a in np.linspace(1, 1.5, 6):

        def at(x, a=a):
            counts[-1] += 1
            u, v = a - x[0], x[1] - x[0] ** 2
            return u**2 + 20 * v**2, np.array([-2 * u - 80 * v * x[0], 40 * v])

        counts.append(0)
        x, value = search.run(at, x)
        assert x == pytest.approx([a, a**2], abs=1e-4)
        assert value == pytest.approx(0, abs=1e-9)
    assert max(counts[1:]) < counts[0]


def test_where_nothing_can_be_computed_a_search_stays():
    x, value = QuasiNewton().run(lambda x: (np.inf, np.zeros(2)), np.array([0.3, 0.4]))
    assert value == np.inf
    assert x.tolist() == [0.3, 0.4]


@pytest.mark.parametrize(
    ("kind", "value"), [("sd", 0.4), ("sd", 2.0), ("cor", -0.5), ("sigma", 1.3)]
)
def test_with_a_number_held_the_minimum_is_that_of_the_other_search(kind, value):
    d, Y = made(np.random.default_rng(5))
    frame = build_frame("y ~ x + (x | g)", d).with_response(Y[:, 7])
    structures = tuple(block.structure for block in frame.random)
    held = Held((2,), kind, 0, structures)
    at = deviance_with(held, cross_products(frame), value)
    start = held.pack(np.array([1.0, 0.2, 0.5]), 1.0)
    _, found = QuasiNewton().run(at, start)
    other = minimize(
        lambda x: at(x)[0], lambda x: at(x)[1], np.zeros(len(start), dtype=bool), HELD, start
    )
    assert other.certified
    assert found == pytest.approx(other.value, abs=HELD.tolerance)


@pytest.mark.parametrize("size", [0, 1, 5, 128, 129, 300])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_lower_triangle_is_mirrored(size, order):
    from lmerbridge.likelihood.mirrored import mirrored

    lower = np.tril(np.random.default_rng(size).normal(size=(size, size))).copy(order)
    expected = lower + lower.T - np.diag(np.diag(lower))
    assert np.array_equal(mirrored(lower), expected)
