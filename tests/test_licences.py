"""Each data file names its licence, and the package's metadata name each licence."""

import importlib.util
import re
import tomllib
from pathlib import Path

import pytest

HERE = Path(__file__).parent.parent
SCRIPT = HERE / "scripts" / "data_licences.py"
pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason="run from an installed wheel")


def test_metadata_and_texts_name_every_licence():
    spec = importlib.util.spec_from_file_location("data_licences", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    page = (HERE / "LICENSES" / "DATA.md").read_text("utf-8")
    assert page == script.text()
    rows = re.findall(r"(?m)^\| (\S+\.csv\S*) \| ([^|]+) \|", page)
    assert len(rows) > 80
    named = {name for _, licence in rows for name in licence.strip().split(" OR ")}
    project = tomllib.loads((HERE / "pyproject.toml").read_text("utf-8"))["project"]
    assert named <= set(re.findall(r"[\w.-]+", project["license"]))
    for name in named:
        assert len((HERE / "LICENSES" / f"{name}.txt").read_text("utf-8")) > 1000
