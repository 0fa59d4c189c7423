"""Families of generalized linear models: derivatives and densities against mpmath, the rest against
R and against distributions of SciPy.
"""

import functools
import pickle
import subprocess
import warnings
from pathlib import Path

import mpmath as mp
import numpy as np
import pytest
from scipy import stats

import lmerbridge as lb
from lmerbridge.errors import ArgumentError, DataError
from lmerbridge.family import LINKS, family_of, with_theta
from lmerbridge.family.rows import Rows
from lmerbridge.rlang import find_r

F = lb.families
mp.mp.dps = 80
DEEP = 450  # the normal tail at 40 is 1e-350

ANY = np.array([-40.0, -20.0, -8.0, -4.1, -3.9, -1.3, -0.2, 0.0, 0.4, 1.7, 3.4, 8.0, 20.0, 40.0])
BELOW = np.array([-40.0, -20.0, -3.0, -0.8, -0.6, -0.1, -1e-3])
POSITIVE = np.array([1e-3, 0.1, 0.7, 1.0, 2.3, 9.0, 40.0])
UNIT = np.array([1e-6, 0.01, 0.3, 0.5, 0.8, 0.99])
# where a family has means: the linear predictors of each of its links
GRID = {
    "logit": ANY,
    "probit": ANY,
    "cloglog": np.array([-40.0, -20.0, -3.0, -0.8, -0.1, 0.0, 0.3, 1.0, 2.0, 3.5, 5.0]),
    "cauchit": ANY,
    "log": ANY,
    "identity": POSITIVE,
    "sqrt": POSITIVE,
    "inverse": POSITIVE,
    "1/mu^2": POSITIVE,
}
EVERY = [
    *(F.binomial(link) for link in ("logit", "probit", "cloglog", "cauchit", "log", "identity")),
    *(F.poisson(link) for link in ("log", "identity", "sqrt")),
    *(F.Gamma(link) for link in ("inverse", "identity", "log")),
    *(F.inverse_gaussian(link) for link in ("1/mu^2", "inverse", "identity", "log")),
    *(F.gaussian(link) for link in ("identity", "log", "inverse")),
    *(F.negative_binomial(1.7, link) for link in ("log", "sqrt", "identity")),
]
RESPONSES = {
    "binomial": [0.0, 0.25, 1.0],
    "poisson": [0.0, 1.0, 7.0],
    "Gamma": [0.2, 1.0, 30.0],
    "inverse.gaussian": [0.2, 1.0, 30.0],
    "gaussian": [-1.5, 0.0, 30.0],
    "Negative Binomial(1.7)": [0.0, 1.0, 7.0],
}
every = pytest.mark.parametrize("family", EVERY, ids=repr)
deep = mp.workdps(DEEP)
every_link = pytest.mark.parametrize("link", list(LINKS.values()), ids=list(LINKS))


def grid_of(family):
    if family.name == "binomial":
        return {"log": BELOW, "identity": UNIT}.get(family.link.name, GRID[family.link.name])
    if family.link.name == "log" and family.name != "poisson":
        return ANY[(ANY > -21) & (ANY < 21)]
    return GRID[family.link.name]


# --- the same in many digits, from the definitions


@functools.cache
def normal_at(millionths, digits):
    return mp.erfc(-mp.mpf(millionths) / 1_000_000 / mp.sqrt(2)) / 2


def normal(eta):
    """The normal distribution function: by its Taylor series, in Hermite polynomials, from a near
    real number, as mpmath takes a second for each complex one.
    """
    millionths = int(mp.nint(mp.re(eta) * 1_000_000))
    at = mp.mpf(millionths) / 1_000_000
    step = eta - at
    term = mp.exp(-(at**2) / 2) / mp.sqrt(2 * mp.pi) * step
    total, before, hermite = normal_at(millionths, mp.mp.dps), mp.mpf(0), mp.mpf(1)
    for n in range(mp.mp.dps // 5):
        total += term * hermite
        before, hermite = hermite, at * hermite - n * before
        term *= -step / (n + 2)
    return total


def kept(function):
    """The function with its values kept: several tests take them at the same points."""

    @functools.cache
    def at(eta, digits):
        return function(eta)

    return lambda eta: at(eta, mp.mp.dps)


INVERSES = {
    "logit": lambda e: 1 / (1 + mp.exp(-e)),
    "probit": normal,
    "cloglog": lambda e: -mp.expm1(-mp.exp(e)),
    "cauchit": lambda e: mp.mpf(1) / 2 + mp.atan(e) / mp.pi,
    "log": mp.exp,
    "identity": lambda e: e,
    "sqrt": lambda e: e**2,
    "inverse": lambda e: 1 / e,
    "1/mu^2": lambda e: 1 / mp.sqrt(e),
}
INVERSES = {link: kept(inverse) for link, inverse in INVERSES.items()}


def variance_of(family, mu):
    theta = family.theta
    return {
        "binomial": lambda: mu * (1 - mu),
        "poisson": lambda: mu,
        "Gamma": lambda: mu**2,
        "inverse.gaussian": lambda: mu**3,
        "gaussian": lambda: mp.mpf(1),
    }.get(family.name, lambda: mu + mu**2 / theta)()


SLOPES = {
    "logit": lambda e: mp.exp(-e) / (1 + mp.exp(-e)) ** 2,
    "probit": lambda e: mp.exp(-(e**2) / 2) / mp.sqrt(2 * mp.pi),
    "cloglog": lambda e: mp.exp(e - mp.exp(e)),
    "cauchit": lambda e: 1 / (mp.pi * (1 + e**2)),
    "log": mp.exp,
    "identity": lambda e: e**0,
    "sqrt": lambda e: 2 * e,
    "inverse": lambda e: -1 / e**2,
    "1/mu^2": lambda e: -1 / (2 * e * mp.sqrt(e)),
}


def slope_of(link, eta):
    return SLOPES[link](eta)


def complement_of(link, eta):
    """1 - mu, as precise where it is small."""
    if link in ("logit", "probit", "cauchit"):
        return INVERSES[link](-eta)
    return mp.exp(-mp.exp(eta)) if link == "cloglog" else 1 - INVERSES[link](eta)


def exact_density(family, y, eta, w, phi, theta=None, constants=True):
    """The log density by the textbook."""
    y, w, phi = mp.mpf(y), mp.mpf(w), mp.convert(phi)
    mu = INVERSES[family.link.name](eta)
    name = family.name
    if name == "binomial":
        trials = mp.mpf(0)
        if constants:
            trials = mp.loggamma(w + 1) - mp.loggamma(w * y + 1) - mp.loggamma(w * (1 - y) + 1)
        hits = y * mp.log(mu) if y else 0
        misses = (1 - y) * mp.log(complement_of(family.link.name, eta)) if y != 1 else 0
        return trials + w * (hits + misses)
    if name == "poisson":
        return w * (y * mp.log(mu) - mu - (mp.loggamma(y + 1) if constants else 0))
    if name == "Gamma":
        a = w / phi
        return a * mp.log(a / mu) + (a - 1) * mp.log(y) - a * y / mu - mp.loggamma(a)
    if name == "inverse.gaussian":
        dispersion = phi / w
        return -mp.log(2 * mp.pi * dispersion * y**3) / 2 - (y - mu) ** 2 / (
            2 * dispersion * mu**2 * y
        )
    if name == "gaussian":
        return -mp.log(2 * mp.pi * phi / w) / 2 - w * (y - mu) ** 2 / (2 * phi)
    t = mp.mpf(family.theta) if theta is None else theta
    free = mp.loggamma(y + t) - mp.loggamma(t) - mp.loggamma(y + 1) if constants else 0
    return w * (free + t * mp.log(t / (t + mu)) + y * mp.log(mu / (t + mu)))


def taylor(function, at, order):
    """The derivatives up to this order of an analytic function that is real on the real line, by
    Cauchy's integral around a point: on a circle of radius r, 8 points leave an error of r^8. Below
    the line the values are the conjugates of those above it.
    """
    at = mp.mpf(float(at))
    radius = mp.mpf(10) ** -10 * min(abs(at), 1) if at else mp.mpf(10) ** -10
    roots = [mp.expjpi(mp.mpf(k) / 4) for k in range(8)]
    values = [mp.mpc(function(at + radius * root)) for root in roots[:5]]
    values += [mp.conj(value) for value in values[3:0:-1]]
    found = []
    for k in range(order + 1):
        terms = [v * root**-k for v, root in zip(values, roots, strict=True)]
        found.append(mp.fsum(terms) / 8 * mp.factorial(k) / radius**k)
    return [mp.re(f) for f in found]


def sizes(first, second, order):
    """Of what is added up in the derivatives of a product."""
    return [
        sum(mp.binomial(k, j) * abs(first[j] * second[k - j]) for j in range(k + 1))
        for k in range(order + 1)
    ]


def close(found, exact, size, tolerance=1e-10):
    """Relative to the size of what is added up: where the sum is nearly 0, so is nothing else."""
    for one, right, scale in zip(found, exact, size, strict=True):
        if abs(right) < mp.mpf("1e-300"):  # no float of full precision
            assert abs(one) <= max(1e-290, tolerance * scale)
            continue
        assert abs(mp.mpf(float(one)) - right) <= tolerance * max(abs(right), scale), (one, right)


@every_link
@deep
def test_derivatives_of_the_way_back(link):
    eta = GRID[link.name]
    exact = [taylor(INVERSES[link.name], e, 4) for e in eta]
    ways = (link.inverse, link.slope, link.curvature, link.bend, link.fourth)
    for k, way in enumerate(ways):
        right = [e[k] for e in exact]
        # a zero of the k-th derivative is between numbers of the size of the first
        size = [
            abs(e[min(k, 1)]) if k > 1 and link.name in LINKS and abs(t) < 5 else 0
            for e, t in zip(exact, eta, strict=True)
        ]
        close(way(eta), right, size)
        assert np.array_equal(link.of_order(eta, 4)[k], way(eta))


@every_link
def test_there_and_back(link):
    eta = GRID[link.name]
    eta = eta[np.abs(eta) < 5] if link.name != "cloglog" else eta[eta < 2]
    mu = link.inverse(eta)
    # mu is a float: its rounding moves eta by this much
    moved = np.spacing(np.abs(mu)) / np.abs(link.slope(eta))
    assert np.all(np.abs(link.link(mu) - eta) <= 4 * moved + 4 * np.spacing(np.abs(eta)))


@every_link
def test_no_warning_far_out(link):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        far = np.array([-1e300, -1e5, -800.0, -1e-300, 0.0, 1e-300, 800.0, 1e5, 1e300])
        for part in link.of_order(far, 4):
            assert part.shape == far.shape
        link.link(np.array([0.0, 1.0]))


@pytest.mark.parametrize(
    "family",
    [f for f in EVERY if f.link.name in ("logit", "probit", "cloglog", "cauchit")],
    ids=repr,
)
def test_a_binary_row_far_out_is_finite(family):
    eta = np.array([-1e4, -800.0, -100.0, 100.0, 600.0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for y in (0.0, 1.0):
            rows = family.derivatives(np.full(5, y), eta, None, 4)
            for part in vars(rows).values():
                assert np.all(np.isfinite(part))


def test_log_links_far_out_are_numbers():
    eta = np.array([-1e4, -800.0, 800.0, 1e4])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for family in (F.poisson(), F.negative_binomial(0.5)):
            for part in vars(family.derivatives(np.full(4, 2.0), eta, None, 4)).values():
                assert np.all(np.isfinite(part))


@functools.cache
def parts_of(family, eta):
    """What the score is a product of, and the expected information: of a binomial the derivatives
    of log mu and log(1 - mu), else those of mu and of g = (dmu/deta) / V(mu).
    """
    link = family.link.name

    def factor(t):
        mu = INVERSES[link](t)
        return mp.exp(mp.log(slope_of(link, t)) - mp.log(variance_of(family, mu)))

    if family.name == "binomial":
        hit = taylor(lambda t: mp.log(INVERSES[link](t)), eta, 4)
        return hit, taylor(lambda t: mp.log(complement_of(link, t)), eta, 4)
    return taylor(INVERSES[link], eta, 4), taylor(factor, eta, 3)


@every
@deep
def test_derivatives_of_the_density(family):
    eta = grid_of(family)
    w = np.linspace(0.5, 3, len(eta))
    parts = [parts_of(family, e) for e in eta]
    for y in RESPONSES[family.name]:
        rows = family.derivatives(np.full(len(eta), y), eta, w, 4)
        exact = [
            taylor(lambda t, v=v, y=y: exact_density(family, y, t, v, 1, constants=False), e, 4)
            for e, v in zip(eta, w, strict=True)
        ]
        found = [rows.score, -rows.observed, -rows.observed_slope, -rows.observed_curvature]
        for k, one in enumerate(found, start=1):
            if family.name == "binomial":
                # y = 0 and y = 1 have one term: nothing cancels anywhere, the tails included, but
                # that the third and fourth derivative pass through 0 in the middle
                size = [
                    (y * abs(hit[k]) + (1 - y) * abs(miss[k])) * v
                    + (abs(d[2]) if k > 2 and abs(e) < 5 else 0)
                    for (hit, miss), e, v, d in zip(parts, eta, w, exact, strict=True)
                ]
            else:
                size = [
                    v * (abs(y * g[k - 1]) + sizes(mu, g, 3)[k - 1])
                    for (mu, g), v in zip(parts, w, strict=True)
                ]
            close(one, [d[k] for d in exact], size)


@every
@deep
def test_the_expected_information(family):
    eta = grid_of(family)
    link = family.link.name

    def information(t):
        if family.name == "binomial":
            return slope_of(link, t) ** 2 / (INVERSES[link](t) * complement_of(link, t))
        return slope_of(link, t) ** 2 / variance_of(family, INVERSES[link](t))

    rows = family.derivatives(np.full(len(eta), RESPONSES[family.name][1]), eta, None, 4)
    exact = [taylor(information, e, 2) for e in eta]
    parts = [parts_of(family, e) for e in eta]
    second = 1 if family.name == "binomial" else 0
    size = [sizes(a[1:], b[second:], 2) for a, b in parts]
    for k, one in enumerate((rows.expected, rows.expected_slope, rows.expected_curvature)):
        close(one, [d[k] for d in exact], [s[k] if k else 0 for s in size])


@every
def test_log_densities(family):
    eta = grid_of(family)
    w = (
        np.linspace(1, 4, len(eta)).round()
        if family.name == "binomial"
        else np.linspace(0.5, 3, len(eta))
    )
    phi = 1.0 if family.dispersion else 0.37
    for y in RESPONSES[family.name]:
        found = family.log_density(np.full(len(eta), y), eta, w, phi)
        exact = [exact_density(family, y, mp.mpf(e), v, phi) for e, v in zip(eta, w, strict=True)]
        value = family.value(np.full(len(eta), y), eta, w) / phi
        rest = family.normalizer(np.full(len(eta), y), w, phi)
        close(found, exact, np.abs(value) + np.abs(rest) + 1, 1e-12)
        if family.name == "binomial" and y in (0, 1):  # all of it depends on eta
            with mp.workdps(DEEP):
                exact = [
                    exact_density(family, y, mp.mpf(e), v, 1, constants=False)
                    for e, v in zip(eta, w, strict=True)
                ]
            close(value, exact, np.zeros(len(eta)), 1e-12)


@every
def test_orders_agree_and_weights_multiply(family):
    rng = np.random.default_rng(1)
    eta = rng.choice(grid_of(family), 20_000)
    y = rng.choice(RESPONSES[family.name], 20_000)
    w = rng.random(20_000) + 0.5
    full = family.derivatives(y, eta, w, 4)
    for order in (1, 2, 3):
        part = family.derivatives(y, eta, w, order)
        asked = ("value", "score", "expected", "observed", "expected_slope", "observed_slope")
        for k, name in enumerate((*asked, "expected_curvature", "observed_curvature")):
            if k < 2 * order + (order == 1):
                assert np.allclose(getattr(part, name), getattr(full, name), rtol=1e-13, atol=0)
            else:
                assert getattr(part, name) is None
    plain = family.derivatives(y, eta, None, 4)
    for name, array in vars(plain).items():
        assert np.allclose(array * w, getattr(full, name), rtol=1e-15, atol=0)
    # what is written over is an earlier answer, and blocks give what the whole gives
    again = family.derivatives(y, eta, w, 4, out=plain)
    assert again == full
    assert {id(a) for a in vars(again).values()} <= {id(a) for a in vars(plain).values()}
    whole = family.distribution.rows(y, eta, w, family.link, 4)
    assert whole == full
    assert np.array_equal(family.value(y[:9], eta[:9], w[:9]).shape, (9,))
    assert np.allclose(family.value(y, eta, w), full.value, rtol=1e-13, atol=1e-300)


@pytest.mark.parametrize(
    "family",
    [F.binomial(), F.poisson(), F.Gamma(), F.inverse_gaussian(), F.gaussian()],
    ids=repr,
)
def test_canonical_links_have_one_information(family):
    eta, y = np.array([0.5, 1.0]), np.array([1.0, 1.0])
    for weights in (None, np.array([1.0, 2.0])):
        rows = family.derivatives(y, eta, weights, 4)
        assert rows.expected is rows.observed
        assert rows.expected_slope is rows.observed_slope
    big = family.derivatives(np.ones(20_000), np.full(20_000, 0.5), None, 2)
    assert big.expected is big.observed


def test_an_array_is_written_over_once():
    """An answer in which two informations are one array, given to a family that has two."""
    n = 10_000
    eta, y = np.linspace(-1, 1, n), np.tile([0.0, 1.0], n // 2)
    shared = F.binomial().derivatives(y, eta, None, 2)
    probit = F.binomial("probit")
    assert probit.derivatives(y, eta, None, 2, out=shared) == probit.derivatives(y, eta, None, 2)


@pytest.mark.parametrize("theta", [0.03, 1.7, 25.0, 1e3, 1e7])
@pytest.mark.parametrize("link", ["log", "sqrt", "identity"])
def test_derivatives_in_theta(theta, link):
    family = F.negative_binomial(theta, link)
    eta = np.array([-2.0, 0.5, 3.0]) if link == "log" else np.array([0.3, 1.0, 9.0])
    for y in (0.0, 1.0, 12.0):
        found = family.theta_derivatives(np.full(3, y), eta, np.array([1.0, 2.0, 0.5]))
        for row, (e, w) in enumerate(zip(eta, (1, 2, 0.5), strict=True)):

            def density(t, e=e, w=w, y=y):
                return exact_density(family, y, mp.mpf(e), w, 1, theta=t)

            def score(t, e=e, w=w, y=y):
                mu = INVERSES[link](e)
                return w * slope_of(link, e) * (y - mu) / (mu + mu**2 / t)

            def observed(t, e=e, w=w, y=y):
                def of_eta(x, y=y):
                    mu = INVERSES[link](x)
                    return w * slope_of(link, x) * (y - mu) / (mu + mu**2 / t)

                return -taylor(of_eta, e, 1)[1]

            first, second = taylor(density, theta, 2)[1:]
            of_score = taylor(score, theta, 1)[1]
            # by a difference: the inner derivative is of real theta
            step = mp.mpf(10) ** -25 * theta
            of_observed = (observed(theta + step) - observed(theta - step)) / (2 * step)
            mu, slope = INVERSES[link](mp.mpf(e)), slope_of(link, mp.mpf(e))
            scale = w * mu / (mp.mpf(theta) * (theta + mu))  # of what is added up
            close([found.first[row]], [first], [scale])
            close([found.second[row]], [second], [scale / theta])
            close([found.score[row]], [of_score], [w * abs(slope) / (theta + mu) ** 2])
            close([found.observed[row]], [of_observed], [w * slope**2 / (theta + mu) ** 2])
            close([found.expected[row]], [w * slope**2 / (theta + mu) ** 2], [0])


@pytest.mark.parametrize("phi", [1e-5, 0.02, 0.4, 3.0])
@pytest.mark.parametrize(
    "family", [F.Gamma("log"), F.inverse_gaussian("log"), F.gaussian("log")], ids=repr
)
def test_derivatives_in_the_dispersion(family, phi):
    eta, w = np.array([-1.0, 0.0, 2.0]), np.array([1.0, 2.5, 0.5])
    y = np.array([0.4, 1.3, 6.0])
    first, second = family.dispersion_derivatives(y, eta, w, phi)
    for row in range(3):

        def density(p, row=row):
            return exact_density(family, y[row], mp.mpf(eta[row]), w[row], p)

        exact = taylor(density, phi, 2)
        close([first[row]], [exact[1]], [1 / phi])
        close([second[row]], [exact[2]], [1 / phi**2])


def test_a_row_of_weight_zero_has_no_part():
    y, w = np.array([1.0, 0.5]), np.array([0.0, 1.0])
    for family in EVERY:
        eta = family.link.link(np.array([0.3, 0.3]))
        assert family.log_density(y, eta, w, 1.0)[0] == 0
        assert family.dispersion_derivatives(y, eta, w, 0.5)[0][0] == 0


def test_a_negative_binomial_goes_to_a_poisson():
    y, eta, w = np.array([0.0, 3.0, 40.0]), np.array([-1.0, 1.0, 4.0]), np.ones(3)
    found = F.negative_binomial(1e12).log_density(y, eta, w)
    assert found == pytest.approx(stats.poisson.logpmf(y, np.exp(eta)), rel=1e-9)


@every
def test_variances(family):
    mu = np.array([0.1, 0.4, 0.9])
    for k in range(4):
        exact = [taylor(lambda m: variance_of(family, m), m, k)[k] for m in mu]
        assert family.variance(mu, k) == pytest.approx(
            [float(e) for e in exact], rel=1e-12, abs=1e-20
        )


# --- R

CODE = {
    "binomial": 'binomial("{}")',
    "poisson": 'poisson("{}")',
    "Gamma": 'Gamma("{}")',
    "inverse.gaussian": 'inverse.gaussian("{}")',
    "gaussian": 'gaussian("{}")',
    "Negative Binomial(1.7)": 'MASS::negative.binomial(1.7, "{}")',
}


def r_code(family):
    return CODE[family.name].format(family.link.name)


def vector(values):
    return "c(" + ", ".join(repr(float(v)) for v in np.atleast_1d(values)) + ")"


def ask(lines):
    """The answers of R to expressions: numbers, or a text where one fails or gives text."""
    code = [
        "f <- function(e) tryCatch({ v <- withCallingHandlers(e, warning = function(w) {",
        "cat('W', conditionMessage(w), '\\n'); invokeRestart('muffleWarning') })",
        "cat(if (is.character(v)) c('T', v) else if (is.numeric(v) || is.logical(v))",
        "c('N', sprintf('%.17g', v)) else 'O', '\\n') },",
        "error = function(e) cat('E', conditionMessage(e), '\\n'))",
    ]
    for line in lines:
        code += [f"f({line})", "cat('--\\n')"]
    done = subprocess.run(
        [str(Path(find_r().home) / "bin" / "Rscript"), "--vanilla", "-"],
        input="\n".join(code),
        capture_output=True,
        text=True,
        check=True,
    )
    found = []
    for block in done.stdout.split("--\n")[:-1]:
        kinds = [line.split(" ", 1) for line in block.strip().splitlines()]
        if kinds[-1][0] == "N":
            found.append(np.array([float(v) for v in kinds[-1][1].split()]))
        else:
            found.append([kind[1].strip() for kind in kinds if kind[0] in "WET"])
    return found


UNCLIPPED = {
    "logit": np.linspace(-29, 29, 9),
    "probit": np.linspace(-8, 8, 9),
    "cloglog": np.linspace(-35, 3.5, 9),
    "cauchit": np.linspace(-200, 200, 9),
    "log": np.linspace(-35, 35, 9),
}


@pytest.mark.r
def test_links_are_those_of_R_where_it_does_not_clip():
    links = list(LINKS.values())
    grids = [UNCLIPPED.get(link.name, POSITIVE) for link in links]
    asked = [
        f'make.link("{link.name}")${what}({vector(eta)})'
        for link, eta in zip(links, grids, strict=True)
        for what in ("linkinv", "mu.eta")
    ]
    asked += [f'make.link("{k.name}")$linkfun({vector(UNIT)})' for k in links]
    answers = iter(ask(asked))
    for link, eta in zip(links, grids, strict=True):
        assert link.inverse(eta) == pytest.approx(next(answers), rel=1e-12)
        assert link.slope(eta) == pytest.approx(next(answers), rel=1e-11)
    for link in links:
        assert link.link(UNIT) == pytest.approx(next(answers), rel=1e-9, abs=1e-15)


@pytest.mark.r
def test_beyond_R_clips_and_this_does_not():
    """The limits in the docstring of the links."""
    eps = np.finfo(float).eps
    limits = {"logit": 30, "probit": 8.1258906, "cloglog": 36.0436534, "log": 36.0436534}
    asked = [f'make.link("{n}")$linkinv(c({-x - 1e-4}, {-x + 1e-4}))' for n, x in limits.items()]
    asked += [f'make.link("{n}")$mu.eta(-50)' for n in limits]
    answers = ask(asked)
    for (name, limit), (beyond, within) in zip(limits.items(), answers[:4], strict=True):
        mine = LINKS[name].inverse(np.array([-limit - 1e-4, -limit + 1e-4]))
        assert beyond == pytest.approx(eps, rel=1e-12)
        assert abs(mine[0] / eps - 1) > 1e-5
        assert mine[1] == pytest.approx(within, rel=1e-6)
    assert np.concatenate(answers[4:]) == pytest.approx(eps, rel=1e-12)


@pytest.mark.r
def test_valid_values_are_those_of_R():
    etas = (-1.0, 0.0, 1.0)
    mus = (-1.0, 0.0, 0.5, 1.0, 2.0)
    asked = [f'make.link("{k}")$valideta({e})' for k in LINKS for e in etas]
    asked += [f"{r_code(f)}$validmu({m})" for f in EVERY for m in mus]
    answers = iter(ask(asked))
    for link in LINKS.values():
        for eta in etas:
            assert link.valid_eta(np.array([eta])) == (next(answers)[0] == 1), (link, eta)
    for family in EVERY:
        for mu in mus:
            assert family.valid_mu(np.array([mu])) == (next(answers)[0] == 1), (family, mu)


def example(family):
    """A response, its means and weights."""
    mu = np.array([0.2, 0.35, 0.5, 0.61, 0.93])
    w = np.array([4.0, 1.0, 8.0, 4.0, 2.0])
    if family.name == "binomial":
        return np.array([0.25, 0.0, 0.5, 1.0, 1.0]), mu, w
    if family.name == "poisson" or family.theta:
        return np.array([0.0, 1.0, 0.0, 3.0, 8.0]), mu * 5, w
    return np.array([0.3, 1.1, 0.6, 2.0, 9.0]), mu * 5, w


@pytest.mark.r
def test_variance_deviance_and_aic_are_those_of_R():
    asked = []
    for family in EVERY:
        y, mu, w = map(vector, example(family))
        head = "{" + f"a <- {r_code(family)}; y <- {y}; mu <- {mu}; wt <- {w}; n <- rep(1, 5); "
        asked += [head + "a$variance(mu)}", head + "a$dev.resids(y, mu, wt)}"]
        asked += [head + "a$aic(y, n, mu, wt, sum(a$dev.resids(y, mu, wt)))}"]
        asked += [head + "n <- wt; a$aic(y, n, mu, wt, sum(a$dev.resids(y, mu, wt)))}"]
    answers = iter(ask(asked))
    for family in EVERY:
        y, mu, w = example(family)
        parts = family.deviance_residuals_squared(y, mu, w)
        assert family.variance(mu) == pytest.approx(next(answers), rel=1e-13)
        assert parts == pytest.approx(next(answers), rel=1e-12, abs=1e-15)
        dev = float(parts.sum())
        assert family.aic(y, mu, w, dev) == pytest.approx(next(answers)[0], rel=1e-12)
        assert family.aic(y, mu, w, dev, w) == pytest.approx(next(answers)[0], rel=1e-12)


@pytest.mark.parametrize("family", [f for f in EVERY if f.dispersion], ids=repr)
def test_the_aic_is_minus_twice_the_log_density(family):
    y, mu, w = example(family)
    eta = family.link.link(mu)
    assert -2 * family.log_density(y, eta, w).sum() == pytest.approx(
        family.aic(y, mu, w, np.nan), rel=1e-13
    )


@pytest.mark.r
def test_the_deviance_at_the_ends():
    """y = 0 and y = 1, and a mean that fits exactly."""
    families = {
        "binomial()": (F.binomial(), [0, 1, 0, 1, 0.25], [1e-12, 1 - 1e-12, 0.5, 0.5, 0.25]),
        "poisson()": (F.poisson(), [0, 0, 3, 3, 1], [1e-12, 2, 3, 1e-12, 1]),
        "MASS::negative.binomial(1.7)": (
            F.negative_binomial(1.7),
            [0, 0, 3, 3, 1],
            [1e-12, 2, 3, 1e-12, 1],
        ),
    }
    asked = [
        f"{c}$dev.resids({vector(y)}, {vector(mu)}, rep(1, 5))"
        for c, (_, y, mu) in families.items()
    ]
    for (family, y, mu), right in zip(families.values(), ask(asked), strict=True):
        found = family.deviance_residuals_squared(np.array(y, float), np.array(mu), np.ones(5))
        # R's own sum of two logarithms is rounded at 1e-16 of them
        assert found == pytest.approx(right, rel=1e-12, abs=4e-15)


@pytest.mark.r
def test_where_an_iteration_begins():
    asked, families = [], [f for f in EVERY if f.link.name == f.distribution.links[0]]
    for family in families:
        y, _, w = map(vector, example(family))
        asked.append(
            "{" + f"a <- {r_code(family)}; y <- {y}; weights <- {w}; nobs <- 5; start <- NULL; "
            "etastart <- NULL; mustart <- NULL; family <- a; eval(a$initialize); mustart}"
        )
    for family, right in zip(families, ask(asked), strict=True):
        y, _, w = example(family)
        assert family.initial_mu(y, w) == pytest.approx(right, rel=1e-15)


REFUSED = [
    (F.binomial(), [0.5, -0.1, 2.0]),
    (F.poisson(), [1.0, -1.0]),
    (F.Gamma(), [1.0, 0.0]),
    (F.inverse_gaussian(), [1.0, 0.0]),
    (F.gaussian("log"), [1.0, 0.0]),
    (F.gaussian("inverse"), [1.0, 0.0]),
    (F.negative_binomial(1.7), [1.0, -1.0]),
]
ODD = [
    (F.binomial(), [0.5, 1.0, 0.0]),
    (F.poisson(), [1.5, 1.0]),
    (F.negative_binomial(1.7), [1.5, 1.0]),
]


@pytest.mark.r
def test_what_is_said_of_a_response_is_what_R_says():
    answers = iter(ask([f"glm({vector(y)} ~ 1, family = {r_code(f)})" for f, y in REFUSED + ODD]))
    for family, y in REFUSED:
        with pytest.raises(DataError) as raised:
            family.check_response(np.array(y), np.ones(len(y)))
        assert str(raised.value).startswith(next(answers)[-1] + ": the response is ")
        assert "in row 2 " in str(raised.value)
    for family, y in ODD:
        said = next(answers)
        if family.theta is None:
            assert family.check_response(np.array(y), np.ones(len(y))) == tuple(said[:1])
        else:  # MASS takes the gamma function, and says nothing
            assert family.check_response(np.array(y), np.ones(len(y))) == (
                "non-integer x = 1.500000",
            )
    assert F.binomial().check_response(np.array([0.5, 1.0]), np.array([2.0, 1.0])) == ()


@pytest.mark.r
def test_names_are_those_of_R():
    thetas = (1.23456, 2.0, 123.456789, 1e5, 123456.78912, 1234567.0, 1e-5, 0.1, 30.00004)
    asked = [f"MASS::negative.binomial({t!r})$family" for t in thetas]
    asked += [f"{r_code(f)}$family" for f in EVERY]
    answers = [a[0] for a in ask(asked)]
    families = [F.negative_binomial(t) for t in thetas] + EVERY
    assert [f.name for f in families] == answers


# --- draws and probabilities


def drawn_from(family, mu, phi, w):
    """SciPy's distribution of a row; that of a binomial is of the successes."""
    if family.name == "binomial":
        return stats.binom(w, mu)
    if family.name == "poisson":
        return stats.poisson(mu)
    if family.theta:
        return stats.nbinom(family.theta, family.theta / (family.theta + mu))
    if family.name == "Gamma":
        return stats.gamma(w / phi, scale=mu * phi / w)
    if family.name == "inverse.gaussian":
        return stats.invgauss(mu * phi / w, scale=w / phi)
    return stats.norm(mu, np.sqrt(phi / w))


ONE_EACH = [
    F.binomial(),
    F.poisson(),
    F.Gamma(),
    F.inverse_gaussian(),
    F.gaussian(),
    F.negative_binomial(1.7),
]


@pytest.mark.parametrize("family", ONE_EACH, ids=repr)
def test_probabilities(family):
    w = np.full(4, 6.0)
    mu, phi = np.array([0.1, 0.5, 0.7, 0.9]) * (1 if family.name == "binomial" else 4), 0.7
    for y in (-1.0, 0.0, 1.0, 2.0, 5.0, 6.0, 30.0):
        of = drawn_from(family, mu, phi, w)
        response = np.full(4, y / 6 if family.name == "binomial" else y)
        assert family.cdf(response, mu, w, phi) == pytest.approx(of.cdf(y), rel=1e-12, abs=1e-300)
        below = of.cdf(y - 1 if family.dispersion else y)
        assert family.cdf_below(response, mu, w, phi) == pytest.approx(below, rel=1e-12, abs=1e-300)


def test_probabilities_of_binary_rows():
    mu, w = np.array([0.2, 0.2]), np.ones(2)
    y = np.array([0.0, 1.0])
    assert F.binomial().cdf(y, mu, w) == pytest.approx([0.8, 1.0])
    assert F.binomial().cdf_below(y, mu, w) == pytest.approx([0.0, 0.8])


@pytest.mark.parametrize("family", ONE_EACH, ids=repr)
def test_draws(family):
    """Mean and variance within five standard errors: once in a million samples it is not."""
    n, phi = 200_000, 0.4
    mu = np.full(n, 0.3 if family.name == "binomial" else 3.0)
    w = np.full(n, 5.0)
    drawn = family.simulate(mu, w, phi, np.random.default_rng(20))
    of = drawn_from(family, mu[0], phi, 5)
    unit = 5 if family.name == "binomial" else 1
    mean, variance, kurtosis = (float(v) for v in of.stats("mvk"))
    assert abs(unit * drawn.mean() - mean) < 5 * np.sqrt(variance / n)
    spread = variance * np.sqrt((kurtosis + 2) / n)
    assert abs(unit**2 * drawn.var() - variance) < 5 * spread
    assert np.array_equal(drawn, family.simulate(mu, w, phi, np.random.default_rng(20)))


@pytest.mark.parametrize("family", ONE_EACH, ids=repr)
def test_a_draw_of_no_observation_is_no_number(family):
    rng = np.random.default_rng(1)
    drawn = family.simulate(np.array([0.4, 0.4]), np.array([0.0, 2.0]), 0.5, rng)
    assert np.isnan(drawn[0]) == (family.name == "binomial" or family.dispersion is None)
    assert np.isfinite(drawn[1])


# --- values and words


@every
def test_families_are_values(family):
    again = pickle.loads(pickle.dumps(family))
    assert again == family
    assert hash(again) == hash(family)
    assert len({*EVERY, again}) == len(EVERY)
    assert eval(repr(family), {n: getattr(F, n) for n in F.__all__}) == family
    assert pickle.loads(pickle.dumps(family.link)) == LINKS[family.link.name]
    rows = family.derivatives(np.ones(2), np.full(2, 0.5), None, 2)
    assert pickle.loads(pickle.dumps(rows)) == rows
    assert isinstance(rows, Rows)
    assert family.dispersion == (
        None if family.name in ("Gamma", "inverse.gaussian", "gaussian") else 1.0
    )


@pytest.mark.parametrize(
    ("text", "family"),
    [
        ("binomial", F.binomial()),
        ('binomial(link = "probit")', F.binomial("probit")),
        ("binomial(probit)", F.binomial("probit")),
        ("stats::binomial()", F.binomial()),
        ("Gamma", F.Gamma()),
        ("gaussian(log)", F.gaussian("log")),
        ("negative.binomial(theta = 2)", F.negative_binomial(2)),
        ("MASS::negative.binomial(link='sqrt', 2.5)", F.negative_binomial(2.5, "sqrt")),
        ("inverse.gaussian('1/mu^2')", F.inverse_gaussian()),
        ("inverse.gaussian(1/mu^2)", F.inverse_gaussian()),
        ("  poisson ( 'sqrt' ) ", F.poisson("sqrt")),
    ],
)
def test_texts(text, family):
    assert family_of(text) == family
    assert family_of(family) is family


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("binomal", "did you mean 'binomial'.*known are binomial, poisson, Gamma"),
        ("gamma", "did you mean 'Gamma'"),
        ("inverse_gaussian", "R writes inverse.gaussian"),
        ("quasibinomial", '"quasi" families cannot be used in glmer'),
        ("quasi(link = log)", "cannot be used in glmer"),
        ("poisson(logit)", "poisson has no link 'logit'.*its links are log, identity, sqrt"),
        ("binomial(probt)", "did you mean 'probit'"),
        ("binomial(probit", "must be a text as R has it"),
        ("binomial(lnk = probit)", "it has no 'lnk'"),
        ("binomial(probit, logit)", "each once"),
        ("binomial(make.link('probit'))", "cannot read the arguments"),
        ("negative.binomial", "needs its size"),
        ("negative.binomial(theta = x)", "theta must be a number"),
        ("negative.binomial(0)", "theta must be positive"),
        (3, "must be a text"),
        (F.binomial, "must be a text"),
    ],
)
def test_what_is_no_family_is_refused(text, words):
    with pytest.raises(ArgumentError, match=words):
        family_of(text)


def test_theta_belongs_to_the_negative_binomial():
    assert with_theta(F.negative_binomial(2, "sqrt"), 3) == F.negative_binomial(3, "sqrt")
    for call in (
        lambda: with_theta(F.poisson(), 2),
        lambda: F.poisson().theta_derivatives(np.ones(1), np.ones(1), None),
    ):
        with pytest.raises(ArgumentError, match="only the negative binomial has one"):
            call()


@pytest.mark.r
def test_lme4_refuses_quasi_families_in_these_words():
    (said,) = ask(["lme4::glmer(am ~ 1 + (1 | cyl), mtcars, family = quasibinomial)"])
    with pytest.raises(ArgumentError, match=said[-1]):
        family_of("quasibinomial")
