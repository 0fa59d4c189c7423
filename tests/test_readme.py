"""Every output that the README shows is what its code prints."""

import contextlib
import importlib.util
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lmerbridge as lb

README = Path(__file__).parent.parent / "README.md"


def blocks():
    text = README.read_text("utf-8")
    return re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", text, re.DOTALL)


@pytest.mark.skipif(not README.exists(), reason="run from an installed wheel")
@pytest.mark.r
def test_outputs_are_what_the_code_prints(monkeypatch):
    monkeypatch.setenv("LMERBRIDGE_DIALECT", "newest")
    found = blocks()
    assert len(found) == README.read_text("utf-8").count("```python") >= 3
    scope = {}
    for code, expected in found:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(code, "README.md", "exec"), scope)  # our own README
        assert out.getvalue() == expected


@pytest.mark.skipif(not README.exists(), reason="run from an installed wheel")
def test_every_method_of_the_table_exists():
    text = README.read_text("utf-8")
    table = text.split("## lme4 in R, the same here")[1].split("\n## ")[0]
    methods = set(re.findall(r"`m\.(\w+)\(", table)) | set(re.findall(r" m\.(\w+)\(", table))
    assert len(methods) > 20
    assert [name for name in methods if not callable(getattr(lb.Model, name, None))] == []


@pytest.mark.skipif(not README.exists(), reason="run from an installed wheel")
def test_the_example_of_continuous_integration_runs(tmp_path, monkeypatch):
    """Its own commands, on its own models file; what installs things is left out."""
    text = README.read_text("utf-8")
    models = re.search(r"```toml\n(.*?)```", text, re.DOTALL)[1]
    workflow = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)[1]
    (tmp_path / "models.toml").write_text(models)
    folder = README.parent / "reference" / "further" / "data"
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
    spec = importlib.util.spec_from_file_location(
        "tested_on", README.parent / "scripts/tested_on.py"
    )
    tested_on = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tested_on)
    text = README.read_text("utf-8")
    rows = tested_on.read(README.parent / "docs/tested_on.csv")
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
