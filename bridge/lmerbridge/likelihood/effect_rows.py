"""The rows of Z as arrays: linear predictors of random effects, sums over the rows of a level, and
weighted cross-products whose pattern is found once.

The columns of Z are ordered and scaled as those of
:class:`lmerbridge.likelihood.crossproducts.CrossProducts`: by grouping factor, within it by level,
within that by term. A generalized model weights the rows anew in each iteration; what does not
depend on the weights, the levels' places and which of them meet in a row, is here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from lmerbridge.design import ModelFrame
from lmerbridge.equality import by_value
from lmerbridge.likelihood.coupling import Coupling, coupling
from lmerbridge.likelihood.layout import Array, IntArray, Layout, layout_of
from lmerbridge.likelihood.of_scipy import sparse

__all__ = ["EffectRows", "WeightedProducts"]


@by_value
@dataclass(frozen=True, eq=False)
class WeightedProducts:
    """Z'WZ for the weights W of the rows, as the elimination of the effects takes it.

    Attributes
    ----------
    layout : Layout
    ZZ1 : array (levels, width, width)
        Of the first factor, by level.
    ZZ12 : sparse (levels * width, q2); ZZ2 : sparse or dense (q2, q2)
        Of the first factor with the others, and of these.
    """

    layout: Layout
    ZZ1: Array
    ZZ12: sparse.csr_array | None
    ZZ2: Any

    @cached_property
    def coupling(self) -> Coupling | None:
        """ZZ12 in the storage that suits its density."""
        if self.ZZ12 is None:
            return None
        first, dense = self.layout.factors[0], self.layout.stages == 1
        return coupling(self.ZZ12, first.levels, first.width, dense=dense, once=True)


@by_value
@dataclass(frozen=True, eq=False)
class _Pattern:
    """Where the products of two sets of columns, row by row, are summed in a sparse matrix.

    ``place`` (rows, a, b): position of the product of column a and column b of a row among the
    data of the matrix with ``indices`` and ``indptr``.
    """

    place: IntArray
    indices: IntArray
    indptr: IntArray
    shape: tuple[int, int]

    @classmethod
    def of(cls, left: IntArray, right: IntArray, shape: tuple[int, int]) -> _Pattern:
        """From the columns of Z that each row touches: (n, a) and (n, b)."""
        keys = left[:, :, None] * np.int64(shape[1]) + right[:, None, :]
        found, place = np.unique(keys, return_inverse=True)
        row, column = np.divmod(found, shape[1])
        pointer = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=shape[0]))])
        return cls(place.reshape(keys.shape), column, pointer, shape)

    def sums(self, products: Array) -> sparse.csr_array:
        """The matrix of sums of products (n, a, b)."""
        data = np.bincount(self.place.ravel(), products.ravel(), len(self.indices))
        return sparse.csr_array((data, self.indices, self.indptr), shape=self.shape)


@by_value
@dataclass(frozen=True, eq=False)
class EffectRows:
    """The columns of Z of each row, by factor.

    Attributes
    ----------
    layout : Layout
        With theta and effects in the units of the scaled columns.
    codes : tuple of array of int (n,)
        By factor the level of each row.
    columns : tuple of array (n, width)
        By factor the values of its columns, scaled and centred.
    order : array of int (n,) or None
        Which rows of the model frame they are, level by level of the first factor; ``None`` where
        the frame has them so.
    """

    layout: Layout
    codes: tuple[IntArray, ...]
    columns: tuple[Array, ...]
    order: IntArray | None = None

    @classmethod
    def of(cls, frame: ModelFrame) -> EffectRows:
        """Take the rows of a model frame's random terms, level by level of the first factor: sums
        over a level are then of neighbours, which is several times faster.
        """
        layout = layout_of(frame)
        first = layout.blocks(frame)[0][0].codes
        order = None if (np.diff(first) >= 0).all() else np.argsort(first, kind="stable")
        codes, columns = [], []
        for own, M in zip(layout.blocks(frame), layout.scales, strict=True):
            parts = [block.columns for block in own]
            joined = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
            place = np.asarray(own[0].codes, dtype=np.intp)
            codes.append(place if order is None else place[order])
            # by columns: they are what every pass takes one by one
            scaled = joined @ M
            columns.append(np.asfortranarray(scaled if order is None else scaled[order]))
        return cls(layout, tuple(codes), tuple(columns), order)

    def rows_of(self, values: Array) -> Array:
        """Values by row of the model frame (n, ...) in the order of these rows."""
        return values if self.order is None else values[self.order]

    def frame_of(self, values: Array) -> Array:
        """Values (n,) in the order of these rows, in that of the model frame."""
        if self.order is None:
            return values
        found = np.empty_like(values)
        found[self.order] = values
        return found

    @cached_property
    def _starts(self) -> IntArray:
        """Where each level of the first factor begins."""
        return np.searchsorted(self.codes[0], np.arange(self.layout.factors[0].levels))

    def _by_level(self, values: Array) -> Array:
        """Sums (levels,) over the rows of the first factor's levels, each of which has some."""
        return np.add.reduceat(values, self._starts)

    @cached_property
    def _ones(self) -> tuple[tuple[bool, ...], ...]:
        """By factor, which columns are of ones."""
        return tuple(tuple(bool((z == 1).all()) for z in own.T) for own in self.columns)

    def matrix(self, blocks: Sequence[Array]) -> sparse.csr_array:
        """Z times a block-diagonal matrix (n, q); every level of a row has its entries, also those
        that are 0.

        Parameters
        ----------
        blocks : sequence of array (width, width)
            By factor the block of each level.
        """
        places, values = [], []
        for factor, codes, columns, block in zip(
            self.layout.factors, self.codes, self.columns, blocks, strict=True
        ):
            places.append(factor.start + factor.width * codes[:, None] + np.arange(factor.width))
            values.append(columns @ block)
        where, entries = np.concatenate(places, axis=1), np.concatenate(values, axis=1)
        n, width = where.shape
        q = sum(factor.columns for factor in self.layout.factors)
        pointer = np.arange(0, n * width + 1, width)
        return sparse.csr_array((entries.ravel(), where.ravel(), pointer), shape=(n, q))

    def predictor(self, effects: Sequence[Array]) -> Array:
        """Z b (n,) for the effects (levels, width) by factor."""
        eta: Array | None = None
        for codes, columns, b, ones in zip(
            self.codes, self.columns, effects, self._ones, strict=True
        ):
            for z, own, plain in zip(columns.T, b.T, ones, strict=True):
                part = np.ascontiguousarray(own)[codes]
                if not plain:
                    part *= z
                eta = part if eta is None else np.add(eta, part, out=eta)
        assert eta is not None
        return eta

    def sums(self, values: Array) -> list[Array]:
        """Z'v by factor (levels, width) for v (n,)."""
        found = []
        for number, (factor, codes, columns, ones) in enumerate(
            zip(self.layout.factors, self.codes, self.columns, self._ones, strict=True)
        ):
            own = np.empty((factor.levels, factor.width))
            for a, (z, plain) in enumerate(zip(columns.T, ones, strict=True)):
                product = values if plain else values * z
                own[:, a] = (
                    np.bincount(codes, product, factor.levels)
                    if number
                    else self._by_level(product)
                )
            found.append(own)
        return found

    @cached_property
    def _others(self) -> tuple[IntArray, Array]:
        """Of the factors after the first: the columns that each row touches, and their values
        (n, width of all).
        """
        first = self.layout.factors[0].columns
        where = [
            factor.start - first + factor.width * codes[:, None] + np.arange(factor.width)
            for factor, codes in zip(self.layout.factors[1:], self.codes[1:], strict=True)
        ]
        return np.concatenate(where, axis=1), np.concatenate(self.columns[1:], axis=1)

    @property
    def _q2(self) -> int:
        return sum(factor.columns for factor in self.layout.factors[1:])

    @cached_property
    def _across(self) -> _Pattern:
        first = self.layout.factors[0]
        left = first.width * self.codes[0][:, None] + np.arange(first.width)
        return _Pattern.of(left, self._others[0], (first.columns, self._q2))

    @cached_property
    def _within(self) -> _Pattern:
        where = self._others[0]
        return _Pattern.of(where, where, (self._q2, self._q2))

    @cached_property
    def _products_across(self) -> Array:
        """Of each row, the products of the first factor's columns with the others'."""
        return np.asarray(self.columns[0][:, :, None] * self._others[1][:, None, :])

    @cached_property
    def _products_within(self) -> Array:
        others = self._others[1]
        return np.asarray(others[:, :, None] * others[:, None, :])

    def products(self, weights: Array) -> WeightedProducts:
        """Z'WZ for the weights W (n,) of the rows."""
        factor, columns = self.layout.factors[0], self.columns[0]
        ZZ1 = np.empty((factor.levels, factor.width, factor.width))
        ones = self._ones[0]
        for a, z in enumerate(columns.T):
            weighted = weights if ones[a] else weights * z
            for b in range(a + 1):
                product = weighted if ones[b] else weighted * columns[:, b]
                ZZ1[:, a, b] = self._by_level(product)
                ZZ1[:, b, a] = ZZ1[:, a, b]
        if len(self.layout.factors) == 1:
            return WeightedProducts(self.layout, ZZ1, None, np.empty((0, 0)))
        by_row = weights[:, None, None]
        return WeightedProducts(
            self.layout,
            ZZ1,
            self._across.sums(by_row * self._products_across),
            self._within.sums(by_row * self._products_within),
        )

    def quadratic(self, own: Array, across: Array, others: Any) -> Array:
        """z'Cz (n,) of each row for a symmetric C given where rows need it.

        Parameters
        ----------
        own : array (levels, width, width)
            Its blocks of the first factor.
        across : array
            Its entries at the places of ZZ12's pattern.
        others : dense or sparse array (q2, q2)
            Its block of the other factors.
        """
        codes, columns, ones = self.codes[0], self.columns[0], self._ones[0]
        found = np.zeros(len(codes))
        for a, z in enumerate(columns.T):
            for b in range(a + 1):
                part = np.ascontiguousarray(own[:, a, b])[codes]
                part *= 1.0 if a == b else 2.0
                if not ones[a]:
                    part *= z
                if not ones[b]:
                    part *= columns[:, b]
                found += part
        if len(self.codes) > 1:
            place = self._across.place
            found += 2 * np.einsum("nab,nab->n", across[place], self._products_across)
            where, values = self._others
            for a in range(where.shape[1]):
                for b in range(a + 1):
                    entries = np.asarray(others[where[:, a], where[:, b]]).ravel()
                    found += (1.0 if a == b else 2.0) * entries * values[:, a] * values[:, b]
        return found
