"""What the caller calls an object: R shows the text of arguments, Python has variables' names."""

from __future__ import annotations

import sys
from typing import Any

from lmerbridge.arguments import frames

__all__ = ["caller_name"]


def caller_name(value: Any, depth: int) -> str | None:
    """The variable that holds ``value``, ``depth`` calls up; ``None`` if there is none."""
    caller = sys._getframe(frames(depth + 1) - 1)
    for scope in (caller.f_locals, caller.f_globals):
        for name, held in scope.items():
            if held is value and not name.startswith("_"):
                return name
    return None
