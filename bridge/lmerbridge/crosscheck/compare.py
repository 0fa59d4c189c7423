"""Two fits of one model, compared quantity by quantity and key by key."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lmerbridge.crosscheck.quantities import Quantities
from lmerbridge.crosscheck.tolerances import TOLERANCES, Tolerance

__all__ = ["Difference", "compare"]

_ZERO_COMPONENT = 1e-3  # of sigma: a component this small is no component


@dataclass(frozen=True)
class Difference:
    """The worst difference of one quantity.

    ``difference`` is in the tolerance's unit; ``None`` where nothing could be compared.
    ``problem`` says what is wrong beyond a number: a quantity or a key that one side lacks, or a
    NaN. ``row`` is the row of the data that the key means, counted from 1, where it means one.
    """

    quantity: str
    difference: float | None
    key: str | None
    tolerance: Tolerance
    problem: str | None = None
    row: int | None = None

    @property
    def place(self) -> str | None:
        """The key as people read it: rows are counted from 1."""
        return self.key if self.row is None else f"row {self.row}"

    @property
    def agrees(self) -> bool:
        if self.problem is not None:
            return False
        return self.difference is None or self.difference <= self.tolerance.limit


def _spread(key: str, reference: Quantities, other: Quantities) -> float:
    """The conditional SD of a mode: the reference's, or that of the side that reports it at all;
    sigma if neither does.
    """
    for side in (reference, other):
        if "conditional SDs" not in side.absent:
            return side.units["modes"][key]
    return reference.sigma


def _deviations_of(key: str, deviations: Mapping[str, float]) -> list[float]:
    """The standard deviations of the two effects of a correlation ``group.one.two``: those of
    ``group.one`` and ``group.two``. Every part may have points itself.
    """
    found = []
    for one, value in deviations.items():
        if not key.startswith(one + "."):
            continue
        second = key.removeprefix(one)  # ".two"
        for two, other in deviations.items():
            if two.endswith(second) and one.startswith(two.removesuffix(second) + "."):
                found += [value, other]
    return found


def _difference(
    quantity: str, key: str, a: float, b: float, reference: Quantities, other: Quantities
) -> float | None:
    """The difference in the quantity's unit; ``None`` where it has no meaning."""
    floor = _ZERO_COMPONENT * reference.sigma
    gap = abs(a - b)
    if quantity == "fixed effects":
        return gap / reference.units[quantity][key]
    if quantity == "modes":
        return gap / max(_spread(key, reference, other), floor)
    if quantity == "standard errors":
        return gap / abs(a)
    if quantity in ("std. deviations", "conditional SDs"):
        return gap / max(abs(a), floor)
    if quantity == "fitted":
        return gap / reference.sigma
    if quantity == "correlations":
        deviations = [
            value
            for side in (reference, other)
            for value in _deviations_of(key, side.values.get("std. deviations", {}))
        ]
        return None if min(deviations, default=0.0) <= floor else gap
    return gap


def _row(quantity: str, key: str, reference: Quantities, other: Quantities) -> int | None:
    """The row of the data that a key of the quantity means: keys of fitted values count the rows
    that were used, from 0.
    """
    if quantity != "fitted" or not key.isdecimal():
        return None
    number, rows = int(key), reference.rows or other.rows
    return number + 1 if rows is None or number >= len(rows) else rows[number] + 1


def _one(tolerance: Tolerance, reference: Quantities, other: Quantities) -> Difference:
    quantity = tolerance.quantity
    if quantity in other.absent:
        return Difference(quantity, None, None, tolerance)
    a, b = reference.values[quantity], other.values.get(quantity)
    if b is None:
        return Difference(quantity, None, None, tolerance, f"{other.source} has no {quantity}")

    def at(key: str, gap: float | None, problem: str = "") -> Difference:
        row = _row(quantity, key, reference, other)
        place = repr(key) if row is None else f"row {row}"
        said = f"{problem} {place}" if problem else None
        return Difference(quantity, gap, key, tolerance, said, row)

    for key in [*a, *b]:
        if key not in a or key not in b:
            return at(key, None, f"{reference.source if key not in a else other.source} has no")
    worst: tuple[float, str] | None = None
    for key in a:
        gap = _difference(quantity, key, a[key], b[key], reference, other)
        if gap is None:
            continue
        if math.isnan(gap):
            return at(key, None, "NaN at")
        if worst is None or gap > worst[0]:
            worst = (gap, key)
    if worst is None:
        return Difference(quantity, None, None, tolerance)
    return at(worst[1], worst[0])


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
