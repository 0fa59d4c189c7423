"""What a session and a notebook show of a result: short, and all that was asked for."""

import dataclasses
import pickle
import re

import numpy as np
import pandas as pd
import pytest

import lmerbridge as lb
from after import fitted
from lmerbridge.shown import text_html


@pytest.fixture(scope="module")
def m():
    return fitted("sleep")


ASKED = {
    "profile": lambda m: m.profile(["Days"]),
    "bootstrap": lambda m: m.bootMer(nsim=10, seed=1),
    "influence of groups": lambda m: m.influence("Subject"),
    "influence of rows": lambda m: m.influence(),
    "refits": lambda m: m.refit_many(np.column_stack([m.frame.y] * 40)),
    "principal components": lambda m: m.rePCA()["Subject"],
    "data set": lambda m: lb.datasets.describe("sleepstudy"),
    "summary": lambda m: m.summary(ddf="Satterthwaite"),
    "anova": lambda m: m.anova(),
    "marginal means": lambda m: m.emmeans("Days"),
    "both": lambda m: fitted("chick").emmeans("pairwise ~ Diet"),
    "reference grid": lambda m: m.ref_grid(),
    "regression": lambda m: lb.lm("Reaction ~ Days", lb.datasets.load("sleepstudy")),
    "regression's summary": lambda m: lb.lm(
        "Reaction ~ Days", lb.datasets.load("sleepstudy")
    ).summary(),
    "explained": lambda m: m.r2(),
    "correlation within groups": lambda m: m.icc(),
    "power": lambda m: m.power("Days", nsim=2, seed=1),
    "check": lambda m: lb.check(str(m.formula), lb.datasets.load("sleepstudy"), ["native"]),
}


GENERALIZED = {
    "model": lambda g: g,
    "summary": lambda g: g.summary(),
    "approximation": lambda g: g.approximation(),
    "deviances": lambda g: g.Anova(),
    "means": lambda g: g.emmeans("pairwise ~ period", type="response"),
    "tests by drawn responses": lambda g: g.residual_tests(20, seed=1),
    "dispersion": lambda g: g.overdispersion(),
    "profile": lambda g: g.profile("period2"),
    "influence": lambda g: g.influence("herd"),
    "bootstrap": lambda g: g.bootMer(nsim=2, seed=1),
    "refits": lambda g: g.refit_many(g.simulate(2, seed=1)),
    "explained": lambda g: g.r2(),
    "deletions": lambda g: g.drop1(),
    "table": lambda g: lb.table(g),
    "power": lambda g: g.power("period2", nsim=2, seed=1),
}


@pytest.fixture(scope="module")
def g():
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    return lb.glmer(formula, lb.datasets.load("cbpp"), engine="native")


@pytest.mark.parametrize("name", GENERALIZED)
def test_what_a_generalized_model_gives_is_shown_too(g, name):
    found = GENERALIZED[name](g)
    text = repr(found)
    assert text == str(found)
    assert 1 <= len(text.splitlines()) <= 40
    assert max(map(len, text.splitlines())) <= 100
    assert "array(" not in text
    html = found._repr_html_()
    assert html.startswith(("<pre", "<table"))


def test_tests_by_drawn_responses_have_a_title_and_round_numbers(g):
    lines = str(g.residual_tests(20, seed=1)).splitlines()
    assert lines[0] == "The response among 20 that the model draws"
    assert lines[2].split() == ["observed", "expected", "p_value"]
    assert re.search(r"^outliers +\d+ +\d", "\n".join(lines), re.MULTILINE)


def test_wide_tables_show_every_column_in_a_terminal(m, g):
    """pandas leaves out the middle ones where a terminal is narrow."""
    with pd.option_context("display.width", 60, "display.max_columns", 4):
        for table in (m.tidy(conf_int=True), m.glance(), m.augment(), m.allFit(), g.tidy("fixed")):
            heads = {word for line in repr(table).splitlines() for word in line.split()}
            assert "..." not in repr(table.head(5))
            assert set(" ".join(map(str, table.columns)).split()) <= heads
            assert table._repr_html_().startswith("<div>")


@pytest.mark.parametrize("name", ASKED)
def test_it_is_short_and_the_same_in_a_notebook(m, name):
    found = ASKED[name](m)
    text = repr(found)
    assert len(text.splitlines()) <= 40
    assert max(map(len, text.splitlines())) <= 130
    assert "array(" not in text
    assert text == str(found)
    html = found._repr_html_()
    assert html.startswith("<pre")
    assert "&lt;" in html or "<" not in text
    for line in text.replace("&", "&amp;").splitlines()[:5]:
        assert line.replace("<", "&lt;").replace(">", "&gt;").replace("'", "&#x27;") in html


def test_a_summary_in_a_notebook_has_what_was_asked_for(m):
    html = m.summary(ddf="Satterthwaite")._repr_html_()
    for part in (
        "Scaled residuals",
        "Pr(&gt;|t|)",
        "17.00",
        "3.26e-06 ***",
        "Correlation of Fixed",
    ):
        assert part in html


def test_a_summary_that_is_a_text_is_shown_as_it_is_printed():
    found = lb.lmList("Reaction ~ Days | Subject", lb.datasets.load("sleepstudy")).summary()
    assert isinstance(found, str)
    assert repr(found) == str(found)
    assert found._repr_html_() == text_html(found)


def test_a_table_that_was_changed_shows_the_change(m):
    table = m.anova()
    table["x"] = 1
    assert "<th>x</th>" in table._repr_html_()


def test_long_tables_say_where_the_rest_is(m):
    text = str(m.influence())
    assert "168 more rows: table()" in text
    d = m.influence("Subject")
    worst = d.cooks_distance().idxmax()
    assert str(d).splitlines()[4].startswith(worst)


def test_values_are_still_values(m):
    p = m.rePCA()["Subject"]
    assert p == dataclasses.replace(p)


@pytest.mark.parametrize(
    "name", ["coef", "dummy_coef", "postVar", "rePCA", "se_ranef", "show_tests"]
)
def test_what_is_by_name_is_shown_as_a_named_list(name):
    m = lb.lmer(
        "Reaction ~ Days + (Days | Subject)", lb.datasets.load("sleepstudy"), engine="native"
    )
    found = getattr(m, name)()
    assert isinstance(found, dict)
    expected = "\n\n".join(f"${key}\n{value}" for key, value in found.items())
    assert repr(found) == str(found) == expected
    assert found._repr_html_() == text_html(expected)
    again = pickle.loads(pickle.dumps(found))
    assert repr(again) == expected
