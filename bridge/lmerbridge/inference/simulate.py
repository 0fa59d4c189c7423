"""New responses from a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from lmerbridge.arguments import numbers_of
from lmerbridge.design import ModelFrame, templates, theta_of
from lmerbridge.design.newdata import NewRows
from lmerbridge.errors import ArgumentError, DataError

__all__ = ["as_parameters", "draw", "generator"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


def generator(seed: Any) -> np.random.Generator:
    """NumPy's generator from a seed, a SeedSequence or a Generator.

    Raises
    ------
    ArgumentError
        It is neither a non-negative integer nor a Generator.
    """
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"seed must be a non-negative integer or a Generator: {error}"
        ) from error


def draw(
    rng: np.random.Generator,
    rows: NewRows,
    mean: Array,
    theta: Array,
    sigma: float,
    levels: Sequence[int],
    fixed: Sequence[Any],
    nsim: int,
    noise: bool = True,
) -> Array:
    """Responses (n, nsim): ``mean``, new random effects, and noise by the prior weights.

    Parameters
    ----------
    rng : numpy.random.Generator
        What draws.
    rows : NewRows
        What is simulated.
    mean : array (n,)
        The prediction given the random effects that are conditioned on.
    theta : array (m,)
        In the model's order.
    sigma : float
        The residual standard deviation.
    levels : sequence of int
        Levels of each term in the fit; each new level of ``rows`` gets effects of its own.
    fixed : sequence of array of bool (k,)
        Per term the columns whose effects are in ``mean`` already.
    nsim : int
        Responses.
    noise : bool
        Whether with noise; without it they are linear predictors.
    """
    n = len(rows)
    found = np.repeat(mean[:, None], nsim, axis=1)
    sizes = [new.columns.shape[1] for new in rows.random]
    for new, block, count, given in zip(
        rows.random, templates(theta, sizes), levels, fixed, strict=True
    ):
        total = count + len(new.new_levels)
        u = rng.standard_normal((nsim, total, len(block)))
        b = sigma * (u @ block.T)
        b[:, :, given] = 0.0
        codes = np.where(new.codes >= 0, new.codes, count + new.new_codes)
        columns = np.where(new.missing[:, None], np.nan, new.columns)
        codes = np.where(new.missing, 0, codes)
        for j in np.flatnonzero(~np.asarray(given)):
            found += columns[:, j, None] * b[:, codes, j].T
    if not noise:
        return np.asarray(found)
    drawn = rng.standard_normal((n, nsim)) * sigma
    if rows.weights is not None:
        drawn /= np.sqrt(rows.weights)[:, None]
    return np.asarray(found + drawn)


def as_parameters(
    frame: ModelFrame, beta: Any, theta: Any, sigma: Any
) -> tuple[Array, Array, float]:
    """Parameters that a user gives, checked against the model's names and sizes; theta as the
    parameters of the covariance matrices, of which the elements of Lambda come back.

    Raises
    ------
    DataError
        Another number of values than the model has, a name that no effect has, or theta outside of
        its bounds.
    ArgumentError
        They are no finite numbers, or sigma is not positive.
    """
    names = frame.x_names
    if isinstance(beta, Mapping) or hasattr(beta, "to_dict"):
        given = dict(beta)
        wrong = [k for k in given if k not in names] + [k for k in names if k not in given]
        if wrong:
            raise DataError(f"beta: {wrong[0]!r} does not fit; the effects are {', '.join(names)}")
        beta = [given[name] for name in names]
    values = np.atleast_1d(numbers_of(beta, "beta"))
    if values.shape != (len(names),):
        raise DataError(
            f"beta has {values.size} values; the model has {len(names)}: {', '.join(names)}"
        )
    covariance = np.atleast_1d(numbers_of(theta, "theta"))
    if covariance.shape != (frame.covariance_parameters,):
        raise DataError(
            f"theta has {covariance.size} values; the model has {frame.covariance_parameters} "
            "(standard deviations relative to sigma for single columns)"
        )
    structures = [(b.structure, len(b.names)) for b in frame.random]
    lower = np.concatenate([s.lower(k) for s, k in structures])
    upper = np.concatenate([s.upper(k) for s, k in structures])
    if np.any((covariance < lower) & (lower == 0)):
        raise DataError("theta has a negative value on the diagonal of Lambda")
    if np.any((covariance < lower) | (covariance > upper)):
        raise DataError("a correlation is beyond what its covariance structure allows")
    try:
        spread = float(sigma)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"sigma must be a number, not {sigma!r}") from error
    if not (np.isfinite(values).all() and np.isfinite(covariance).all() and spread > 0):
        raise ArgumentError("beta and theta must be finite, and sigma positive")
    return values, theta_of(frame, covariance), spread
