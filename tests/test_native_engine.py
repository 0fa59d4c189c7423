"""The native engine against polished lme4, and on hostile data."""

import numpy as np
import pandas as pd
import pytest

import lmerbridge as lb
from checkout import REFERENCE
from lmerbridge.crosscheck import golden, load_cases, of_golden, of_result, read_data
from lmerbridge.errors import DataError, FitFailedError, UnsupportedModelError

pytestmark = pytest.mark.filterwarnings("ignore::lmerbridge.errors.FitWarning")
FURTHER = load_cases(REFERENCE / "further" / "cases.toml")
CASES = [*(c for c in load_cases() if c.error is None), *FURTHER]


# lme4 polished is itself 2e-9 above the optimum here, which is 2e-4 of a standard deviation: the
# criterion is flat, the intercept being that of a cake baked at 0 degrees.
SHORT = {"lme4-cake-1"}


def fit(formula, data, **arguments):
    return lb.lmer(formula, data, engine="native", **arguments)


@pytest.mark.parametrize("case", CASES, ids=[c.name for c in CASES])
def test_the_suite_is_polished_lme4s(case):
    """The criterion no higher than 1e-6 above, fixed effects within 1e-4 of their standard error,
    standard errors within 1e-5, standard deviations within 1e-4 or 1e-3 sigma near zero."""
    if case.data in lb.datasets.names() and not lb.datasets.is_local(case.data):
        pytest.skip(f"{case.data} is not on this machine")
    m = fit(case.formula, read_data(case), REML=case.REML)
    record = golden(case)
    ours, lme4 = of_result(m.result), of_golden(record, "polished", "lme4")
    assert m.result.evidence.converged
    assert m.result.criterion.value <= record["polished"]["criterion"] + 1e-6
    for name, value in lme4.values["fixed effects"].items():
        error = lme4.values["standard errors"][name]
        assert abs(ours.values["fixed effects"][name] - value) < 1e-4 * error
        assert ours.values["standard errors"][name] == pytest.approx(error, rel=1e-5)
    short = m.result.criterion.value < record["polished"]["criterion"] - 1e-9
    assert short == (case.name in SHORT)
    for name, value in lme4.values["std. deviations"].items():
        near_zero = 1e-3 * lme4.sigma if value < 1e-2 * lme4.sigma else 0.0
        assert ours.values["std. deviations"][name] == pytest.approx(
            value, rel=1e-3 if short else 1e-4, abs=near_zero
        )
    assert m.isSingular() == record["polished"]["singular"]
    assert list(ours.values["modes"]) == list(lme4.values["modes"])


def test_what_statsmodels_refuses(simulated):
    m = fit("y ~ x + (x | g) + (z | h)", simulated)
    assert m.result.evidence.converged
    with pytest.raises(UnsupportedModelError, match=r"engine='(native|lme4)'"):
        lb.lmer("y ~ x + (x | g) + (z | h)", simulated, engine="statsmodels")
    assert not fit("y ~ 0 + (1 | g)", simulated).result.call.REML


@pytest.mark.r
@pytest.mark.parametrize(
    "formula",
    [
        "y ~ x + (x | g) + (z | h)",
        "y ~ 0 + (1 | g)",
        "y ~ x + (x + z || g) + (1 | h)",
        "y ~ f * x + (0 + f | h) + (1 | g)",
        "y ~ x + (1 | g) + (1 | h) + (1 | f) + (0 + z | g)",
    ],
)
@pytest.mark.parametrize("REML", [True, False])
def test_no_worse_than_lme4(simulated, formula, REML):
    ours, lme4 = (lb.lmer(formula, simulated, REML=REML, engine=e) for e in ("native", "lme4"))
    assert ours.result.evidence.converged
    assert ours.result.criterion.value <= lme4.result.criterion.value + 1e-6


def test_criterion_of_the_other_kind(sleepstudy):
    reml, ml = (fit("Reaction ~ Days + (1 | Subject)", sleepstudy, REML=r) for r in (True, False))
    # R 4.2.2, lme4 1.1-31: deviance(m, REML = FALSE) of the one, REMLcrit of the other
    case = next(c for c in CASES if c.name == "sleepstudy-intercept")
    assert reml.REMLcrit() == pytest.approx(golden(case)["polished"]["criterion"], abs=1e-8)
    assert reml.deviance(REML=False) >= ml.deviance()
    assert ml.REMLcrit() >= reml.REMLcrit()


def test_start_and_refit(sleepstudy):
    formula = "Reaction ~ Days + (Days | Subject)"
    sleepstudy = sleepstudy[4:]  # not balanced: a balanced one has an optimum in closed form
    m = fit(formula, sleepstudy)
    again = fit(formula, sleepstudy, start=m.getME("theta"))
    assert again.REMLcrit() == pytest.approx(m.REMLcrit(), abs=1e-9)
    assert again.result.evidence.evaluations < m.result.evidence.evaluations
    other = m.refit(m.fitted().to_numpy() + m.residuals().to_numpy()[::-1])
    assert other.result.evidence.converged


@pytest.mark.parametrize("key", ["theta", "par"])
def test_a_start_may_be_named(sleepstudy, key):
    """``list(par = )`` and ``list(theta = )`` mean the same in lme4 2.1."""
    formula = "Reaction ~ Days + (Days | Subject)"
    named = fit(formula, sleepstudy, start={key: [1.0, 0.1, 0.3]})
    pd.testing.assert_series_equal(
        named.getME("theta"), fit(formula, sleepstudy, start=[1.0, 0.1, 0.3]).getME("theta")
    )


@pytest.mark.parametrize(
    ("start", "words"),
    [
        ({"beta": [250, 10]}, "no fixed effects"),  # lme4 2.1: 'start' has invalid names "beta"
        ({"theta": [1, 0, 1], "fixef": [250, 10]}, "no fixed effects"),
        ({"theta": [1, 0, 1], "par": [1, 0, 1]}, "'theta' or 'par'"),
        ({}, "'theta' or 'par'"),
        ({"sigma": 1}, "'theta' or 'par'"),
    ],
)
def test_other_starts_are_refused(sleepstudy, start, words):
    with pytest.raises(DataError, match=words):
        fit("Reaction ~ Days + (Days | Subject)", sleepstudy, start=start)


rng = np.random.default_rng(3)
G = np.repeat(np.arange(20), 10)
X = rng.normal(size=200)
U = rng.normal(size=20)
BASE = pd.DataFrame({"y": 1 + X + U[G] + rng.normal(size=200), "x": X, "g": G, "k": 1.0})
for i in range(12):
    BASE[f"z{i}"] = rng.normal(size=200)
SIZES = np.concatenate([np.zeros(5000, int), [1], [2, 2], np.repeat(3, 300), np.repeat(4, 50)])


@pytest.mark.parametrize(
    ("formula", "data"),
    [
        ("y ~ x + k + (1 | g)", BASE),
        ("y ~ x + (1 | g)", pd.concat([BASE[:10], BASE[:10].assign(g=1), BASE[20:30]])),
        ("y ~ 1 + (1 | g)", pd.DataFrame({"y": rng.normal(size=21), "g": [*range(20), 0]})),
        (
            "y ~ x + (x | g)",
            pd.DataFrame(
                {
                    "g": SIZES,
                    "x": rng.normal(size=len(SIZES)),
                    "y": rng.normal(size=len(SIZES)) + U[SIZES],
                }
            ),
        ),
        ("y ~ x + (x | g)", BASE.assign(y=BASE.y * 1e-8)),
        ("y ~ x + (x | g)", BASE.assign(y=BASE.y * 1e8)),
        ("y ~ x + (x | g)", BASE.assign(x=BASE.x + 1e6)),
        ("y ~ x + (x | g)", BASE.assign(x=BASE.x * 1e4)),
        ("y ~ x + (z0 + z1 + z2 + z3 | g)", BASE.assign(g=BASE.g // 3)),
        ("y ~ x + (z0 + z1 + z2 + z3 + z4 + z5 + z6 + z7 + z8 + z9 + z10 || g)", BASE),
        ("y ~ x + (1 | g)", BASE.assign(y=rng.normal(size=200))),
    ],
)
def test_hostile_data_is_fitted_and_certified(formula, data):
    m = fit(formula, data, control=lb.lmerControl(check_nobs_vs_nRE="ignore"))
    assert m.result.evidence.converged
    assert np.isfinite(m.result.criterion.value)
    # no other start does better
    for theta in (0.1, 2.0):
        start = np.where(m.getME("lower") == 0, theta, 0.0)
        other = fit(formula, data, start=start, control=lb.lmerControl(check_nobs_vs_nRE="ignore"))
        assert other.result.criterion.value >= m.result.criterion.value - 1e-6


@pytest.mark.parametrize(
    ("formula", "y"),
    [
        ("y ~ x + (1 | g)", 1 + 2 * BASE.x + U[BASE.g]),
        ("y ~ x + (x | g)", 1 + 2 * BASE.x + U[BASE.g] * (1 + BASE.x)),
        ("y ~ 1 + (1 | g)", 1e6 + U[BASE.g]),
    ],
)
def test_a_perfect_fit_is_refused(formula, y):
    with pytest.raises(FitFailedError, match=r"residual variance is 0"):
        fit(formula, BASE.assign(y=y))


@pytest.mark.parametrize("unit", [1e4, 1e-3, 1.0])
def test_sleepstudy_in_other_units_of_time(sleepstudy, unit):
    """REML's criterion changes by log|X'X| alone, 2 log(unit); lme4's own answer is 17 off with
    days times 1e4."""
    d = sleepstudy.assign(Days=sleepstudy.Days * unit)
    m = fit("Reaction ~ Days + (Days | Subject)", d)
    expected = golden(CASES[0])["polished"]["criterion"] + 2 * np.log(unit)
    assert CASES[0].name == "sleepstudy"
    assert m.result.evidence.converged
    assert m.REMLcrit() == pytest.approx(expected, abs=1e-8)


def test_groups_of_1_to_100_000_rows():
    sizes = [1] * 200 + [10] * 100 + [1000] * 10 + [100_000]
    g = np.repeat(np.arange(len(sizes)), sizes)
    own = np.random.default_rng(5)
    x = own.normal(size=len(g))
    y = 1 + x + own.normal(size=len(sizes))[g] + own.normal(size=len(g))
    m = fit("y ~ x + (x | g)", pd.DataFrame({"y": y, "x": x, "g": g}))
    assert m.result.evidence.converged
    assert m.sigma() == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize(
    ("formula", "arguments"),
    [
        ("y ~ x + (1 | g)", {}),
        ("y ~ x + (x | g)", {"REML": False}),
        ("y ~ x + (x || g)", {"weights": "w"}),
        ("y ~ x + (x + z | g)", {"offset": "z"}),
        ("y ~ 0 + (1 | g)", {}),
        ("y ~ x + (x | g) + (1 | h)", {"weights": "w", "offset": "x"}),
    ],
)
def test_many_responses_are_fitted_as_one_by_one(simulated, formula, arguments):
    m = fit(formula, simulated, **arguments)
    own = np.random.default_rng(8)
    Y = m.fitted().to_numpy()[:, None] + m.sigma() * own.normal(size=(m.nobs(), 12))
    Y[:, 3] = own.normal(size=m.nobs())  # likely singular
    Y[:, 4] *= 1e6
    found = m.refit_many(Y)
    assert found.converged.all()
    for i in range(12):
        one = m.refit(Y[:, i])
        assert found.criterion[i] == pytest.approx(one.result.criterion.value, abs=1e-7)
        assert found.sigma[i] == pytest.approx(one.sigma(), rel=1e-4)
        errors = np.sqrt(np.diag(one.vcov()))
        assert np.all(np.abs(found.beta[i] - one.fixef().to_numpy()) <= 1e-4 * errors)
        assert found.singular[i] == one.isSingular()


def test_many_responses_that_cannot_be(simulated):
    m = fit("y ~ x + (1 | g)", simulated)
    with pytest.raises(DataError, match="has 3 values; the model has 160 rows"):
        m.refit_many(np.zeros((3, 2)))
    with pytest.raises(DataError, match="missing"):
        m.refit_many(np.full((m.nobs(), 1), np.nan))
    constant = m.refit_many(np.ones((m.nobs(), 2)))
    assert not constant.converged.any()
    assert len(m.refit_many(np.empty((m.nobs(), 0)))) == 0
