"""Every verdict, provoked: by engines that are tampered with, by rivals, by stored values."""

import ast
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import lmerbridge as lb
from checkout import REFERENCE
from lmerbridge import crosscheck
from lmerbridge.crosscheck import (
    VERDICTS,
    Case,
    Referee,
    Reference,
    check,
    golden,
    judge,
    load_cases,
    of_result,
    run_case,
)
from lmerbridge.crosscheck.expectations import UNAVAILABLE
from lmerbridge.crosscheck.report import explanations
from lmerbridge.crosscheck.suite import CaseReport, Outcome
from lmerbridge.crosscheck.verdict import HARMLESS, Verdict
from lmerbridge.design import build_frame
from lmerbridge.engines import (
    LINEAR_MIXED,
    Engine,
    FitSpec,
    Status,
    load_engine,
    register_engine,
    status_of,
)
from lmerbridge.errors import FitFailedError
from lmerbridge.likelihood import joint_vcov

pytestmark = pytest.mark.filterwarnings("ignore::lmerbridge.errors.FitWarning")
FORMULA = "y ~ x + f + (x | g)"


class Tampered(Engine):
    """The native engine with something done to the frame, the call or the result."""

    name = "tampered"
    summary = "for tests"
    supports = LINEAR_MIXED

    def __init__(self, before=None, after=None, call=None):
        self.before, self.after, self.call = before, after, call

    def status(self):
        return Status(True, "1")

    def limits(self, frame, spec):
        return None

    def fit(self, frame, spec):
        if self.before is not None:
            frame = self.before(frame)
        if self.call is not None:
            spec = self.call(spec)
        result = load_engine("native").fit(frame, spec)
        if self.after is not None:
            result = self.after(result)
        return replace(result, provenance=replace(result.provenance, engine="tampered"))


@pytest.fixture
def tampered():
    """Registers a tampered engine; the judgement on it against the native one."""

    def judge(data, formula=FORMULA, REML=True, before=None, after=None, call=None, **arguments):
        register_engine("tampered", lambda: Tampered(before, after, call))
        found = check(formula, data, ["native", "tampered"], REML, **arguments)
        return found.report.outcomes[1]

    yield judge
    register_engine("tampered", None)


def estimates(result, **changes):
    return replace(result, estimates=replace(result.estimates, **changes))


def at_theta(frame, result, theta, **evidence):
    """What a correct engine would report that stopped at ``theta``."""
    own = Referee(frame, FitSpec(REML=result.call.REML)).own(result, np.asarray(theta))
    return replace(own, evidence=replace(own.evidence, **evidence))


def test_agreement(simulated, tampered):
    outcome = tampered(simulated)
    assert outcome.verdict.kind == "agree"
    assert outcome.well


def test_one_percent_on_one_standard_error_is_unexplained(simulated, tampered):
    def more(result):
        vcov = result.estimates.vcov.copy()
        vcov[1, 1] *= 1.01**2
        return estimates(result, vcov=vcov)

    outcome = tampered(simulated, after=more)
    assert outcome.verdict.kind == "unexplained"
    assert not outcome.well
    assert "standard errors" in outcome.verdict.sentence
    assert "x is off by 0.01 (relative)" in outcome.verdict.sentence


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda r: estimates(r, beta=r.estimates.beta * 1.01), "fixed effects"),
        (lambda r: estimates(r, sigma=r.estimates.sigma * 1.05), "std. deviations"),
        (
            lambda r: replace(
                r, criterion=replace(r.criterion, value=r.criterion.value + 0.5, AIC=0.0)
            ),
            "criterion",
        ),
    ],
)
def test_numbers_that_do_not_belong_to_theta_are_unexplained(simulated, tampered, change, word):
    outcome = tampered(simulated, after=change)
    assert outcome.verdict.kind == "unexplained"
    assert word in outcome.verdict.sentence


def test_a_dropped_row_is_other_data(simulated, tampered):
    def without_fifth(frame):
        kept = np.delete(np.arange(len(simulated)), 4)
        return build_frame(FORMULA, simulated, subset=kept)

    outcome = tampered(simulated, before=without_fifth)
    assert outcome.verdict.kind == "other data"
    assert "1 row(s) less" in outcome.verdict.sentence
    assert any("left out row 5" in str(f) for f in outcome.verdict.facts)


def test_another_response_is_other_data(simulated, tampered):
    def moved(frame):
        return frame.with_response(np.where(np.arange(frame.nobs) == 7, frame.y + 3, frame.y))

    outcome = tampered(simulated, before=moved)
    assert outcome.verdict.kind == "other data"
    assert "another response" in outcome.verdict.sentence


def test_other_levels_are_other_data(simulated, tampered):
    def merged(frame):
        return build_frame(FORMULA, simulated.assign(g=simulated.g.replace(1, 0)))

    outcome = tampered(simulated, before=merged)
    assert outcome.verdict.kind == "other data"
    assert "another grouping g" in outcome.verdict.sentence


def test_sum_contrasts_against_treatment_are_other_data(simulated, tampered):
    def sums(frame):
        return build_frame(FORMULA, simulated, contrasts={"f": "contr.sum"})

    outcome = tampered(simulated, before=sums)
    assert outcome.verdict.kind == "other data"
    assert "the same model in another coding" in outcome.verdict.sentence


def test_integers_sorted_as_text_are_other_data(simulated, tampered):
    """10 before 2 and 9: another reference level."""
    own = simulated.assign(k=np.tile([2, 9, 10, 2], 40))

    def as_text(frame):
        levels = ["10", "2", "9"]
        k = pd.Categorical(own.k.astype(str), categories=levels)
        text = own.assign(k=k)
        return build_frame("y ~ x + factor(k) + (1 | g)", text)

    outcome = tampered(own, "y ~ x + factor(k) + (1 | g)", before=as_text)
    assert outcome.verdict.kind == "other data"
    assert "reference level" in outcome.verdict.sentence


def test_ml_for_reml_is_another_criterion(simulated, tampered):
    outcome = tampered(simulated, call=lambda spec: replace(spec, REML=False))
    assert outcome.verdict.kind == "other criterion"
    assert "ML where REML was asked for" in outcome.verdict.sentence
    outcome = tampered(simulated, REML=False, call=lambda spec: replace(spec, REML=True))
    assert "REML where ML was asked for" in outcome.verdict.sentence


def test_ignored_weights_are_another_criterion(simulated, tampered):
    outcome = tampered(
        simulated, before=lambda f: replace(f, rows=replace(f.rows, weights=None)), weights="w"
    )
    assert outcome.verdict.kind == "other criterion"
    assert "no weights" in outcome.verdict.sentence


def test_another_optimum(simulated, tampered):
    frame = build_frame(FORMULA, simulated)

    def stops_short(result):
        return at_theta(frame, result, result.estimates.theta * 1.5)

    outcome = tampered(simulated, after=stops_short)
    assert outcome.verdict.kind == "other optimum"
    assert "whose numbers are the better ones" in outcome.verdict.sentence
    gap = outcome.verdict.facts[0].value - outcome.verdict.facts[1].value
    assert gap > 1e-3

    def says_so(result):
        return at_theta(frame, result, result.estimates.theta * 1.5, converged=False)

    outcome = tampered(simulated, after=says_so)
    assert outcome.verdict.kind == "not converged"


def test_a_better_optimum_is_well(simulated):
    frame = build_frame(FORMULA, simulated)
    register_engine(
        "tampered",
        lambda: Tampered(after=lambda r: at_theta(frame, r, r.estimates.theta * 1.5)),
    )
    try:
        spec = FitSpec()
        short = load_engine("tampered").fit(frame, spec)
        good = load_engine("native").fit(frame, spec)
    finally:
        register_engine("tampered", None)
    e = short.estimates
    reference = Reference("tampered", of_result(short), e.theta, short.evidence.singular)
    verdict, _, _ = judge(Referee(frame, spec), good, reference)
    assert verdict.kind == "better optimum"
    gap = short.criterion.value - good.criterion.value
    assert gap > 1e-3
    assert verdict.sentence == (
        f"native's criterion is {gap:.2g} below that of tampered, which stopped short"
    )
    assert verdict.well


def test_joint_standard_errors_are_another_definition(simulated, tampered):
    unbalanced = simulated[:130]
    frame = build_frame(FORMULA, unbalanced)

    def joint(result):
        c = Referee(frame, FitSpec()).products
        return estimates(result, vcov=joint_vcov(c, result.estimates.theta, True))

    outcome = tampered(unbalanced, after=joint)
    assert outcome.verdict.kind == "same optimum, other definition"
    assert "joint Hessian" in outcome.verdict.sentence


def test_joint_standard_errors_are_statsmodels(simulated):
    for REML in (True, False):
        m = lb.lmer("y ~ x + (x | g)", simulated[:130], REML=REML, engine="statsmodels")
        c = Referee(m.frame, FitSpec(REML=REML)).products
        ours = joint_vcov(c, m.getME("theta").to_numpy(), REML)
        np.testing.assert_allclose(ours, m.vcov("joint").to_numpy(), rtol=2e-3)


def test_no_log_likelihood_is_not_converged(simulated, tampered):
    outcome = tampered(
        simulated,
        after=lambda r: replace(r, criterion=replace(r.criterion, value=math.nan)),
    )
    assert outcome.verdict.kind == "not converged"
    assert "no log-likelihood" in outcome.verdict.sentence


def test_counts_and_constants_are_other_definitions(simulated, tampered):
    n = len(simulated)

    def shifted(result):
        constant = n * math.log(2 * math.pi)
        criterion = replace(
            result.criterion,
            value=result.criterion.value - constant,
            AIC=result.criterion.AIC - constant,
            BIC=result.criterion.BIC - constant,
        )
        return replace(result, criterion=criterion)

    outcome = tampered(simulated, after=shifted)
    assert outcome.verdict.kind == "same optimum, other definition"
    assert "leaves out the constant n log(2 pi)" in outcome.verdict.sentence

    def counts(result):
        return replace(result, criterion=replace(result.criterion, AIC=math.nan, df_residual=n - 5))

    outcome = tampered(simulated, after=counts)
    assert outcome.verdict.kind == "same optimum, other definition"
    assert "has no AIC under REML" in outcome.verdict.sentence
    assert "n less fixed effects alone" in outcome.verdict.sentence


FLAT = pd.DataFrame({"g": np.repeat(np.arange(6), 4), "h": np.tile(np.arange(4), 6)})
FLAT["y"] = np.random.default_rng(4).normal(size=24) + FLAT.g


def test_what_the_criterion_does_not_tell_apart_is_flat(tampered):
    """Two intercepts on factors with the same levels: only the sum of their variances counts."""
    twice = FLAT.assign(k=FLAT.g)
    formula = "y ~ 1 + (1 | g) + (1 | k)"
    frame = build_frame(formula, twice)

    def turned(result):
        one, two = result.estimates.theta
        return at_theta(frame, result, [math.hypot(one, two) * 0.6, math.hypot(one, two) * 0.8])

    outcome = tampered(twice, formula, after=turned)
    assert outcome.verdict.kind == "flat"
    assert outcome.well


def test_what_is_not_defined_at_the_boundary(tampered):
    rng = np.random.default_rng(0)
    d = pd.DataFrame({"g": np.repeat(np.arange(10), 6), "y": rng.normal(size=60)})
    d["y"] -= d.groupby("g").y.transform("mean")  # nothing between groups
    d["x"] = np.tile(np.arange(6.0), 10)

    def other(result):
        random = tuple(
            replace(term, deviations=term.deviations + 0.02 * result.estimates.sigma)
            for term in result.estimates.random
        )
        return estimates(result, random=random)

    outcome = tampered(d, "y ~ x + (1 | g)", after=other)
    assert outcome.verdict.kind == "unexplained"  # its SD is not its theta's

    def near(result):
        frame = build_frame("y ~ x + (1 | g)", d)
        moved = at_theta(frame, result, [8e-5])
        return replace(moved, evidence=replace(moved.evidence, singular=True))

    outcome = tampered(
        d,
        "y ~ x + (1 | g)",
        after=near,
        tolerances={"std. deviations": (1e-3, "to see the boundary")},
    )
    assert outcome.verdict.kind == "boundary"
    assert outcome.well


def test_failed_refused_unavailable(simulated, monkeypatch):
    class Broken(Tampered):
        def fit(self, frame, spec):
            raise ZeroDivisionError("oops")

    class Says(Tampered):
        def fit(self, frame, spec):
            raise FitFailedError("no way")

    class Absent(Tampered):
        def status(self):
            return Status(False, None, "not there")

    for kind, word, verdict in (
        (Broken, "ZeroDivisionError: oops", "failed"),
        (Says, "no way", "failed"),
        (Absent, "not there", "unavailable"),
    ):
        register_engine("tampered", kind)
        outcome = check(FORMULA, simulated, ["native", "tampered"]).report.outcomes[1]
        assert outcome.verdict.kind == verdict
        assert word in outcome.verdict.sentence
        assert outcome.well == (verdict == "unavailable")
    register_engine("tampered", None)
    found = check("y ~ x + (x | g) + (z | h)", simulated, ["native", "statsmodels"])
    assert found.verdicts["statsmodels"].kind == "refused"
    assert found.well


def test_a_tampered_golden_value_is_caught(monkeypatch):
    from lmerbridge.crosscheck import suite

    case = next(c for c in load_cases() if c.name == "sleepstudy-intercept")
    record = golden(case)
    for which in ("default", "polished"):
        beta = list(record[which]["beta"])
        record[which] = {**record[which], "beta": [beta[0], beta[1] * 1.01]}
    monkeypatch.setattr(suite, "golden", lambda _: record)
    outcome = run_case(case, ["native"]).outcomes[0]
    assert outcome.verdict.kind == "unexplained"
    assert "golden's fixed effects are not what belongs to its own theta" in (
        outcome.verdict.sentence
    )


def test_an_expected_verdict_is_well_and_only_that(simulated, tampered):
    def call(spec):
        return replace(spec, REML=False)

    right = tampered(simulated, call=call, expect={"tampered": "other criterion"})
    assert right.well
    assert not tampered(simulated, call=call, expect={"tampered": "flat"}).well
    assert not tampered(simulated, expect={"tampered": "other criterion"}).well


def test_the_verdicts_that_are_given_are_those_of_the_list():
    """Every kind that the code gives has its words, and no words are left of a kind that went."""
    given = set()
    for path in Path(crosscheck.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Verdict":
                kind = node.args[0]
                said = [kind.body, kind.orelse] if isinstance(kind, ast.IfExp) else [kind]
                given |= {one.value for one in said if isinstance(one, ast.Constant)}
                given |= {UNAVAILABLE for one in said if getattr(one, "id", "") == "UNAVAILABLE"}
    assert given == set(VERDICTS)
    assert set(VERDICTS) > HARMLESS
    assert len(set(VERDICTS.values())) == len(VERDICTS)


RIVALS = {
    ("statsmodels-plain", "sleepstudy"): "same optimum, other definition",
    ("mixedlm", "sleepstudy"): "same optimum, other definition",
    ("nlme", "sleepstudy"): "same optimum, other definition",
    ("glmmTMB", "sleepstudy"): "same optimum, other definition",
    ("glmm", "sleepstudy"): "agree",
    ("glmm", "Pastes"): "agree",
    ("lme-python", "sleepstudy"): "agree",
    ("lme-python", "Pastes"): "agree",
    ("interlace", "sleepstudy"): "failed",  # it reads (Days | Subject) without an intercept
    ("interlace", "sleepstudy-intercept"): "agree",
    ("nlme", "Pastes"): "same optimum, other definition",
    ("glmmTMB", "Penicillin"): "same optimum, other definition",
    ("statsmodels-plain", "Penicillin"): "refused",
    ("gpboost", "sleepstudy"): "refused",
}


SEEN_ON = load_cases(REFERENCE / "zoo.toml")[0].seen_on


@pytest.mark.parametrize(("engine", "name"), list(RIVALS))
def test_rivals_are_judged_by_the_same_rules(engine, name):
    if not status_of(engine).available:
        pytest.skip(f"{engine}: {status_of(engine).problem}")
    case = next(c for c in load_cases() if c.name == name)
    outcome = run_case(case, [engine]).outcomes[0]
    if outcome.version != SEEN_ON.get(engine, outcome.version):
        outcome = replace(outcome, expected=(RIVALS[engine, name],), seen_on=SEEN_ON[engine])
        assert outcome.well  # another version may come to another verdict, if it is explained
        return
    assert outcome.verdict.kind == RIVALS[engine, name]


def test_another_version_may_come_to_another_verdict():
    def of(kind, engine="nlme", seen_on="3.1.0", expected=("other criterion",), version="3.2.0"):
        return Outcome(
            engine, Verdict(kind, "so"), expected=expected, seen_on=seen_on, version=version
        )

    assert of("agree").well
    assert of("agree").moved
    assert of("failed").well
    assert not of("agree", version="3.1.0").well
    assert not of("agree", seen_on="").well
    assert not of("unexplained").well
    lines = explanations(CaseReport(Case("a", "b", "c"), (of("agree"),)))
    assert any("'other criterion', as of nlme 3.1.0; this is 3.2.0" in line for line in lines)
    # lme4 itself may only stop elsewhere
    for kind, well in [("other optimum", True), ("failed", False), ("other data", False)]:
        assert of(kind, "lme4", "1.1.31", ()).well is well
    assert not of("other optimum", "lme4", "1.1.31", (), version="1.1.31").well


@pytest.mark.r
def test_drift_of_lme4_is_reported_as_drift(monkeypatch):
    from lmerbridge.crosscheck import suite

    case = next(c for c in load_cases() if c.name == "sleepstudy-intercept")
    record = golden(case)
    record["default"] = {**record["default"], "sigma": record["default"]["sigma"] * 1.02}
    record["made_by"] = {**record["made_by"], "lme4": "1.0"}
    monkeypatch.setattr(suite, "golden", lambda _: record)
    outcome = run_case(case, ["lme4"]).outcomes[0]
    assert not outcome.well
    assert any("drift: lme4 " in n and "golden values of lme4 1.0" in n for n in outcome.notes)
