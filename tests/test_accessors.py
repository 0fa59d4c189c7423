"""R's accessors: parts of a model by lme4's names, counts, covariances, tidy tables."""

import numpy as np
import pandas as pd
import pytest

import lmerbridge as lb
from live import ask, case
from lmerbridge.errors import DataError, UnsupportedModelError

pytestmark = pytest.mark.filterwarnings("ignore::lmerbridge.errors.FitWarning")


@pytest.fixture(scope="module")
def m():
    d = lb.datasets.load("sleepstudy")
    return lb.lmer("Reaction ~ Days + (Days | Subject)", d, engine="native")


@pytest.fixture(scope="module")
def crossed():
    """Weights, an offset, two grouping factors, one of them twice, and a variance of 0."""
    rng = np.random.default_rng(5)
    d = pd.DataFrame({"g": rng.integers(0, 9, 90), "h": rng.integers(0, 5, 90)})
    d["x"], d["w"], d["o"] = rng.normal(size=90), rng.uniform(0.5, 2, 90), rng.normal(size=90)
    d["y"] = rng.normal(size=9)[d.g] + d.x + d.o + 0.5 * rng.normal(size=90)
    d[["g", "h"]] = d[["g", "h"]].astype(str).astype("category")
    formula = "y ~ x + (1 | g) + (0 + x | g) + (x | h)"
    return lb.lmer(formula, d, weights="w", offset="o", engine="native")


def test_factors_of_the_decomposition_are_those_of_their_matrix(crossed):
    """L L' = Lambda'Z'WZ Lambda + I, L RZX = Lambda'Z'WX, RX'RX = X'WX - RZX'RZX."""
    X, W = crossed.getME("X"), np.diag(crossed.getME("weights"))
    A = (crossed.getME("Z") @ crossed.getME("Lambda")).toarray()
    L, RZX, RX = crossed.getME("L").toarray(), crossed.getME("RZX"), crossed.getME("RX")
    assert not np.triu(L, 1).any()
    assert not np.tril(RX, -1).any()
    np.testing.assert_allclose(L @ L.T, A.T @ W @ A + np.eye(len(L)), atol=1e-10)
    np.testing.assert_allclose(L @ RZX, A.T @ W @ X, atol=1e-10)
    np.testing.assert_allclose(RX.T @ RX, X.T @ W @ X - RZX.T @ RZX, atol=1e-10)
    np.testing.assert_allclose(crossed.getME("RXi") @ RX, np.eye(2), atol=1e-12)
    inverse = crossed.getME("RXi") @ crossed.getME("RXi").T
    np.testing.assert_allclose(crossed.sigma() ** 2 * inverse, crossed.vcov(), rtol=1e-8)


def test_spherical_effects_of_a_singular_fit(crossed):
    """Lambda u = b, also where Lambda has no inverse; |u|^2 and the residuals give pwrss."""
    assert crossed.isSingular()
    u = crossed.getME("u")
    np.testing.assert_allclose(crossed.getME("Lambda") @ u, crossed.getME("b"), atol=1e-9)
    cmp = crossed.getME("devcomp")["cmp"]
    df = crossed.nobs() - 2
    assert np.sqrt(cmp["pwrss"] / df) == pytest.approx(crossed.sigma(), rel=1e-6)
    assert cmp["ussq"] == pytest.approx(np.sum(u**2))


def test_theta_maps_into_lambda(crossed):
    """``Lind`` puts theta where Lambda' stores it, column by column."""
    stored = crossed.getME("Lambdat").tocsc()
    places = crossed.getME("Lind")
    expected = crossed.getME("theta").to_numpy()[places - 1]
    whole = np.zeros(stored.shape)
    position = 0
    for term, size in zip(crossed.result.estimates.random, (9, 9, 5), strict=True):
        k = len(term.names)
        start = [0, 9, 18][[t.label for t in crossed.result.estimates.random].index(term.label)]
        for level in range(size):
            for column in range(k):
                rows = start + level * k + np.arange(column + 1)
                whole[rows, start + level * k + column] = expected[position : position + column + 1]
                position += column + 1
    assert position == len(places)
    np.testing.assert_allclose(stored.toarray(), whole)


def test_parts_by_name(m, crossed):
    assert m.getME("lower").to_dict() == {
        "Subject.(Intercept)": 0.0,
        "Subject.Days.(Intercept)": -np.inf,
        "Subject.Days": 0.0,
    }
    assert crossed.getME("Tp").to_dict() == {"beg__": 0, "g": 2, "h": 5}
    assert list(crossed.getME("Tp")) == [0, 1, 2, 5]
    assert crossed.getME("p_i").to_dict() == {"1 | g": 1, "0 + x | g": 1, "x | h": 2}
    assert crossed.getME("q_i").to_dict() == {"1 | g": 9, "0 + x | g": 9, "x | h": 10}
    assert crossed.getME("m_i").to_dict() == {"1 | g": 1, "0 + x | g": 1, "x | h": 3}
    assert crossed.getME("l_i").to_dict() == {"g": 9, "h": 5}
    assert list(crossed.getME("Ztlist")) == ["g.(Intercept)", "g.x", "h.(Intercept)", "h.x"]
    theta = m.getME("theta").to_numpy()
    np.testing.assert_allclose(
        m.getME("ST")["Subject"], [[theta[0], 0], [theta[1] / theta[0], theta[2]]]
    )
    dims = m.getME("devcomp")["dims"].to_dict()
    assert {k: dims[k] for k in ("n", "p", "q", "nth", "REML")} == {
        "n": 180,
        "p": 2,
        "q": 36,
        "nth": 3,
        "REML": 2,
    }
    every = m.getME("ALL")
    assert {"X", "L", "RX", "RZX", "Lind", "ST", "devfun"} <= set(every)


def test_the_criterion_at_another_theta(m):
    """At (1, 0, 1) the REML criterion of sleepstudy is 1773.680 (R: getME(m, "devfun"))."""
    f = m.getME("devfun")
    assert f(m.getME("theta")) == pytest.approx(m.REMLcrit())
    assert f([1, 0, 1]) == pytest.approx(1773.6803, abs=1e-3)
    with pytest.raises(DataError, match="3 values"):
        f([1, 0])


def test_words_may_be_begun(m):
    np.testing.assert_array_equal(m.residuals("w"), m.residuals("working"))
    np.testing.assert_array_equal(m.residuals(scaled=True), m.residuals("scaled"))
    assert m.getME("devc").keys() == m.getME("devcomp").keys()
    d = m.getData().head(3)
    for word, whole in (("conf", "confidence"), ("p", "prediction")):
        pd.testing.assert_frame_equal(
            m.predict(d, interval=word, level=0.9), m.predict(d, interval=whole, level=0.9)
        )
    with pytest.raises(DataError, match="has no prediction interval"):
        m.predict(d, random_only=True, interval="pred")
    with pytest.raises(DataError, match=r"interval must be one of.*did you mean 'confidence'"):
        m.predict(d, interval="confidense")
    boot = m.bootMer(nsim=20, seed=1, use_u=True, type="semi")
    assert boot.kind == "semiparametric"
    assert boot.interval(0.5, "ba").equals(boot.interval(0.5, "basic"))
    with pytest.raises(DataError, match="may be basic or bca"):
        boot.interval(0.5, "b")
    grid = m.ref_grid()
    assert grid.regrid("resp").table.equals(grid.regrid("response").table)
    with pytest.raises(DataError, match="transform must be one of"):
        grid.regrid("root")
    with pytest.raises(DataError, match="type must be one of"):
        m.residuals("partial")
    with pytest.raises(DataError, match="may be"):
        m.getME("Lambda"[:2])


def test_coef_has_the_columns_that_the_fixed_part_lacks(crossed):
    """In front, with a fixed effect of 0, in the table of every factor (R 4.2.2, lme4 1.1-31)."""
    d = crossed.getData()
    m = lb.lmer("y ~ 1 + (x | g) + (0 + o | h)", d, engine="native")
    for table in m.coef().values():
        assert table.columns.tolist() == ["x", "o", "(Intercept)"]
    assert (m.coef()["g"]["o"] == 0).all()
    slopes = m.ranef(whichel="g").query("term == 'x'")["condval"]
    np.testing.assert_allclose(m.coef()["g"]["x"], slopes)
    assert m.coef()["g"].index.tolist() == list("012345678")


def test_tidy_tables_have_broom_s_order(m):
    table = m.tidy(ddf="Satterthwaite", conf_int=True)
    assert table.columns.tolist() == [
        *("effect", "group", "term", "estimate", "std_error", "df", "statistic", "p_value"),
        *("conf_low", "conf_high"),
    ]
    assert table.term.tolist() == [
        *("(Intercept)", "Days"),
        *("sd__(Intercept)", "cor__(Intercept).Days", "sd__Days", "sd__Observation"),
    ]
    variances = m.tidy("ran_pars", scales="vcov")
    assert variances.term.tolist() == [
        *("var__(Intercept)", "cov__(Intercept).Days", "var__Days", "var__Observation"),
    ]
    assert variances.estimate.iloc[3] == pytest.approx(m.sigma() ** 2)
    parts = m.tidy(("ran_pars", "fixed"), scales=("vcov", None))
    assert parts.estimate.iloc[-1] == pytest.approx(m.sigma() ** 2)


def test_intervals_of_variance_parameters_are_asked_for_or_missed(m):
    with pytest.warns(lb.FitMessage, match="conf_method='profile'"):
        missing = m.tidy("ran_pars", conf_int=True)
    assert missing.conf_low.isna().all()
    given = m.tidy(conf_int=True, conf_method="profile")
    found = given.query("effect == 'ran_pars'")
    names = ["sd_(Intercept)|Subject", "cor_Days.(Intercept)|Subject", "sd_Days|Subject", "sigma"]
    assert [t.partition("__")[0] for t in found.term] == ["sd", "cor", "sd", "sd"]
    limits = m.confint("profile", oldNames=False).loc[names]
    np.testing.assert_allclose(found[["conf_low", "conf_high"]], limits, rtol=1e-6)
    for bad in ({"scales": "sd2"}, {"conf_method": "x"}, {"effects": ()}, {"conf_level": "a"}):
        with pytest.raises(DataError):
            m.tidy(**{"effects": "ran_pars", **bad})
    with pytest.raises(DataError, match="not asked for"):
        m.tidy("fixed", scales="vcov")


def test_augment_is_padded_and_adds_up(crossed):
    table = crossed.augment()
    np.testing.assert_allclose(table[".fitted"] + table[".resid"], table["y"])
    np.testing.assert_allclose(table[".wtres"], table[".resid"] * np.sqrt(table[".weights"]))
    np.testing.assert_allclose(table[".hat"].sum(), crossed.hatvalues().sum())
    X = crossed.model_matrix().to_numpy() @ crossed.fixef().to_numpy()
    np.testing.assert_allclose(table[".fixed"], X + table[".offset"])
    d = crossed.getData().copy()
    d.loc[3, "x"] = np.nan
    padded = crossed.update(data=d, na_action="exclude").augment()
    assert len(padded) == 90
    assert np.isnan(padded.loc[3, ".fitted"])
    assert padded.loc[3, "y"] == d.loc[3, "y"]


def dense_information(m):
    """Of the variances and covariances of (x | h) alone, and sigma^2: tr(P G_i P G_j) / 2."""
    X, Z = m.getME("X"), m.getME("Z").toarray()
    (term,) = m.result.estimates.random
    levels, k = term.modes.shape
    R = np.diag(1 / m.getME("weights"))
    V = Z @ np.kron(np.eye(levels), term.covariance) @ Z.T + m.sigma() ** 2 * R
    P = np.linalg.inv(V)
    if m.isREML():
        P = P - P @ X @ np.linalg.solve(X.T @ P @ X, X.T @ P)
    parts = []
    for j in range(k):
        for i in range(j, k):
            E = np.zeros((k, k))
            E[i, j] = E[j, i] = 1.0
            parts.append(Z @ np.kron(np.eye(levels), E) @ Z.T)
    parts.append(R)
    return np.array([[0.5 * np.trace(P @ a @ P @ b) for b in parts] for a in parts])


@pytest.mark.parametrize("REML", [True, False])
def test_standard_errors_of_variance_parameters(crossed, REML):
    """By the dense matrices of the definition (Searle, Casella & McCulloch 1992, chapter 6)."""
    d = crossed.getData().copy()
    d["y"] += np.array([2, -1, 0, 1, 3])[d["h"].cat.codes] * (1 + d["x"])
    m = lb.lmer("y ~ x + (x | h)", d, weights="w", REML=REML, engine="native")
    expected = np.linalg.inv(dense_information(m))
    whole = m.vcov(full=True)
    assert whole.index.tolist()[2:] == [
        *("cov_h.(Intercept)", "cov_h.x.(Intercept)", "cov_h.x"),
        "residual",
    ]
    np.testing.assert_allclose(whole.iloc[2:, 2:], expected, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(whole.iloc[:2, :2], m.vcov())
    table = m.se_VarCorr()
    np.testing.assert_allclose(table.se_sdcor[3], np.sqrt(expected[3, 3]) / (2 * m.sigma()))
    np.testing.assert_allclose(table.se_vcov[1], np.sqrt(expected[2, 2]), rtol=1e-6)


def test_covariance_of_the_modes_is_the_inverse_of_hendersons_matrix(crossed):
    """[[Z'WZ + G^-1, Z'WX], [X'WZ, X'WX]]^-1 (Henderson 1975), in the form that needs no G^-1."""
    X, W = crossed.getME("X"), np.diag(crossed.getME("weights"))
    Z, Lambda = crossed.getME("Z").toarray(), crossed.getME("Lambda").toarray()
    ZL, q = Z @ Lambda, Z.shape[1]
    spherical = np.block([[ZL.T @ W @ ZL + np.eye(q), ZL.T @ W @ X], [X.T @ W @ ZL, X.T @ W @ X]])
    back = np.block(
        [[Lambda, np.zeros((q, X.shape[1]))], [np.zeros((X.shape[1], q)), np.eye(X.shape[1])]]
    )
    expected = crossed.sigma() ** 2 * back @ np.linalg.inv(spherical) @ back.T
    found = crossed.vcov(full="modes")
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(found.iloc[q:, q:], crossed.vcov(), rtol=1e-7)
    assert found.index.tolist() == found.columns.tolist()


def test_covariance_of_the_modes_is_lme4s():
    """``vcov(m, full = TRUE)`` of lme4 2.1, whose theta stops 3e-6 from the optimum."""
    m = lb.lmer(
        "Reaction ~ Days + (Days | Subject)", lb.datasets.load("sleepstudy"), engine="native"
    )
    V = m.vcov(full="modes")
    first, second, last = "Subject.308.(Intercept)", "Subject.308.Days", "Subject.372.Days"
    assert V.index[[0, 1, 35, 36, 37]].tolist() == [first, second, last, "(Intercept)", "Days"]
    expected = {
        (first, first): 171.616396992279,
        (first, second): -19.7195640118804,
        (second, second): 6.96558466441313,
        (first, last): 1.72493958606106,
        (second, "Days"): -1.94842858060768,
        ("Days", "Days"): 2.38946562320698,
    }
    for key, value in expected.items():
        assert V.loc[key] == pytest.approx(value, rel=1e-5)
    correlations = m.vcov(full="modes", correlation=True)
    np.testing.assert_allclose(np.diag(correlations), 1.0)


def test_covariance_of_the_modes_of_crossed_factors_is_lme4s():
    m = lb.lmer(
        "diameter ~ 1 + (1 | plate) + (1 | sample)", lb.datasets.load("Penicillin"), engine="native"
    )
    V = m.vcov(full="modes")
    assert V.index[[23, 24, 30]].tolist() == [
        "plate.x.(Intercept)",
        "sample.A.(Intercept)",
        "(Intercept)",
    ]
    assert V.iloc[0, 0] == pytest.approx(0.0750005749494416, rel=1e-4)
    assert V.iloc[24, 24] == pytest.approx(0.632320483805732, rel=1e-4)
    assert V.iloc[0, 30] == pytest.approx(-0.0298710475416917, rel=1e-4)


def test_modes_of_a_model_without_fixed_effects():
    d = lb.datasets.load("sleepstudy")
    m = lb.lmer("Reaction ~ 0 + (1 | Subject)", d, engine="native")
    V = m.vcov(full="modes")
    assert V.shape == (18, 18)
    variance = m.ranef(condVar=True).condsd.iloc[0] ** 2
    assert V.iloc[0, 0] == pytest.approx(variance)


def test_what_full_may_be(crossed):
    pd.testing.assert_frame_equal(crossed.vcov(full="parameters"), crossed.vcov(full=True))
    pd.testing.assert_frame_equal(crossed.vcov(full=False), crossed.vcov())
    with pytest.raises(DataError, match="full"):
        crossed.vcov(full="everything")
    with pytest.raises(DataError, match="no 'joint' covariance matrix"):
        crossed.vcov("joint", full="modes")
    slope = lb.lmer(
        "Reaction ~ Days + (1 | Subject)", lb.datasets.load("sleepstudy"), engine="statsmodels"
    )
    with pytest.raises(DataError, match="no 'joint' form"):
        slope.vcov("joint", full="modes")


def test_a_matrix_of_too_many_modes_is_refused(crossed, monkeypatch):
    monkeypatch.setattr("lmerbridge.inference.modes_vcov.MAX_DENSE_ROWS", 20)
    with pytest.raises(UnsupportedModelError, match=r"28 random effects.*ranef\(condVar=True\)"):
        crossed.vcov(full="modes")


def test_columns_that_were_dropped(crossed):
    d = crossed.getData().assign(x2=lambda t: 2 * t.x, f=list("ab") * 45)
    m = lb.lmer("y ~ f * x + x2 + (1 | g)", d, engine="native")
    found = m.fixef(add_dropped=True)
    assert found.index.tolist() == ["(Intercept)", "fb", "x", "x2", "fb:x"]
    assert found.index[found.isna()].tolist() == ["x2"]
    assert m.terms().labels == ("f", "x", "x2", "f:x")
    assert m.model_frame().columns.tolist() == ["y", "f", "x", "x2", "g"]
    effects = m.dummy_coef()
    assert effects["f"].to_dict() == {"a": 0.0, "b": pytest.approx(m.fixef()["fb"])}


def test_criteria(m):
    k, n = 6, 180
    assert m.AICc() == pytest.approx(m.AIC() + 2 * k * (k + 1) / (n - k - 1))
    assert m.extractAIC() == (6.0, pytest.approx(m.update(REML=False).AIC()))
    assert m.refitML().isREML() is False
    assert str(m.family()) == "\nFamily: gaussian \nLink function: identity \n"
    assert (m.isLMM(), m.isGLMM(), m.isNLMM()) == (True, False, False)
    with pytest.raises(DataError, match="scale"):
        m.extractAIC(scale=1)


def test_printed_variance_components(m):
    assert "Variance" in str(m.VarCorr(comp="Variance")).split("\n")[0]
    shown = m.VarCorr(sigma=2.0)
    assert shown.sdcor.iloc[-1] == 2.0
    np.testing.assert_allclose(shown.sdcor[:2], m.VarCorr().sdcor[:2] * 2 / m.sigma())
    for bad in ({"sigma": -1}, {"sigma": "a"}, {"comp": "SD"}, {"comp": []}, {"order": "x"}):
        with pytest.raises(DataError):
            m.VarCorr(**bad)
    assert m.ranef(drop=True)["Subject"].shape == (18, 2)
    assert m.se_ranef()["Subject"].shape == (18, 2)
    with pytest.raises(DataError, match="did you mean 'Subject'"):
        m.ranef(whichel="Subjct")


ASKED = {
    "AIC": ("zz", [], {}, float("nan")),
    "isSingular": ("zz", [], None, {}, float("nan")),
    "getME": (None, -1, float("nan"), "zz", ["zz"]),
    "tidy": (None, -1, "zz", [], ["zz", "y"]),
    "vcov": ("zz", [], {}, -1),
    "VarCorr": ("zz", [], {}, -1, float("nan")),
    "residuals": ("zz", None, [], {}, 1.5),
    "refit": ("zz", [], {}, float("nan"), -1),
    "pooling": ("zz", [], {}, -1, float("nan")),
    "model_matrix": ("zz", None, [], 1.5),
    "extractAIC": ("zz", [], {}, None, 1.0),
    "influence": ("zz", [], {}, -1, ["g"]),
}


@pytest.mark.parametrize(("name", "odd"), [(n, v) for n, odd in ASKED.items() for v in odd])
def test_odd_arguments_are_refused_in_our_words(crossed, name, odd):
    with pytest.raises(lb.LmerBridgeError):
        getattr(crossed, name)(odd)


@pytest.mark.r
def test_the_fit_by_ml_starts_where_the_reml_fit_ended(tmp_path):
    """lme4's refitML does: from its own start it stops 0.7 above the optimum of these data."""
    rng = np.random.default_rng(4)
    found = []
    cases = []
    for number in range(6):
        n, levels = int(rng.integers(60, 120)), np.array(["p", "q", "r"])
        data = pd.DataFrame({"f": levels[rng.integers(0, 3, n)], "g": rng.integers(0, 6, n)})
        data["g"] = [f"G{i}" for i in data["g"]]
        data["y"] = 10.0 ** rng.integers(-3, 4) * (
            rng.normal(size=n) + 2 * rng.normal(size=6)[[int(g[1:]) for g in data["g"]]]
        )
        formula = "y ~ 1 + (f | g)"
        found.append(lb.lmer(formula, data, engine="lme4").refitML())
        data[["f", "g"]] = data[["f", "g"]].astype("category")
        cases.append(case(str(number), formula, data, {"ML": "as.numeric(logLik(refitML(m)))"}))
    answers = ask(cases, tmp_path)
    for number, model in enumerate(found):
        assert not model.isREML()
        (r,) = answers[str(number)]["ML"]["value"]["values"]
        assert model.logLik() == pytest.approx(r, abs=2e-5)
