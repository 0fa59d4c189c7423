"""The command line."""

from __future__ import annotations

import sys

from lmerbridge._version import __version__
from lmerbridge.errors import MissingPackageError
from lmerbridge.optional import needed

__all__ = ["main"]


def main() -> None:
    """Run ``lmerbridge``; without the packages of its extra, say so in one line.

    The version is said before they are imported, which takes longer than all else together.
    """
    if sys.argv[1:] == ["--version"]:
        sys.stdout.write(f"{__version__}\n")
        return
    try:
        for package in ("typer", "rich"):
            needed(package, "cli", "the command line")
    except MissingPackageError as error:
        sys.stderr.write(f"lmerbridge: {error}\n")
        sys.exit(2)
    from lmerbridge.cli.app import main as run

    run()
