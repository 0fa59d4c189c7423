"""What lme4 2.1 shows of covariance structures that is not what its own theta says.

Of ``cs()`` and ``ar1()`` whose variances are all 0 it shows missing standard deviations and
correlations, and of ``cs(1 | g)`` after another term that term's standard deviation. Its theta, its
criterion and what follows from them are right, so that these are read as theta has them.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations

from lmerbridge.crosscheck.quantities import Quantities
from lmerbridge.design import ModelFrame, RandomBlock

__all__ = ["as_theta_has_them"]

SAME_THETA_TOLERANCE = 1e-6  # relative: shown from the same theta


def _components(block: RandomBlock) -> tuple[list[str], list[str]]:
    """The keys of a term's standard deviations and of its correlations."""
    deviations = [f"{block.label}.{name}" for name in block.names]
    pairs = combinations(block.names, 2)
    return deviations, [f"{block.label}.{one}.{other}" for one, other in pairs]


def as_theta_has_them(
    frame: ModelFrame, shown: Quantities, own: Quantities
) -> tuple[Quantities, tuple[str, ...]]:
    """``shown`` with such numbers as ``own`` has them, which belong to its theta; and what is said
    of each term that this concerns.
    """
    deviations = dict(shown.values["std. deviations"])
    correlations = dict(shown.values["correlations"])
    right, right_pairs = own.values["std. deviations"], own.values["correlations"]
    said: list[str] = []
    for block in frame.random:
        keys, pairs = _components(block)
        if block.structure.plain or not (set(keys) <= set(deviations) and set(keys) <= set(right)):
            continue
        term = f"{block.structure.kind}({block.text})"
        missing = [key for key in keys if math.isnan(deviations[key])]
        if missing and all(right[key] <= SAME_THETA_TOLERANCE * own.sigma for key in keys):
            deviations.update({key: right[key] for key in keys})
            correlations.update({pair: right_pairs[pair] for pair in pairs if pair in right_pairs})
            said.append(f"no standard deviations of {term}, which are 0 by its theta")
        elif len(keys) == 1:
            key = keys[0]
            others = [right[k] for k in right if k not in (key, "sigma", "Residual")]
            off = abs(deviations[key] - right[key]) > SAME_THETA_TOLERANCE * right[key]
            if off and any(
                abs(deviations[key] - other) <= SAME_THETA_TOLERANCE * other for other in others
            ):
                deviations[key] = right[key]
                said.append(f"another term's standard deviation of {term}")
    if not said:
        return shown, ()
    values = {**shown.values, "std. deviations": deviations, "correlations": correlations}
    return replace(shown, values=values), tuple(said)
