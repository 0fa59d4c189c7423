"""Marginal means and contrasts of nested factors, and by several factors, against live R."""

import numpy as np
import pandas as pd
import pytest

import after
import live
from lmerbridge.errors import DataError


def data(formula=""):
    """Of some models without a cell."""
    rng = np.random.default_rng(20)
    n = 120
    d = pd.DataFrame({"g": rng.integers(0, 8, n), "a": rng.integers(0, 2, n)})
    d["b"], d["e"] = rng.integers(0, 3, n), rng.integers(0, 2, n)
    d["y"] = (9 + d["a"] - 0.5 * d["b"] + rng.normal(size=8)[d["g"]] + rng.normal(size=n)).round(3)
    for name, levels in (("a", "pq"), ("b", "uvw"), ("e", "EF"), ("g", "abcdefgh")):
        d[name] = pd.Categorical([levels[i] for i in d[name]], list(levels))
    d["x"] = rng.normal(size=n).round(2)
    if "x" in formula:
        d = d[~((d.a == "p") & (d.b == "u"))]
    if "a:e" in formula:
        d = d[~((d.b == "v") & (d.e == "F"))]
    return d.reset_index(drop=True)


NESTED = {
    "emmeans(m, ~ a | b)": lambda m: m.emmeans("~ a | b"),
    "emmeans(m, ~ b | a)": lambda m: m.emmeans("~ b | a"),
    "emmeans(m, ~ b)": lambda m: m.emmeans("~ b"),
    "emmeans(m, ~ e | b)": lambda m: m.emmeans("~ e | b"),
    "emmeans(m, ~ b | e)": lambda m: m.emmeans("~ b | e"),
    "emmeans(m, ~ e * a | b)": lambda m: m.emmeans("~ e * a | b"),
    "test(emmeans(m, ~ a | b), joint = TRUE)": lambda m: m.emmeans("~ a | b").test(joint=True),
    "test(emmeans(m, ~ e | b), joint = TRUE)": lambda m: m.emmeans("~ e | b").test(joint=True),
    'test(emmeans(m, ~ a | b), by = "b", joint = TRUE)': lambda m: m.emmeans("~ a | b").test(
        by="b", joint=True
    ),
    "contrast(emmeans(m, ~ a | b), by = NULL)": lambda m: m.emmeans("~ a | b").contrasts(
        "eff", by=None
    ),
}
CROSSED = {
    f'{function}(emmeans(m, {formula}), adjust = "scheffe")': (function, formula)
    for function in ("test", "confint")
    for formula in ("~ a | e", "~ a", "~ b", "~ e | b", "~ 1 | a")
}
JOINT = {
    'test(emmeans(m, ~ a * b * e), by = c("b", "a"), joint = TRUE)': lambda m: m.emmeans(
        "~ a * b * e"
    ).test(by=["b", "a"], joint=True),
    "test(emmeans(m, ~ e | b * a), joint = TRUE)": lambda m: m.emmeans("~ e | b * a").test(
        joint=True
    ),
}
ENDS = "cov.reduce = range"


def at_ends(m, spec, **arguments):
    return m.emmeans(spec, cov_reduce=lambda x: [x.min(), x.max()], **arguments)


# of two factors in the same nest, each averaged over what there is of the other
BOTH_NESTED = {
    f"emmeans(m, ~ x, {ENDS})": lambda m: at_ends(m, "~ x"),
    f"emmeans(m, ~ a, {ENDS})": lambda m: at_ends(m, "~ a"),
    f'emmeans(m, ~ x, {ENDS}, weights = "proportional")': lambda m: at_ends(
        m, "~ x", weights="proportional"
    ),
    "joint_tests(m)": lambda m: m.joint_tests(),
}
TWO_NESTED = {
    "emmeans(m, ~ a)": lambda m: m.emmeans("~ a"),
    'emmeans(m, ~ a, weights = "proportional")': lambda m: m.emmeans("~ a", weights="proportional"),
}
MODELS = {
    "y ~ a + a:b + e + (1 | g)": NESTED,
    "y ~ a * b * e + (1 | g)": {**CROSSED, **JOINT},
    "y ~ a:x + b:x + (1 | g)": BOTH_NESTED,
    "y ~ a + a:b + a:e + (1 | g)": TWO_NESTED,
}


PRINTED = "{{ library(emmeans); capture.output(print({})) }}"

TWO_AND_THREE = """{ library(emmeans)
  as.data.frame(pairs(emmeans(m, ~ b | a, lmer.df = "asymptotic")))$p.value }"""


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    cases = [
        live.case(
            formula,
            formula,
            data(formula),
            {**{q: PRINTED.format(q) for q in questions}, "theta": "m@theta"},
        )
        for formula, questions in MODELS.items()
    ]
    answers = live.ask(cases, tmp_path_factory.mktemp("nested"))
    models = {
        case["name"]: live.at_theta(
            live.fit(case), answers[case["name"]]["theta"]["value"]["values"]
        )
        for case in cases
    }
    return models, answers


@pytest.mark.r("emmeans", "jsonlite")
@pytest.mark.parametrize(("formula", "question"), [(f, q) for f in MODELS for q in MODELS[f]])
def test_tables_are_r_s_text(asked, formula, question):
    models, answers = asked
    m, ours = models[formula], MODELS[formula][question]
    if callable(ours):
        shown = ours(m)
    else:
        function, spec = ours
        shown = getattr(m.emmeans(spec), function)(adjust="scheffe")
    text = answers[formula][question]["value"]
    lines = text if isinstance(text, list) else [text]
    after.assert_same_text(after.without_engine(shown), "\n".join(lines), 2e-3)


@pytest.mark.r("emmeans", "jsonlite")
def test_each_family_of_pairs_is_compared_on_its_own(tmp_path):
    """Three cities in one state, two in the other: Tukey's p-values are for three means and two."""
    formula = "y ~ a + a:b + (1 | g)"
    d = data()
    d = d[~((d.a == "p") & (d.b == "u"))].reset_index(drop=True)
    case = live.case("m", formula, d, {"pairs": TWO_AND_THREE, "theta": "m@theta"})
    answers = live.ask([case], tmp_path)["m"]
    m = live.at_theta(live.fit(case), answers["theta"]["value"]["values"])
    found = m.emmeans("~ b | a", ddf="asymptotic").pairs().table["p.value"]
    np.testing.assert_allclose(found, answers["pairs"]["value"]["values"], rtol=1e-4)
    assert len(found) == 4


@pytest.mark.parametrize("fixed", ["a * b * e", "0 + x + (b + a)^2", "a + a:b"])
@pytest.mark.parametrize("coding", ["contr.sum", "contr.poly", "contr.helmert"])
def test_joint_tests_with_empty_cells_do_not_depend_on_the_coding(fixed, coding):
    d = data()
    d = d[~((d.a == "p") & (d.b == "u")) & ~((d.b == "v") & (d.e == "F"))].reset_index(drop=True)
    formula = f"y ~ {fixed} + (1 | g)"
    one = live.fit(live.case("m", formula, d, {})).joint_tests(ddf="lme4")
    contrasts = {name: coding for name in "abe" if name in fixed}
    two = live.fit(live.case("m", formula, d, {}, contrasts)).joint_tests(ddf="lme4")
    assert list(two["model term"]) == list(one["model term"])
    np.testing.assert_array_equal(two["df1"], one["df1"])
    np.testing.assert_allclose(two["F.ratio"], one["F.ratio"], rtol=1e-5)


def test_states_are_not_compared_within_a_city():
    m = live.fit(live.case("m", "y ~ a + a:b + e + (1 | g)", data(), {}))
    with pytest.raises(DataError, match="b is nested in a"):
        m.emmeans("~ a | b").pairs()
    with pytest.raises(DataError, match="take b out of by"):
        m.emmeans("~ a * b").contrasts("consec", by="b")
    with pytest.raises(DataError, match="b is nested in a"):
        m.emmeans("~ a | b").contrasts(interaction="pairwise")
    with pytest.raises(DataError, match="no factor is left to compare beside e, a"):
        m.emmeans("~ e | a").contrasts(interaction="pairwise", by=["e", "a"])
    within = m.emmeans("~ e | b").pairs()
    assert list(within.grid.by) == ["a", "b"]
    assert len(within.table) == 6
