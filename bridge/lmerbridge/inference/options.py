"""How results of linear functions are shown: R's options of ``summary.emmGrid`` as words, numbers
and beginnings of words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lmerbridge.arguments import check_level
from lmerbridge.errors import ArgumentError, DataError, near_match
from lmerbridge.inference.adjust import adjustment_name, cross_adjustment_name
from lmerbridge.inference.contrasts import KEEP, with_by
from lmerbridge.inference.linear_functions import Grid

__all__ = ["INFER", "read_side", "with_options"]

INFER = ("ci", "test", "both", "neither")
SIDES: dict[str, int] = {
    "<": -1,
    "-": -1,
    "left": -1,
    "nonsuperiority": -1,
    ">": 1,
    "+": 1,
    "right": 1,
    "noninferiority": 1,
    "two-sided": 0,
    "two_sided": 0,
    "both": 0,
    "equivalence": 0,
    "!=": 0,
    "=": 0,
}
RESPONSE = ("response", "mu", "unlink")
LINK = ("link", "lp", "linear.predictor")


def read_side(side: Any) -> int:
    """Read R's ``side``: ``"<"``, ``"left"``, ``"nonsuperiority"``, -1; ``">"``, ``"right"``,
    ``"noninferiority"``, 1; ``"two-sided"``, ``"both"``, ``"equivalence"``, 0, 2.

    Raises
    ------
    DataError
        It is none of these.
    """
    if isinstance(side, (int, float, np.integer)) and side in (-1, 0, 1, 2):
        return 0 if side == 2 else int(side)
    if isinstance(side, str) and side:
        found = {value for name, value in SIDES.items() if name.startswith(side.lower())}
        if side.lower() in SIDES:
            return SIDES[side.lower()]
        if len(found) == 1:
            return found.pop()
    raise DataError(
        f"side cannot be {side!r}{near_match(str(side), SIDES)}; "
        f"it is one of {', '.join(SIDES)}, -1, 0, 1"
    )


def _read_infer(infer: Any) -> str:
    if isinstance(infer, str):
        if infer in INFER:
            return infer
    elif isinstance(infer, (bool, np.bool_)):
        return "both" if infer else "neither"
    elif isinstance(infer, Sequence) and len(infer) == 2:
        return {(True, True): "both", (True, False): "ci", (False, True): "test"}.get(
            (bool(infer[0]), bool(infer[1])), "neither"
        )
    raise DataError(
        f"infer cannot be {infer!r}; it is one of {', '.join(INFER)}, "
        "or whether limits and tests are shown: (True, False)"
    )


def _read_type(type: Any) -> bool:
    names = (*RESPONSE, *LINK)
    found = [n for n in names if isinstance(type, str) and type and n.startswith(type.lower())]
    if isinstance(type, str) and type.lower() in names:
        found = [type.lower()]
    if len(found) == 1:
        return found[0] in RESPONSE
    raise ArgumentError(f"type must be 'link' or 'response', not {type!r}")


def with_options(
    grid: Grid,
    *,
    infer: Any = None,
    level: float | None = None,
    adjust: str | None = None,
    by: Any = KEEP,
    cross_adjust: str | None = None,
    type: str | None = None,
    df: float | None = None,
    null: float | Sequence[float] | None = None,
    delta: float | None = None,
    side: Any = None,
    scheffe_rank: int | None = None,
) -> Grid:
    """The same functions, shown otherwise; what is None stays as it is.

    Raises
    ------
    DataError
        If an option has a value that it cannot have.
    """
    changes: dict[str, Any] = {}
    if infer is not None:
        changes["infer"] = _read_infer(infer)
    if level is not None:
        check_level(level)
        changes["level"] = float(level)
    if adjust is not None:
        changes["adjust"] = adjustment_name(adjust)
    if cross_adjust is not None:
        changes["cross_adjust"] = cross_adjustment_name(cross_adjust)
    if type is not None:
        changes["response"] = _read_type(type) and grid.link is not None
    if df is not None:
        if not df > 0:
            raise ArgumentError(f"df must be positive, or infinite, not {df}")
        changes["df"] = float(df)
    if null is not None:
        values = np.atleast_1d(np.asarray(null, dtype=np.float64))
        if not np.all(np.isfinite(values)):
            raise ArgumentError("null must be finite numbers")
        changes["null"] = tuple(values.tolist())
    if delta is not None:
        if not delta >= 0:
            raise ArgumentError(f"delta must be 0 or more, not {delta}")
        changes["delta"] = float(delta)
    if side is not None:
        changes["side"] = read_side(side)
    if scheffe_rank is not None:
        if scheffe_rank < 1:
            raise ArgumentError(f"scheffe_rank must be 1 or more, not {scheffe_rank}")
        changes["scheffe_rank"] = int(scheffe_rank)
    found = replace(grid, **changes)
    return found if by is KEEP else with_by(found, by)
