"""The studentized range, by closed forms and scipy's quadrature."""

import math

import numpy as np
import pytest
from scipy import stats

from lmerbridge.inference.studentized_range import ppf, sf


@pytest.mark.parametrize("df", [0.6, 1.0, 1.5, 2.0, 3.7, 19.9, 20.1, 150.0, 1e5, math.inf])
@pytest.mark.parametrize("t", [1e-3, 0.3, 1.0, 2.5, 6.0, 40.0])
def test_two_means_are_a_t_test(df, t):
    p = 2 * (stats.norm.sf(t) if math.isinf(df) else stats.t.sf(t, df))
    assert sf(math.sqrt(2) * t, 2, df) == pytest.approx(p, rel=1e-9, abs=1e-13)


@pytest.mark.parametrize(("k", "df"), [(3, 1.0), (3, 1.5), (5, 4.3), (10, 12.0), (40, 60.0)])
@pytest.mark.parametrize("q", [0.5, 3.0, 12.0])
def test_scipy_s_quadrature_agrees(k, df, q):
    assert sf(q, k, df) == pytest.approx(stats.studentized_range.sf(q, k, df), abs=2e-9)


@pytest.mark.parametrize("df", [0.7, 1.0, 3.0, 10.0, 1e4, math.inf])
@pytest.mark.parametrize("k", [2, 3, 12])
@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.999])
def test_the_quantile_is_where_the_tail_is(df, k, level):
    assert sf(ppf(level, k, df), k, df) == pytest.approx(1 - level, rel=1e-8)


def test_the_range_of_three_normal_variables():
    """Its mean is 3 / sqrt(pi), the integral of its upper tail."""
    nodes, weights = np.polynomial.legendre.leggauss(100)
    values = [sf(6 * (x + 1), 3, math.inf) for x in nodes]
    assert 6 * np.sum(weights * values) == pytest.approx(3 / math.sqrt(math.pi), abs=1e-9)
