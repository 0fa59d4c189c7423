"""How a model was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lmerbridge.design.control import Control
from lmerbridge.design.notes import Note
from lmerbridge.equality import by_value

if TYPE_CHECKING:
    from lmerbridge.family import Family

__all__ = ["Asked"]


@by_value
@dataclass(frozen=True, eq=False)
class Asked:
    """What was asked for, how it is named in print, and what lme4's checks say of it.

    Attributes
    ----------
    data_name : str
        What R would print after ``Data:``.
    weights_name, offset_name, subset_name : str or None
        As R would print them.
    na_action : str
    control : Control
    notes : tuple of Note
        What lme4's checks say about this model.
    family : Family, optional
        Of a generalized model; ``None`` for a linear one.
    """

    data_name: str
    weights_name: str | None
    offset_name: str | None
    subset_name: str | None
    na_action: str
    control: Control
    notes: tuple[Note, ...]
    family: Family | None = None
