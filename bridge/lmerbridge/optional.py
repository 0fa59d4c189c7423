"""Packages that only a part of lmerbridge needs: the extras of ``pip install``."""

from __future__ import annotations

import importlib
import importlib.util

from lmerbridge.errors import MissingPackageError

__all__ = ["is_there", "needed"]


def is_there(module: str) -> bool:
    """Say whether a module can be found, without importing it."""
    return importlib.util.find_spec(module) is not None


def needed(module: str, extra: str, purpose: str) -> None:
    """Import a package of an extra, or say how to install it.

    To be called before the ``import`` statement of the part that needs it, which then cannot fail.

    Parameters
    ----------
    module : str
        As it is imported: ``"great_tables"``.
    extra : str
        The extra of ``pyproject.toml`` that has it.
    purpose : str
        What needs it, for the message: ``"the HTML report"``.

    Raises
    ------
    MissingPackageError
        It is not installed, or cannot be imported.
    """
    try:
        importlib.import_module(module)
    except ImportError as error:
        absent = isinstance(error, ModuleNotFoundError) and error.name == module
        problem = "is not installed" if absent else f"cannot be imported ({error})"
        raise MissingPackageError(
            f"{purpose} needs {module.replace('_', '-')}, which {problem}: "
            f"pip install 'lmerbridge[{extra}]' (or 'lmerbridge[all]' for everything)"
        ) from error
