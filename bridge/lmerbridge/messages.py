"""Messages and warnings that are said of the line that called this package."""

from __future__ import annotations

import sys
import warnings

from lmerbridge.errors import FitMessage

__all__ = ["from_outside", "tell"]


def from_outside() -> int:
    """The ``stacklevel`` of the line that called this package, however many of its own lines are
    between.
    """
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and _is_ours(frame.f_globals.get("__name__")):
        frame = frame.f_back
        level += 1
    return level


def _is_ours(module: object) -> bool:
    return isinstance(module, str) and module.partition(".")[0] == __name__.partition(".")[0]


def tell(text: str) -> None:
    """Say what R says in a message, as a :class:`FitMessage` of the line that called this package.

    In a notebook the message alone is shown, as R shows it: the name of a cell's file, which
    Python would print before it, is a path of the kernel's and says nothing.
    """
    level = from_outside()
    if _is_cell(sys._getframe(level - 1).f_code.co_filename):
        warnings.warn_explicit(text, FitMessage, "lmerbridge", 1, module="lmerbridge")
    else:
        warnings.warn(text, FitMessage, stacklevel=level)


def _is_cell(file: str) -> bool:
    """Whether code of this file was typed into IPython: its kernel's files are named after it."""
    return "ipykernel" in file or file.startswith("<ipython-input")
