"""A bar that shows how far long work is: on a terminal, or in a notebook's cell."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from html import escape
from typing import Any

from lmerbridge.optional import is_there

__all__ = ["progress_bar"]

Tell = Callable[[int, int], None]
PAUSE = 0.1  # seconds between two pictures of a bar in a notebook


@contextmanager
def progress_bar(title: str, show: bool) -> Iterator[Tell | None]:
    """A bar on standard error, in a notebook in the cell's output, or nothing; a line of text
    where rich is missing.
    """
    if not show:
        yield None
    elif _in_notebook():
        yield from _cell_bar(title)
    elif not is_there("rich"):
        yield lambda done, total: _tell(f"{title}: {done} of {total}")
        _tell("")
    else:
        yield from _terminal_bar(title)


def _terminal_bar(title: str) -> Iterator[Tell]:
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


def _in_notebook() -> bool:
    """Whether a kernel runs this, whose front end shows HTML and takes its updates."""
    ipython: Any = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


@dataclass(frozen=True)
class CellBar:
    """How far work is, as a notebook shows it."""

    title: str
    done: int = 0
    total: int = 0
    seconds: float = 0.0

    def __repr__(self) -> str:
        if not self.total:
            return f"{self.title}: begun"
        return f"{self.title}: {self.done} of {self.total}, {self.seconds:.1f} s"

    def _repr_html_(self) -> str:
        known = f'value="{self.done}" max="{self.total}"' if self.total else ""
        return (
            f'<div><progress {known} style="width:20em;vertical-align:middle"></progress> '
            f"{escape(repr(self))}</div>"
        )


def _cell_bar(title: str) -> Iterator[Tell]:
    """By IPython alone: what rich draws in a notebook needs ipywidgets, and without them it warns
    and shows nothing.
    """
    display: Any = importlib.import_module("IPython.display").display
    start = drawn = time.perf_counter()
    last = CellBar(title)
    handle = display(last, display_id=True)

    def tell(done: int, total: int) -> None:
        nonlocal drawn, last
        now = time.perf_counter()
        last = CellBar(title, done, total, now - start)
        if now - drawn >= PAUSE:
            handle.update(last)
            drawn = now

    try:
        yield tell
        last = replace(last, done=last.total, seconds=time.perf_counter() - start)
    finally:  # the last count stays, also of work that was interrupted
        handle.update(last)
