"""Names of the ends of an interval."""

from __future__ import annotations

import math

__all__ = ["DEFAULT_LEVEL", "percent_labels"]

DEFAULT_LEVEL = 0.95  # of intervals by default

PERCENT_DIGITS = 3


def _decimals(percent: float) -> int:
    """How many decimals three significant digits take, without zeros at the end."""
    if percent == 0:
        return 0
    first = PERCENT_DIGITS - 1 - math.floor(math.log10(abs(percent)))
    text = f"{percent:.{max(first, 0)}f}"
    return len(text.rstrip("0").partition(".")[2])


def percent_labels(level: float) -> tuple[str, str]:
    """Name the ends of an interval as R does: ``2.5 %`` and ``97.5 %``.

    R formats both numbers together, to three significant digits of the one that needs more
    decimals: ``0.05 %`` and ``99.95 %``.
    """
    cuts = [100 * (0.5 - level / 2), 100 * (0.5 + level / 2)]
    decimals = max(_decimals(cut) for cut in cuts)
    low, high = (f"{cut:.{decimals}f} %" for cut in cuts)
    return low, high
