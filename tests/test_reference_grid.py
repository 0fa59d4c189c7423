"""Reference grids of marginal means: values, weights, nests, slopes, scales, against emmeans."""

import functools
import itertools
import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import live
import lmerbridge as lb
from after import assert_same_text
from lmerbridge.inference.links import _OF_ROOTS, LINKS, bias_adjusted

FOLDER = Path(__file__).parent / "stored"
MODELS = {
    (file, model["name"]): model
    for file in ("reference_grids", "reference_scales")
    for model in json.loads((FOLDER / f"{file}.json").read_text("utf-8"))["models"]
}
QUESTIONS = [(key, i) for key, model in MODELS.items() for i in range(len(model["questions"]))]


@functools.cache
def data(file="reference_grids"):
    d = pd.read_csv(FOLDER / f"{file}.csv")
    d["o"] = pd.Categorical(d["o"], ["lo", "mid", "hi"], ordered=True)
    return d.assign(g=d["g"].astype(str))


def fitted(formula, file="reference_grids", **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return lb.lmer(formula, data(file), engine="native", **options)


@functools.cache
def at_r(key):
    """The model with all that belongs to the theta at which R ended."""
    stored = MODELS[key]
    m = fitted(
        stored["formula"],
        key[0],
        weights=stored["weights"],
        offset=stored.get("offset"),
        REML=stored["REML"],
    )
    return live.at_theta(m, stored["theta"])


@pytest.mark.parametrize(
    ("key", "i"), QUESTIONS, ids=lambda v: "-".join(v) if isinstance(v, tuple) else str(v)
)
def test_text_and_messages_are_r_s(key, i):
    question = MODELS[key]["questions"][i]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        shown = str(eval(question["ours"], {"m": at_r(key), "np": np}))
    assert_same_text(shown, "\n".join(question["text"]), 5e-4)
    said = {str(w.message) for w in caught if w.category is lb.FitMessage}
    assert said == set(question["said"]), question["R"]


# -- scales


WAYS_BACK = {**LINKS, **{f"{name} of sqrt": link for name, link in _OF_ROOTS.items()}}


@pytest.mark.parametrize("name", [name for name in WAYS_BACK if name != "I"])
def test_derivatives_of_the_way_back(name):
    """Against differences."""
    link, eta, h = WAYS_BACK[name], np.array([0.4, 1.0, 1.5]), 1e-5
    chain = (link.inverse, link.slope, link.curvature, link.bend)
    for f, derivative in itertools.pairwise(chain):
        by_hand = (f(eta + h) - f(eta - h)) / (2 * h)
        np.testing.assert_allclose(derivative(eta), by_hand, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("response", "name", "back"),
    [
        ("log(y)", "log", np.exp),
        ("log(y + 1)", "log(mu + 1)", np.expm1),
        ("sqrt(y + 0.5)", "sqrt(mu + 0.5)", lambda v: v**2 - 0.5),
        ("2 * sqrt(y)", "2*sqrt", lambda v: (v / 2) ** 2),
        ("log(y, 10)", "log10", lambda v: 10**v),
        ("log(2 * y)", "log", np.exp),
        ("log1p(y)", "log1p", np.expm1),
        ("I(y^2)", "identity", lambda v: v),
    ],
)
def test_the_way_back(response, name, back):
    m = fitted(f"{response} ~ a + x + (1 | g)")
    link, shown = m.emmeans("a", ddf="asymptotic"), m.emmeans("a", ddf="asym", type="response")
    assert f"Results are given on the {name} (not the response) scale." in str(link)
    assert f"Intervals are back-transformed from the {name} scale" in str(shown)
    np.testing.assert_allclose(shown.table["response"], back(link.table["emmean"]), rtol=1e-12)
    low = back(link.table["asymp.LCL"])
    np.testing.assert_allclose(shown.table["asymp.LCL"], low, rtol=1e-12)


def shares():
    d = pd.DataFrame(itertools.product(["a1", "a2", "a3"], "uvwxyz", range(4)))
    d.columns = ["a", "g", "r"]
    p = (np.arange(1, 73) * 37 % 97 + 1) / 100 * 0.9
    return d.assign(p=np.where(d["a"] == "a2", 0.8 * p, p))


@pytest.mark.filterwarnings("ignore:boundary")
# print(emmeans(m, ~ a, type = "response")) and pairs() of it, for m <- lmer(... ~ a + (1 | g)), of
# R 4.2.2 with emmeans 1.8.4; of R 4.6.2 with emmeans 2.0.4 for atanh, which 1.8.4 stops at
@pytest.mark.parametrize(
    ("response", "name", "still", "means", "limits", "pairs"),
    [
        (
            "asin(sqrt(p))",
            "asin(sqrt(mu))",
            "asin.sqrt",
            [0.409, 0.342, 0.427],
            [0.301, 0.240, 0.318],
            [0.0688, -0.0187, -0.0875],
        ),
        (
            "asinh(sqrt(p))",
            "asinh(sqrt(mu))",
            "asinh.sqrt",
            [0.366, 0.317, 0.383],
            [0.267, 0.227, 0.282],
            [0.0362, -0.0120, -0.0481],
        ),
        (
            "2 * asin(sqrt(p))",
            "2*asin(sqrt(mu))",
            "2*asin.sqrt",
            [0.409, 0.342, 0.427],
            [0.301, 0.240, 0.318],
            [0.1377, -0.0374, -0.1751],
        ),
        (
            "atanh(p)",
            "atanh(mu)",
            "atanh",
            [0.465, 0.379, 0.484],
            [0.354, 0.258, 0.374],
            [0.1052, -0.0238, -0.1290],
        ),
        (
            "2 * atanh(p)",
            "2*atanh(mu)",
            "2*atanh",
            [0.465, 0.379, 0.484],
            [0.354, 0.258, 0.374],
            [0.2104, -0.0476, -0.2580],
        ),
        (
            "atanh(p + 0.05)",
            "atanh(mu)(mu + 0.05)",
            "atanh(mu + 0.05)",
            [0.475, 0.383, 0.495],
            [0.360, 0.255, 0.383],
            [0.1201, -0.0278, -0.1479],
        ),
    ],
)
def test_shares_come_back(response, name, still, means, limits, pairs):
    found = lb.lmer(f"{response} ~ a + (1 | g)", shares(), engine="native").emmeans(
        "a", type="response"
    )
    np.testing.assert_allclose(found.table["response"], means, atol=5.1e-4)
    np.testing.assert_allclose(found.table["lower.CL"], limits, atol=5.1e-4)
    assert f"Intervals are back-transformed from the {name} scale" in str(found)
    np.testing.assert_allclose(found.pairs().table["estimate"], pairs, atol=5.1e-5)
    assert f"Note: contrasts are still on the {still} scale" in str(found.pairs())


def scored():
    d = lb.datasets.load("sleepstudy")
    d["a"] = pd.Categorical(["u", "v", "w"] * 60)
    return d.assign(q=d["Reaction"] / 100)


@pytest.fixture
def newest():
    lb.options(dialect="newest")


def lines_of(value):
    return [line.rstrip() for line in str(value).rstrip().split("\n")]


# emmeans(m, ~ a, lmer.df = "asymp", type = "response"), of R 4.6.2 with emmeans 2.0.4
UNKNOWN = """\
 a response     SE  df asymp.LCL asymp.UCL
 u     1.24 0.0102 Inf      1.22      1.26
 v     1.24 0.0102 Inf      1.22      1.26
 w     1.24 0.0102 Inf      1.22      1.26

Degrees-of-freedom method: asymptotic
Unknown transformation "atan": no transformation done
Confidence level used: 0.95"""
# its test(null = 1)
UNKNOWN_TEST = """\
 a response     SE  df null z.ratio p.value
 u     1.24 0.0102 Inf    1  23.253 <0.0001
 v     1.24 0.0102 Inf    1  23.287 <0.0001
 w     1.24 0.0102 Inf    1  23.387 <0.0001

Degrees-of-freedom method: asymptotic
Unknown transformation "atan": no transformation done"""
UNKNOWN_PAIRS = """\
 contrast estimate      SE  df z.ratio p.value
 u - v    -0.00035 0.00529 Inf  -0.066  0.9976
 u - w    -0.00138 0.00529 Inf  -0.261  0.9632
 v - w    -0.00103 0.00529 Inf  -0.194  0.9794

Note: contrasts are still on the atan scale. Consider using
      regrid() if you want contrasts of back-transformed estimates.
Degrees-of-freedom method: asymptotic
P value adjustment: tukey method for comparing a family of 3 estimates"""


@pytest.mark.usefixtures("newest")
def test_a_scale_without_a_way_back_is_said():
    m = lb.lmer("atan(q) ~ a + Days + (1 | Subject)", scored(), engine="native")
    shown = m.emmeans("a", ddf="asymptotic", type="response")
    assert lines_of(shown) == UNKNOWN.split("\n")
    assert lines_of(shown.test(null=1)) == UNKNOWN_TEST.split("\n")
    assert lines_of(shown.pairs()) == UNKNOWN_PAIRS.split("\n")
    biased = m.emmeans("a", ddf="asymptotic", type="response", bias_adjust=True, sigma=1.0)
    assert lines_of(biased) == UNKNOWN.split("\n")
    on_model = m.emmeans("a", ddf="asymptotic")
    assert "Results are given on the atan (not the response) scale." in str(on_model)
    assert "scale" not in str(m.emmeans("a", ddf="asymptotic", regrid="response"))
    assert "Transformation: “atan”" in m.ref_grid().reference.text()


@pytest.mark.parametrize(
    ("response", "name"),
    [
        # of R 4.6.2 with emmeans 2.0.4, which calls the first two back-transformed, and makes 1.24
        # of 2.48
        ("2 * atan(q)", "2*atan"),
        ("atan(q + 1)", "atan(mu + 1)"),
        ("qlogis(q / 10)", "qlogis"),
        ("pmin(q, 3)", "pmin"),
        ("atan(sqrt(q))", "atan.sqrt"),
        ("rank(q)", "rank"),
    ],
)
def test_scales_without_a_way_back_are_named(response, name):
    m = lb.lmer(f"{response} ~ a + Days + (1 | Subject)", scored(), engine="native")
    shown = m.emmeans("a", ddf="asymptotic", type="response")
    assert f'Unknown transformation "{name}": no transformation done' in str(shown)
    on_model = m.emmeans("a", ddf="asymptotic")
    assert f"Results are given on the {name} (not the response) scale." in str(on_model)
    np.testing.assert_array_equal(shown.table["response"], on_model.table["emmean"])
    assert f"contrasts are still on the {name} scale" in str(on_model.pairs())


# estimates of pairs(emmeans(m, ~ a, lmer.df = "asymp", type = "response")) of R 4.2.2 with emmeans
# 1.8.7 and with 1.8.8
@pytest.mark.usefixtures("newest")
@pytest.mark.parametrize(
    ("response", "scale", "ratios", "differences"),
    [
        ("log(q + 1)", "log(mu + 1)", [1.001, 0.996, 0.994], [0.00133, -0.00435, -0.00569]),
        ("2 * log(q)", "2*log", None, [0.00213, -0.01105, -0.01318]),
    ],
)
def test_ratios_are_of_plain_logarithms_since_emmeans_1_8_8(response, scale, ratios, differences):
    m = lb.lmer(f"{response} ~ a + Days + (1 | Subject)", scored(), engine="native")
    shown = m.emmeans("a", ddf="asymptotic", type="response")
    np.testing.assert_allclose(shown.pairs().table["estimate"], differences, atol=5.1e-6)
    assert f"contrasts are still on the {scale} scale" in str(shown.pairs())
    lb.options(dialect="lme4 1.1-33, emmeans 1.8.7")
    older = m.emmeans("a", ddf="asymptotic", type="response").pairs()
    found = older.table["ratio"]
    if ratios is not None:
        np.testing.assert_allclose(found, ratios, atol=5.1e-4)
    half = 1.0 if ratios else 0.5
    np.testing.assert_allclose(found, np.exp(half * shown.pairs().table["estimate"]), rtol=1e-9)
    assert "still on" not in str(older)


# estimates of emmeans(m, ~ a, regrid = ..., lmer.df = "asymp") for log(q), of the same
@pytest.mark.parametrize(
    ("transform", "means", "errors"),
    [
        ("log2", [1.55, 1.55, 1.56], [0.0472, 0.0472, 0.0472]),
        ("log10", [0.467, 0.466, 0.469], [0.0142, 0.0142, 0.0142]),
        ("sqrt", [1.71, 1.71, 1.72], [0.0280, 0.0280, 0.0281]),
    ],
)
def test_regrid_to_another_scale(transform, means, errors):
    m = lb.lmer("log(q) ~ a + Days + (1 | Subject)", scored(), engine="native")
    found = m.emmeans("a", ddf="asymptotic", regrid=transform)
    digits = 3 if transform == "log10" else 2
    np.testing.assert_allclose(found.table["response"], means, atol=0.51 * 10.0**-digits)
    np.testing.assert_allclose(found.table["SE"], errors, atol=5.1e-5)
    assert f"Results are given on the {transform} (not the response) scale." in str(found)


def test_transforms_are_found_by_their_beginning():
    """``lo`` may be log or logit, as emmeans says."""
    m = lb.lmer("log(q) ~ a + Days + (1 | Subject)", scored(), engine="native")
    grid = m.ref_grid()
    expected = str(grid.regrid("response"))
    for word in ("r", "re", "m", "unl"):
        assert str(grid.regrid(word)) == expected
    with pytest.raises(lb.errors.DataError, match="may be log or log2 or log10 or logit"):
        grid.regrid("lo")
    with pytest.raises(lb.errors.DataError, match="not 'logit'"):
        grid.regrid("logit")


@pytest.mark.parametrize("response", ["sqrt(y)", "2 * sqrt(y)", "sqrt(y + 1)"])
def test_limits_of_a_square_root_contain_what_they_are_of(response):
    """Where the interval goes below 0, its square does not begin above the estimate."""
    m = fitted(f"{response} ~ a + x + (1 | g)")
    least = -1.0 if "+ 1" in response else 0.0
    shown = m.emmeans("a", at={"x": -40}, ddf="asymptotic", type="response").table
    on_model = m.emmeans("a", at={"x": -40}, ddf="asymptotic").table
    crossing = (on_model["asymp.LCL"] < 0) & (on_model["asymp.UCL"] > 0)
    assert crossing.any()
    np.testing.assert_array_equal(shown["asymp.LCL"][crossing], least)
    assert (shown["asymp.LCL"] <= shown["response"]).all()
    assert (shown["response"] <= shown["asymp.UCL"]).all()


def test_beyond_its_ends_a_transformation_comes_back_to_them():
    """As in emmeans: R says 0 and 0 for a mean of -0.24 on the scale of sqrt(y), 1 and 0 for one of
    26.5 on that of asin(sqrt(y)).
    """
    for name, eta, ends in (("sqrt", -0.24, 0.0), ("asin", 26.5, 1.0), ("asin", -0.1, 0.0)):
        link = LINKS["sqrt"] if name == "sqrt" else _OF_ROOTS[name]
        assert link.inverse(np.array([eta])) == ends
        assert link.slope(np.array([eta])) == 0.0


@pytest.mark.parametrize("response", ["1 / y", "y^2", "2 * y", "y + 1"])
def test_arithmetic_is_no_transformation(response):
    """emmeans sees none either."""
    m = fitted(f"{response} ~ a + (1 | g)")
    assert "scale" not in str(m.emmeans("a", type="response"))


def test_scaled_response_comes_back_in_its_units():
    plain, scaled = fitted("y ~ a + x + (1 | g)"), fitted("scale(y) ~ a + x + (1 | g)")
    one = plain.emmeans("a").table
    two = scaled.emmeans("a", type="response").table
    for own, other in (("emmean", "response"), ("SE", "SE"), ("lower.CL", "lower.CL")):
        np.testing.assert_allclose(two[other], one[own], rtol=1e-5)


def test_bias_adjustment_is_the_mean_of_a_lognormal_to_second_order():
    """E exp(eta + e) = exp(eta) exp(s^2 / 2), of which 1 + s^2 / 2 is the beginning."""
    m = fitted("log(y) ~ a + (1 | g)")
    plain = m.emmeans("a", type="response").table
    adjusted = m.emmeans("a", type="response", bias_adjust=True, sigma=0.3)
    for column in ("response", "SE", "lower.CL", "upper.CL"):
        np.testing.assert_allclose(adjusted.table[column], plain[column] * 1.045, rtol=1e-12)
    assert "Bias adjustment applied based on sigma = 0.3 " in str(adjusted)
    eta = np.array([2.0])
    np.testing.assert_allclose(bias_adjusted(LINKS["sqrt"], 0.5).inverse(eta), 4.25)


def test_regrid_averages_responses():
    m = fitted("log(y) ~ a * b + (1 | g)")
    grid = m.ref_grid()
    cells = grid.regrid().table
    means = m.emmeans("a", regrid="response").table
    by_hand = cells.groupby("a", observed=True)["response"].mean()
    np.testing.assert_allclose(means["response"], by_hand, rtol=1e-12)
    text = str(m.emmeans("a", regrid="response"))
    assert "Degrees-of-freedom method: inherited from kenward-roger when re-gridding" in text
    df = dict(zip(zip(cells["a"], cells["b"], strict=True), cells["df"], strict=True))
    assert means["df"].iloc[0] == min(df[("p", "u")], df[("p", "v")])


# -- slopes


def test_slopes_of_functions():
    """Along log(z) the slope of log(z) is its coefficient, and so for scale(x)."""
    m = fitted("y ~ log(z) + scale(x) + (1 | g)")
    for var in ("log(z)", "scale(x)"):
        slope = m.emtrends("~ 1", var).table[f"{var}.trend"].iloc[0]
        assert slope == pytest.approx(m.fixef()[var], rel=1e-9)


def test_slopes_of_a_parabola():
    """(f(x + h) - f(x)) / h, and half the second derivative."""
    m = fitted("y ~ z + I(z^2) + (1 | g)")
    b, z, h = m.fixef(), 2.0, 0.1
    found = m.emtrends("~ 1", "z", at={"z": [z]}, delta_var=h).table["z.trend"].iloc[0]
    assert found == pytest.approx(b["z"] + b["I(z^2)"] * (2 * z + h), rel=1e-9)
    orders = m.emtrends("~ degree", "z", max_degree=2).table
    assert list(orders["degree"]) == ["linear", "quadratic"]
    assert orders["z.trend"].iloc[1] == pytest.approx(b["I(z^2)"], rel=1e-6)


def test_an_offset_of_the_covariate_is_part_of_its_slope():
    plain, with_offset = fitted("y ~ x + (1 | g)"), fitted("y ~ x + offset(0.5 * x) + (1 | g)")
    one, two = (m.emtrends("~ 1", "x").table["x.trend"].iloc[0] for m in (plain, with_offset))
    assert one == pytest.approx(two, rel=1e-6)


# -- offsets


@pytest.mark.parametrize("options", [{"offset": "z"}, {"offset": "log(z)"}])
def test_an_offset_counts_by_its_mean(options):
    text = options["offset"]
    one = fitted("y ~ a + x + (1 | g)", **options).emmeans("a").table
    two = fitted(f"y ~ a + x + offset({text}) + (1 | g)").emmeans("a").table
    np.testing.assert_allclose(one["emmean"], two["emmean"], rtol=1e-6)
    none = fitted("y ~ a + x + (1 | g)", **options).emmeans("a", offset=0).table
    mean = (data()["z"] if text == "z" else np.log(data()["z"])).mean()
    np.testing.assert_allclose(one["emmean"] - none["emmean"], mean, rtol=1e-9)


# -- degrees of freedom, and their limits


def test_limits_of_degrees_of_freedom():
    m = fitted("y ~ a + (1 | g)")
    with pytest.warns(lb.FitMessage, match="pbkrtest_limit = 240"):
        assert "satterthwaite" in str(m.emmeans("a", pbkrtest_limit=239))
    before = lb.emm_options(pbkrtest_limit=100, lmerTest_limit=100)
    try:
        with pytest.warns(lb.FitMessage, match="lmerTest_limit = 240"):
            means = m.emmeans("a")
        assert np.isinf(means.table["df"]).all()
        assert "kenward-roger" in str(m.emmeans("a", pbkrtest_limit=240))
    finally:
        lb.emm_options(**vars(before))
    assert "kenward-roger" in str(m.emmeans("a"))


def test_kenward_roger_of_an_ml_fit():
    """The covariance matrix is that of the REML fit, the estimates are those of the ML fit."""
    ml, reml = fitted("y ~ a + x + (1 | g)", REML=False), fitted("y ~ a + x + (1 | g)")
    one, two = ml.emmeans("a").table, reml.emmeans("a").table
    np.testing.assert_allclose(one["SE"], two["SE"], rtol=1e-5)
    sat = ml.emmeans("a", ddf="satterthwaite").table
    np.testing.assert_allclose(one["emmean"], sat["emmean"], rtol=1e-12)


# -- words and mistakes


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.emmeans("a", weights=[1, 2, 3]), "3 numbers; 4 combinations"),
        (lambda m: m.emmeans("a", weights=[0, 0, 0, 0]), "sum is not 0"),
        (lambda m: m.emmeans("a", weights="show.levels"), "averaged_over"),
        (lambda m: m.emmeans("a", cov_keep="q"), "no predictor"),
        (lambda m: m.emmeans("a", cov_reduce={"x": 3}), "needs a function"),
        (lambda m: m.emmeans("a", at={"x": []}), "no values"),
        (lambda m: m.emmeans("a", at={"x": [1, 1]}), "twice"),
        (lambda m: m.emmeans("a", nesting="b in a"), "inner %in% outer"),
        (lambda m: m.emmeans("a", nesting={"b": "a", "a": "b"}), "nested in it"),
        (lambda m: m.emmeans("a", rg_limit=3), "more than rg_limit"),
        (lambda m: m.emmeans("~ a | "), "cannot be read"),
        (lambda m: m.emtrends("a", "x + k"), "function of one"),
        (lambda m: m.emtrends("a", "x", max_degree=9), "between 1 and 5"),
        (lambda m: m.emtrends("a", "x", delta_var=0), "other than 0"),
        (lambda m: m.emtrends("a"), "needs var"),
        (lambda m: lb.emm_options(pbkrtest_limi=3), "did you mean 'pbkrtest_limit'"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(lb.DataError, match=message):
        call(fitted("y ~ a*b + k + x + (1 | g)"))


def test_what_is_averaged_over():
    grid = fitted("y ~ a*b + k + x + (1 | g)").ref_grid()
    shown = grid.averaged_over("a")
    assert list(shown["b"]) == ["u", "v", "u", "v"]
    assert list(shown["k"]) == [0, 0, 1, 1]
    assert len(grid) == 12
    assert grid.levels["k"] == [0.0, 1.0]


def test_several_specs():
    m = fitted("y ~ a + b + (1 | g)")
    both = m.emmeans(["~ a", "~ b"])
    assert list(both) == ["emmeans of a", "emmeans of b"]
    assert str(both["emmeans of a"]) == str(m.emmeans("a"))
    named = m.emmeans({"A": "a", "B": "~ b"})
    assert list(named) == ["A", "B"]
