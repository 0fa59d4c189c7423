"""What a model is, without a row of its data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lmerbridge.covariance import PLAIN, Structure
from lmerbridge.design.contrasts import Contrast
from lmerbridge.equality import by_value
from lmerbridge.formula import Formula

__all__ = ["Design", "TermDesign"]


@dataclass(frozen=True)
class TermDesign:
    """What a random-effects term is; its rows are :class:`lmerbridge.design.rows.TermRows`.

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
    levels : tuple of str
    structure : Structure
        Of the covariance matrix of a level's effects.
    """

    label: str
    group: str
    text: str
    names: tuple[str, ...]
    levels: tuple[str, ...]
    structure: Structure = PLAIN


@by_value
@dataclass(frozen=True, eq=False)
class Design:
    """What the model is. Nothing in it has a value per row, but for what rank() remembers.

    Attributes
    ----------
    formula : Formula
    dot_columns : tuple of str
        The columns that ``.`` stands for in the formula.
    x_names, x_dropped : tuple of str
        The columns of X, and those that are linear combinations of others, which X lacks.
    x_assign : tuple of int
        Per column of X the number of its term in ``x_terms``, 0 for the intercept.
    x_terms : tuple of str
    random : tuple of TermDesign
        In lme4's order: by decreasing number of levels.
    contrasts : mapping of str to Contrast
        How the fixed part's factors are coded.
    asked_contrasts : mapping of str to Contrast
        Those that ``contrasts=`` named.
    memory : mapping
        What poly(), scale() and the like learned from the data; rank() the values themselves,
        sorted.
    """

    formula: Formula
    dot_columns: tuple[str, ...]
    x_names: tuple[str, ...]
    x_dropped: tuple[str, ...]
    x_assign: tuple[int, ...]
    x_terms: tuple[str, ...]
    random: tuple[TermDesign, ...]
    contrasts: Mapping[str, Contrast]
    asked_contrasts: Mapping[str, Contrast]
    memory: Mapping[str, Any]
