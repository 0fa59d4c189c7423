"""Criteria with several optima: the fit is the lowest one."""

import math
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import lmerbridge as lb
from lmerbridge.errors import LmerBridgeError

STORED = Path(__file__).parent / "stored" / "two_optima.csv"


@pytest.mark.filterwarnings("ignore::lmerbridge.errors.FitWarning")
def test_the_lower_of_two_optima_is_found():
    """Of 36 rows with 18 columns of X by ML: the optimum is at theta = 0, where the deviance is
    that of the ordinary regression; there is another one, 10 above it, at theta = (5.1, 1.4).
    lme4 1.1-31 prints 86.28218 for this model.
    """
    d = pd.read_csv(STORED)
    formula = "y ~ a * b * k + (x || g)"
    m = lb.lmer(formula, d, REML=False, engine="native")
    rss = lb.lm("y ~ a * b * k", d).deviance()
    deviance = 36 * (1 + math.log(2 * math.pi * rss / 36))
    assert m.result.criterion.value == pytest.approx(deviance, abs=1e-9)
    assert m.result.criterion.value == pytest.approx(86.28218, abs=1e-5)
    assert m.isSingular()
    # the same of many responses at once, and from where the REML fit ended
    many = lb.lmer(formula, d, REML=False, engine="native").refit_many(
        np.column_stack([d["y"], d["y"] + 1])
    )
    np.testing.assert_allclose(many.criterion, deviance, atol=1e-8)
    by_REML = lb.lmer(formula, d, engine="native")
    assert by_REML.update(REML=False).result.criterion.value == pytest.approx(deviance, abs=1e-9)


@pytest.mark.parametrize("first", range(0, 60, 10))
def test_no_start_leads_lower(first):
    """Random designs of few groups and rows, of which some have several optima."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
    try:
        optima = pytest.importorskip("optima", reason="the benchmarks are not here")
    finally:
        sys.path.pop(0)
    tried = 0
    for seed in range(first, first + 10):
        data, formula, REML = optima.made(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                m = lb.lmer(formula, data, REML=REML, engine="native")
            except LmerBridgeError:
                continue
            if max(m.getME("theta")) > optima.ENDLESS:
                continue
            lowest, size = optima.lowest_of_many(m)
        if size < optima.ENDLESS:
            tried += 1
            assert m.result.criterion.value < lowest + 1e-6
    assert tried > 5
