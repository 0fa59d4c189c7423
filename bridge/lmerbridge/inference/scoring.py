"""Generalized linear models without random effects, by Fisher scoring: fits, deviances of parts of
the model, profile intervals.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from lmerbridge.design import ModelFrame
from lmerbridge.design.checks import independent_columns
from lmerbridge.design.columns import Numeric
from lmerbridge.design.matrix import model_matrix
from lmerbridge.equality import by_value
from lmerbridge.errors import FitFailedError
from lmerbridge.family import Family
from lmerbridge.inference.containment import fixed_terms
from lmerbridge.inference.family_residuals import residuals_of
from lmerbridge.inference.regression import Regression, regress
from lmerbridge.likelihood.separation import separation

__all__ = ["Scored", "Scoring"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

CLIPPED = ("logit", "probit", "cloglog", "cauchit")  # any linear predictor has a probability
NEAR = 1e-2  # of a response at the end of its range: so near are fitted means where rows separate
DOUBLINGS = 8
HALVINGS = 50


@by_value
@dataclass(frozen=True, eq=False)
class Scored:
    """Where the iteration ended.

    Attributes
    ----------
    beta : array (p,); eta : array (n,)
    weights, working : array (n,)
        Weights and working response less the offset of the last step.
    deviance : float
    iterations : int
    converged, boundary : bool
        ``boundary``: a step was shortened, since means outside their range have no deviance.
    """

    beta: Array
    eta: Array
    weights: Array
    working: Array
    deviance: float
    iterations: int
    converged: bool
    boundary: bool


@by_value
@dataclass(frozen=True, eq=False)
class Scoring:
    """What is fitted, and how long.

    Attributes
    ----------
    frame : ModelFrame
        Of a family.
    quasi : bool
        Whether the dispersion is estimated where the family has a known one.
    epsilon, maxit
        It ends where the deviance changes by less than ``epsilon`` times (itself + 0.1), or after
        so many steps.
    """

    frame: ModelFrame
    quasi: bool = False
    epsilon: float = 1e-8
    maxit: int = 25

    @property
    def family(self) -> Family:
        """The family with its link."""
        assert self.frame.family is not None
        return self.frame.family

    @property
    def name(self) -> str:
        """R's name of the family."""
        return f"{'quasi' * self.quasi}{self.family.name}"

    @property
    def known(self) -> bool:
        """Whether the dispersion is 1; R estimates that of a negative binomial."""
        return self.family.name in ("binomial", "poisson") and not self.quasi

    @property
    def prior(self) -> Array:
        """Prior weights (n,)."""
        frame = self.frame
        return np.ones(frame.nobs) if frame.weights is None else frame.weights

    @property
    def offset(self) -> Array:
        """Offsets (n,)."""
        frame = self.frame
        return np.zeros(frame.nobs) if frame.offset is None else frame.offset

    def mean(self, eta: Array) -> Array:
        """Return the means (n,) of linear predictors (n,)."""
        return self.family.link.inverse(eta)

    def deviance(self, mu: Array) -> float:
        """Return the deviance of means (n,)."""
        parts = self.family.deviance_residuals_squared(self.frame.y, mu, self.prior)
        return float(parts[self.prior > 0].sum())

    def _deviance_at(self, eta: Array) -> float:
        """Infinite where a mean is none of the family's."""
        link, mu = self.family.link, self.mean(eta)
        if not link.valid_eta(eta) or not (link.name in CLIPPED or self.family.valid_mu(mu)):
            return math.inf
        found = self.deviance(mu)
        return found if math.isfinite(found) else math.inf

    def fit(self, X: Array, offset: Array, start: Array | None = None) -> Scored:
        """Score the model of the columns X (n, p) (McCullagh & Nelder 1989, section 2.5).

        Parameters
        ----------
        X : array (n, p)
        offset : array (n,)
        start : array (p,), optional
            Coefficients to start from.

        Raises
        ------
        FitFailedError
            No step leads to means that the family has.
        """
        if start is None:
            eta = self.family.link.link(self.family.initial_mu(self.frame.y, self.prior))
        else:
            eta = X @ start + offset
        found = self._step(X, offset, eta, start, self._deviance_at(eta))
        while not found.converged and found.iterations < self.maxit:
            next_one = self._step(X, offset, found.eta, found.beta, found.deviance)
            found = replace(
                next_one,
                iterations=found.iterations + 1,
                boundary=found.boundary or next_one.boundary,
            )
        return found

    def _step(
        self, X: Array, offset: Array, eta: Array, last: Array | None, before: float
    ) -> Scored:
        """One step from eta, shortened towards the last coefficients while a mean is none."""
        rows = self.family.derivatives(self.frame.y, eta, self.prior)
        W = rows.expected
        z = eta - offset + np.divide(rows.score, W, out=np.zeros_like(W), where=W > 0)
        root = np.sqrt(W)
        try:
            Q, R = np.linalg.qr(X * root[:, None])
            beta: Array = np.asarray(np.linalg.solve(R, Q.T @ (z * root)), dtype=np.float64)
        except np.linalg.LinAlgError as error:
            raise FitFailedError(
                "the working weights leave no estimate of some coefficients"
            ) from error
        for halvings in range(HALVINGS):
            eta = X @ beta + offset
            deviance = self._deviance_at(eta)
            if math.isfinite(deviance):
                converged = abs(deviance - before) < self.epsilon * (abs(deviance) + 0.1)
                return Scored(beta, eta, W, z, deviance, 1, converged, halvings > 0)
            if last is None:
                raise FitFailedError(
                    "no valid set of coefficients has been found: please supply starting values"
                )
            beta = (beta + last) / 2
        raise FitFailedError("cannot correct step size: no smaller step has valid means")

    def regression(self, found: Scored) -> Regression:
        """Return the least squares of the last step, with the means as fitted values."""
        frame, prior = self.frame, self.prior
        working = replace(frame.rows, y=found.working + self.offset, weights=found.weights)
        with np.errstate(divide="ignore"):
            own = regress(replace(frame, rows=working))
        mu = self.mean(found.eta)
        response = frame.y - mu
        count = int(np.count_nonzero(prior > 0))
        # R has the weights of the last step, and residuals after it
        slope = np.where(found.weights > 0, self.family.link.slope(found.eta), 1.0)
        return replace(
            own,
            beta=found.beta,
            fitted=mu,
            residuals=response,
            weighted=residuals_of(self.family, mu, response, prior, "pearson"),
            rss=float(found.weights @ (response / slope) ** 2),
            nobs=count,
            scale=1.0 if self.known else None,
        )

    def null_deviance(self) -> tuple[float, int]:
        """Return the deviance of the intercept and offset alone, and its degrees of freedom."""
        frame, prior = self.frame, self.prior
        intercept = "(Intercept)" in frame.x_names
        if frame.offset is not None and intercept:
            value = self.fit(np.ones((frame.nobs, 1)), frame.offset).deviance
        else:
            mu = np.average(frame.y, weights=prior) if intercept else self.mean(self.offset)
            value = self.deviance(np.broadcast_to(mu, frame.y.shape))
        return value, int(np.count_nonzero(prior > 0)) - intercept

    def aic(self, found: Scored) -> float:
        """Return minus twice the log-likelihood and twice the number of coefficients."""
        if self.quasi:
            return math.nan
        column = self.frame.rows.variables[self.frame.formula.response_label]
        two = isinstance(column, Numeric) and column.values.ndim == 2
        sizes = column.values.sum(axis=1) if two and isinstance(column, Numeric) else None
        mu = self.mean(found.eta)
        value = self.family.aic(self.frame.y, mu, self.prior, found.deviance, sizes)
        return value + 2 * len(found.beta)

    @cached_property
    def _whole(self) -> tuple[Array, Array]:
        """The columns of all terms, also those that are combinations of others; their terms."""
        frame = self.frame
        if not frame.design.x_dropped:
            return frame.X, np.array(frame.design.x_assign)
        terms, of = fixed_terms(frame), frame.design.contrasts
        whole = model_matrix(terms, frame.rows.variables, frame.nobs, of)
        return whole.values, np.array(whole.assign)

    def without(self, labels: Sequence[str]) -> tuple[int, float]:
        """Return the rank and the deviance of the model without some of the terms."""
        X, assign = self._whole
        gone = [self.frame.design.x_terms.index(label) + 1 for label in labels]
        X = X[:, ~np.isin(assign, gone)]
        if self.frame.design.x_dropped:
            X = X[:, independent_columns(X)]
        return X.shape[1], self._of(X)

    def _of(self, X: Array) -> float:
        if not X.shape[1]:
            return self._deviance_at(self.offset)
        return self.fit(X, self.offset).deviance

    def sequential(self) -> list[float]:
        """Return the deviances of the models of the first term, the first two and so on."""
        assign = np.array(self.frame.design.x_assign)
        count = len(self.frame.design.x_terms)
        return [self._of(self.frame.X[:, assign <= i]) for i in range(1, count + 1)]

    def type_two(self) -> dict[str, tuple[int, float]]:
        """Return for each term its columns' number, and what they take off the deviance of the
        terms that do not hold it.
        """
        frame = self.frame
        sets = dict(
            zip(frame.design.x_terms, map(frozenset, fixed_terms(frame).terms), strict=True)
        )
        found = {}
        for label, own in sets.items():
            held = [other for other, s in sets.items() if own < s]
            less, more = self.without([*held, label]), self.without(held)
            df = more[0] - less[0]
            found[label] = df, less[1] - more[1] if df else math.nan
        return found

    def profile_limit(self, found: Scored, own: Regression, j: int, z: float) -> float:
        """Return where the signed root of the j-th coefficient's deviance is z; NaN where it comes
        to no such value.

        The root is sign(b - beta) sqrt((D(b) - D) / phi), D(b) minimal over the others
        (Venables & Ripley 2002, *Modern Applied Statistics with S*, section 7.2).
        """
        from scipy.optimize import brentq

        X, V = self.frame.X, own.vcov
        others, x = np.delete(X, j, axis=1), X[:, j]
        step = z * math.sqrt(V[j, j])
        rest, slope = np.delete(found.beta, j), np.delete(V[:, j], j) / V[j, j] * step

        def less(factor: float) -> float:
            offset = self.offset + x * (found.beta[j] + factor * step)
            try:
                value = (
                    self.fit(others, offset, rest + factor * slope).deviance
                    if len(rest)
                    else self._deviance_at(offset)
                )
            except FitFailedError:
                value = math.inf
            value = (value - found.deviance) / own.sigma**2
            return min(math.sqrt(max(value, 0.0)), 1e3) - abs(z)

        high = 1.0
        for _ in range(DOUBLINGS):
            if less(high) > 0:
                root = float(brentq(less, 0.0, high, xtol=1e-9))
                # the end of what can be fitted is none of an interval
                return float(found.beta[j] + root * step) if abs(less(root)) < 1e-4 else math.nan
            high *= 2
        return math.nan

    def direction(self, found: Scored) -> str | None:
        """Say in which direction the likelihood rises without end; nothing where it does not.

        It is looked for where a row with the least or greatest response has nearly that as its
        mean.
        """
        y, mu = self.frame.y, self.mean(found.eta)
        ends = (y == 0) | ((y == 1) & (self.family.name == "binomial"))
        if not np.any(ends & (np.abs(y - mu) < NEAR)):
            return None
        way = separation(self.frame.X, y, self.frame.weights, self.family)
        return None if way is None else way.describe(self.frame.x_names)
