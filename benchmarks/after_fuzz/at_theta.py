"""A model of ours at the theta where R has stopped."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

import lmerbridge as lb
from lmerbridge.engines.assemble import counted, estimates_at
from lmerbridge.likelihood import cross_products, evaluate

__all__ = ["at_theta"]


def at_theta(m: Any, theta: Any) -> Any:
    """The model with everything that belongs to R's theta."""
    found = evaluate(cross_products(m.frame), np.array(theta, dtype=float), m.result.call.REML)
    if found is None:
        raise lb.errors.FitFailedError("the criterion cannot be evaluated at R's theta")
    result = replace(
        m.result,
        estimates=estimates_at(m.frame, found),
        criterion=counted(m.frame, m.result.call.REML, found.criterion),
    )
    return type(m)(result, m.frame, m.call)
