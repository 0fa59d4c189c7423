"""Interaction contrasts, which are contrasts of contrasts, and simple contrasts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from lmerbridge.arguments import listed_names, several
from lmerbridge.errors import DataError, near_match
from lmerbridge.inference.adjust import adjustment_name
from lmerbridge.inference.contrast_methods import Family, parenthesized
from lmerbridge.inference.contrasts import (
    KEEP,
    FamilyContrasts,
    assembled,
    family_of,
    text_of,
    with_by,
    within_nests,
)
from lmerbridge.inference.linear_functions import Grid

__all__ = ["interaction_grid", "simple_sets"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Rows: TypeAlias = np.ndarray[Any, np.dtype[np.intp]]


def _assigned(interaction: Any, factors: Sequence[str], method: Any) -> list[tuple[str, Any]]:
    """A method for each factor: those named first, the others in order, again from the start
    where there are too few.
    """
    given: list[tuple[str | None, Any]]
    if interaction is True:
        given = [(None, method)]
    elif isinstance(interaction, str):
        given = [(None, interaction)]
    elif isinstance(interaction, Mapping):
        unknown = [name for name in interaction if name not in factors]
        if unknown:
            raise DataError(
                f"interaction: {unknown[0]!r} is none of the factors {', '.join(factors)}"
                f"{near_match(str(unknown[0]), factors)}"
            )
        given = list(interaction.items())
    else:
        given = [(None, one) for one in several(interaction, "interaction")]
    if not given:
        raise DataError("interaction needs a method, or one for each factor")
    count = max(len(factors), len(given))
    given = [given[i] if i < len(given) else (None, given[i % len(given)][1]) for i in range(count)]
    named = {name for name, _ in given if name is not None}
    others = [f for f in factors if f not in named]
    found: list[tuple[str, Any]] = []
    for name, one in given:
        if name is not None:
            found.append((name, one))
        elif others:
            found.append((others.pop(0), one))
    return found


def interaction_grid(
    grid: Grid,
    interaction: Any,
    method: Any = "eff",
    by: Any = KEEP,
    adjust: str | None = None,
    *,
    options: Mapping[str, Any] | None = None,
    ratios: bool = True,
    parens: bool = True,
) -> Grid:
    """Contrasts of contrasts: products of the contrasts of each factor that is not in ``by``.

    Parameters
    ----------
    grid : Grid
        The means or contrasts.
    interaction : True, str, sequence or mapping
        A method for each factor, in order or by name; True: ``method`` for all.
    method, by, adjust, options, ratios, parens
        As of :func:`lmerbridge.inference.contrasts.contrast_grid`; ``parens``: whether labels with
        ``+ - * /`` get parentheses.

    Raises
    ------
    DataError
        If the rows are not all combinations of the factors' levels.
    """
    if by is not KEEP:
        grid = with_by(grid, by)
    grid = within_nests(grid)
    factors = [str(c) for c in grid.labels if c not in grid.by]
    if not factors:
        raise DataError(f"by: no factor is left to compare beside {', '.join(grid.by)}")
    assigned = _assigned(interaction, factors, method)
    order = [factor for factor, _ in assigned]
    columns = [_column(factor, how) for factor, how in assigned]
    parts, tables = [], []
    for rows in grid.families():
        levels: dict[str, list[Any]] = {}
        made: dict[str, Family] = {}
        for factor, how in assigned:
            levels[factor] = list(dict.fromkeys(grid.labels[factor].iloc[rows].tolist()))
            plain = [text_of(v) for v in levels[factor]]
            shown = [parenthesized(t) if parens else t for t in plain]
            made[factor] = family_of(how, shown, plain, options or {})
        C = _product(grid, rows, order, levels, made)
        table = pd.MultiIndex.from_product([made[f].labels for f in reversed(order)]).to_frame(
            index=False
        )
        table = table[table.columns[::-1]]  # the first varies fastest
        table.columns = pd.Index(columns)
        if not len(C):
            table = pd.DataFrame({c: ["(nothing)"] for c in columns})
        alone = made[order[0]].pairs if len(order) == 1 else False
        family = Family(C, ("",) * len(C), "none", len(levels[order[0]]), pairs=alone)
        parts.append(FamilyContrasts(rows, family, C))
        tables.append(table)
    found = assembled(
        grid, parts, "", None, ratios, "none" if adjust is None else adjustment_name(adjust)
    )
    names = pd.concat(tables, ignore_index=True)
    return replace(
        found,
        labels=pd.concat([names, found.labels.drop(columns=[""])], axis=1),
        contrast_columns=tuple(columns),
        still=found.still if len(order) == 1 else "",  # emmeans' last step knows of no scale
    )


def _column(factor: str, method: Any) -> str:
    return f"{factor}_{method if isinstance(method, str) else 'custom'}"


def _product(
    grid: Grid,
    rows: Rows,
    order: Sequence[str],
    levels: Mapping[str, list[Any]],
    made: Mapping[str, Family],
) -> Array:
    """Coefficients of the family's rows: the Kronecker product of those of its factors."""
    codes = [[levels[f].index(v) for v in grid.labels[f].iloc[rows].tolist()] for f in order]
    shape = tuple(len(levels[f]) for f in order)
    cells = np.atleast_1d(np.ravel_multi_index(tuple(np.array(codes)), shape, order="F"))
    if len(rows) != np.prod(shape) or len(np.unique(cells)) != len(rows):
        raise DataError(
            "interaction contrasts need all combinations of the levels of "
            f"{', '.join(order)}; some are missing here"
        )
    product: Array = np.ones((1, 1))
    for factor in order:  # the first varies fastest
        product = np.asarray(np.kron(made[factor].rows, product), dtype=np.float64)
    return product[:, cells]


def simple_sets(grid: Grid, simple: Any) -> list[tuple[str, tuple[str, ...]]] | tuple[str, ...]:
    """What simple contrasts condition on.

    Parameters
    ----------
    grid : Grid
        The means or contrasts.
    simple : str, tuple of str, or list
        A factor or several, to be contrasted within each combination of the others; a list:
        each of its elements in turn; ``"each"``: each factor in turn.

    Returns
    -------
    tuple of str, or list of (str, tuple of str)
        The columns of ``by``, or for each element its heading and these.
    """
    columns = [str(c) for c in grid.labels]

    def rest(wanted: Any) -> tuple[str, ...]:
        names = listed_names(wanted, "simple")
        unknown = [n for n in names if n not in columns]
        if unknown:
            raise DataError(
                f"simple: {unknown[0]!r} is none of {', '.join(columns)}"
                f"{near_match(str(unknown[0]), columns)}"
            )
        return tuple(c for c in columns if c not in names)

    if isinstance(simple, str) and simple == "each" and "each" not in columns:
        simple = columns
    if isinstance(simple, list):
        parts = [listed_names(one, "simple") for one in simple]
        return [(f"simple contrasts for {'*'.join(one)}", rest(one)) for one in parts]
    return rest(simple)
