"""A start for several grouping factors from each alone."""

import numpy as np
import pandas as pd
import pytest

import lmerbridge as lb
from lmerbridge.design import build_frame
from lmerbridge.likelihood import cross_products
from lmerbridge.likelihood.starts import _shared, together


def products(formula, **columns):
    n = len(next(iter(columns.values())))
    y = np.random.default_rng(0).normal(size=n)
    return cross_products(build_frame(formula, pd.DataFrame({"y": y, **columns})))


def test_rows_of_one_level_share_a_coarser_factor_wholly_and_a_finer_one_in_part():
    inner, outer = np.repeat(np.arange(12), 4), np.repeat(np.arange(3), 16)
    M = _shared(products("y ~ 1 + (1 | inner) + (1 | outer)", inner=inner, outer=outer))
    # of the 15 other rows of its outer level a row shares the inner one with 3
    np.testing.assert_allclose(M, [[1, 1], [3 / 15, 1]])


def test_rows_of_one_level_share_a_crossed_factor_by_chance():
    a, b = np.repeat(np.arange(6), 10), np.tile(np.repeat(np.arange(5), 2), 6)
    M = _shared(products("y ~ 1 + (1 | a) + (1 | b)", a=a, b=b))
    # one of the 9 other rows of the same a is of the same b, and so of the 11 of the same b
    np.testing.assert_allclose(M, [[1, 1 / 9], [1 / 11, 1]])


@pytest.mark.parametrize("s", [(1.0, 0.5), (0.3, 2.0)])
def test_the_variances_are_those_of_which_the_factors_alone_come(s):
    inner, outer = np.repeat(np.arange(12), 4), np.repeat(np.arange(3), 16)
    c = products("y ~ 1 + (1 | inner) + (1 | outer)", inner=inner, outer=outer)
    # the inner factor takes all of the outer's variance, and leaves the residual's
    alone_inner = s[0] + s[1]
    # the outer takes a fifth of the inner's, and leaves four fifths of it with the residual
    alone_outer = (0.2 * s[0] + s[1]) / (1 + 0.8 * s[0])
    np.testing.assert_allclose(together(c, np.sqrt([alone_inner, alone_outer])), np.sqrt(s))


def test_slopes_and_weights_have_no_such_start(simulated):
    for formula, arguments in [
        ("y ~ x + (x | g) + (1 | h)", {}),
        ("y ~ x + (0 + x | g) + (1 | h)", {}),
        ("y ~ x + (1 | g) + (1 | h)", {"weights": "w"}),
        ("y ~ x + (1 | g) + (0 + x | g) + (1 | h)", {}),
    ]:
        c = cross_products(build_frame(formula, simulated, **arguments))
        assert together(c, np.ones(len(c.terms))) is None


def test_variances_that_the_others_explain_have_none(simulated):
    c = cross_products(build_frame("y ~ x + (1 | g) + (1 | h)", simulated))
    assert together(c, np.array([1.0, 0.0])) is None


def test_the_optimum_does_not_depend_on_the_start():
    data = lb.datasets.load("Pastes")
    formula = "strength ~ 1 + (1 | sample) + (1 | batch)"
    m = lb.lmer(formula, data, engine="native")
    other = lb.lmer(formula, data, engine="native", start=[0.5, 2.0])
    np.testing.assert_allclose(m.getME("theta"), other.getME("theta"), rtol=1e-5)
