import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from lmerbridge.design import build_frame, lmerControl
from lmerbridge.design.checks import independent_columns
from lmerbridge.errors import DataError


@pytest.fixture
def d():
    rng = np.random.default_rng(0)
    d = pd.DataFrame({"g": np.repeat(np.arange(10), 8), "f": np.tile(list("abcd"), 20)})
    d["x"], d["y"] = rng.normal(size=80), rng.normal(size=80)
    return d


def same_model(a, b):
    assert a.fingerprint == b.fingerprint
    assert a.x_names == b.x_names


class TestColumns:
    def test_integer_levels_sort_as_numbers(self, d):
        frame = build_frame("y ~ x + (1 | g)", d.assign(g=d.g + 5))
        assert frame.random[0].levels == tuple(str(i) for i in range(5, 15))

    def test_integers_beyond_32_bits_stay_exact(self, d):
        frame = build_frame("y ~ x + (1 | g)", d.assign(g=d.g + 2**40 + 1))
        assert frame.random[0].levels[0] == str(2**40 + 1)

    def test_strings_sort(self, d):
        frame = build_frame("y ~ f + (1 | g)", d)
        assert frame.x_names == ("(Intercept)", "fb", "fc", "fd")

    def test_categories_keep_their_order(self, d):
        c = d.assign(f=pd.Categorical(d.f, list("dcba")))
        assert build_frame("y ~ f + (1 | g)", c).x_names == ("(Intercept)", "fc", "fb", "fa")

    def test_categories_of_integers_keep_their_order(self, d):
        c = d.assign(g=pd.Categorical(d.g + 1, [10, 2, 9, 1, 3, 4, 5, 6, 7, 8]))
        frame = build_frame("y ~ x + (1 | g)", c)
        assert frame.random[0].levels == ("10", "2", "9", "1", "3", "4", "5", "6", "7", "8")

    def test_unused_categories_are_dropped(self, d):
        c = d.assign(f=pd.Categorical(d.f, list("zabcd")))
        assert build_frame("y ~ f + (1 | g)", c).x_names == ("(Intercept)", "fb", "fc", "fd")

    def test_booleans_are_named_as_r_names_them(self, d):
        frame = build_frame("y ~ b + (1 | g)", d.assign(b=d.x > 0))
        assert frame.x_names == ("(Intercept)", "bTRUE")

    def test_ordered_categories_get_polynomials(self, d):
        c = d.assign(f=pd.Categorical(d.f, list("abcd"), ordered=True))
        assert build_frame("y ~ f + (1 | g)", c).x_names == ("(Intercept)", "f.L", "f.Q", "f.C")

    @pytest.mark.parametrize("dtype", ["Int64", "Float64", "int32", "uint8", "int64[pyarrow]"])
    def test_number_types(self, d, dtype):
        whole = d.assign(x=np.tile(np.arange(16), 5))
        same_model(
            build_frame("y ~ x + (1 | g)", whole),
            build_frame("y ~ x + (1 | g)", whole.astype({"x": dtype})),
        )

    @pytest.mark.parametrize("convert", [pl.from_pandas, pa.Table.from_pandas])
    def test_other_frames_give_the_same_model(self, d, convert):
        same_model(
            build_frame("y ~ x * f + (x | g)", d), build_frame("y ~ x * f + (x | g)", convert(d))
        )

    def test_polars_enums_keep_their_order(self, d):
        p = pl.from_pandas(d).with_columns(pl.col("f").cast(pl.Enum(list("dcba"))))
        assert build_frame("y ~ f + (1 | g)", p).x_names == ("(Intercept)", "fc", "fb", "fa")

    def test_a_dict_of_columns(self, d):
        same_model(
            build_frame("y ~ x + (1 | g)", d),
            build_frame("y ~ x + (1 | g)", {k: d[k].to_numpy() for k in "gxy"}),
        )

    @pytest.mark.parametrize(
        "values", [pd.period_range("2020", periods=80), pd.array([1 + 1j] * 80)]
    )
    def test_types_without_meaning_are_refused_by_name(self, d, values):
        with pytest.raises(DataError, match="column 'x'"):
            build_frame("y ~ x + (1 | g)", d.assign(x=values))

    def test_mixed_types_are_refused_by_name(self, d):
        with pytest.raises(DataError, match="column 'x' mixes"):
            build_frame("y ~ x + (1 | g)", d.assign(x=pd.Series(["a", 1] * 40, dtype=object)))

    def test_not_a_table(self):
        with pytest.raises(DataError, match="must be a pandas"):
            build_frame("y ~ x + (1 | g)", 3)

    def test_data_is_not_changed(self, d):
        d.loc[3, "x"] = np.nan
        before = d.copy(deep=True)
        build_frame("log(y + 10) ~ poly(x, 1) + f + (x || g)", d.dropna(), weights=np.ones(79))
        build_frame("y ~ x + f + (x || g)", d)
        pd.testing.assert_frame_equal(d, before)

    def test_later_changes_of_the_data_are_not_the_frame_s(self, d):
        w, kept = np.ones(80), np.ones(80, dtype=bool)
        d["k"] = np.arange(80)
        frame = build_frame("y ~ x + k + (x || g)", d, weights=w, subset=kept)
        before = {k: v.values.copy() for k, v in frame.source.raw.items() if k in ("y", "x", "k")}
        d.loc[:, "y"] = 0.0
        d["x"] *= 3
        d["k"] += 1
        w[:], kept[:] = 7, False
        for name, values in before.items():
            np.testing.assert_array_equal(frame.source.raw[name].values, values)
        assert (frame.source.raw_weights == 1).all()
        assert frame.source.raw_subset.all()


class TestRows:
    def test_missing_values_in_any_variable_used(self, d):
        d.loc[0, "y"], d.loc[1, "x"], d.loc[2, "f"] = np.nan, np.nan, None
        d["g"] = d.g.astype(float)
        d.loc[3, "g"] = np.nan
        d["unused"] = np.nan
        frame = build_frame("y ~ x + f + (1 | g)", d)
        assert frame.nobs == 76
        assert frame.source.dropped.tolist() == [0, 1, 2, 3]

    def test_missing_weights_and_offsets_count(self, d):
        w = np.ones(80)
        w[5] = np.nan
        assert build_frame("y ~ x + (1 | g)", d, weights=w).nobs == 79
        assert build_frame("y ~ x + (1 | g)", d, offset=w).nobs == 79

    def test_fail(self, d):
        d.loc[0, "y"] = np.nan
        with pytest.raises(DataError, match="missing values in object"):
            build_frame("y ~ x + (1 | g)", d, na_action="fail")

    def test_levels_lost_with_their_rows_are_dropped(self, d):
        d.loc[:7, "y"] = np.nan
        frame = build_frame("y ~ x + (1 | g)", d.assign(g=d.g.astype("category")))
        assert frame.random[0].levels == tuple(str(i) for i in range(1, 10))

    @pytest.mark.parametrize("subset", ["x > 0", "x > 0 & !(x <= 0)"])
    def test_subset_in_r_s_words(self, d, subset):
        same_model(
            build_frame("y ~ x + (1 | g)", d, subset=subset),
            build_frame("y ~ x + (1 | g)", d[d.x > 0]),
        )

    def test_subset_as_truth_or_positions(self, d):
        want = build_frame("y ~ x + (1 | g)", d[d.x > 0])
        same_model(build_frame("y ~ x + (1 | g)", d, subset=d.x > 0), want)
        same_model(build_frame("y ~ x + (1 | g)", d, subset=np.flatnonzero(d.x > 0)), want)

    def test_scale_learns_from_all_rows_as_in_r(self, d):
        # model.frame evaluates variables before it takes the subset
        frame = build_frame("y ~ scale(x) + (1 | g)", d, subset="x > 0")
        expected = ((d.x - d.x.mean()) / d.x.std())[d.x > 0]
        np.testing.assert_allclose(frame.X[:, 1], expected)

    @pytest.mark.parametrize("bad", [np.ones(3, dtype=bool), "x + 1", [0, 0], [999]])
    def test_bad_subsets(self, d, bad):
        with pytest.raises(DataError, match="subset"):
            build_frame("y ~ x + (1 | g)", d, subset=bad)


class TestRandomTerms:
    def test_order_is_by_levels_and_later_first_among_equals(self, d):
        d["a"], d["b"], d["c"] = np.tile(np.arange(8), 10), np.resize(np.arange(8), 80), d.f
        # measured on lme4 1.1-31: (c, a, b) with 4, 8, 8 levels becomes b, a, c
        frame = build_frame("y ~ x + (1 | c) + (1 | a) + (1 | b)", d)
        assert [b.group for b in frame.random] == ["b", "a", "c"]
        frame = build_frame("y ~ x + (1 | a) + (1 | b) + (1 | c)", d)
        assert [b.group for b in frame.random] == ["a", "b", "c"]

    def test_several_terms_on_a_factor_get_numbered_labels(self, d):
        frame = build_frame("y ~ x + (x || g)", d)
        assert [b.label for b in frame.random] == ["g", "g.1"]
        frame = build_frame(
            "y ~ x + (x || g/f)", d, control=lmerControl(check_nobs_vs_nRE="ignore")
        )
        assert [b.label for b in frame.random] == ["f.g", "f.g.1", "g", "g.1"]

    def test_interactions_have_the_levels_that_occur(self, d):
        frame = build_frame("y ~ x + (1 | f:g)", d[~((d.f == "a") & (d.g == 0))])
        assert frame.random[0].levels[:3] == ("a:1", "a:2", "a:3")
        assert len(frame.random[0].levels) == 39

    def test_contrasts_are_for_the_fixed_effects_only(self, d):
        frame = build_frame("y ~ f + (f | h)", d.assign(h=d.g % 5), contrasts={"f": "contr.sum"})
        assert frame.x_names == ("(Intercept)", "f1", "f2", "f3")
        assert frame.random[0].names == ("(Intercept)", "fb", "fc", "fd")


class TestChecks:
    """Texts as lme4 1.1-31 gives them."""

    def check(self, d, formula, text, **kw):
        with pytest.raises(DataError) as caught:
            build_frame(formula, d, **kw)
        assert text in str(caught.value)

    def test_one_level(self, d):
        self.check(d.assign(g=1), "y ~ x + (1 | g)", "grouping factors must have > 1 sampled level")

    def test_a_level_per_row(self, d):
        self.check(
            d.assign(g=range(80)),
            "y ~ x + (1 | g)",
            "number of levels of each grouping factor must be < number of observations "
            "(problems: g)",
        )

    def test_as_many_random_effects_as_rows(self, d):
        paired = pd.DataFrame(
            {
                "participant": np.repeat(np.arange(20), 2),
                "condition": np.tile([0, 1], 20),
                "value": d.y[:40],
            }
        )
        self.check(
            paired,
            "value ~ condition + (1 + condition | participant)",
            "number of observations (=40) <= number of random effects (=40) for term "
            "(1 + condition | participant); the random-effects parameters and the residual "
            "variance (or scale parameter) are probably unidentifiable",
        )

    def test_control_turns_checks_off(self, d):
        frame = build_frame(
            "y ~ x + (1 | g)",
            d.assign(g=range(80)),
            control=lmerControl(check_nobs_vs_nlev="warning", check_nobs_vs_nRE="ignore"),
        )
        assert [n.kind for n in frame.asked.notes] == ["warning"]

    def test_rank(self, d):
        frame = build_frame("y ~ x + I(2 * x) + I(3 * x) + (1 | g)", d)
        assert frame.x_names == ("(Intercept)", "x")
        assert frame.design.x_dropped == ("I(2 * x)", "I(3 * x)")
        assert frame.asked.notes[0].text == (
            "fixed-effect model matrix is rank deficient so dropping 2 columns / coefficients"
        )
        self.check(
            d,
            "y ~ x + I(2 * x) + (1 | g)",
            "rank deficient",
            control=lmerControl(check_rankX="stop.deficient"),
        )

    @pytest.mark.parametrize(
        ("predictor", "warned"),
        [
            # measured on lme4 1.1-31
            ("I(x * 5000)", True),
            ("I(x * 900 / 1.1)", False),
            ("I(x * 1e-4)", True),
            ("x + I(x^2 * 1e4)", True),
            ("I((x > 0) * 1)", False),
            ("I((x > 0) * 5000)", True),
        ],
    )
    def test_scales(self, d, predictor, warned):
        frame = build_frame(f"y ~ {predictor} + (1 | g)", d.assign(x=d.x / d.x.std()))
        texts = [n.text for n in frame.asked.notes]
        expected = "Some predictor variables are on very different scales: consider rescaling"
        assert (expected in texts) == warned

    def test_as_many_fixed_effects_as_rows(self, d):
        self.check(
            d[:20],
            "y ~ factor(x) + (1 | f)",
            "number of observations (=20) <= number of fixed effects (=20)",
        )

    def test_constant_response(self, d):
        self.check(d.assign(y=5), "y ~ x + (1 | g)", "Response is constant")

    @pytest.mark.parametrize(
        ("formula", "change", "text"),
        [
            ("y ~ zz + (1 | g)", {}, "no column 'zz'"),
            ("y ~ X + (1 | g)", {}, "did you mean 'x'"),
            ("y ~ x + (1 | group)", {}, "no column 'group'"),
            ("f ~ x + (1 | g)", {}, "response must be numeric"),
            ("cbind(y, x) ~ f + (1 | g)", {}, "response must be numeric"),
            ("y ~ x + (1 | g)", {"x": np.inf}, "x is infinite in 80 row(s), first in row 1"),
            ("y ~ log(x) + (1 | g)", {"x": 0.0}, "log(x) is infinite"),
            ("y ~ x + (1 | g)", {"y": np.nan}, "0 (non-NA) cases"),
            (
                "y ~ f + (1 | g)",
                {"f": "a"},
                "contrasts can be applied only to factors with 2 or more levels (f)",
            ),
            ("y ~ 1:x + (1 | g)", {}, "needs a variable on either side"),
        ],
    )
    def test_bad_data_is_named(self, d, formula, change, text):
        with pytest.raises(ValueError) as caught:  # DataError or FormulaError
            build_frame(formula, d.assign(**change))
        assert text in str(caught.value)

    def test_no_rows(self, d):
        self.check(d[:0], "y ~ x + (1 | g)", "no rows")

    @pytest.mark.parametrize(
        ("weights", "text"),
        [
            (-1.0, "80 negative value(s), first in row 1"),
            (0.0, "zero value(s)"),
            (np.inf, "infinite"),
        ],
    )
    def test_weights(self, d, weights, text):
        self.check(d.assign(w=weights), "y ~ x + (1 | g)", text, weights="w")

    def test_wrong_lengths(self, d):
        self.check(d, "y ~ x + (1 | g)", "weights has shape (3,)", weights=np.ones(3))

    @pytest.mark.parametrize(
        ("contrasts", "text"),
        [
            ({"f": "contr.summ"}, "did you mean 'contr.sum'"),
            ({"f": [1, 2]}, "a name or a matrix"),
            ({"f": np.eye(3)[:, :2]}, "3 rows for a factor of 4 levels"),
        ],
    )
    def test_contrasts(self, d, contrasts, text):
        self.check(d, "y ~ f + (1 | g)", text, contrasts=contrasts)

    def test_contrast_for_an_absent_variable(self, d):
        frame = build_frame("y ~ x + (1 | g)", d, contrasts={"f": "contr.sum"})
        assert frame.asked.notes[0].text == "variable 'f' is absent, its contrast will be ignored"

    @pytest.mark.parametrize(
        "settings",
        [
            {"optimiser": "x"},
            {"check_rankX": "no"},
            {"optCtrl": 3},
            {"optCtrl": {"maxfun": None}},
            {"optCtrl": {"xst": [0.02, "x"]}},
            {"optimizer": 3},
            {"restart_edge": "yes"},
            {"calc_derivs": 2},
            {"use_last_params": 0},
            {"boundary_tol": "x"},
            {"boundary_tol": float("nan")},
        ],
    )
    def test_control_is_checked(self, settings):
        with pytest.raises(DataError):
            lmerControl(**settings)

    @pytest.mark.parametrize(
        "name",
        ["autoscale", "check_conv_nobsmax", "check_conv_nparmax", "standardize_X", "sparseX"],
    )
    def test_settings_of_lme4_that_are_not_here_are_named(self, name):
        with pytest.raises(DataError, match=f"lme4's setting '{name}' is not here: "):
            lmerControl(**{name: True})

    def test_control_as_r_writes_it(self):
        control = lmerControl(optCtrl={"xst": [0.02, 0.1], "maxfun": 10}, boundary_tol=None)
        assert str(control) == "lmerControl(optCtrl = list(xst = c(0.02, 0.1), maxfun = 10))"


def test_offsets_add_up(d):
    frame = build_frame("y ~ x + offset(x) + (1 | g)", d, offset=np.ones(80))
    np.testing.assert_allclose(frame.offset, d.x + 1)


def test_independent_columns_are_judged_by_their_own_size():
    rng = np.random.default_rng(0)
    X = np.column_stack([np.ones(50), 1e8 * rng.normal(size=50), 1e-8 * rng.normal(size=50)])
    assert independent_columns(X).tolist() == [0, 1, 2]
    assert independent_columns(np.column_stack([X, X[:, 0] + X[:, 2] * 0])).tolist() == [0, 1, 2]
    assert independent_columns(np.zeros((5, 2))).tolist() == []


def test_fingerprints_tell_models_apart(d):
    a = build_frame("y ~ x + (1 | g)", d)
    for other in (
        build_frame("y ~ x + (x | g)", d),
        build_frame("y ~ x + (1 | g)", d[::-1]),
        build_frame("y ~ x + (1 | g)", d, weights=np.ones(80)),
    ):
        assert other.fingerprint != a.fingerprint
