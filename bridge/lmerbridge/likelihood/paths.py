"""The rows of a model whose grouping factors are nested, along which its likelihood is integrated.

A path is a level of the innermost factor with the levels that it is in; its spherical effects are
those of the outermost level first. Given these, levels further in are independent, so that the
integral is a recursion: the sum over the nodes of a level is of products, over the levels in it, of
such sums (Pinheiro & Chao 2006, J. Comput. Graph. Stat. 15, 58-81). The rows of a path meet
nodes^d points, d the effects along it, however many levels an outer one has.

The precision M of all effects is zero but along paths, and so is the lower Cholesky factor R of
M^-1 with the outermost effects first: of each path it is the factor of its own covariance matrix.
Nodes are u + R z.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from lmerbridge.equality import by_value
from lmerbridge.likelihood.hermite import Rule, product_rule
from lmerbridge.likelihood.laplace import LaplacePoint, Problem
from lmerbridge.likelihood.layout import Array, IntArray

__all__ = ["Integral", "Paths", "root_of"]

CHUNK = 200_000  # rows times nodes that are computed at once


@by_value
@dataclass(frozen=True, eq=False)
class Paths:
    """The rows at nodes that differ by path.

    Attributes
    ----------
    problem : Problem
        Its factors are nested, each in the next.
    columns : array (n, d)
        Z Lambda along the row's path.
    """

    problem: Problem
    columns: Array

    @classmethod
    def of(cls, point: LaplacePoint) -> Paths:
        """Take the rows at a theta."""
        pairs = zip(point.problem.effects.columns, point.Lambda.factors, strict=True)
        return cls(point.problem, np.concatenate([z @ L for z, L in pairs][::-1], axis=1))

    @property
    def codes(self) -> IntArray:
        """The path (n,) of each row; rows lie path by path."""
        return self.problem.effects.codes[0]

    @cached_property
    def own(self) -> list[slice]:
        """By depth, from the outermost on, which effects along a path are the level's own."""
        ends = np.cumsum([0, *(f.width for f in reversed(self.problem.layout.factors))]).tolist()
        return [slice(a, b) for a, b in itertools.pairwise(ends)]

    @cached_property
    def starts(self) -> IntArray:
        """The first row of each path."""
        return np.searchsorted(self.codes, np.arange(self.problem.layout.factors[0].levels))

    @cached_property
    def levels(self) -> list[IntArray]:
        """By depth the level that each path is in (paths,)."""
        return [codes[self.starts] for codes in reversed(self.problem.effects.codes)]

    @cached_property
    def first(self) -> list[IntArray]:
        """By depth a path that each level is on (levels,)."""
        return [np.unique(own, return_index=True)[1] for own in self.levels]

    def of_rows(self, values: Array) -> Array:
        """Sums (paths, ...) of values by row (n, ...)."""
        return np.asarray(np.add.reduceat(values, self.starts, axis=0))

    def inwards(self, values: Array, depth: int, outer: int) -> Array:
        """Sums by level of the depth ``outer`` of values by level of ``depth``."""
        if depth == outer:
            return values
        found = np.zeros((len(self.first[outer]), *values.shape[1:]))
        np.add.at(found, self.levels[outer][self.first[depth]], values)
        return found

    def along(self, by_depth: Sequence[Array]) -> Array:
        """Values along each path (paths, d) of those by depth (levels, width)."""
        pairs = zip(by_depth, self.levels, strict=True)
        return np.concatenate([own[level] for own, level in pairs], axis=1)

    def root(self, weights: Array) -> Array:
        """R along each path (paths, d, d), for M = Lambda'Z'W Z Lambda + I.

        Parameters
        ----------
        weights : array (n,)

        Raises
        ------
        numpy.linalg.LinAlgError
            M is not positive definite.
        """
        A = self.of_rows((weights[:, None] * self.columns)[:, :, None] * self.columns[:, None])
        steps = []
        for depth in reversed(range(len(self.own))):
            own, outer = self.own[depth], slice(self.own[depth].start)
            inverse = np.linalg.inv(A[:, own, own] + np.eye(own.stop - own.start))
            towards = -inverse @ A[:, own, outer]
            steps.append((root_of(inverse), towards))
            A = A[:, outer, outer] + A[:, outer, own] @ towards
            if depth:
                A = self.inwards(A, depth, depth - 1)
        found = np.zeros((len(self.starts), *[self.columns.shape[1]] * 2))
        for own, level, (root, towards) in zip(self.own, self.levels, steps[::-1], strict=True):
            outer = slice(own.start)
            found[:, own, outer] = towards[level] @ found[:, outer, outer]
            found[:, own, own] = root[level]
        return found

    def solved(self, root: Array, right: Sequence[Array]) -> Array:
        """M^-1 r = R R'r along each path (paths, d), for r by depth (levels, width)."""
        z = [np.zeros_like(own) for own in right]
        for depth, (own, r) in enumerate(zip(self.own, right, strict=True)):
            moved = np.einsum("la,lab->lb", r, root[self.first[depth]][:, own])
            for outer in range(depth + 1):
                z[outer] += self.inwards(moved[:, self.own[outer]], depth, outer)
        return np.asarray(np.einsum("pab,pb->pa", root, self.along(z)))

    def chunks(self, rule: Rule) -> Iterator[slice]:
        """Nodes that are taken at once."""
        size = max(1, CHUNK // max(1, len(self.codes)))
        for start in range(0, len(rule.points), size):
            yield slice(start, min(start + size, len(rule.points)))

    def at_nodes(
        self, function: Callable[[Array, Array, Array], Array], centre: Array, root: Array, z: Array
    ) -> Array:
        """A function of y, eta and weights at the nodes z (k, d): (k, n), with eta ``centre`` (n,)
        at z = 0.
        """
        eta = centre + z @ np.einsum("na,nab->nb", self.columns, root[self.codes]).T
        y, weights = self.problem.y, self.problem.prior
        with np.errstate(all="ignore"):
            found = function(np.tile(y, len(z)), eta.ravel(), np.tile(weights, len(z)))
        return found.reshape(eta.shape)


@by_value
@dataclass(frozen=True, eq=False)
class Integral:
    """The integral around a place, by a rule with so many nodes a dimension.

    Attributes
    ----------
    paths : Paths
    eta : array (n,)
        Linear predictors at the centre.
    u : array (paths, d)
        The centre.
    root : array (paths, d, d)
        R.
    nodes : int
    """

    paths: Paths
    eta: Array
    u: Array
    root: Array
    nodes: int

    @cached_property
    def rule(self) -> Rule:
        """Nodes and factors along a path, the outermost slowest."""
        return product_rule(self.nodes, self.u.shape[1])

    @cached_property
    def _logs(self) -> list[tuple[Array, Array]]:
        """By depth, what is summed over the level's own nodes, in logs (levels, nodes of outer
        ones, own nodes), and the logs of the sums.
        """
        paths, found = self.paths, []
        at = np.empty((len(self.u), len(self.rule.points)))
        for some in paths.chunks(self.rule):
            value = paths.at_nodes(
                paths.problem.family.value, self.eta, self.root, self.rule.points[some]
            )
            # minus infinity where there is no such mean
            at[:, some] = paths.of_rows(np.where(np.isnan(value), -np.inf, value).T)
        for depth in reversed(range(len(paths.own))):
            own, first = paths.own[depth], paths.first[depth]
            points = product_rule(self.nodes, own.stop).points
            u = self.u[first][:, own, None] + self.root[first][:, own, : own.stop] @ points.T
            at -= 0.5 * np.einsum("lak,lak->lk", u, u)
            rule = product_rule(self.nodes, own.stop - own.start)
            terms = at.reshape(len(first), -1, len(rule.points)) + rule.log_factors
            sums = log_sums(terms)
            found.append((terms, sums))
            if depth:
                at = paths.inwards(sums, depth, depth - 1)
        return found[::-1]

    @cached_property
    def value(self) -> float:
        """The log of the integral."""
        scales = np.log(np.diagonal(self.root, axis1=1, axis2=2))
        pairs = zip(self.paths.own, self.paths.first, strict=True)
        return float(self._logs[0][1].sum() + sum(scales[f][:, own].sum() for own, f in pairs))

    @cached_property
    def shares(self) -> Array:
        """The nodes' shares of the integral along each path (paths, nodes)."""
        found = np.ones((1, 1))
        for depth, (terms, sums) in enumerate(self._logs):
            above = self.paths.levels[depth - 1][self.paths.first[depth]] if depth else [0]
            found = found[above][:, :, None] * np.exp(terms - sums[:, :, None])
            found = found.reshape(len(terms), -1)
        return found

    @cached_property
    def moments(self) -> tuple[Array, Array]:
        """The means of z (paths, d) and of z z' (paths, d, d)."""
        z = self.rule.points
        squares = (z[:, :, None] * z[:, None, :]).reshape(len(z), -1)
        return self.shares @ z, (self.shares @ squares).reshape(self.root.shape)

    def means(self, function: Callable[[Array, Array, Array], Array]) -> tuple[Array, Array]:
        """The mean of a function of y, eta and weights by row (n,), and of it times z (n, d)."""
        paths, n = self.paths, len(self.eta)
        mean, along = np.zeros(n), np.zeros((n, self.u.shape[1]))
        for some in paths.chunks(self.rule):
            z = self.rule.points[some]
            at = paths.at_nodes(function, self.eta, self.root, z)
            at = np.where(np.isfinite(at), at, 0.0) * self.shares.T[some][:, paths.codes]
            mean += at.sum(axis=0)
            along += at.T @ z
        return mean, along


def root_of(covariances: np.ndarray[Any, np.dtype[Any]]) -> Array:
    """The lower Cholesky factors (., d, d) of covariances, made symmetric."""
    symmetric = 0.5 * (covariances + covariances.swapaxes(1, 2))
    return np.asarray(np.linalg.cholesky(symmetric), dtype=np.float64)


def log_sums(logs: Array) -> Array:
    """The log of the sum of the exponentials over the last axis."""
    most = logs.max(axis=-1, keepdims=True)
    most = np.where(np.isfinite(most), most, 0.0)  # no node has a mean: the sum is 0
    with np.errstate(divide="ignore"):
        return np.asarray(most[..., 0] + np.log(np.exp(logs - most).sum(axis=-1)))
