"""Prediction and simulation at other parameters, positions and names of parameters, scales of
profiles, and long work of which a part fails.

R's numbers were printed by lme4 1.1-31 for the models named; where they are of its interpolation
the tolerance says so.
"""

import math
import warnings

import numpy as np
import pandas as pd
import pytest

import after
import lmerbridge as lb
from after import at_r, fitted
from lmerbridge.inference.influence import influence
from lmerbridge.inference.levels import percent_labels
from lmerbridge.inference.newparams import spherical_modes

SLEEP = pd.DataFrame({"Days": [0, 1, 2], "Subject": ["308", "308", "308"]})


# -- newparams, random_only


@pytest.mark.parametrize(
    ("arguments", "R"),
    [
        ({"newparams": {"beta": [1, 2]}}, [3.258551, 14.457527, 25.656502]),
        ({"newparams": {"theta": [1, 0, 1]}}, [253.7414, 303.8931, 354.0448]),
        (
            {"newparams": {"theta": [1, 0, 1], "beta": [1, 2], "sigma": 3}},
            [3.33625, 45.02071, 86.70517],
        ),
        ({"newparams": {"beta": {"Days": 2, "(Intercept)": 1}}, "re_form": "NA"}, [1, 3, 5]),
        ({"random_only": True}, [2.258551, 11.457527, 20.656502]),
        ({"random_only": True, "re_form": "~ (1 | Subject)"}, [2.258551] * 3),
        ({"random_only": True, "re_form": "NA"}, [0, 0, 0]),
    ],
)
def test_predictions_at_other_parameters_are_r_s(arguments, R):
    m = at_r("sleep")
    for rows in (None, SLEEP):
        np.testing.assert_allclose(m.predict(rows, **arguments)[:3], R, rtol=2e-6)


@pytest.mark.parametrize("name", ["sleep", "penicillin", "weighted", "sleep-zcp"])
def test_the_estimates_themselves_change_nothing(name):
    m = fitted(name)
    own = {"beta": m.fixef(), "theta": m.getME("theta"), "sigma": m.sigma()}
    for arguments in ({}, {"re_form": "NA"}, {"se_fit": True}, {"random_only": True}):
        np.testing.assert_allclose(
            m.predict(newparams=own, **arguments), m.predict(**arguments), rtol=1e-6, atol=1e-8
        )
    np.testing.assert_allclose(
        m.simulate(2, 1, newparams=own), m.simulate(2, 1), rtol=1e-9, atol=1e-9
    )
    np.testing.assert_allclose(
        m.predict(re_form="NA") + m.predict(random_only=True), m.predict(), rtol=1e-10
    )


def test_spherical_modes_are_those_that_make_the_modes():
    m = fitted("dyestuff2")  # singular: b says nothing of u
    assert spherical_modes(m.frame, m.result)[0] == pytest.approx(0, abs=1e-9) or m.isSingular()
    m = fitted("sleep")
    u = np.concatenate([u.ravel() for u in spherical_modes(m.frame, m.result)])
    np.testing.assert_allclose(m.getME("Lambda") @ u, m.getME("b"), atol=1e-6)


def test_simulation_at_other_parameters():
    m = fitted("sleep")
    drawn = m.simulate(4000, 1, newparams={"theta": [1, 0, 0], "beta": [1, 2], "sigma": 3})
    first = drawn.iloc[0]  # mean 1; sd 3 sqrt(2), of the subject and of the residual
    assert first.mean() == pytest.approx(1, abs=5 * math.sqrt(18 / 4000))
    assert first.std() == pytest.approx(math.sqrt(18), rel=0.06)
    pd.testing.assert_frame_equal(m.simulate(2, 1, use_u=True), m.simulate(2, 1, re_form=None))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.predict(newparams={"gamma": 1}), "has no 'gamma'"),
        (lambda m: m.predict(newparams={"beta": 1}), "beta has 1 values; the model has 2"),
        (lambda m: m.predict(newparams={"theta": 1}), "theta has 1 values; the model has 3"),
        (lambda m: m.predict(newparams={"beta": {"Days": 1, "x": 2}}), "'x' does not fit"),
        (lambda m: m.predict(newparams=[1, 2]), "must be a mapping"),
        (lambda m: m.predict(random_only=True, interval="prediction"), "no prediction interval"),
        (lambda m: m.predict(SLEEP, na_action="drop"), "na_action must be one of"),
        (lambda m: m.predict(SLEEP.assign(Days=np.nan), na_action="na.fail"), "missing values in"),
        (lambda m: m.simulate(use_u=True, re_form=None), "only one of 'use_u' and 're_form'"),
        (lambda m: m.simulate(newdata=SLEEP.assign(Subject="x")), "new levels detected in newdata"),
        (
            lambda m: m.simulate(newdata=SLEEP.assign(Subject="x"), re_form=None),
            "new levels detected in newdata: x",
        ),
        (lambda m: m.profile(prof_scale="log"), "prof_scale must be one of"),
        (lambda m: m.profile(alphamax=1), "alphamax"),
        (lambda m: m.confint(parm=0), "positions count from 1"),
        (lambda m: m.confint(parm=-1), "positions count from 1"),
        (lambda m: m.confint("Wald", parm="Day"), "did you mean 'Days'"),
        (lambda m: m.confint("wald"), "did you mean 'Wald'"),
        (lambda m: m.confint(FUN=lambda x: 1), "belongs to method='boot'"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(lb.DataError, match=message):
        call(fitted("sleep"))


def test_missing_values_of_new_rows():
    m = fitted("sleep")
    new = SLEEP.assign(Days=[0, np.nan, 2], Subject=["308", "309", "310"])
    assert list(m.predict(new).isna()) == [False, True, False]
    assert list(m.predict(new, na_action="exclude").isna()) == [False, True, False]
    assert list(m.predict(new, na_action="omit").index) == [0, 2]
    assert list(m.predict(new, na_action="na.omit", interval="prediction").index) == [0, 2]
    assert list(m.simulate(1, 1, newdata=new, na_action="omit").index) == [0, 2]
    assert len(m.predict(new[:0])) == 0


# -- what a rank-deficient fit does not determine


@pytest.fixture(scope="module")
def empty_cell():
    rng = np.random.default_rng(1)
    d = pd.DataFrame([(a, b) for _ in range(4) for b in "ABC" for a in "abc"], columns=["a", "b"])
    d["g"] = np.resize(list("123456"), 36)
    d["y"] = rng.normal(size=36) + rng.normal(size=36)
    d = d[~((d["a"] == "c") & (d["b"] == "C"))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return lb.lmer("y ~ a * b + (1 | g)", d, engine="native"), d


def test_an_empty_cell_has_no_prediction(empty_cell):
    m, d = empty_cell
    new = pd.DataFrame({"a": "c", "b": ["C", "B"], "g": "1"})
    for call in (
        lambda: m.predict(new),
        lambda: m.predict(new, re_form="NA"),
        lambda: m.predict(new, se_fit=True),
        lambda: m.predict(new, interval="confidence"),
        lambda: m.predict(new, interval="prediction", re_form="NA"),
        lambda: m.simulate(2, 1, newdata=new),
    ):
        with pytest.warns(lb.FitWarning, match="prediction from rank-deficient fit: 1 of 2 rows"):
            found = pd.DataFrame(call())
        assert found.iloc[0].isna().all()
        assert found.iloc[1].notna().all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # cells that there are, and what is not of them
        assert m.predict(d).notna().all()
        assert m.predict(new[1:]).notna().all()
        assert m.predict(new, random_only=True).notna().all()


def test_what_is_determined_does_not_depend_on_the_columns_kept(empty_cell):
    """The same means, written so that other columns are dropped."""
    m, d = empty_cell
    new = d.drop_duplicates(["a", "b"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = lb.lmer("y ~ 0 + b:a + (1 | g)", d, engine="native")
    np.testing.assert_allclose(m.predict(new), other.predict(new), rtol=1e-6)


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_units_do_not_decide_what_is_determined(unit):
    rng = np.random.default_rng(2)
    d = pd.DataFrame({"g": np.resize(list("abcdef"), 60), "x": rng.normal(size=60) * unit})
    d["z"] = 2 * d["x"]
    d["y"] = rng.normal(size=60) + rng.normal(size=60)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        m = lb.lmer("y ~ x + z + (1 | g)", d, engine="native")
    with pytest.warns(lb.FitWarning, match="2 of 3 rows"):
        found = m.predict(
            pd.DataFrame({"x": [unit, unit, unit], "z": [0, 2 * unit, unit]}), re_form="NA"
        )
    assert list(found.isna()) == [True, False, True]


# -- names and positions


@pytest.mark.parametrize(
    ("level", "labels"),
    [  # colnames(confint(m, method = "Wald", level = ...)) of R 4.2.2
        (0.95, ("2.5 %", "97.5 %")),
        (0.9, ("5 %", "95 %")),
        (0.99, ("0.5 %", "99.5 %")),
        (0.999, ("0.05 %", "99.95 %")),
        (0.8, ("10 %", "90 %")),
        (2 / 3, ("16.7 %", "83.3 %")),
        (0.9999, ("0.005 %", "99.995 %")),
    ],
)
def test_labels_of_levels_are_r_s(level, labels):
    assert percent_labels(level) == labels
    assert tuple(fitted("sleep").confint("Wald", level=level).columns) == labels


def test_positions_and_order_are_r_s():
    m = fitted("sleep")
    rows = [".sig01", ".sig02", ".sig03", ".sigma", "(Intercept)", "Days"]
    for parm, expected in [
        (1, rows[:1]),
        ([5, 6], rows[4:]),
        (np.array([6, 1]), [".sig01", "Days"]),
        (["Days", ".sigma"], [".sigma", "Days"]),
        (["theta_", "Days"], [*rows[:4], "Days"]),
        ("beta_", rows[4:]),
        ("sd_Days|Subject", [".sig03"]),
        ([1, 1], rows[:1]),
    ]:
        assert list(m.confint("Wald", parm=parm).index) == expected
    assert list(m.confint("W", parm=1, oldNames=False).index) == ["sd_(Intercept)|Subject"]
    assert list(m.confint("W", parm=1, signames=False).index) == ["sd_(Intercept)|Subject"]
    assert list(m.confint("W", parm=1, oldNames=False, signames=True).index) == [".sig01"]


# -- scales of profiles


def _intercepts():
    d = lb.datasets.load("sleepstudy")
    return lb.lmer("Reaction ~ Days + (1 | Subject)", d, engine="native")


def test_profiles_on_other_scales_are_r_s():
    p = _intercepts().profile()
    R = {
        ".sigsq01": [676.375011, 2802.20252],
        ".sigmasq": [773.609717, 1196.54064],
        "(Intercept)": [231.992326, 270.81788],
        "Days": [8.886551, 12.04802],
    }
    found = p.varianceProf().confint()
    assert list(found.index) == list(R)
    np.testing.assert_allclose(found, list(R.values()), rtol=2e-5)
    found = p.logProf().confint(parm="theta_")
    assert list(found.index) == [".lsig01", ".lsigma"]
    np.testing.assert_allclose(found, [[3.258369, 3.969084], [3.325534, 3.543595]], rtol=1e-6)
    # .lsigma with base 2 and ranef = FALSE
    found = p.logProf(base=2, ranef=False).confint()
    assert list(found.index[:2]) == [".sig01", ".lsigma"]
    np.testing.assert_allclose(found.loc[".lsigma"], np.log2(p.interval(".sigma")), rtol=1e-12)
    table = p.logProf().table()
    assert set(table[".par"]) == {".lsig01", ".lsigma", "(Intercept)", "Days"}
    inner = table[table[".par"] == ".lsig01"]
    np.testing.assert_allclose(np.exp(inner[".lsig01"]), p.table()[".sig01"][: len(inner)])


def test_intervals_are_equivariant():
    """The interval of a variance is the square of the standard deviation's (lme4's own, 210.76 to
    1417.32 on its scale of variances, is not: 14.38143^2 = 206.83).
    """
    m = fitted("sleep")
    one, two = m.confint(), m.confint(prof_scale="varcov", oldNames=False)
    for i in (0, 2, 3):
        np.testing.assert_allclose(two.iloc[i], one.iloc[i] ** 2, rtol=1e-7)
    np.testing.assert_allclose(two.iloc[4:], one.iloc[4:], rtol=1e-6)
    assert list(two.index[:3]) == [
        "var_(Intercept)|Subject",
        "cov_Days.(Intercept)|Subject",
        "var_Days|Subject",
    ]
    # R's interpolation: -105.353766, 107.03369
    np.testing.assert_allclose(two.iloc[1], [-105.353766, 107.03369], rtol=2e-5)


@pytest.mark.parametrize("sign", [-1, 1])
def test_ends_of_a_covariance_are_where_the_deviance_says(sign):
    """Found by a penalty on the distance from it, with a search over theta and sigma."""
    from scipy import optimize

    from lmerbridge.likelihood import cross_products, unprofiled

    m = fitted("sleep")
    ml = lb.lmer(m.formula, after.data_of("sleep"), REML=False, engine="native")
    end = m.confint(parm=".sig02", prof_scale="varcov").iloc[0, (sign + 1) // 2]
    c = cross_products(ml.frame)
    x = np.append(ml.getME("theta").to_numpy(), np.log(ml.sigma()))
    for weight in (1e-4, 1e-2, 1.0):

        def penalized(x, weight=weight):
            sigma = float(np.exp(x[-1]))
            return (
                unprofiled(c, x[:-1], sigma, False)[0]
                + weight * (sigma**2 * x[0] * x[1] - end) ** 2
            )

        x = optimize.minimize(penalized, x, method="Nelder-Mead", options={"maxiter": 900}).x
    excess = unprofiled(c, x[:-1], float(np.exp(x[-1])), False)[0] - ml.deviance()
    assert excess == pytest.approx(1.959963984540054**2, abs=2e-2)


def test_a_variance_of_0_has_the_logarithm_minus_infinity():
    p = fitted("dyestuff2").profile()
    assert p.logProf().interval(".lsig01")[0] == -math.inf
    assert p.varianceProf().interval(".sigsq01")[0] == 0
    high = p.interval(".sig01")[1]
    assert p.varianceProf().interval(".sigsq01")[1] == pytest.approx(high**2)
    assert lb.plots.profile_pairs(p).shape == (3, 3)


def test_long_names_of_a_profile():
    p = fitted("sleep").profile(["beta_", ".sigma"], signames=False)
    assert list(p.points) == ["sigma", "(Intercept)", "Days"]
    assert list(p.confint().index) == ["sigma", "(Intercept)", "Days"]
    assert "sd_Days|Subject" in p.table().columns
    with pytest.raises(lb.DataError, match="has no profile"):
        p.interval(".sig01")


# -- one failure does not end the rest


class Fails:
    """A statistic that fails at some of its calls, of which the first is of the fit itself."""

    def __init__(self, *calls, value=None):
        self.calls, self.value, self.count = calls, value, 0

    def __call__(self, m):
        self.count += 1
        if self.count in self.calls:
            if self.value is None:
                raise RuntimeError("boom")
            return self.value
        return m.fixef()


def test_a_statistic_that_raises_is_missing_once():
    m = fitted("sleep")
    with pytest.warns(lb.FitWarning, match=r"some bootstrap runs failed \(1/8\); 1 error.*boom"):
        boot = m.bootMer(Fails(3), nsim=8, seed=1)
    assert list(np.flatnonzero(np.isnan(boot.t).all(axis=1))) == [1]
    assert boot.failed == 1
    assert boot.errors == {"boom": 1}
    whole = m.bootMer(Fails(), nsim=8, seed=1).t
    np.testing.assert_array_equal(np.delete(boot.t, 1, 0), np.delete(whole, 1, 0))
    expected = np.delete(whole, 1, 0).mean(axis=0) - m.fixef()
    np.testing.assert_allclose(boot.table()["bias"], expected)


def test_other_ways_to_fail():
    m = fitted("sleep")
    with pytest.warns(lb.FitWarning, match=r"\(1/4\).*gave 3 numbers"):
        m.bootMer(Fails(3, value=[1, 2, 3]), nsim=4, seed=1)
    # a part that is missing is no failure, as in R
    boot = m.bootMer(Fails(3, value=[1, np.nan]), nsim=4, seed=1)
    assert boot.failed == 0
    assert boot.table()["bias"].notna().all()
    with pytest.warns(lb.FitWarning, match=r"\(4/4\)"):
        boot = m.bootMer(Fails(*range(2, 9)), nsim=4, seed=1)
    assert boot.table()["bias"].isna().all()
    with pytest.raises(lb.FitFailedError, match=r"\*all\* bootstrap runs failed!"):
        boot.interval()
    with pytest.raises(lb.DataError, match="FUN fails on the fit itself: boom"):
        m.bootMer(Fails(1), nsim=4)
    with pytest.raises(lb.DataError, match="only handles functions that return numeric vectors"):
        m.bootMer(lambda x: "a", nsim=4)

    def careful(x):
        warnings.warn("careful", UserWarning, stacklevel=1)
        return x.sigma()

    with pytest.warns(UserWarning, match="careful"):  # of the fit itself
        assert m.bootMer(careful, nsim=3, seed=1).warnings == {"careful": 3}


def test_failures_are_kept_by_an_interrupted_bootstrap(tmp_path):
    m = fitted("dyestuff")
    path = tmp_path / "boot.jsonl"
    for _ in range(2):
        with pytest.warns(lb.FitWarning, match=r"\(1/8\)"):
            boot = m.bootMer(Fails(3), nsim=8, seed=1, resume=path)
        assert boot.errors == {"boom": 1}


def test_intervals_of_a_statistic():
    m = fitted("sleep")
    with pytest.warns(lb.FitWarning, match="extreme order statistics used as endpoints"):
        found = m.confint("boot", FUN=lambda x: x.fixef(), nsim=20, seed=1, parm="Days")
    assert list(found.index) == ["Days"]
    assert found.iloc[0, 0] < m.fixef()["Days"] < found.iloc[0, 1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        m.confint("boot", nsim=100, seed=1)


def test_a_profile_that_breaks_off_leaves_the_others(monkeypatch):
    from lmerbridge.inference import profiling as profiles

    def broken(self, value):
        if self.p.name == "Days" and value > self.estimate:
            raise lb.FitFailedError("no minimum")
        return kept(self, value)

    kept = profiles._One.point
    monkeypatch.setattr(profiles._One, "point", broken)
    with pytest.warns(lb.FitWarning, match="profile of Days could not be computed to its end"):
        found = fitted("sleep").confint(parm="beta_")
    assert np.isnan(found.loc["Days"]).iloc[1]
    assert found.loc["(Intercept)"].notna().all()


def test_a_deletion_that_fails_leaves_the_others(monkeypatch):
    from lmerbridge.solve import refits

    calls = []
    kept = refits.refit_products

    def broken(*arguments):
        calls.append(1)
        if len(calls) == 4:
            raise np.linalg.LinAlgError("singular")
        return kept(*arguments)

    monkeypatch.setattr(refits, "refit_products", broken)
    m = fitted("sleep")
    with pytest.warns(lb.FitWarning, match="failed without 1 of 18 sets"):
        found = influence(m.fit, "Subject")
    assert list(np.flatnonzero(np.isnan(found.beta).any(axis=1))) == [3]
