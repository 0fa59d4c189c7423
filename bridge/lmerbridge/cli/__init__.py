"""The command line."""

from __future__ import annotations

import sys

from lmerbridge.errors import MissingPackageError
from lmerbridge.optional import needed

__all__ = ["main"]


def main() -> None:
    """Run ``lmerbridge``; without the packages of its extra, say so in one line."""
    try:
        for package in ("typer", "rich"):
            needed(package, "cli", "the command line")
    except MissingPackageError as error:
        sys.stderr.write(f"lmerbridge: {error}\n")
        sys.exit(2)
    from lmerbridge.cli.app import main as run

    run()
