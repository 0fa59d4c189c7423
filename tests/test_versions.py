"""Which versions changed between a baseline and now."""

import subprocess
import sys
from pathlib import Path

import pytest

import lmerbridge as lb
from lmerbridge.crosscheck.baseline import against_baseline, load_baseline, record_baseline
from lmerbridge.crosscheck.versions import (
    TOUCHES,
    changed_versions,
    changes,
    changes_between,
    versions_of,
)
from lmerbridge.dialects import FORMS

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("then", "now", "words"),
    [
        ({"a": "1"}, {"a": "1"}, "no version changed (a 1)"),
        ({"a": "1", "b": "2"}, {"a": "1", "b": "3"}, "b 2 then, 3 now; a the same"),
        ({"a": "1"}, {"a": "1", "b": "3"}, "b none then, 3 now; a the same"),
        ({"a": "1", "b": "3"}, {"a": "1"}, "b 3 then, none now; a the same"),
        ({"a": "1", "BLAS": ""}, {"a": "1", "BLAS": ""}, "no version changed (a 1)"),
        ({"a": "1", "b": "2"}, {"a": "2", "b": "3"}, "a 1 then, 2 now; b 2 then, 3 now"),
    ],
)
def test_in_words(then, now, words):
    assert changed_versions(then, now) == words


@pytest.mark.parametrize(
    ("engine", "names"),
    [
        ("native", {"numpy", "scipy", "lmerbridge", "BLAS", "platform"}),
        ("statsmodels", {"statsmodels", "numpy", "scipy", "lmerbridge", "BLAS", "platform"}),
    ],
)
def test_of_an_engine(engine, names, sleepstudy):
    m = lb.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy, engine=engine)
    found = versions_of(m.result)
    assert names <= set(found)
    assert found["lmerbridge"] == lb.__version__


@pytest.mark.r("lmerTest")
def test_of_lme4(sleepstudy):
    m = lb.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy, engine="lme4")
    found = versions_of(m.result)
    assert {"R", "lme4", "Matrix", "BLAS", "platform", "lmerbridge"} <= set(found)
    # they come after the fit
    assert "lmerTest" not in found


@pytest.mark.r
def test_drift_of_lme4_names_r(sleepstudy, tmp_path):
    call = ("Reaction ~ Days + (1 | Subject)", sleepstudy, ["lme4"])
    found = lb.check(*call)
    frames = {"model": found.frame}
    record_baseline([found.report], tmp_path / "base.json", frames)
    kept = load_baseline(tmp_path / "base.json")
    engine = kept["fits"]["model"]["engines"]["lme4"]
    engine["quantities"]["values"]["fixed effects"]["Days"] += 1
    engine["versions"]["R"] = "4.1.0"
    outcome = against_baseline([found.report], kept, frames)[0].outcomes[0]
    assert outcome.verdict.kind == "drift"
    now = versions_of(lb.lmer(call[0], sleepstudy, engine="lme4").result)["R"]
    assert f"; R 4.1.0 then, {now} now; " in outcome.verdict.sentence


class TestNews:
    """What versions changed, as data."""

    def test_every_entry_is_whole(self):
        for change in changes():
            assert change.touches
            assert set(change.touches) <= set(TOUCHES)
            assert change.what
            assert change.we

    def test_no_entry_is_there_twice(self):
        assert len(set(changes())) == len(changes())

    def test_versions_are_numbers_and_not_texts(self):
        # "1.1-38" is later than "1.1-9"
        found = changes_between("lme4", "1.1-9", "1.1-38")
        assert any("skipped above 10,000 rows" in change.what for change in found)

    def test_the_first_version_is_not_among_them_and_the_last_is(self):
        found = {change.version for change in changes_between("lme4", "2.0-1", "2.1-0")}
        assert "2.1-0" in found
        assert "2.0-1" not in found

    def test_the_order_of_the_two_does_not_matter(self):
        assert changes_between("lme4", "2.1-0", "1.1-31") == changes_between(
            "lme4", "1.1-31", "2.1-0"
        )

    @pytest.mark.parametrize("package", ["lme4", "a package that nobody knows"])
    def test_nothing_between_a_version_and_itself(self, package):
        assert changes_between(package, "2.1-0", "2.1-0") == ()

    @pytest.mark.parametrize("form", FORMS, ids=lambda form: form.attribute)
    def test_every_form_of_a_dialect_is_told(self, form):
        # 2.0-1 is the first release of lme4 2.0
        since = {"2.0-0": "2.0-1"}.get(form.since, form.since)
        assert (form.package, since) in {(c.package, c.version) for c in changes()}

    @pytest.mark.skipif(not (ROOT / "docs").exists(), reason="run from an installed wheel")
    def test_the_page_is_current(self):
        # `make versions` writes it
        script = ROOT / "scripts" / "versions_page.py"
        assert subprocess.run([sys.executable, script, "--check"], check=False).returncode == 0
