"""What the caller calls an object: R shows the text of arguments, Python has variables' names."""

from __future__ import annotations

import sys
from typing import Any

from lmerbridge.messages import from_outside

__all__ = ["caller_name", "data_name"]


def caller_name(value: Any) -> str | None:
    """Return the variable that holds ``value`` where this package was called; ``None`` if there is
    none.
    """
    caller = sys._getframe(from_outside() - 1)
    for scope in (caller.f_locals, caller.f_globals):
        for name, held in scope.items():
            if held is value and not name.startswith("_"):
                return name
    return None


def data_name(data: Any) -> str:
    """Return what R would print after ``Data:``: the name that the caller's variable has.

    A name in ``data.attrs["name"]`` wins (data sets of this package have one).
    """
    attributes = getattr(data, "attrs", None)
    if isinstance(attributes, dict) and isinstance(attributes.get("name"), str):
        return str(attributes["name"])
    return caller_name(data) or "data"
