"""Each data file names its licence, and the package's metadata name each licence."""

import re
import tomllib

import pytest

from checkout import CHECKOUT as HERE
from checkout import loaded

SCRIPT = HERE / "scripts" / "data_licences.py"
FURTHER = HERE / "distributions" / "further"
pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason="run from an installed wheel")


def rows(page):
    """By file its licence and what else the page says of it."""
    text = page.read_text("utf-8")
    found = re.findall(r"(?m)^\| (\S+\.csv\S*) \| ([^|]+) \| (.*) \|$", text)
    return {file: (licence, rest) for file, licence, rest in found}


def licences(files):
    return {name for licence, _ in files.values() for name in licence.split(" OR ")}


def test_the_pages_are_as_made():
    for path, text in loaded("data_licences").pages().items():
        assert path.read_text("utf-8") == text


@pytest.mark.parametrize("folder", [HERE, FURTHER], ids=["lmerbridge", "further"])
def test_metadata_and_texts_name_every_licence(folder):
    files = rows(folder / "LICENSES" / "DATA.md")
    assert len(files) > 60
    project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
    declared = set(re.findall(r"[\w.-]+", project["license"])) - {"AND", "OR"}
    assert declared == licences(files) | {"MIT"}
    for name in declared:
        text = (folder / "LICENSES" / f"{name}.txt").read_text("utf-8")
        assert len(text) > 1000
        assert text == (HERE / "LICENSES" / f"{name}.txt").read_text("utf-8")


def test_the_wheel_holds_what_the_page_says_and_needs_each_licence_that_is_declared():
    pytest.importorskip("hatchling")
    script = loaded("wheel_data")
    found = [path for pattern in (*script.FILES, *script.DATASETS) for path in HERE.glob(pattern)]
    held = {path.relative_to(HERE).as_posix() for path in found}
    files = rows(HERE / "LICENSES" / "DATA.md")
    said = {f: value for f, value in files.items() if re.search(r"\| lmerbridge(,|$)", value[1])}
    assert {file for file in held if file.endswith(".csv")} == set(said)
    assert licences(said) == licences(files)


def test_the_further_wheel_holds_what_its_page_says():
    held = {
        p.relative_to(HERE).as_posix()
        for pattern in ("reference/further/data/*.csv", "datasets/clark*.csv.gz")
        for p in HERE.glob(pattern)
    }
    assert held == set(rows(FURTHER / "LICENSES" / "DATA.md"))
    project = tomllib.loads((FURTHER / "pyproject.toml").read_text("utf-8"))
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert included.pop("../../reference/further") == "lmerbridge_further/reference/further"
    assert {file: f"../../{file.partition('/')[2]}" for file in included.values()} == {
        file: path for path, file in included.items()
    }
    assert {f"../../{f}" for f in held if f.startswith("datasets/")} == set(included)
