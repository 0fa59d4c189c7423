"""Suites as files: what may stand in them, and how mistakes are named with their line."""

import pytest

import lmerbridge as lb
from lmerbridge.crosscheck import load_cases, run_case
from lmerbridge.errors import DataError

pytestmark = pytest.mark.filterwarnings("ignore::lmerbridge.errors.FitWarning")

HEAD = '[[model]]\nname = "a"\ndata = "b"\nformula = "c"\n'


def loaded(tmp_path, text):
    path = tmp_path / "models.toml"
    path.write_text(text)
    return load_cases(path)


def entry(text):
    return HEAD + "[[model.tolerance]]\n" + text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "models.toml has no [[model]]"),
        ("model = 3", "has no [[model]]"),
        ("model = [3]", "has no [[model]]"),
        ("[[model]]\nname = 3", 'models.toml:2: model 3 needs name = "..."'),
        ("x = ", "models.toml"),
        ("[other]", "unknown table or key 'other'; models are written as [[model]]"),
        ("[seen_on]\nnlmee = '3'\n" + HEAD, "there is no engine 'nlmee' (did you mean 'nlme'?)"),
        ("seen_on = 3\n" + HEAD, "models.toml:1: seen_on must be { engine = "),
        ("[[modell]]", "unknown table or key 'modell' (did you mean 'model'?)"),
        (HEAD + HEAD.replace("model", "case"), "has both [[model]] and [[case]]"),
        (
            HEAD + "reml = true",
            "models.toml:5: model 'a' has an unknown key 'reml' (did you mean 'REML'?)",
        ),
        (HEAD * 2, "models.toml:6: more than one model 'a'"),
        (HEAD + "REML = 1", "models.toml:5: REML must be true or false"),
        (HEAD + "weights = 1", "models.toml:5: weights must be a text"),
        (HEAD + 'contrasts = "contr.sum"', "models.toml:5: contrasts must be {"),
        (HEAD + "engines = []", "models.toml:5: engines must be"),
        (
            HEAD + 'engines = ["nativ"]',
            "models.toml:5: there is no engine 'nativ' (did you mean 'native'?)",
        ),
        (HEAD + "require = 3", "models.toml:5: require must be"),
        (
            'require = ["lm4"]\n' + HEAD,
            "models.toml:1: there is no engine 'lm4' (did you mean 'lme4'?)",
        ),
        (
            'require = ["lme4"]\n' + HEAD + 'engines = ["native"]',
            "models.toml:1: engine 'lme4' is required, and fits no model here",
        ),
        (
            HEAD + 'engines = ["native"]\nrequire = "lme4"',
            "models.toml:6: 'lme4' is required, and does not fit model 'a': its engines leave it",
        ),
        (
            HEAD + 'error = "x"\nrequire = "lme4"',
            "models.toml:6: 'lme4' is required, and does not fit model 'a': the model must be refu",
        ),
        (
            HEAD + 'expect = { native = "fine" }',
            "models.toml:5: expect of 'native': there is no verdict 'fine'",
        ),
        (
            HEAD + 'expect = { native = "agree or falt" }',
            "there is no verdict 'falt' (did you mean 'flat'?)",
        ),
        (HEAD + "expect = { native = 3 }", "models.toml:5: expect of 'native': a verdict is a"),
        (HEAD + "expect = { native = [] }", "no verdict is named"),
        (HEAD + 'expect = "flat"', "models.toml:5: expect must be {"),
        (
            HEAD + 'expect = { nativ = "flat" }',
            "models.toml:5: there is no engine 'nativ' (did you mean 'native'?)",
        ),
        (
            HEAD + 'engines = ["lme4"]\nexpect = { native = "flat" }',
            "models.toml:6: expect names 'native', which does not fit this model: its engines are",
        ),
        (HEAD + "control = 3", "models.toml:5: control must be {"),
        (
            HEAD + 'control = { optimiser = "bobyqa" }',
            "models.toml:5: lmerControl() has no setting 'optimiser' (did you mean 'optimizer'?)",
        ),
        (
            HEAD + "[model.control]\noptCtrl = 3",
            "models.toml:5: optCtrl must be a mapping of the optimizer's settings",
        ),
        (HEAD + 'start = "hot"', "models.toml:5: start must be the numbers of theta"),
        (HEAD + "start = 1.0", "models.toml:5: start must be the numbers of theta"),
        (HEAD + "start = [1.0, nan]", "models.toml:5: a value of start must be a number"),
        (HEAD + "start = { beta = [1.0] }", "models.toml:5: start takes no fixed effects"),
        (HEAD + "start = { sigma = [1.0] }", "models.toml:5: start must be theta, or a mapping"),
        (HEAD + "timeout = 0", "models.toml:5: timeout must be a positive number of seconds"),
        (HEAD + "timeout = true", "models.toml:5: timeout must be a positive number of seconds"),
        (HEAD + 'timeout = "60"', "models.toml:5: timeout must be a positive number of seconds"),
        (
            HEAD + "[model.tolerance]\nquantity = 3",
            "models.toml:5: tolerances are written as [[model.tolerance]]",
        ),
        (
            entry('quantity = "criterium"\nlimit = 1.0\nreason = "x"'),
            "there is no quantity 'criterium' (did you mean 'criterion'?)",
        ),
        (entry('quantity = ["AIC"]\nlimit = 1.0\nreason = "x"'), "there is no quantity ['AIC']"),
        (
            entry('quantity = "criterion"\nlimit = 1.0'),
            "models.toml:5: the tolerance of 'criterion' needs a reason",
        ),
        (
            entry('quantity = "criterion"\nlimit = "x"\nreason = "x"'),
            "must be a number of at least 0",
        ),
        (
            entry('quantity = "AIC"\nlimits = 1.0\nreason = "x"'),
            "a tolerance has no key 'limits' (did you mean 'limit'?)",
        ),
        (
            entry('quantity = "AIC"\nlimit = 1\nreason = "x"')
            + '\n[[model.tolerance]]\nquantity = "AIC"\nlimit = 2\nreason = "y"',
            "there is more than one tolerance of 'AIC'",
        ),
    ],
)
def test_bad_suites_are_refused(tmp_path, text, words):
    with pytest.raises(DataError) as caught:
        loaded(tmp_path, text)
    assert words in str(caught.value)


def test_case_is_read_too(tmp_path):
    found = loaded(
        tmp_path,
        HEAD.replace("model", "case") + "[[case.tolerance]]\n"
        'quantity = "AIC"\nlimit = 1\nreason = "x"',
    )
    assert [case.name for case in found] == ["a"]
    assert next(t.limit for t in found[0].tolerances if t.quantity == "AIC") == 1


def test_everything_that_a_model_may_say(tmp_path):
    d = lb.datasets.load("Pastes")
    d["w"] = range(1, len(d) + 1)
    d.to_csv(tmp_path / "mine.csv", index=False)
    (tmp_path / "mine.toml").write_text(
        '[columns.batch]\nlevels = ["J", "A", "B", "C", "D", "E", "F", "G", "H", "I"]\n'
    )
    case = loaded(
        tmp_path,
        """
[[model]]
name = "mine"
data = "mine.csv"
formula = "strength ~ cask + (1 | batch)"
REML = false
weights = "w"
subset = "w > 6"
contrasts = { cask = "contr.sum" }
control = { check_nlev_gtreq_5 = "warning" }
start = [0.5]
timeout = 60
engines = ["native"]
require = "native"
expect = { native = ["reference", "agree or flat"] }
shows = "all of it"

[[model.tolerance]]
quantity = "criterion"
limit = 0.5
reason = "to try it"
""",
    )[0]
    assert case.control == lb.lmerControl(check_nlev_gtreq_5="warning")
    assert (case.start, case.timeout, case.require) == ((0.5,), 60.0, ("native",))
    assert case.expect == {"native": ("reference", "agree", "flat")}
    report = run_case(case, ["native", "statsmodels"])
    assert [o.engine for o in report.outcomes] == ["native"]
    assert report.outcomes[0].well
    q = report.outcomes[0].quantities
    assert q.values["nobs"]["nobs"] == 54
    assert list(q.values["fixed effects"]) == ["(Intercept)", "cask1", "cask2"]
    assert next(t.limit for t in case.tolerances if t.quantity == "criterion") == 0.5
    frame_levels = lb.datasets.read_csv(tmp_path / "mine.csv").batch.cat.categories
    assert frame_levels[0] == "J"


MODEL = """[[model]]
name = "dye"
data = "Dyestuff"
formula = "Yield ~ 1 + (1 | Batch)"
"""


@pytest.mark.parametrize(
    ("line", "feature"),
    [
        ("start = [0.5]", "start="),
        ("timeout = 60", "timeout="),
        ('control = { optimizer = "bobyqa" }', "an optimizer's settings in control="),
    ],
)
def test_an_engine_that_does_not_take_it_says_so(tmp_path, line, feature):
    report = run_case(loaded(tmp_path, MODEL + line)[0], ["statsmodels"])
    outcome = report.outcomes[0]
    assert outcome.verdict.kind == "refused"
    assert outcome.verdict.sentence.startswith(f"{feature}: ")


@pytest.mark.r
def test_control_reaches_lme4(tmp_path):
    text = MODEL + 'control = { optimizer = "Nelder_Mead", optCtrl = { maxfun = 3 } }'
    found = run_case(loaded(tmp_path, text)[0], ["lme4"]).outcomes[0]
    usual = run_case(loaded(tmp_path, MODEL)[0], ["lme4"]).outcomes[0]
    # three evaluations are too few
    assert abs(found.theta[0] - usual.theta[0]) > 1e-3


@pytest.mark.r
@pytest.mark.skipif(not lb.datasets.is_local("InstEval"), reason="run from an installed wheel")
def test_timeout_reaches_lme4(tmp_path):
    text = MODEL.replace("Dyestuff", "InstEval").replace(
        "Yield ~ 1 + (1 | Batch)", "y ~ service + (1 | s) + (1 | d)"
    )
    report = run_case(loaded(tmp_path, text + "timeout = 0.05")[0], ["lme4"])
    assert report.outcomes[0].verdict.kind == "failed"
    assert "did not answer within 0.05 s" in report.outcomes[0].verdict.sentence


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("start = [0.5, 1.0]", "models.toml:5: start has 2 values; theta has 1 in this model"),
        (
            '[[model.tolerance]]\nquantity = "correlations"\nlimit = 1\nreason = "x"',
            "models.toml:5: a tolerance is of 'correlations', of which this model has none",
        ),
        (
            '[[model.tolerance]]\nquantity = "correlation of fixed effects"\nlimit = 1\n'
            'reason = "x"',
            "'correlation of fixed effects', of which this model has none",
        ),
    ],
)
def test_what_does_not_fit_the_model_is_said_with_its_line(tmp_path, line, words):
    report = run_case(loaded(tmp_path, MODEL + line)[0], ["native"])
    assert report.outcomes[0].verdict.kind == "failed"
    assert words in report.outcomes[0].verdict.sentence


def test_the_reference_suite_allows_either_verdict_of_plain_statsmodels():
    case = next(c for c in load_cases() if c.name == "bounce-document-slope")
    assert case.expect == {"statsmodels-plain": ("other optimum", "not converged")}


def test_a_file_that_is_not_there_is_said(run, tmp_path):
    path = tmp_path / "models.toml"
    status, _, err = run("check", str(path))
    assert status == 2
    assert f"the models of {path} cannot be read: No such file or directory" in err
    assert "Errno" not in err
