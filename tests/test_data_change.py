"""A change of data against a baseline is located, in one sentence per model."""

import json
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import lmerbridge as lb
from lmerbridge.crosscheck import load_cases, run_cases, suite_text
from lmerbridge.crosscheck import snapshot as snapshots
from lmerbridge.crosscheck.baseline import against_baseline, load_baseline, record_baseline
from lmerbridge.crosscheck.data_change import data_change
from lmerbridge.crosscheck.formats import json_text, junit_text, markdown_text
from lmerbridge.crosscheck.html import html_text
from lmerbridge.crosscheck.snapshot import KEPT_ROWS, from_plain, of_data, to_plain

pytestmark = pytest.mark.filterwarnings("ignore::lmerbridge.errors.FitWarning")


def oats():
    """Six blocks by three varieties by four amounts, as Yates' oats; the yields are ours."""
    rng = np.random.default_rng(3)
    d = pd.DataFrame(
        [
            (block, variety, nitro)
            for block in ("I", "II", "III", "IV", "V", "VI")
            for variety in ("Golden Rain", "Marvellous", "Victory")
            for nitro in (0.0, 0.2, 0.4, 0.6)
        ],
        columns=["Block", "Variety", "nitro"],
    )
    d["yield"] = np.round(100 + 50 * d.nitro + rng.normal(0, 10, len(d)))
    d.loc[16, "yield"] = 111.0
    return d


def said(then, now):
    """The sentence, with what was kept gone through JSON."""
    kept = json.loads(json.dumps(to_plain(of_data(then))))
    return data_change(from_plain(kept), snapshots.Snapshot(of_data(now).columns))


def with_value(d, row, column, value):
    d = d.copy()
    d.loc[row - 1, column] = value
    return d


def changes():
    """By name: how the data changes, and what is said."""
    d = oats()
    two = with_value(with_value(d, 17, "yield", 112.0), 20, "nitro", 0.7)
    five = d.copy()
    five.loc[[0, 1, 2, 3, 4], "nitro"] = [1.0, 2.0, 3.0, 4.0, 5.0]
    order = d.assign(Variety=pd.Categorical(d.Variety, ["Victory", "Marvellous", "Golden Rain"]))
    swapped = d.copy()
    swapped.iloc[[4, 9]] = d.iloc[[9, 4]].to_numpy()
    swapped = swapped.astype(d.dtypes)
    added = pd.concat([d, d.iloc[[3]].assign(nitro=0.9)], ignore_index=True)
    moved = pd.concat([d.drop(index=4), d.iloc[[5]].assign(nitro=0.9)], ignore_index=True)
    both = with_value(d, 17, "yield", 112.0).drop(index=4).reset_index(drop=True)
    shuffled = d.assign(nitro=d.nitro.to_numpy()[::-1])
    return {
        "a value": (
            with_value(d, 17, "yield", 112.0),
            "column yield differs in row 17: 111 then, 112 now; Block, Variety, nitro the same",
        ),
        "the last digit": (
            with_value(d, 2, "nitro", 0.2 + 2**-55),
            "column nitro differs in row 2: 0.2 then, 0.20000000000000004 now; Block, Variety, "
            "yield the same",
        ),
        "a missing value": (
            with_value(d, 17, "yield", np.nan),
            "column yield differs in row 17: 111 then, NA now; Block, Variety, nitro the same",
        ),
        "a label": (
            with_value(d, 17, "Variety", "Victory"),
            "column Variety differs in row 17: Marvellous then, Victory now; Block, nitro, yield "
            "the same",
        ),
        "two columns": (
            two,
            "column nitro differs in row 20: 0.6 then, 0.7 now; column yield differs in row 17: "
            "111 then, 112 now; Block, Variety the same",
        ),
        "many values": (
            five,
            "column nitro differs in 5 rows: row 1: 0 then, 1 now, row 2: 0.2 then, 2 now, row 3: "
            "0.4 then, 3 now, and 2 more (mean 0.3 then, 0.491667 now); Block, Variety, yield the "
            "same",
        ),
        "the same values elsewhere": (
            shuffled,
            "column nitro differs in 72 rows: row 1: 0 then, 0.6 now, row 2: 0.2 then, 0.4 now, "
            "row 3: 0.4 then, 0.2 now, and 69 more (the same values in other rows); Block, "
            "Variety, yield the same",
        ),
        "a row gone": (
            d.drop(index=4),
            "row 5 of then is gone (72 rows then, 71 now)",
        ),
        "rows gone": (
            d.drop(index=[4, 9]),
            "rows 5 and 10 of then are gone (72 rows then, 70 now)",
        ),
        "a row more": (added, "row 73 is new (72 rows then, 73 now)"),
        "a row gone, another new": (moved, "row 5 of then is gone; row 72 is new"),
        "a row gone, a value changed": (
            both,
            "column yield differs in row 16 (17 then): 111 then, 112 now; row 5 of then is gone "
            "(72 rows then, 71 now)",
        ),
        "another order": (swapped, "the rows are in another order, from row 5 on"),
        "sorted": (
            d.iloc[::-1].reset_index(drop=True),
            "the rows are in another order, from row 1 on",
        ),
        "a column renamed": (
            d.rename(columns={"nitro": "nitrogen"}),
            "column nitro is called nitrogen now; Block, Variety, yield the same",
        ),
        "a column gone": (
            d.drop(columns="nitro"),
            "column nitro is gone; Block, Variety, yield the same",
        ),
        "another column": (
            d.assign(x=1.0),
            "column x is new; Block, Variety, nitro, yield the same",
        ),
        "another type": (
            d.assign(nitro=d.nitro.astype(str)),
            "column nitro is of another type: number then, factor now; Block, Variety, yield the "
            "same",
        ),
        "a level renamed": (
            d.assign(Variety=d.Variety.replace("Victory", "Victory 2")),
            "level of column Variety: Victory is called Victory 2 now; Block, nitro, yield the "
            "same",
        ),
        "a level renamed so that it comes first": (
            d.assign(Variety=d.Variety.replace("Victory", "A")),
            "level of column Variety: Victory is called A now; the levels of column Variety are in "
            "another order: Golden Rain, Marvellous and A then, A, Golden Rain and Marvellous now; "
            "Block, nitro, yield the same",
        ),
        "levels in another order": (
            order,
            "the levels of column Variety are in another order: Golden Rain, Marvellous and Victory"
            " then, Victory, Marvellous and Golden Rain now; Block, nitro, yield the same",
        ),
        "a level that no row has": (
            d.assign(Variety=pd.Categorical(d.Variety, [*sorted(d.Variety.unique()), "Zenith"])),
            "levels of column Variety: Zenith new; Block, nitro, yield the same",
        ),
        "ordered": (
            d.assign(Variety=pd.Categorical(d.Variety, ordered=True)),
            "column Variety is of another type: factor then, ordered factor now; Block, nitro, "
            "yield the same",
        ),
        "nothing": (d.copy(), ""),
    }


@pytest.mark.parametrize("name", changes())
def test_what_changed_is_said(name):
    now, words = changes()[name]
    assert said(oats(), now) == words


def test_duplicate_rows_are_counted():
    d = pd.DataFrame({"x": [1.0, 1.0, 2.0, 2.0, 3.0]})
    assert said(d, d.drop(index=1)) == "row 2 of then is gone (5 rows then, 4 now)"
    assert said(d, with_value(d, 2, "x", 2.0)).startswith("column x differs in row 2: 1 then, 2 n")


def test_other_kinds_of_columns():
    d = pd.DataFrame(
        {
            "day": pd.to_datetime(["2024-01-30", "2024-01-31", "NaT"]),
            "b": [True, False, True],
            "big": [2**60, 2**60 + 1, 2**60 + 2],
        }
    )
    now = d.copy()
    now.loc[1, "day"] = pd.Timestamp("2024-02-01")
    now["b"] = [True, True, True]
    now["big"] = [2**60, 2**60 + 1, 2**60 + 3]
    assert said(d, now) == (
        "column day differs in row 2: 2024-01-31 then, 2024-02-01 now; "
        "column b differs in row 2: FALSE then, TRUE now; "
        "column big differs in row 3: 1152921504606846978 then, 1152921504606846979 now"
    )


ROWS = KEPT_ROWS + 5_000


@pytest.fixture(scope="module")
def d():
    rng = np.random.default_rng(5)
    return pd.DataFrame(
        {
            "y": rng.normal(size=ROWS),
            "g": rng.integers(0, 40, ROWS).astype(str),
            "b": rng.normal(size=ROWS) > 0,
        }
    )


class TestLongData:
    """Of which the values are not kept: a value is found from two sums by block."""

    def test_the_values_are_not_kept(self, d):
        plain = to_plain(of_data(d))
        assert "values" not in plain["y"]
        # of numbers that nothing compresses, 16 bytes in base 64 for each 256 rows
        assert len(json.dumps(plain["y"])) < 2 * ROWS * 16 / 256

    @pytest.mark.parametrize("row", [1, 256, 257, 9_999, 15_000])
    def test_a_value_is_found(self, d, row):
        before = float(d.y[row - 1])
        assert said(d, with_value(d, row, "y", 7.5)) == (
            f"column y differs in row {row}: {before!r} then, 7.5 now; g, b the same"
        )

    def test_the_smallest_and_the_largest_change(self, d):
        row, before = 1234, float(d.y[1233])
        for value in (np.nextafter(before, 1), -before, np.nan, np.inf):
            text = "NA" if np.isnan(value) else repr(float(value))
            assert f"in row {row}: {before!r} then, {text} now" in said(
                d, with_value(d, row, "y", value)
            )

    def test_values_in_several_blocks(self, d):
        now = with_value(with_value(d, 5, "y", 1.0), 12_000, "y", 2.0)
        assert said(d, now) == (
            f"column y differs in 2 rows: row 5: {float(d.y[4])!r} then, 1 now, row 12000: "
            f"{float(d.y[11_999])!r} then, 2 now; g, b the same"
        )

    def test_several_values_of_one_block(self, d):
        now = with_value(with_value(d, 300, "y", 1.0), 301, "y", 2.0)
        assert said(d, now).startswith("column y differs in some of the rows 257 to 512 (mean ")

    def test_labels_and_truth_values(self, d):
        other = "1" if d.g[599] != "1" else "2"
        assert said(d, with_value(d, 600, "g", other)) == (
            f"column g differs in row 600: {d.g[599]} then, {other} now; y, b the same"
        )
        was = str(bool(d.b[599])).upper()
        is_ = str(not d.b[599]).upper()
        assert said(d, with_value(d, 600, "b", not d.b[599])) == (
            f"column b differs in row 600: {was} then, {is_} now; y, g the same"
        )

    def test_a_new_label(self, d):
        assert said(d, with_value(d, 600, "g", "new")) == (
            "levels of column g: new new; "
            f"column g differs in row 600: {d.g[599]} then, new now; y, b the same"
        )

    def test_levels(self, d):
        called = d.assign(g=d.g.replace("9", "9a"))
        assert said(d, called) == "level of column g: 9 is called 9a now; y, b the same"
        order = d.assign(g=pd.Categorical(d.g, sorted(d.g.unique(), reverse=True)))
        assert said(d, order).startswith("the levels of column g are in another order: 0, 1, 10")
        assert "differs" not in said(d, order)

    def test_rows(self, d):
        assert said(d, d.drop(index=600)) == (
            "15000 rows then, 14999 now, the first 512 of them the same"
        )
        swapped = d.copy()
        swapped.iloc[[600, 9000]] = d.iloc[[9000, 600]].to_numpy()
        assert said(d, swapped.astype(d.dtypes)) == (
            "the rows are in another order, from one of the rows 513 to 768 on"
        )

    def test_short_data_that_became_long(self, d):
        assert said(d.iloc[:5000], d) == (
            "5000 rows then, 15000 now, the first 4864 of them the same"
        )


MODEL = """[[model]]
name = "oats"
data = "oats.csv"
formula = "yield ~ nitro + Variety + (1 | Block)"
"""
ENGINES = ["native", "statsmodels"]


class TestBaseline:
    @pytest.fixture
    def suite(self, tmp_path):
        (tmp_path / "models.toml").write_text(MODEL)
        oats().to_csv(tmp_path / "oats.csv", index=False)
        reports = run_cases(load_cases(tmp_path / "models.toml"), ENGINES)
        assert record_baseline(reports, tmp_path / "base.json") == 2
        return tmp_path

    def against(self, folder, data=None, text=None):
        if data is not None:
            data.to_csv(folder / "oats.csv", index=False)
        if text is not None:
            (folder / "models.toml").write_text(text)
        reports = run_cases(load_cases(folder / "models.toml"), ENGINES)
        return against_baseline(reports, load_baseline(folder / "base.json"))

    def test_said_once_a_model(self, suite):
        reports = self.against(suite, with_value(oats(), 17, "yield", 112))
        assert {o.verdict.kind for o in reports[0].outcomes} == {"other data"}
        text = suite_text(reports, explain=False)
        change = (
            "data: column yield differs in row 17: 111 then, 112 now; nitro, Variety, Block the "
            "same"
        )
        assert text.count(change) == 1
        assert text.count("the data is not that of the baseline") == 1
        assert "oats: native, statsmodels: other data: the data is not" in text
        assert "beyond tolerance" not in text

    def test_in_every_report(self, suite):
        reports = self.against(suite, with_value(oats(), 17, "yield", 112))
        words = "column yield differs in row 17: 111 then, 112 now"
        assert words in json.loads(json_text(reports))["cases"][0]["change"]
        for write in (junit_text, markdown_text, html_text):
            assert words in write(reports)
        failure = ElementTree.fromstring(junit_text(reports)).find(".//failure")
        assert words in failure.get("message")

    def test_the_same_data(self, suite):
        reports = self.against(suite)
        assert reports[0].well
        assert reports[0].change == ""

    def test_columns_of_no_model_do_not_matter(self, suite):
        reports = self.against(suite, oats().assign(other=1.0))
        assert reports[0].well
        assert reports[0].change == ""

    @pytest.mark.parametrize("name", ["a row gone", "sorted", "a level renamed", "another type"])
    def test_other_changes(self, suite, name):
        now, words = changes()[name]
        if name == "another type":  # which a text file must show in each value
            now = oats().assign(nitro="n" + oats().nitro.astype(str))
        found = self.against(suite, now)[0].change
        assert found.startswith("data: " + words.partition(";")[0])

    def test_a_column_that_the_model_lacks_now(self, suite):
        report = self.against(suite, oats().rename(columns={"nitro": "nitrogen"}))[0]
        assert [o.verdict.kind for o in report.outcomes] == ["failed"]
        assert report.change == (
            "data: column nitro is called nitrogen now; yield, Variety, Block the same"
        )

    def test_the_model_changed_alone(self, suite):
        report = self.against(suite, text=MODEL.replace(" + Variety", ""))[0]
        assert {o.verdict.kind for o in report.outcomes} == {"other model"}
        assert report.change == ""

    def test_the_model_and_the_data_changed(self, suite):
        report = self.against(
            suite,
            oats().rename(columns={"nitro": "nitrogen"}),
            MODEL.replace("nitro", "nitrogen"),
        )[0]
        assert {o.verdict.kind for o in report.outcomes} == {"other model"}
        assert report.change.startswith("data: column nitro is called nitrogen now")

    @pytest.mark.parametrize(
        ("line", "words"),
        [
            ('weights = "nitro + 1"', "weights: None then, 'nitro + 1' now"),
            ('subset = "nitro > 0"', "subset: None then, 'nitro > 0' now"),
            (
                'contrasts = { Variety = "contr.sum" }',
                "contrasts: {} then, {'Variety': 'contr.sum'} now",
            ),
            (
                'control = { check_nlev_gtreq_5 = "warning" }',
                "control: None then, 'lmerControl(check.nlev.gtreq.5 = \"warning\")' now",
            ),
            ("start = [0.5]", "start: None then, [0.5] now"),
        ],
    )
    def test_settings_are_of_the_model(self, suite, line, words):
        report = self.against(suite, text=MODEL + line)[0]
        native = report.outcomes[0]
        assert native.verdict.kind == "other model"
        assert words in [str(fact) for fact in native.verdict.facts]
        assert report.change == ""

    def test_a_subset_that_takes_other_rows(self, suite):
        text = MODEL + 'subset = "size > 0"'
        d = oats().assign(size=1)
        d.to_csv(suite / "oats.csv", index=False)
        (suite / "models.toml").write_text(text)
        record_baseline(run_cases(load_cases(suite / "models.toml"), ENGINES), suite / "base.json")
        report = self.against(suite, with_value(d, 7, "size", 0))[0]
        assert report.change.startswith(
            "data: column subset differs in row 7: TRUE then, FALSE now"
        )

    def test_a_baseline_without_columns(self, suite):
        kept = json.loads((suite / "base.json").read_text())
        for key in ("columns", "settings"):
            del kept["fits"]["oats"][key]
        for fit in kept["fits"]["oats"]["engines"].values():
            del fit["versions"]
        (suite / "base.json").write_text(json.dumps(kept))
        assert self.against(suite)[0].well
        report = self.against(suite, with_value(oats(), 17, "yield", 112))[0]
        assert {o.verdict.kind for o in report.outcomes} == {"other data"}
        assert report.change == (
            "data: it changed, and this baseline does not hold its columns, so that it cannot say "
            "where (72 rows used then); record it again"
        )

    def test_another_frame_of_the_same_columns(self, suite):
        kept = json.loads((suite / "base.json").read_text())
        kept["fits"]["oats"]["fingerprint"] = "0" * 64
        (suite / "base.json").write_text(json.dumps(kept))
        assert "the columns are the same" in self.against(suite)[0].change

    @pytest.mark.parametrize(
        "damage",
        [
            lambda c: c.clear(),
            lambda c: c["yield"].pop("places"),
            lambda c: c["yield"].update(values="AAAA"),
            lambda c: c["yield"].update(values=3),
            lambda c: c["yield"].update(rows=71),
            lambda c: c.update(nitro=None),
            lambda c: c["Block"].update(time=[1, 2, 3, 4, 5]),
        ],
    )
    def test_damaged_columns_are_said(self, suite, damage):
        kept = json.loads((suite / "base.json").read_text())
        damage(kept["fits"]["oats"]["columns"])
        (suite / "base.json").write_text(json.dumps(kept))
        report = self.against(suite, with_value(oats(), 17, "yield", 112))[0]
        assert {o.verdict.kind for o in report.outcomes} == {"other data"}
        assert "record it again" in report.change

    def test_nothing_is_read_again_where_all_is_the_same(self, suite, monkeypatch):
        from lmerbridge.crosscheck import baseline

        reports = run_cases(load_cases(suite / "models.toml"), ENGINES)

        def never(case):
            raise AssertionError("the data was read again")

        monkeypatch.setattr(baseline, "read_data", never)
        assert against_baseline(reports, load_baseline(suite / "base.json"))[0].well

    def test_what_a_case_expects_is_not_expected_against_its_baseline(self, suite):
        text = MODEL + 'expect = { statsmodels = "agree", native = "reference" }'
        (suite / "models.toml").write_text(text)
        reports = run_cases(load_cases(suite / "models.toml"), ENGINES)
        assert reports[0].well
        record_baseline(reports, suite / "base.json")
        assert self.against(suite)[0].well
        changed = self.against(suite, with_value(oats(), 17, "yield", 112))[0]
        assert not any(o.well for o in changed.outcomes)

    def test_on_the_command_line(self, suite, run):
        with_value(oats(), 17, "yield", 112).to_csv(suite / "oats.csv", index=False)
        status, out, _ = run(
            "check",
            str(suite / "models.toml"),
            "--engine",
            "native,statsmodels",
            "--baseline",
            str(suite / "base.json"),
        )
        assert status == 1
        assert out.count("column yield differs in row 17: 111 then, 112 now") == 1

    def test_a_frame_of_ones_own(self, tmp_path):
        path = tmp_path / "base.json"
        call = "`yield` ~ nitro + (1 | Block)"
        first = lb.check(call, oats(), ["native"])
        record_baseline([first.report], path, {"model": first.frame})
        now = lb.check(call, with_value(oats(), 17, "yield", 112), ["native"])
        report = against_baseline([now.report], load_baseline(path), {"model": now.frame})[0]
        assert report.change == (
            "data: column yield differs in row 17: 111 then, 112 now; nitro, Block the same"
        )


numbers = st.floats(-1e6, 1e6).map(lambda v: round(v, 3) + 0.0)
rows = st.tuples(numbers, st.sampled_from("abc"), st.booleans())


def frame_of(drawn):
    d = pd.DataFrame(drawn, columns=["x", "g", "b"])
    return d.assign(g=pd.Categorical(d.g, list("abc")))


class TestAnyData:
    """Random data, and changes of which it is known what they are."""

    @given(st.lists(rows, min_size=1, max_size=40), st.data())
    def test_one_value(self, drawn, data):
        then = frame_of(drawn)
        row = data.draw(st.integers(1, len(drawn)))
        value = data.draw(numbers.filter(lambda v: v != drawn[row - 1][0]))
        now = with_value(then, row, "x", value)
        before, after = (repr(v).removesuffix(".0") for v in (drawn[row - 1][0], value))
        assert said(then, now) == (
            f"column x differs in row {row}: {before} then, {after} now; g, b the same"
        )

    @given(st.lists(rows, min_size=2, max_size=40, unique=True), st.data())
    def test_rows_that_went(self, drawn, data):
        gone = sorted(data.draw(st.sets(st.integers(1, len(drawn)), min_size=1)))
        gone = gone[: len(drawn) - 1]
        then = frame_of(drawn)
        found = said(then, then.drop(index=[i - 1 for i in gone]))
        counts = f"({len(drawn)} rows then, {len(drawn) - len(gone)} now)"
        assert found.endswith(f"of then {'is' if len(gone) == 1 else 'are'} gone {counts}")
        shown = [str(i) for i in gone[:3]]
        assert found.startswith(("row " if len(gone) == 1 else "rows ") + shown[0])
        assert all(text in found for text in shown)

    @given(st.lists(rows, min_size=2, max_size=40), st.randoms(use_true_random=False))
    def test_another_order(self, drawn, random):
        order = list(range(len(drawn)))
        random.shuffle(order)
        then = frame_of(drawn)
        now = then.iloc[order].reset_index(drop=True)
        first = next((i for i, j in enumerate(order) if drawn[i] != drawn[j]), None)
        words = f"the rows are in another order, from row {(first or 0) + 1} on"
        assert said(then, now) == ("" if first is None else words)

    @given(st.lists(rows, max_size=40), st.lists(rows, max_size=40))
    def test_something_is_said_if_and_only_if_something_is_different(self, one, two):
        then, now = frame_of(one), frame_of(two)
        assert (said(then, now) == "") == then.equals(now)

    @given(st.integers(1, ROWS), st.floats(allow_nan=False, width=64), st.integers(0, 2**32 - 1))
    @settings(max_examples=25)
    def test_one_value_of_long_data(self, row, value, seed):
        words = np.random.default_rng(seed).integers(0, 2**62, ROWS, dtype=np.uint64)
        values = words.view(np.float64)
        then = pd.DataFrame({"x": np.where(np.isfinite(values), values, 0.0)})
        before, value = float(then.x[row - 1]) + 0.0, value + 0.0
        assume(before != value)
        shown = [repr(v).removesuffix(".0") for v in (before, value)]
        found = said(then, with_value(then, row, "x", value))
        assert found == f"column x differs in row {row}: {shown[0]} then, {shown[1]} now"
