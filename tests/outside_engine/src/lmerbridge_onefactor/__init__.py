"""An engine for one random intercept, by the spectral method of Kang et al. (2008, Genetics 178).

With one random intercept the response has the covariance sigma^2 (I + d Z Z'), d = theta^2. The
eigenvectors of Z Z' are those of every such matrix, so that after one decomposition the criterion
and its derivative over d are sums; its zero is found by bisection. Nothing is shared with the
engines of lmerbridge but its toolkit.
"""

import time
from types import MappingProxyType

import numpy as np
from scipy.optimize import brentq

from lmerbridge.engines.toolkit import (
    LINEAR_MIXED,
    Engine,
    Estimates,
    Feature,
    FitFailedError,
    RandomEffects,
    Status,
    fitted_values,
    package_version,
    result_of,
)

MOST_ROWS = 1000  # the decomposition is of a dense matrix, rows by rows
MOST = 1e8  # d beyond which nothing but the groups is left in the response


class OneFactor(Engine):
    """One random intercept on one grouping factor."""

    name = "one-factor"
    summary = "one random intercept, by the eigenvectors of its design"
    supports = frozenset({Feature.ML, Feature.REML, Feature.OFFSET})
    why_not = MappingProxyType(
        {
            feature: "the method is for one random intercept"
            for feature in LINEAR_MIXED
            if "factor" in feature.value or "correlated" in feature.value
        }
    )

    def status(self):
        return Status(True, package_version("lmerbridge-onefactor"))

    def limits(self, frame, spec):
        if not np.all(frame.random[0].columns == 1) or len(frame.random) > 1:
            return "a random slope: the method is for one random intercept"
        if frame.nobs > MOST_ROWS:
            return f"{frame.nobs} rows: the method is for up to {MOST_ROWS}"
        return None

    def fit(self, frame, spec):
        began = time.perf_counter()
        rotated = Rotated(frame, spec.REML)
        with np.errstate(all="ignore"):
            d = rotated.minimum()
            at = rotated.at(d)
        if not np.isfinite(at.criterion) or at.sigma == 0:
            raise FitFailedError(
                f"the criterion of {frame.formula} could not be computed: the residual variance "
                "is 0 to working precision, or beyond what a float holds"
            )
        return result_of(
            frame,
            spec,
            rotated.estimates(d),
            at.criterion,
            converged=d < MOST,
            doubt="the criterion falls for ever: the groups fit the response exactly",
            engine=self.name,
            packages=("lmerbridge-onefactor", "scipy", "numpy"),
            seconds=time.perf_counter() - began,
            optimizer="brentq on the derivative",
            evaluations=rotated.evaluations,
        )


class At:
    """The model at one d: estimates, criterion and derivative."""

    def __init__(self, y, X, roots, d, REML):
        n, p = X.shape
        variances = 1 + d * roots
        weighted = X / variances[:, None]
        self.normal = X.T @ weighted
        self.beta = np.linalg.solve(self.normal, weighted.T @ y)
        residual = y - X @ self.beta
        free = n - p if REML else n
        square = float(residual @ (residual / variances))
        self.sigma = np.sqrt(square / free)
        self.criterion = (
            free * (np.log(2 * np.pi) + 2 * np.log(self.sigma) + 1) + np.log(variances).sum()
        )
        self.slope = np.sum(roots / variances)
        self.slope -= free * np.sum(roots * (residual / variances) ** 2) / square
        if REML:
            self.criterion += np.linalg.slogdet(self.normal)[1]
            inner = weighted.T @ (roots[:, None] * weighted)
            self.slope -= np.trace(np.linalg.solve(self.normal, inner))


class Rotated:
    """The model in the coordinates in which the response has independent elements."""

    def __init__(self, frame, REML):
        self.frame, self.REML, self.evaluations = frame, REML, 0
        self.block = frame.random[0]
        Z = np.eye(len(self.block.levels))[self.block.codes]
        roots, vectors = np.linalg.eigh(Z @ Z.T)
        self.roots = np.maximum(roots, 0.0)
        response = frame.y if frame.offset is None else frame.y - frame.offset
        self.y, self.X = vectors.T @ response, vectors.T @ frame.X

    def at(self, d):
        self.evaluations += 1
        return At(self.y, self.X, self.roots, d, self.REML)

    def minimum(self):
        """Where the derivative vanishes; several such d are compared, and d = 0 with them."""
        grid = np.concatenate([[0.0], np.geomspace(1e-8, MOST, 60)])
        slopes = [self.at(d).slope for d in grid]
        if not np.isfinite(slopes).all():
            return MOST
        found = [0.0] if slopes[0] >= 0 else []
        for low, high, one, two in zip(grid, grid[1:], slopes, slopes[1:], strict=False):
            if one < 0 <= two:
                found.append(brentq(lambda d: self.at(d).slope, low, high, xtol=1e-14, rtol=1e-14))
        return min(found or [MOST], key=lambda d: self.at(d).criterion)

    def estimates(self, d):
        at, frame, block = self.at(d), self.frame, self.block
        count = np.bincount(block.codes, minlength=len(block.levels))
        response = frame.y if frame.offset is None else frame.y - frame.offset
        residual = response - frame.X @ at.beta
        shrunk = d / (1 + d * count)
        modes = (shrunk * np.bincount(block.codes, residual, len(block.levels)))[:, None]
        term = RandomEffects.of_factor(
            block.label,
            block.group,
            block.names,
            np.array([[np.sqrt(d)]]),
            at.sigma,
            modes,
            (at.sigma**2 * shrunk)[:, None, None],
        )
        fitted = fitted_values(frame, at.beta, [modes])
        return Estimates(
            names=frame.x_names,
            beta=at.beta,
            vcov=at.sigma**2 * np.linalg.inv(at.normal),
            vcov_definition="conditional",
            theta=np.array([np.sqrt(d)]),
            sigma=at.sigma,
            random=(term,),
            fitted=fitted,
            residuals=frame.y - fitted,
        )
