"""Columns of every kind: R's levels, or a DataError; never a wrong grouping."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import lmerbridge as lb
from lmerbridge.design import build_frame
from lmerbridge.errors import DataError, LmerBridgeError

N = 60
CODES = np.arange(N) % 6
DECIMAL = Decimal("0.1234567890123456789")


def frame_of(column, missing=()):
    rng = np.random.default_rng(5)
    d = pd.DataFrame({"y": rng.normal(size=N), "x": rng.normal(size=N), "g": CODES % 3})
    if isinstance(column, pl.Series):
        return pl.from_pandas(d).with_columns(column.alias("c"))
    return d.assign(c=column)


def some(values, kind=list):
    """Every seventh value missing."""
    return kind([None if i % 7 == 0 else values[code] for i, code in enumerate(CODES)])


def all_of(values, kind=list):
    return kind([values[code] for code in CODES])


WIDE = [2**53 + i for i in range(6)]
UNSIGNED = [2**63 + i for i in range(6)]
HUGE = [2**100 + i for i in range(6)]
DECIMALS = [DECIMAL + Decimal(i) / 10**19 for i in range(6)]
LEVELS = {
    "int64": (lambda v: all_of(v, np.array), WIDE),
    "Int64 with NA": (lambda v: some(v, lambda x: pd.array(x, dtype="Int64")), WIDE),
    "arrow with NA": (lambda v: some(v, lambda x: pd.Series(x, dtype="int64[pyarrow]")), WIDE),
    "polars Int64 with null": (lambda v: some(v, pl.Series), WIDE),
    "uint64": (lambda v: all_of(v, lambda x: np.array(x, dtype=np.uint64)), UNSIGNED),
    "UInt64 with NA": (lambda v: some(v, lambda x: pd.array(x, dtype="UInt64")), UNSIGNED),
    "polars UInt64": (lambda v: all_of(v, lambda x: pl.Series(x, dtype=pl.UInt64)), UNSIGNED),
    "polars Int128": (lambda v: all_of(v, lambda x: pl.Series(x, dtype=pl.Int128)), HUGE),
    "polars Int128 with null": (lambda v: some(v, lambda x: pl.Series(x, dtype=pl.Int128)), HUGE),
    "Python integers": (lambda v: all_of(v, lambda x: pd.Series(x, dtype=object)), HUGE),
    "decimals": (lambda v: all_of(v, pd.Series), DECIMALS),
    "polars decimals": (lambda v: all_of(v, pl.Series), DECIMALS),
    "decimals of arrow": (
        lambda v: all_of(
            v, lambda x: pd.Series(pd.array(x, dtype=pd.ArrowDtype(pa.decimal128(30, 19))))
        ),
        DECIMALS,
    ),
}


@pytest.mark.parametrize("kind", LEVELS)
def test_numbers_that_floats_cannot_tell_apart_stay_apart(kind):
    make, values = LEVELS[kind]
    d = frame_of(make(values))
    for text in ("y ~ x + (1 | c)", "y ~ x + (1 | g) + (1 | c)"):
        frame = build_frame(text, d)
        block = next(b for b in frame.random if b.group == "c")
        assert block.levels == tuple(str(v) for v in values)
        np.testing.assert_array_equal(block.codes, CODES[frame.source.kept])
    frame = build_frame("y ~ factor(c) + (1 | g)", d)
    assert frame.x_names[1:] == tuple(f"factor(c){v}" for v in values[1:])
    assert len(frame.source.dropped) == (9 if "with" in kind else 0)


@pytest.mark.r
def test_r_is_not_asked_what_it_cannot_hold():
    d = frame_of(all_of(WIDE, np.array))
    with pytest.raises(DataError, match="'c' has numbers that R cannot tell apart"):
        lb.lmer("y ~ factor(c) + (1 | g)", d, engine="lme4")


# as R writes integers, which it holds up to 2^31, and other numbers
@pytest.mark.parametrize(
    ("values", "levels"),
    [
        ([99999, 100000, 100001], ("99999", "100000", "100001")),
        ([99999.0, 100000.0, 100001.0], ("99999", "1e+05", "100001")),
        (pd.array([99999, 100000, None], dtype="Int64"), ("99999", "100000")),
        (pl.Series([99999, 100000, None]), ("99999", "100000")),
        ([3 * 10**9, 100000, 3 * 10**9 + 1], ("1e+05", "3e+09", "3000000001")),
        ([10**15, 10**15 + 1, 7], ("7", "1000000000000000", "1000000000000001")),
        ([0.1 + 0.2, 0.3, -0.0], ("0", "0.3")),
        ([1 / 3, 1e-300, 123456789.123456789], ("1e-300", "0.333333333333333", "123456789.123457")),
        (pd.Categorical([100000, 7, 100000]), ("7", "100000")),
        (pd.Categorical([0.5, 1.0, 1e5]), ("0.5", "1", "1e+05")),
        (pd.Categorical([True, False, True]), ("FALSE", "TRUE")),
        (
            pd.Categorical(pd.to_datetime(["2024-01-02", "2024-01-01", None])),
            ("2024-01-01", "2024-01-02"),
        ),
    ],
)
def test_labels_of_numbers(values, levels):
    y = np.random.default_rng(1).normal(size=3)
    table = {"y": y, "c": values, "g": [1, 2, 1]}
    d = pl.DataFrame(table) if isinstance(values, pl.Series) else pd.DataFrame(table)
    frame = build_frame(
        "y ~ 1 + (1 | c)", d, control=lb.lmerControl(check_nobs_vs_nlev="i", check_nobs_vs_nRE="i")
    )
    assert frame.random[0].levels == levels


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (
            pd.Series(all_of([1, "1", 2, "2", 3, "3"]), dtype=object).astype("category"),
            "same level '1'",
        ),
        (pd.Categorical(all_of([b"a", b"b", b"c"] * 2)), "decode"),
        (pd.Series(all_of([b"a", b"b", b"c"] * 2)), "decode"),
        (
            pd.Series(all_of([1, "a", 2, "b", 3, "c"]), dtype=object),
            "mixes values of type int, str",
        ),
        (
            pd.Series(all_of([1, True, 2, False, 3, 0]), dtype=object),
            "mixes values of type bool, int",
        ),
        (pd.Series(all_of([10**400] * 6), dtype=object), "beyond 1e308"),
        (pd.Series(all_of([dt.time(i) for i in range(6)])), "values of type time"),
        (pd.Series(all_of([{"a": 1}] * 6)), "values of type dict"),
        (pd.Series(all_of([[1] * (i + 1) for i in range(6)])), "sequences of different lengths"),
        (pd.Series(all_of([["a"], ["b"]] * 3)), "sequences of what is not a number"),
        (pd.period_range("2020", periods=N), "to_timestamp"),
        (pd.Series(pd.arrays.IntervalArray.from_breaks(np.arange(N + 1.0))), "astype"),
        (pl.Series(all_of([b"a", b"b", b"c"] * 2)), "decode"),
        (pl.Series(all_of([{"a": 1}] * 6)), "type Struct"),
        (pl.Series(all_of([dt.time(i) for i in range(6)])), "type Time"),
        (
            pd.Series(
                [pd.Timestamp("2024-01-01", tz="UTC" if i % 2 else "Asia/Tokyo") for i in range(N)],
                dtype=object,
            ),
            "mixes time zones",
        ),
    ],
)
def test_what_has_no_meaning_is_a_data_error(column, words):
    for text in ("y ~ x + (1 | c)", "y ~ c + (1 | g)", "y ~ factor(c) + (1 | g)"):
        with pytest.raises(DataError, match=words):
            build_frame(text, frame_of(column))


@pytest.mark.parametrize(
    "column",
    [
        pd.arrays.SparseArray(CODES.astype(float)),
        pd.arrays.SparseArray(CODES),
        pd.Series(CODES, dtype="int8[pyarrow]"),
        pd.Series([np.int16(c) for c in CODES], dtype=object),
        pd.Series([Decimal(int(c)) for c in CODES]),
        CODES.astype(np.float16),
        CODES.astype(np.longdouble),
        pl.Series(CODES.astype(np.uint8)),
        pl.Series([int(c) for c in CODES], dtype=pl.Object),
        pl.Series(CODES.astype(np.float32)),
    ],
)
def test_numbers_of_every_type_are_the_same(column):
    frame = build_frame("y ~ c + (1 | c)", frame_of(column))
    np.testing.assert_array_equal(frame.X[:, 1], CODES)
    assert frame.random[0].levels == tuple("012345")


def test_a_name_twice_does_not_matter_where_it_is_not_used():
    d = frame_of(CODES)
    for twice in (
        pd.concat([d, d[["c"]]], axis=1),
        pa.table([d.y, d.x, d.g, d.c, d.c], names=list("yxgcc")),
    ):
        assert build_frame("y ~ x + (1 | g)", twice).nobs == N
        with pytest.raises(DataError, match="more than one column 'c'"):
            build_frame("y ~ c + (1 | g)", twice)


@pytest.mark.parametrize(
    "data",
    [
        pl.DataFrame({"y": [1.0]}).lazy(),
        5,
        None,
        [1, 2],
        "abc",
        {"a": [1, 2], "b": [1]},
        np.zeros((3, 2)),
        {},
    ],
)
def test_what_is_no_table_is_refused(data):
    with pytest.raises(LmerBridgeError):
        build_frame("y ~ x + (1 | g)", data)


@pytest.mark.parametrize("engine", ["native", pytest.param("lme4", marks=pytest.mark.r)])
@pytest.mark.filterwarnings("ignore::lmerbridge.errors.FitWarning")
def test_columns_of_vectors_are_matrices(engine):
    d = frame_of(CODES).assign(z=np.random.default_rng(2).normal(size=N))
    pairs = list(d[["x", "z"]].itertuples(index=False, name=None))
    d["M"] = pairs
    for data in (d, pl.DataFrame({**{k: d[k].to_numpy() for k in ("y", "g")}, "M": pairs})):
        m = lb.lmer("y ~ M + (M | g)", data, engine=engine)
        assert list(m.fixef().index) == ["(Intercept)", "M1", "M2"]
        np.testing.assert_array_equal(m.getME("X")[:, 1:], d[["x", "z"]])
        np.testing.assert_allclose(m.predict(data.head(5)), m.fitted().head(5))
    bound = lb.lmer("y ~ cbind(x, z) + (cbind(x, z) | g)", d, engine=engine)
    assert list(bound.fixef().index) == ["(Intercept)", "cbind(x, z)x", "cbind(x, z)z"]


@pytest.mark.r
@pytest.mark.filterwarnings("ignore::lmerbridge.errors.FitWarning")
@pytest.mark.parametrize(
    "formula",
    [
        "y ~ I(c %in% c(2, 5)) + (1 | g)",
        "y ~ x:factor(c %in% 1:3) + (1 | g)",
        "y ~ I(factor(c) %in% c('2', '4')) + I(c %in% g) + (1 | g)",
        "y ~ factor(c, levels = 5:0) + (1 | g)",
        "y ~ cut(c, 0:6 - 0.5) + (1 | g)",
        "y ~ factor(c + 99998L) + factor(pmax(c, 3L) * 1e5L) + (1 | g)",
        "y ~ factor(c + 99998) + (1 | g)",
        "y ~ M + x:M + (1 | g)",
        "y ~ factor(k) + (1 | g)",
        "y ~ x + (1 | k)",
    ],
)
def test_further_expressions_are_r_s(formula):
    d = frame_of(CODES)
    d["k"] = pd.array(
        [None if i % 7 == 0 else 99998 + c for i, c in enumerate(CODES)], dtype="Int64"
    )
    d["M"] = list(np.random.default_rng(2).normal(size=(N, 2)))
    m = lb.lmer(formula, d, engine="lme4")  # refuses other columns than the frame's
    ours = lb.lmer(formula, d, engine="native")
    np.testing.assert_allclose(ours.getME("X") @ m.fixef(), m.predict(re_form="NA"), atol=1e-8)


def test_a_subset_may_say_in():
    d = frame_of(CODES)
    frame = build_frame("y ~ x + (1 | g)", d, subset="c %in% c(1, 5)")
    np.testing.assert_array_equal(frame.source.kept, np.flatnonzero(np.isin(CODES, [1, 5])))
