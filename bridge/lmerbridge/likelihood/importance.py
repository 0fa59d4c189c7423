"""The marginal likelihood of a generalized linear mixed model by importance sampling.

The spherical effects u are drawn from a multivariate t distribution around the conditional modes,
its scale that of the observed information there, and the likelihood is the mean of the integrand
over the density of the draws. Two things keep the error small: effects that no rows connect are
independent given the response, so that the likelihood is a product, and each factor (an outer level
of a nested model, an experiment among several) is a mean of its own; each draw is taken with its
mirror image, which takes out what is odd, above all the skewness (Durbin & Koopman 1997, Biometrika
84, 669-684); and the normal density over that of the draws, of which the mean is 1, is a control
variate (Owen & Zhou 2000, J. Am. Stat. Assoc. 95, 135-143), which takes out what is due to the
draws' longer tails.

With the draws u held, the derivatives of the estimate are means of the integrand's own by the
weights (Geyer 1994, J. R. Stat. Soc. B 56, 261-274): :func:`sampled_score`.

The draws are around one mode: where the integrand has another one apart from it (as with the square
root as the link, which takes eta and -eta for the same), they do not see it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import linalg, sparse, special
from scipy.sparse.csgraph import connected_components

from lmerbridge.equality import by_value
from lmerbridge.errors import UnsupportedModelError
from lmerbridge.likelihood.laplace import LaplacePoint
from lmerbridge.likelihood.layout import Array, IntArray

__all__ = ["Sampled", "importance_sampling", "sampled_score"]

MOST_EFFECTS = 3000
FREEDOM = 10.0  # degrees of freedom of the t distribution, at least
RADIUS_SPREAD = 3.0  # of the t's mixing over the radius, in units of a normal's own
NUMBERS = 500_000  # rows (or effects) times draws that are computed at once


@by_value
@dataclass(frozen=True, eq=False)
class Sampled:
    """An estimate of -2 log-likelihood with its standard error, the least effective sample size of
    a block and the largest shape (Pareto's k) of the tail of a block's weights.
    """

    value: float
    error: float
    effective: float
    tail: float


@by_value
@dataclass(frozen=True, eq=False)
class _Draws:
    """What is drawn from.

    Attributes
    ----------
    columns : sparse (n, q)
        Z Lambda.
    root : array (q, q)
        The lower Cholesky factor of the precision.
    blocks : array of int (q,)
        The block of each effect; ``rows`` (n,) that of each row.
    """

    point: LaplacePoint
    columns: sparse.csr_array
    root: Array
    blocks: IntArray
    rows: IntArray

    @classmethod
    def of(cls, point: LaplacePoint) -> _Draws:
        columns = point.problem.effects.matrix(point.Lambda.factors)
        joined = abs(columns).sign()
        _, blocks = connected_components(joined.T @ joined, directed=False)
        rows = blocks[joined.indices[joined.indptr[:-1]]]
        h = point.rows.expected if point.rows.observed is None else point.rows.observed
        root = _root(columns, h)
        if root is None:  # the modes are a maximum: only rounding can make it otherwise
            root = _root(columns, point.rows.expected)
        assert root is not None
        return cls(point, columns, root, blocks.astype(np.intp), rows.astype(np.intp))

    @property
    def count(self) -> int:
        """How many blocks there are."""
        return int(self.blocks.max()) + 1

    def of_blocks(self, values: Array, which: IntArray) -> Array:
        """Sums (blocks, k) of values (., k) by their block."""
        size = len(which)
        into = sparse.csr_array((np.ones(size), (which, np.arange(size))), (self.count, size))
        return np.asarray(into @ values)

    @property
    def dimensions(self) -> Array:
        """Effects of each block (blocks,)."""
        return np.bincount(self.blocks).astype(np.float64)

    @property
    def freedom(self) -> Array:
        """Degrees of freedom of each block's t distribution (blocks,): with fewer, the draws of a
        large block would nearly all be nearer or farther than the integrand is.
        """
        return np.maximum(FREEDOM, self.dimensions / RADIUS_SPREAD**2)

    def densities(self, eta: Array) -> Array:
        """Log densities of the rows (n, k), minus infinity where there is no such mean."""
        problem, k = self.point.problem, eta.shape[1]
        with np.errstate(all="ignore"):
            found = problem.family.value(
                np.repeat(problem.y, k), eta.ravel(), np.repeat(problem.prior, k)
            )
        return np.where(np.isnan(found), -np.inf, found).reshape(eta.shape)

    def scores(self, eta: Array) -> Array:
        """Derivatives of :meth:`densities` (n, k); 0 where they are no numbers."""
        problem, k = self.point.problem, eta.shape[1]
        y, weights = np.repeat(problem.y, k), np.repeat(problem.prior, k)
        with np.errstate(all="ignore"):
            found = problem.family.derivatives(y, eta.ravel(), weights).score
        return np.where(np.isfinite(found), found, 0.0).reshape(eta.shape)

    def batches(self, draws: int, seed: int) -> Iterator[Array]:
        """Standardized draws t (q, 2 k), k and their mirror images, as many at a time as fit."""
        rng = np.random.default_rng(seed)
        q, pairs, freedom = len(self.blocks), draws // 2, self.freedom[:, None]
        size = max(1, NUMBERS // max(q, len(self.point.eta)))
        for start in range(0, pairs, size):
            k = min(size, pairs - start)
            radius = np.sqrt(freedom / rng.chisquare(freedom, (self.count, k)))
            t = rng.standard_normal((q, k)) * radius[self.blocks]
            yield np.concatenate([t, -t], axis=1)

    def at(self, t: Array) -> tuple[Array, Array]:
        """The effects u (q, k) and the linear predictors (n, k) of standardized draws."""
        u = np.concatenate([own.ravel() for own in self.point.u])
        du = linalg.solve_triangular(self.root, t, lower=True, trans="T", check_finite=False)
        return u[:, None] + du, self.point.eta[:, None] + self.columns @ du

    def log_ratios(self, t: Array, u: Array, eta: Array) -> tuple[Array, Array]:
        """The integrand, and the normal density around the modes, over the density of the draws, in
        logs (blocks, k).
        """
        found = self.of_blocks(self.densities(eta), self.rows)
        found -= 0.5 * self.of_blocks(u**2, self.blocks)
        d, freedom = self.dimensions[:, None], self.freedom[:, None]
        normal = 0.5 * d * np.log(2 * np.pi)
        scale = self.of_blocks(np.log(np.diag(self.root))[:, None], self.blocks)
        tails = 0.5 * (freedom + d)
        density = special.gammaln(tails) - special.gammaln(0.5 * freedom) + scale
        lengths = self.of_blocks(t * t, self.blocks)
        density = density - 0.5 * d * np.log(freedom * np.pi)
        density = density - tails * np.log1p(lengths / freedom)
        return found - normal - density, scale - normal - 0.5 * lengths - density


def _root(columns: sparse.csr_array, weights: Array) -> Array | None:
    """The lower Cholesky factor of Lambda'Z'W Z Lambda + I, if it is positive definite."""
    weighted = sparse.csr_array(columns.multiply(weights[:, None]))
    M = np.asarray((columns.T @ weighted).toarray()) + np.eye(columns.shape[1])
    L, failed = linalg.lapack.dpotrf(M, lower=1, clean=1)
    return None if failed else np.asarray(L)


def importance_sampling(point: LaplacePoint, draws: int, seed: int) -> Sampled:
    """Estimate -2 log-likelihood.

    Parameters
    ----------
    point : LaplacePoint
        The modes to draw around.
    draws : int
        Even: each has its mirror image.
    seed : int

    Raises
    ------
    UnsupportedModelError
        There are more than 3000 random effects: the draws come from a dense matrix.
    """
    source = _source(point)
    count, pairs = source.count, draws // 2
    base: Array | None = None
    kept = max(5, int(np.ceil(min(0.2 * draws, 3 * np.sqrt(draws)))))
    sums = np.zeros((5, count))  # of w, w^2, the control c, c^2 and w c
    each = np.zeros(count)
    largest = np.zeros((count, 0))
    for t in source.batches(draws, seed):
        k = t.shape[1] // 2
        ratios, controls = source.log_ratios(t, *source.at(t))
        if base is None:  # relative to the largest so far, so that nothing overflows
            base = ratios.max(axis=1, keepdims=True)
        weights = np.exp(ratios - base)
        w = 0.5 * (weights[:, :k] + weights[:, k:])
        c = np.exp(controls[:, :k])  # the same for a draw and its mirror image
        sums += np.stack([part.sum(axis=1) for part in (w, w * w, c, c * c, w * c)])
        each += (weights**2).sum(axis=1)
        largest = np.concatenate([largest, weights], axis=1)
        if largest.shape[1] > kept + 1:
            largest = np.partition(largest, -kept - 1, axis=1)[:, -kept - 1 :]
    assert base is not None
    mean, square, control, control_square, product = sums / pairs
    effective = float(np.min((2 * sums[0]) ** 2 / each))
    spread = control_square - control**2
    slope = (product - mean * control) / spread
    variances = np.maximum(square - mean**2 - slope**2 * spread, 0.0)
    mean = mean - slope * (control - 1)
    variances /= pairs * mean**2
    # the log of a mean lies below that of its expectation by half of its relative variance
    value = point.problem.constant - 2 * float(np.sum(base[:, 0] + np.log(mean) + 0.5 * variances))
    return Sampled(
        value, 2 * float(np.sqrt(variances.sum())), effective, float(pareto_shapes(largest).max())
    )


def _source(point: LaplacePoint) -> _Draws:
    q = sum(factor.columns for factor in point.problem.layout.factors)
    if q > MOST_EFFECTS:
        raise UnsupportedModelError(
            f"the exact likelihood of {q} random effects that do not fall into small blocks is"
            f" sampled up to {MOST_EFFECTS} only: its draws come from a dense matrix of that size"
        )
    return _Draws.of(point)


def sampled_score(point: LaplacePoint, draws: int, seed: int) -> tuple[Array, Array]:
    """Estimate the derivatives of -2 log-likelihood over theta and beta.

    Parameters
    ----------
    point, draws, seed
        As of :func:`importance_sampling`.

    Returns
    -------
    tuple of array (m + p,) and array (m + p, m + p)
        The derivatives, and the covariance matrix of their error.

    Raises
    ------
    UnsupportedModelError
        As there.
    """
    source, problem = _source(point), point.problem
    count, places = source.count, []  # of theta: which effects u, and the columns they come with
    for number, (term, back) in enumerate(
        zip(problem.layout.terms, problem.layout.inverse_maps, strict=True)
    ):
        z = problem.effects.columns[term.factor][:, term.within] @ back
        level = problem.layout.places(number)[problem.effects.codes[term.factor]]
        places += [(z[:, a], level[:, b]) for b in range(term.size) for a in range(b, term.size)]
    size = len(places) + problem.p
    base: Array | None = None
    W, N = np.zeros(count), np.zeros((count, size))
    WW, NW, NN = np.zeros(count), np.zeros((count, size)), np.zeros((count, size, size))
    for t in source.batches(draws, seed):
        k = t.shape[1] // 2
        u, eta = source.at(t)
        ratios, _ = source.log_ratios(t, u, eta)
        if base is None:
            base = ratios.max(axis=1, keepdims=True)
        weights = np.exp(ratios - base)
        s = source.scores(eta)
        slopes = [source.of_blocks(s * z[:, None] * u[own], source.rows) for z, own in places]
        slopes += [source.of_blocks(s * x[:, None], source.rows) for x in problem.Q.T]
        each = np.where(weights > 0, np.stack(slopes) * weights, 0.0)
        n, w = each[:, :, :k] + each[:, :, k:], weights[:, :k] + weights[:, k:]
        W, N, WW = W + w.sum(axis=1), N + n.sum(axis=2).T, WW + (w * w).sum(axis=1)
        NW += np.einsum("abk,bk->ba", n, w)
        NN += np.einsum("abk,cbk->bac", n, n)
    mean = N / W[:, None]
    across = mean[:, :, None] * NW[:, None, :]
    spread = NN - across - across.swapaxes(1, 2)
    spread += (WW[:, None, None] * mean[:, :, None]) * mean[:, None, :]
    return -2 * mean.sum(axis=0), 4 * (spread / W[:, None, None] ** 2).sum(axis=0)


def pareto_shapes(weights: Array) -> Array:
    """Estimate the shape k of the tail of weights by the generalized Pareto distribution.

    Zhang & Stephens (2009), Technometrics 51, 316-325, with the prior of Vehtari et al. (2024).

    Parameters
    ----------
    weights : array (blocks, m + 1)
        The largest of each block; the least of them is where the tail begins.

    Returns
    -------
    array (blocks,)
    """
    ordered = np.sort(weights, axis=1)
    x = ordered[:, 1:] - ordered[:, :1]
    n = x.shape[1]
    # weights that are all but the same have no tail
    flat = x[:, -1] <= 1e-12 * ordered[:, -1]
    x = np.where(flat[:, None], np.linspace(1.0, 2.0, n), np.maximum(x, 1e-300))
    steps = 30 + int(np.sqrt(n))
    quartile = x[:, int(n / 4 + 0.5) - 1, None]
    b = (1 - np.sqrt(steps / (np.arange(1, steps + 1) - 0.5))) / (3 * quartile) + 1 / x[:, -1:]
    b = np.where(b == 0, 1e-10, b)
    k = np.log1p(-b[:, :, None] * x[:, None, :]).mean(axis=2)
    lengths = n * (np.log(-b / k) - k - 1)
    shares = np.exp(lengths - special.logsumexp(lengths, axis=1, keepdims=True))
    mean = (b * shares).sum(axis=1)
    shape = np.log1p(-mean[:, None] * x).mean(axis=1)
    return np.where(flat, -np.inf, (shape * n + 5) / (n + 10))
