"""How a result is shown: by its text in a session, and as the same text in a notebook."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Text", "named_list", "shown", "text_html", "titled_table"]

Shown = TypeVar("Shown", bound=type[Any])
V = TypeVar("V")
MOST_ROWS = 12
# Jupyter's style sheet gives the font of running text to what is preformatted inside HTML, in
# which no column stands under its head: hence a font of our own.
PREFORMATTED = (
    "font-family:Menlo,Consolas,'DejaVu Sans Mono',monospace;"
    "font-size:0.9em;line-height:1.25;overflow-x:auto;white-space:pre"
)


def text_html(text: str) -> str:
    """Return text as HTML that keeps its lines and columns, with R's line width."""
    return f'<pre style="{PREFORMATTED}">{escape(text)}</pre>'


def shown(cls: Shown) -> Shown:
    """Let a class that has ``__str__`` be shown by it, in a session and in a notebook."""
    for name, method in (("__repr__", _text), ("_repr_html_", _html)):
        setattr(cls, name, method)
    return cls


def _text(self: object) -> str:
    return str(self)


def _html(self: object) -> str:
    return text_html(str(self))


def titled_table(title: str, table: pd.DataFrame, more: str = "table()") -> str:
    """Return a title and the first rows of a table, all its columns; ``more`` says where the rest
    is.
    """
    lines = [title, "", table.head(MOST_ROWS).to_string(float_format="{:.5g}".format)]
    if len(table) > MOST_ROWS:
        lines.append(f"... {len(table) - MOST_ROWS} more rows: {more}")
    return "\n".join(lines)


@shown
class Text(str):
    """A text of several lines that a session and a notebook show as it is printed."""

    __slots__ = ()


@shown
class _NamedList(dict[str, V]):
    def __str__(self) -> str:
        return "\n\n".join(f"${name}\n{value}" for name, value in self.items())


def named_list(values: dict[str, V]) -> dict[str, V]:
    """Return a dictionary that is shown as R shows a named list: names, and values below them."""
    return _NamedList(values)
