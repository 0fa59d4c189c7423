"""Every output that the README and the pages of docs/ show is what their code prints."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lmerbridge as lb
from checkout import loaded

HERE = Path(__file__).parent.parent
README, DOCS = HERE / "README.md", HERE / "docs"
# docs/engines.md has an engine, which test_engine_contract.py tries
PAGES = [README, *sorted(p for p in DOCS.glob("*.md") if p.name != "engines.md")]
SHOWN = [p for p in PAGES if p.exists() and "```python" in p.read_text("utf-8")]


@pytest.mark.parametrize("page", SHOWN, ids=lambda p: p.name)
@pytest.mark.r
def test_outputs_are_what_the_code_prints(page, monkeypatch):
    monkeypatch.setenv("LMERBRIDGE_DIALECT", "newest")
    assert loaded("page_code").differences(page.read_text("utf-8"), page.name) == ""


@pytest.mark.skipif(not README.exists(), reason="run from an installed wheel")
def test_a_page_that_is_not_true_is_found():
    differences = loaded("page_code").differences
    page = "```python\nprint(1 + 1)\nx = 2\n```\n\n```text\n2\n```\n"
    assert differences(page, "p") == ""
    assert differences(page + "```python\nprint(x)\n```\n", "p").endswith("\n+2")
    assert "-3\n+2" in differences(page.replace("\n2\n", "\n3\n"), "p")


@pytest.mark.skipif(not README.exists(), reason="run from an installed wheel")
def test_the_readme_is_short_and_some_pages_have_code():
    assert len(README.read_text("utf-8").splitlines()) <= 150
    assert len(SHOWN) >= 5


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    if not page.exists():
        pytest.skip("run from an installed wheel")
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\((?!https?://)([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), target
        if anchor:
            titles = re.findall(r"(?m)^#+ (.*)$", file.read_text("utf-8"))
            assert anchor in {re.sub(r"[^\w -]", "", t).lower().replace(" ", "-") for t in titles}


@pytest.mark.skipif(not README.exists(), reason="run from an installed wheel")
def test_every_method_of_the_table_exists():
    table = (DOCS / "for_r_users.md").read_text("utf-8")
    methods = set(re.findall(r"`m\.(\w+)\(", table)) | set(re.findall(r" m\.(\w+)\(", table))
    assert len(methods) > 20
    assert [name for name in methods if not callable(getattr(lb.Model, name, None))] == []


@pytest.mark.skipif(not README.exists(), reason="run from an installed wheel")
def test_the_example_of_continuous_integration_runs(tmp_path, monkeypatch):
    """Its own commands, on its own models file; what installs things is left out."""
    text = (DOCS / "check.md").read_text("utf-8")
    models = re.search(r"```toml\n(.*?)```", text, re.DOTALL)[1]
    workflow = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)[1]
    (tmp_path / "models.toml").write_text(models)
    folder = HERE / "reference" / "further" / "data"
    for kind in ("csv", "toml"):
        (tmp_path / f"oats.{kind}").write_bytes((folder / f"nlme-Oats.{kind}").read_bytes())
    commands = re.findall(r"- run: (.*)", workflow)
    own = [c for c in commands if not re.match(r"sudo apt-get |pip install ", c)]
    assert len(own) == 2
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "step.md"))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    for command in own:
        done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "report.xml").read_text().startswith("<?xml")
    assert "All is well" in (tmp_path / "report.html").read_text()
    assert "2 models, 5 fits:" in (tmp_path / "step.md").read_text()


@pytest.mark.skipif(not README.exists(), reason="run from an installed wheel")
def test_the_table_of_versions_is_that_of_the_file(tmp_path):
    spec = importlib.util.spec_from_file_location("tested_on", HERE / "scripts/tested_on.py")
    tested_on = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tested_on)
    text = README.read_text("utf-8")
    rows = tested_on.read(DOCS / "tested_on.csv")
    assert tested_on.with_table(text, rows) == text
    # a row replaces that of its suite, and lme4's versions are in order
    versions = "Python 3.13.5; R 4.5.0; lme4 1.1-37; lmerTest 3.1-3; glmmTMB 1.1.10"
    newer = versions.replace("1.1-37", "2.1-0")
    found = tested_on.with_row([], "sid", "both commands", newer)
    found = tested_on.with_row(found, "trixie", "both commands", versions)
    found = tested_on.with_row(found, "sid", "both commands, test with -m r", newer)
    assert [(r["Debian"], r["lme4"]) for r in found] == [("trixie", "1.1-37"), ("sid", "2.1-0")]
    lines = tested_on.table(found).splitlines()
    assert lines[0].startswith("| Debian | Python | R | lme4 |")
    assert lines[2].startswith("| trixie | 3.13.5 | 4.5.0 | 1.1-37 | 3.1-3 |  |")
    assert "| both commands, test with -m r |" in lines[3]
