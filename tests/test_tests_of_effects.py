"""Degrees of freedom, tests and their tables against lmerTest, pbkrtest and lme4 in R."""

import numpy as np
import pytest

import after
import lmerbridge as lb
from after import at_r
from lmerbridge.display.coefmat import anova_lines
from lmerbridge.errors import DataError

NAMES = list(after.CASES)


def same_text(ours, name, question):
    expected = after.text(name, question)
    if expected is None:
        pytest.skip(f"R was not asked, or failed: {question}")
    # a sum of squares of exactly 321.75, which R prints as 321.7, having it as 321.749999999999
    digits = 4e-4 if name == "oats" and question.startswith("anova_") else 2e-4
    after.assert_same_text(after.without_engine(ours), expected, digits)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("ddf", ["Satterthwaite", "Kenward-Roger"])
def test_degrees_of_freedom(name, ddf):
    question = {"Satterthwaite": "summary_satterthwaite", "Kenward-Roger": "summary_kr"}[ddf]
    if question not in after.answers(name):
        pytest.skip("Kenward-Roger is for REML")
    if name == "weighted" and ddf == "Kenward-Roger":
        pytest.skip("pbkrtest leaves the weights of the residuals out: see the test below")
    m = at_r(name)
    table = m.summary(ddf=ddf).coefficients
    R = after.values(name, question)
    # lmerTest's derivatives are numerical; 1e-3 is what is asked, and what is found is far less
    assert np.abs(table["df"] / R[:, 2] - 1).max() < (1e-6 if ddf == "Satterthwaite" else 1e-9)
    assert np.abs(table["Std. Error"] / R[:, 1] - 1).max() < 1e-8
    assert np.abs(table["t value"] / R[:, 3] - 1).max() < 1e-7


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("ddf", ["Satterthwaite", "Kenward-Roger", "lme4"])
def test_summary_is_r_s_text(name, ddf):
    key = {"Satterthwaite": "satterthwaite", "Kenward-Roger": "kr", "lme4": "lme4"}[ddf]
    if name == "weighted" and ddf == "Kenward-Roger":
        pytest.skip("pbkrtest leaves the weights of the residuals out: see the test below")
    if f"summary_{key}" not in after.answers(name):
        pytest.skip("Kenward-Roger is for REML")
    ours = str(at_r(name).summary(ddf=ddf))
    expected = after.text(name, f"summary_{key}")
    lines = after.without_engine(ours).split("\n")
    # what the optimizer of R said of its own fit is not ours to say
    if ddf == "lme4":  # R was asked by lmerTest, which keeps || in its call
        expanded = "((1 | Subject) + (0 + Days | Subject))"
        expected = expected.replace("(Days || Subject)", expanded)
    theirs = expected.split("\n")
    cut = next((i for i, t in enumerate(theirs) if t.startswith("optimizer (")), len(theirs))
    ours_cut = next((i for i, t in enumerate(lines) if t.startswith("optimizer (")), len(lines))
    after.assert_same_text("\n".join(lines[:ours_cut]), "\n".join(theirs[:cut]))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("type", [1, 2, 3])
def test_anova_is_r_s_text(name, type):
    same_text(at_r(name).anova(type=type), name, f"anova_{type}")


@pytest.mark.parametrize("name", NAMES)
def test_anova_by_kenward_roger_is_r_s_text(name):
    if name == "weighted":
        pytest.skip("pbkrtest leaves the weights of the residuals out: see the test below")
    if "anova_kr" not in after.answers(name):
        pytest.skip("Kenward-Roger is for REML")
    same_text(at_r(name).anova(ddf="Kenward-Roger"), name, "anova_kr")


@pytest.mark.parametrize("name", NAMES)
def test_anova_of_lme4_is_r_s_text(name):
    same_text(at_r(name).anova(ddf="lme4"), name, "anova_lme4")


@pytest.mark.parametrize("name", NAMES)
def test_drop1_is_r_s_text(name):
    same_text(at_r(name).drop1(), name, "drop1")


@pytest.mark.filterwarnings("ignore::lmerbridge.errors.FitWarning")
@pytest.mark.parametrize("name", NAMES)
def test_drop1_of_lme4_is_r_s_text(name):
    failure = after.answers(name)["drop1_lme4"].get("failure")
    if failure is not None:
        words = failure.removesuffix(": remove missing values?")
        with pytest.raises(DataError, match=words):
            after.fitted(name).drop1(ddf="lme4", test="Chisq")
        return
    same_text(after.fitted(name).drop1(ddf="lme4", test="Chisq"), name, "drop1_lme4")


@pytest.mark.filterwarnings("ignore::lmerbridge.errors.FitWarning")
@pytest.mark.parametrize("name", NAMES)
def test_ranova_is_r_s_text(name):
    same_text(after.fitted(name).ranova(), name, "ranova")


def test_satterthwaite_in_forty_digits():
    """``chick``, where lmerTest's numerical derivatives are farthest from ours (4e-8): from a dense
    normal density, by differences in 40 digits.
    """
    import mpmath as mp

    mp.mp.dps = 40
    m = at_r("chick")
    frame, theta, sigma = m.frame, m.getME("theta").to_numpy(), m.sigma()
    (block,) = frame.random
    rows = [np.flatnonzero(block.codes == i) for i in range(len(block.levels))]
    X = [mp.matrix(frame.X[r].tolist()) for r in rows]
    Z = [mp.matrix(block.columns[r].tolist()) for r in rows]
    y = [mp.matrix(frame.y[r].tolist()) for r in rows]
    p = frame.X.shape[1]

    def parts(t):
        """log|V|, X'V^-1 X, X'V^-1 y, y'V^-1 y by Woodbury, group by group."""
        L = mp.matrix([[t[0], 0], [t[1], t[2]]])
        log_det, A, a, r = mp.mpf(0), mp.zeros(p, p), mp.zeros(p, 1), mp.mpf(0)
        for Xi, Zi, yi in zip(X, Z, y, strict=True):
            W = Zi * L
            M = mp.eye(2) + W.T * W
            inverse = M**-1
            WX, Wy = W.T * Xi, W.T * yi
            log_det += mp.log(mp.det(M))
            A += Xi.T * Xi - WX.T * inverse * WX
            a += Xi.T * yi - WX.T * inverse * Wy
            r += (yi.T * yi - Wy.T * inverse * Wy)[0]
        return log_det, A, a, r

    f = frame.nobs - p

    def criterion(v):
        log_det, A, a, r = parts(v[:3])
        rss = r - (a.T * mp.lu_solve(A, a))[0]
        return log_det + mp.log(mp.det(A)) + f * mp.log(v[3] ** 2) + rss / v[3] ** 2

    def vcov(v):
        return v[3] ** 2 * parts(v[:3])[1] ** -1

    at = [mp.mpf(float(t)) for t in theta] + [mp.mpf(sigma)]
    h = mp.mpf(10) ** -9

    def moved(*steps):
        v = list(at)
        for i, sign in steps:
            v[i] += sign * h
        return v

    H = mp.zeros(4, 4)
    for i in range(4):
        for j in range(i + 1):
            H[i, j] = H[j, i] = (
                criterion(moved((i, 1), (j, 1)))
                - criterion(moved((i, 1), (j, -1)))
                - criterion(moved((i, -1), (j, 1)))
                + criterion(moved((i, -1), (j, -1)))
            ) / (4 * h**2)
    covariance = 2 * H**-1
    slopes = [(vcov(moved((i, 1))) - vcov(moved((i, -1)))) / (2 * h) for i in range(4)]
    V = vcov(at)
    ours = m.denominator("Satterthwaite").of_rows(np.eye(p))
    R = after.values("chick", "summary_satterthwaite")[:, 2]
    for k in range(p):
        g = mp.matrix([slopes[i][k, k] for i in range(4)])
        exact = float(2 * V[k, k] ** 2 / (g.T * covariance * g)[0])
        assert abs(ours[k] / exact - 1) < 1e-8
        assert abs(R[k] / exact - 1) < 1e-6


def test_weights_are_in_the_residuals_variance_for_kenward_roger():
    """pbkrtest 0.5.2 takes the residuals' variance as sigma^2 I whatever the weights; with weights
    that repeat rows both must agree with an identity: weights times a constant change nothing.
    """
    m = after.fitted("weighted")
    d = after.data_of("weighted")
    import lmerbridge as lb

    scaled = lb.lmer(
        "Reaction ~ Days + (1 | Subject)", d.assign(v=4 * d["w"]), weights="v", engine="native"
    )
    one, two = m.denominator("Kenward-Roger"), scaled.denominator("Kenward-Roger")
    L = np.eye(2)
    np.testing.assert_allclose(one.of_rows(L), two.of_rows(L), rtol=1e-6)
    np.testing.assert_allclose(one.vcov, two.vcov, rtol=1e-6)
    R = after.values("weighted", "summary_kr")
    assert abs(one.of_rows(L)[1] / R[1, 2] - 1) > 0.2  # what pbkrtest says is another model's


@pytest.mark.parametrize("name", ["dyestuff", "pastes", "cake", "machines", "sleep-poly"])
def test_balanced_designs_give_whole_numbers(name):
    """Where theory has exact F tests, the degrees of freedom are whole."""
    exact = {
        "dyestuff": [5],
        "pastes": [9],
        "cake": [42, 42, 42, 210, 210],
        "machines": [None, 10, 10],
        "sleep-poly": [17, 160, 160],
    }[name]
    m = after.fitted(name)
    p = len(m.fixef())
    for ddf, close in (("Satterthwaite", 1e-5), ("Kenward-Roger", 1e-8)):
        found = m.denominator(ddf).of_rows(np.eye(p))
        for df, whole in zip(found, exact, strict=False):
            if whole is not None:
                assert abs(df - whole) < close * whole


@pytest.mark.filterwarnings("ignore::lmerbridge.errors.FitWarning")
@pytest.mark.parametrize("scale", [1e-3, 1e4])
def test_units_do_not_matter(scale):
    import lmerbridge as lb

    d = after.data_of("unbalanced")
    formula = "y ~ b + x + I(x^2) + (0 + x | g)"
    control = lb.lmerControl(check_scaleX="ignore")
    one = lb.lmer(formula, d, engine="native")
    two = lb.lmer(formula, d.assign(x=d["x"] * scale), engine="native", control=control)
    for kind in (1, 2, 3):
        for ddf in ("Satterthwaite", "Kenward-Roger"):
            a, b = one.anova(type=kind, ddf=ddf), two.anova(type=kind, ddf=ddf)
            np.testing.assert_allclose(a["F value"], b["F value"], rtol=1e-4)
            np.testing.assert_allclose(a["DenDF"], b["DenDF"], rtol=1e-3)


def test_rows_and_names_do_not_matter():
    """Another order of rows, other names of levels, another origin of the response."""
    import lmerbridge as lb

    d = after.data_of("unbalanced")
    one = lb.lmer("y ~ a * b + x + (1 | g)", d, engine="native")
    changed = d.sample(frac=1, random_state=1).assign(y=lambda d: 5 * d["y"] + 100)
    names = {level: f"level {level}" for level in d["a"].cat.categories}
    changed["a"] = changed["a"].cat.rename_categories(names)
    changed["g"] = changed["g"].cat.rename_categories(lambda v: f"g{v}")
    two = lb.lmer("y ~ a * b + x + (1 | g)", changed, engine="native")
    for ddf in ("Satterthwaite", "Kenward-Roger"):
        a, b = one.anova(ddf=ddf), two.anova(ddf=ddf)
        np.testing.assert_allclose(a["F value"], b["F value"], rtol=1e-6)
        np.testing.assert_allclose(a["DenDF"], b["DenDF"], rtol=1e-6)
    p, q = one.emmeans("a").pairs().table, two.emmeans("a").pairs().table
    np.testing.assert_allclose(5 * p["estimate"], q["estimate"], rtol=1e-6)
    np.testing.assert_allclose(p["p.value"], q["p.value"], rtol=1e-5)
    assert q["contrast"].iloc[0] == "level p - level q"
    order = one.frame.source.index.get_indexer(changed.index)
    np.testing.assert_allclose(
        one.hatvalues().to_numpy()[order], two.hatvalues().to_numpy(), rtol=1e-6
    )


def test_the_user_s_data_is_not_changed():
    d = after.data_of("unbalanced").copy()
    kept = d.copy(deep=True)
    import lmerbridge as lb

    m = lb.lmer("y ~ a + poly(x, 2) + (1 | g)", d, engine="native")
    m.predict(d, se_fit=True)
    m.emmeans("a")
    m.confint(parm="beta_")
    m.influence("g")
    m.simulate(2, seed=1, newdata=d)
    m.anova()
    m.pooling()
    assert d.equals(kept)


def test_missing_values_of_a_table_of_tests():
    """R prints ``NaN`` in a row that is tested, and nothing in one that is not: as for
    data.frame(..., class = c("anova", "data.frame")) with these numbers.
    """
    nan = np.nan
    columns = ["Sum Sq", "Mean Sq", "NumDF", "DenDF", "F value", "Pr(>F)"]
    rows = [
        [2.89559, 0.9652, 3, -0.171, -0.9357, nan],
        [1.5, 1.5, 1, 12.3456, 2.5, 0.14],
        [nan] * 6,
        [nan, nan, 1, nan, nan, nan],
    ]
    assert anova_lines(list("bxzw"), columns, rows) == [
        "  Sum Sq Mean Sq NumDF  DenDF F value Pr(>F)",
        "b 2.8956  0.9652     3 -0.171 -0.9357    NaN",
        "x 1.5000  1.5000     1 12.346  2.5000   0.14",
        "z                                           ",
        "w    NaN     NaN     1    NaN     NaN    NaN",
    ]


@pytest.mark.r
def test_drop1_goes_the_way_of_extractAIC():
    """In R, AIC of ``drop1`` is that of ``refitML`` to the last digit, and not that of
    ``update(REML = FALSE)``, which is 7e-8 from it for this model.
    """
    d = lb.datasets.load("sleepstudy")
    d["z"] = np.random.default_rng(5).normal(size=len(d))
    m = lb.lmer("Reaction ~ Days + z + (Days | Subject)", d, engine="lme4")
    found = m.drop1("lme4")["AIC"]
    assert found["<none>"] == m.refitML().AIC()
    assert found["Days"] == m.update(". ~ . - Days").refitML().AIC()
