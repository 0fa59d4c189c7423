"""The command line."""

from lmerbridge.cli.app import main

__all__ = ["main"]
