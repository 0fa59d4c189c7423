"""KRmodcomp, SATmodcomp, PBmodcomp and contest: what R says of a model's hypotheses, in any of the
forms that they are given (``reference/inference/comparisons.R``).
"""

import functools
import json
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import after
import lmerbridge as lb
from lmerbridge.engines.assemble import counted, estimates_at
from lmerbridge.likelihood import cross_products, evaluate

pytestmark = pytest.mark.filterwarnings("ignore:boundary")

STORED = json.loads((after.FOLDER / "comparisons.json").read_text("utf-8"))
ANSWERS = {a["code"]: a for a in STORED["answers"]}
FORMULAS = {
    "big": "y ~ b + s + h + (1 | b:h)",
    "small": "y ~ b + s + (1 | b:h)",
    "none": "y ~ 1 + (1 | b:h)",
    "long": "y ~ b + s + h + a_rather_long_name + another_rather_long_name + (1 | b:h)",
    "long0": "y ~ b + s + a_rather_long_name + another_rather_long_name + (1 | b:h)",
    "curve": "Reaction ~ f * Days + (Days | Subject)",
    "only": "Reaction ~ Days + (Days | Subject)",
    "flat": "Reaction ~ f + (Days | Subject)",
    "ml": "y ~ b + s + h + (1 | b:h)",
    "little": "y ~ t + x + (x | b)",
    "negative": "y ~ t + x + (x | b)",
}
L = np.zeros((2, 8))
L[0, 7] = L[1, 6] = 1
L3 = np.vstack([L, L.sum(axis=0)])
THIRD = np.array([[0, 1, 0.5, 0, 1 / 3, 0], [0, 0, 1, 0, 0, 0]])
NOTHING = np.zeros((2, 8))


@functools.cache
def data(name):
    if name in ("little", "negative"):
        d = pd.read_csv(after.FOLDER / "wild.csv")
        return d[d["kind"] == name].astype({"b": str}).reset_index(drop=True)
    if name not in ("curve", "only", "flat"):
        return pd.read_csv(after.FOLDER / "splitplot.csv")
    d = lb.datasets.load("sleepstudy")
    d = d.drop(d.index[[*range(7), 32, 49, 50]]).reset_index(drop=True)
    return d.assign(f=np.resize(["p", "q", "r"], len(d)))


@functools.cache
def model(name):
    """The model at R's theta."""
    m = lb.lmer(FORMULAS[name], data(name), REML=name != "ml", engine="native")
    theta = np.array(list(STORED["theta"][name].values()))
    found = evaluate(cross_products(m.frame), theta, m.result.call.REML)
    result = replace(
        m.result,
        estimates=estimates_at(m.frame, found),
        criterion=counted(m.frame, m.result.call.REML, found.criterion),
    )
    return type(m)(result, m.frame, m.call)


def no_effects(name):
    return lb.lmer("y ~ 1 + (x | b)", data(name), engine="native")


MODELS = [
    ("KRmodcomp(big, small)", lambda: model("big").KRmodcomp(model("small"))),
    ("KRmodcomp(small, big)", lambda: model("small").KRmodcomp(model("big"))),
    ("KRmodcomp(ml, small)", lambda: model("ml").KRmodcomp(model("small"))),
    ("KRmodcomp(big, none)", lambda: model("big").KRmodcomp(model("none"))),
    ("KRmodcomp(big, ~ . - h)", lambda: model("big").KRmodcomp("~ . - h")),
    (
        "KRmodcomp(ml, y ~ b + s + (1 | b:h))",
        lambda: model("ml").KRmodcomp("y ~ b + s + (1 | b:h)"),
    ),
    ("KRmodcomp(long, long0)", lambda: model("long").KRmodcomp(model("long0"))),
    ("KRmodcomp(big, L)", lambda: model("big").KRmodcomp(L)),
    ("KRmodcomp(big, L[1, ])", lambda: model("big").KRmodcomp(L[0])),
    ("KRmodcomp(big, L3)", lambda: model("big").KRmodcomp(L3)),
    (
        "KRmodcomp(big, L, betaH = c(0, 0, 0, 0, 0, 0, 1, 2))",
        lambda: model("big").KRmodcomp(L, betaH=[0, 0, 0, 0, 0, 0, 1, 2]),
    ),
    ("KRmodcomp(big, L, betaH = 1)", lambda: model("big").KRmodcomp(L, betaH=1)),
    ("KRmodcomp(curve, only)", lambda: model("curve").KRmodcomp(model("only"))),
    ("KRmodcomp(curve, flat)", lambda: model("curve").KRmodcomp(model("flat"))),
    ("KRmodcomp(curve, third)", lambda: model("curve").KRmodcomp(THIRD)),
    ("KRmodcomp(little, little0)", lambda: model("little").KRmodcomp(no_effects("little"))),
    ("KRmodcomp(negative, negative0)", lambda: model("negative").KRmodcomp(no_effects("negative"))),
    ("SATmodcomp(big, small)", lambda: model("big").SATmodcomp(model("small"))),
    ("SATmodcomp(small, big)", lambda: model("small").SATmodcomp(model("big"))),
    ("SATmodcomp(big, ~ . - h)", lambda: model("big").SATmodcomp("~ . - h")),
    ("SATmodcomp(big, L)", lambda: model("big").SATmodcomp(L)),
    ("SATmodcomp(big, L3)", lambda: model("big").SATmodcomp(L3)),
    ("SATmodcomp(curve, only)", lambda: model("curve").SATmodcomp(model("only"))),
    ("SATmodcomp(curve, flat)", lambda: model("curve").SATmodcomp("~ . - Days - f:Days")),
    ("SATmodcomp(curve, third)", lambda: model("curve").SATmodcomp(THIRD)),
    ("SATmodcomp(long, long0)", lambda: model("long").SATmodcomp(model("long0"))),
    ('anova(curve, ddf = "Ken")', lambda: model("curve").anova(ddf="Ken")),
    ('anova(big, ddf = "Sat")', lambda: model("big").anova(ddf="Sat")),
    ('anova(ml, ddf = "S")', lambda: model("ml").anova(ddf="S")),
]


@pytest.mark.parametrize(("code", "call"), MODELS, ids=[code for code, _ in MODELS])
def test_comparisons_are_r_s_text(code, call):
    expected = list(ANSWERS[code]["text"])
    shown = str(call()).split("\n")
    if code.startswith("SAT"):  # a row of a restriction matrix may have either sign
        ours, theirs = matrix_of(shown), matrix_of(expected)
        np.testing.assert_allclose(np.abs(ours), np.abs(theirs), rtol=2e-4, atol=1e-6)
    after.assert_same_text("\n".join(shown), "\n".join(expected))


def matrix_of(lines):
    """The matrix that SATmodcomp prints, which is taken out of ``lines``."""
    start = next(i for i, line in enumerate(lines) if "restriction matrix" in line) + 1
    end = next(i for i, line in enumerate(lines) if "statistic" in line)
    rows = [[float(v) for v in line.split()] for line in lines[start + 1 : end]]
    assert lines[start].strip() == ""
    del lines[start:end]
    return np.array(rows)


@pytest.mark.parametrize(
    ("code", "call", "warned"),
    [
        ("contest(big, L)", lambda m: m.contest(L), False),
        ("contest(big, L3)", lambda m: m.contest(L3), False),
        ("contest(big, L3, rhs = c(0, 0, 3))", lambda m: m.contest(L3, rhs=[0, 0, 3]), True),
        ("contest(big, L3, rhs = 1)", lambda m: m.contest(L3, rhs=1), True),
        (
            "contest(big, L3[c(3, 1, 2), ], rhs = c(100, 2, 2))",
            lambda m: m.contest(L3[[2, 0, 1]], rhs=[100, 2, 2]),
            True,
        ),
        (
            'contest(big, L, rhs = c(1, 2), ddf = "Ken")',
            lambda m: m.contest(L, rhs=[1, 2], ddf="Ken"),
            False,
        ),
        (
            'contest(big, L3, rhs = c(2, 2, 100), ddf = "Ken")',
            lambda m: m.contest(L3, rhs=[2, 2, 100], ddf="Ken"),
            True,
        ),
        (
            "contest(big, list(First = L[1, ], Second = L))",
            lambda m: m.contest({"First": L[0], "Second": L}),
            False,
        ),
        (
            "contest(big, list(First = L[1, ], Second = L), joint = FALSE)",
            lambda m: m.contest({"First": L[0], "Second": L}, joint=False),
            False,
        ),
        (
            "contest(big, L, joint = FALSE, confint = FALSE)",
            lambda m: m.contest(L, joint=False, confint=False),
            False,
        ),
        (
            "contest(big, L, joint = FALSE, level = 0.9, rhs = 1)",
            lambda m: m.contest(L, joint=False, level=0.9, rhs=1),
            False,
        ),
        ("contest(big, rbind(rep(0, 8)))", lambda m: m.contest(NOTHING[0]), False),
        ("contest(big, rbind(rep(0, 8), rep(0, 8)))", lambda m: m.contest(NOTHING), False),
        ("contest(big, matrix(0, 0, 8))", lambda m: m.contest(NOTHING[:0]), False),
        (
            "contest(big, rbind(rep(0, 8), L[1, ]), joint = FALSE)",
            lambda m: m.contest([NOTHING[0], L[0]], joint=False),
            False,
        ),
        ("contest(big, rbind(rep(0, 8), L[1, ]))", lambda m: m.contest([NOTHING[0], L[0]]), False),
        ("contest(curve, third)", lambda m: m.contest(THIRD), False),
        ('contest(curve, third, ddf = "Ken")', lambda m: m.contest(THIRD, ddf="Ken"), False),
        (
            'contest1D(big, L[1, ], rhs = 1, ddf = "Ken", confint = TRUE, level = 0.8)',
            lambda m: m.contest1D(L[0], rhs=1, ddf="Ken", confint=True, level=0.8),
            False,
        ),
        ("contestMD(big, L, rhs = c(0, 1))", lambda m: m.contestMD(L, rhs=[0, 1]), False),
    ],
)
def test_contests_are_r_s(code, call, warned):
    m = model("curve" if "curve" in code else "big")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = call(m)
    answer = ANSWERS[code]
    assert [str(w.message) for w in said] == answer["said"]
    assert bool(said) == warned
    R = answer["value"]
    assert list(found.columns) == R["columns"]
    numbers = np.array([[after.number(v) for v in column] for column in R["values"]]).T
    assert found.shape == (len(R["rows"]), len(R["columns"]))
    np.testing.assert_allclose(found.to_numpy(), numbers.reshape(found.shape), rtol=1e-4)
    if "list(" in code:
        assert list(found.index) == R["rows"]


def test_what_is_done_for_the_user_is_said():
    small, big, ml = model("small"), model("big"), model("ml")
    with pytest.warns(lb.FitMessage, match="fitted again by REML"):
        assert ml.KRmodcomp(small)["stat"].iloc[0] == pytest.approx(
            big.KRmodcomp(small)["stat"].iloc[0], rel=1e-4
        )
    with pytest.warns(lb.FitMessage, match="other order") as said:
        small.KRmodcomp(big)
    assert said[0].filename == __file__
    with pytest.warns(lb.FitMessage, match="other order"):
        small.SATmodcomp(big)


def test_a_test_on_two_degrees_of_freedom():
    """R gives 2.0149 for it, and does not scale F."""
    found = model("big").KRmodcomp(". ~ . - b").loc["Ftest"]
    assert found["ddf"] == pytest.approx(2, rel=1e-9)
    assert found["F.scaling"] == 1
    assert after.number(ANSWERS["KRmodcomp(big, . ~ . - b)"]["value"]["values"][0][0]) != (
        pytest.approx(found["stat"], rel=1e-3)
    )


def test_bootstrap_of_a_formula():
    found = model("big").PBmodcomp("~ . - h", nsim=5, seed=1)
    again = model("big").PBmodcomp(model("small"), nsim=5, seed=1)
    np.testing.assert_allclose(found, again, rtol=1e-6)


def test_marginal_means_of_an_ml_fit_have_the_standard_errors_of_the_reml_fit():
    """An exact F test is behind these: three blocks of two plots, 2 degrees of freedom. emmeans'
    are made of the variances of both fits, which are in proportion here.
    """
    ml, restricted = model("ml").emmeans("b"), model("ml").update(REML=True).emmeans("b")
    np.testing.assert_allclose(ml.table["SE"], restricted.table["SE"], rtol=1e-9)
    pairs = model("ml").update(REML=True).emmeans("b").pairs()
    np.testing.assert_allclose(pairs.table["df"], 2, rtol=1e-8)
    by_ml = model("ml").emmeans("b", ddf="asymp").table["SE"]
    expected = 2 * (restricted.table["SE"] / by_ml) ** 4
    np.testing.assert_allclose(ml.table["df"], expected, rtol=1e-6)
    assert "kenward-roger" in str(ml)
    assert "satterthwaite" in str(model("ml").emmeans("b", ddf="sat"))
    assert np.isinf(model("ml").emmeans("b", ddf="asymp").table["df"]).all()


@pytest.mark.parametrize("name", ["KRmodcomp", "SATmodcomp"])
@pytest.mark.parametrize(
    ("smaller", "message"),
    [
        ("h", "formula"),
        (lambda: lb.lm("y ~ b + s", data("big")), "a LinearModel"),
        (None, "columns"),
        (lambda: model("big"), "nothing to test"),
        ("~ . - h + a_rather_long_name", "not nested"),
        (NOTHING[:0], "no rows"),
        ([[0, 1]], "8 fixed effects"),
        (lambda: model("curve"), "rows"),
        (
            lambda: lb.lmer("z ~ b + s + (1 | b:h)", data("big").assign(z=lambda d: -d["y"])),
            "same response",
        ),
    ],
)
def test_what_is_no_smaller_model_is_named(name, smaller, message):
    with pytest.raises(lb.DataError, match=message):
        getattr(model("big"), name)(smaller() if callable(smaller) else smaller)


def test_further_mistakes_are_named():
    m = model("big")
    for call, message in (
        (lambda: m.contest(L, rhs=[1, 2, 3]), "rhs has 3 values"),
        (lambda: m.contest(L, rhs="a"), "rhs"),
        (lambda: m.contest(L, rhs=np.nan), "rhs has missing"),
        (lambda: m.contest(L, joint=False, level=1.5), "level"),
        (lambda: m.contest({}), "no L"),
        (lambda: m.contest1D(L), "contestMD"),
        (lambda: m.KRmodcomp(L, betaH=[1, 2]), "betaH has 2"),
        (lambda: m.KRmodcomp(model("small"), betaH=1), "betaH is for"),
        (lambda: m.anova(ddf="K R"), "unknown ddf"),
        (lambda: m.anova(ddf="KR"), "Kenward-Roger"),
        (lambda: m.anova(ddf=""), "unknown ddf"),
        (lambda: m.anova(ddf=None), "ddf must be text"),
    ):
        with pytest.raises(lb.DataError, match=message):
            call()
    # advice is followed
    with pytest.raises(lb.UnsupportedModelError, match=r"m\.update\(REML=True\)"):
        model("ml").summary(ddf="Kenward-Roger")
    assert "Kenward-Roger" in str(model("ml").update(REML=True).summary(ddf="Kenward-Roger"))


def test_models_without_fixed_effects():
    d = data("big")
    m = lb.lmer("y ~ 0 + (1 | b:h)", d, engine="native")
    for ddf in ("Satterthwaite", "Kenward-Roger", "lme4"):
        assert len(m.anova(ddf=ddf)) == 0
        assert len(m.contest(np.zeros((0, 0)), ddf=ddf)) == 0
        # lme4's own table is of type I, so that II would say nothing of it
        for kind in (1, 3) if ddf == "lme4" else (1, 2, 3):
            assert len(m.anova(type=kind, ddf=ddf)) == 0
    for ddf in ("Satterthwaite", "Kenward-Roger"):
        assert len(m.summary(ddf=ddf).coefficients) == 0
    with pytest.raises(lb.DataError, match="nothing to test"):
        m.KRmodcomp(m)
    one = lb.lmer("y ~ 1 + (1 | b:h)", d, engine="native")
    with pytest.warns(lb.FitMessage, match="other order"):
        found = m.KRmodcomp(one)
    t = one.summary(ddf="Kenward-Roger").coefficients.iloc[0]
    assert found.loc["Ftest", "stat"] == pytest.approx(t["t value"] ** 2)
    assert found.loc["Ftest", "ddf"] == pytest.approx(t["df"])


def test_hypotheses_can_be_seen():
    m = model("big")
    shown = m.show_tests(type=3)
    assert list(shown) == ["b", "s", "h"]
    assert list(shown["s"].columns) == list(m.fixef().index)
    for term, hypothesis in shown.items():
        row = m.anova(ddf="Kenward-Roger").loc[term]
        assert m.KRmodcomp(hypothesis).loc["Ftest", "stat"] == pytest.approx(row["F value"])
