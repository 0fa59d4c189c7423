"""The ML and the REML criterion at the fitted theta, whichever of them was minimized."""

from __future__ import annotations

import math

from lmerbridge.errors import UnsupportedModelError
from lmerbridge.result import FitResult

__all__ = ["ml_deviance", "reml_criterion"]


def _component(result: FitResult, name: str) -> float:
    if name not in result.criterion.components:
        raise UnsupportedModelError(
            f"engine {result.provenance.engine!r} does not report the parts of the profiled "
            "criterion, so that only the criterion that was fitted is known"
        )
    return result.criterion.components[name]


def _weights_term(result: FitResult) -> float:
    weights = result.estimates.weights
    return 0.0 if weights is None else sum(math.log(w) for w in weights.tolist())


def ml_deviance(result: FitResult) -> float:
    """-2 log-likelihood at theta, sigma profiled out (Bates et al. 2015, equation 35)."""
    if not result.call.REML:
        return result.criterion.value
    n = result.data.nobs
    return (
        _component(result, "ldL2")
        - _weights_term(result)
        + n * (1 + math.log(2 * math.pi * _component(result, "pwrss") / n))
    )


def reml_criterion(result: FitResult) -> float:
    """REML criterion at theta, sigma profiled out (Bates et al. 2015, equation 42)."""
    if result.call.REML:
        return result.criterion.value
    freedom = result.data.nobs - len(result.estimates.names)
    return (
        _component(result, "ldL2")
        + _component(result, "ldRX2")
        - _weights_term(result)
        + freedom * (1 + math.log(2 * math.pi * _component(result, "pwrss") / freedom))
    )
