"""Whether two answers are the same: by key, with numbers within a tolerance, and by text."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["numbers_differ", "same_words", "text_differs", "without_optimizer"]

_NUMBER = re.compile(r"(?<![\w.])-?(?:\d+\.?\d*|\.\d+)(?:e[-+]\d+)?(?![\w])|\bNaN\b|\bNA\b|\bInf\b")


def without_optimizer(text: str) -> str:
    """A model's or summary's text without what the optimizer says of its own search, at its end."""
    lines = text.split("\n")
    first = next((i for i, t in enumerate(lines) if t.startswith("optimizer (")), len(lines))
    return "\n".join(lines[:first]).rstrip("\n")


def text_differs(ours: str, theirs: str, digits: float) -> str | None:
    """Say where two texts differ, or return ``None``.

    Characters must be the same, but for the last digits of numbers: by ``digits`` (relative), or by
    one unit of the last digit that is shown.
    """
    a = [line.rstrip() for line in ours.rstrip("\n").split("\n")]
    b = [line.rstrip() for line in theirs.rstrip("\n").split("\n")]
    if len(a) != len(b):
        return f"{len(a)} lines, R has {len(b)}"
    for one, two in zip(a, b, strict=True):
        if one == two:
            continue
        shapes = [" ".join(_NUMBER.sub("#", line).split()) for line in (one, two)]
        if re.sub(r"-{3,}", "---", shapes[0]) != re.sub(r"-{3,}", "---", shapes[1]):
            return f"{one!r}, R: {two!r}"
        for x, y in zip(_NUMBER.findall(one), _NUMBER.findall(two), strict=True):
            if not _close_texts(x, y, digits):
                return f"{one!r}, R: {two!r}"
    return None


def _close_texts(x: str, y: str, digits: float) -> bool:
    if x == y:
        return True
    if {x, y} & {"NaN", "NA", "Inf"}:
        return False
    places = max(len(t.partition(".")[2].partition("e")[0]) for t in (x, y))
    exponent = max(int(t.partition("e")[2] or 0) for t in (x, y))
    unit = 10.0 ** (exponent - places)
    a, b = float(x), float(y)
    return abs(a - b) <= max(digits * abs(b), 1.01 * unit)


def _number(value: Any) -> float:
    if value is None or value in ("NA", "NaN"):
        return math.nan
    if value in ("Inf", "-Inf"):
        return float(value.replace("Inf", "inf"))
    return float(value)


def _near(
    ours: Any, theirs: Any, tolerance: float, part: float, absolute: float = 0.0
) -> str | None:
    a, b = np.asarray(ours, dtype=float).ravel(), np.array([_number(v) for v in theirs])
    if a.shape != b.shape:
        return f"{len(a)} numbers, R has {len(b)}"
    finite = np.abs(b[np.isfinite(b)])
    floor = part * finite.max(initial=0.0)
    with np.errstate(invalid="ignore"):
        near = np.abs(a - b) <= np.maximum(tolerance * np.maximum(np.abs(b), floor), absolute)
    bad = ~((a == b) | (np.isnan(a) & np.isnan(b)) | near)
    if not bad.any():
        return None
    i = int(np.argmax(bad))
    return f"{i + 1} of {len(a)}: {a[i]:.10g}, R: {b[i]:.10g}"


def _tables_differ(
    ours: pd.DataFrame, theirs: dict[str, Any], tolerance: float, part: float
) -> str | None:
    columns = dict(zip(theirs["columns"], theirs["values"], strict=True))
    for name in ours:
        if ours[name].dtype.kind not in "fiub":
            continue  # labels: the text has them
        if name not in columns:
            return f"R has no column {name!r}, but {', '.join(columns)}"
        values = ours[name].to_numpy(dtype=float, na_value=math.nan)
        # small probabilities: R's own algorithms have errors of that size
        is_p = str(name).startswith(("p.value", "Pr("))
        wide = 5 * tolerance if is_p else tolerance  # and they follow a t ratio several times over
        # twice the difference of two log-likelihoods of some hundreds
        least = 1e-7 if is_p else 1e-10 if name in ("LRT", "Chisq") else 0.0
        said = _near(values, columns[name], wide, part, least)
        if said is not None:
            return f"column {name!r}: {said}"
    numeric = [c for c in ours if ours[c].dtype.kind in "fiub"]
    missing = [
        name
        for name, values in columns.items()
        if name not in numeric and all(isinstance(v, (int, float)) for v in values) and values
    ]
    absent = [name for name in missing if name not in list(ours)]
    return f"no column {absent[0]!r} of R's" if absent else None


def numbers_differ(ours: Any, theirs: Any, tolerance: float, part: float = 1e-3) -> str | None:
    """Say how numbers differ, or return ``None``: tables by their columns, vectors by their names.

    ``tolerance`` is relative to the number, or to that ``part`` of the largest of its column.
    """
    if isinstance(ours, pd.DataFrame) and isinstance(theirs, dict) and "columns" in theirs:
        return _tables_differ(ours, theirs, tolerance, part)
    values = theirs.get("values") if isinstance(theirs, dict) else theirs
    if values is None or not isinstance(values, list):
        return None
    if isinstance(ours, pd.Series):
        names = theirs.get("names") if isinstance(theirs, dict) else None
        if names and ours.index.dtype.kind in "OU" and list(map(str, ours.index)) != names:
            return f"names {list(ours.index)}, R: {names}"
    try:
        return _near(ours, values, tolerance, part)
    except (TypeError, ValueError):
        return None


def same_words(text: str) -> str:
    """The text with single spaces, for messages that R wraps."""
    return " ".join(text.split())
