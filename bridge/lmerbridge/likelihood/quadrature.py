"""Adaptive Gauss-Hermite quadrature of a generalized linear mixed model's likelihood, with its
exact gradient.

Where the grouping factors are nested, the likelihood is a product over the outermost levels of
integrals over their spherical effects u, which is a recursion over the levels within
(:mod:`lmerbridge.likelihood.paths`). With the conditional modes m, M = Lambda'Z'W Z Lambda + I of
Laplace's approximation, R the lower Cholesky factor of its inverse, the outermost effects first,
nodes z_k and weights w_k for the standard normal, each of these integrals is, about,

    |R| sum_k w_k exp(g(m + R z_k) + |z_k|^2 / 2),    g(u) = sum l(eta) - |u|^2 / 2:

Pinheiro & Bates (1995), J. Comput. Graph. Stat. 4, 12-35, section 2.4; Liu & Pierce (1994),
Biometrika 81, 624-629; Pinheiro & Chao (2006), there 15, 58-81, for several factors. One node is
Laplace's approximation. For several effects a level the nodes are those of the product rule, whose
axes are those of u: another root Lambda of the same covariance matrix (as a structured term has it,
which keeps the user's columns) turns them, and the value differs by less than the quadrature's own
error.

The gradient is that of this sum, not of the integral that it approximates: the nodes move with the
parameters, by the modes and by R (Stringer & Bilodeau 2022, arXiv:2202.07864). With pi_k the shares
of the nodes, s_k the scores and t_k = Z's_k there, g_k = Lambda't_k - u_k:

- dR = -R L(R'dM R), L the lower triangle with half of the diagonal; so all that depends on M is
  tr K dM, K = M^-1 + 2 R P R' and P the symmetric matrix of which the upper triangle, off the
  diagonal, is half of that of C = (sum_k pi_k z_k g_k') R, and the diagonal half of C's. dM is zero
  but along paths, and so K is needed there alone;
- M depends on eta at the modes by a = W' q, q = diag Z Lambda K Lambda'Z';
- the modes move as in :mod:`lmerbridge.likelihood.laplace`, with
  v = M_h^-1 (Lambda'Z'a - 2 sum_k pi_k g_k) and c = a - h Z Lambda v. In all,

      df = (c - 2 sum_k pi_k s_k)' dX beta
           + <dLambda, Z'c m' + t v' + 2 Z'W Z Lambda K - 2 sum_k pi_k t_k u_k'>.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lmerbridge.design import ModelFrame, codes_nested, upper_triangle
from lmerbridge.equality import by_value
from lmerbridge.errors import ArgumentError, UnsupportedModelError
from lmerbridge.likelihood.laplace import LaplacePoint, Problem
from lmerbridge.likelihood.layout import Array, Factor, IntArray, layout_of
from lmerbridge.likelihood.paths import Integral, Paths

__all__ = [
    "MOST_ALONG",
    "MOST_NUMBERS",
    "QuadraturePoint",
    "check_nodes",
    "quadrature",
    "refused_for",
    "refused_nodes",
]

MOST_NODES = 100
MOST_WIDTH = 3
MOST_ALONG = 4
MOST_NUMBERS = 50_000_000  # levels times nodes: they are kept


def refused_nodes(nodes: int, factors: Sequence[Factor], codes: Sequence[IntArray]) -> str | None:
    """Say why this quadrature is not for a model, or ``None``.

    Parameters
    ----------
    nodes : int
        A dimension, from 1 on.
    factors : sequence of Factor
    codes : sequence of array of int (n,)
        The levels of each.
    """
    if nodes == 1:
        return None
    if not all(codes_nested(*pair) for pair in itertools.pairwise(codes)):
        return (
            f"nAGQ = {nodes} needs one grouping factor, or factors nested in each other: the"
            " likelihood is no product of integrals over a few random effects each; use nAGQ = 1"
        )
    width, along = max(f.width for f in factors), sum(f.width for f in factors)
    if width > MOST_WIDTH or along > MOST_ALONG:
        return (
            f"nAGQ = {nodes} takes up to {MOST_WIDTH} random effects a level, {MOST_ALONG} along"
            f" nested ones, and there are {along}: that would be {nodes}^{along} nodes; use"
            " nAGQ = 1"
        )
    if factors[0].levels * nodes**along > MOST_NUMBERS:
        return (
            f"nAGQ = {nodes} with {along} random effects for each of {factors[0].levels} levels"
            f" takes {nodes**along} nodes a level, which is more than fits into memory:"
            " use fewer nodes"
        )
    return None


def refused_for(nodes: int, frame: ModelFrame) -> str | None:
    """Say why this quadrature is not for the model of a frame, or ``None``."""
    layout = layout_of(frame)
    return refused_nodes(nodes, layout.factors, [own[0].codes for own in layout.blocks(frame)])


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
        There are factors that are not nested, more than 3 effects a level or 4 along nested ones,
        or too many nodes in all.
    """
    if not 1 <= nodes <= MOST_NODES:
        raise ArgumentError(f"nAGQ must be from 0 to {MOST_NODES}, not {nodes}")
    refused = refused_nodes(nodes, problem.layout.factors, problem.effects.codes)
    if refused is not None:
        raise UnsupportedModelError(refused)


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

    @cached_property
    def paths(self) -> Paths:
        """Where the effects lie."""
        return Paths.of(self.laplace)

    @property
    def _weights(self) -> Array:
        """Those of the criterion's determinant (n,)."""
        rows = self.laplace.rows
        if not self.laplace.problem.observed or rows.observed is None:
            return rows.expected
        return rows.observed

    @cached_property
    def integral(self) -> Integral:
        """The integral around the modes."""
        paths, point = self.paths, self.laplace
        u = paths.along(point.u[::-1])
        return Integral(paths, point.eta, u, paths.root(self._weights), self.nodes)

    @cached_property
    def criterion(self) -> float:
        """-2 log-likelihood by the quadrature, with all constants."""
        if self.nodes == 1:
            return self.laplace.criterion
        return self.laplace.problem.constant - 2 * self.integral.value

    @property
    def _observed(self) -> Array:
        """The observed information (n,)."""
        rows = self.laplace.rows
        return rows.expected if rows.observed is None else rows.observed

    @cached_property
    def _scores(self) -> tuple[Array, Array]:
        """The mean of the rows' scores (n,), and that of them times z (n, d)."""
        family = self.laplace.problem.family
        return self.integral.means(lambda y, eta, w: family.derivatives(y, eta, w).score)

    @cached_property
    def _turned(self) -> Array:
        """K along each path (paths, d, d)."""
        paths, at = self.paths, self.integral
        root, codes = at.root, paths.codes
        z, squares = at.moments
        u = np.einsum("pa,pb->pab", z, at.u) + squares @ root.swapaxes(1, 2)  # mean of z u'
        moved = np.einsum("na,nab->nb", paths.columns, root[codes])
        total = paths.of_rows(self._scores[1][:, :, None] * moved[:, None, :])
        C = np.zeros_like(root)
        for depth in reversed(range(len(paths.own))):
            own, first = paths.own[depth], paths.first[depth]
            whole = slice(own.stop)
            total = total[:, whole, whole] - u[first][:, whole, own] @ root[first][:, own, whole]
            C[:, whole, own] = total[paths.levels[depth]][:, :, own]
            if depth:
                total = paths.inwards(total, depth, depth - 1)
        upper = np.triu(C, 1)
        P = 0.5 * (upper + upper.swapaxes(1, 2) + C * np.eye(C.shape[1]))
        return np.asarray(root @ (np.eye(C.shape[1]) + 2 * P) @ root.swapaxes(1, 2))

    @cached_property
    def _along_rows(self) -> Array:
        """K Lambda'Z' (n, d)."""
        found = np.einsum("na,nab->nb", self.paths.columns, self._turned[self.paths.codes])
        return np.asarray(found)

    @cached_property
    def row_variances(self) -> Array:
        """q (n,): what the rows' weights change the criterion by."""
        return np.asarray(np.einsum("na,na->n", self._along_rows, self.paths.columns))

    @cached_property
    def _moves(self) -> Array:
        """v along each path (paths, d)."""
        paths, at = self.paths, self.integral
        a = self.laplace.weight_slopes * self.row_variances - 2 * self._scores[0]
        rows = paths.of_rows(paths.columns * a[:, None])
        mean = at.u + np.einsum("pab,pb->pa", at.root, at.moments[0])
        last = len(paths.own) - 1
        right = [
            paths.inwards(rows[:, own], last, depth) + 2 * mean[first][:, own]
            for depth, (own, first) in enumerate(zip(paths.own, paths.first, strict=True))
        ]
        root = at.root
        if self._weights is not self._observed:
            with contextlib.suppress(np.linalg.LinAlgError):  # a maximum is flat, to rounding
                root = paths.root(self._observed)
        return paths.solved(root, right)

    @cached_property
    def moves(self) -> Array:
        """Z Lambda v (n,): what the rows' scores change the criterion by, through the modes."""
        found = np.einsum("na,na->n", self.paths.columns, self._moves[self.paths.codes])
        return np.asarray(found)

    @cached_property
    def gradient(self) -> Array:
        """Derivatives of the criterion over theta and beta (m + p,)."""
        if self.nodes == 1:
            return self.laplace.gradient
        point, problem, paths, at = self.laplace, self.laplace.problem, self.paths, self.integral
        codes, (mean, along) = paths.codes, self._scores
        c = point.weight_slopes * self.row_variances - self._observed * self.moves - 2 * mean
        right = c[:, None] * at.u[codes] + point.rows.score[:, None] * self._moves[codes]
        right += 2 * self._weights[:, None] * self._along_rows
        right -= 2 * np.einsum("nab,nb->na", at.root[codes], along)
        found = []
        for term, back in zip(problem.layout.terms, problem.layout.inverse_maps, strict=True):
            own = right[:, paths.own[-1 - term.factor]][:, term.within]
            whole = problem.effects.columns[term.factor][:, term.within].T @ own
            found.append((back.T @ whole).T[upper_triangle(term.size)])
        return np.concatenate([*found, problem.Q.T @ c])


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
