"""What a call asks of an engine beyond the model frame, checked: ``start=`` and ``timeout=``."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from typing import Any, TypeAlias

from lmerbridge.design import ModelFrame
from lmerbridge.engines.protocol import FitSpec
from lmerbridge.errors import ArgumentError, DataError, as_number
from lmerbridge.version_numbers import version_number

__all__ = ["Seconds", "fit_spec", "like_lme4", "start_values", "timeout_seconds"]

COLD = "cold"


def start_values(start: Any) -> tuple[float, ...] | None:
    """The parameters of the covariance matrices to start from; ``None`` for the engine's own.

    Parameters
    ----------
    start : sequence of float, or a mapping, or ``"cold"``, or None
        A mapping has the key ``"theta"`` or ``"par"``, which mean the same in lme4 2.1.

    Raises
    ------
    DataError
        None of these.
    """
    if start is None or (isinstance(start, str) and start == COLD):
        return None
    if isinstance(start, Mapping):
        if set(start) & {"beta", "fixef"}:
            raise DataError(
                "start takes no fixed effects: of a linear model they follow from the parameters "
                "of the covariance matrices, and lme4's lmer() refuses them too; of a generalized "
                "one they are found from theta; leave them out"
            )
        if len(start) != 1 or not set(start) <= {"theta", "par"}:
            raise ArgumentError("start must be theta, or a mapping with the key 'theta' or 'par'")
        (start,) = start.values()
    problem = f"start must be the numbers of theta, not {start!r}"
    if isinstance(start, (str, bytes)):
        raise ArgumentError(f"{problem}; or {COLD!r}")
    try:
        values = list(start)
    except TypeError as error:
        raise ArgumentError(problem) from error
    return tuple(as_number(v, "a value of start") for v in values)


# Of timeouts, which timeout_seconds reads: it says what they must be.
Seconds: TypeAlias = float


def timeout_seconds(timeout: Any) -> float | None:
    """The seconds of a timeout.

    Raises
    ------
    DataError
        Not a positive, finite number.
    """
    if timeout is None:
        return None
    number = isinstance(timeout, numbers.Real) and not isinstance(timeout, bool)
    found = float(timeout) if number else math.nan
    if not (found > 0 and math.isfinite(found)):
        raise ArgumentError(f"timeout must be a positive number of seconds, not {timeout!r}")
    return found


def like_lme4(version: str) -> str | None:
    """Return the ``like`` that asks the native engine for the definitions of a version of lme4;
    ``None`` for its own, those of 2.1.
    """
    return "1.1" if version_number(version) < (2, 1) else None


def fit_spec(
    frame: ModelFrame,
    REML: bool = True,
    start: Any = None,
    timeout: float | None = None,
    nAGQ: int = 1,
    **definition: Any,
) -> FitSpec:
    """How to fit this frame; ``definition`` are further fields of :class:`FitSpec` for a
    generalized model.

    Raises
    ------
    DataError
        A start of another length than theta, or a timeout that is none.
    """
    theta = start_values(start)
    if theta is not None and len(theta) != frame.covariance_parameters:
        raise DataError(
            f"start has {len(theta)} values; theta has {frame.covariance_parameters} in this model"
        )
    if frame.family is not None:
        return FitSpec(
            REML=False,
            start=theta,
            timeout=timeout_seconds(timeout),
            nAGQ=nAGQ,
            **definition,
        )
    return FitSpec(
        # without fixed effects there is nothing to restrict: lme4 fits by ML
        REML=bool(REML) and frame.X.shape[1] > 0,
        start=theta,
        cold=isinstance(start, str) and start == COLD,
        timeout=timeout_seconds(timeout),
    )
