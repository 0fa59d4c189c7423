"""A DataFrame that prints as R prints the table it holds, as long as it holds that."""

from __future__ import annotations

from typing import Any, ClassVar

import pandas as pd

from lmerbridge.shown import text_html, titled_table

__all__ = ["RTable", "WholeTable", "titled"]


class WholeTable(pd.DataFrame):
    """A DataFrame that prints all its columns, below each other where a line cannot hold them."""

    @property
    def _constructor(self) -> Any:
        return WholeTable

    def __repr__(self) -> str:
        with pd.option_context("display.max_columns", None):
            return super().__repr__()


class RTable(pd.DataFrame):
    """All digits as a DataFrame; ``print()`` shows R's text. What is made of it is a DataFrame, and
    so does a table print that was changed in place.

    Attributes
    ----------
    text : str
        R's text; of a changed table that of a DataFrame.
    notes : tuple of str
        What R would say in messages.
    """

    _metadata: ClassVar[list[str]] = ["_text", "_notes", "_made"]

    @classmethod
    def of(cls, table: pd.DataFrame, text: str, notes: tuple[str, ...] = ()) -> RTable:
        made = cls(table)
        own = {"_text": text, "_notes": notes, "_made": pd.DataFrame(table, copy=True)}
        for name, value in own.items():  # not as attributes, which pandas would warn of
            object.__setattr__(made, name, value)
        return made

    @property
    def _constructor(self) -> Any:
        return pd.DataFrame

    @property
    def text(self) -> str:
        made = getattr(self, "_made", None)
        if made is None or not pd.DataFrame(self).equals(made):
            return super().__repr__()
        return str(getattr(self, "_text", ""))

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(getattr(self, "_notes", ()))

    def __repr__(self) -> str:
        return self.text

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        if self.text == getattr(self, "_text", None):
            return text_html(self.text)
        return pd.DataFrame(self).to_html()


def titled(title: str, table: pd.DataFrame) -> RTable:
    """Return a table that prints with a title, its numbers to five digits."""
    return RTable.of(table, titled_table(title, table))
