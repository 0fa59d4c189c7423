"""C'GC and C H C' for a sparse C and block-diagonal G: how one factor's elimination reaches the
others.

C couples the levels of a factor (``width`` rows each) with the columns of those that remain. Its
storage is chosen by its density: dense, where BLAS is fastest; sparse; or, where the result is
dense but C is not, as a list of the pairs of columns that meet in a level, so that both products
are one sparse matrix times a vector.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, TypeAlias

import numpy as np

from lmerbridge.equality import by_value
from lmerbridge.likelihood.mirrored import mirrored
from lmerbridge.likelihood.of_scipy import sparse

__all__ = ["Coupling", "block_diagonal", "coupling"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
IntArray: TypeAlias = np.ndarray[Any, np.dtype[Any]]

# Share of nonzeros from which dense arithmetic is faster.
DENSE_SHARE = 0.15
ONCE_SHARE = 0.03  # ... than what has to be sorted out first
# Numbers of 8 bytes that a storage may take: 800 MB, about what the dense rest takes as well.
MAX_STORED_NUMBERS = 100_000_000
# Rows of a product of C with a dense matrix at a time.
BAND_NUMBERS = 4_000_000


def block_diagonal(blocks: Array) -> sparse.bsr_array:
    """The sparse matrix with these (levels, k, k) on its diagonal."""
    count, k, _ = blocks.shape
    return sparse.bsr_array(
        (np.ascontiguousarray(blocks), np.arange(count), np.arange(count + 1)),
        shape=(count * k, count * k),
    )


class Coupling(Protocol):
    """C, with ``levels * width`` rows."""

    @property
    def matrix(self) -> sparse.csr_array:
        """C as a sparse matrix (levels * width, q2)."""
        ...

    @property
    def transposed(self) -> sparse.csc_array:
        """C', made once: that takes as long as a product with it where there are few effects."""
        ...

    def product(self, G: Array) -> Any:
        """C'GC for the blocks G (levels, width, width): dense or sparse."""

    def sandwich(self, H: Any) -> Array:
        """The diagonal blocks (levels, width, width) of C H C'."""
        ...


def _by_level(through: Any, matrix: sparse.csr_array, levels: int, width: int) -> Array:
    """Sums, within each level, of the products of two matrices' entries, row by row."""
    blocks = np.empty((levels, width, width))
    for a in range(width):
        for b in range(width):
            products = matrix[b::width].multiply(through[a::width])
            blocks[:, a, b] = np.asarray(products.sum(axis=1)).ravel()
    return blocks


@dataclass(frozen=True, eq=False)
class _LevelPairs:
    """Every pair of entries of a sparse C in rows a and b of one level: its level, its columns x
    and y, and the product of the entries.
    """

    level: IntArray
    x: IntArray
    y: IntArray
    product: Array

    @classmethod
    def of(cls, C: sparse.csr_array, width: int, a: int, b: int) -> _LevelPairs:
        starts, counts = C.indptr[:-1], np.diff(C.indptr)
        first, second = counts[a::width], counts[b::width]
        sizes = first * second
        level = np.repeat(np.arange(len(sizes)), sizes)
        within = np.arange(len(level)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        one, two = np.divmod(within, second[level])
        one, two = starts[a::width][level] + one, starts[b::width][level] + two
        return cls(level, C.indices[one], C.indices[two], C.data[one] * C.data[two])

    def sums(self, H: sparse.csr_array, levels: int) -> Array:
        """The sum over a level's pairs of the product times H's element (x, y) (levels,)."""
        size = H.shape[1]
        rows = np.repeat(np.arange(H.shape[0]), np.diff(H.indptr))
        keys = rows * size + H.indices
        wanted = self.x * np.int64(size) + self.y
        place = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
        values = np.where(keys[place] == wanted, H.data[place], 0.0) if len(keys) else 0.0 * wanted
        return np.bincount(self.level, self.product * values, levels).astype(np.float64)


@dataclass(frozen=True)
class _Sparse:
    matrix: sparse.csr_array
    transposed: sparse.csc_array
    levels: int
    width: int

    @cached_property
    def _pairs(self) -> list[list[_LevelPairs]] | None:
        """By rows a and b <= a of a level; ``None`` where they are too many."""
        counts = np.diff(self.matrix.indptr).astype(np.float64)
        if (
            float(np.sum(counts.reshape(self.levels, -1).sum(axis=1) ** 2))
            > MAX_STORED_NUMBERS / 16
        ):
            return None
        return [
            [_LevelPairs.of(self.matrix, self.width, a, b) for b in range(a + 1)]
            for a in range(self.width)
        ]

    def product(self, G: Array) -> Any:
        return self.transposed @ (block_diagonal(G) @ self.matrix)

    def sandwich(self, H: Any) -> Array:
        C = self.matrix
        blocks = np.empty((self.levels, self.width, self.width))
        if isinstance(H, sparse.csr_array):
            if self._pairs is None:
                return _by_level(C @ H, C, self.levels, self.width)
            H.sum_duplicates()  # and sorts
            for a, row in enumerate(self._pairs):
                for b, pairs in enumerate(row):
                    blocks[:, a, b] = blocks[:, b, a] = pairs.sums(H, self.levels)
            return blocks
        band = max(1, BAND_NUMBERS // max(1, C.shape[1] * self.width))
        for start in range(0, self.levels, band):
            stop = min(start + band, self.levels)
            part = C[start * self.width : stop * self.width]
            blocks[start:stop] = _by_level(part @ H, part, stop - start, self.width)
        return blocks


@dataclass(frozen=True)
class _Dense:
    matrix: sparse.csr_array
    transposed: sparse.csc_array
    levels: int
    width: int

    @cached_property
    def stack(self) -> Array:
        return np.asarray(self.matrix.toarray()).reshape(self.levels, self.width, -1)

    def product(self, G: Array) -> Any:
        columns = self.stack.shape[-1]
        if self.width == 1:  # of a matrix with itself, which BLAS computes half of
            root = (np.sqrt(G) * self.stack).reshape(-1, columns)
            return root.T @ root
        left = G @ self.stack
        return self.stack.reshape(-1, columns).T @ left.reshape(-1, columns)

    def sandwich(self, H: Any) -> Array:
        columns = self.stack.shape[-1]
        through = (self.stack.reshape(-1, columns) @ H).reshape(self.stack.shape)
        if self.width == 1:
            return np.asarray(np.einsum("lac,lac->la", through, self.stack)[:, :, None])
        return np.asarray(through @ np.swapaxes(self.stack, 1, 2))


@by_value
@dataclass(frozen=True, eq=False)
class _Pairs:
    """Pairs (x >= y) of columns that meet in a level, listed by x, then by level, so that what is
    added to the result lies near what was added before.

    ``level`` (entries,) and ``values`` (width, entries) are those of every column x and level that
    touches it; ``second[b]``, with a row for each place (x, y) of the result and a column for each
    entry, has the elements of C in the columns y of the entry's level, in its row b.
    """

    matrix: sparse.csr_array
    transposed: sparse.csc_array
    levels: int
    width: int
    level: IntArray
    values: Array
    second: list[sparse.csc_array]

    @cached_property
    def _transposed_second(self) -> list[Any]:
        return [part.T for part in self.second]

    def product(self, G: Array) -> Any:
        size = self.matrix.shape[1]
        first = np.einsum("ae,eab->be", self.values, G[self.level])
        found = self.second[0] @ first[0]
        for b in range(1, self.width):
            found += self.second[b] @ first[b]
        return mirrored(found.reshape(size, size))

    def sandwich(self, H: Any) -> Array:
        half = H.copy()
        np.fill_diagonal(half, 0.5 * H.diagonal())
        flat = half.reshape(-1)
        found = np.empty((self.levels, self.width, self.width))
        for b in range(self.width):
            through = self._transposed_second[b] @ flat
            for a in range(self.width):
                found[:, a, b] = np.bincount(self.level, self.values[a] * through, self.levels)
        return np.asarray(found + np.swapaxes(found, 1, 2))


def _pairs(C: sparse.csr_array, levels: int, width: int) -> _Pairs:
    size = C.shape[1]
    # the columns that each level touches, by any of its rows
    entries = C.tocoo()
    level = sparse.csr_array(
        (np.ones(C.nnz), (entries.row // width, entries.col)), shape=(levels, size)
    )
    level.sum_duplicates()
    level.sort_indices()
    counts = np.diff(level.indptr)
    own = np.repeat(np.arange(levels), counts)
    values = np.zeros((width, level.nnz))
    place = np.searchsorted(own * size + level.indices, (entries.row // width) * size + entries.col)
    values[entries.row % width, place] = entries.data
    # an entry of a level pairs with those up to itself; the entries are taken by column
    order = np.argsort(level.indices, kind="stable")
    first = level.indptr[own[order]]
    sizes = order - first + 1
    ends = np.concatenate([[0], np.cumsum(sizes)])
    kind: Any = np.int32 if max(size * size, ends[-1]) < 2**31 else np.int64
    lower = np.arange(ends[-1], dtype=np.int32)
    lower += np.repeat((first - ends[:-1]).astype(np.int32), sizes)
    columns = np.asarray(level.indices, dtype=kind)
    where = np.repeat(columns[order] * kind(size), sizes)
    where += columns[lower]
    second = [
        sparse.csc_array(
            (row[lower], where, ends.astype(kind)), shape=(size * size, level.nnz), copy=False
        )
        for row in values
    ]
    return _Pairs(C, C.T, levels, width, own[order], values[:, order], second)


def coupling(
    C: sparse.csr_array, levels: int, width: int, *, dense: bool, once: bool = False
) -> Coupling:
    """Choose the storage of C.

    Parameters
    ----------
    C : sparse array (levels * width, q2)
        Cross-products of the first factor's columns with the others'.
    levels, width : int
        Of the first factor: its levels, and columns per level.
    dense : bool
        Whether the products are wanted dense.
    once : bool
        Whether each product is wanted once or twice, as where the weights of the rows change from
        one iteration to the next: a list of pairs would then cost more than it saves.
    """
    if not dense:
        return _Sparse(C, C.T, levels, width)
    size = C.shape[0] * C.shape[1]
    share = ONCE_SHARE if once else DENSE_SHARE
    if C.nnz > share * size and size <= MAX_STORED_NUMBERS:
        return _Dense(C, C.T, levels, width)
    if once:
        return _Sparse(C, C.T, levels, width)
    counts = np.bincount(np.repeat(np.arange(levels * width) // width, np.diff(C.indptr)))
    pairs = float(np.sum(counts.astype(np.float64) * (counts + 1))) / 2
    if pairs <= MAX_STORED_NUMBERS / 4:
        return _pairs(C, levels, width)
    return _Sparse(C, C.T, levels, width)
