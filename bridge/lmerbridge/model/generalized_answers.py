"""What a generalized model is asked: predictions, simulated responses, intervals, tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lmerbridge.errors import (
    ArgumentError,
    DataError,
    UnsupportedModelError,
    matched,
    near_match,
)
from lmerbridge.family import Link
from lmerbridge.inference.drawn import drawn_responses
from lmerbridge.inference.family_residuals import fitted_family
from lmerbridge.inference.fit import Fit
from lmerbridge.inference.predict import INTERVALS
from lmerbridge.inference.re_form import chosen_effects, is_na
from lmerbridge.inference.simulate import generator
from lmerbridge.inference.working import working_fit
from lmerbridge.model import prediction
from lmerbridge.model.elsewhere import missing_attribute
from lmerbridge.model.row_values import Vector, row_table

__all__ = [
    "missing",
    "of_response",
    "part",
    "predict",
    "scale_of",
    "simulate",
    "to_compare",
]

SCALES = ("link", "response")


def missing(model: object, name: str) -> AttributeError:
    """Return the error for an attribute that a generalized model has not."""
    from lmerbridge.model.model import Model

    if not name.startswith("_") and hasattr(Model, name):
        return AttributeError(
            f"{name} is not here yet for a generalized model, only for a linear one",
            name=name,
            obj=model,
        )
    return missing_attribute(model, name)


def part(fit: Fit, name: str) -> Any:
    """Return a part of the model; names as of :meth:`lmerbridge.GeneralizedModel.getME`."""
    estimates = fit.result.estimates
    known: dict[str, Callable[[], Any]] = {
        "theta": lambda: estimates.theta.copy(),
        "beta": lambda: estimates.beta.copy(),
        "X": lambda: fit.frame.X.copy(),
        "y": lambda: fit.frame.y.copy(),
        "mu": lambda: estimates.fitted.copy(),
        "glmer.nb.theta": lambda: fit.result.call.shape,
    }
    if name not in known:
        raise ArgumentError(
            f"getME() of a generalized model has no {name!r}{near_match(name, known)}; "
            f"it has {', '.join(known)}"
        )
    return known[name]()


def predict(
    fit: Fit,
    newdata: Any,
    re_form: Any,
    type: str,
    allow_new_levels: bool,
    na_action: str,
    se_fit: bool,
    interval: str | None,
    level: float,
) -> Vector | pd.DataFrame:
    """Predict; arguments as of :meth:`lmerbridge.GeneralizedModel.predict`."""
    scale = scale_of(type, interval)
    errors = se_fit or interval is not None
    found = prediction.predict(
        working_fit(fit) if errors else fit,
        newdata,
        re_form,
        allow_new_levels,
        se_fit,
        interval,
        level,
        False,
        None,
        na_action,
    )
    if scale == "link":
        return found
    return of_response(found, fitted_family(fit.result).link)


def scale_of(type: str, interval: str | None) -> str:
    """Return the scale of predictions, ``type`` as it is meant.

    Raises
    ------
    ArgumentError
        There is none such.
    UnsupportedModelError
        An interval for new responses.
    """
    if interval is not None and matched(interval, INTERVALS, "interval") == "prediction":
        raise UnsupportedModelError(
            "a generalized model has no prediction interval by standard errors: new responses are "
            "not normal. Draw them: quantiles of m.simulate(1000)"
        )
    return matched(type, SCALES, "type")


def of_response(found: Vector | pd.DataFrame, link: Link) -> Vector | pd.DataFrame:
    """Bring predictions back, with standard errors by the delta method and limits as they come."""
    if isinstance(found, pd.Series):
        mu = link.inverse(np.asarray(found, dtype=np.float64))
        return pd.Series(mu, index=found.index, name=found.name)
    eta = found["fit"].to_numpy(np.float64)
    table = found.assign(
        fit=link.inverse(eta), se_fit=found["se_fit"].to_numpy() * np.abs(link.slope(eta))
    )
    if "lwr" in found:
        ends = [link.inverse(found[name].to_numpy(np.float64)) for name in ("lwr", "upr")]
        table["lwr"], table["upr"] = np.minimum(*ends), np.maximum(*ends)
    return table


def simulate(fit: Fit, nsim: int, seed: Any, re_form: Any, use_u: bool) -> pd.DataFrame:
    """Draw new responses; arguments as of :meth:`lmerbridge.GeneralizedModel.simulate`."""
    if isinstance(nsim, bool) or nsim < 1:
        raise ArgumentError(f"nsim must be a positive whole number, not {nsim!r}")
    if use_u and not is_na(re_form):
        raise DataError("should specify only one of 'use_u' and 're_form'")
    chosen = chosen_effects(fit.frame, None if use_u else re_form)
    made = drawn_responses(fit.frame, fit.result, generator(seed), chosen, nsim)
    return row_table(fit, made, [f"sim_{i + 1}" for i in range(nsim)])


def to_compare(model: Any, others: Sequence[Any]) -> list[Any]:
    """Return the models of a comparison.

    Raises
    ------
    UnsupportedModelError
        There is no other.
    DataError
        Another is no generalized model, or of another family, or its likelihood is approximated
        differently.
    """
    if not others:
        raise UnsupportedModelError(
            "anova() of one generalized model has no test in lme4: give another model to compare "
            "with, as in m0.anova(m1)"
        )
    models = [model, *others]
    for other in others:
        if getattr(other, "family", None) is None:
            raise DataError(
                "a generalized model is compared with generalized models, not with "
                f"{type(other).__name__}"
            )
    families = {repr(m.family) for m in models}
    if len(families) > 1:
        raise DataError(
            f"models of different families or links are not nested: {', '.join(sorted(families))}"
        )
    nodes = {m.result.call.nAGQ for m in models if hasattr(m, "result")}
    if len(nodes) > 1:
        raise DataError(
            "models with different nAGQ cannot be compared: their likelihoods are approximated "
            f"differently (nAGQ = {', '.join(map(str, sorted(nodes)))})"
        )
    return models
