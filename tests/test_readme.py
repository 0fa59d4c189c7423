"""Every output that the README shows is what its code prints."""

import contextlib
import io
import re
from pathlib import Path

import pytest

import lmerbridge as lb

README = Path(__file__).parent.parent / "README.md"


def blocks():
    text = README.read_text("utf-8")
    return re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", text, re.DOTALL)


@pytest.mark.skipif(not README.exists(), reason="run from an installed wheel")
@pytest.mark.r
def test_outputs_are_what_the_code_prints():
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
