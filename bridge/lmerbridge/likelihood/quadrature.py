"""Adaptive Gauss-Hermite quadrature of a generalized linear mixed model's likelihood, with its
exact gradient.

Where all random effects are of one grouping factor, the likelihood is a product over its levels of
integrals over their few spherical effects u. With the conditional modes m, the matrix
M = Lambda'Z'W Z Lambda + I of a level's Laplace approximation, R the lower Cholesky factor of its
inverse, nodes z_k and weights w_k for the standard normal,

    f = Laplace's f - 2 sum over levels log sum_k w_k exp(g(m + R z_k) - g(m) + |z_k|^2 / 2),

g(u) = sum l(eta) - |u|^2 / 2: Pinheiro & Bates (1995), J. Comput. Graph. Stat. 4, 12-35, section
2.4; Liu & Pierce (1994), Biometrika 81, 624-629. One node is Laplace's approximation. For several
effects a level the nodes are those of the product rule, whose axes are those of u: another root
Lambda of the same covariance matrix (as a structured term has it, which keeps the user's columns)
turns them, and the value differs by less than the quadrature's own error.

The gradient is that of this sum, not of the integral that it approximates: the nodes move with the
parameters, by the modes and by R (Stringer & Bilodeau 2022, arXiv:2202.07864). With pi_k the shares
of the nodes, s_k the scores and t_k = Z's_k there, g_k = Lambda't_k - u_k:

- dR = -R L(R'dM R), L the lower triangle with half of the diagonal; so all that depends on M is
  tr K dM, K = M^-1 + 2 R P R' and P the symmetric matrix of which the upper triangle, off the
  diagonal, is half of that of C = (sum_k pi_k z_k g_k') R, and the diagonal half of C's;
- M depends on eta at the modes by a = W' q, q = diag Z Lambda K Lambda'Z';
- the modes move as in :mod:`lmerbridge.likelihood.laplace`, with
  v = M_h^-1 (Lambda'Z'a - 2 sum_k pi_k g_k) and c = a - h Z Lambda v. In all,

      df = (c - 2 sum_k pi_k s_k)' dX beta
           + <dLambda, Z'c m' + t v' + 2 Z'W Z Lambda K - 2 sum_k pi_k t_k u_k'>.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from lmerbridge.design import upper_triangle
from lmerbridge.equality import by_value
from lmerbridge.errors import ArgumentError, UnsupportedModelError
from lmerbridge.likelihood.hermite import Rule, product_rule
from lmerbridge.likelihood.laplace import LaplacePoint, Problem
from lmerbridge.likelihood.layout import Array, IntArray

__all__ = [
    "MOST_NUMBERS",
    "MOST_WIDTH",
    "Levels",
    "QuadraturePoint",
    "check_nodes",
    "log_sums",
    "nodes_at",
    "quadrature",
    "refused_nodes",
    "root_of",
]

MOST_NODES = 100
MOST_WIDTH = 3
CHUNK = 200_000  # rows times nodes that are computed at once
MOST_NUMBERS = 50_000_000  # levels times nodes: they are kept


def refused_nodes(nodes: int, factors: int, width: int, levels: int) -> str | None:
    """Say why this quadrature is not for a model, or ``None``.

    Parameters
    ----------
    nodes : int
        A dimension, from 1 on.
    factors : int
        Grouping factors.
    width : int
        Random effects a level of the first one.
    levels : int
        Its levels.
    """
    if nodes == 1:
        return None
    if factors > 1:
        return (
            f"nAGQ = {nodes} needs one grouping factor: with {factors} of them the likelihood"
            " is no product of integrals over a few random effects each; use nAGQ = 1"
        )
    if width > MOST_WIDTH:
        return (
            f"nAGQ = {nodes} takes up to {MOST_WIDTH} random effects a level, and there are"
            f" {width}: that would be {nodes}^{width} nodes; use nAGQ = 1"
        )
    if levels * nodes**width > MOST_NUMBERS:
        return (
            f"nAGQ = {nodes} with {width} random effects for each of {levels} levels"
            f" takes {nodes**width} nodes a level, which is more than fits into memory:"
            " use fewer nodes"
        )
    return None


def check_nodes(problem: Problem, nodes: int) -> None:
    """Refuse what this quadrature is not for.

    Parameters
    ----------
    problem : Problem
    nodes : int
        A dimension.

    Raises
    ------
    ArgumentError
        ``nodes`` is not from 1 to 100.
    UnsupportedModelError
        There are several grouping factors, more than 3 effects a level, or too many nodes in all.
    """
    if not 1 <= nodes <= MOST_NODES:
        raise ArgumentError(f"nAGQ must be from 0 to {MOST_NODES}, not {nodes}")
    first = problem.layout.factors[0]
    refused = refused_nodes(nodes, len(problem.layout.factors), first.width, first.levels)
    if refused is not None:
        raise UnsupportedModelError(refused)


@by_value
@dataclass(frozen=True, eq=False)
class Levels:
    """The rows of a model with one grouping factor at nodes that differ by level.

    Attributes
    ----------
    problem : Problem
    L : array (width, width)
        The block of Lambda.
    columns : array (n, width)
        Z Lambda.
    """

    problem: Problem
    L: Array
    columns: Array

    @classmethod
    def of(cls, point: LaplacePoint) -> Levels:
        """Take the rows at a theta."""
        L = point.Lambda.factors[0]
        return cls(point.problem, L, point.problem.effects.columns[0] @ L)

    @property
    def codes(self) -> IntArray:
        """The level (n,) of each row."""
        return self.problem.effects.codes[0]

    @property
    def count(self) -> int:
        """How many levels there are."""
        return self.problem.layout.factors[0].levels

    def sums(self, values: Array) -> Array:
        """Sums over the rows of each level (k, levels) of values (k, n)."""
        k = len(values)
        places = self.codes + self.count * np.arange(k)[:, None]
        found = np.bincount(places.ravel(), values.ravel(), k * self.count)
        return np.asarray(found, dtype=np.float64).reshape(k, self.count)

    def chunks(self, rule: Rule) -> Iterator[slice]:
        """Nodes that are taken at once."""
        size = max(1, CHUNK // max(1, len(self.codes)))
        for start in range(0, len(rule.points), size):
            yield slice(start, min(start + size, len(rule.points)))

    def predictors(self, centre: Array, root: Array, z: Array) -> Array:
        """Linear predictors (k, n) at the nodes z (k, width), from those of the centre (n,)."""
        moved = np.einsum("na,nab->nb", self.columns, root[self.codes])
        return np.asarray(centre + z @ moved.T)

    def _repeated(self, eta: Array) -> tuple[Array, Array]:
        """The response and the weights, once for each of k nodes."""
        problem = self.problem
        return np.tile(problem.y, len(eta)), np.tile(problem.prior, len(eta))

    def densities(self, eta: Array) -> Array:
        """Log densities (k, n) without the constant: minus infinity where there is no such mean."""
        y, weights = self._repeated(eta)
        with np.errstate(all="ignore"):
            found = self.problem.family.value(y, eta.ravel(), weights)
        return np.where(np.isnan(found), -np.inf, found).reshape(eta.shape)

    def scores(self, eta: Array) -> Array:
        """Derivatives of :meth:`densities` (k, n); 0 where they are no numbers."""
        y, weights = self._repeated(eta)
        with np.errstate(all="ignore"):
            found = self.problem.family.derivatives(y, eta.ravel(), weights, 1).score
        return np.where(np.isfinite(found), found, 0.0).reshape(eta.shape)

    def log_integrands(self, eta: Array, u: Array, root: Array, rule: Rule) -> Array:
        """What the sum over the nodes is of, in logs (levels, K).

        Parameters
        ----------
        eta : array (n,)
            Linear predictors at the centre.
        u : array (levels, width)
            The centre.
        root : array (levels, width, width)
            R: the nodes are u + R z.
        rule : Rule
        """
        found = np.empty((self.count, len(rule.points)))
        for some in self.chunks(rule):
            z = rule.points[some]
            at = self.sums(self.densities(self.predictors(eta, root, z)))
            at -= 0.5 * np.sum(nodes_at(u, root, z) ** 2, axis=2)
            found[:, some] = (at + rule.log_factors[some, None]).T
        return found


def nodes_at(u: Array, root: Array, z: Array) -> Array:
    """The nodes u + R z (k, levels, width)."""
    return np.asarray(u + np.einsum("lab,kb->kla", root, z))


def root_of(covariances: np.ndarray[Any, Any]) -> Array:
    """The lower Cholesky factors (levels, width, width) of covariances, made symmetric."""
    symmetric = 0.5 * (covariances + covariances.swapaxes(1, 2))
    return np.asarray(np.linalg.cholesky(symmetric), dtype=np.float64)


def log_sums(logs: Array) -> Array:
    """The log of the sum of the exponentials over the last axis."""
    most = logs.max(axis=-1, keepdims=True)
    most = np.where(np.isfinite(most), most, 0.0)  # no node has a mean: the sum is 0
    with np.errstate(divide="ignore"):
        return np.asarray(most[..., 0] + np.log(np.exp(logs - most).sum(axis=-1)))


@by_value
@dataclass(frozen=True, eq=False)
class QuadraturePoint:
    """The quadrature at a theta and beta.

    Attributes
    ----------
    laplace : LaplacePoint
        The conditional modes and Laplace's approximation.
    nodes : int
        A dimension.
    """

    laplace: LaplacePoint
    nodes: int

    @property
    def information(self) -> Array:
        """An approximation of the Hessian that is not negative: that of Laplace's criterion."""
        return self.laplace.information

    @property
    def _rule(self) -> Rule:
        return product_rule(self.nodes, self.laplace.problem.layout.factors[0].width)

    @cached_property
    def _levels(self) -> Levels:
        return Levels.of(self.laplace)

    def _matrix(self, D: Array) -> Array:
        """Lambda'D Lambda + I (levels, width, width)."""
        L = self._levels.L
        return np.asarray(L.T @ D @ L + np.eye(len(L)))

    @property
    def _weighted(self) -> Array:
        """Z'W Z (levels, width, width) of the criterion's weights."""
        return self.laplace.elimination.stages[0].D

    @cached_property
    def root(self) -> Array:
        """R (levels, width, width): the lower Cholesky factor of M^-1."""
        return root_of(np.linalg.inv(self._matrix(self._weighted)))

    @cached_property
    def _log_terms(self) -> Array:
        """The terms of the sum over the nodes relative to the integrand at the modes, in logs."""
        point, levels = self.laplace, self._levels
        here = levels.sums(point.rows.value[None])[0] - 0.5 * np.sum(point.u[0] ** 2, axis=1)
        there = levels.log_integrands(point.eta, point.u[0], self.root, self._rule)
        return np.asarray(there - here[:, None])

    @cached_property
    def _corrections(self) -> Array:
        """By level, what Laplace's approximation of the log integral is changed by."""
        return log_sums(self._log_terms)

    @cached_property
    def criterion(self) -> float:
        """-2 log-likelihood by the quadrature, with all constants."""
        if self.nodes == 1:
            return self.laplace.criterion
        return float(self.laplace.criterion - 2 * self._corrections.sum())

    @cached_property
    def gradient(self) -> Array:
        """Derivatives of the criterion over theta and beta (m + p,)."""
        if self.nodes == 1:
            return self.laplace.gradient
        point, problem, L = self.laplace, self.laplace.problem, self._levels.L
        rows, codes, u = point.rows, self._levels.codes, point.u[0]
        mean_score, mean_slope, across, products = self._means
        C = across @ self.root
        upper = np.triu(C, 1)
        P = 0.5 * (upper + upper.swapaxes(1, 2) + C * np.eye(len(L)))
        D, h = self._weighted, rows.expected if rows.observed is None else rows.observed
        K = np.linalg.inv(self._matrix(D)) + 2 * self.root @ P @ self.root.swapaxes(1, 2)
        ZL = self._levels.columns
        a = point.weight_slopes * np.einsum("na,nab,nb->n", ZL, K[codes], ZL)
        towards = problem.effects.sums(a)[0] @ L - 2 * mean_slope
        moving = self._matrix(point.implicit.stages[0].D)
        v = np.linalg.solve(moving, towards[:, :, None])[:, :, 0]
        c = a - h * np.einsum("na,na->n", ZL, v[codes])
        whole = problem.effects.sums(c)[0].T @ u + point.scores[0].T @ v
        whole += 2 * ((D @ L) @ K).sum(axis=0) - 2 * products
        found = []
        for term, back in zip(problem.layout.terms, problem.layout.inverse_maps, strict=True):
            own = whole[term.within, term.within]
            found.append((back.T @ own).T[upper_triangle(term.size)])
        return np.concatenate([*found, problem.Q.T @ (c - 2 * mean_score)])

    @property
    def _means(self) -> tuple[Array, Array, Array, Array]:
        """Means over the nodes by their shares: of the score (n,), of g_k and of z_k g_k' by level,
        and the sum over the levels of that of t_k u_k'.
        """
        point, levels, rule = self.laplace, self._levels, self._rule
        shares = np.exp(self._log_terms - self._corrections[:, None]).T
        width = rule.points.shape[1]
        mean_score = np.zeros(len(levels.codes))
        mean_slope = np.zeros((levels.count, width))
        across = np.zeros((levels.count, width, width))
        products = np.zeros((width, width))
        for some in levels.chunks(rule):
            z, share = rule.points[some], shares[some]
            scores = levels.scores(levels.predictors(point.eta, self.root, z))
            scores *= share[:, levels.codes]
            mean_score += scores.sum(axis=0)
            columns = point.problem.effects.columns[0]
            t = np.stack([levels.sums(scores * column) for column in columns.T], axis=2)
            u = nodes_at(point.u[0], self.root, z)
            g = t @ levels.L - share[:, :, None] * u
            mean_slope += g.sum(axis=0)
            across += np.einsum("ka,klb->lab", z, g)
            products += np.einsum("kla,klb->ab", t, u)
        return mean_score, mean_slope, across, products


def quadrature(point: LaplacePoint, nodes: int) -> QuadraturePoint:
    """Integrate by adaptive Gauss-Hermite quadrature around conditional modes.

    Parameters
    ----------
    point : LaplacePoint
        The modes, at fixed effects that are given (not ``joint``).
    nodes : int
        A dimension, from 1 (Laplace's approximation) to 100.

    Raises
    ------
    ArgumentError, UnsupportedModelError
        As :func:`check_nodes` has them.
    """
    check_nodes(point.problem, nodes)
    return QuadraturePoint(point, nodes)
