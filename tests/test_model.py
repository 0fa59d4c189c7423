"""What users hold: methods, their forms, and errors. Numbers are checked elsewhere."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

import lmerbridge as lb
from lmerbridge.errors import DataError, FormulaError, UnsupportedModelError

pytestmark = pytest.mark.filterwarnings("ignore::lmerbridge.errors.FitWarning")


@pytest.fixture(scope="module")
def m():
    return lb.lmer(
        "Reaction ~ Days + (Days | Subject)", lb.datasets.load("sleepstudy"), engine="statsmodels"
    )


def test_forms(m):
    assert list(m.fixef().index) == ["(Intercept)", "Days"]
    assert list(m.ranef().columns) == ["grpvar", "term", "grp", "condval", "condsd"]
    assert list(m.ranef(condVar=False).columns) == ["grpvar", "term", "grp", "condval"]
    assert m.ranef().shape == (36, 5)
    assert list(m.VarCorr().columns) == ["grp", "var1", "var2", "vcov", "sdcor"]
    assert m.VarCorr().grp.tolist() == ["Subject", "Subject", "Subject", "Residual"]
    assert m.VarCorr().var2.tolist()[2] == "Days"
    assert list(m.coef()) == ["Subject"]
    assert m.coef()["Subject"].shape == (18, 2)
    assert m.vcov().columns.tolist() == ["(Intercept)", "Days"]
    assert m.ngrps().to_dict() == {"Subject": 18}
    assert (m.nobs(), m.df_residual(), m.engine) == (180, 174, "statsmodels")
    assert list(m.getME("theta").index) == [
        "Subject.(Intercept)",
        "Subject.Days.(Intercept)",
        "Subject.Days",
    ]
    assert m.getME("Z").shape == (180, 36)
    assert m.getME(["n", "p", "q"]) == {"n": 180, "p": 2, "q": 36}
    assert m.getME("cnms") == {"Subject": ("(Intercept)", "Days")}
    assert m.model_matrix().columns.tolist() == ["(Intercept)", "Days"]
    assert m.model_matrix("random").shape == (180, 36)


def test_tables_hold_floats(m):
    for table in (m.fixef(), m.VarCorr().vcov, m.ranef().condval, m.fitted(), m.residuals()):
        assert table.dtype == np.float64


def test_identities(m):
    np.testing.assert_allclose(m.fitted() + m.residuals(), m.frame.y)
    coef = m.coef()["Subject"]
    np.testing.assert_allclose(
        coef["Days"] - m.fixef()["Days"], m.ranef().query("term == 'Days'").condval
    )
    np.testing.assert_allclose(m.residuals("scaled") * m.sigma(), m.residuals())
    np.testing.assert_allclose(
        m.getME("Z") @ m.getME("b") + m.getME("X") @ m.fixef().to_numpy(), m.fitted()
    )
    np.testing.assert_allclose(m.getME("Lambda") @ m.getME("u"), m.getME("b"))
    assert m.AIC() == pytest.approx(m.AIC(k=2.0))
    assert m.AIC(k=0) == pytest.approx(m.REMLcrit())
    assert m.logLik() == pytest.approx(-m.REMLcrit() / 2)


def test_tidy(m):
    table = m.tidy()
    assert table.columns.tolist() == [
        "effect",
        "group",
        "term",
        "estimate",
        "std_error",
        "statistic",
    ]
    assert table.term.tolist() == [
        "(Intercept)",
        "Days",
        "sd__(Intercept)",
        "cor__(Intercept).Days",
        "sd__Days",
        "sd__Observation",
    ]
    fixed = m.tidy("fixed", conf_int=True, conf_level=0.9)
    half = (fixed.conf_high - fixed.conf_low) / 2
    np.testing.assert_allclose(half / fixed.std_error, 1.6448536269514722)
    assert m.tidy("ran_vals").shape[0] == 36
    assert m.tidy("ran_coefs").shape[0] == 36
    with pytest.raises(DataError, match="did you mean 'fixed'"):
        m.tidy("fixd")
    with pytest.raises(DataError, match="between 0 and 1"):
        m.tidy(conf_level=95)


def test_glance_and_augment(m):
    assert m.glance().columns.tolist() == [
        "nobs",
        "sigma",
        "logLik",
        "AIC",
        "BIC",
        "REMLcrit",
        "df_residual",
    ]
    table = m.augment()
    assert table.columns.tolist()[:8] == [
        *("Reaction", "Days", "Subject"),
        *(".fitted", ".resid", ".hat", ".cooksd", ".fixed"),
    ]
    assert len(table) == 180


def test_update(m):
    smaller = m.update(". ~ . - Days", REML=False)
    assert smaller.formula == "Reaction ~ (Days | Subject)"
    assert not smaller.result.call.REML
    assert smaller.engine == "statsmodels"
    assert m.formula == "Reaction ~ Days + (Days | Subject)"
    half = m.update(data=lb.datasets.load("sleepstudy")[:90])
    assert half.nobs() == 90
    with pytest.raises(DataError, match="no argument 'reml'"):
        m.update(reml=False)


def test_refit(m):
    again = m.refit(2 * m.frame.y + 1)
    np.testing.assert_allclose(again.fixef(), 2 * m.fixef() + [1, 0], rtol=1e-6)
    assert again.update(REML=False).nobs() == 180
    for bad in (np.ones(3), np.full(180, np.nan), np.ones(180)):
        with pytest.raises(DataError, match="response"):
            m.refit(bad)


def test_labels_of_rows_are_those_of_the_data():
    d = lb.datasets.load("sleepstudy")
    d.index = [f"r{i}" for i in range(180)]
    d.loc["r3", "Reaction"] = np.nan
    fitted = lb.lmer("Reaction ~ Days + (1 | Subject)", d, engine="statsmodels").fitted()
    assert fitted.index[3] == "r4"
    model = lb.lmer("Reaction ~ Days + (1 | Subject)", d, engine="statsmodels", na_action="exclude")
    assert model.residuals().isna()["r3"]
    again = lb.from_json(model.to_json())
    assert again.residuals().isna().sum() == 1


def test_polars_in_pandas_out():
    d = pl.from_pandas(lb.datasets.load("sleepstudy").astype({"Subject": str}))
    m = lb.lmer("Reaction ~ Days + (1 | Subject)", d, engine="statsmodels")
    assert isinstance(m.fitted(), pd.Series)
    assert "Data: d" in str(m)


def test_the_name_of_the_data_is_the_callers():
    my_table = pd.DataFrame(lb.datasets.load("Dyestuff").to_dict("list"))
    m = lb.lmer("Yield ~ 1 + (1 | Batch)", my_table, engine="statsmodels")
    assert "   Data: my_table" in str(m).splitlines()
    m = lb.lmer("Yield ~ 1 + (1 | Batch)", my_table.copy(), engine="statsmodels")
    assert "   Data: data" in str(m).splitlines()


def test_weights_offset_subset_and_control_are_shown(simulated):
    m = lb.lmer(
        "y ~ x + (1 | g)",
        simulated,
        weights="w",
        offset="z",
        subset="x < 2",
        engine="statsmodels",
        control=lb.lmerControl(check_scaleX="ignore"),
    )
    lines = str(m.summary()).splitlines()
    assert lines[3:7] == [
        "Weights: w",
        " Offset: z",
        " Subset: x < 2",
        'Control: lmerControl(check.scaleX = "ignore")',
    ]


def test_notes_are_warned_of_once(simulated):
    with pytest.warns(lb.FitWarning) as caught:
        lb.lmer("y ~ x + I(2 * x) + (1 | g)", simulated, engine="statsmodels")
    assert [str(w.message) for w in caught] == [
        "fixed-effect model matrix is rank deficient so dropping 1 column / coefficient"
    ]


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda m: m.getME("Zz"), DataError, "did you mean"),
        (lambda m: m.residuals("person"), DataError, "did you mean 'pearson'"),
        (lambda m: m.vcov("sandwich"), DataError, "conditional, joint"),
        (lambda m: m.model_matrix("both"), DataError, "fixed, random"),
        (lambda m: m.deviance(REML=False), UnsupportedModelError, "does not report"),
        (lambda m: m.update(". ~ . +"), FormulaError, "ends too early"),
    ],
)
def test_errors_say_what_to_do(m, call, kind, words):
    with pytest.raises(kind, match=words):
        call(m)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"start": [1.0, 2.0]}, "theta has 1"),
        ({"start": "a"}, "numbers of theta"),
        ({"start": {"fixef": [1.0]}}, "start takes no fixed effects: of a linear model"),
        ({"start": {"sigma": [1.0]}}, "'theta'"),
        ({"control": {"optimizer": "x"}}, "lmerControl"),
        ({"na_action": "drop"}, "na_action"),
        ({"weights": "nothere"}, "no column 'nothere'"),
    ],
)
def test_bad_arguments(sleepstudy, arguments, words):
    with pytest.raises(DataError, match=words):
        lb.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy, engine="statsmodels", **arguments)


def test_singular_fits(simulated):
    d = lb.datasets.load("Dyestuff2")
    m = lb.lmer("Yield ~ 1 + (1 | Batch)", d, engine="statsmodels")
    assert m.isSingular()
    assert m.VarCorr().sdcor[0] == 0
    assert (m.ranef().condval == 0).all()
    assert (m.ranef().condsd == 0).all()
    np.testing.assert_array_equal(m.getME("u"), np.zeros(6))


def test_a_model_shows_itself(m):
    assert repr(m) == str(m)
    assert str(m).startswith("Linear mixed model fit by REML ['lmerMod']")
    assert "<table" in m._repr_html_()
    assert "<pre" in m.summary()._repr_html_()
