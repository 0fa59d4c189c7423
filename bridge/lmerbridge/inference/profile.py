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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from lmerbridge.design import ModelFrame, RandomBlock, templates, upper_triangle
from lmerbridge.errors import DataError, FitFailedError
from lmerbridge.result import FitResult

__all__ = ["Parameter", "Profile", "ProfilePoint", "parameters", "profile", "select"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

ALPHA_MAX = 0.01  # as lme4: profiles reach to the joint region of this level
STEPS = 8  # from the estimate to there
MOST_POINTS = 100
ENOUGH = 1e-10  # of the deviance: one more Newton step changes less
CLOSE = 1e-8  # of zeta, where an end of an interval is looked for


@dataclass(frozen=True)
class Parameter:
    """One parameter.

    Attributes
    ----------
    name : str
        lme4's old name: ``.sig01``, ``.sigma``, or the fixed effect's.
    long_name : str
        Its newer one: ``sd_Days|Subject``, ``cor_Days.(Intercept)|Subject``, ``sigma``.
    kind : str
        ``sd``, ``cor``, ``sigma`` or ``beta``.
    term, row, column : int
        Of the random term, where it has them; the column of X for ``beta``.
    """

    name: str
    long_name: str
    kind: str
    term: int = -1
    row: int = -1
    column: int = -1

    @property
    def bounds(self) -> tuple[float, float]:
        return {"sd": (0.0, math.inf), "sigma": (0.0, math.inf), "cor": (-1.0, 1.0)}.get(
            self.kind, (-math.inf, math.inf)
        )


def parameters(result: FitResult) -> list[Parameter]:
    """All parameters in lme4's order."""
    found: list[Parameter] = []
    for t, term in enumerate(result.estimates.random):
        for column in range(len(term.names)):
            for row in range(column, len(term.names)):
                name = f".sig{len(found) + 1:02d}"
                if row == column:
                    long_name = f"sd_{term.names[row]}|{term.group}"
                    found.append(Parameter(name, long_name, "sd", t, row, column))
                else:
                    long_name = f"cor_{term.names[row]}.{term.names[column]}|{term.group}"
                    found.append(Parameter(name, long_name, "cor", t, row, column))
    found.append(Parameter(".sigma", "sigma", "sigma"))
    names = result.estimates.names
    return found + [Parameter(n, n, "beta", column=j) for j, n in enumerate(names)]


def select(every: Sequence[Parameter], parm: Any) -> list[Parameter]:
    """Those that ``parm`` names: names (either form), positions, ``"theta_"`` or ``"beta_"``.

    Raises
    ------
    DataError
    """
    if parm is None:
        return list(every)
    if isinstance(parm, str) and parm == "theta_":
        return [p for p in every if p.kind != "beta"]
    if isinstance(parm, str) and parm == "beta_":
        return [p for p in every if p.kind == "beta"]
    wanted = [parm] if isinstance(parm, (str, int)) else list(parm)
    found = []
    for item in wanted:
        if isinstance(item, (int, np.integer)) and not isinstance(item, bool):
            if not -len(every) <= item < len(every):
                raise DataError(f"parm {item}: there are {len(every)} parameters, from 0")
            found.append(every[int(item)])
            continue
        match = [p for p in every if item in (p.name, p.long_name)]
        if not match:
            names = ", ".join(p.name for p in every)
            raise DataError(f"parm {item!r} is no parameter; there are {names}, theta_ and beta_")
        found += match[:1]
    return found


@dataclass(frozen=True)
class ProfilePoint:
    """The parameter's value, zeta there, and all parameters (lme4's order) at that point."""

    value: float
    zeta: float
    all: Array


@dataclass(frozen=True)
class Profile:
    """Profiles of several parameters.

    Attributes
    ----------
    every : tuple of Parameter
    estimates : array
        At the ML optimum.
    deviance : float
        There.
    points : mapping of str to tuple of ProfilePoint
        By name, ascending in value.
    point : callable
        From a parameter's name and a value to the point there.
    """

    every: tuple[Parameter, ...]
    estimates: Array
    deviance: float
    points: dict[str, tuple[ProfilePoint, ...]]
    point: Callable[[str, float], ProfilePoint]

    def table(self) -> pd.DataFrame:
        """lme4's table: ``.zeta``, every parameter, ``.par`` and ``.focal``."""
        names = [p.name for p in self.every]
        parts = []
        for name, points in self.points.items():
            part = pd.DataFrame([p.all for p in points], columns=names)
            part.insert(0, ".zeta", [p.zeta for p in points])
            part[".par"] = name
            part[".focal"] = [p.value for p in points]
            parts.append(part)
        return pd.concat(parts, ignore_index=True)

    def interval(self, name: str, level: float = 0.95) -> tuple[float, float]:
        """Where zeta is plus and minus the normal quantile; a bound of the parameter where the
        profile ends before.
        """
        from scipy.special import ndtri

        parameter = next(p for p in self.every if p.name == name)
        cutoff = float(ndtri(0.5 + level / 2))
        low, high = parameter.bounds
        return (
            self._end(name, -cutoff, low),
            self._end(name, cutoff, high),
        )

    def _end(self, name: str, target: float, bound: float) -> float:
        points = list(self.points[name])
        zeta = np.array([p.zeta for p in points])
        if (target < 0 and zeta.min() > target) or (target > 0 and zeta.max() < target):
            return bound if math.isfinite(bound) else math.nan
        order = np.argsort(zeta)
        i = int(np.searchsorted(zeta[order], target))
        left, right = points[order[max(i - 1, 0)]], points[order[min(i, len(points) - 1)]]
        return _root(lambda x: self.point(name, x).zeta, left, right, target)


def _root(
    zeta: Callable[[float], float], left: ProfilePoint, right: ProfilePoint, target: float
) -> float:
    """Regula falsi with Illinois' halving: zeta is nearly straight, so few steps are needed."""
    a, b = left.value, right.value
    fa, fb = left.zeta - target, right.zeta - target
    if abs(fa) < CLOSE:
        return a
    if abs(fb) < CLOSE:
        return b
    x, side = a, 0
    for _ in range(60):
        x = (a * fb - b * fa) / (fb - fa)
        f = zeta(x) - target
        if abs(f) < CLOSE or abs(b - a) < 1e-12 * max(1.0, abs(x)):
            return x
        if f * fb > 0:
            b, fb = x, f
            fa = fa / 2 if side == -1 else fa
            side = -1
        else:
            a, fa = x, f
            fb = fb / 2 if side == 1 else fb
            side = 1
    return x


# -- minimization of the deviance with one parameter held


@dataclass(frozen=True)
class _Held:
    """How the free numbers make the L of all terms and sigma, and which are held at ``value``.

    The free numbers are L's elements in theta's order, without the held ones, and log sigma.
    """

    sizes: tuple[int, ...]
    kind: str  # "sd", "cor", "sigma" or "none"
    start: int  # of the term's elements in theta

    def unpack(self, free: Array, value: float) -> tuple[Array, float]:
        """L (m,) and sigma."""
        if self.kind == "none":
            return free[:-1], math.exp(free[-1])
        if self.kind == "sigma":
            return free, value
        i = self.start
        if self.kind == "sd":  # L_11 is the standard deviation
            return np.concatenate([free[:i], [value], free[i:-1]]), math.exp(free[-1])
        # L_22 follows from L_21 = s rho, s free: in theta's order L_11, L_21, ..., then L_22
        k = self._size()
        L = np.insert(free[:-1], i + k, 0.0)
        s = L[i + 1]
        L[i + 1], L[i + k] = s * value, s * math.sqrt(max(0.0, 1 - value**2))
        return L, math.exp(free[-1])

    def _size(self) -> int:
        start = 0
        for k in self.sizes:
            if start == self.start:
                return k
            start += k * (k + 1) // 2
        raise AssertionError

    def pack(self, L: Array, sigma: float) -> Array:
        if self.kind == "sigma":
            return L.copy()
        i = self.start
        end = [math.log(sigma)]
        if self.kind == "none":
            return np.concatenate([L, end])
        if self.kind == "sd":
            return np.concatenate([L[:i], L[i + 1 :], end])
        k = self._size()
        moved = L.copy()
        moved[i + 1] = math.hypot(L[i + 1], L[i + k])
        return np.concatenate([np.delete(moved, i + k), end])

    def gradient(self, over_L: Array, over_log_sigma: float, value: float) -> Array:
        if self.kind == "sigma":
            return over_L
        i = self.start
        end = [over_log_sigma]
        if self.kind == "none":
            return np.concatenate([over_L, end])
        if self.kind == "sd":
            return np.concatenate([over_L[:i], over_L[i + 1 :], end])
        k = self._size()
        moved = over_L.copy()
        moved[i + 1] = over_L[i + 1] * value + over_L[i + k] * math.sqrt(max(0.0, 1 - value**2))
        return np.concatenate([np.delete(moved, i + k), end])


class _Search:
    """Minimizes by BFGS from where it was last, with the Hessian that it has learned."""

    def __init__(self, held: _Held):
        self.held = held
        self.inverse: Array | None = None

    def function(self, c: Any, value: float) -> Callable[[Array], tuple[float, Array]]:
        from lmerbridge.likelihood import unprofiled

        def at(free: Array) -> tuple[float, Array]:
            if not abs(free[-1]) < 50 and self.held.kind != "sigma":
                return math.inf, np.zeros_like(free)
            L, sigma = self.held.unpack(free, value)
            theta = L / sigma
            found = unprofiled(c, theta, sigma, False)
            if found is None or not math.isfinite(found[0]):
                return math.inf, np.zeros_like(free)
            over_theta, over_sigma = found[1][:-1], float(found[1][-1])
            over_log_sigma = over_sigma * sigma - float(over_theta @ theta)
            return found[0], self.held.gradient(over_theta / sigma, over_log_sigma, value)

        return at

    def learn(self, at: Callable[[Array], tuple[float, Array]], free: Array) -> None:
        """The Hessian by differences of the gradient."""
        m = len(free)
        H = np.empty((m, m))
        for i in range(m):
            step = 1e-4 * max(1.0, abs(free[i]))
            ahead, behind = free.copy(), free.copy()
            ahead[i] += step
            behind[i] -= step
            H[i] = (at(ahead)[1] - at(behind)[1]) / (2 * step)
        values, vectors = np.linalg.eigh(0.5 * (H + H.T))
        values = np.maximum(np.abs(values), 1e-6 * max(np.abs(values).max(initial=0.0), 1e-12))
        self.inverse = (vectors / values) @ vectors.T

    def run(self, at: Callable[[Array], tuple[float, Array]], free: Array) -> tuple[Array, float]:
        x = free.copy()
        f, g = at(x)
        if not math.isfinite(f):
            return x, f
        if len(x) == 0:
            return x, f
        if self.inverse is None:
            self.learn(at, x)
        assert self.inverse is not None
        renewed = False
        for _ in range(200):
            step = -self.inverse @ g
            slope = float(g @ step)
            if slope > -2 * ENOUGH:
                if slope > 0 and not renewed:
                    renewed = True
                    self.learn(at, x)
                    continue
                return x, f
            length = 1.0
            biggest = float(np.max(np.abs(step) / (0.5 + np.abs(x))))
            if biggest > 1:
                length = 1 / biggest
            for _ in range(25):
                moved = x + length * step
                f_new, g_new = at(moved)
                if f_new <= f + 1e-4 * length * slope + 1e-13 * abs(f):
                    break
                length *= 0.3
            else:
                if renewed:
                    return x, f
                renewed = True
                self.learn(at, x)
                continue
            s, y = moved - x, g_new - g
            sy = float(s @ y)
            if sy > 1e-12 * float(np.linalg.norm(s) * np.linalg.norm(y)):
                rho = 1 / sy
                A = np.eye(len(x)) - rho * np.outer(s, y)
                self.inverse = A @ self.inverse @ A.T + rho * np.outer(s, s)
            stalled = abs(f - f_new) < 1e-13 * abs(f) and length == 1.0
            x, f, g = moved, f_new, g_new
            if stalled and float(-g @ (-self.inverse @ g)) < 100 * ENOUGH:
                return x, f
        return x, f


def _permuted(frame: ModelFrame, term: int, order: Sequence[int]) -> ModelFrame:
    blocks = list(frame.random)
    block = blocks[term]
    blocks[term] = replace(
        block,
        names=tuple(block.names[i] for i in order),
        columns=np.ascontiguousarray(block.columns[:, list(order)]),
    )
    return replace(frame, random=tuple(blocks))


def _scaled(frame: ModelFrame) -> tuple[ModelFrame, list[Array]]:
    """The frame with random-effects columns of mean square 1, and by how much they were larger."""
    blocks: list[RandomBlock] = []
    sizes: list[Array] = []
    for block in frame.random:
        size = np.sqrt(np.mean(block.columns**2, axis=0))
        size = np.where(size > 0, size, 1.0)
        sizes.append(size)
        blocks.append(replace(block, columns=block.columns / size))
    return replace(frame, random=tuple(blocks)), sizes


class _Profiler:
    """The deviance minimized over everything but one parameter."""

    def __init__(self, frame: ModelFrame, result: FitResult):
        self.every = parameters(result)
        self.frame, self.sizes = _scaled(frame)
        self.k = tuple(len(b.names) for b in frame.random)
        self.covariances = [
            np.outer(size, size) * term.covariance
            for size, term in zip(self.sizes, result.estimates.random, strict=True)
        ]
        self.sigma = result.estimates.sigma
        self.beta = result.estimates.beta
        self.deviance = result.criterion.value
        self.estimates = np.array(
            [self._value(p, self.covariances, self.sigma, self.beta) for p in self.every]
        )

    def _value(self, p: Parameter, covariances: list[Array], sigma: float, beta: Array) -> float:
        if p.kind == "sigma":
            return sigma
        if p.kind == "beta":
            return float(beta[p.column])
        S = covariances[p.term]
        if p.kind == "sd":
            return math.sqrt(max(0.0, S[p.row, p.row])) / float(self.sizes[p.term][p.row])
        both = math.sqrt(max(0.0, S[p.row, p.row] * S[p.column, p.column]))
        return float(np.clip(S[p.row, p.column] / both, -1, 1)) if both > 0 else math.nan

    def _order(self, p: Parameter) -> list[int]:
        k = self.k[p.term]
        first = [p.row] if p.kind == "sd" else [p.column, p.row]
        return first + [i for i in range(k) if i not in first]

    def _factors(self, p: Parameter, order: list[int]) -> Array:
        """L of all terms in theta's order at the estimates, off the boundary a little."""
        parts = []
        for t, S in enumerate(self.covariances):
            if t == p.term and order:
                S = S[np.ix_(order, order)]
            floor = (0.05 * self.sigma) ** 2
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
        from lmerbridge.likelihood import cross_products

        self.profiler, self.p = profiler, p
        self.order = profiler._order(p) if p.kind in ("sd", "cor") else []
        frame = profiler.frame
        if self.order:
            frame = _permuted(frame, p.term, self.order)
        self.column: Array | None = None
        if p.kind == "beta":
            self.column = frame.X[:, p.column]
            others = [j for j in range(frame.X.shape[1]) if j != p.column]
            self.others = others
            frame = replace(frame, X=frame.X[:, others])
        self.frame = frame
        self.products = cross_products(frame)
        start = sum(k * (k + 1) // 2 for k in profiler.k[: max(p.term, 0)])
        kind = p.kind if p.kind != "beta" else "none"
        self.held = _Held(profiler.k, kind, start)
        self.search = _Search(self.held)
        L = profiler._factors(p, self.order)
        self.free = self.held.pack(L, profiler.sigma)
        self.known: dict[float, tuple[ProfilePoint, Array]] = {}
        estimate = profiler.estimates[profiler.every.index(p)]
        self.estimate = 0.0 if math.isnan(estimate) else float(estimate)

    def point(self, value: float) -> ProfilePoint:
        """The minimum at ``value``, from the nearest point that is known."""
        if value in self.known:
            return self.known[value][0]
        scale = 1.0
        if self.p.kind == "sd":
            scale = float(self.profiler.sizes[self.p.term][self.p.row])
        c = self.products
        if self.column is not None:
            c = c.with_response(self.frame, self.frame.y - value * self.column)
        at = self.search.function(c, value * scale)
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
        point = ProfilePoint(value, zeta, self._all(free, value, scale, c))
        self.known[value] = (point, free)
        return point

    def _all(self, free: Array, value: float, scale: float, c: Any) -> Array:
        from lmerbridge.likelihood import fixed_effects

        L, sigma = self.held.unpack(free, value * scale)
        beta = fixed_effects(c, L / sigma, False)
        assert beta is not None
        if self.p.kind == "beta":
            whole = np.empty(len(beta) + 1)
            whole[self.others], whole[self.p.column] = beta, value
            beta = whole
        covariances = []
        for t, block in enumerate(templates(L, list(self.held.sizes))):
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
            if self.p.kind == "sigma" and new <= 0:
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
        guess = {"cor": 0.1, "sigma": 0.05 * self.estimate}.get(p.kind)
        if p.kind == "sd":
            guess = max(
                0.2 * self.estimate,
                0.1 * self.profiler.sigma / float(self.profiler.sizes[p.term][p.row]),
            )
        if guess is None:
            column = self.column
            assert column is not None
            guess = self.profiler.sigma / (math.sqrt(float(column @ column)) or 1.0)
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


def profile(
    frame: ModelFrame,
    result: FitResult,
    which: Sequence[Parameter] | None = None,
    reach: float | None = None,
    progress: Callable[[str], None] | None = None,
) -> Profile:
    """Profiles of ``which`` (default: all).

    Parameters
    ----------
    result : FitResult
        An ML fit.
    reach : float, optional
        How far in zeta; default as lme4: the root of the chi-squared quantile of 0.99 with as
        many degrees of freedom as there are parameters.
    progress : callable, optional
        Called with the name of each parameter before its profile.

    Raises
    ------
    FitFailedError
    """
    from scipy.special import chdtri

    assert not result.call.REML, "profiles are of the ML deviance"
    profiler = _Profiler(frame, result)
    count = len(profiler.every)
    cutoff = math.sqrt(float(chdtri(count, ALPHA_MAX))) if reach is None else reach
    delta = math.sqrt(float(chdtri(count, ALPHA_MAX))) / STEPS
    ones: dict[str, _One] = {}
    found: dict[str, tuple[ProfilePoint, ...]] = {}
    for p in which if which is not None else profiler.every:
        if progress is not None:
            progress(p.name)
        one = profiler.of(p)
        here = one.point(one.estimate)
        down = list(one.outward(-1, cutoff, delta))
        up = list(one.outward(1, cutoff, delta))
        found[p.name] = (*reversed(down), here, *up)
        ones[p.name] = one
    return Profile(
        tuple(profiler.every),
        profiler.estimates,
        profiler.deviance,
        found,
        lambda name, x: ones[name].point(x),
    )
