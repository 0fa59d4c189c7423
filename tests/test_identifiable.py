"""Random terms that cannot be told apart are named, and no others."""

import warnings

import numpy as np
import pandas as pd
import pytest

import lmerbridge as lb
from lmerbridge.design import build_frame
from lmerbridge.errors import DataError, FitWarning


@pytest.fixture
def d(simulated):
    rng = np.random.default_rng(8)
    copied = simulated.g.map(lambda g: f"level {19 - g}")  # other labels in another order
    return simulated.assign(
        copied=copied,
        coarse=simulated.g % 4,
        pair=simulated.h // 4,
        t=1.7e9 + rng.uniform(0, 1e5, 160),
    )


def said(d, terms):
    control = lb.lmerControl(check_nobs_vs_nRE="ignore")
    frame = build_frame(f"y ~ x + {terms}", d, control=control)
    return [n.text for n in frame.asked.notes if "told apart" in n.text]


@pytest.mark.parametrize(
    "terms",
    [
        "(1 | g)",
        "(x | g)",
        "(x || g)",
        "(f | g)",
        "(0 + f | h)",
        "(t | g)",
        "(t || g)",
        "(1 | g) + (1 | h)",
        "(1 | g) + (1 | coarse)",
        "(1 | coarse / g) + (x | h)",
        "(1 | g) + (0 + x + z | g)",
        "(1 | g) + (0 + dummy(b) | g)",
        "(1 | g) + (1 | g:pair)",
        "(1 | coarse) + (1 | pair) + (1 | coarse:pair)",
    ],
)
def test_models_that_are_determined_are_not_warned_of(d, terms):
    if terms == "(1 | coarse / g) + (x | h)":  # coarse:g parts the rows as g does
        assert said(d, "(1 | coarse / g) + (1 | g)") != []
    assert said(d, terms) == []


@pytest.mark.parametrize(
    ("terms", "named"),
    [
        ("(1 | g) + (1 | g)", ["(1 | g)", "(1 | g)"]),
        ("(1 | g) + (1 | copied)", ["(1 | g)", "(1 | copied)"]),
        ("(x | g) + (1 | g)", ["(x | g)", "(1 | g)"]),
        ("(x | g) + (z | copied)", ["(x | g)", "(z | copied)"]),
        ("(1 | g:h) + (x | h) + (1 | h:g)", ["(1 | g:h)", "(1 | h:g)"]),
        ("(1 | g) + (1 | h) + (1 | coarse:g)", ["(1 | coarse:g)", "(1 | g)"]),
        ("(0 + x | g) + (0 + I(3 * x) | g)", ["(0 + x | g)", "(0 + I(3 * x) | g)"]),
        ("(b || g)", ["(1 | g)", "(0 + b | g)"]),
        # another grouping: an intercept for each cell is what the indicators' variances hold
        ("(0 + b | g) + (1 | g:b)", ["(1 | g:b)", "(0 + b | g)"]),
    ],
)
def test_terms_that_cannot_be_told_apart_are_named(d, terms, named):
    if "g:h" in terms:
        d = d.assign(h=d.h // 2)
    (text,) = said(d, terms)
    listed = text.removeprefix("the random terms ").split(" cannot be told apart")[0]
    assert sorted(listed.replace(" and ", ", ").split(", ")) == sorted(named)


@pytest.fixture
def cells():
    """One row for each of 30 levels and 4 columns."""
    rng = np.random.default_rng(4)
    d = pd.DataFrame({"g": np.repeat(np.arange(30), 4), "f": list("abcd") * 30})
    return d.assign(x=rng.normal(size=120), y=rng.normal(size=120))


@pytest.mark.parametrize(
    "term",
    [
        "cs(0 + f | g, hom = TRUE)",  # the variance on the diagonal is the residual's too
        "diag(0 + f | g, hom = TRUE)",
        "diag(0 + f | g)",
        "cs(0 + f | g, hom = TRUE) + (0 + x | g)",
    ],
)
def test_one_row_a_cell_is_not_told_from_the_residual(cells, term):
    (text,) = said(cells, term)
    own = term.split(" + (")[0]
    assert f"the random terms {own} and the residual cannot be told apart" in text


@pytest.mark.parametrize(
    "term",
    [
        "ar1(0 + f | g)",  # its correlations fall as no residual's do
        "ar1(0 + f | g, hom = FALSE)",
        "cs(0 + f | g)",  # four standard deviations make the six covariances
        "cs(x | g)",
        "diag(x | g)",
        "diag(I(1e6 * x) | g)",
        "(0 + x | g) + ar1(0 + f | g)",
    ],
)
def test_structures_that_are_determined_are_not_warned_of(cells, term):
    assert said(cells, term) == []


def test_three_rows_a_cell_tell_all_apart(cells):
    thrice = pd.concat([cells] * 3).assign(y=np.random.default_rng(2).normal(size=360))
    assert said(thrice, "cs(0 + f | g, hom = TRUE)") == []
    assert said(thrice, "diag(0 + f | g)") == []
    (text,) = said(thrice, "(1 | g) + cs(0 + f | g, hom = TRUE)")
    assert "(1 | g) and cs(0 + f | g, hom = TRUE) cannot be told apart" in text


def test_a_structure_of_columns_that_are_the_same(cells):
    (text,) = said(cells, "diag(x + I(2 * x) | g)")
    assert "parameters of the random term diag(x + I(2 * x) | g) cannot be told apart" in text


def test_as_many_effects_as_rows_are_refused_of_unstructured_terms_alone(cells):
    with pytest.raises(DataError, match="number of random effects"):
        build_frame("y ~ x + (0 + f | g)", cells)
    with pytest.raises(DataError, match="number of random effects"):
        build_frame("y ~ x + us(0 + f | g)", cells)
    assert build_frame("y ~ x + ar1(0 + f | g)", cells).asked.notes == ()


def test_each_set_of_terms_is_named_on_its_own(d):
    first, second = said(d, "(x || g) + (x || g)")
    assert "(1 | g) and (1 | g)" in first
    assert "(0 + x | g) and (0 + x | g)" in second


def test_columns_that_depend_on_each_other(d):
    (text,) = said(d, "(x + I(2 * x + 1) | g)")
    assert "columns of the random term (x + I(2 * x + 1) | g) depend on each other" in text
    assert said(d, "(0 + I(0 * x) | g)") != []


@pytest.mark.parametrize(
    "engine", ["native", "statsmodels", pytest.param("lme4", marks=pytest.mark.r)]
)
def test_every_engine_says_so(d, engine):
    with warnings.catch_warnings(record=True) as caught:  # R may warn of more
        warnings.simplefilter("always")
        m = lb.lmer("y ~ x + (1 | g) + (1 | g)", d, engine=engine)
    heard = [w for w in caught if "cannot be told apart" in str(w.message)]
    assert [w.category for w in heard] == [FitWarning]
    assert any("cannot be told apart" in note for note in m.result.evidence.notes)


@pytest.mark.filterwarnings("ignore::lmerbridge.errors.FitWarning")
@pytest.mark.parametrize(
    "engine", ["native", "statsmodels", pytest.param("lme4", marks=pytest.mark.r)]
)
def test_a_slope_in_seconds_is_singular_by_lme4_s_measure(sleepstudy, engine):
    """An element of theta below 1e-4, whatever the unit that makes it so small."""
    d = sleepstudy.assign(t=sleepstudy.Days * 86400.0)
    m = lb.lmer("Reaction ~ t + (t | Subject)", d, engine=engine)
    assert m.isSingular()
    assert m.result.evidence.singular
    assert m.result.evidence.messages[0] == "boundary (singular) fit: see help('isSingular')"
