"""What a session and a notebook show of a result: short, and all that was asked for."""

import dataclasses
import pickle

import numpy as np
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
    "check": lambda m: lb.check(str(m.formula), lb.datasets.load("sleepstudy"), ["native"]),
}


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
