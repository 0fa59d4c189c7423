"""What the wheel has packed is what the files say."""

import json
from dataclasses import replace

import pytest

from checkout import CHECKOUT, REFERENCE, loaded
from lmerbridge.crosscheck import golden, golden_since, load_cases

pytestmark = pytest.mark.skipif(
    not (CHECKOUT / "scripts" / "wheel_data.py").exists(), reason="run from an installed wheel"
)


def packed(folder, into):
    pytest.importorskip("hatchling")
    (into / "golden.xz").write_bytes(loaded("wheel_data").packed(folder / "golden"))


def test_golden_values(tmp_path):
    packed(REFERENCE, tmp_path)
    cases = load_cases(REFERENCE / "cases.toml")
    assert len(cases) > 30
    for case in cases:
        path = REFERENCE / "golden" / f"{case.name}.json"
        plain = json.loads(path.read_text("utf-8")) if path.is_file() else None
        assert golden(case) == plain
        short = golden(replace(case, folder=tmp_path))
        if plain is None or short is None:
            assert plain is short
            continue
        # fitted values to a thousandth of sigma, which is a fifth of what they are compared to;
        # modes to five digits; R's text, which tests of a checkout read, not at all
        plain.pop("text", None)
        for which in plain.keys() & {"default", "polished"}:
            whole, found = plain[which], short[which]
            near = pytest.approx(whole.pop("fitted", []), rel=0, abs=1e-3 * whole["sigma"])
            assert found.pop("fitted", []) == near
            for key in ("condval", "condsd"):
                modes = pytest.approx(whole["ranef"].pop(key), rel=1e-4)
                assert found["ranef"].pop(key) == modes
        assert short == plain


def test_golden_values_of_later_versions(tmp_path):
    case = next(c for c in load_cases(REFERENCE / "cases.toml") if c.name == "Dyestuff")
    record = json.loads((REFERENCE / "golden" / "Dyestuff.json").read_text("utf-8"))
    (tmp_path / "golden").mkdir()
    (tmp_path / "generalized.toml").write_text("model = []\n")
    for version in ("", "@1.1.35", "@2.0.1"):
        text = json.dumps({**record, "said": [version]}, indent=1)
        (tmp_path / "golden" / f"Dyestuff{version}.json").write_text(text)
    into = tmp_path / "wheel"
    into.mkdir()
    packed(tmp_path, into)
    for folder in (tmp_path, into):
        here = replace(case, folder=folder)
        assert golden(here)["said"] == [""]
        assert golden_since(here, "1.1.31") is None
        assert golden_since(here, "1.1.37")["said"] == ["@1.1.35"]
        assert golden_since(here, "2.1.0")["said"] == ["@2.0.1"]
