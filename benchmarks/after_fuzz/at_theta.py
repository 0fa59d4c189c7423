"""A model of ours at the theta where R has stopped."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

import lmerbridge as lb
from lmerbridge.covariance import PLAIN
from lmerbridge.design import theta_of_places
from lmerbridge.engines.assemble import counted, estimates_at
from lmerbridge.likelihood import cross_products, evaluate

__all__ = ["at_theta", "without_structures"]


def at_theta(m: Any, theta: Any) -> Any:
    """The model with everything that belongs to R's theta."""
    full = theta_of_places(m.frame, np.array(theta, dtype=float))
    found = evaluate(cross_products(m.frame), full, m.result.call.REML)
    if found is None:
        raise lb.errors.FitFailedError("the criterion cannot be evaluated at R's theta")
    result = replace(
        m.result,
        estimates=estimates_at(m.frame, found),
        criterion=counted(m.frame, m.result.call.REML, found.criterion),
    )
    return type(m)(result, m.frame, m.call)


def without_structures(m: Any) -> Any:
    """The model whose terms are unstructured, at the same Lambda: more parameters, of which its
    covariance matrices are made.
    """
    blocks = [replace(block, term=replace(block.term, structure=PLAIN)) for block in m.frame.random]
    frame, theta = m.frame.with_random(blocks), m.result.estimates.theta
    found = evaluate(cross_products(frame), theta, m.result.call.REML)
    if found is None:
        raise lb.errors.FitFailedError("the criterion cannot be evaluated at this theta")
    result = replace(m.result, estimates=estimates_at(frame, found))
    return type(m)(result, frame, m.call)
