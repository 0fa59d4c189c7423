"""The covariance matrix of the fixed effects from the joint Hessian of all parameters.

What packages report that invert the Hessian of the whole log-likelihood (statsmodels, glmmTMB):
beta's block of the inverse over beta, theta and sigma. It differs from (X'V^-1 X)^-1 where the
estimates of beta and theta are correlated, as on unbalanced data.
"""

from __future__ import annotations

import math

import numpy as np

from lmerbridge.likelihood.crossproducts import Array, CrossProducts
from lmerbridge.likelihood.evaluate import Evaluation, evaluate

__all__ = ["joint_vcov"]

DIFFERENCE_STEP = 1e-4


def _precision(e: Evaluation) -> Array:
    """X'V^-1 X, V relative to sigma^2."""
    return np.asarray(e.sigma**2 * np.linalg.inv(e.vcov), dtype=np.float64)


def joint_vcov(c: CrossProducts, theta: Array, REML: bool) -> Array | None:
    """Beta's covariance matrix (p, p) by the joint Hessian at ``theta`` and the beta and sigma
    that belong to it; ``None`` where the Hessian is not that of a minimum.

    Parameters at the boundary are left out, as a package that fixes them would. The Hessian over
    theta and log sigma is by central differences; over beta it is exact.
    """
    here = evaluate(c, theta, REML)
    if here is None:
        return None
    free = [i for i, value in enumerate(theta) if abs(value) > 1e-4]
    p = c.p
    freedom = c.n - p if REML else c.n

    def whole(at: Array, log_sigma: float) -> float:
        """-2 log-likelihood at ``here.beta``."""
        e = evaluate(c, at, REML)
        if e is None:
            return math.nan
        shift = here.beta - e.beta
        rss = e.rss + shift @ _precision(e) @ shift
        value = e.log_det + (e.log_det_X if REML else 0.0)
        return float(value + 2 * freedom * log_sigma + rss / math.exp(2 * log_sigma))

    m = len(free)
    H = np.zeros((p + m + 1, p + m + 1))
    H[:p, :p] = 2 * _precision(here) / here.sigma**2
    origin = np.concatenate([np.asarray(theta, dtype=np.float64), [math.log(here.sigma)]])
    places = [*free, len(theta)]
    steps = np.array([DIFFERENCE_STEP * max(1.0, abs(origin[i])) for i in places])

    def at(*moves: tuple[int, float]) -> float:
        point = origin.copy()
        for k, sign in moves:
            point[places[k]] += sign * steps[k]
        return whole(point[:-1], float(point[-1]))

    for i in range(m + 1):
        for j in range(i + 1):
            second = (
                at((i, 1), (j, 1))
                - at((i, 1), (j, -1))
                - at((i, -1), (j, 1))
                + at((i, -1), (j, -1))
            ) / (4 * steps[i] * steps[j])
            H[p + i, p + j] = H[p + j, p + i] = second
    for k, i in enumerate(free):  # d/dtheta of the gradient over beta, which is 0 at the minimum
        ahead, behind = origin[:-1].copy(), origin[:-1].copy()
        ahead[i] += steps[k]
        behind[i] -= steps[k]
        slopes = []
        for point in (ahead, behind):
            e = evaluate(c, point, REML)
            if e is None:
                return None
            slopes.append(2 * _precision(e) @ (here.beta - e.beta) / here.sigma**2)
        H[:p, p + k] = H[p + k, :p] = (slopes[0] - slopes[1]) / (2 * steps[k])
    if not np.isfinite(H).all():
        return None
    try:
        whole_inverse = np.linalg.inv(H / 2)
    except np.linalg.LinAlgError:
        return None
    found = np.asarray(whole_inverse[:p, :p], dtype=np.float64)
    return found if np.all(np.diag(found) > 0) else None
