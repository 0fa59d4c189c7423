"""The code that a page of Markdown shows, and whether it prints what the page says."""

from __future__ import annotations

import contextlib
import difflib
import io
import re
from typing import Any

__all__ = ["differences"]

BLOCK = re.compile(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", re.DOTALL)


def differences(text: str, name: str) -> str:
    """Run the blocks of a page one after another; what they print otherwise than it shows.

    A block without an output below it is a difference too: nobody could see that it is true.
    """
    scope: dict[str, Any] = {}
    found = []
    for code, shown in BLOCK.findall(text):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(code, name, "exec"), scope)  # noqa: S102 - our own page
        lines = shown.splitlines(), out.getvalue().splitlines()
        found += difflib.unified_diff(*lines, "the page", "what its code prints", lineterm="")
    return "\n".join(found)
