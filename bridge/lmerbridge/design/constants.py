"""R's own names that a formula may use where the data has no column of that name."""

from __future__ import annotations

import calendar
import math
import string

from lmerbridge.design.values import Value

__all__ = ["CONSTANTS"]

# In R's package base (?Constants, ?logical); TRUE, Inf and the like are words of the language.
CONSTANTS: dict[str, Value] = {
    "pi": math.pi,
    "T": True,
    "F": False,
    "LETTERS": list(string.ascii_uppercase),
    "letters": list(string.ascii_lowercase),
    "month.abb": list(calendar.month_abbr)[1:],
    "month.name": list(calendar.month_name)[1:],
}
