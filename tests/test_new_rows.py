"""What functions ask of new data: only what they use, by the names that the formula has."""

import numpy as np
import pandas as pd
import pytest

import lmerbridge as lb
from lmerbridge.errors import DataError

pytestmark = pytest.mark.filterwarnings("ignore::lmerbridge.errors.FitWarning")


@pytest.mark.parametrize(
    "engine", ["native", "statsmodels", pytest.param("lme4", marks=pytest.mark.r)]
)
@pytest.mark.parametrize(
    "formula",
    [
        "y ~ sin(2 * pi * x) + (1 | g)",
        "y ~ x + (0 + cos(pi * z) | g)",
        "y ~ x + offset(pi * z) + (1 | g)",
        "y ~ scale(x, T, F) + (1 | g)",
        "y ~ factor(f, levels = letters) + (1 | g)",
    ],
)
def test_constants_of_r_are_no_columns(simulated, formula, engine):
    m = lb.lmer(formula, simulated, engine=engine)
    assert not {"pi", "T", "F", "letters"} & set(m.frame.source.raw)
    new = simulated.head(9)
    for model in (m, lb.from_json(m.to_json(), simulated)):
        np.testing.assert_allclose(model.predict(new), m.fitted().head(9), rtol=1e-9)
    assert m.simulate(1, seed=1, newdata=new).shape == (9, 1)


def test_a_column_named_like_a_constant_is_the_column(simulated):
    d = simulated.assign(pi=simulated.x)
    m = lb.lmer("y ~ I(2 * pi) + (1 | g)", d, engine="native")
    np.testing.assert_allclose(m.getME("X")[:, 1], 2 * d.x)
    with pytest.raises(DataError, match="no column 'pi'"):
        m.predict(simulated)


@pytest.mark.parametrize(
    "formula",
    ["y ~ pi + (1 | g)", "y ~ I(2) + x + (1 | g)", "y ~ x:T + (1 | g)", "y ~ mean(x) + (1 | g)"],
)
def test_one_value_is_no_variable(simulated, formula):
    with pytest.raises(DataError, match="variable lengths differ"):
        lb.lmer(formula, simulated, engine="native")


@pytest.fixture
def two_factors(simulated):
    return lb.lmer("y ~ x + (z | g) + (1 | h)", simulated, engine="native")


@pytest.mark.parametrize("se_fit", [False, True])
@pytest.mark.parametrize(
    ("re_form", "needs"),
    [
        ("NA", ["x"]),
        ("~ (1 | g)", ["x", "g"]),
        ("~ (1 | h)", ["x", "h"]),
        ("~ (0 + z | g)", ["x", "z", "g"]),
        (None, ["x", "z", "g", "h"]),
    ],
)
def test_predictions_need_what_is_asked_for(two_factors, simulated, re_form, needs, se_fit):
    new = simulated.head(7)
    whole = two_factors.predict(new, re_form=re_form, se_fit=se_fit)
    np.testing.assert_array_equal(
        two_factors.predict(new[needs], re_form=re_form, se_fit=se_fit), whole
    )
    # what is left out may be missing, too
    for column in {"z", "g", "h"} - set(needs):
        absent = new.assign(**{column: np.nan})
        np.testing.assert_array_equal(
            two_factors.predict(absent, re_form=re_form, se_fit=se_fit), whole
        )
    for column in needs:
        with pytest.raises(DataError, match=f"newdata has no column '{column}'"):
            two_factors.predict(new[needs].drop(columns=column), re_form=re_form, se_fit=se_fit)


def test_terms_on_one_factor_share_its_levels(simulated):
    m = lb.lmer("y ~ x + (1 | g) + (0 + z | g)", simulated, engine="native")
    new = simulated.head(7)
    for re_form, needs in (("~ (0 + z | g)", ["x", "z", "g"]), ("~ (1 | g)", ["x", "g"])):
        pd.testing.assert_frame_equal(
            m.predict(new[needs], re_form=re_form, se_fit=True),
            m.predict(new, re_form=re_form, se_fit=True),
        )


def test_a_missing_group_says_how_to_do_without(two_factors, simulated):
    with pytest.raises(DataError, match=r"'g'.*re_form='NA'"):
        two_factors.predict(simulated[["x", "z", "h"]])


def test_whole_numbers_have_the_labels_of_the_fit(simulated):
    d = simulated.assign(k=99999 + simulated.h)  # R's integers: 100000, and no 1e+05
    m = lb.lmer("y ~ factor(k) + (1 | g)", d, engine="native")
    head = d.head(8)
    for k in (head.k.astype(float), head.k.astype("Int64")):
        np.testing.assert_allclose(m.predict(head.assign(k=k)), m.fitted().head(8))
    with pytest.raises(DataError, match=r"new levels 99999\.5"):
        m.predict(head.assign(k=head.k + 0.5))
    assert len(m.emmeans("k").table) == 8


def test_truth_values_stand_for_numbers(two_factors, simulated):
    new = simulated.head(4)
    np.testing.assert_array_equal(
        two_factors.predict(new.assign(x=[True, False, True, True])),
        two_factors.predict(new.assign(x=[1.0, 0.0, 1.0, 1.0])),
    )
    with pytest.raises(DataError, match="fitted as numbers"):
        two_factors.predict(new.assign(x=list("abcd")))


# R 4.2.2 with lme4 1.1-31 (and R 4.6.2 with lme4 2.1-0 the same) prints of
# predict(m, newdata, random.only = TRUE), allow.new.levels = TRUE, at digits = 10
@pytest.mark.parametrize(
    ("formula", "more", "new", "asked", "expected"),
    [
        ("Days + (1 | Subject)", {}, {}, {}, [40.78370984, -77.84955382]),
        ("Days + (1 | Subject)", {}, {"Days": [np.nan, 1]}, {}, [40.78370984, -77.84955382]),
        ("Days + (Days | Subject)", {}, {"Days": [2, np.nan]}, {}, [20.65650248, np.nan]),
        (
            "Days + (Days | Subject)",
            {},
            {},
            {"re_form": "~ (1 | Subject)"},
            [2.25855095, -40.39873808],
        ),
        (
            "factor(Days) + offset(Days) + (1 | Subject)",
            {},
            {},
            {},
            [40.70341981, -77.69629305],
        ),
        (
            "factor(Days) + offset(Days) + (1 | Subject)",
            {},
            {"Days": [77, 77]},  # no level of the fit
            {},
            [40.70341981, -77.69629305],
        ),
        (
            "Days + (1 | Subject)",
            {"weights": "w", "offset": "w / 100"},
            {"Subject": ["308", "new"]},
            {"allow_new_levels": True},
            [29.78979647, 0],
        ),
        ("Days + (1 | Subject)", {}, {}, {"re_form": "NA"}, [0, 0]),
    ],
)
def test_random_effects_alone_need_nothing_of_the_fixed_part(formula, more, new, asked, expected):
    d = lb.datasets.load("sleepstudy").assign(w=range(1, 181))
    m = lb.lmer(f"Reaction ~ {formula}", d, engine="native", **more)
    rows = pd.DataFrame({"Subject": ["308", "309"], **new})
    found = m.predict(rows, random_only=True, **asked)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    # the fixed part of whole rows does not matter either
    whole = rows.assign(Days=rows.get("Days", 3), w=1)
    if "new" not in rows.Subject.tolist() and "factor" not in formula:
        np.testing.assert_array_equal(m.predict(whole, random_only=True, **asked), found)


@pytest.mark.parametrize("interval", [None, "confidence"])
def test_their_standard_errors_need_no_more(two_factors, simulated, interval):
    new = simulated.head(7)
    asked = {"random_only": True, "se_fit": True, "interval": interval}
    for re_form, needs in (("~ (1 | h)", ["h"]), (None, ["z", "g", "h"])):
        pd.testing.assert_frame_equal(
            two_factors.predict(new[needs], re_form=re_form, **asked),
            two_factors.predict(new, re_form=re_form, **asked),
        )
    for column in ("z", "g", "h"):
        with pytest.raises(DataError, match=f"newdata has no column '{column}'"):
            two_factors.predict(new.drop(columns=column), **asked)
