"""Compact letter displays: means that share a letter are not significantly different.

Piepho (2004, J. Comput. Graph. Stat. 13, 456-466): start with one letter for all; for each
significant difference every letter that both means have is split into two (insert); a letter whose
means all share another is dropped (absorb).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from lmerbridge.errors import ArgumentError, DataError
from lmerbridge.inference.contrasts import contrast_grid
from lmerbridge.inference.linear_functions import Grid
from lmerbridge.inference.options import with_options

__all__ = ["SYMBOLS", "Letters", "explanation", "letter_sets", "letters"]

Flags: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]

SYMBOLS = "1234567890ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Letters:
    """A display of letters.

    Attributes
    ----------
    grid : Grid
        The means in the order in which they are shown.
    groups : tuple of str
        Per mean its letters, each in its own place.
    header : str
    pairs : Grid
        The comparisons that the letters are of.
    """

    grid: Grid
    groups: tuple[str, ...]
    header: str
    pairs: Grid


def letter_sets(different: Flags) -> Flags:
    """Sets of means that are not different.

    Parameters
    ----------
    different : array of bool (k, k)
        Symmetric; which pairs are.

    Returns
    -------
    array of bool (k, sets)
        As few members of sets as insert and absorb leave: two means are in one set if and only if
        they are not different. Ordered by their first members.
    """
    k = len(different)
    sets = [frozenset(range(k))]
    for i, j in zip(*np.nonzero(np.triu(different, 1)), strict=True):
        split = [s for s in sets if i in s and j in s]
        rest = [s for s in sets if not (i in s and j in s)]
        found = rest + [s - {int(i)} for s in split] + [s - {int(j)} for s in split]
        unique = list(dict.fromkeys(found))
        sets = [s for s in unique if not any(s < other for other in unique)]
    ordered = sorted(sets, key=sorted)
    table = np.zeros((k, len(ordered)), dtype=bool)
    for column, members in enumerate(ordered):
        table[list(members), column] = True
    return table


def letters(
    grid: Grid,
    alpha: float = 0.05,
    symbols: str = SYMBOLS,
    sort: bool = True,
    reversed: bool = False,
    adjust: str | None = None,
    delta: float = 0.0,
    signif_sets: bool = False,
) -> Letters:
    """Make the letters of each family of means.

    Parameters
    ----------
    grid : Grid
        The means or contrasts.
    alpha : float
        Two means differ if their adjusted p-value is below.
    symbols : str
    sort : bool
        Whether means are ordered by their estimates; ``reversed``: downwards.
    reversed : bool
        Whether they are ordered downwards.
    adjust : str, optional
        Of the pairwise comparisons; default ``tukey``.
    delta : float
        If positive: means share a letter if they are found equivalent within it.
    signif_sets : bool
        Whether means share a letter if they are found different instead.

    Raises
    ------
    ArgumentError
        ``alpha`` is not between 0 and 1.
    DataError
        These are contrasts, no means; or there are more letters than symbols.
    """
    if not 0 < alpha < 1:
        raise ArgumentError(f"alpha must be between 0 and 1, not {alpha}")
    if grid.contrast:
        raise DataError("letters are for means, and these are contrasts")
    pairs = with_options(contrast_grid(grid, "pairwise", adjust=adjust), delta=delta)
    _, p = pairs.tests()
    estimates = grid.numbers[0]
    order: list[int] = []
    texts: list[str] = []
    for rows, own in zip(grid.families(), pairs.families(), strict=True):
        k = len(rows)
        below = np.zeros((k, k), dtype=bool)
        if k > 1:
            upper = np.triu_indices(k, 1)
            known = np.nan_to_num(p[own], nan=1.0) < alpha
            below[upper] = known
            below |= below.T
        place = np.arange(k)
        if sort:
            key = np.where(np.isnan(estimates[rows]), np.inf, estimates[rows])
            place = np.argsort(-key if reversed else key, kind="stable")
        apart = ~below & ~np.eye(k, dtype=bool) if delta > 0 or signif_sets else below
        sets = letter_sets(apart[np.ix_(place, place)])
        if reversed and not sort:
            sets = sets[:, ::-1]
        if sets.shape[1] > len(symbols):
            raise DataError(f"{sets.shape[1]} groups need as many symbols; there are {symbols!r}")
        order += rows[place].tolist()
        used = symbols[: sets.shape[1]]
        texts += ["".join(s if m else " " for s, m in zip(used, row, strict=True)) for row in sets]
    width = max(len(text) for text in texts)
    header = ".equiv.set" if delta > 0 else ".signif.set" if signif_sets else ".group"
    sorted_grid = replace(
        grid,
        labels=grid.labels.iloc[order].reset_index(drop=True),
        L=grid.L[order],
        offset=grid.offset[order],
        beyond=grid.beyond[order],
    )
    return Letters(sorted_grid, tuple(f" {t.ljust(width)}" for t in texts), header, pairs)


def explanation(made: Letters, alpha: float) -> Sequence[str]:
    """What emmeans says below such a display."""
    lines = [f"significance level used: alpha = {alpha:g} "]
    if made.header == ".group":
        return [
            *lines,
            "NOTE: If two or more means share the same grouping symbol,",
            "      then we cannot show them to be significantly different.",
            "      But we also did not show them to be the same. ",
        ]
    found = "equivalent" if made.header == ".equiv.set" else "significantly different"
    return [*lines, f"Estimates sharing the same symbol test as {found} "]
