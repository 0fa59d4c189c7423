"""Dates, times and differences as R's Date, POSIXct and difftime."""

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pytest

import lmerbridge as lb
from lmerbridge.design import build_frame
from lmerbridge.errors import DataError
from lmerbridge.likelihood import cross_products, evaluate

pytestmark = pytest.mark.filterwarnings("ignore::lmerbridge.errors.FitWarning")


@pytest.fixture
def d():
    rng = np.random.default_rng(3)
    n = 90
    days = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 8, n), unit="D")
    hours = pd.to_timedelta(rng.integers(0, 9, n) * 5, unit="h")
    return pd.DataFrame(
        {
            "y": rng.normal(size=n) + rng.normal(size=9)[np.arange(n) % 9],
            "day": days,
            "at": pd.Timestamp("2024-03-10 00:30") + hours,
            "there": (pd.Timestamp("2024-03-09") + hours).tz_localize("America/New_York"),
            "midnight": (pd.Timestamp("2024-01-01") + (days - days.min())).tz_localize("UTC"),
            "since": days - pd.Timestamp("2024-01-03"),
            "x": rng.normal(size=n),
            "g": np.arange(n) % 9,
        }
    )


FORMULAS = [
    "y ~ day + (1 | g)",
    "y ~ at + (1 | g)",
    "y ~ since + (1 | g)",
    "y ~ since + (1 + I(since / 86400) | g)",
    "y ~ factor(day) + (1 | g)",
    "y ~ factor(at) + (1 | g)",
    "y ~ factor(there) + (1 | g)",
    "y ~ factor(midnight) + (1 | g)",
    "y ~ factor(since) + (1 | g)",
    "y ~ x + (1 | day)",
    "y ~ x + (1 | there)",
    "y ~ x + (1 | since)",
    "y ~ ordered(day) + x:factor(at > '2024-03-10 12:00') + (1 | g)",
    "y ~ I(day - 19723) + I(day + 1 > '2024-01-04') + (1 | g)",
    "y ~ scale(day) + poly(at, 2) + (1 | g)",
    "y ~ I(day - min(day)) + (1 | day)",
    "y ~ I(at - min(at)) + (1 | g)",
    "y ~ I(day - mean(day)) + I(day == '2024-01-04') + (1 | g)",
    "y ~ I(as.numeric(day) - 19723) + as.character(day) + (1 | g)",
    "y ~ abs(since) + I(since * 2) + I(-since / 3600) + (1 | g)",
    "y ~ relevel(factor(day), '2024-01-04') + interaction(factor(day > 19725), g) + (1 | g)",
    "y ~ I(factor(day) %in% c('2024-01-03', '2024-01-05')) + (1 | g)",
    "y ~ cbind(day, x) + (1 | g)",
    "y ~ x + (1 | g)",
]


@pytest.mark.r
@pytest.mark.parametrize("formula", FORMULAS)
def test_models_are_r_s(d, formula):
    arguments = {"subset": "day > '2024-01-02'"} if formula == FORMULAS[-1] else {}
    m = lb.lmer(formula, d, engine="lme4", **arguments)  # refuses other columns than the frame's
    at_their_theta = evaluate(cross_products(m.frame), m.result.estimates.theta, True)
    assert at_their_theta.criterion == pytest.approx(m.REMLcrit(), abs=1e-6)
    fitted = at_their_theta.beta
    np.testing.assert_allclose(fitted, m.fixef(), rtol=1e-4, atol=1e-9)


def test_a_date_counts_days_and_a_time_seconds(d):
    d["since"] = d["at"] - pd.Timestamp("2024-03-11")
    frame = build_frame("y ~ day + since + (1 | g)", d)
    days = (d.day - pd.Timestamp("1970-01-01")).dt.days
    seconds = (d["at"] - pd.Timestamp("1970-01-01")).dt.total_seconds()
    np.testing.assert_array_equal(frame.X[:, 1], days)
    np.testing.assert_array_equal(frame.X[:, 2], d.since.dt.total_seconds())
    frame = build_frame("y ~ at + (1 | g)", d)
    np.testing.assert_array_equal(frame.X[:, 1], seconds)


@pytest.mark.parametrize(
    "convert",
    [
        lambda d: d.assign(day=d.day.dt.date),
        lambda d: d.assign(day=d.day.astype("datetime64[s]")),
        lambda d: d.convert_dtypes(dtype_backend="pyarrow"),
        pl.from_pandas,
        lambda d: pl.from_pandas(d).with_columns(pl.col("day").cast(pl.Date)),
        lambda d: pl.from_pandas(d).to_arrow(),
        lambda d: d.assign(
            at=d["at"].dt.to_pydatetime(), since=[v.to_pytimedelta() for v in d.since]
        ),
    ],
)
def test_every_library_s_dates_are_the_same(d, convert):
    text = "y ~ day + at + since + factor(there) + (1 | day)"
    one, two = build_frame(text, d), build_frame(text, convert(d))
    assert one.x_names == two.x_names
    np.testing.assert_allclose(one.X, two.X, rtol=1e-14)
    assert one.random[0].levels == two.random[0].levels


def test_missing_dates_are_missing(d):
    d.loc[3, "day"], d.loc[5, "since"], d.loc[7, "there"] = pd.NaT, pd.NaT, pd.NaT
    frame = build_frame("y ~ factor(day) + since + (1 | there)", d)
    assert frame.source.dropped.tolist() == [3, 5, 7]
    frame = build_frame("y ~ day + (1 | there)", pl.from_pandas(d))
    assert frame.source.dropped.tolist() == [3, 7]


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("y ~ I(day^2) + (1 | g)", "'\\^' is not defined for 'Date'.*as.numeric"),
        ("y ~ log(day) + (1 | g)", "'log' is not defined for 'Date'.*as.numeric"),
        ("y ~ I(day * 2) + (1 | g)", "'\\*' is not defined for 'Date'"),
        ("y ~ I(at %% 7) + (1 | g)", "not defined for 'POSIXct'"),
        ("y ~ sqrt(since) + (1 | g)", "'sqrt' is not defined for 'difftime'"),
        ("y ~ I(-day) + (1 | g)", "not defined for 'Date'"),
        ("y ~ cut(day, 3) + (1 | g)", "make a column of the intervals first"),
        ("y ~ C(day) + (1 | g)", "not interpretable as a factor"),
        ("y ~ offset(since) + (1 | g)", "'offset' must be numeric"),
        ("day ~ x + (1 | g)", "response must be numeric"),
        ("y ~ I(day > 'soon') + (1 | g)", "'soon' is no date"),
        ("y ~ I(day - at) + (1 | g)", "not defined"),
    ],
)
def test_what_r_does_not_define_is_refused(d, formula, words):
    with pytest.raises(DataError, match=words):
        build_frame(formula, d)


def test_new_dates_are_counted_as_the_fit_s(d):
    m = lb.lmer("y ~ day + I(at - min(at)) + factor(since) + (1 | day)", d, engine="native")
    head = d.head(6)
    np.testing.assert_allclose(m.predict(head), m.fitted().head(6))
    # a time of day in new data does not change what the fit's column counts
    noon = head.assign(day=head.day + pd.Timedelta(hours=12))
    alone = lb.lmer("y ~ day + (1 | day)", d, engine="native")
    more = alone.predict(noon, re_form="NA") - alone.predict(head, re_form="NA")
    np.testing.assert_allclose(more, alone.fixef()["day"] / 2)
    numbers = head.assign(
        day=[day.toordinal() - dt.date(1970, 1, 1).toordinal() for day in head.day]
    )
    np.testing.assert_allclose(m.predict(numbers, re_form="NA"), m.predict(head, re_form="NA"))
    with pytest.raises(DataError, match="'day' was fitted as 'Date', but newdata has 'difftime'"):
        m.predict(head.assign(day=head.since))
    with pytest.raises(DataError, match="'day' was fitted as numbers, but newdata has strings"):
        m.predict(head.assign(day=head.day.astype(str)))
