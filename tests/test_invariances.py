"""What theory says must not change, or must change in one way, for the Python engines."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lmerbridge as lb

pytestmark = pytest.mark.filterwarnings("ignore::lmerbridge.errors.FitWarning")


@pytest.fixture(params=["statsmodels", "native"])
def engine(request):
    return request.param


def fit(engine, formula, data, **arguments):
    return lb.lmer(formula, data, engine=engine, **arguments)


small = settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
FORMULA = "y ~ x + f + (x | g)"


@small
@given(st.integers(0, 10_000))
def test_the_order_of_rows_does_not_matter(engine, simulated, seed):
    base = fit(engine, FORMULA, simulated)
    shuffled = fit(engine, FORMULA, simulated.sample(frac=1, random_state=seed))
    assert shuffled.REMLcrit() == pytest.approx(base.REMLcrit(), abs=1e-7)
    np.testing.assert_allclose(shuffled.fixef(), base.fixef(), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(shuffled.ranef().condval, base.ranef().condval, atol=1e-5)


@small
@given(st.permutations(list(range(20))))
def test_the_names_of_levels_do_not_matter(engine, simulated, names):
    base = fit(engine, FORMULA, simulated)
    renamed = fit(
        engine, FORMULA, simulated.assign(g=np.array([f"s{n:02d}" for n in names])[simulated.g])
    )
    assert renamed.REMLcrit() == pytest.approx(base.REMLcrit(), abs=1e-7)
    modes = renamed.ranef().set_index(["term", "grp"]).condval
    for i in (0, 7, 19):
        want = base.ranef().set_index(["term", "grp"]).condval["x", str(i)]
        assert modes["x", f"s{names[i]:02d}"] == pytest.approx(want, abs=1e-5)


@small
@given(st.floats(1e-4, 1e4), st.floats(-100, 100))
def test_the_unit_of_y(engine, simulated, factor, shift):
    base = fit(engine, FORMULA, simulated)
    other = fit(engine, FORMULA, simulated.assign(y=simulated.y * factor + shift))
    assert other.REMLcrit() == pytest.approx(
        base.REMLcrit() + 2 * (160 - 5) * np.log(factor), rel=1e-9, abs=1e-5
    )
    np.testing.assert_allclose(
        other.fixef().drop("(Intercept)") / factor,
        base.fixef().drop("(Intercept)"),
        rtol=1e-5,
        atol=1e-8,
    )
    assert other.sigma() / factor == pytest.approx(base.sigma(), rel=1e-5)
    np.testing.assert_allclose(other.getME("theta"), base.getME("theta"), atol=1e-4)


@small
@given(st.floats(1e-4, 1e4), st.floats(-50, 50))
def test_the_unit_and_the_origin_of_x(engine, simulated, factor, shift):
    base = fit(engine, "y ~ x + (x | g)", simulated)
    other = fit(engine, "y ~ x + (x | g)", simulated.assign(x=simulated.x * factor + shift))
    assert other.REMLcrit() == pytest.approx(base.REMLcrit() + 2 * np.log(factor), abs=1e-5)
    assert other.fixef()["x"] * factor == pytest.approx(base.fixef()["x"], rel=1e-5)
    assert other.VarCorr().sdcor[1] * factor == pytest.approx(base.VarCorr().sdcor[1], rel=1e-3)
    np.testing.assert_allclose(other.fitted(), base.fitted(), atol=1e-4)


@pytest.mark.parametrize("name", ["contr.sum", "contr.helmert", "contr.poly", "contr.SAS"])
def test_the_coding_of_factors(engine, simulated, name):
    base = fit(engine, FORMULA, simulated, REML=False)
    other = fit(engine, FORMULA, simulated, REML=False, contrasts={"f": name})
    assert other.deviance() == pytest.approx(base.deviance(), abs=1e-7)
    assert other.sigma() == pytest.approx(base.sigma(), rel=1e-6)
    np.testing.assert_allclose(other.fitted(), base.fitted(), atol=1e-6)
    assert list(other.fixef().index) != list(base.fixef().index) or name == "contr.SAS"


@small
@given(st.floats(0.01, 100))
def test_weights_count_relative_to_each_other(engine, simulated, factor):
    base = fit(engine, "y ~ x + (1 | g)", simulated, weights="w")
    other = fit(engine, "y ~ x + (1 | g)", simulated, weights=factor * simulated.w.to_numpy())
    np.testing.assert_allclose(other.fixef(), base.fixef(), rtol=1e-6)
    assert other.sigma() == pytest.approx(base.sigma() * np.sqrt(factor), rel=1e-5)
    assert other.REMLcrit() == pytest.approx(base.REMLcrit(), abs=1e-5)


def test_an_offset_is_a_shift_of_y(engine, simulated):
    base = fit(engine, "y ~ x + (1 | g)", simulated.assign(y=simulated.y - simulated.z))
    other = fit(engine, "y ~ x + offset(z) + (1 | g)", simulated)
    np.testing.assert_allclose(other.fixef(), base.fixef(), rtol=1e-8)
    np.testing.assert_allclose(other.fitted(), base.fitted() + simulated.z, atol=1e-8)
