"""The random-effects terms of a model on its data."""

from __future__ import annotations

from dataclasses import dataclass

from lmerbridge.covariance import Structure
from lmerbridge.design.columns import Array
from lmerbridge.design.design import TermDesign
from lmerbridge.design.rows import TermRows
from lmerbridge.equality import by_value

__all__ = ["RandomBlock"]


@by_value
@dataclass(frozen=True, eq=False)
class RandomBlock:
    """One random-effects term on data: what it is and its rows, whose values are read here.

    Attributes
    ----------
    term : TermDesign
    rows : TermRows
    """

    term: TermDesign
    rows: TermRows

    @property
    def label(self) -> str:
        """lme4's label in tables: ``Subject``, ``Subject.1`` for a second term on the factor."""
        return self.term.label

    @property
    def group(self) -> str:
        """The grouping factor: ``Subject``, ``cask:batch``."""
        return self.term.group

    @property
    def text(self) -> str:
        """The term as it would be written: ``1 + Days | Subject``."""
        return self.term.text

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the k columns."""
        return self.term.names

    @property
    def levels(self) -> tuple[str, ...]:
        """Levels of the grouping factor."""
        return self.term.levels

    @property
    def structure(self) -> Structure:
        """The structure of the covariance matrix of a level's effects."""
        return self.term.structure

    @property
    def columns(self) -> Array:
        """The term's columns (n, k)."""
        return self.rows.columns

    @property
    def codes(self) -> Array:
        """Per row the index of its level (n,)."""
        return self.rows.codes
