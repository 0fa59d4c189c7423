"""The proof of the project's own documents: what they print, checked to the printed digits."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from lmerbridge.crosscheck import load_cases, run_cases

SCRIPT = Path(__file__).parent.parent / "reference/published/check.py"
pytestmark = [
    pytest.mark.skipif(not SCRIPT.exists(), reason="run from an installed wheel"),
    pytest.mark.filterwarnings("ignore::lmerbridge.errors.FitWarning"),
]
SLEEPSTUDY = [case for case in load_cases() if case.name == "sleepstudy"]


@pytest.fixture(scope="module")
def published():
    spec = importlib.util.spec_from_file_location("published_check", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there for what annotations name
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_all_are_there_and_each_has_a_place(published):
    values = published.load_published()
    assert len(values) == 911
    assert all(v.place and v.document in published.DOCUMENTS for v in values)
    assert all(v.line or v.document < 5 or "https://" in v.place for v in values)
    assert sum(v.line > 0 for v in values) > 700


def test_a_wrong_number_is_seen(published, monkeypatch):
    found = run_cases(SLEEPSTUDY, ["native"])
    values = published.load_published()
    at = next(
        i
        for i, v in enumerate(values)
        if v.source == "sleepstudy" and v.quantity == "fixed effects"
    )
    wrong = replace(values[at], printed=values[at].printed[:-1] + "9")
    monkeypatch.setattr(published, "load_published", lambda: [wrong])
    report = published.check_published(found)
    assert not report.well
    assert "1 DIFFER" in published.published_text(report)


def test_a_reason_that_is_not_needed_fails(published, monkeypatch):
    values = [v for v in published.load_published() if v.source == "sleepstudy" and not v.reason]
    monkeypatch.setattr(published, "load_published", lambda: [replace(values[0], reason="old")])
    report = published.check_published(run_cases(SLEEPSTUDY, ["native"]))
    assert not report.well
    assert "reason not needed" in published.published_text(report)


def test_precision_is_the_printed_one(published):
    value = replace(published.load_published()[0], printed="612.09")
    assert value.half == 0.005
    assert value.reproduced_by(612.0949)
    assert not value.reproduced_by(612.0996)
    assert replace(value, printed="< 2e-16").reproduced_by(1e-20)
    assert not replace(value, printed="<2e-16").reproduced_by(1e-3)


def test_what_is_not_run_is_counted(published):
    report = published.check_published([])
    assert report.well
    text = " ".join(published.published_text(report).split())
    assert "the case sleepstudy was not run" in text
    assert "911 printed numbers" in text


def test_every_number_of_the_documents_is_reproduced_or_explained(published):
    """By the native engine, on every case that they print and whose data are here."""
    sources = {value.source for value in published.load_published()}
    reports = run_cases([c for c in published.all_cases() if c.name in sources], ["native"])
    report = published.check_published(reports)
    assert [c for c in report.checks if c.kind in ("differs", "reason not needed")] == []
    native = [c for c in report.checks if c.engine == "native"]
    assert sum(c.kind == "reproduced" for c in native) > 400


def test_it_is_no_part_of_a_users_check():
    """A failure of this project's own documents is not the user's exit status, nor in the wheel."""
    import lmerbridge

    assert not list(Path(lmerbridge.__file__).parent.rglob("published*"))
    project = (SCRIPT.parents[2] / "pyproject.toml").read_text("utf-8")
    assert '"reference" =' not in project
    assert '"reference/published"' not in project


@pytest.mark.parametrize(("wrong", "status"), [(False, 0), (True, 1)], ids=["right", "wrong"])
def test_the_command_says_the_outcome(published, monkeypatch, capsys, wrong, status):
    """`make reference`, on one case and one of its numbers."""
    value = next(
        v
        for v in published.load_published()
        if v.source == "sleepstudy" and v.quantity == "fixed effects" and not v.reason
    )
    shown = replace(value, printed=value.printed[:-1] + "9") if wrong else value
    monkeypatch.setattr(published, "load_published", lambda: [shown])
    monkeypatch.setattr(published, "load_cases", lambda *_: SLEEPSTUDY)
    monkeypatch.setattr(published, "available_engines", lambda: ["native"])
    monkeypatch.delenv("LMERBRIDGE_REQUIRE_R", raising=False)
    assert published.main() == status
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("NOT WELL" if wrong else "All is well")
