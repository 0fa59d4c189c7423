"""A bar that shows how far long work is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lmerbridge.optional import is_there

__all__ = ["progress_bar"]


@contextmanager
def progress_bar(title: str, show: bool) -> Iterator[Callable[[int, int], None] | None]:
    """A bar on standard error, or nothing; without rich, a line of text."""
    if not show:
        yield None
        return
    if not is_there("rich"):
        yield lambda done, total: _tell(f"{title}: {done} of {total}")
        _tell("")
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _tell(text: str) -> None:
    """Write over the line, where standard error is a terminal."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()
