"""Contrasts of marginal means, their adjustments and what is printed, against emmeans in R.

``stored/contrasts.txt`` holds the questions, each in R and in Python; R was asked by
``stored/contrasts.R``.
"""

import functools
import json
import re
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import after
import lmerbridge as lb
from lmerbridge.engines.assemble import counted, estimates_at
from lmerbridge.likelihood import cross_products, evaluate

STORED = Path(__file__).parent / "stored"
RECORD = json.loads((STORED / "contrasts.json").read_text("utf-8"))
LINES = [
    line
    for line in (STORED / "contrasts.txt").read_text("utf-8").split("\n")
    if line and not line.startswith("#")
]
FORMULAS = dict(line.split(": ", 1) for line in LINES if " | " not in line)
QUESTIONS = [tuple(line.split(" | ")) for line in LINES if " | " in line]
# the probabilities of "mvt" are Monte Carlo in R, those of "dunnettx" an approximation
INEXACT = re.compile(r"dunnettx|mvt method")


@functools.cache
def data():
    d = pd.read_csv(STORED / "contrasts.csv", dtype={"dose": str}, keep_default_na=False)
    levels = {"b": ["lo", "hi"], "dose": ["5", "10", "20", "40"]}
    for column in ("a", "b", "dose", "site", "k", "st", "ct"):
        d[column] = pd.Categorical(d[column], levels.get(column, sorted(d[column].unique())))
    return d


@functools.cache
def model(name):
    """The model with everything that belongs to the theta that lme4 ended at."""
    d = data()
    if f"subset {name}" in FORMULAS:
        where = FORMULAS[f"subset {name}"].replace("!", "not ").replace("&", "and")
        d = d[d.eval(where)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        m = lb.lmer(FORMULAS[name], d, engine="native")
    theta = np.atleast_1d(np.array(RECORD["theta"][name], dtype=float))
    found = evaluate(cross_products(m.frame), theta, True)
    result = replace(
        m.result,
        estimates=estimates_at(m.frame, found),
        criterion=counted(m.frame, True, found.criterion),
    )
    return type(m)(result, m.frame, m.call)


def listed(value):
    return value if isinstance(value, list) else [value]


def ours(name, code):
    """What we print, and the notes that we give."""
    m = model(name)
    names = {
        "m": m,
        "np": np,
        "pd": pd,
        "E": lambda specs, **more: m.emmeans(specs, **{"ddf": "Satterthwaite", **more}),
        "T": lambda specs, var, **more: m.emtrends(specs, var, **{"ddf": "Satterthwaite", **more}),
        "J": lambda **more: m.joint_tests(**{"ddf": "Satterthwaite", **more}),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = eval(code, names)  # the questions are ours
        return str(found), {note for note in found.notes if note.startswith("Note:")}


@pytest.mark.parametrize(
    ("question", "answer"),
    list(zip(QUESTIONS, RECORD["answers"], strict=True)),
    ids=[f"{name}-{R}" for name, R, _ in QUESTIONS],
)
def test_text_is_r_s(question, answer):
    name, R, code = question
    assert (answer["model"], answer["R"]) == (name, R)
    if "failure" in answer:  # R refuses, and so do we
        with pytest.raises(lb.DataError):
            ours(name, code)
        return
    shown, notes = ours(name, code)
    theirs = "\n".join(listed(answer["text"]))
    if INEXACT.search(theirs):
        shown, theirs = (without_p(text.replace("dunnettx", "dunnett")) for text in (shown, theirs))
    after.assert_same_text(shown, theirs)
    assert notes == {s for s in map(str.strip, listed(answer["said"])) if s.startswith("Note:")}


def without_p(text):
    """Text without what stands in the last column, which is the p-value."""
    return re.sub(r"(?m)\s+\S+$", "", text)


# -- what is not printed


def machines():
    return after.at_r("machines").emmeans("Machine", ddf="Satterthwaite")


def test_levels_count_from_1_as_in_r():
    """R's ``ref = 1`` is the first level; there is no 0."""
    means = machines()
    by_number = means.contrasts("trt.vs.ctrl", ref=1).table
    assert list(by_number["contrast"]) == ["B - A", "C - A"]
    assert list(means.contrasts("trt.vs.ctrl", ref=[2, 3]).table["contrast"]) == ["A - avg(B,C)"]
    for ref in (0, -1, 4, "D"):
        with pytest.raises(lb.DataError, match="ref: "):
            means.contrasts("trt.vs.ctrl", ref=ref)


def test_two_part_results():
    both = after.at_r("machines").emmeans("pairwise ~ Machine", ddf="Satterthwaite")
    assert list(both) == ["emmeans", "contrasts"]
    assert str(both[0]) == str(both.emmeans) == str(both["emmeans"]) == str(machines())
    assert str(both[1]) == str(both.contrasts) == str(machines().pairs())
    pd.testing.assert_frame_equal(both.table, machines().pairs().table)
    assert str(both.pairs()) == str(machines().pairs())
    assert list(both.confint().contrasts.table.columns)[-2:] == ["lower.CL", "upper.CL"]
    with pytest.raises(lb.DataError, match="did you mean 'contrasts'"):
        both["contrast"]


def test_coefficients_and_covariances():
    """The estimates are the coefficients times the means, and their variances follow."""
    means = machines()
    found = means.contrasts("eff")
    C = found.coef().filter(like="c.").to_numpy().T
    np.testing.assert_allclose(found.table["estimate"], C @ means.table["emmean"], rtol=1e-12)
    V = C @ means.vcov().to_numpy() @ C.T
    np.testing.assert_allclose(found.vcov(), V, atol=1e-12)
    np.testing.assert_allclose(found.table["SE"] ** 2, np.diag(V), rtol=1e-10)
    with pytest.raises(lb.DataError, match="no contrasts"):
        means.coef()


def test_equivalence_is_the_worse_of_two_one_sided_tests():
    """TOST (Schuirmann 1987): |T| - delta, against the lower tail."""
    pairs = machines().pairs()
    for delta in (3.0, 8.0, 20.0):
        both = pairs.test("none", side="equivalence", delta=delta).table["p.value"]
        less = pairs.test("none", side="<", delta=delta).table["p.value"]
        more = pairs.test("none", side=">", delta=delta).table["p.value"]
        np.testing.assert_allclose(both, np.maximum(less, more), rtol=1e-10)


@pytest.mark.parametrize("adjust", ["none", "sidak", "bonferroni", "mvt"])
@pytest.mark.parametrize("side", ["<", ">"])
def test_one_sided_limits_are_where_the_tests_turn(adjust, side):
    pairs = machines().pairs()
    limits = pairs.confint(0.9, adjust, side=side).table
    column = "upper.CL" if side == "<" else "lower.CL"
    other = "lower.CL" if side == "<" else "upper.CL"
    assert np.all(np.isinf(limits[other]))
    tests = pairs.test(adjust, null=limits[column].tolist(), side=side).table
    np.testing.assert_allclose(tests["p.value"], 0.1, atol=2e-4 if adjust == "mvt" else 1e-8)


def test_a_joint_test_of_one_row_is_the_square_of_its_t_test():
    pairs = machines().pairs()
    for i in range(3):
        joint = pairs.test(joint=True, rows=[i])
        row = pairs.table.iloc[i]
        assert joint["F.ratio"].iloc[0] == pytest.approx(row["t.ratio"] ** 2, rel=1e-10)
        assert joint["df2"].iloc[0] == pytest.approx(row["df"], rel=1e-10)
    whole = pairs.test(joint=True)
    anova = after.at_r("machines").anova(ddf="Satterthwaite")
    assert whole["F.ratio"].iloc[0] == pytest.approx(anova["F value"].iloc[0], rel=1e-8)


def test_letters_are_shared_by_means_that_do_not_differ():
    """The property that defines a compact letter display, on random patterns of differences."""
    from lmerbridge.inference.letters import letter_sets

    rng = np.random.default_rng(1)
    for _ in range(200):
        k = int(rng.integers(1, 9))
        different = np.triu(rng.random((k, k)) < rng.random(), 1)
        different |= different.T
        sets = letter_sets(different)
        shared = (sets.astype(int) @ sets.T.astype(int)) > 0
        np.testing.assert_array_equal(shared, ~different)
        inside = sets.T.astype(int) @ sets.astype(int)
        sizes = np.diag(inside)
        assert np.all((inside < sizes[:, None]) | np.eye(len(sizes), dtype=bool))  # none in another


def test_an_adjustment_that_is_not_made_is_said():
    with pytest.warns(lb.FitMessage, match='"tukey" was changed to "sidak"'):
        machines().confint(adjust="tukey")
    with pytest.warns(lb.FitMessage, match="not appropriate for one-sided"):
        machines().pairs().test(side=">")


# how often R 4.2.2 with emmeans 1.8.4 says so when it prints the like
@pytest.mark.parametrize(
    ("call", "times"),
    [
        (lambda e: e.contrasts("eff", adjust="tukey"), 1),
        (lambda e: e.contrasts("eff", adjust="tukey", infer=("both")), 1),
        (lambda e: e.contrasts("eff", adjust="tukey")[0:2], 1),
        (lambda e: e.contrasts("eff", adjust="tukey", simple="each"), 1),
        (lambda e: e.contrasts("eff", adjust="tukey", simple="each", combine=True), 1),
        (lambda e: e.contrasts(interaction="eff", adjust="tukey"), 1),
        (lambda e: e.pairs()[0:2], 1),
        (lambda e: e.pairs().subset("contrast != 'A - B'"), 1),
        (lambda e: e.rbind(e, adjust="tukey"), 1),
        (lambda e: e.pairs().rbind(e.contrasts("consec"), adjust="tukey"), 1),
        (lambda e: e.pairs() + e.contrasts("consec"), 0),
        (lambda e: e.pairs(adjust="tukey"), 0),
        (lambda e: e.confint(adjust="tukey")[[0, 1]], 1),
    ],
)
def test_an_adjustment_that_is_not_made_is_said_once(call, times):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        str(call(machines()))
    assert len([w for w in caught if '"tukey" was changed' in str(w.message)]) == times
    assert {w.filename for w in caught} <= {__file__}  # the line that asked


# confint(contrast(e, list(zero = c(0, 0, 0)))) of R 4.2.2 with emmeans 1.8.4,
# for lmer.df = "satterthwaite"
NOTHING = [
    " contrast estimate SE  df asymp.LCL asymp.UCL",
    " zero            0  0 NaN         0         0",
    "",
    "Degrees-of-freedom method: satterthwaite",
    "Confidence level used: 0.95",
]


def lines_of(shown):
    return [line.rstrip() for line in str(shown).splitlines()]


def test_functions_of_no_effect_are_0():
    """Where all coefficients are 0, and where a model has no effects: R stops at the latter."""
    assert lines_of(machines().contrasts({"zero": [0, 0, 0]}).confint()) == NOTHING
    m = lb.lmer("Reaction ~ 0 + (1 | Subject)", lb.datasets.load("sleepstudy"), engine="native")
    header, numbers, *below = lines_of(m.emmeans("~ 1", ddf="satterthwaite"))
    assert header.split()[2:] == NOTHING[0].split()[2:]  # after "1 emmean", "contrast estimate"
    assert numbers.split()[1:] == NOTHING[1].split()[1:]
    assert below == NOTHING[2:]


def test_letters_as_text():
    shown = machines().cld()
    assert list(shown.columns)[-1] == ".group"
    assert [g.strip() for g in shown[".group"]] == ["1", "2", "2"]  # B - C: p = 0.0507
    assert "significance level used: alpha = 0.05" in shown.text
    with pytest.raises(lb.DataError, match="for means"):
        machines().pairs().cld()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda e: e.test(side="sideways"), "side cannot be"),
        (lambda e: e.test(delta=-1), "delta must be"),
        (lambda e: e.test(null=[1, 2]).table, "null has 2 values for 3"),
        (lambda e: e.test(adjust="ho"), "not clear: holm, hochberg, hommel"),
        (
            lambda e: e.pairs().test(cross_adjust="tukey", by="contrast").table,
            "cross_adjust cannot",
        ),
        (lambda e: e.pairs(by="Machin"), "did you mean 'Machine'"),
        (lambda e: e.contrasts("pairwise", reverse=True), "revpairwise"),
        (lambda e: e.contrasts("eff", ref=1), "take no ref"),
        (lambda e: e.contrasts(interaction={"Machin": "eff"}), "did you mean 'Machine'"),
        (lambda e: e.contrasts(simple="x"), "none of Machine"),
        (lambda e: e.contrasts({"a": ["x", "y", "z"]}), "numbers"),
        (lambda e: e.contrasts(3), "method must be"),
        (lambda e: e[5], "positions from 0 to 2"),
        (lambda e: e.subset("Machine == 'Z'"), "no rows"),
        (lambda e: e.subset("Worker == 1"), "cannot be evaluated"),
        (lambda e: e.test(joint=True, adjust="holm"), "takes no adjust"),
        (lambda e: e.summary(infer="all"), "infer cannot be"),
        (lambda e: e.summary(df=0), "df must be"),
        (lambda e: e.summary(type="odds"), "type must be"),
        (lambda e: e.cld(alpha=2), "alpha must be"),
    ],
)
def test_mistakes_are_named(call, message):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(lb.DataError, match=message):
            call(machines())
