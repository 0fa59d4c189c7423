"""lme4's tools for formulas and factors: findbars, nobars, subbars, expandDoubleVerts, isNested."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import lmerbridge as lb
from lmerbridge.errors import DataError, FormulaError

STORED = Path(__file__).parent / "stored"
FOUND = json.loads((STORED / "formula_tools.json").read_text("utf-8"))
TOOLS = ("nobars", "findbars", "subbars", "expandDoubleVerts")


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("asked", FOUND["formulas"], ids=lambda a: a["formula"])
def test_formula_tools_write_what_lme4s_write(asked, tool):
    assert getattr(lb, tool)(asked["formula"]) == asked[tool]


@pytest.mark.parametrize("asked", FOUND["nested"])
def test_isNested_is_lme4s(asked):
    assert lb.isNested(asked["f1"], asked["f2"]) is asked["nested"]


def test_a_fixed_part_without_an_intercept_stays_without():
    # lme4's nobars gives y ~ 1, and y ~ x, which are other models
    assert lb.nobars("y ~ (x | g) - 1") == "y ~ -1"
    assert lb.nobars("y ~ (1 | g) - x") == "y ~ -x"


def test_double_bars_of_an_intercept_alone():
    # lme4's stops: unexpected '|'
    assert lb.findbars("y ~ x + (1 || g)") == ["1 | g"]
    assert lb.findbars("y ~ (`b c` || `g h`)") == ["1 | `g h`", "0 + `b c` | `g h`"]


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("formula", ["y ~ x + (1 |", "", "y ~ x[1]", 3, None])
def test_what_is_no_formula_is_refused(tool, formula):
    with pytest.raises(FormulaError):
        getattr(lb, tool)(formula)


@pytest.mark.parametrize("formula", ["y ~ x * (1 | g)", "y ~ x - (1 | g)", "(1 | g) ~ x"])
@pytest.mark.parametrize("tool", ["nobars", "findbars"])
def test_random_terms_that_are_not_added_are_refused(tool, formula):
    with pytest.raises(FormulaError, match="random term"):
        getattr(lb, tool)(formula)


def test_double_bars_without_columns_are_refused():
    with pytest.raises(FormulaError, match="no columns"):
        lb.expandDoubleVerts("y ~ x + (0 || g)")


def test_the_tools_say_what_lmer_fits():
    formula = "y ~ x + (x || g) + (1 | a/b)"
    assert lb.expandDoubleVerts(formula) == str(lb.parse_formula(formula))
    assert len(lb.findbars(formula)) == len(lb.parse_formula(formula).random)


def test_isNested_of_columns():
    d = lb.datasets.load("Machines")
    inner = d["Worker"].astype(str) + d["Machine"].astype(str)
    assert lb.isNested(inner, d["Worker"])
    assert not lb.isNested(d["Worker"], d["Machine"])
    assert lb.isNested(pd.Categorical(inner), d["Machine"].to_numpy())
    # a level that no row has is in nothing's way
    assert lb.isNested(pd.Categorical(["a", "a"], ["a", "z"]), ["p", "p"])


@pytest.mark.parametrize(
    ("f1", "f2", "words"),
    [
        (["a", None], ["x", "x"], "f1 is missing in 1 of 2 rows"),
        ([1.0, 2.0], [np.nan, 1.0], "f2 is missing in 1 of 2 rows"),
        ([1, 2], [1], "f1 has 2 values and f2 has 1"),
        ([], [], "no rows"),
        ("zz", [1], "f1 must be a list of values"),
        ([1], 5, "f2 must be a list of values"),
        (None, [1], "f1 must be a list of values"),
        ([[1, 2]], [1], "f1 must be a list of values"),
        (pd.DataFrame({"a": [1]}), [1], "f1 must be a list of values"),
        ([object()], [1], "f1"),
    ],
)
def test_isNested_refuses_what_is_no_factor(f1, f2, words):
    with pytest.raises(DataError, match=words):
        lb.isNested(f1, f2)
