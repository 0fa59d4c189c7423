"""Modules, and names of packages, that are imported when they are first asked for."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["LazyModule", "names_from"]


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


def names_from(package: str, files: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a package that imports its names from its files.

    Parameters
    ----------
    package : str
        Its full name.
    files : mapping of str to str
        By file the names that are there, with blanks between them.

    Raises
    ------
    AttributeError
        By that function: the package has no such name.
    """
    where = {name: file for file, names in files.items() for name in names.split()}

    def found(name: str) -> Any:
        if name not in where:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{package}.{where[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return found
