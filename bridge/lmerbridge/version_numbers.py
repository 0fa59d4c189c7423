"""Versions as numbers that can be compared; imports nothing of ours."""

from __future__ import annotations

import re

__all__ = ["version_number"]


def version_number(text: str) -> tuple[int, ...]:
    """The numbers in a text, which is a version in any form: ``"1.1-31"``, ``"R-4.2.2"``."""
    return tuple(int(part) for part in re.findall(r"\d+", text))
