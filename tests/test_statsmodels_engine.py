"""statsmodels' engine against lme4's golden values, and against mathematics."""

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lmerbridge as lb
from lmerbridge.crosscheck import compare, golden, load_cases, of_golden, of_result
from lmerbridge.engines.scaling import triangular
from lmerbridge.engines.statsmodels.engine import MOST_CROSSED_EFFECTS, SETTINGS
from lmerbridge.engines.statsmodels.problem import make_problem
from lmerbridge.errors import UnsupportedModelError

pytestmark = pytest.mark.filterwarnings("ignore::lmerbridge.errors.FitWarning")
CASES = [c for c in load_cases() if c.error is None]


def fit(formula, data, **arguments):
    return lb.lmer(formula, data, engine="statsmodels", **arguments)


@pytest.mark.parametrize("case", CASES, ids=[c.name for c in CASES])
def test_the_suite_agrees_with_polished_lme4(case):
    if not lb.datasets.is_local(case.data):
        pytest.skip(f"{case.data} is not on this machine")
    m = fit(case.formula, lb.datasets.load(case.data), REML=case.REML)
    record = golden(case)
    wrong = [
        c
        for c in compare(of_golden(record, "polished", "lme4"), of_result(m.result))
        if not c.agrees
    ]
    assert wrong == []
    assert m.result.evidence.converged
    assert m.result.criterion.value <= record["polished"]["criterion"] + 1e-6
    assert m.isSingular() == record["polished"]["singular"]


def plain(formula, data, groups, re_formula, **arguments):
    """MixedLM as a user would call it."""
    from statsmodels.regression.mixed_linear_model import MixedLM

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return MixedLM.from_formula(formula, data, groups=groups, re_formula=re_formula).fit(
            **arguments
        )


def test_chickweight_which_plain_mixedlm_cannot_fit():
    d = lb.datasets.load("ChickWeight").astype({"Chick": int, "Diet": int})
    with pytest.raises(np.linalg.LinAlgError, match="Singular matrix"):
        plain("root ~ Time + Time:C(Diet)", d.assign(root=np.sqrt(d.weight)), "Chick", "~0 + Time")
    m = fit("sqrt(weight) ~ Time + factor(Diet):Time + (0 + Time | Chick)", d)
    # document 4 prints these
    assert m.VarCorr().sdcor.round(4).tolist() == [0.1021, 0.4886]
    assert m.fixef().round(5).tolist() == [6.33795, 0.31156, 0.08167, 0.16085, 0.13527]


def test_bodyweight_where_plain_mixedlm_stops_26_below():
    d = lb.datasets.load("BodyWeight").astype({"Rat": str})
    record = golden(next(c for c in CASES if c.name == "BodyWeight"))
    assert plain("weight ~ Time * Diet", d, "Rat", "~Time").llf < record["default"]["logLik"] - 20
    m = fit("weight ~ Time * Diet + (Time | Rat)", d)
    assert m.logLik() == pytest.approx(record["polished"]["logLik"], abs=1e-6)


def test_sleepstudy_in_thousandths_where_plain_mixedlm_is_wrong_and_sure(sleepstudy):
    d = sleepstudy.assign(Days=sleepstudy.Days / 1000, Subject=sleepstudy.Subject.astype(str))
    record = golden(next(c for c in CASES if c.name == "sleepstudy"))
    # REML: X A changes the log-likelihood by -log|A|
    optimum = record["polished"]["logLik"] + np.log(1000)
    wrong = plain("Reaction ~ Days", d, "Subject", "~Days")
    assert wrong.converged
    assert wrong.llf < optimum - 4
    assert fit("Reaction ~ Days + (Days | Subject)", d).logLik() == pytest.approx(optimum, abs=1e-6)


@pytest.mark.r
def test_bodyweight_is_lme4s():
    d = lb.datasets.load("BodyWeight")
    m = fit("weight ~ Time + (Time | Rat)", d)
    r = lb.lmer("weight ~ Time + (Time | Rat)", d, engine="lme4")
    assert m.REMLcrit() < r.REMLcrit() - 0.1  # lme4's default stops 0.24 above
    polished = lb.lmer("weight ~ Time + (Time | Rat)", d, engine="lme4", start=m.getME("theta"))
    assert m.REMLcrit() == pytest.approx(polished.REMLcrit(), abs=1e-6)


@pytest.mark.parametrize("unit", [1e-3, 1e3, 1e-6])
def test_days_in_other_units_make_no_difference(sleepstudy, unit):
    base = fit("Reaction ~ Days + (Days | Subject)", sleepstudy)
    scaled = fit(
        "Reaction ~ Days + (Days | Subject)", sleepstudy.assign(Days=sleepstudy.Days * unit)
    )
    # REML: the criterion moves by -2 log|A| for X A, here A = diag(1, unit)
    assert scaled.REMLcrit() == pytest.approx(base.REMLcrit() + 2 * np.log(unit), abs=1e-7)
    assert scaled.fixef()["Days"] * unit == pytest.approx(base.fixef()["Days"], rel=1e-8)
    assert scaled.VarCorr().sdcor[1] * unit == pytest.approx(base.VarCorr().sdcor[1], rel=1e-4)
    assert scaled.result.evidence.converged


@pytest.mark.skipif(not lb.datasets.is_local("bounce"), reason="bounce is not on this machine")
def test_bounce_where_document_1_does_not_converge():
    # the document scales by the population's standard deviation, which R's scale() does not
    age = "I((age - mean(age)) / (sd(age) * sqrt(479 / 480)))"
    m = fit(f"bounce_time ~ {age} + ({age} | county)", lb.datasets.load("bounce"))
    assert m.logLik() == pytest.approx(-1731.5176, abs=5e-5)  # lme4's; document 1: -1733.39
    assert m.result.evidence.converged


def test_standard_errors_both_ways(sleepstudy):
    """On an unbalanced random slope the joint Hessian gives other standard errors."""
    d = sleepstudy.drop(index=list(range(0, 60, 3)))
    m = fit("Reaction ~ Days + (Days | Subject)", d)
    conditional, joint = m.vcov(), m.vcov("joint")
    assert m.result.estimates.vcov_definition == "conditional"
    # conditional is (X' V^-1 X)^-1 at the estimates
    Z, L = m.getME("Z"), m.getME("Lambda")
    V = m.sigma() ** 2 * (np.eye(m.nobs()) + (Z @ L @ L.T @ Z.T).toarray())
    X = m.getME("X")
    np.testing.assert_allclose(conditional, np.linalg.inv(X.T @ np.linalg.solve(V, X)), rtol=1e-7)
    # joint is what plain MixedLM, unscaled, reports at the same estimates
    from statsmodels.regression.mixed_linear_model import MixedLM, MixedLMParams

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = MixedLM.from_formula("Reaction ~ Days", d, groups="Subject", re_formula="~Days")
    model.reml = True
    term = m.result.estimates.random[0]
    at = MixedLMParams.from_components(m.fixef().to_numpy(), term.covariance / m.sigma() ** 2)
    hessian, _ = model.hessian(at)
    np.testing.assert_allclose(joint, np.linalg.inv(-hessian)[:2, :2], rtol=1e-6)
    assert abs(joint.iloc[1, 1] / conditional.iloc[1, 1] - 1) > 1e-4


def test_plain_mixedlm_has_the_same_likelihood(sleepstudy):
    for reml in (True, False):
        m = fit("Reaction ~ Days + (Days | Subject)", sleepstudy, REML=reml)
        other = plain("Reaction ~ Days", sleepstudy, "Subject", "~Days", reml=reml)
        assert m.logLik() == pytest.approx(other.llf, abs=1e-6)


def dense_criterion(m):
    """-2 log-likelihood from a dense multivariate normal density (with REML's determinant)."""
    frame = m.frame
    w = np.ones(m.nobs()) if frame.weights is None else frame.weights
    Z, L, X = m.getME("Z").toarray(), m.getME("Lambda").toarray(), m.getME("X")
    V = m.sigma() ** 2 * (np.diag(1 / w) + Z @ L @ L.T @ Z.T)
    r = frame.y - (0 if frame.offset is None else frame.offset) - X @ m.fixef().to_numpy()
    value = np.linalg.slogdet(2 * np.pi * V)[1] + r @ np.linalg.solve(V, r)
    if m.result.call.REML:
        p = X.shape[1]
        value += np.linalg.slogdet(X.T @ np.linalg.solve(V, X))[1] - p * np.log(2 * np.pi)
    return value


@pytest.mark.parametrize("REML", [True, False])
@pytest.mark.parametrize(
    ("formula", "arguments"),
    [
        ("y ~ x + (x | g)", {}),
        ("y ~ x + (x || g)", {}),
        ("y ~ x + (1 | g) + (1 | h)", {}),
        ("y ~ x + z + (0 + x | g)", {"weights": "w"}),
        ("y ~ f + (1 | g)", {"offset": "z"}),
        ("y ~ x + (x + z | g)", {"weights": "w", "offset": "z"}),
        ("y ~ x + (1 | f2/g)", {}),
        ("y ~ x + (1 | g) + (1 | g:f)", {}),
    ],
)
def test_the_criterion_is_that_of_the_density(simulated, formula, arguments, REML):
    d = simulated.assign(f2=simulated.g // 4)
    m = fit(formula, d, REML=REML, **arguments)
    # where a variance is 0 the criterion was taken at FLOOR, which costs a multiple of FLOOR^2
    at_floor = 1e-6 if m.isSingular() else 1e-9
    assert m.result.criterion.value == pytest.approx(dense_criterion(m), rel=1e-9, abs=at_floor)


def test_modes_and_their_variances_are_those_of_the_normal_distribution(simulated):
    m = fit("y ~ x + (x | g) + (1 | g:f)", simulated)
    Z, L, X = m.getME("Z").toarray(), m.getME("Lambda").toarray(), m.getME("X")
    D = m.sigma() ** 2 * L @ L.T
    V = Z @ D @ Z.T + m.sigma() ** 2 * np.eye(len(X))
    modes = D @ Z.T @ np.linalg.solve(V, m.frame.y - X @ m.fixef().to_numpy())
    spread = np.sqrt(np.diag(D - D @ Z.T @ np.linalg.solve(V, Z @ D)))
    np.testing.assert_allclose(m.getME("b"), modes, atol=1e-7)
    own = np.concatenate(
        [
            np.sqrt(np.diagonal(t.variances, axis1=1, axis2=2)).ravel()
            for t in m.result.estimates.random
        ]
    )
    np.testing.assert_allclose(own, spread, atol=1e-6)
    np.testing.assert_allclose(m.fitted(), X @ m.fixef().to_numpy() + Z @ modes, atol=1e-7)


def test_large_crossed_models_are_refused_with_the_limit():
    rng = np.random.default_rng(0)
    n = 3000
    d = pd.DataFrame(
        {"a": rng.integers(0, 400, n), "b": rng.integers(0, 300, n), "y": rng.normal(size=n)}
    )
    with pytest.raises(UnsupportedModelError, match=f"limit is {MOST_CROSSED_EFFECTS}"):
        fit("y ~ 1 + (1 | a) + (1 | b)", d)


def test_counts_are_lme4s(sleepstudy):
    m = fit("Reaction ~ Days + (Days | Subject)", sleepstudy)
    assert (m.df_residual(), m.result.criterion.parameters) == (174, 6)
    assert m.AIC() == pytest.approx(m.REMLcrit() + 12)
    assert m.BIC() == pytest.approx(m.REMLcrit() + 6 * np.log(180))


def test_an_uncertified_fit_says_so(simulated, monkeypatch):
    from lmerbridge.engines.statsmodels import engine

    monkeypatch.setattr(engine, "SETTINGS", replace(SETTINGS, tolerance=-1.0))
    m = fit("y ~ x + (1 | g)", simulated)
    assert not m.result.evidence.converged
    assert m.result.evidence.messages[0].startswith("Model failed to converge")
    assert "convergence code: 1" in str(m.summary())


@given(st.integers(1, 4), st.integers(0, 10_000))
def test_triangular_keeps_the_product(k, seed):
    F = np.random.default_rng(seed).normal(size=(k, k))
    L = triangular(F)
    np.testing.assert_allclose(L @ L.T, F @ F.T, atol=1e-10)
    assert np.allclose(L, np.tril(L))
    assert (np.diag(L) >= 0).all()


def test_scaling_leaves_columns_of_unit_size(simulated):
    from lmerbridge.design import build_frame

    frame = build_frame(
        "y ~ x + I(z * 1e6) + (x + w | g)",
        simulated.assign(w=simulated.w + 2000),
        control=lb.lmerControl(check_scaleX="ignore"),
    )
    problem = make_problem(frame)
    np.testing.assert_allclose(problem.X.T @ problem.X / 160, np.eye(3), atol=1e-10)
    np.testing.assert_allclose(np.mean(problem.correlated.columns**2, axis=0), 1, atol=1e-8)


@pytest.mark.parametrize(
    "formula", ["y ~ x + (x | g)", "y ~ x + (1 | g) + (1 | h)", "y ~ x + (x || g)"]
)
def test_it_starts_from_the_native_optimum_unless_told_not_to(simulated, formula):
    warm, cold = (
        lb.lmer(formula, simulated, engine="statsmodels", start=start) for start in (None, "cold")
    )
    assert "from the native engine's optimum" in warm.result.evidence.message
    assert "native" not in cold.result.evidence.message
    assert warm.result.evidence.evaluations < cold.result.evidence.evaluations
    assert warm.result.criterion.value == pytest.approx(cold.result.criterion.value, abs=1e-6)
    assert warm.result.provenance.engine == "statsmodels"
