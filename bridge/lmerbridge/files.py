"""Where the data files are: in the wheel, in the checkout that an editable install points to, or in
the distribution ``lmerbridge-further``.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

from lmerbridge.errors import DataError, MissingPackageError

__all__ = ["FURTHER", "data_folder", "data_folders", "further_cases"]

_PACKAGE = Path(__file__).resolve().parent
_FURTHER = "lmerbridge_further"  # the import package of distributions/further
FURTHER = (
    "in lmerbridge-further, which is not installed: "
    "pip install lmerbridge-further (or 'lmerbridge[scorecard]')"
)


def _roots() -> Iterator[Path]:
    """Folders with ``datasets`` or ``reference`` in them."""
    yield _PACKAGE / "_data"
    yield _PACKAGE.parents[1]
    spec = importlib.util.find_spec(_FURTHER)
    if spec is not None and spec.origin is not None:
        yield Path(spec.origin).parent


def data_folders(name: str) -> list[Path]:
    """The folders ``datasets`` or ``reference`` that there are."""
    return [root / name for root in _roots() if (root / name).is_dir()]


def data_folder(name: str) -> Path:
    """The folder ``datasets`` or ``reference``.

    Raises
    ------
    DataError
        It is in no place: the installation is broken.
    """
    for folder in data_folders(name):
        return folder
    raise DataError(f"the folder {name!r} of this package is missing: reinstall lmerbridge")


def further_cases() -> Path:
    """The file of further models, those of R packages, with their data beside it.

    Raises
    ------
    MissingPackageError
        ``lmerbridge-further`` is not installed, and this is no checkout.
    """
    for root in _roots():
        path = root / "reference" / "further" / "cases.toml"
        if path.is_file():
            return path
    raise MissingPackageError(f"the models of the scorecard are {FURTHER}")
