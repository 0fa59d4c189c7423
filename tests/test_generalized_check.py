"""Generalized models in the harness: the referee, the verdicts, the suite, baselines, the commands.

Golden values are lme4's (reference/golden.R); what is expected otherwise is of the definitions.
"""

import copy
import json
import tomllib
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import lmerbridge as lb
from checkout import CHECKOUT, REFERENCE, loaded
from lmerbridge.crosscheck import golden, golden_since, load_cases, read_data, run_case, suite
from lmerbridge.crosscheck.generalized_referee import GeneralizedReferee
from lmerbridge.crosscheck.generalized_verdict import BY_DIFFERENCES, judge_generalized
from lmerbridge.crosscheck.quantities import of_golden, of_result
from lmerbridge.crosscheck.verdict import Reference
from lmerbridge.engines import FitSpec, load_engine
from lmerbridge.errors import ArgumentError, DataError

CASES = {c.name: c for c in load_cases(REFERENCE / "generalized.toml")}
CBPP = "cbind(incidence, size - incidence) ~ period + (1 | herd)"


@pytest.fixture(scope="module")
def cbpp():
    return lb.datasets.load("cbpp")


@pytest.fixture(scope="module")
def frame():
    return suite.frame_of(CASES["cbpp"], read_data(CASES["cbpp"]))


@pytest.fixture(scope="module")
def probit():
    return suite.frame_of(CASES["cbpp-probit"], read_data(CASES["cbpp-probit"]))


def fitted(frame, nAGQ=1):
    return load_engine("native").fit(frame, FitSpec(REML=False, nAGQ=nAGQ))


def verdict(frame, result, reference, nAGQ=1):
    referee = GeneralizedReferee(frame, FitSpec(REML=False, nAGQ=nAGQ))
    against = Reference(
        reference.provenance.engine, of_result(reference), reference.estimates.theta
    )
    return judge_generalized(referee, result, against)[0]


def test_there_are_models_enough_and_lme4_s_numbers_of_each():
    assert len(CASES) >= 25
    here = [c for c in CASES.values() if lb.datasets.is_local(c.data)]
    assert [c.name for c in here if golden(c) is None] == []
    assert {c.nAGQ for c in here} >= {0, 1, 9}


def test_golden_values_are_of_a_family_and_nodes():
    case = CASES["cbpp"]
    for other in (replace(case, nAGQ=9), replace(case, family="binomial(probit)")):
        assert golden(other) is None


EXPECTED = {
    # name: (verdict, words of it)
    "cbpp": ("better optimum", (BY_DIFFERENCES, "tolPwrss")),
    "cbpp-nAGQ0": ("same optimum, other definition", ("tolPwrss",)),
    "cbpp-nAGQ9": ("same optimum, other definition", ("the constant of the saturated model",)),
    "cbpp-probit": ("agree", ()),
    "epil-slope": ("better optimum", ("lme4 polished has native's estimates",)),
    "bacteria": ("agree", ()),
    "salamander": ("agree", ()),
    "sleepstudy-gamma": ("other criterion", ("modes for a dispersion of 1, as lme4 has",)),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_native_against_lme4_s_numbers(name):
    (outcome,) = run_case(CASES[name], ["native"]).outcomes
    kind, words = EXPECTED[name]
    assert outcome.verdict.kind == kind
    assert outcome.well
    for word in words:
        assert word in outcome.verdict.sentence


@pytest.mark.parametrize("name", ["cbpp", "cbpp-nAGQ9", "epil-slope", "toenail-nAGQ0"])
def test_native_agrees_with_lme4_2_1_as_called(name, monkeypatch):
    """lme4 2.1 mended the inner iteration's tolerance and the constants of nAGQ > 1."""
    case = CASES[name]
    record = golden_since(case, "2.1.0")
    assert record["made_by"]["lme4"] == "2.1.0"
    monkeypatch.setattr(suite, "golden", lambda case: record)
    (outcome,) = run_case(case, ["native"]).outcomes
    assert outcome.verdict.kind == "agree"


def test_the_dispersion_of_lme4_2_1_is_not_at_its_fixed_point(monkeypatch):
    """The same optimum, and a criterion that is 0.003 off that of lme4's own estimates."""
    case = CASES["sleepstudy-gamma"]
    record = golden_since(case, "2.1.0")
    monkeypatch.setattr(suite, "golden", lambda case: record)
    (outcome,) = run_case(case, ["native"]).outcomes
    assert outcome.verdict.kind == "same optimum, other definition"
    assert "iteration for the dispersion ended early" in outcome.verdict.sentence
    assert "conditional standard deviations are multiplied by sigma" in outcome.verdict.sentence


@pytest.mark.r
def test_lme4_is_as_it_was():
    report = run_case(CASES["cbpp"], ["native", "lme4"])
    assert report.well
    found = {o.engine: o for o in report.outcomes}
    assert found["lme4"].verdict.kind in ("agree", "better optimum")
    assert found["native"].against in ("lme4", "lme4 polished")


def test_a_stored_number_that_was_changed_is_seen(monkeypatch):
    record = copy.deepcopy(golden(CASES["cbpp"]))
    record["default"]["beta"][1] += 0.1
    monkeypatch.setattr(suite, "golden", lambda case: record)
    monkeypatch.setattr(suite, "golden_since", lambda case, version: None)
    (outcome,) = run_case(CASES["cbpp"], ["native"]).outcomes
    assert outcome.verdict.kind == "unexplained"
    assert "the stored values were changed" in outcome.verdict.sentence


def test_another_approximation_is_another_criterion(frame, probit):
    laplace, rough = fitted(frame), fitted(frame, nAGQ=0)
    found = verdict(frame, rough, laplace)
    assert found.kind == "other criterion"
    assert "nAGQ = 0" in found.sentence
    # the observed information, where the link is not canonical
    laplace = fitted(probit)
    at = laplace.estimates
    referee = GeneralizedReferee(probit, FitSpec(REML=False))
    value = referee.value(at.theta, at.beta, observed=True)
    assert abs(value - laplace.criterion.value) > 1e-3
    other = replace(laplace, criterion=replace(laplace.criterion, value=value))
    found = verdict(probit, other, laplace)
    assert found.kind == "other criterion"
    assert "observed information" in found.sentence


def test_standard_errors_given_theta_have_their_name():
    frame = suite.frame_of(CASES["epil-slope"], read_data(CASES["epil-slope"]))
    result = fitted(frame)
    given = result.estimates.other_vcov["conditional"]
    other = replace(result, estimates=replace(result.estimates, vcov=given))
    found = verdict(frame, other, result)
    assert found.kind == "same optimum, other definition"
    assert "given theta" in found.sentence
    # others that no definition gives
    wrong = replace(result, estimates=replace(result.estimates, vcov=1.1 * result.estimates.vcov))
    assert verdict(frame, wrong, result).kind == "unexplained"


def test_another_point_is_another_optimum(frame):
    result = fitted(frame)
    referee = GeneralizedReferee(frame, FitSpec(REML=False))
    beta = result.estimates.beta + 0.05
    value = referee.value(result.estimates.theta, beta)
    away = replace(
        result,
        estimates=replace(result.estimates, beta=beta),
        criterion=replace(result.criterion, value=value),
    )
    found = verdict(frame, away, result)
    assert found.kind == "other optimum"
    assert verdict(frame, result, away).kind == "better optimum"
    no = replace(away, evidence=replace(away.evidence, converged=False))
    assert verdict(frame, no, result).kind == "not converged"


def test_the_saturated_likelihood_is_that_of_the_proportions(frame, cbpp):
    successes, sizes = cbpp["incidence"].to_numpy(), cbpp["size"].to_numpy()
    expected = -2 * stats.binom.logpmf(successes, sizes, successes / sizes).sum()
    found = GeneralizedReferee(frame, FitSpec(REML=False)).saturated
    assert found == pytest.approx(expected, abs=1e-9)


def test_the_referee_s_covariance_is_of_second_differences(frame):
    referee = GeneralizedReferee(frame, FitSpec(REML=False))
    at = fitted(frame).estimates
    x, steps = np.append(at.theta, at.beta), np.append(0.01, np.full(4, 0.02))
    size = len(x)

    def value(*moves):
        moved = x.copy()
        for i, sign in moves:
            moved[i] += sign * steps[i]
        return referee.value(moved[:1], moved[1:])

    hessian = np.empty((size, size))
    for i in range(size):
        for j in range(size):
            change = value((i, 1), (j, 1)) - value((i, 1), (j, -1))
            change -= value((i, -1), (j, 1)) - value((i, -1), (j, -1))
            hessian[i, j] = change / (4 * steps[i] * steps[j])
    expected = np.sqrt(np.diag(2 * np.linalg.inv(hessian)))[1:]
    found = np.sqrt(np.diag(referee.covariances(at.theta, at.beta)["joint"]))
    assert found == pytest.approx(expected, rel=2e-3)


def test_check_takes_a_family(cbpp):
    found = lb.check(CBPP, cbpp, ["native", "statsmodels"], family=lb.families.binomial("probit"))
    assert found.well
    assert found.verdicts["statsmodels"].kind == "refused"
    assert found.report.case.family == "binomial(link='probit')"
    with pytest.raises(DataError, match="criterion of linear models"):
        found.plot_criterion("native", "statsmodels")
    with pytest.raises(ArgumentError, match="nAGQ"):
        lb.check(CBPP, cbpp, ["native"], nAGQ=2)
    size = lb.families.negative_binomial(2.0)
    found = lb.check("incidence ~ period + (1 | herd)", cbpp, ["native"], family=size)
    assert found.report.case.family == "negative.binomial(theta=2.0, link='log')"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('family = "binomal"', r"models.toml:5.*binomal"),
        ("family = 1", "family must be a text"),
        ('family = "gaussian"', "family of a linear model"),
        ("nAGQ = 1", "nAGQ is of a model with a family"),
        ('family = "poisson"\nnAGQ = 1.5', "nAGQ must be a whole number"),
        ('family = "poisson"\nREML = true', "REML is of a model without a family"),
    ],
)
def test_a_file_s_mistakes_are_named(tmp_path, line, words):
    path = tmp_path / "models.toml"
    head = '[[model]]\nname = "a"\ndata = "epil"\nformula = "y ~ trt + (1 | subject)"\n'
    path.write_text(f"{head}{line}\n")
    with pytest.raises(DataError, match=words):
        load_cases(path)


@pytest.fixture
def mine(tmp_path, run):
    """A suite of one's own, recorded."""
    models, baseline = tmp_path / "models.toml", tmp_path / "baseline.json"
    models.write_text(
        '[[model]]\nname = "a"\ndata = "cbpp"\nfamily = "binomial"\n'
        f'formula = "{CBPP}"\n[[model]]\nname = "b"\ndata = "epil"\nfamily = "poisson"\n'
        'formula = "y ~ trt + (1 | subject)"\n'
    )
    assert run("check", str(models), "--engine", "native", "--record", str(baseline))[0] == 0
    return models, baseline


def test_a_baseline_of_generalized_models(mine, run):
    models, baseline = mine
    again = ["check", str(models), "--engine", "native", "--baseline", str(baseline)]
    assert run(*again)[0] == 0
    text = models.read_text()
    models.write_text(text.replace('family = "binomial"', 'family = "binomial"\nnAGQ = 5'))
    status, out, _ = run(*again)
    assert status == 1
    assert "not the one of the baseline" in " ".join(out.split())
    models.write_text(text)
    record = json.loads(baseline.read_text())
    criterion = record["fits"]["a"]["engines"]["native"]["quantities"]["values"]["criterion"]
    criterion["criterion"] += 0.01
    baseline.write_text(json.dumps(record))
    status, out, _ = run(*again)
    assert status == 1
    assert "other numbers than the baseline" in " ".join(out.split())


def test_the_command_fits_a_family(run):
    status, out, _ = run("fit", CBPP, "cbpp", "--family", "binomial", "--engine", "native")
    assert status == 0
    assert "Family: binomial  ( logit )" in out
    assert "0.6423" in out
    status, _, err = run("fit", CBPP, "cbpp", "--nAGQ", "3", "--engine", "native")
    assert status != 0
    assert "--family" in err


# As documents print lme4's answer by default (the example of its help; Nguyen, A Guide on Data
# Analysis, section on numerical integration): estimates and standard errors.
PRINTED = {
    "(Intercept)": (-1.3983, 0.2312),
    "period2": (-0.9919, 0.3032),
    "period3": (-1.1282, 0.3228),
    "period4": (-1.5797, 0.4220),
}


def test_lme4_s_stored_numbers_are_those_that_documents_print(frame):
    found = of_golden(golden(CASES["cbpp"]), "default", "golden")
    for name, (estimate, error) in PRINTED.items():
        assert found.values["fixed effects"][name] == pytest.approx(estimate, abs=5.1e-5)
        assert found.values["standard errors"][name] == pytest.approx(error, abs=1.1e-4)
    assert found.values["std. deviations"]["herd.(Intercept)"] == pytest.approx(0.6421, abs=5e-5)
    # and they are not those of the likelihood: the printed errors are 1 % off
    exact = fitted(frame).estimates
    printed = np.array([error for _, error in PRINTED.values()])
    assert 0.005 < np.abs(printed / np.sqrt(np.diag(exact.vcov)) - 1).max() < 0.02


def test_the_wheel_has_the_numbers_whose_data_it_has():
    if not (CHECKOUT / "scripts").is_dir():
        pytest.skip("run from an installed wheel")
    left = loaded("wheel_data").without_data(REFERENCE)
    assert "VerbAgg" in left
    assert "cbpp" not in left
    models = tomllib.loads((REFERENCE / "generalized.toml").read_text("utf-8"))["model"]
    assert left < {m["name"] for m in models}


def test_a_posterior_is_another_criterion():
    """statsmodels' Bayesian mixed GLM: near the likelihood's estimates, with other errors."""
    case = CASES["bacteria"]
    report = run_case(case, ["native", "statsmodels-bayes"])
    bayes = report.outcomes[1]
    assert bayes.verdict.kind == "other criterion"
    assert not bayes.well
    assert "posterior" in bayes.verdict.sentence
    one, two = (o.quantities.values["std. deviations"]["ID.(Intercept)"] for o in report.outcomes)
    assert two == pytest.approx(one, rel=0.2)
    # it refuses what it does not do, and takes part only where it is named
    for other, words in (("cbpp", "weights"), ("epil-slope", "correlated"), ("toenail", "minutes")):
        (outcome,) = run_case(CASES[other], ["statsmodels-bayes"]).outcomes
        assert outcome.verdict.kind == "refused"
        assert words in outcome.verdict.sentence
    linear = next(c for c in load_cases() if c.name == "sleepstudy-intercept")
    for case in (linear, replace(linear, REML=False)):
        (outcome,) = run_case(case, ["statsmodels-bayes"]).outcomes
        assert outcome.verdict.kind == "refused"
    assert "statsmodels-bayes" not in suite.available_engines()


@pytest.mark.parametrize(
    ("name", "kind"), [("salamander", "agree"), ("cbpp-probit", "other criterion")]
)
def test_glmm_has_the_observed_information(name, kind):
    pytest.importorskip("glmm")
    (outcome,) = run_case(CASES[name], ["glmm"]).outcomes
    assert outcome.verdict.kind == kind
    if kind != "agree":
        assert "the observed information" in outcome.verdict.sentence


@pytest.mark.r("glmmTMB")
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("salamander", "agree"),
        ("cbpp", "better optimum"),  # than the golden one, of lme4 1.1
        ("cbpp-probit", "other criterion"),
        ("cbpp-nAGQ9", "refused"),
    ],
)
def test_glmmTMB_has_the_observed_information(name, kind):
    (outcome,) = run_case(CASES[name], ["glmmTMB"]).outcomes
    assert outcome.verdict.kind == kind, outcome.verdict
    if kind == "other criterion":
        assert "the observed information" in outcome.verdict.sentence


@pytest.mark.parametrize("name", ["salamander", "cbpp-probit"])
def test_mixedlm_s_standard_errors_are_given_theta(name):
    pytest.importorskip("mixedlm")
    (outcome,) = run_case(CASES[name], ["mixedlm"]).outcomes
    assert outcome.verdict.kind == "same optimum, other definition"
    assert "given theta" in outcome.verdict.sentence
