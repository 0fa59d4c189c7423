"""Contrasts among linear functions of the fixed effects: emmeans' methods, or coefficients of one's
own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Final, TypeAlias

import numpy as np
import pandas as pd

from lmerbridge.arguments import numbers_of
from lmerbridge.equality import by_value
from lmerbridge.errors import ArgumentError, DataError, near_match
from lmerbridge.formula.syntax import format_number
from lmerbridge.inference.adjust import adjustment_name
from lmerbridge.inference.contrast_methods import METHODS, Family, named_family, parenthesized
from lmerbridge.inference.linear_functions import Grid
from lmerbridge.inference.links import LINKS, Link

__all__ = [
    "KEEP",
    "METHODS",
    "FamilyContrasts",
    "Keep",
    "Labels",
    "assembled",
    "contrast_grid",
    "family_of",
    "text_of",
    "with_by",
    "within_nests",
]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Rows: TypeAlias = np.ndarray[Any, np.dtype[np.intp]]


class Keep(Enum):
    """What an argument is where None means something: left as it was."""

    KEEP = "as it was"


KEEP: Final = Keep.KEEP
LOGARITHMS = ("log", "log2", "log10")


@dataclass(frozen=True)
class Labels:
    """How levels are named in contrasts.

    Attributes
    ----------
    enhance : bool or tuple of str
        Put the factor's name before its levels: of the factors named, or of those whose levels
        all are numbers.
    parens : bool
        Put parentheses around labels that hold ``+``, ``-``, ``*`` or ``/``.
    """

    enhance: bool | tuple[str, ...] = True
    parens: bool = True


PLAIN = Labels(enhance=False)


def with_by(grid: Grid, by: Any) -> Grid:
    """The grid with other families: ``by`` is a column, several, or None for one family of all."""
    columns = () if by is None else (by,) if isinstance(by, str) else tuple(by)
    wrong = [c for c in columns if c not in grid.labels]
    if wrong:
        known = [str(c) for c in grid.labels]
        raise DataError(
            f"by: there is no column {wrong[0]!r}{near_match(str(wrong[0]), known)}; "
            f"columns are {', '.join(known)}"
        )
    return replace(grid, by=columns)


def within_nests(grid: Grid) -> Grid:
    """The grid with families of one nest each: what a factor of ``by`` is nested in is there too.

    Raises
    ------
    DataError
        If that leaves nothing to compare.
    """
    above = [
        (factor, outer)
        for factor in grid.by
        for outer in grid.nesting.get(factor, ())
        if outer in grid.labels
    ]
    if above and set(grid.labels) <= {*grid.by, *(outer for _, outer in above)}:
        factor, outer = above[0]
        raise DataError(
            f"there are no levels left to compare: {factor} is nested in {outer}, so that {outer} "
            f"separates families as {factor} does; take {factor} out of by"
        )
    return with_by(grid, dict.fromkeys([*(o for _, o in above if o not in grid.by), *grid.by]))


# -- names of levels


def text_of(value: Any) -> str:
    """A label as R pastes it."""
    return value if isinstance(value, str) else format_number(float(value))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _known_factors(grid: Grid, how: Labels) -> None:
    """Refuse factors to be named in labels that the grid has not."""
    known = [str(c) for c in grid.labels]
    for name in how.enhance if isinstance(how.enhance, tuple) else ():
        if name not in known:
            raise DataError(
                f"enhance_levels: there is no factor {name!r}{near_match(name, known)}; "
                f"there are {', '.join(known)}"
            )


def _names(grid: Grid, rows: Rows, how: Labels) -> tuple[list[str], list[str]]:
    """The labels that name rows in contrasts, as they are shown and before parentheses."""
    columns = [c for c in grid.labels if c not in grid.by]
    texts = []
    for column in columns:
        level_texts = [text_of(v) for v in grid.labels[column].iloc[rows]]
        if how.enhance is True:
            enhanced = all(_is_number(text_of(v)) for v in grid.labels[column].unique())
        else:
            enhanced = how.enhance is not False and column in how.enhance
        texts.append([f"{column}{t}" for t in level_texts] if enhanced else level_texts)
    plain = [" ".join(parts) for parts in zip(*texts, strict=True)] if texts else [""] * len(rows)
    return [parenthesized(t) if how.parens else t for t in plain], plain


def _bare(grid: Grid, rows: Rows) -> list[str]:
    columns = [c for c in grid.labels if c not in grid.by]
    values = grid.labels[columns].iloc[rows].itertuples(index=False)
    return [" ".join(text_of(v) for v in row) for row in values]


# -- coefficients


def _own_family(given: Any, shown: Sequence[str]) -> Family:
    """Coefficients that the user gave: by name, as columns of a table, or in a list."""
    if isinstance(given, pd.DataFrame):
        named = [(str(c), given[c].tolist()) for c in given.columns]
    elif isinstance(given, Mapping):
        named = [(str(k), list(np.atleast_1d(v))) for k, v in given.items()]
    else:
        values = [list(np.atleast_1d(v)) for v in given]
        named = [(f"c({', '.join(text_of(x) for x in v)})", v) for v in values]
    for label, row in named:
        if len(row) != len(shown):
            raise DataError(
                f"contrast {label!r} has {len(row)} coefficients for {len(shown)} means: "
                f"{', '.join(shown)}"
            )
    try:
        rows = np.array([row for _, row in named], dtype=np.float64).reshape(-1, len(shown))
    except (TypeError, ValueError) as error:
        raise DataError("contrasts need numbers as coefficients") from error
    if not np.all(np.isfinite(rows)):
        raise DataError("contrasts need finite numbers as coefficients")
    return Family(rows, tuple(label for label, _ in named), "none", len(shown))


def family_of(
    method: Any, shown: Sequence[str], plain: Sequence[str], options: Mapping[str, Any]
) -> Family:
    """Make the contrasts of one family's levels: of a method that has a name, or of coefficients.

    Raises
    ------
    ArgumentError
        ``method`` is neither a name nor coefficients.
    DataError
        It is unknown, does not take an option, or has another number of coefficients than there are
        levels.
    """
    if isinstance(method, str):
        return named_family(method, shown, plain, options)
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise DataError(f"{given[0]} is for contrasts that have a name, not for coefficients")
    if callable(method):
        make: Callable[[list[str]], Any] = method
        return _own_family(make(list(shown)), shown)
    if isinstance(method, (Mapping, pd.DataFrame)) or (
        isinstance(method, (Sequence, np.ndarray)) and len(method) > 0
    ):
        return _own_family(method, shown)
    raise ArgumentError(
        f"method must be one of {', '.join(METHODS)}, or coefficients by name, not {method!r}"
    )


def _spread(values: Any, count: int, name: str) -> Array:
    spread = np.atleast_1d(numbers_of(0.0 if values is None else values, name))
    if spread.ndim > 1 or len(spread) not in (1, count):
        raise DataError(f"{name} has {len(spread)} values for {count} contrasts of a family")
    return np.broadcast_to(spread, (count,))


def _ratio_link(link: Link) -> Link | None:
    """The way back of a difference of logarithms; a difference of others has none."""
    if link.name == "logit":
        return replace(LINKS["log"], name="log odds ratio", ratio="odds.ratio")
    known = re.fullmatch(r"(?:(-?[\d.e]+)\*)?(log|log2|log10)(?:\(mu .*\))?", link.name)
    if known is None:
        return None
    multiple, base = known.groups()
    link_of_base = LINKS[base]
    if multiple is None:
        return link_of_base
    m = float(multiple)
    return Link(
        link_of_base.name,
        lambda x: link_of_base.inverse(x / m),
        lambda x: link_of_base.slope(np.asarray(x / m)) / m,
    )


def _scale(grid: Grid, C: Array, ratios: bool) -> dict[str, Any]:
    """The scale that contrasts with these coefficients are on."""
    if grid.link is None:
        return {"still": ""}
    plain = grid.link.name in (*LOGARITHMS, "logit")
    taken = plain or not grid.dialect.ratios_of_plain_logarithms
    back = _ratio_link(grid.link) if taken else None
    differences = bool(np.all(np.abs(C.sum(axis=1)) < 1e-6)) and bool(C.any())
    if ratios and back is not None and differences:
        return {"link": back}
    return {"link": None, "response": False, "still": grid.link.still or grid.link.name}


def _free_name(wanted: str, taken: Sequence[str]) -> str:
    """``contrast``, or ``contrast1`` and so on where there is such a column already."""
    if wanted not in taken:
        return wanted
    number = 1
    while f"{wanted}{number}" in taken:
        number += 1
    return f"{wanted}{number}"


@by_value
@dataclass(frozen=True, eq=False)
class FamilyContrasts:
    """The contrasts of one family: its rows, its contrasts, and these times their scale."""

    rows: Rows
    family: Family
    C: Array


def contrast_grid(
    grid: Grid,
    method: Any = "pairwise",
    by: Any = KEEP,
    adjust: str | None = None,
    *,
    options: Mapping[str, Any] | None = None,
    scale: Any = None,
    offset: Any = None,
    name: str = "contrast",
    ratios: bool = True,
    labels: Labels = Labels(),
) -> Grid:
    """Contrasts among the rows of ``grid`` within each family.

    Parameters
    ----------
    grid : Grid
        The means or contrasts.
    method : str, mapping, DataFrame, sequence or function
        One of :data:`METHODS`, coefficients (by name, as columns, or unnamed), or a function of
        the levels' labels that returns coefficients.
    by : str or sequence of str, optional
        Columns that separate families; default: the grid's own. None: one family.
    adjust : str, optional
        How p-values are adjusted within each family; default the method's own.
    options : mapping, optional
        Of named methods: ``ref``, ``reverse``, ``exclude``, ``include``, ``wts``, ``max_degree``.
        Levels are named, or count from 1 as in R.
    scale, offset : float or sequence of float, optional
        Each estimate is multiplied by the one, then the other is added.
    name : str
        The header of the contrasts' column.
    ratios : bool
        Whether differences of logarithms can be shown as ratios.
    labels : Labels
        How contrasts are written.

    Raises
    ------
    DataError
        A method, a level or an adjustment that there is not, coefficients of another length, or an
        option that is not the method's.
    """
    if by is not KEEP:
        grid = with_by(grid, by)
    grid = within_nests(grid)
    _known_factors(grid, labels)
    numbers_of(0.0 if offset is None else offset, "offset")
    parts = []
    for rows in grid.families():
        shown, plain = _names(grid, rows, labels)
        if isinstance(method, str) and _bare(grid, rows) != plain:
            family = _by_any_name(method, shown, plain, _bare(grid, rows), options or {})
        else:
            family = family_of(method, shown, plain, options or {})
        factor = _spread(1.0 if scale is None else scale, len(family.labels), "scale")
        parts.append(FamilyContrasts(rows, family, family.rows * factor[:, None]))
    default = parts[0].family.adjust
    column = _free_name(name, grid.by)
    return assembled(
        grid,
        parts,
        column,
        offset,
        ratios,
        default if adjust is None else adjustment_name(adjust),
    )


def _by_any_name(
    method: str,
    shown: Sequence[str],
    plain: Sequence[str],
    bare: Sequence[str],
    options: Mapping[str, Any],
) -> Family:
    """A named family whose levels may also be named without their factor."""
    known = {b: p for b, p in zip(bare, plain, strict=True) if b not in plain}

    def read(value: Any) -> Any:
        if isinstance(value, str):
            return known.get(value, value)
        if isinstance(value, (list, tuple)):
            return [read(v) for v in value]
        return value

    names = ("ref", "exclude", "include")
    return family_of(
        method, shown, plain, {k: read(v) if k in names else v for k, v in options.items()}
    )


def assembled(
    grid: Grid,
    parts: Sequence[FamilyContrasts],
    column: str,
    offset: Any,
    ratios: bool,
    adjust: str,
) -> Grid:
    """Put the contrasts of all families together in one grid, with their adjustment."""
    width = grid.beyond.shape[1]
    C_rows, lost, added, tables = [], [], [], []
    for part in parts:
        count = len(part.family.labels)
        labels: Sequence[str] = part.family.labels
        C = np.zeros((max(count, 1), len(grid.L)))
        inestimable = np.zeros((max(count, 1), width + 1))
        if count:
            C[:, part.rows] = part.C
            inestimable[:, :width] = part.C @ grid.beyond[part.rows]
            added.append(_spread(offset, count, "offset"))
        else:  # a family of one mean has no differences
            labels = ["(nothing)"]
            inestimable[0, width] = 1.0
            added.append(np.zeros(1))
        C_rows.append(C)
        lost.append(inestimable)
        table = pd.DataFrame({column: list(labels)})
        for by in grid.by:
            table[by] = grid.labels[by].iloc[part.rows[0]]
        tables.append(table)
    C = np.concatenate(C_rows)
    found = pd.concat(tables, ignore_index=True)
    for by in grid.by:
        found[by] = found[by].astype(grid.labels[by].dtype)
    pairs = all(part.family.pairs for part in parts)
    return replace(
        grid,
        labels=found,
        L=C @ grid.L,
        offset=C @ grid.offset + np.concatenate(added),
        beyond=np.concatenate(lost),
        estimate="estimate",
        infer="test",
        adjust=adjust,
        family=max(part.family.compared for part in parts),
        kind="pairs" if pairs else "contrast",
        paired_by=grid.by,
        contrast_columns=(column, *(c for c in grid.contrast_columns if c in grid.by)),
        null=(0.0,),
        side=0,
        delta=0.0,
        cross_adjust="none",
        scheffe_rank=None,
        coefficients=C,
        base=grid.labels,
        notes=(),
        **_scale(grid, C, ratios),
    )
