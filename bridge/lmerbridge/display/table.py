"""A DataFrame that prints as R prints the table it holds."""

from __future__ import annotations

from typing import Any, ClassVar

import pandas as pd

__all__ = ["RTable"]


class RTable(pd.DataFrame):
    """All digits as a DataFrame; ``print()`` shows R's text. What is made of it is a DataFrame.

    Attributes
    ----------
    text : str
    notes : tuple of str
        What R would say in messages.
    """

    _metadata: ClassVar[list[str]] = ["_text", "_notes"]

    @classmethod
    def of(cls, table: pd.DataFrame, text: str, notes: tuple[str, ...] = ()) -> RTable:
        made = cls(table)
        made._text = text  # type: ignore[attr-defined]
        made._notes = notes  # type: ignore[attr-defined]
        return made

    @property
    def _constructor(self) -> Any:
        return pd.DataFrame

    @property
    def text(self) -> str:
        return str(getattr(self, "_text", ""))

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(getattr(self, "_notes", ()))

    def __repr__(self) -> str:
        return self.text

    def __str__(self) -> str:
        return self.text
