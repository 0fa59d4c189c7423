"""Parameters that share a line of a docstring (``at, type, weights``) have each its own type and
default on the site's API page; mkdocstrings would show the first one's for all.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

__all__ = ["OwnDefaults"]

SECTION = re.compile(r"(^Parameters\n-+\n)(.*?)(?=^\w[\w ]*\n-{3,}$|\Z)", re.M | re.S)
SHARED = re.compile(r"^(?P<names>\*{0,2}\w+(?:, \*{0,2}\w+)+)(?P<type> : .*)?\n", re.M)


def apart(text: str) -> str:
    """A docstring in which each parameter has an entry of its own, with what is said of all."""

    def section(found: re.Match[str]) -> str:
        head, body = found.groups()
        entries = re.split(r"(?m)^(?=\S)", body)
        return head + "".join(entry for each in entries for entry in _entries(each))

    return SECTION.sub(section, text)


def _entries(entry: str) -> list[str]:
    found = SHARED.match(entry)
    if found is None:
        return [entry]
    said = entry[found.end() :]
    return [f"{name}{found['type'] or ''}\n{said}" for name in found["names"].split(", ")]


class OwnDefaults(griffe.Extension):
    """Write every function's docstring so."""

    def on_function_instance(self, *, func: griffe.Function, **kwargs: Any) -> None:
        """Change the text before it is parsed."""
        if func.docstring is not None:
            func.docstring.value = apart(func.docstring.value)
