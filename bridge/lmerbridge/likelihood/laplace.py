"""The Laplace approximation of a generalized linear mixed model's likelihood, with its gradient.

With eta = X beta + offset + Z b, b = Lambda u, u standard normal, the conditional modes u maximize
the penalized log-likelihood sum l(eta) - |u|^2 / 2, and the criterion is

    f = -2 sum l(eta) + |u|^2 + log|Lambda'Z'W Z Lambda + I|

at the modes, W the expected information of the rows (the observed one on request, as the
second-order expansion has it; they are the same for canonical links). Bates et al. (2015), section
"Generalized linear mixed models" of lme4's theory vignette; Skaug & Fournier (2006), Comput. Stat.
Data Anal. 51, 699-709, for the derivative through the modes:

- with q the variances of eta's rows given the modes, diag Z Lambda M^-1 Lambda' Z', the determinant
  depends on eta by a = W' q;
- the modes solve Lambda'Z's = u, s the score: for a change of the parameters they move by
  M_h^-1 (dLambda' Z's - Lambda'Z'h d eta), h the observed information; with
  v = M_h^-1 Lambda'Z'a and c = a - h Z Lambda v, all of this is c'd eta + v'dLambda'Z's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import linalg

from lmerbridge.design import ModelFrame, templates, upper_triangle
from lmerbridge.equality import by_value
from lmerbridge.likelihood.effect_rows import EffectRows
from lmerbridge.likelihood.elimination import Elimination, eliminate
from lmerbridge.likelihood.evaluate import determinant_parts, directions, rest_by_factor
from lmerbridge.likelihood.higher_modes import HIGHER, higher_start
from lmerbridge.likelihood.layout import Array, Layout, by_factor

if TYPE_CHECKING:
    from lmerbridge.family import Family, Rows

__all__ = ["LaplacePoint", "Problem"]

MOST_STEPS = 60
MOST_HALVINGS = 40
MOST_CLIMBS = 10
# By default the inner iteration ends where a step would raise the penalized log-likelihood by less
# than this an effect: the determinant changes with the square root of it, and so does the gradient
# of the criterion, whose differences are the Hessian.
MODES_TOLERANCE = 1e-23
# ... or where steps of less than this do not become smaller: what is left is rounding
STALLED_GAIN = 1e-14
ROUNDING = 4e-15  # what part of the penalized log-likelihood its rounding is
BAND_NUMBERS = 4_000_000


@by_value
@dataclass(frozen=True, eq=False)
class Problem:
    """What the criterion is of: rows, family, and the scaled columns of the effects.

    Rows are in the order of ``effects``.

    Attributes
    ----------
    family : Family
    y, weights : array (n,)
        ``weights`` are the sizes of a binomial; ``None`` where all are 1.
    Q : array (n, p)
        Orthonormal columns, X = Q R.
    R : array (p, p)
    offset : array (n,) or None
    effects : EffectRows
    observed : bool
        Whether the determinant has the observed information in place of the expected one.
    constant : float
        The part of -2 log-likelihood that is free of eta.
    tolerance : float
        The modes are found where a step would raise the penalized log-likelihood by less, an
        effect.
    """

    family: Family
    y: Array
    weights: Array | None
    Q: Array
    R: Array
    offset: Array | None
    effects: EffectRows
    observed: bool
    constant: float
    tolerance: float = MODES_TOLERANCE

    @classmethod
    def of(cls, frame: ModelFrame, family: Family, observed: bool = False) -> Problem:
        """Take a model frame, whose response is as :mod:`lmerbridge.design.family_response` has it.

        Parameters
        ----------
        frame : ModelFrame
        family : Family
            With a known dispersion.
        observed : bool
            Which information the determinant has.
        """
        effects = EffectRows.of(frame)
        X, y, offset = effects.rows_of(frame.X), effects.rows_of(frame.y), frame.offset
        p = X.shape[1]
        Q, R = np.linalg.qr(X) if p else (X, np.empty((0, 0)))
        weights = None if frame.weights is None else effects.rows_of(frame.weights)
        found = cls(
            family,
            y,
            weights,
            np.asfortranarray(Q),
            R,
            None if offset is None else effects.rows_of(offset),
            effects,
            observed,
            0.0,
        )
        return found.of_family(family)

    @property
    def p(self) -> int:
        """Fixed effects."""
        return int(self.Q.shape[1])

    @cached_property
    def layout(self) -> Layout:
        """Where the effects lie, theta in the units of the scaled columns."""
        return self.effects.layout.in_own_units()

    @property
    def prior(self) -> Array:
        """The weights (n,), also where all are 1."""
        return np.ones(len(self.y)) if self.weights is None else self.weights

    def of_dispersion(self, phi: float) -> Problem:
        """Return the problem for a dispersion: its weights are divided by it.

        Parameters
        ----------
        phi : float
            Of the family, in the place of 1.
        """
        prior = self.prior
        constant = -2 * float(self.family.normalizer(self.y, prior, phi).sum())
        return replace(self, weights=prior / phi, constant=constant)

    def of_family(self, family: Family) -> Problem:
        """Return the problem for another family, as a negative binomial of another size.

        Parameters
        ----------
        family : Family
        """
        constant = -2 * float(family.normalizer(self.y, self.prior).sum())
        return replace(self, family=family, constant=constant)

    @cached_property
    def saturated(self) -> float:
        """-2 log-likelihood of the saturated model."""
        mu = self.family.initial_mu(self.y, self.prior)
        value = self.family.value(self.y, self.family.link.link(mu), self.prior)
        squares = self.family.deviance_residuals_squared(self.y, mu, self.prior)
        return float(self.constant - 2 * value.sum() - squares.sum())

    def beta_vcov(self, information: Array, following: int = 0) -> Array | None:
        """Return the covariance matrix (p, p) of beta in the user's units, a block of an inverse.

        Parameters
        ----------
        information : array (k, k)
            With beta in the units of Q.
        following : int
            How many rows follow those of beta, which are otherwise the last.

        Returns
        -------
        array or None
            ``None`` where the information is not positive, or there are no fixed effects.
        """
        if not self.p or not np.isfinite(information).all():
            return None
        root, failed = linalg.lapack.dpotrf(information, lower=1)
        if failed:
            return None
        last = len(information) - following
        own = slice(last - self.p, last)
        inverse = linalg.cho_solve((root, True), np.eye(len(information)))[own, own]
        half = linalg.solve_triangular(self.R, inverse)
        found: Array = linalg.solve_triangular(self.R, half.T)
        return 0.5 * (found + found.T)

    def linear(self, beta: Array) -> Array:
        """The fixed part of the linear predictor (n,), offset and all."""
        fixed = self.Q @ beta
        return fixed if self.offset is None else fixed + self.offset

    def start(self) -> Array:
        """The fixed effects (p,) of a first iteration without random ones."""
        eta = self.family.link.link(self.family.initial_mu(self.y, self.prior))
        rows = self.family.derivatives(self.y, eta, self.weights, 1)
        target = eta + rows.score / np.where(rows.expected > 0, rows.expected, 1.0)
        if self.offset is not None:
            target = target - self.offset
        root = np.sqrt(rows.expected)
        found = np.linalg.lstsq(self.Q * root[:, None], target * root, rcond=None)[0]
        return np.asarray(found, dtype=np.float64)

    def at(
        self, theta: Array, beta: Array, u: Sequence[Array] | None = None, joint: bool = False
    ) -> LaplacePoint | None:
        """Find the conditional modes at these parameters.

        Parameters
        ----------
        theta : array
            Of the scaled columns.
        beta : array (p,)
            In the units of Q; where ``joint``, only where to start from.
        u : list of array (levels, width), optional
            Where to start from. By default 0, and then the highest modes that are found are taken.
        joint : bool
            Whether the fixed effects are found with the modes, by maximizing the penalized
            log-likelihood over both: lme4's ``nAGQ = 0``.

        Returns
        -------
        LaplacePoint or None
            ``None`` where there are no modes to be found: the arithmetic has no digits for it.
        """
        if not (np.isfinite(theta).all() and np.isfinite(beta).all()):
            return None
        Lambda = _Lambda.of(self.layout, theta)
        # with the square root a linear predictor of 0 has no derivative: then off it, at 1
        for begin in (0.0, 1.0) if u is None else (u, 0.0, 1.0):
            try:
                found = _modes(self, Lambda, beta, begin, joint)
                if found is not None:
                    return _highest(found) if u is None else found
            except np.linalg.LinAlgError:
                continue
        return None


@by_value
@dataclass(frozen=True, eq=False)
class _Lambda:
    """Lambda's block by term (in the layout's units and in those of the scaled columns), and by
    factor.
    """

    layout: Layout
    blocks: list[Array]
    scaled: list[Array]
    factors: list[Array]

    @classmethod
    def of(cls, layout: Layout, theta: Array) -> _Lambda:
        blocks = templates(theta, [term.size for term in layout.terms])
        scaled = [M @ block for M, block in zip(layout.inverse_maps, blocks, strict=True)]
        return cls(layout, blocks, scaled, by_factor(layout.factors, layout.terms, scaled))

    def effects(self, u: Sequence[Array]) -> list[Array]:
        """b = Lambda u by factor (levels, width)."""
        return [own @ L.T for own, L in zip(u, self.factors, strict=True)]

    def back(self, t: Sequence[Array]) -> list[Array]:
        """Lambda't by factor (levels, width)."""
        return [own @ L for own, L in zip(t, self.factors, strict=True)]

    def eliminate(self, problem: Problem, weights: Array) -> Elimination | None:
        """The effects eliminated for these weights of the rows."""
        with np.errstate(all="ignore"):
            return eliminate(problem.effects.products(weights), self.scaled)


def _size(u: Sequence[Array]) -> float:
    return float(sum(np.vdot(own, own) for own in u))


def _whiten(problem: Problem, elimination: Elimination, values: Array) -> tuple[list[Array], Array]:
    """Z'V^-1 of what Z'values are given for, by factor (levels, width, m), and what it explains.

    Parameters
    ----------
    values : array (n, m)
    """
    return _whiten_sums(problem, elimination, _columns(map(problem.effects.sums, values.T)))


def _columns(columns: Iterable[Sequence[Array]]) -> list[Array]:
    """By factor (levels, width, m) what is given by column and factor (levels, width)."""
    return [np.stack(own, axis=-1) for own in zip(*columns, strict=True)]


def _whiten_sums(
    problem: Problem, elimination: Elimination, parts: Sequence[Array]
) -> tuple[list[Array], Array]:
    """:func:`_whiten` of Z'values by factor (levels, width, m)."""
    m = parts[0].shape[-1]
    others = np.concatenate([np.empty((0, m)), *(part.reshape(-1, m) for part in parts[1:])])
    own, last, explained = elimination.whiten(parts[0], others)
    return [*own, *rest_by_factor(problem.layout, last)], explained


@by_value
@dataclass(frozen=True, eq=False)
class LaplacePoint:
    """The conditional modes at a theta and beta, and what belongs to them.

    Attributes
    ----------
    beta : array (p,)
        In the units of Q.
    u : list of array (levels, width)
        Spherical modes by factor.
    eta : array (n,)
    rows : Rows
        Derivatives of the log densities, of order 2.
    scores : list of array (levels, width)
        Z's by factor.
    elimination : Elimination
        For the weights of the criterion.
    criterion : float
        -2 log-likelihood by Laplace's approximation.
    steps : int
        Inner steps taken.
    """

    problem: Problem
    Lambda: _Lambda
    joint: bool
    beta: Array
    u: list[Array]
    eta: Array
    rows: Rows
    scores: list[Array]
    elimination: Elimination
    criterion: float
    steps: int

    @property
    def laplace(self) -> LaplacePoint:
        """Itself."""
        return self

    def higher_start(self) -> list[Array] | None:
        """Look for spherical effects from which higher modes may be reached."""
        problem = self.problem
        return higher_start(
            problem.family,
            (problem.y, problem.prior),
            problem.effects,
            self.Lambda.factors,
            self.u,
            self.eta,
        )

    @property
    def penalized(self) -> float:
        """The penalized log-likelihood at the modes, without what is free of eta."""
        return 0.5 * (self.problem.constant + self.elimination.log_det - self.criterion)

    @cached_property
    def implicit(self) -> Elimination:
        """The effects eliminated for the observed information, by which the modes move."""
        rows = self.rows
        if rows.observed is None or rows.observed is rows.expected or self.problem.observed:
            return self.elimination
        found = self.Lambda.eliminate(self.problem, rows.observed)
        return self.elimination if found is None else found

    @cached_property
    def row_variances(self) -> Array:
        """The variance of each row's Z b given the modes (n,), for a dispersion of 1."""
        first = self.elimination.stages[0]
        E = self.elimination.inverse_blocks[0]
        own = first.conditional(E)
        following = self.elimination.following
        across = np.empty(0)
        if first.C is not None:
            across = _across(first.G, first.C.matrix, following)
        return self.problem.effects.quadratic(own, across, following)

    def _precision(self, elimination: Elimination, weights: Array) -> Array:
        """Q'V^-1 Q (p, p)."""
        if not self.problem.p:
            return np.empty((0, 0))
        weighted = self.problem.Q * weights[:, None]
        _, explained = _whiten(self.problem, elimination, weighted)
        found: Array = self.problem.Q.T @ weighted - explained
        return 0.5 * (found + found.T)

    @cached_property
    def precision(self) -> Array:
        """Q'V^-1 Q (p, p), V of the working response: the information on beta given theta."""
        return self._precision(self.elimination, self.rows.expected)

    @cached_property
    def weight_slopes(self) -> Array:
        """Derivatives (n,) of the criterion's weights by eta."""
        problem = self.problem
        rows = problem.family.derivatives(problem.y, self.eta, problem.weights, 3)
        slopes = rows.observed_slope if problem.observed else rows.expected_slope
        assert slopes is not None
        return slopes

    @cached_property
    def determinant_slopes(self) -> Array:
        """Derivatives (n,) of the determinant by eta."""
        return self.weight_slopes * self.row_variances

    @cached_property
    def gradient(self) -> Array:
        """Derivatives of the criterion over theta and beta (m + p,); of theta alone (m,) where
        beta is found with the modes.
        """
        return self.gradient_of(*self.moved(self.determinant_slopes))

    def gradient_of(self, c: Array, v: Sequence[Array]) -> Array:
        """Derivatives over theta and beta of the criterion, or of it and a function of eta.

        Parameters
        ----------
        c, v
            What :meth:`moved` gives for :attr:`determinant_slopes`, with that function's
            derivatives by eta added.
        """
        problem, Lambda = self.problem, self.Lambda
        sums = problem.effects.sums(c)
        inverses = problem.layout.inverse_maps
        parts = determinant_parts(problem.layout, self.elimination, Lambda.blocks, inverses)
        found = []
        for term, back, part in zip(problem.layout.terms, inverses, parts, strict=True):
            f, within = term.factor, term.within
            t, u = self.scores[f][:, within], self.u[f][:, within]
            left = sums[f][:, within] - 2 * t
            whole = 2 * part + left.T @ u + t.T @ v[f][:, within]
            found.append((back.T @ whole).T[upper_triangle(term.size)])
        if not self.joint:
            found.append(problem.Q.T @ (c - 2 * self.rows.score))
        return np.concatenate(found)

    def moved(self, a: Array) -> tuple[Array, list[Array]]:
        """Take what a function of eta depends on through the modes: c (n,) and v by factor of the
        module's text, from its derivatives ``a`` (n,); where beta is found with the modes it moves
        too.
        """
        rows, Q = self.rows, self.problem.Q
        h = rows.expected if rows.observed is None else rows.observed
        c, v = self._moved(a, h)
        if not (self.joint and self.problem.p):
            return c, v
        along = np.linalg.solve(self._precision(self.implicit, h), Q.T @ c)
        return self._moved(a - h * (Q @ along), h)

    def _moved(self, a: Array, h: Array) -> tuple[Array, list[Array]]:
        """c and v with a beta that stays."""
        problem = self.problem
        whitened, _ = _whiten(problem, self.implicit, a[:, None])
        v = self.Lambda.back([part[:, :, 0] for part in whitened])
        return a - h * problem.effects.predictor(self.Lambda.effects(v)), v

    @cached_property
    def information(self) -> Array:
        """An approximation of the Hessian that is not negative: of the working linear model the
        average information of theta, and the information of beta.
        """
        problem, Lambda = self.problem, self.Lambda
        moves = directions(problem.layout, self.scores, Lambda.blocks, problem.layout.inverse_maps)
        eta = np.column_stack(
            [
                problem.effects.predictor([own[:, :, k] for own in moves])
                for k in range(moves[0].shape[-1])
            ]
        )
        weighted = eta * self.rows.expected[:, None]
        _, explained = _whiten(problem, self.elimination, weighted)
        theta = eta.T @ weighted - explained
        if self.joint or not problem.p:
            return np.asarray(0.5 * (theta + theta.T))
        return np.asarray(linalg.block_diag(0.5 * (theta + theta.T), 2 * self.precision))


def _across(G: Array, C: Any, following: Any) -> Array:
    """The entries of -G C H at the places of C, which has those of all rows of the data."""
    levels, width, _ = G.shape
    counts = np.diff(C.indptr)
    found = np.empty(C.nnz)
    band = levels if not isinstance(following, np.ndarray) else 1
    band = max(band, BAND_NUMBERS // max(1, C.shape[1] * width))
    for start in range(0, levels, band):
        stop = min(start + band, levels)
        rows = slice(start * width, stop * width)
        places = slice(C.indptr[start * width], C.indptr[stop * width])
        through = C[rows] @ following
        row = np.repeat(np.arange(rows.stop - rows.start), counts[rows])
        column = C.indices[places]
        if isinstance(through, np.ndarray):
            by_level = through.reshape(stop - start, width, -1)
            by_level = G[start:stop] * by_level if width == 1 else G[start:stop] @ by_level
            found[places] = -by_level.reshape(through.shape)[row, column]
        else:
            total = np.zeros(len(row))
            level, within = np.divmod(row, width)
            for a in range(width):
                entries = np.asarray(through[level * width + a, column]).ravel()
                total -= G[start + level, within, a] * entries
            found[places] = total
    return found


def _modes(
    problem: Problem, Lambda: _Lambda, beta: Array, u: Sequence[Array] | float, joint: bool
) -> LaplacePoint | None:
    """The penalized log-likelihood maximized by Newton's steps, halved where they do not raise it;
    ``None`` where it cannot be.
    """
    state = _State.first(problem, Lambda, beta, u)
    if state is None:
        return None
    before = math.inf
    tolerance = problem.tolerance * sum(f.columns for f in problem.layout.factors)
    for steps in range(MOST_STEPS):
        rows = state.rows
        weights = rows.observed if problem.observed else rows.expected
        h = rows.expected if rows.observed is None else rows.observed
        if weights is None:
            return None
        newton = h
        elimination, step = _step(problem, Lambda, state, h, joint)
        if step is None or not step.gain > -tolerance:
            # the penalized log-likelihood is not concave here, and the step leads downwards
            newton = rows.expected
            elimination, step = _step(problem, Lambda, state, newton, joint)
        if step is None or not step.gain > -STALLED_GAIN * (1 + abs(state.penalized)):
            return None
        stalled = 0.25 * before < step.gain < STALLED_GAIN
        before = step.gain
        if step.gain <= tolerance or stalled:
            if newton is not weights:
                elimination = Lambda.eliminate(problem, weights)
            if elimination is None:
                return None
            return LaplacePoint(
                problem,
                Lambda,
                joint,
                state.beta,
                state.u,
                state.eta,
                rows,
                state.scores,
                elimination,
                problem.constant - 2 * state.penalized + elimination.log_det,
                steps,
            )
        moved = _moved_state(problem, Lambda, state, step)
        if moved is None:
            return None
        state = moved
    return None


def _highest(point: LaplacePoint) -> LaplacePoint:
    """The point with the highest modes that are found."""
    for _ in range(MOST_CLIMBS):
        u = point.higher_start()
        if u is None:
            break
        found = _modes(point.problem, point.Lambda, point.beta, u, point.joint)
        if found is None or found.penalized <= point.penalized + HIGHER:
            break
        point = found
    return point


@by_value
@dataclass(frozen=True, eq=False)
class _State:
    """Where the inner iteration is: u = Lambda't, as at the modes, where t = Z's."""

    problem: Problem
    beta: Array
    fixed: Array
    t: list[Array]
    u: list[Array]
    eta: Array
    rows: Rows
    penalized: float

    @classmethod
    def at(
        cls,
        problem: Problem,
        beta: Array,
        fixed: Array,
        t: list[Array],
        u: list[Array],
        eta: Array,
    ) -> _State:
        rows = problem.family.derivatives(problem.y, eta, problem.weights, 2)
        total = float(rows.value.sum())
        penalized = total - 0.5 * _size(u) if math.isfinite(total) else -math.inf
        return cls(problem, beta, fixed, t, u, eta, rows, penalized)

    @classmethod
    def first(cls, problem: Problem, Lambda: _Lambda, beta: Array, u: Any) -> _State | None:
        if isinstance(u, float):
            u = [np.full((f.levels, f.width), u) for f in problem.layout.factors]
        inverses = map(np.linalg.pinv, Lambda.factors)
        t = [own @ inverse for own, inverse in zip(u, inverses, strict=True)]
        u = Lambda.back(t)
        fixed = problem.linear(beta)
        eta = fixed + problem.effects.predictor(Lambda.effects(u))
        with np.errstate(all="ignore"):
            found = cls.at(problem, beta, fixed, t, u, eta)
        return found if math.isfinite(found.penalized) else None

    @cached_property
    def scores(self) -> list[Array]:
        """Z's by factor (levels, width)."""
        return self.problem.effects.sums(self.rows.score)


@by_value
@dataclass(frozen=True, eq=False)
class _Step:
    """A step of beta, t and u, and by how much of the penalized log-likelihood it goes."""

    beta: Array
    t: list[Array]
    u: list[Array]
    gain: float


def _step(
    problem: Problem,
    Lambda: _Lambda,
    state: _State,
    weights: Array,
    joint: bool,
) -> tuple[Elimination | None, _Step | None]:
    """Newton's step, (Lambda'Z'WZ Lambda + I) du = Lambda'Z's - u = Lambda'(Z's - t), and the
    elimination for its weights; ``None`` where the arithmetic has no digits for them.
    """
    elimination = Lambda.eliminate(problem, weights) if np.isfinite(weights).all() else None
    if elimination is None:
        return None, None
    apart = [s - t for s, t in zip(state.scores, state.t, strict=True)]
    along = np.zeros_like(state.beta)
    gain = 0.0
    if not joint or not problem.p:
        whitened, _ = _whiten_sums(problem, elimination, [part[:, :, None] for part in apart])
        dt = [part[:, :, 0] for part in whitened]
    else:
        weighted, p = problem.Q * weights[:, None], problem.p
        columns = [*map(problem.effects.sums, weighted.T), apart]
        whitened, explained = _whiten_sums(problem, elimination, _columns(columns))
        uphill = problem.Q.T @ state.rows.score
        inner = problem.Q.T @ weighted - explained[:p, :p]
        along = np.asarray(np.linalg.solve(inner, uphill - explained[:p, p]), dtype=np.float64)
        mixing = np.append(-along, 1.0)
        dt = [part @ mixing for part in whitened]
        gain = float(along @ uphill)
    du = Lambda.back(dt)
    gain += sum(float(np.vdot(d, own)) for d, own in zip(du, Lambda.back(apart), strict=True))
    return elimination, _Step(along, dt, du, 0.5 * gain)


def _moved_state(problem: Problem, Lambda: _Lambda, state: _State, step: _Step) -> _State | None:
    """The state after the step, or after half of it, and so on, that raises the likelihood."""
    fraction = 1.0
    ahead = problem.effects.predictor(Lambda.effects(step.u))
    along = problem.Q @ step.beta if step.beta.any() else np.zeros_like(ahead)
    for _ in range(MOST_HALVINGS):
        t = [old + fraction * d for old, d in zip(state.t, step.t, strict=True)]
        u = [old + fraction * d for old, d in zip(state.u, step.u, strict=True)]
        fixed = state.fixed + fraction * along
        eta = state.eta + fraction * (along + ahead)
        with np.errstate(all="ignore"):
            found = _State.at(problem, state.beta + fraction * step.beta, fixed, t, u, eta)
        slack = ROUNDING * abs(state.penalized)
        if found.penalized >= state.penalized + 1e-4 * fraction * step.gain - slack:
            return found
        fraction *= 0.5
    return None
