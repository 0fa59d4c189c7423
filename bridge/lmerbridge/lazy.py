"""Modules that are imported when something of them is first asked for."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["LazyModule"]


class LazyModule:
    """Stands for a module until one of its names is used.

    ``lmer()`` needs a quarter of this package; what a fitted model can be asked for is the rest,
    and takes as long to import as a small fit a hundred times. Python's own ``LazyLoader`` is not
    safe where two threads ask at once.

    Parameters
    ----------
    name : str
        The module's full name.
    """

    def __init__(self, name: str):
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self._name), attribute)
