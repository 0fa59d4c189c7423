"""Where the data files are: in the wheel, or in the checkout that an editable install points to."""

from __future__ import annotations

from pathlib import Path

from lmerbridge.errors import DataError

__all__ = ["data_folder"]

_PACKAGE = Path(__file__).resolve().parent


def data_folder(name: str) -> Path:
    """The folder ``datasets`` or ``reference``.

    Raises
    ------
    DataError
        It is in neither place: the installation is broken.
    """
    for folder in (_PACKAGE / "_data" / name, _PACKAGE.parents[1] / name):
        if folder.is_dir():
            return folder
    raise DataError(f"the folder {name!r} of this package is missing: reinstall lmerbridge")
