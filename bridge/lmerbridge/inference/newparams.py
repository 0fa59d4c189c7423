"""A fitted model at other parameters: what lme4's ``newparams`` asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from lmerbridge.design import ModelFrame, parameters_of, templates
from lmerbridge.errors import ArgumentError, DataError
from lmerbridge.inference.fit import Fit
from lmerbridge.inference.predict import as_rows, predictions
from lmerbridge.inference.re_form import every_effect
from lmerbridge.inference.simulate import as_parameters
from lmerbridge.result import FitResult, RandomEffects
from lmerbridge.result.tables import parameter_names, theta_names

__all__ = ["PARAMETERS", "spherical_modes", "with_parameters"]

PARAMETERS = ("beta", "theta", "par", "sigma")


def spherical_modes(frame: ModelFrame, result: FitResult) -> list[np.ndarray[Any, Any]]:
    """Conditional modes u of the spherical random effects, b = Lambda u, per term (levels, k).

    By the normal equations of penalized least squares u = Lambda' Z' W (y - fitted) (Bates et al.
    2015, equation 34), which determines u where Lambda is singular too.
    """
    r = result.estimates.residuals
    if frame.weights is not None:
        r = r * frame.weights
    sizes = [len(block.names) for block in frame.random]
    found = []
    for block, factor in zip(frame.random, templates(result.estimates.theta, sizes), strict=True):
        zr = np.zeros((len(block.levels), len(block.names)))
        np.add.at(zr, block.codes, block.columns * r[:, None])
        found.append(zr @ factor)
    return found


def _by_name(values: Any, names: list[str], what: str) -> Any:
    """Values in the order of ``names``, where they are named."""
    if isinstance(values, pd.Series):
        if isinstance(values.index, pd.RangeIndex):
            return values.to_numpy()
        values = {str(k): v for k, v in values.items()}
    if not isinstance(values, Mapping):
        return values
    wrong = [k for k in values if k not in names] + [k for k in names if k not in values]
    if wrong:
        raise DataError(f"{what}: {wrong[0]!r} does not fit; its names are {', '.join(names)}")
    return [values[name] for name in names]


def _covariance_parameters(
    frame: ModelFrame, result: FitResult, newparams: Mapping[str, Any]
) -> Any:
    """``par`` of ``newparams``, or what its theta says of it."""
    if "par" in newparams and "theta" in newparams:
        raise DataError("newparams has theta and par, which say the same: give one of them")
    if "theta" not in newparams:
        given = newparams.get("par", result.estimates.parameters)
        return _by_name(given, parameter_names(result), "newparams par")
    names = theta_names(result)
    theta = _by_name(newparams["theta"], names, "newparams theta")
    if frame.plain:
        return theta
    values = np.atleast_1d(np.asarray(theta, dtype=np.float64))
    if values.shape != (len(names),):
        raise DataError(f"newparams theta has {values.size} values; the model has {len(names)}")
    found, start = [], 0
    for block in frame.random:
        places = block.structure.places(len(block.names))
        own = np.append(0.0, values[start : start + int(places.max())])
        found.append(block.structure.of_factor(own[places]))
        start += int(places.max())
    return np.concatenate(found)


def with_parameters(fit: Fit, newparams: Any) -> FitResult:
    """The result at other parameters.

    Parameters
    ----------
    fit : Fit
        The model.
    newparams : mapping
        Of ``beta``, ``theta`` (or ``par``) and ``sigma`` those that change, as numbers in the
        model's order or by name. The spherical random effects u stay as they are, so that the
        conditional modes become Lambda u with the new Lambda, as in lme4.

    Raises
    ------
    DataError
        Another name, another number of values, or values that no model can have.
    """
    if not isinstance(newparams, Mapping) or not newparams:
        raise ArgumentError(
            f"newparams must be a mapping with some of {', '.join(PARAMETERS)}, "
            f"not {type(newparams).__name__}"
        )
    unknown = [name for name in newparams if name not in PARAMETERS]
    if unknown:
        raise DataError(
            f"newparams has no {unknown[0]!r}: params should be specified as a list with elements "
            f"from {', '.join(PARAMETERS)}"
        )
    from lmerbridge.likelihood import evaluate

    frame, result = fit.frame, fit.result
    estimates = result.estimates
    beta, theta, sigma = as_parameters(
        frame,
        _by_name(newparams.get("beta", estimates.beta), list(frame.x_names), "newparams beta"),
        _covariance_parameters(frame, result, newparams),
        newparams.get("sigma", estimates.scale),
    )
    at = evaluate(fit.products, theta, result.call.REML)
    if at is None:
        raise DataError("newparams: the criterion cannot be computed at this theta")
    sizes = [len(block.names) for block in frame.random]
    random = tuple(
        RandomEffects.of_factor(
            term.label,
            term.group,
            term.names,
            factor,
            sigma,
            u @ factor.T,
            variances * (sigma / at.sigma) ** 2,
            term.structure,
            term.hom,
        )
        for term, u, factor, variances in zip(
            estimates.random,
            spherical_modes(frame, result),
            templates(theta, sizes),
            at.variances,
            strict=True,
        )
    )
    moved = replace(
        estimates,
        beta=beta,
        theta=theta,
        par=None if frame.plain else parameters_of(frame, theta),
        sigma=sigma,
        vcov=at.vcov * (sigma / at.sigma) ** 2,
        random=random,
    )
    fitted = predictions(replace(result, estimates=moved), as_rows(frame), every_effect(frame))
    return replace(result, estimates=replace(moved, fitted=fitted, residuals=frame.y - fitted))
