"""A family without a dispersion parameter: no sigma, no residual row, one parameter less.

The expected text and counts are R's of ``glmer(cbind(incidence, size - incidence) ~ period +
(1 | herd), cbpp, binomial)`` (lme4 1.1-31), at its theta.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import lmerbridge as lb
from lmerbridge.display.summary import variance_lines
from lmerbridge.engines.toolkit import counted
from lmerbridge.result import RandomEffects, from_json, to_json
from lmerbridge.result.tables import variance_table

THETA = 0.64206992772917926


@pytest.fixture(scope="module")
def model():
    rng = np.random.default_rng(1)
    rows = pd.DataFrame(
        {
            "y": rng.normal(size=60),
            "period": np.tile(["1", "2", "3", "4"], 15),
            "herd": np.repeat([f"h{i:02}" for i in range(15)], 4),
        }
    )
    # as many rows and periods as cbpp has
    return lb.lmer("y ~ period + (1 | herd)", rows.head(56), engine="native")


@pytest.fixture(scope="module")
def result(model):
    term = model.result.estimates.random[0]
    herd = RandomEffects.of_factor(
        "herd", "herd", ("(Intercept)",), np.array([[THETA]]), 1.0, term.modes, None
    )
    estimates = replace(model.result.estimates, sigma=None, theta=np.array([THETA]), random=(herd,))
    return replace(model.result, estimates=estimates)


def test_random_effects_are_relative_to_one(result):
    assert result.estimates.scale == 1.0
    table = variance_table(result)
    assert table["grp"].tolist() == ["herd"]
    assert table["vcov"].tolist() == pytest.approx([0.4122538], abs=5e-8)
    assert table["sdcor"].tolist() == pytest.approx([0.6420699], abs=5e-8)


def test_no_residual_row_is_printed(result):
    assert variance_lines(result, 4, ["Variance", "Std.Dev."]) == [
        " Groups Name        Variance Std.Dev.",
        " herd   (Intercept) 0.4123   0.6421  ",
    ]
    assert variance_lines(result, 5, ["Std.Dev."]) == [
        " Groups Name        Std.Dev.",
        " herd   (Intercept) 0.64207 ",
    ]
    assert "Residual" not in lb.Model(result, None, None)._repr_html_()


def test_sigma_is_no_parameter(model):
    found = counted(model.frame, False, 184.0531, dispersion=False)
    assert (found.parameters, found.df_residual) == (5, 51)
    assert pytest.approx(194.0531) == found.AIC


def test_json_keeps_that_there_is_none(result):
    assert from_json(to_json(result)).estimates.sigma is None
