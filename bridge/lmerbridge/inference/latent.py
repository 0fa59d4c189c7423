"""The variance that a generalized model's distribution adds on the scale of its link, for R2 and
the intraclass correlation (Nakagawa, Johnson & Schielzeth 2017, J. R. Soc. Interface 14, 20170213).
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np

from lmerbridge.errors import UnsupportedModelError, matched
from lmerbridge.family import Family

__all__ = ["APPROXIMATIONS", "THEORETICAL", "distribution_variance", "mean_over_effects"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

APPROXIMATIONS = ("theoretical", "lognormal", "delta", "trigamma")
THEORETICAL = {"logit": math.pi**2 / 3, "probit": 1.0, "cloglog": math.pi**2 / 6}
NODES = 60


def mean_over_effects(family: Family, eta: float, variance: float) -> float:
    """Return the mean of the response over random effects with a total ``variance`` around ``eta``:
    exp(eta + variance / 2) of the log link (equation 5.8 there), else by Gauss-Hermite quadrature.

    Raises
    ------
    UnsupportedModelError
        The link has no mean for some of the predictors.
    """
    link = family.link
    if link.name == "log":
        return math.exp(eta + variance / 2)
    if link.without_zero or link.name == "1/mu^2":
        raise UnsupportedModelError(
            f"with the {link.name} link the mean over the random effects does not exist: a linear "
            "predictor near 0 has no mean"
        )
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    return float(link.inverse(eta + math.sqrt(variance) * nodes) @ weights / weights.sum())


def distribution_variance(family: Family, mean: float, phi: float, approximation: str) -> float:
    """Return the observation-level variance on the scale of the link.

    Of a binomial it is that of one trial. ``theoretical``: of the latent variable, of a binomial.
    ``delta``: phi V(mean) / (dmu/deta)^2, of any family. ``lognormal`` and ``trigamma``, of the
    log link: log(1 + delta), and the trigamma function of 1 / delta (tables 1 and 2 there).

    Raises
    ------
    UnsupportedModelError
        There is none: of the cauchit link, whose latent variable has no variance.
    """
    link, name = family.link.name, family.name
    kind = matched(approximation, APPROXIMATIONS, "approximation")
    if kind == "theoretical":
        if name != "binomial" or link not in THEORETICAL:
            raise UnsupportedModelError(
                f"the {name} family with the {link} link has no theoretical variance of a latent "
                "variable: approximation='delta'" + (" or 'lognormal'" if link == "log" else "")
            )
        return THEORETICAL[link]
    if kind in ("lognormal", "trigamma") and (link != "log" or name == "binomial"):
        raise UnsupportedModelError(
            f"approximation={kind!r} is of counts and positive responses with the log link, not of "
            f"the {name} family with the {link} link: approximation='delta'"
        )
    mu = np.array([mean])
    slope = family.link.slope(family.link.link(mu))
    delta = float(phi * family.variance(mu)[0] / slope[0] ** 2)
    if kind == "delta":
        return delta
    from scipy.special import polygamma

    return math.log1p(delta) if kind == "lognormal" else float(polygamma(1, 1 / delta))
