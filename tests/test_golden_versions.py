"""Golden values belong to a version of lme4; those of later versions are kept where they differ."""

import json
import shutil
import sys
from dataclasses import replace

import pytest

from checkout import CHECKOUT, REFERENCE
from lmerbridge.crosscheck import golden, golden_since, load_cases, run_case, suite
from lmerbridge.engines import Status

SUITES = ["reference", "reference/further"]


def later():
    """Every case of the suites with a version that has its own values."""
    for name in SUITES:
        folder = CHECKOUT / name
        if not (REFERENCE / "golden_versions.py").is_file():  # run from an installed wheel
            continue
        files = [folder / "cases.toml", folder / "generalized.toml"]
        cases = {c.name: c for path in files if path.is_file() for c in load_cases(path)}
        for path in sorted((folder / "golden").glob("*@*.json")):
            case, _, version = path.stem.rpartition("@")
            yield pytest.param(cases[case], version, id=path.stem)


@pytest.mark.parametrize(("case", "version"), list(later()))
def test_later_values_are_kept_because_they_differ(case, version, monkeypatch):
    monkeypatch.syspath_prepend(str(CHECKOUT / "reference"))
    from golden_versions import differences

    own = golden_since(case, version)
    assert own["made_by"]["lme4"] == version
    major, minor, patch = (int(part) for part in version.split("."))
    before = (
        f"{major}.{minor}.{patch - 1}" if patch else f"{major}.{minor - 1}.99" if minor else "1.99"
    )
    held = golden_since(case, before) or golden(case)
    assert held["made_by"]["lme4"] != version
    assert differences(held, own)
    sys.modules.pop("golden_versions")


@pytest.fixture
def dyestuff(tmp_path):
    """A suite with values of 1.1-31, others since 1.1-37 and again others since 2.1-0."""
    (tmp_path / "mine.toml").write_text(
        '[[case]]\nname = "dye"\ndata = "Dyestuff"\nformula = "Yield ~ 1 + (1 | Batch)"\n'
    )
    (tmp_path / "golden").mkdir()
    source = REFERENCE / "golden" / "Dyestuff.json"
    shutil.copy(source, tmp_path / "golden" / "dye.json")
    for version, beta in (("1.1.37", 1500.0), ("2.1.0", 1400.0)):
        record = json.loads(source.read_text())
        record["made_by"]["lme4"] = version
        record["default"]["beta"] = record["polished"]["beta"] = beta
        (tmp_path / "golden" / f"dye@{version}.json").write_text(json.dumps(record))
    return load_cases(tmp_path / "mine.toml")[0]


@pytest.mark.parametrize(
    ("version", "made_by"),
    [
        ("1.1.31", "1.1.31"),
        ("1.1-35.5", "1.1.31"),
        ("1.1-37", "1.1.37"),
        ("2.0.1", "1.1.37"),
        ("2.1.0", "2.1.0"),
        ("2.10.0", "2.1.0"),
        ("", "1.1.31"),
    ],
)
def test_values_hold_until_a_later_version_has_its_own(dyestuff, version, made_by):
    record = golden_since(dyestuff, version) or golden(dyestuff)
    assert record["made_by"]["lme4"] == made_by


def test_values_of_another_model_hold_for_none(dyestuff):
    assert golden_since(replace(dyestuff, REML=False), "2.1.0") is None
    assert golden_since(replace(dyestuff, name="dy"), "2.1.0") is None


@pytest.mark.r
def test_lme4_is_held_to_the_values_of_its_version(dyestuff, monkeypatch):
    monkeypatch.setattr(suite, "status_of", lambda name: Status(True, version="1.1.31"))
    assert run_case(dyestuff, ["lme4"]).outcomes[0].verdict.kind == "agree"
    monkeypatch.setattr(suite, "status_of", lambda name: Status(True, version="1.1.37"))
    outcome = run_case(dyestuff, ["lme4"]).outcomes[0]
    assert outcome.verdict.kind not in ("agree", "reference")
    assert outcome.notes[0].startswith(
        "drift: lme4 1.1.37 here against golden values of lme4 1.1.37"
    )


def test_engines_alone_are_held_to_the_first_values(dyestuff):
    assert run_case(dyestuff, ["native"]).outcomes[0].verdict.kind == "agree"
