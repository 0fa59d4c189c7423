"""The definitions of the criteria of generalized linear mixed models in mpmath, row by row and with
dense matrices: what the tests hold the engine against.
"""

from __future__ import annotations

from itertools import product

import mpmath as mp
import numpy as np

from lmerbridge.design import build_frame
from lmerbridge.family import family_of
from lmerbridge.likelihood.laplace import Problem

FAMILIES = (
    "binomial",
    "binomial(probit)",
    "binomial(cloglog)",
    "binomial(cauchit)",
    "binomial(log)",
    "poisson",
    "poisson(identity)",
    "poisson(sqrt)",
    "negative.binomial(theta = 2)",
)


def problem_of(formula, data, family, observed=False, **arguments):
    """A model frame and its problem."""
    frame = build_frame(formula, data, **arguments)
    return frame, Problem.of(frame, family_of(family), observed)


def mean(link, eta):
    """mu and its first two derivatives in eta."""
    if link == "logit":
        p = 1 / (1 + mp.exp(-eta))
        return p, p * (1 - p), p * (1 - p) * (1 - 2 * p)
    if link == "probit":
        density = mp.npdf(eta)
        return mp.ncdf(eta), density, -eta * density
    if link == "cloglog":
        t = mp.exp(eta)
        return -mp.expm1(-t), t * mp.exp(-t), t * (1 - t) * mp.exp(-t)
    if link == "cauchit":
        square = 1 + eta * eta
        return mp.atan(eta) / mp.pi + 0.5, 1 / (mp.pi * square), -2 * eta / (mp.pi * square**2)
    if link == "log":
        return (mp.exp(eta),) * 3
    if link == "identity":
        return eta, mp.mpf(1), mp.mpf(0)
    if link == "inverse":
        return 1 / eta, -1 / eta**2, 2 / eta**3
    if link == "1/mu^2":
        root = mp.sqrt(eta)
        return 1 / root, -1 / (2 * root**3), 3 / (4 * root**5)
    return eta * eta, 2 * eta, mp.mpf(2)


class Model:
    """A model in numbers of mpmath.

    ``Z`` (n, q) has the columns in the user's units, ``terms`` the factor's place of each term.
    ``shape`` is the dispersion, or the size of a negative binomial.
    """

    def __init__(self, frame, problem):
        self.family = problem.family
        self.shape = mp.mpf(1.0 if self.family.theta is None else self.family.theta)
        self.n = len(frame.y)
        self.y = [mp.mpf(float(v)) for v in frame.y]
        ones = np.ones(self.n)
        self.weights = [
            mp.mpf(float(v)) for v in (ones if frame.weights is None else frame.weights)
        ]
        self.offset = [
            mp.mpf(float(v)) for v in (0 * ones if frame.offset is None else frame.offset)
        ]
        # the problem's rows lie level by level
        columns = [problem.effects.frame_of(column) for column in problem.Q.T]
        Q = np.column_stack(columns or [np.zeros(self.n)])  # without fixed effects one column of 0
        self.Q = mp.matrix(Q.tolist())
        self.maps = problem.effects.layout.maps
        self.blocks = frame.random
        sizes = [len(block.levels) * block.columns.shape[1] for block in frame.random]
        self.Z = np.zeros((self.n, sum(sizes)))
        start = 0
        for block, size in zip(frame.random, sizes, strict=True):
            width = block.columns.shape[1]
            for row in range(self.n):
                first = start + width * block.codes[row]
                self.Z[row, first : first + width] = block.columns[row]
            start += size

    def density(self, row, eta):
        """The log density with all its parts; minus infinity where there is no such mean."""
        y, w = self.y[row], self.weights[row]
        mu, _, _ = mean(self.family.link.name, eta)
        if self.family.name == "binomial":
            if not 0 <= mu <= 1:
                return mp.mpf("-inf")
            value = mp.loggamma(w + 1) - mp.loggamma(w * y + 1) - mp.loggamma(w - w * y + 1)
            hits, misses = w * y, w * (1 - y)
            value += hits * mp.log(mu) if hits else 0
            return value + (misses * mp.log(1 - mu) if misses else 0)
        if mu < 0:
            return mp.mpf("-inf")
        if self.family.name == "poisson":
            return w * ((y * mp.log(mu) if y else 0) - mu - mp.loggamma(y + 1))
        if self.family.theta is None:
            return self.of_dispersion(y, w, mu)
        theta = self.shape
        value = mp.loggamma(y + theta) - mp.loggamma(theta) - mp.loggamma(y + 1)
        value += theta * mp.log(theta) - (y + theta) * mp.log(mu + theta)
        return w * (value + (y * mp.log(mu) if y else 0))

    def of_dispersion(self, y, w, mu):
        """The log density of a gamma, an inverse Gaussian or a normal."""
        a = w / self.shape
        if self.family.name == "Gamma":
            return a * mp.log(a * y / mu) - a * y / mu - mp.log(y) - mp.loggamma(a)
        square = (y - mu) ** 2
        if self.family.name == "inverse.gaussian":
            return mp.log(a / (2 * mp.pi * y**3)) / 2 - a * square / (2 * mu**2 * y)
        return mp.log(a / (2 * mp.pi)) / 2 - a * square / 2

    def deviance(self, row, mu):
        """The deviance's part of a row, of a family with a dispersion."""
        y, w = self.y[row], self.weights[row]
        if self.family.name == "Gamma":
            return 2 * w * ((y - mu) / mu - mp.log(y / mu))
        if self.family.name == "inverse.gaussian":
            return w * (y - mu) ** 2 / (y * mu**2)
        return w * (y - mu) ** 2

    def informations(self, row, eta):
        """The score, the expected and the observed information."""
        y, w = self.y[row], self.weights[row]
        mu, slope, bend = mean(self.family.link.name, eta)
        powers = {"Gamma": 2, "inverse.gaussian": 3, "gaussian": 0}
        if self.family.name in powers:
            k = powers[self.family.name]
            V, dV, w = mu**k, k * mu ** (k - 1), w / self.shape
        elif self.family.name == "binomial":
            V, dV = mu * (1 - mu), 1 - 2 * mu
        elif self.family.name == "poisson":
            V, dV = mu, mp.mpf(1)
        else:
            theta = self.shape
            V, dV = mu + mu**2 / theta, 1 + 2 * mu / theta
        expected = slope**2 / V
        observed = expected - (y - mu) * (bend / V - slope**2 * dV / V**2)
        return w * (y - mu) * slope / V, w * expected, w * observed

    def columns(self, theta):
        """Z Lambda (n, q) for theta of the scaled columns."""
        theta = list(theta)
        found, start = [], 0
        for block, M in zip(self.blocks, self.maps, strict=True):
            k = len(M)
            L = mp.zeros(k, k)
            for column in range(k):
                for row in range(column, k):
                    L[row, column] = theta.pop(0)
            own = mp.matrix(M.tolist()) * L
            for _ in block.levels:
                found.append((start, own))
                start += k
        columns = mp.zeros(self.n, self.Z.shape[1])
        for first, own in found:
            k = own.rows
            for row in range(self.n):
                z = self.Z[row, first : first + k]
                if z.any():
                    part = mp.matrix([z.tolist()]) * own
                    for a in range(k):
                        columns[row, first + a] = part[0, a]
        return columns

    def laplace(self, theta, beta, u, observed=False, joint=False):
        """The Laplace criterion, its modes found by Newton's method from u (beta too if joint)."""
        eta, u, determinant = self.at_modes(theta, beta, u, observed, joint)
        total = mp.fsum(self.density(i, eta[i]) for i in range(self.n))
        return -2 * total + mp.fsum(v * v for v in u) + determinant

    def moment(self, theta, beta, u, freedom, phi):
        """lme4's criterion: of 2.1, its dispersion found from phi; of 1.1 without ``freedom``."""
        link, tried = self.family.link.name, []
        self.shape = mp.mpf(1 if freedom is None else float(phi))
        while True:
            eta, u, determinant = self.at_modes(theta, beta, u, False, False)
            D = mp.fsum(self.deviance(i, mean(link, eta[i])[0]) for i in range(self.n))
            if freedom is None or abs(self.shape - D / freedom) < mp.mpf(10) ** (8 - mp.mp.dps):
                break
            tried.append((self.shape, D / freedom))
            assert len(tried) < 20
            self.shape = D / freedom
            if len(tried) > 1:  # a secant's step
                (x, f), (y, g) = tried[-2:]
                self.shape = y - (g - y) * (y - x) / ((g - y) - (f - x))
        size = mp.fsum(v * v for v in u)
        weights, self.weights = self.weights, [mp.mpf(1)] * self.n
        normal = self.family.name == "gaussian"  # whose weights are in the density
        self.shape = D / (self.n if normal else mp.fsum(weights))
        if normal:
            aic = self.n * (mp.log(2 * mp.pi * self.shape) + 1) - mp.fsum(map(mp.log, weights))
        else:
            aic = -2 * mp.fsum(weights[i] * self.density(i, eta[i]) for i in range(self.n))
        self.weights = weights
        return aic + size + determinant + (2 if freedom is None else 0)

    def at_modes(self, theta, beta, u, observed, joint):
        """The linear predictors, the modes, and the log of the determinant."""
        A = self.columns(theta)
        q, p = A.cols, self.Q.cols
        beta, u = mp.matrix(list(beta)), mp.matrix(list(u))
        for _ in range(5):
            eta = self.Q * beta + mp.matrix(self.offset) + A * u
            rows = [self.informations(i, eta[i]) for i in range(self.n)]
            D = mp.diag([row[2] for row in rows])
            s = mp.matrix([row[0] for row in rows])
            full = mp.zeros(self.n, q + p)
            full[:, :q], full[:, q:] = A, self.Q
            if not joint:
                full = A
            matrix, right = full.T * D * full, full.T * s
            for a in range(q):
                matrix[a, a] += 1
                right[a] -= u[a]
            step = mp.lu_solve(matrix, right)
            u += step[:q]
            if joint:
                beta += step[q:]
            if mp.norm(step) < mp.mpf(10) ** (5 - mp.mp.dps):
                break
        else:
            raise AssertionError("no modes")
        eta = self.Q * beta + mp.matrix(self.offset) + A * u
        rows = [self.informations(i, eta[i]) for i in range(self.n)]
        matrix = A.T * mp.diag([row[2 if observed else 1] for row in rows]) * A + mp.eye(q)
        return eta, u, mp.log(mp.det(matrix))

    def integral(self, theta, beta, step, reach):
        """The exact criterion of a model with one grouping factor by the trapezoidal rule, which
        converges exponentially (Trefethen & Weideman 2014), over u from -reach to reach.
        """
        A = self.columns(theta)
        fixed = self.Q * mp.matrix(list(beta)) + mp.matrix(self.offset)
        k = sum(len(M) for M in self.maps)
        levels = len(self.blocks[0].levels)
        count = int(reach / step)
        points = [step * mp.mpf(i) for i in range(-count, count + 1)]
        total = mp.mpf(0)
        for level in range(levels):
            # the columns of a level, term by term
            places, start = [], 0
            for M, block in zip(self.maps, self.blocks, strict=True):
                places += [start + level * len(M) + a for a in range(len(M))]
                start += len(M) * len(block.levels)
            rows = [i for i in range(self.n) if self.blocks[0].codes[i] == level]
            own = [[A[i, place] for place in places] for i in rows]
            value = mp.mpf(0)
            for u in product(points, repeat=k):
                logs = mp.fsum(
                    self.density(i, fixed[i] + mp.fdot(z, u))
                    for i, z in zip(rows, own, strict=True)
                )
                value += mp.exp(logs - mp.fdot(u, u) / 2)
            total += mp.log(value * (step / mp.sqrt(2 * mp.pi)) ** k)
        return -2 * total


def gradient(function, x, step=None):
    """Central differences in the digits there are."""
    step = mp.mpf(10) ** (-mp.mp.dps // 3) if step is None else step
    found = []
    for i in range(len(x)):
        ahead, behind = list(x), list(x)
        ahead[i] += step
        behind[i] -= step
        found.append((function(ahead) - function(behind)) / (2 * step))
    return np.array([float(v) for v in found])


def differences(criterion, x, step=1e-3):
    """Central differences of the sixth order."""
    found = []
    for i in range(len(x)):
        total = 0.0
        for k, factor in ((1, 45.0), (2, -9.0), (3, 1.0)):
            for sign in (1, -1):
                moved = x.copy()
                moved[i] += sign * k * step
                total += sign * factor * criterion(moved)
        found.append(total / (60 * step))
    return np.array(found)
