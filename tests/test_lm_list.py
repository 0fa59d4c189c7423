"""Regressions by group against R's lmList (4.2.2, lme4 1.1-31)."""

import numpy as np
import pytest

import lmerbridge as lb


@pytest.fixture(scope="module")
def sleepstudy():
    return lb.datasets.load("sleepstudy")


def test_summary_is_r_s(sleepstudy):
    """R names the group NULL in "Model:"; the rest is its text."""
    shown = lb.lmList("Reaction ~ Days | Subject", sleepstudy).summary().split("\n")
    assert shown[:9] == [
        "Call:",
        "  Model: Reaction ~ Days | Subject ",
        "   Data: sleepstudy ",
        "",
        "Coefficients:",
        "   (Intercept) ",
        "    Estimate Std. Error  t value     Pr(>|t|)",
        "308 244.1927   15.04169 16.23439 2.419368e-34",
        "309 205.0549   15.04169 13.63244 1.067180e-27",
    ]
    assert shown[25:28] == [
        "   Days ",
        "     Estimate Std. Error    t value     Pr(>|t|)",
        "308 21.764702   2.817566  7.7246464 1.741840e-12",
    ]
    assert shown[-2] == "Residual standard error: 25.59182 on 144 degrees of freedom"


def test_numbers_are_r_s(sleepstudy):
    found = lb.lmList("Reaction ~ Days | Subject", sleepstudy)
    limits = found.confint()
    np.testing.assert_allclose(limits["(Intercept)"].loc["308"], [179.4339, 308.9515], atol=5e-5)
    np.testing.assert_allclose(limits["Days"].loc["309"], [0.008641467, 4.514929], atol=5e-7)
    assert found.logLik() == pytest.approx(-818.9351, abs=5e-5)
    assert found.AIC() == pytest.approx(1711.87, abs=5e-3)
    np.testing.assert_allclose(found.fixef(), [251.40510, 10.46729], atol=5e-6)
    assert found.ranef().loc["308", "Days"] == pytest.approx(11.2974165)
    np.testing.assert_allclose(found.fitted() + found.residuals(), sleepstudy["Reaction"])
    first = lb.lmList("Reaction ~ Days | Subject", sleepstudy[:50])
    assert first.logLik(pool=False) == pytest.approx(-213.5632, abs=5e-5)
    assert first.AIC(pool=False) == pytest.approx(457.1264, abs=5e-5)
    assert first.std_error(pool=False).loc["330", "Days"] == pytest.approx(2.4547361)


def test_weights_and_groups_without_rows(sleepstudy):
    d = sleepstudy[:50].assign(w=np.resize([1, 2, 0.5], 50))
    d.loc[d["Subject"].isin(["309", "310"]), "Reaction"] = np.nan
    with pytest.warns(lb.FitWarning, match="0 \\(non-NA\\) cases in 309, 310"):
        found = lb.lmList("Reaction ~ Days | Subject", d, weights="w")
    assert found.coef().index.tolist() == ["308", "309", "310", "330", "331"]
    assert found.coef().loc[["309", "310"]].isna().all(axis=None)
    # the pooled variance is that of the groups' own (R leaves the weights out: 34.74651)
    own = found.std_error(pool=False) / found.std_error() * found.sigma()
    np.testing.assert_allclose(own["Days"].dropna(), [56.17937, 22.91448, 29.01748], atol=5e-6)
    assert found.sigma() == pytest.approx(np.sqrt(np.mean(own["Days"].dropna() ** 2)))
    assert str(found).split("\n")[2:5] == [
        "    (Intercept)      Days",
        "308    251.7469 17.856899",
        "309          NA        NA",
    ]
    assert "Degrees of freedom: 30 total; 24 residual" in str(found)
    assert "309       NA         NA       NA           NA" in found.summary()
    np.testing.assert_allclose(
        found.confint()["Days"].loc["331"], [-0.2904982, 12.025274], atol=5e-6
    )
    with pytest.raises(lb.DataError, match="not available"):
        found.logLik()
