"""Coordinates in which a criterion is searched: one for each parameter of the random effects'
covariance matrices, in which Lambda is smooth.

Of an unstructured term they are the elements of its block of Lambda for the scaled columns
(:func:`lmerbridge.design.column_map`), where they are all of about one size; of any other term
those of :class:`lmerbridge.covariance.Structure`, each standard deviation times the size of its
column. What a criterion needs is theta, the lower triangles of Lambda's blocks: they, and by the
chain rule their derivatives, are functions of the coordinates.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from lmerbridge.covariance import Structure, lower_triangle
from lmerbridge.equality import by_value
from lmerbridge.likelihood.compact import Compact, compact
from lmerbridge.likelihood.crossproducts import Array, CrossProducts
from lmerbridge.likelihood.layout import Layout

__all__ = ["Coordinates", "Search"]

FEW_ROWS = 2000
SPARE_ROWS = 100
FEW_LEVELS = 6
HEIGHTS = (0.01, 0.2, 1.0, 4.0, 20.0)  # relative standard deviations

Flags: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]


@by_value
@dataclass(frozen=True, eq=False)
class _Part:
    """One term: where its coordinates and its elements of theta are."""

    structure: Structure
    k: int
    coordinates: slice
    theta: slice
    map: Array
    sizes: Array


@functools.lru_cache(maxsize=256)
def _bounded(structure: Structure, k: int) -> Flags:
    return structure.bounded(k)


def _sizes(M: Array, structure: Structure, count: int) -> Array:
    """Of the columns, by coordinate; of an unstructured term none is needed."""
    if structure.plain:
        return np.ones(count)
    sizes = 1 / np.abs(np.diag(M))
    if structure.hom:
        sizes = np.array([np.sqrt(np.mean(sizes**2))])
    return np.append(sizes, np.ones(count - len(sizes)))


def _triangular(A: Array) -> Array:
    """The lower triangular L, not negative on its diagonal, with L L' = A A'."""
    if A.shape == (1, 1):
        return np.abs(A)
    if A.shape == (2, 2):  # one rotation
        (a, b), (c, d) = A.tolist()
        length = math.hypot(a, b)
        if length > 0:
            return np.array(
                [[length, 0.0], [(a * c + b * d) / length, abs(a * d - b * c) / length]]
            )
    R = np.asarray(np.linalg.qr(A.T, mode="r"))
    signs = np.where(np.diag(R) < 0, -1.0, 1.0)
    return np.asarray((signs[:, None] * R).T)


class Coordinates:
    """The coordinates of a model's covariance parameters.

    Parameters
    ----------
    layout : Layout
        In the user's units.

    Attributes
    ----------
    plain : bool
        Whether every term is unstructured: then the coordinates are theta of the scaled columns.
    """

    def __init__(self, layout: Layout):
        self._layout = layout
        self.plain = all(term.structure.plain for term in layout.terms)

    @cached_property
    def maps(self) -> list[Array]:
        """By term, the effects in the user's units are these times the ones of :attr:`products`."""
        pairs = zip(self._layout.terms, self._layout.maps, strict=True)
        return [M if t.structure.plain else np.eye(t.size) for t, M in pairs]

    @cached_property
    def _parts(self) -> list[_Part]:
        parts, start, theta = [], 0, 0
        for term, M in zip(self._layout.terms, self._layout.maps, strict=True):
            k, structure = term.size, term.structure
            count, full = structure.count(k), k * (k + 1) // 2
            sizes = _sizes(M, structure, count)
            parts.append(
                _Part(
                    structure,
                    k,
                    slice(start, start + count),
                    slice(theta, theta + full),
                    M,
                    sizes,
                )
            )
            start, theta = start + count, theta + full
        return parts

    @cached_property
    def bounded(self) -> Flags:
        """Which coordinates are bounded, by 0."""
        return np.concatenate([_bounded(term.structure, term.size) for term in self._layout.terms])

    def theta(self, x: Array) -> Array:
        """Return theta at ``x``; of unstructured terms, that of the scaled columns."""
        return x if self.plain else self._at(x)[0]

    def slope(self, x: Array) -> Array:
        """Derivatives of :meth:`theta` (theta, m)."""
        return np.eye(len(x)) if self.plain else self._at(x)[1]

    def slope_with(self, x: Array, units: Array) -> Array:
        """Derivatives of theta and of what follows it, ``units`` times coordinates of its own, by
        all coordinates ``x``.
        """
        m = len(x) - len(units)
        own = self.slope(x[:m])
        whole = np.zeros((len(own) + len(units), len(x)))
        whole[: len(own), :m] = own
        whole[len(own) :, m:] = np.diag(units)
        return whole

    def _at(self, x: Array) -> tuple[Array, Array]:
        ends = self._parts[-1]
        theta, slope = np.empty(ends.theta.stop), np.zeros((ends.theta.stop, ends.coordinates.stop))
        for part in self._parts:
            at = x[part.coordinates]
            if part.structure.plain:
                theta[part.theta] = at
                slope[part.theta, part.coordinates] = np.eye(len(at))
                continue
            L, derivatives = part.structure.at(at / part.sizes, part.k)
            place = lower_triangle(part.k)
            theta[part.theta] = L[place]
            slope[part.theta, part.coordinates] = derivatives[:, *place].T / part.sizes
        return theta, slope

    def settled(self, x: Array) -> Array:
        """The coordinates with what is all but at a boundary put there."""
        if self.plain:
            return x
        return np.concatenate(
            [
                x[p.coordinates]
                if p.structure.plain
                else p.structure.settled(x[p.coordinates] / p.sizes, p.k) * p.sizes
                for p in self._parts
            ]
        )

    def users(self, x: Array) -> Array:
        """Return theta at ``x`` for the user's columns."""
        return self._moved(self.theta(x), [part.map for part in self._parts])

    def of_users(self, theta: Array) -> Array:
        """The coordinates of a theta for the user's columns."""
        moved = self._moved(theta, self._layout.inverse_maps)
        if self.plain:
            return moved
        coordinates = []
        for part in self._parts:
            moved_part = moved[part.theta]
            if not part.structure.plain:
                L = np.zeros((part.k, part.k))
                L[lower_triangle(part.k)] = moved_part
                par = part.structure.of_factor(L)
                moved_part = part.structure.coordinates(par, part.k) * part.sizes
            coordinates.append(moved_part)
        return np.concatenate(coordinates)

    def _moved(self, theta: Array, maps: list[Array]) -> Array:
        moved = np.array(theta, dtype=np.float64)
        for part, M in zip(self._parts, maps, strict=True):
            if part.structure.plain:
                place = lower_triangle(part.k)
                L = np.zeros((part.k, part.k))
                L[place] = theta[part.theta]
                moved[part.theta] = _triangular(M @ L)[place]
        return moved

    def parameters(self, x: Array) -> Array:
        """The parameters at ``x``, for the user's columns: lme4's ``par``."""
        theta = self.users(x)
        return np.concatenate(
            [
                theta[p.theta]
                if p.structure.plain
                else p.structure.parameters(x[p.coordinates] / p.sizes, p.k)
                for p in self._parts
            ]
        )

    def of_parameters(self, par: Array) -> Array:
        """The coordinates of parameters for the user's columns."""
        theta, coordinates = np.zeros(self._parts[-1].theta.stop), []
        for p in self._parts:
            theta[p.theta] = p.structure.factor(par[p.coordinates], p.k)[lower_triangle(p.k)]
        x = self.of_users(theta)
        for p in self._parts:
            if p.structure.plain:
                coordinates.append(x[p.coordinates])
            else:  # of a standard deviation of 0 theta does not tell the correlation
                coordinates.append(p.structure.coordinates(par[p.coordinates], p.k) * p.sizes)
        return np.concatenate(coordinates)

    def starts(self) -> Iterator[Array]:
        """Points to start a search from beside the usual ones: other correlations."""
        for which in range(0 if self.plain else 2):
            x = np.where(self.bounded, 1.0, 0.0)
            angles = False
            for p in self._parts:
                other = p.structure.starts(p.k)
                if other:
                    x[p.coordinates.stop - 1], angles = other[which], True
            if angles:
                yield x


class Search(Coordinates):
    """The coordinates of a linear mixed model, with its cross-products."""

    def __init__(self, c: CrossProducts):
        super().__init__(c.layout)
        self._products = c

    @cached_property
    def products(self) -> CrossProducts:
        """The cross-products, for theta as :meth:`theta` gives it."""
        return self._products.in_own_units()

    @cached_property
    def compact(self) -> Compact | None:
        """The cross-products in the form that is fastest for one small factor, if that suits."""
        return compact(self.products) if self.plain else None

    def alone(self, index: int) -> tuple[Search, np.ndarray[Any, np.dtype[np.intp]]]:
        """The search of the model with the terms on one factor only, and which of these
        coordinates are its.
        """
        indices = [
            np.arange(part.coordinates.start, part.coordinates.stop)
            for part, term in zip(self._parts, self._layout.terms, strict=True)
            if term.factor == index
        ]
        return Search(self._products.alone(index)), np.concatenate(indices)

    def wide_starts(self) -> Iterator[Array]:
        """Points to start a search from where a criterion may have several optima and costs little:
        few rows beyond the fixed effects, or few levels.

        Of 265 random designs of 3 to 6 groups, with up to 18 fixed effects, the search from one
        start missed 6 (of which 3 fall without end); of 279 others of up to 25 groups, one of 16
        rows. benchmarks/optima.py looks for what is missed now.
        """
        c = self._products
        levels = min(factor.levels for factor in c.factors)
        if c.n > FEW_ROWS or (c.n - c.p > SPARE_ROWS and levels > FEW_LEVELS):
            return
        for height in HEIGHTS:
            yield np.where(self.bounded, height, 0.0)
