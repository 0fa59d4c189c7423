"""The profiled criterion for many responses at once: simulation, bootstrap.

The responses share X, Z and the weights, and each has its own theta. For models with one grouping
factor; formulas and words are those of :mod:`lmerbridge.likelihood.evaluate`, each array with
one more axis, for the responses, in front.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from lmerbridge.design import ModelFrame, upper_triangle
from lmerbridge.equality import by_value
from lmerbridge.likelihood.crossproducts import CrossProducts
from lmerbridge.likelihood.evaluate import criteria_of_regressions
from lmerbridge.likelihood.small_inverses import inverses

__all__ = [
    "Many",
    "Solutions",
    "criteria_without_effects",
    "derivatives_of_many",
    "many_responses",
    "solutions_of_many",
]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


@by_value
@dataclass(frozen=True, eq=False)
class Many:
    """Cross-products of B responses with what they share.

    Attributes
    ----------
    shared : CrossProducts
        Of a model with one grouping factor.
    Zr : array (B, levels, width)
    Qr : array (B, p)
    rr : array (B,)
    b : array (B, p)
        Coefficients of the ordinary regressions.
    """

    shared: CrossProducts
    Zr: Array
    Qr: Array
    rr: Array
    b: Array

    def __len__(self) -> int:
        return len(self.rr)

    def at(self, which: Any) -> Many:
        """Some of them."""
        return replace(
            self, Zr=self.Zr[which], Qr=self.Qr[which], rr=self.rr[which], b=self.b[which]
        )


def many_responses(frame: ModelFrame, c: CrossProducts, responses: Array) -> Many:
    """Cross-products of ``responses`` (n, B) in the model of ``frame``.

    Parameters
    ----------
    frame : ModelFrame
        The model's.
    c : CrossProducts
        The frame's own, in the user's units; of a model with one grouping factor.
    responses : array (n, B)
        A column per response.
    """
    assert len(c.factors) == 1
    Y = responses if frame.offset is None else responses - frame.offset[:, None]
    _, X, root = frame.weighted()
    if root is not None:
        Y = Y * root[:, None]
    Q = X @ c.inverse
    b = np.asarray(c.inverse @ (Q.T @ Y), dtype=np.float64)
    residual = Y - X @ b
    factor = c.factors[0]
    Zr = np.empty((factor.width, factor.levels, Y.shape[1]))
    codes = frame.random[0].codes
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(factor.levels))
    for term, block, M in zip(c.terms, frame.random, c.maps, strict=True):
        columns = block.columns @ M
        for j in range(term.size):
            weight = columns[:, j] if root is None else columns[:, j] * root
            Zr[term.offset + j] = np.add.reduceat((weight[:, None] * residual)[order], starts)
    return Many(
        c,
        np.ascontiguousarray(Zr.transpose(2, 1, 0)),
        (Q.T @ residual).T,
        np.einsum("nb,nb->b", residual, residual),
        b.T,
    )


@by_value
@dataclass(frozen=True, eq=False)
class Solutions:
    """Criteria (B,) at the thetas, and what belongs to them; not finite where there is none."""

    criterion: Array
    beta: Array
    sigma: Array


@by_value
@dataclass(frozen=True, eq=False)
class _State:
    blocks: list[Array]
    Sigma: Array
    U: Array
    TX: Array
    t: Array
    half: Array
    beta: Array
    rss: Array
    freedom: int
    criterion: Array


def _blocks(thetas: Array, sizes: list[int]) -> list[Array]:
    found, start = [], 0
    for k in sizes:
        block = np.zeros((len(thetas), k, k))
        rows, columns = upper_triangle(k)
        block[:, columns, rows] = thetas[:, start : start + len(rows)]
        found.append(block)
        start += len(rows)
    return found


def _solve(many: Many, thetas: Array, REML: bool) -> _State:
    c, p = many.shared, many.shared.p
    factor = c.factors[0]
    blocks = _blocks(thetas, [term.size for term in c.terms])
    root = np.zeros((len(thetas), factor.width, factor.width))
    for term, block, M in zip(c.terms, blocks, c.inverse_maps, strict=True):
        root[:, term.within, term.within] = M @ block
    Sigma = root @ np.swapaxes(root, 1, 2)
    inner = c.ZZ1 @ Sigma[:, None]
    diagonal = np.arange(factor.width)
    inner[..., diagonal, diagonal] += 1.0
    U, log_det = inverses(inner)
    h = c.Zr1[:, :, :p]
    TX = U @ h
    t = (U @ many.Zr[..., None])[..., 0]
    bX = Sigma[:, None] @ TX
    # [Q r]'V^-1 [Q r]
    A = c.gram[:p, :p] - np.einsum("lwp,blwq->bpq", h, bX)
    a = many.Qr - np.einsum("blw,blwq->bq", many.Zr, bX)
    rr = many.rr - np.einsum("blw,blw->b", many.Zr, np.einsum("bvw,blw->blv", Sigma, t))
    A = 0.5 * (A + np.swapaxes(A, 1, 2))
    value = log_det.sum(axis=1) - c.log_weights
    beta, half, log_det_X = np.zeros((len(t), p)), np.zeros_like(A), np.full(len(t), c.log_det_R)
    if p:
        inverse, logs = inverses(A)
        beta = np.einsum("bpq,bq->bp", inverse, a)
        half = inverse
        log_det_X = log_det_X + logs
    rss = rr - np.einsum("bp,bp->b", beta, a)
    rss = np.where(rss > 0, rss, np.nan)
    freedom = c.n - p if REML else c.n
    value = value + freedom * (1 + np.log(2 * math.pi * rss / freedom))
    if REML:
        value = value + log_det_X
    t = t - np.einsum("blwp,bp->blw", TX, beta)
    criterion = np.where(np.isfinite(value), value, np.inf)
    return _State(blocks, Sigma, U, TX, t, half, beta, rss, freedom, criterion)


def solutions_of_many(many: Many, thetas: Array, REML: bool) -> Solutions:
    """Criterion, fixed effects and sigma of each response at its theta (B, m)."""
    with np.errstate(all="ignore"):
        s = _solve(many, thetas, REML)
    c = many.shared
    return Solutions(s.criterion, many.b + s.beta @ c.inverse.T, np.sqrt(s.rss / s.freedom))


def criteria_without_effects(many: Many, REML: bool) -> Array:
    """Criteria (B,) of the ordinary regressions, where theta is 0."""
    rss = many.rr - np.einsum("bp,bp->b", many.Qr, many.Qr)
    return criteria_of_regressions(many.shared, REML, rss)


def derivatives_of_many(
    many: Many, thetas: Array, REML: bool, information: bool = True
) -> tuple[Array, Array, Array]:
    """Criteria (B,), gradients (B, m) and average informations (B, m, m) at thetas (B, m)."""
    c, p = many.shared, many.shared.p
    with np.errstate(all="ignore"):
        s = _solve(many, thetas, REML)
        scale = s.freedom / s.rss
        Q = (s.U @ c.ZZ1).sum(axis=1)
        inner = Q - scale[:, None, None] * np.einsum("blv,blw->bvw", s.t, s.t)
        if REML and p:
            inner = inner - np.einsum("blvp,bpq,blwq->bvw", s.TX, s.half, s.TX, optimize=True)
        gradients = []
        for term, block, back in zip(c.terms, s.blocks, c.inverse_maps, strict=True):
            part = 2 * back.T @ inner[:, term.within, term.within] @ back @ block
            rows, columns = upper_triangle(term.size)
            gradients.append(part[:, columns, rows])
        gradient = np.concatenate(gradients, axis=1)
        m = gradient.shape[1]
        if not information:
            return s.criterion, gradient, np.zeros((len(many), m, m))
        h = np.zeros((*s.t.shape, m))
        column = 0
        for term, block, back in zip(c.terms, s.blocks, c.inverse_maps, strict=True):
            t = s.t[..., term.within] @ back
            u = t @ block
            for b in range(term.size):
                along = block[:, :, b] @ back.T
                for a in range(b, term.size):
                    h[:, :, term.within, column] += u[..., b, None] * back[:, a]
                    h[:, :, term.within, column] += t[..., a, None] * along[:, None]
                    column += 1
        W = s.U @ (c.ZZ1 @ h)
        found = np.einsum("blwm,blwk->bmk", h, W, optimize=True)
        if p:
            across = np.einsum("blwp,blwm->bpm", s.TX, h, optimize=True)
            found = found - np.einsum("bpm,bpq,bqk->bmk", across, s.half, across, optimize=True)
        along = np.einsum("blw,blwm->bm", s.t, h)
        found = scale[:, None, None] * found
        found -= (scale / s.rss)[:, None, None] * along[:, :, None] * along[:, None, :]
        return s.criterion, gradient, 0.5 * (found + np.swapaxes(found, 1, 2))
