"""Names that R is not asked to spell: its parser refuses some characters even in backticks, its
``deparse`` escapes others, and a few names mean something else. Such columns go to R under another
name, and the result has the names of the model frame.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

__all__ = ["aliases", "with_names"]

# words of letters that every R since 4.0 prints as they are; what else is named like an operator or
# a call is not always looked up as a column
_LETTER = "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u0370-\u03ff\u0400-\u052f"
_PLAIN = re.compile(rf"(?=.*[{_LETTER}])(?!\.data\Z)[{_LETTER}0-9_. ]+")


def aliases(names: Iterable[str]) -> dict[str, str]:
    """Other names for those of ``names`` that R may not take as they are."""
    every = tuple(names)
    prefix = "lmerbridge_"
    while any(name.startswith(prefix) for name in every):
        prefix += "_"
    hostile = [n for n in every if not _PLAIN.fullmatch(n)]
    return {name: f"{prefix}{i}" for i, name in enumerate(hostile, 1)}


def with_names(text: str, found: Mapping[str, str]) -> str:
    """What R says, with the user's names again."""
    for name, alias in reversed(list(found.items())):  # ..._12 before ..._1
        text = text.replace(alias, name)
    return text
