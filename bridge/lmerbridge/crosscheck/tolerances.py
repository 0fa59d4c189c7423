"""How far apart numbers may be and still agree, in units that mean something, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lmerbridge.design import ModelFrame
from lmerbridge.errors import DataError, near_match

__all__ = ["TOLERANCES", "Tolerance", "changed_tolerances", "check_tolerances", "entries_of"]


@dataclass(frozen=True)
class Tolerance:
    """The unit a quantity is compared in, how much of it is too much, and the reason."""

    quantity: str
    unit: str
    limit: float
    reason: str


TOLERANCES: tuple[Tolerance, ...] = (
    Tolerance("nobs", "exactly", 0.0, "rows and levels are counted, not estimated"),
    Tolerance(
        "criterion",
        "absolute",
        1e-4,
        "lme4's default tolerances leave up to 1e-5 on these models; the printed text shows 0.1",
    ),
    Tolerance(
        "fixed effects",
        "standard errors",
        1e-3,
        "they move with theta, which the optimizers leave a few 1e-4 apart",
    ),
    Tolerance("standard errors", "relative", 1e-3, "as the fixed effects"),
    Tolerance("correlation of fixed effects", "absolute", 1e-3, "as the standard errors"),
    Tolerance(
        "std. deviations",
        "relative, floor sigma/1000",
        5e-3,
        "the criterion is flat in theta: 1e-5 of it can be some 1e-3 of a component",
    ),
    Tolerance(
        "correlations", "absolute; where both SDs > sigma/1000", 5e-3, "as the standard deviations"
    ),
    Tolerance("modes", "conditional SDs, floor sigma/1000", 1e-2, "they move with theta"),
    Tolerance("conditional SDs", "relative, floor sigma/1000", 1e-2, "they move with theta"),
    Tolerance("fitted", "sigma", 5e-3, "they move with the modes"),
    Tolerance("AIC", "absolute", 1e-4, "the criterion plus a count"),
    Tolerance("BIC", "absolute", 1e-4, "the criterion plus a count"),
    Tolerance("df", "exactly", 0.0, "a count"),
)

_KEYS = ("quantity", "limit", "reason")


def entries_of(tolerances: Any, where: str) -> list[dict[str, Any]]:
    """The entries that :func:`changed_tolerances` reads, of ``{quantity: (limit, reason)}``.

    Raises
    ------
    DataError
        Not such a mapping; ``where`` begins the message.
    """
    if not isinstance(tolerances, Mapping) or not all(
        isinstance(v, (tuple, list)) and len(v) == 2 for v in tolerances.values()
    ):
        raise DataError(
            f"{where}: tolerances are {{quantity: (limit, reason)}}, as in "
            '{"criterion": (1e-3, "lme4 stops early")}'
        )
    return [{"quantity": q, "limit": v[0], "reason": v[1]} for q, v in tolerances.items()]


def changed_tolerances(entries: Any, where: str) -> tuple[Tolerance, ...]:
    """All tolerances, those of ``entries`` (quantity, limit, reason) changed.

    Raises
    ------
    DataError
        Not such entries; ``where`` begins the message.
    """
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise DataError(f"{where}: tolerances are written as [[model.tolerance]]")
    known = {t.quantity: t for t in TOLERANCES}
    changed, seen = dict(known), set[str]()
    for entry in entries:
        for key in entry:
            if key not in _KEYS:
                raise DataError(
                    f"{where}: a tolerance has no key {key!r}"
                    f"{near_match(key, _KEYS)}; it has {', '.join(_KEYS)}"
                )
        quantity = entry.get("quantity")
        if not isinstance(quantity, str) or quantity not in known:
            raise DataError(
                f"{where}: there is no quantity {quantity!r}{near_match(str(quantity), known)}; "
                f"quantities: {', '.join(known)}"
            )
        if quantity in seen:
            raise DataError(f"{where}: there is more than one tolerance of {quantity!r}")
        limit = entry.get("limit")
        if isinstance(limit, bool) or not isinstance(limit, (int, float)) or not limit >= 0:
            raise DataError(f"{where}: the limit of {quantity!r} must be a number of at least 0")
        if not isinstance(entry.get("reason"), str) or not entry["reason"].strip():
            raise DataError(f"{where}: the tolerance of {quantity!r} needs a reason")
        seen.add(quantity)
        changed[quantity] = replace(known[quantity], limit=float(limit), reason=entry["reason"])
    return tuple(changed[t.quantity] for t in TOLERANCES)


def check_tolerances(frame: ModelFrame, tolerances: Sequence[Tolerance], where: str) -> None:
    """See that each limit that was changed is of a quantity that the model has.

    Raises
    ------
    DataError
        It has none; ``where`` begins the message.
    """
    names, columns = [len(block.names) for block in frame.random], frame.X.shape[1]
    lacking = {
        "fixed effects": columns == 0,
        "standard errors": columns == 0,
        "correlation of fixed effects": columns < 2,
        "correlations": max(names) < 2,
    }
    for tolerance in tolerances:
        if tolerance not in TOLERANCES and lacking.get(tolerance.quantity):
            left = [t.quantity for t in TOLERANCES if not lacking.get(t.quantity)]
            raise DataError(
                f"{where}: a tolerance is of {tolerance.quantity!r}, of which this model has none"
                f"{near_match(tolerance.quantity, left)}; it has {', '.join(left)}"
            )
