"""Tables of linear functions put together, and parts of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from lmerbridge.errors import ArgumentError, DataError
from lmerbridge.inference.adjust import adjustment_name
from lmerbridge.inference.contrasts import text_of
from lmerbridge.inference.linear_functions import Grid

__all__ = ["part_of", "stacked"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


def _columns(grid: Grid) -> list[str]:
    """The columns of ``by`` first."""
    return [*grid.by, *(str(c) for c in grid.labels if c not in grid.by)]


def stacked(grids: Sequence[Grid], adjust: str = "bonferroni") -> Grid:
    """One family of the rows of several tables of one model; a label that a table has not is
    ``.``.

    Raises
    ------
    DataError
        If they are of different models or scales.
    """
    first = grids[0]
    for other in grids[1:]:
        same = (
            other.L.shape[1] == first.L.shape[1]
            and np.array_equal(other.denominator.beta, first.denominator.beta)
            and np.array_equal(other.denominator.vcov, first.denominator.vcov)
            and other.denominator.name == first.denominator.name
        )
        if not same:
            raise DataError("only tables of one model and one method can be put together")
    by = dict.fromkeys(b for grid in grids for b in grid.by)
    rest = dict.fromkeys(c for grid in grids for c in _columns(grid) if c not in by)
    columns = [*by, *rest]
    tables = []
    for grid in grids:
        own = pd.DataFrame(
            {c: [text_of(v) for v in grid.labels[c]] if c in grid.labels else "." for c in columns},
            index=range(len(grid.L)),
        )
        tables.append(own)
    width = max(grid.beyond.shape[1] for grid in grids)
    beyond = [np.pad(g.beyond, ((0, 0), (0, width - g.beyond.shape[1]))) for g in grids]
    averaged = tuple(dict.fromkeys(name for grid in grids for name in grid.averaged))
    contrasts = dict.fromkeys(c for grid in grids for c in grid.contrast_columns)
    count = sum(len(grid.L) for grid in grids)
    links = {None if grid.link is None else grid.link.name for grid in grids}
    return replace(
        first,
        labels=pd.concat(tables, ignore_index=True),
        L=np.concatenate([grid.L for grid in grids]),
        offset=np.concatenate([grid.offset for grid in grids]),
        beyond=np.concatenate(beyond),
        by=(),
        adjust=adjustment_name(adjust),
        still=first.still if first.dialect.scale_of_bound else "",
        family=count,
        averaged=averaged,
        partly=True,
        kind="part",
        contrast_columns=tuple(contrasts),
        link=first.link if len(links) == 1 else None,
        response=first.response and len(links) == 1,
        coefficients=None,
        base=None,
    )


def part_of(grid: Grid, rows: Any) -> Grid:
    """Some rows as one family.

    Parameters
    ----------
    grid : Grid
        The means or contrasts.
    rows : int, slice, sequence of int or of bool
        Positions from 0, as everywhere in Python; or one truth value for each row.

    Raises
    ------
    DataError
        If there are no such rows.
    """
    count = len(grid.L)
    try:
        index = np.atleast_1d(np.arange(count)[rows if not isinstance(rows, tuple) else list(rows)])
    except (IndexError, TypeError, ValueError) as error:
        raise ArgumentError(
            f"rows must be positions from 0 to {count - 1}, a slice, or {count} truth values"
        ) from error
    if not len(index):
        raise DataError("no rows are left")
    labels = grid.labels.iloc[index].reset_index(drop=True)
    for column in labels.select_dtypes("category"):
        labels[column] = labels[column].cat.remove_unused_categories()
    return replace(
        grid,
        labels=labels,
        L=grid.L[index],
        offset=grid.offset[index],
        beyond=grid.beyond[index],
        by=(),
        family=len(index),
        kind="part",
        coefficients=None if grid.coefficients is None else grid.coefficients[index],
    )
