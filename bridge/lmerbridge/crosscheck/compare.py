"""Two fits of one model, compared quantity by quantity and key by key."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lmerbridge.crosscheck.quantities import Quantities
from lmerbridge.crosscheck.tolerances import TOLERANCES, Tolerance

__all__ = ["Difference", "compare"]

_FLOOR = 1e-3  # of sigma: a component this small is no component


@dataclass(frozen=True)
class Difference:
    """The worst difference of one quantity.

    ``difference`` is in the tolerance's unit; ``None`` where nothing could be compared.
    ``problem`` says what is wrong beyond a number: a key that one side lacks, or a NaN.
    """

    quantity: str
    difference: float | None
    key: str | None
    tolerance: Tolerance
    problem: str | None = None

    @property
    def agrees(self) -> bool:
        if self.problem is not None:
            return False
        return self.difference is None or self.difference <= self.tolerance.limit


def _difference(
    quantity: str, key: str, a: float, b: float, reference: Quantities, other: Quantities
) -> float | None:
    """The difference in the quantity's unit; ``None`` where it has no meaning."""
    floor = _FLOOR * reference.sigma
    gap = abs(a - b)
    if quantity == "fixed effects":
        return gap / reference.units[quantity][key]
    if quantity == "modes":
        return gap / max(reference.units[quantity][key], floor)
    if quantity == "standard errors":
        return gap / abs(a)
    if quantity in ("std. deviations", "conditional SDs"):
        return gap / max(abs(a), floor)
    if quantity == "fitted":
        return gap / reference.sigma
    if quantity == "correlations":
        group = key.split(".")[0]
        deviations = [
            side.values["std. deviations"][name]
            for side in (reference, other)
            for name in side.values["std. deviations"]
            if name.startswith(group + ".") and name.removeprefix(group + ".") in key
        ]
        return None if min(deviations, default=0.0) <= floor else gap
    return gap


def _one(tolerance: Tolerance, reference: Quantities, other: Quantities) -> Difference:
    quantity = tolerance.quantity
    if quantity in other.absent:
        return Difference(quantity, None, None, tolerance)
    a, b = reference.values[quantity], other.values[quantity]
    for key in [*a, *b]:
        if key not in a or key not in b:
            lacking = reference.source if key not in a else other.source
            return Difference(quantity, None, key, tolerance, f"{lacking} has no {key!r}")
    worst: tuple[float, str] | None = None
    for key in a:
        gap = _difference(quantity, key, a[key], b[key], reference, other)
        if gap is None:
            continue
        if math.isnan(gap):
            return Difference(quantity, None, key, tolerance, f"NaN at {key!r}")
        if worst is None or gap > worst[0]:
            worst = (gap, key)
    if worst is None:
        return Difference(quantity, None, None, tolerance)
    return Difference(quantity, worst[0], worst[1], tolerance)


def compare(
    reference: Quantities, other: Quantities, tolerances: Sequence[Tolerance] = TOLERANCES
) -> list[Difference]:
    """Compare ``other`` with ``reference``, in the order and units of the tolerances.

    A key that one side lacks is a disagreement; NaN agrees with nothing. What was not kept of the
    reference, or what the other says that it does not report, is not compared.
    """
    return [
        _one(tolerance, reference, other)
        for tolerance in tolerances
        if tolerance.quantity in reference.values
    ]
