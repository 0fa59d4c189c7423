"""lme4's own table of sequential sums of squares where the columns of X are nearly collinear."""

import numpy as np
import pandas as pd
import pytest

import live
import lmerbridge as lb

pytestmark = pytest.mark.filterwarnings(
    "ignore::lmerbridge.errors.FitWarning", "ignore::lmerbridge.errors.FitMessage"
)


def data(apart):
    """A response by 8 groups, and a predictor ``z`` that is ``apart`` from 1000 ``x``."""
    i = np.arange(1, 41)
    d = pd.DataFrame({"x": np.sin(i).round(3)})
    d["z"] = 1000 * d["x"] + apart * np.cos(3 * i).round(2)
    d["y"] = (d["x"] + np.sin(i**2) + np.cos((i - 1) % 8)).round(3)
    d["g"] = pd.Categorical(((i - 1) % 8).astype(str))
    return d


def model(d, theta=1.04524890885377):
    return live.at_theta(lb.lmer("y ~ x + z + (1 | g)", d, engine="native"), [theta])


def exact(m):
    """Sums of squares and F values of ``x`` and ``z`` in 60 digits, by Cholesky's factor of
    X'V^-1 X and the least squares of V^-1 themselves.
    """
    import mpmath as mp

    with mp.workdps(60):
        Z = np.eye(8)[m.frame.random[0].codes]
        X, y = mp.matrix(m.frame.X.tolist()), mp.matrix(m.frame.y.tolist())
        theta = mp.mpf(float(m.getME("theta").iloc[0]))
        V = mp.matrix((Z @ Z.T).tolist()) * theta**2 + mp.eye(len(y))
        inverse = mp.inverse(V)
        information = X.T * inverse * X
        effects = mp.lu_solve(mp.cholesky(information), X.T * inverse * y)
        residuals = y - X * mp.lu_solve(information, X.T * inverse * y)
        variance = (residuals.T * inverse * residuals)[0] / (X.rows - X.cols)
        squares = [effects[k] ** 2 for k in (1, 2)]
        return [float(s) for s in squares], [float(s / variance) for s in squares]


# lme4 1.1-31, anova(lmer(y ~ x + z + (1 | g), d)), at the theta where it ended.
R_SQUARES = [21.19659704102352, 0.05608950484726099]
R_F = [39.22653937290947, 0.103799546976331]


def test_sums_of_squares_are_r_s_where_r_has_its_digits():
    """Of ``x``, which is not near another column, R has 14 digits, of ``z`` 7."""
    m = model(data(0.1).round(4), 1.045248908853774)
    found, (squares, F) = m.anova(ddf="lme4"), exact(m)
    np.testing.assert_allclose(R_SQUARES[0], squares[0], rtol=1e-13)
    np.testing.assert_allclose(found["Sum Sq"].iloc[0], R_SQUARES[0], rtol=1e-12)
    np.testing.assert_allclose(found["F value"].iloc[0], R_F[0], rtol=1e-12)
    assert 1e-7 < abs(R_SQUARES[1] / squares[1] - 1) < 2e-7
    assert 1e-7 < abs(R_F[1] / F[1] - 1) < 2e-7
    np.testing.assert_allclose(found["Sum Sq"], squares, rtol=1e-11)
    np.testing.assert_allclose(found["F value"], F, rtol=1e-11)


@pytest.mark.parametrize("apart", [10, 0.1, 1e-3])
def test_sums_of_squares_have_their_digits(apart):
    """Against 60 digits; a condition of 1e6 leaves ten of ours."""
    m = model(data(apart))
    found, (squares, F) = m.anova(ddf="lme4"), exact(m)
    np.testing.assert_allclose(found["Sum Sq"], squares, rtol=1e-9)
    np.testing.assert_allclose(found["F value"], F, rtol=1e-9)


def test_units_of_predictors_change_nothing():
    d = data(1e-2)
    one = model(d).anova(ddf="lme4")
    other = model(d.assign(x=d["x"] * 1e6, z=d["z"] * 1e-5)).anova(ddf="lme4")
    np.testing.assert_allclose(other["F value"], one["F value"], rtol=1e-8)
