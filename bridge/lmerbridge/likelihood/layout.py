"""Where the random effects lie: by grouping factor, within it by level, within that by term.

The layout is what the rows' factors say alone. It is found once for a model, whatever its response,
its weights and its theta are; the numbers on it are :mod:`lmerbridge.likelihood.crossproducts`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from lmerbridge.covariance import PLAIN, Structure
from lmerbridge.design import ModelFrame, RandomBlock, column_map, nested_in
from lmerbridge.equality import by_value

__all__ = ["Array", "Factor", "IntArray", "Layout", "Term", "by_factor", "layout_of"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
IntArray: TypeAlias = np.ndarray[Any, np.dtype[np.intp]]

# Below this many columns the Schur complement is kept dense whatever its pattern.
SMALL_COLUMNS = 400


@dataclass(frozen=True)
class Factor:
    """A grouping factor's columns: ``width`` per level, the first at ``start``."""

    levels: int
    width: int
    start: int

    @property
    def columns(self) -> int:
        """Random effects of the factor: levels times width."""
        return self.levels * self.width


@dataclass(frozen=True)
class Term:
    """A random-effects term: its factor, and its columns within one level of that."""

    factor: int
    size: int
    offset: int
    structure: Structure = PLAIN

    @property
    def within(self) -> slice:
        """The term's columns among those of its factor."""
        return slice(self.offset, self.offset + self.size)


@by_value
@dataclass(frozen=True, eq=False)
class Layout:
    """The grouping factors and terms of a model.

    Attributes
    ----------
    factors : tuple of Factor
    terms : tuple of Term
        In the model frame's order.
    stages : int
        How many factors are eliminated level by level, before what remains is one dense matrix:
        the first, and further ones in which all before are nested, if they have many levels.
    maps : tuple of array (k, k)
        By term: the scaled columns are the user's times this, and so the user's effects are this
        times those of the scaled columns.
    """

    factors: tuple[Factor, ...]
    terms: tuple[Term, ...]
    stages: int
    maps: tuple[Array, ...]

    @cached_property
    def scales(self) -> list[Array]:
        """By factor the maps of its terms, as one matrix (width, width)."""
        return by_factor(self.factors, self.terms, self.maps)

    @cached_property
    def inverse_maps(self) -> list[Array]:
        """The inverses (k, k) of ``maps``, by term."""
        return [np.asarray(np.linalg.inv(M), dtype=np.float64) for M in self.maps]

    def places(self, index: int) -> IntArray:
        """Return where the effects of a term stand among all (levels, k): by level and column."""
        term = self.terms[index]
        factor = self.factors[term.factor]
        first = factor.start + factor.width * np.arange(factor.levels) + term.offset
        return np.asarray(first[:, None] + np.arange(term.size))

    def blocks(self, frame: ModelFrame) -> list[list[RandomBlock]]:
        """Return the frame's terms by factor."""
        found: list[list[RandomBlock]] = [[] for _ in self.factors]
        for term, block in zip(self.terms, frame.random, strict=True):
            found[term.factor].append(block)
        return found

    def in_own_units(self) -> Layout:
        """Return the layout whose theta and random effects are in the units of the scaled columns.

        Structured terms keep the user's units: their structure is one of the user's columns.
        """
        pairs = zip(self.maps, self.terms, strict=True)
        maps = tuple(np.eye(len(M)) if t.structure.plain else M for M, t in pairs)
        found = replace(self, maps=maps)
        if all(term.structure.plain for term in self.terms):
            vars(found)["inverse_maps"] = list(maps)  # that need not be computed
        return found

    def alone(self, index: int) -> Layout:
        """Return the layout of the model with the terms on one factor only."""
        pairs = zip(self.maps, self.terms, strict=True)
        return Layout(
            factors=(replace(self.factors[index], start=0),),
            terms=tuple(replace(t, factor=0) for t in self.terms if t.factor == index),
            stages=1,
            maps=tuple(M for M, t in pairs if t.factor == index),
        )


def layout_of(frame: ModelFrame) -> Layout:
    """Find the layout of a model frame's random effects."""
    groups: dict[str, list[RandomBlock]] = {}
    terms = []
    for block in frame.random:
        term = block.term
        own = groups.setdefault(term.group, [])
        offset = sum(len(other.names) for other in own)
        terms.append(Term(list(groups).index(term.group), len(term.names), offset, term.structure))
        own.append(block)
    factors, start = [], 0
    for own in groups.values():
        factor = Factor(len(own[0].levels), sum(len(block.names) for block in own), start)
        factors.append(factor)
        start += factor.columns
    blocks = list(groups.values())
    maps = tuple(column_map(block) for block in frame.random)
    return Layout(tuple(factors), tuple(terms), _stages(factors, blocks), maps)


def _stages(factors: Sequence[Factor], blocks: list[list[RandomBlock]]) -> int:
    """How many factors to eliminate level by level (:class:`Layout`)."""
    count = 1
    while (
        count < len(factors)
        and sum(factor.columns for factor in factors[count:]) > SMALL_COLUMNS
        and all(nested_in(blocks[i][0], blocks[count][0]) for i in range(count))
    ):
        count += 1
    return count


def by_factor(
    factors: tuple[Factor, ...], terms: tuple[Term, ...], blocks: Sequence[Array]
) -> list[Array]:
    """One block-diagonal matrix (width, width) per factor of the terms' matrices."""
    found = [np.zeros((factor.width, factor.width)) for factor in factors]
    for term, block in zip(terms, blocks, strict=True):
        found[term.factor][term.within, term.within] = block
    return found
