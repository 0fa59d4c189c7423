"""Marginal means: averages of the reference grid over the predictors that are not asked for.

R's ``emmeans`` (Lenth), after Searle, Speed & Milliken (1980, Am. Stat. 34, 216-221). Where factors
are nested, averages are made within each nest first (``emmeans``, vignette "Messy data").
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from lmerbridge.arguments import check_level
from lmerbridge.errors import ArgumentError, DataError, near_match
from lmerbridge.inference.linear_functions import Grid
from lmerbridge.inference.links import bias_adjusted
from lmerbridge.inference.reference_grid import ReferenceGrid
from lmerbridge.inference.weighting import Weights, as_weights, shares

__all__ = [
    "MISLEADING",
    "NO_SIGMA",
    "TYPES",
    "averaged_combinations",
    "marginal_means",
    "on_scale",
    "scale_of",
]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Codes: TypeAlias = np.ndarray[Any, np.dtype[np.intp]]

MISLEADING = "NOTE: Results may be misleading due to involvement in interactions"
NO_SIGMA = (
    "bias_adjust needs sigma, a standard deviation (of a generalized model that of the sum of its "
    "random effects), not {!r}"
)
TYPES = {
    "link": False,
    "linear.predictor": False,
    "lp": False,
    "predict": False,
    "response": True,
    "unlink": True,
    "mu": True,
}


def scale_of(type: str) -> bool:
    """Whether ``type`` asks for the scale of the response; it may be shortened.

    Raises
    ------
    ArgumentError
        It is none of :data:`TYPES`.
    """
    fitting = {TYPES[name] for name in TYPES if isinstance(type, str) and name.startswith(type)}
    if len(fitting) != 1 or not type:
        raise ArgumentError(f"type must be 'link' or 'response', not {type!r}")
    return fitting.pop()


def on_scale(grid: Grid, type: str, bias_adjust: bool = False, sigma: float | None = None) -> Grid:
    """The same, shown on the scale of the model or of the response.

    Parameters
    ----------
    grid : Grid
        The means or contrasts.
    type : str
        One of :data:`TYPES`.
    bias_adjust : bool
        Whether the way back leads to the mean of the response
        (:func:`lmerbridge.inference.links.bias_adjusted`).
    sigma : float, optional
        The standard deviation for this.

    Raises
    ------
    DataError
        ``type`` is none of these, or ``bias_adjust`` has no ``sigma``.
    """
    response = scale_of(type) and grid.link is not None
    link = grid.link
    if bias_adjust and response and link is not None:
        if sigma is None or not math.isfinite(sigma) or sigma < 0:
            raise DataError(NO_SIGMA.format(sigma))
        link = bias_adjusted(link, float(sigma)) if link.known else link
    return replace(grid, link=link, response=response)


def _known(reference: ReferenceGrid, names: Sequence[str]) -> None:
    for name in names:
        if name not in reference.names:
            raise DataError(
                f"no predictor {name!r} in the fixed effects{near_match(name, reference.names)}; "
                f"they are {', '.join(reference.names)}"
            )


def _with_nests(
    reference: ReferenceGrid, names: Sequence[str], by: Sequence[str]
) -> tuple[list[str], list[str]]:
    """The columns, and those of them that separate families: what is asked for with what it is
    nested in. Nested factors come first, then their nests, then the others.

    What a factor of ``by`` is nested in separates families as well, even if it was asked for: a
    city is in one state, so that states cannot be compared within it.
    """
    nesting = reference.nesting
    asked = [*names, *by]
    inner = [n for n in asked if n in nesting]
    outer = [o for n in inner for o in nesting[n]]
    above = [o for n in by for o in nesting.get(n, ())]
    columns = [*inner, *outer, *asked] if inner else asked
    conditions = [*(o for o in above if o not in by), *by]
    return list(dict.fromkeys(columns)), list(dict.fromkeys(conditions))


class _Cells:
    """Cells of the grid that are averaged step by step: their values, L and how much they count."""

    def __init__(self, reference: ReferenceGrid):
        self.names = list(reference.names)
        self.sizes = {axis.name: len(axis) for axis in reference.axes}
        self.codes = reference.codes
        self.importance = reference.importance
        p, k = reference.L.shape[1], reference.beyond.shape[1]
        self.p, self.k = p, k
        lost = np.zeros((len(self.codes), 1))
        self.values = np.hstack([reference.L, reference.offset[:, None], reference.beyond, lost])

    def column(self, names: Sequence[str]) -> Any:
        return self.codes[:, [self.names.index(n) for n in names]]

    def numbered(self, names: Sequence[str]) -> Any:
        """A number for each combination, the first name varying fastest."""
        found = np.zeros(len(self.codes), dtype=np.int64)
        size = 1
        for j, name in enumerate(names):
            found += size * self.column(names)[:, j]
            size *= self.sizes[name]
        return found

    def drop_absent(self, names: Sequence[str]) -> None:
        """Drop the combinations of ``names`` of which there are no data."""
        _, cell = np.unique(self.numbered(names), return_inverse=True)
        there = np.bincount(cell, weights=self.importance)[cell] > 0
        self.codes, self.importance = self.codes[there], self.importance[there]
        self.values = self.values[there]

    def average(self, over: Sequence[str], within: Sequence[str], weights: Weights) -> None:
        """Average over some predictors, within each combination of others."""
        keep = [n for n in self.names if n not in over]
        nest = self.numbered(within)
        parts: list[tuple[Codes, Array, Array]] = []
        for number in np.unique(nest):
            parts.append(self._averaged(np.flatnonzero(nest == number), keep, over, weights))
        self.names = keep
        self.codes = np.concatenate([part[0] for part in parts])
        self.values = np.concatenate([part[1] for part in parts])
        self.importance = np.concatenate([part[2] for part in parts])

    def _averaged(
        self, rows: Any, keep: Sequence[str], over: Sequence[str], weights: Weights
    ) -> tuple[Codes, Array, Array]:
        means, mean_of = np.unique(self.numbered(keep)[rows], return_inverse=True)
        cells, cell_of = np.unique(self.numbered(over)[rows], return_inverse=True)
        counts = np.zeros((len(means), len(cells)))
        counts[mean_of, cell_of] = self.importance[rows]
        there = np.zeros(counts.shape, dtype=bool)
        there[mean_of, cell_of] = True
        sizes = [len(np.unique(self.column([name])[rows])) for name in over]
        if len(cells) != math.prod(sizes):
            if isinstance(weights, str) and weights != "outer":
                sizes = [len(cells)]
            else:
                raise DataError(
                    f"weights={weights!r} needs all combinations of {', '.join(over)}, of which "
                    "some are not there"
                )
        share = shares(weights, counts, sizes)
        share = np.where(there, share, 0.0)
        unknown = ~np.isfinite(share).all(axis=1)
        share[unknown] = 0.0
        first = np.array([rows[np.flatnonzero(mean_of == i)[0]] for i in range(len(means))])
        values = np.zeros((len(means), self.values.shape[1]))
        np.add.at(values, mean_of, share[mean_of, cell_of][:, None] * self.values[rows])
        values[unknown, -1] = 1.0
        return self.codes[first][:, [self.names.index(n) for n in keep]], values, counts.sum(axis=1)


def _steps(reference: ReferenceGrid, shown: Sequence[str]) -> list[tuple[list[str], list[str]]]:
    """What is averaged over, and within what: nested factors first, the last of them first."""
    nesting = reference.nesting
    rest = [n for n in reference.names if n not in shown]
    steps: list[tuple[list[str], list[str]]] = []
    while rest:
        inner = [n for n in rest if n in nesting and not any(n in nesting.get(o, ()) for o in rest)]
        if not inner:
            steps.append((rest, []))
            break
        factor = inner[-1]
        outer = {o for n in rest for o in nesting.get(n, ())}
        apart = [n for n in rest if n not in nesting and n not in outer]
        over = [n for n in rest if n == factor or n in apart]
        # each cell of those that are left has its own levels of the factor
        left = [n for n in rest if n in nesting and n != factor]
        steps.append((over, list(dict.fromkeys([*nesting[factor], *left]))))
        rest = [n for n in rest if n not in over]
    return steps


def averaged_combinations(reference: ReferenceGrid, shown: Sequence[str]) -> pd.DataFrame:
    """The combinations that means of ``shown`` are averages over, in the order of numeric weights:
    emmeans' ``weights = "show.levels"``.

    Raises
    ------
    DataError
        A name that is no predictor.
    """
    _known(reference, shown)
    rest = [n for n in reference.names if n not in shown and len(reference.axis(n)) > 1]
    sizes = [len(reference.axis(n)) for n in rest]
    if not rest:  # a mean is of one row
        return pd.DataFrame(index=range(1))
    codes = np.stack(np.unravel_index(np.arange(math.prod(sizes)), sizes, order="F"), axis=1)
    return reference.labels(rest, codes)


def _misleading(reference: ReferenceGrid, shown: Sequence[str]) -> bool:
    """Whether what is shown is all in a term with something else (``emmeans``' message)."""
    if not shown:
        return False
    wanted = {*shown} | ({reference.var} if reference.var else set())
    return any(wanted < term for term in reference.terms)


def _largest(labels: pd.DataFrame, by: Sequence[str]) -> int:
    """Means in the largest family."""
    if not by:
        return len(labels)
    return int(labels.groupby(list(by), sort=False, observed=True).size().max())


def marginal_means(
    reference: ReferenceGrid,
    names: Sequence[str],
    by: Sequence[str] = (),
    weights: Any = "equal",
    level: float = 0.95,
) -> Grid:
    """Marginal means of the combinations of ``names`` within those of ``by``.

    Parameters
    ----------
    reference : ReferenceGrid
    names, by : sequence of str
        None for the mean over the whole grid.
    weights : str or array
        How cells count (:func:`lmerbridge.inference.weighting.as_weights`).
    level : float
        Of confidence limits, between 0 and 1.

    Raises
    ------
    DataError
        A name that is no predictor, weights of another number than there are cells, or such as need
        cells that are not there.
    """
    how = as_weights(weights)
    check_level(level)
    _known(reference, (*names, *by))
    shown, by = _with_nests(reference, names, by)
    cells = _Cells(reference)
    inner = [n for n in reference.names if n in reference.nesting and n not in shown]
    cells.drop_absent([*inner, *(o for n in inner for o in reference.nesting[n])])
    averaged: list[str] = []
    for over, within in _steps(reference, shown):
        cells.average(over, within, how)
        averaged += [n for n in over if len(reference.axis(n)) > 1]
    order = np.argsort(cells.numbered(shown), kind="stable")
    values = cells.values[order]
    p = cells.p
    overall = pd.DataFrame({"1": pd.Categorical(["overall"] * len(values))})
    labels = reference.labels(shown, cells.column(shown)[order]) if shown else overall
    if reference.var is not None and shown == by == ["degree"]:
        labels = pd.concat([overall, labels], axis=1)  # as of a grid without the orders
    notes = reference.notes
    if _misleading(reference, shown):
        notes = (*notes, MISLEADING)
    return Grid(
        labels,
        values[:, :p],
        values[:, p],
        values[:, p + 1 :],
        tuple(by),
        reference.estimate or "emmean",
        reference.denominator,
        family=_largest(labels, by),
        averaged=tuple(averaged),
        level=level,
        link=reference.link,
        notes=notes,
        nesting=reference.nesting,
        dialect=reference.dialect,
    )
