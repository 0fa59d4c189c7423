"""The table of R's exports: complete, and true of what is here."""

import importlib.util
from pathlib import Path

import pytest

import exports

ROOT = Path(__file__).parent.parent
ROWS = exports.rows()
HERE = [row for row in ROWS if row.here is not None]


@pytest.mark.parametrize("row", HERE, ids=lambda r: f"{r.group}::{r.name}")
def test_what_the_table_says_to_be_here_runs(row):
    if "plots." in row.here:
        pytest.importorskip("matplotlib").use("Agg")
    assert exports.failure(row) is None


def test_every_row_says_where_it_is_or_why_not():
    assert [row for row in ROWS if not row.here and not row.said] == []
    sentences = [row.said for row in ROWS if row.said]
    assert [said for said in sentences if not said.endswith(".")] == []
    assert {row.group for row in ROWS} == {*exports.PACKAGES, *exports.CLASSES}


def test_a_row_that_names_what_is_not_here_is_found():
    row = exports.Row("lme4", "zz", "m.no_such_method()", "")
    assert "no_such_method" in exports.failure(row)
    assert exports.missing([row], {"lme4": {"zz", "yy"}}) == ["lme4::yy"]
    assert exports.gone([row], {"lme4": {"yy"}}) == ["lme4::zz"]


@pytest.mark.r("lmerTest", "pbkrtest", "emmeans")
def test_the_table_has_all_that_R_exports():
    found, listed = exports.asked()
    if found != exports.versions():
        pytest.skip(f"the table was reviewed for {exports.versions()}, R here has {found}")
    assert exports.missing(ROWS, listed) == []
    assert exports.gone(ROWS, listed) == []


@pytest.mark.skipif(not (ROOT / "docs").exists(), reason="run from an installed wheel")
def test_the_page_is_made_of_the_table():
    pytest.importorskip("matplotlib")
    where = ROOT / "benchmarks" / "exports.py"
    spec = importlib.util.spec_from_file_location("make_exports", where)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert (ROOT / "docs" / "exports.md").read_text("utf-8") == script.text()
