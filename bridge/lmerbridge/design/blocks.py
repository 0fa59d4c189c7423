"""The random-effects terms of a model on its data."""

from __future__ import annotations

from dataclasses import dataclass

from lmerbridge.covariance import PLAIN, Structure
from lmerbridge.design.columns import Array
from lmerbridge.equality import by_value

__all__ = ["RandomBlock"]


@by_value
@dataclass(frozen=True, eq=False)
class RandomBlock:
    """One random-effects term on data.

    Attributes
    ----------
    label : str
        lme4's label in tables: ``Subject``, ``Subject.1`` for a second term on the factor.
    group : str
        The grouping factor: ``Subject``, ``cask:batch``.
    text : str
        ``1 + Days | Subject``.
    names : tuple of str
        Names of the k columns.
    columns : array (n, k)
    codes : array of int (n,)
        Per row the index of its level.
    levels : tuple of str
    structure : Structure
        Of the covariance matrix of a level's effects.
    """

    label: str
    group: str
    text: str
    names: tuple[str, ...]
    columns: Array
    codes: Array
    levels: tuple[str, ...]
    structure: Structure = PLAIN
