"""Likelihood profiles of all parameters: standard deviations and correlations of the random
effects, sigma, and the fixed effects.

Bates & Watts (1988), *Nonlinear Regression Analysis and Its Applications*, section 6.1; Bates et
al. (2015), section 5.1. For each parameter the deviance (ML, as in lme4) is minimized over all
others, and zeta is the signed square root of its excess over the minimum. A term's columns are put
in such an order that the parameter in question is one element of the Cholesky factor L of its
covariance matrix (or two, for a correlation): what is held fixed is then no constraint on the rest,
and the rest is free, since the signs of L's columns do not matter.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from lmerbridge.design import ModelFrame, RandomBlock, templates, upper_triangle
from lmerbridge.errors import FitFailedError, FitWarning
from lmerbridge.inference.family_residuals import fitted_family
from lmerbridge.inference.parameters import Parameter, parameters
from lmerbridge.inference.profile import FAILURES, Profile, ProfilePoint
from lmerbridge.messages import from_outside
from lmerbridge.result import FitResult
from lmerbridge.solve.constrained import Held, deviance_with
from lmerbridge.solve.quasi_newton import QuasiNewton

if TYPE_CHECKING:
    from lmerbridge.likelihood import CrossProducts
    from lmerbridge.solve.constrained_family import HeldFamily

__all__ = ["profile"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

ALPHA_MAX = 0.01  # as lme4: profiles reach to the joint region of this level
STEPS = 8  # from the estimate to there
MOST_POINTS = 100


def _permuted(frame: ModelFrame, term: int, order: Sequence[int]) -> ModelFrame:
    blocks = list(frame.random)
    block = blocks[term]
    columns = np.ascontiguousarray(block.columns[:, list(order)])
    blocks[term] = RandomBlock(
        replace(block.term, names=tuple(block.names[i] for i in order)),
        replace(block.rows, columns=columns),
    )
    return frame.with_random(blocks)


def _scaled(frame: ModelFrame) -> tuple[ModelFrame, list[Array]]:
    """The frame with random-effects columns of mean square 1, and by how much they were larger."""
    blocks: list[RandomBlock] = []
    sizes: list[Array] = []
    for block in frame.random:
        size = np.sqrt(np.mean(block.columns**2, axis=0))
        size = np.where(size > 0, size, 1.0)
        if block.structure.hom:  # of one standard deviation
            size = np.full(len(size), float(np.sqrt(np.mean(size**2))))
        sizes.append(size)
        blocks.append(replace(block, rows=replace(block.rows, columns=block.columns / size)))
    return frame.with_random(blocks), sizes


@dataclass(frozen=True, eq=False)
class _HeldLinear:
    """The deviance of a linear model with something held."""

    frame: ModelFrame
    products: CrossProducts
    held: Held

    def start(self, L: Array, sigma: float, beta: Array) -> Array:
        return self.held.pack(L, sigma)

    def shifted(self, shift: Array) -> _HeldLinear:
        moved = self.products.with_response(self.frame, self.frame.y - shift)
        return replace(self, products=moved)

    def at(self, value: float) -> Callable[[Array], tuple[float, Array]]:
        return deviance_with(self.held, self.products, value)

    def parameters(self, free: Array, value: float) -> tuple[Array, float, Array]:
        """L in theta's order, sigma and the fixed effects."""
        from lmerbridge.likelihood import fixed_effects

        own, sigma = self.held.unpack(free, value)
        L = self.held.expand(own)[0]
        beta = fixed_effects(self.products, L / sigma, False)
        assert beta is not None
        return L, sigma, beta


class _Profiler:
    """The deviance minimized over everything but one parameter."""

    def __init__(self, frame: ModelFrame, result: FitResult, every: Sequence[Parameter]):
        self.every = list(every)
        self.frame, self.sizes = _scaled(frame)
        self.k = tuple(len(b.names) for b in frame.random)
        self.structures = tuple(b.structure for b in frame.random)
        self.starts = np.cumsum(
            [0, *(s.count(k) for s, k in zip(self.structures, self.k, strict=True))]
        ).tolist()
        call = self.call = result.call
        # of a negative binomial with the size that was estimated
        self.family = fitted_family(result) if call.generalized else None
        # what standard deviations are compared with, and what the family's parameter is of sigma
        self.unit = self.sigma = result.estimates.scale
        self.power = 2 if self.family is not None and self.family.dispersion is None else 0
        if any(p.kind == "size" for p in every):
            assert call.shape is not None
            self.power, self.sigma = -2, call.shape**-0.5
        self.covariances = [
            np.outer(size, size) * term.covariance
            for size, term in zip(self.sizes, result.estimates.random, strict=True)
        ]
        self.beta = result.estimates.beta
        self.deviance = result.criterion.value
        self.estimates = np.array(
            [self._value(p, self.covariances, self.sigma, self.beta) for p in self.every]
        )

    def _value(self, p: Parameter, covariances: list[Array], sigma: float, beta: Array) -> float:
        if p.kind == "sigma":
            return sigma
        if p.kind == "size":
            return sigma**-2
        if p.kind == "beta":
            return float(beta[p.column])
        S = covariances[p.term]
        if p.kind == "sd":
            return math.sqrt(max(0.0, S[p.row, p.row])) / self._scale(p)
        if p.kind == "cov":
            return float(S[p.row, p.column]) / self._scale(p)
        both = math.sqrt(max(0.0, S[p.row, p.row] * S[p.column, p.column]))
        return float(np.clip(S[p.row, p.column] / both, -1, 1)) if both > 0 else math.nan

    def _scale(self, p: Parameter) -> float:
        """How many times larger the parameter is for the scaled columns."""
        if p.kind == "sd":
            return float(self.sizes[p.term][p.row])
        if p.kind == "cov":
            return float(self.sizes[p.term][p.row] * self.sizes[p.term][p.column])
        return 1.0

    def criterion(self, frame: ModelFrame, held: Held) -> _HeldLinear | HeldFamily:
        """What is minimized with something held."""
        if self.family is not None:
            from lmerbridge.likelihood.criteria import Estimated, Known
            from lmerbridge.likelihood.laplace import Problem
            from lmerbridge.solve.constrained_family import held_family

            problem = Problem.of(frame, self.family, self.call.information == "observed")
            criterion = Estimated if self.power else Known
            return held_family(criterion(problem, self.call.nAGQ), held, self.power)
        from lmerbridge.likelihood import cross_products

        return _HeldLinear(frame, cross_products(frame), held)

    def held(self, p: Parameter) -> Held:
        """What is held, and where."""
        if p.kind in ("beta", "sigma", "size"):
            kind, start = ("none" if p.kind == "beta" else "sigma"), 0
        elif self.structures[p.term].plain:
            kind, start = p.kind, self.starts[p.term]
        else:
            k, last = self.k[p.term], self.starts[p.term + 1] - 1
            kind = "coordinate"
            start = last if p.kind == "cor" else self.starts[p.term] + min(p.row, k - 1)
        return Held(self.k, kind, start, self.structures)

    def number(self, p: Parameter, value: float) -> float:
        """The number that is held where the parameter is."""
        if p.kind == "cor" and not self.structures[p.term].plain:
            structure, k = self.structures[p.term], self.k[p.term]
            par = np.append(np.ones(structure.deviations(k)), value)
            return float(structure.coordinates(par, k)[-1])
        return value**-0.5 if p.kind == "size" else value * self._scale(p)

    def _order(self, p: Parameter) -> list[int]:
        k = self.k[p.term]
        first = [p.row] if p.kind == "sd" else [p.column, p.row]
        return first + [i for i in range(k) if i not in first]

    def _factors(self, p: Parameter, order: list[int]) -> Array:
        """Each term's own numbers at the estimates, off the boundary a little."""
        parts = []
        for t, S in enumerate(self.covariances):
            structure, k = self.structures[t], self.k[t]
            if not structure.plain:
                par = structure.of_covariance(S)
                many = structure.deviations(k)
                par[:many] = np.maximum(par[:many], 0.05 * self.unit)
                par[many:] = np.clip(par[many:], 0.98 * structure.lower(k)[many:], 0.98)
                parts.append(structure.coordinates(par, k))
                continue
            if t == p.term and order:
                S = S[np.ix_(order, order)]
            floor = (0.05 * self.unit) ** 2
            values, vectors = np.linalg.eigh(S)
            if values.min() < 1e-8 * max(values.max(), floor):
                S = (vectors * np.maximum(values, floor)) @ vectors.T
            L = np.linalg.cholesky(S)
            parts.append(L.T[upper_triangle(len(S))])
        return np.concatenate(parts)

    def of(self, p: Parameter) -> _One:
        return _One(self, p)


class _One:
    """The profile of one parameter, going out from its estimate."""

    def __init__(self, profiler: _Profiler, p: Parameter):
        self.profiler, self.p = profiler, p
        movable = p.kind in ("sd", "cor", "cov") and profiler.structures[p.term].plain
        self.order = profiler._order(p) if movable else []
        frame = profiler.frame
        if self.order:
            frame = _permuted(frame, p.term, self.order)
        self.column: Array | None = None
        beta = profiler.beta
        if p.kind == "beta":
            self.column = frame.X[:, p.column]
            others = [j for j in range(frame.X.shape[1]) if j != p.column]
            self.others = others
            names, assign = frame.x_names, frame.design.x_assign
            frame = frame.with_columns(
                frame.X[:, others], [names[j] for j in others], [assign[j] for j in others]
            )
            beta = beta[others]
        self.frame = frame
        self.criterion = profiler.criterion(frame, profiler.held(p))
        self.search = QuasiNewton()
        L = profiler._factors(p, self.order)
        self.free = self.criterion.start(L, profiler.sigma, beta)
        self.known: dict[float, tuple[ProfilePoint, Array]] = {}
        estimate = profiler.estimates[profiler.every.index(p)]
        self.estimate = 0.0 if math.isnan(estimate) else float(estimate)

    def point(self, value: float) -> ProfilePoint:
        """The minimum at ``value``, from the nearest point that is known."""
        if value in self.known:
            return self.known[value][0]
        number = self.profiler.number(self.p, value)
        here = self.criterion
        if self.column is not None:
            here = here.shifted(value * self.column)
        at = here.at(number)
        start = self.free
        if self.known:
            start = self.known[min(self.known, key=lambda x: abs(x - value))][1]
        free, f = self.search.run(at, start)
        if not math.isfinite(f):
            raise FitFailedError(f"the profile of {self.p.name} cannot be computed at {value:g}")
        excess = max(0.0, f - self.profiler.deviance)
        zeta = math.copysign(math.sqrt(excess), value - self.estimate)
        if value == self.estimate:
            zeta = 0.0
        point = ProfilePoint(value, zeta, self._all(free, value, number, here))
        self.known[value] = (point, free)
        return point

    def _all(
        self, free: Array, value: float, number: float, here: _HeldLinear | HeldFamily
    ) -> Array:
        L, sigma, beta = here.parameters(free, number)
        if self.p.kind == "beta":
            whole = np.empty(len(beta) + 1)
            whole[self.others], whole[self.p.column] = beta, value
            beta = whole
        covariances = []
        for t, block in enumerate(templates(L, list(self.profiler.k))):
            S = block @ block.T
            if t == self.p.term and self.order:
                back = np.argsort(self.order)
                S = S[np.ix_(back, back)]
            covariances.append(S)
        found = [self.profiler._value(q, covariances, sigma, beta) for q in self.profiler.every]
        found[self.profiler.every.index(self.p)] = value
        return np.array(found)

    def outward(self, sign: int, reach: float, delta: float) -> Iterator[ProfilePoint]:
        """Points on one side until zeta is beyond ``reach`` or the bound is met."""
        low, high = self.p.bounds
        bound = high if sign > 0 else low
        x, zeta = self.estimate, 0.0
        step = self._first_step(delta)
        for _ in range(MOST_POINTS):
            if x == bound:
                return
            new = x + sign * step
            if (new - bound) * sign >= 0 or abs(new - bound) < 1e-3 * step:
                new = bound
            if self.p.kind in ("sigma", "size") and new <= 0:
                new = 0.5 * x
            point = self.point(new)
            yield point
            if abs(point.zeta) >= reach:
                return
            slope = abs(point.zeta - zeta) / abs(new - x)
            x, zeta = new, point.zeta
            step = min(delta / slope, 3 * step) if slope > 0 else 2 * step

    def _first_step(self, delta: float) -> float:
        """A step that changes zeta by about delta, from the curvature at the estimate."""
        p = self.p
        small = 0.05 * self.estimate
        guess = {"cor": 0.1, "sigma": small, "size": small}.get(p.kind)
        if p.kind == "sd":
            guess = max(0.2 * self.estimate, 0.1 * self.profiler.unit / self.profiler._scale(p))
        if p.kind == "cov":
            S = self.profiler.covariances[p.term]
            spread = math.sqrt(S[p.row, p.row] * S[p.column, p.column])
            guess = max(0.1 * spread, 0.01 * self.profiler.unit**2) / self.profiler._scale(p)
        if guess is None:
            column = self.column
            assert column is not None
            guess = self.profiler.unit / (math.sqrt(float(column @ column)) or 1.0)
        low, high = p.bounds
        for _ in range(40):
            at = self.estimate + guess
            if at >= high:
                at = self.estimate - guess
            if at <= low:
                guess *= 0.5
                continue
            zeta = abs(self.point(at).zeta)
            if zeta > 3 * delta:
                guess *= 0.3
            elif zeta < 0.1 * delta:
                guess *= 3
            else:
                return guess * delta / zeta
        return guess


@dataclass(frozen=True, eq=False)
class _Points:
    """The points of profiles anywhere; an object, since functions of functions do not pickle."""

    ones: Mapping[str, _One]

    def __call__(self, name: str, value: float) -> ProfilePoint:
        return self.ones[name].point(value)


def profile(
    frame: ModelFrame,
    result: FitResult,
    which: Sequence[Parameter] | None = None,
    reach: float | None = None,
    progress: Callable[[str], None] | None = None,
    alphamax: float = ALPHA_MAX,
    every: Sequence[Parameter] | None = None,
) -> Profile:
    """Profile the deviance over each of ``which`` (default: all).

    A parameter whose profile cannot be computed to its end has the part that was, with a warning.

    Parameters
    ----------
    result : FitResult
        An ML fit.
    reach : float, optional
        How far in zeta; default as lme4: the root of the chi-squared quantile of 1 - ``alphamax``
        with as many degrees of freedom as there are parameters.
    progress : callable, optional
        Called with the name of each parameter before its profile.
    every : sequence of Parameter, optional
        The model's parameters, by the names and in the order that the table has them; default
        those of ``result``. ``which`` are some of them. Those with covariances in the place of
        correlations are profiled as such. The size of a negative binomial is minimized over where
        it is one of them, and else held.
    """
    from scipy.special import chdtri

    assert not result.call.REML, "profiles are of the ML deviance"
    profiler = _Profiler(frame, result, every or parameters(result))
    count = len(profiler.every)
    cutoff = math.sqrt(float(chdtri(count, alphamax))) if reach is None else reach
    delta = math.sqrt(float(chdtri(count, alphamax))) / STEPS
    ones: dict[str, _One] = {}
    found: dict[str, tuple[ProfilePoint, ...]] = {}
    broken: set[tuple[str, int]] = set()
    for p in which if which is not None else profiler.every:
        if progress is not None:
            progress(p.name)
        try:
            one = profiler.of(p)
            here = one.point(one.estimate)
        except FAILURES as error:
            _warn(_unfinished(p.name, error))
            broken |= {(p.name, -1), (p.name, 1)}
            at = profiler.estimates[profiler.every.index(p)]
            found[p.name] = (ProfilePoint(float(at), 0.0, profiler.estimates),)
            continue
        sides: dict[int, list[ProfilePoint]] = {-1: [], 1: []}
        for sign, points in sides.items():
            try:
                points.extend(one.outward(sign, cutoff, delta))
            except FAILURES as error:
                _warn(_unfinished(p.name, error))
                broken.add((p.name, sign))
        found[p.name] = (*reversed(sides[-1]), here, *sides[1])
        ones[p.name] = one
        zeta = np.array([point.zeta for point in found[p.name]])
        if np.any(np.diff(zeta) <= 0):
            _warn(f"non-monotonic profile for {p.name}")
    return Profile(
        tuple(profiler.every),
        profiler.estimates,
        profiler.deviance,
        found,
        _Points(ones),
        frozenset(broken),
    )


def _unfinished(name: str, error: Exception) -> str:
    return f"the profile of {name} could not be computed to its end: {error}"


def _warn(text: str) -> None:
    warnings.warn(text, FitWarning, stacklevel=from_outside())
