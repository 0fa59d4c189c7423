"""Every exception and warning that lmerbridge raises on purpose.

::

    LmerBridgeError
    ├── FormulaError            (also ValueError)           the formula is not one of lme4's
    ├── DataError               (also ValueError)           the data cannot be used as asked
    ├── EngineUnavailableError  (also ImportError)          the engine is not usable here
    ├── UnsupportedModelError   (also NotImplementedError)  this engine does not fit that model
    └── FitFailedError          (also RuntimeError)         the engine tried and could not fit

    FitWarning (UserWarning)    what lme4 would say of a fit as a warning or a message
    FitMessage (UserWarning)    what R says in a message beside the result of a function
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "DataError",
    "EngineUnavailableError",
    "FitFailedError",
    "FitMessage",
    "FitWarning",
    "FormulaError",
    "LmerBridgeError",
    "UnsupportedModelError",
    "near_match",
]


class LmerBridgeError(Exception):
    """Base of everything that lmerbridge raises on purpose."""


class FormulaError(LmerBridgeError, ValueError):
    """The formula is not one that lme4's language has.

    Parameters
    ----------
    message : str
        What is wrong and what to do about it.
    formula : str, optional
        The formula as the user wrote it.
    position : int, optional
        Index into ``formula`` of the spot; the text then shows a caret under it.
    """

    def __init__(self, message: str, formula: str | None = None, position: int | None = None):
        self.message = message
        self.formula = formula
        self.position = position
        super().__init__(message)

    def __str__(self) -> str:
        if self.formula is None:
            return self.message
        line, column = self.formula, self.position
        if column is not None and "\n" in line:
            start = line.rfind("\n", 0, column) + 1
            end = line.find("\n", column)
            line = line[start : end if end >= 0 else len(line)]
            column -= start
        text = f"{self.message}\n  {line}"
        if column is not None:
            text += "\n  " + " " * column + "^"
        return text


class DataError(LmerBridgeError, ValueError):
    """The data cannot be used as asked: a missing column, infinite values, no rows, ..."""


class EngineUnavailableError(LmerBridgeError, ImportError):
    """The engine asked for does not work on this machine; the text says how to mend it."""


class UnsupportedModelError(LmerBridgeError, NotImplementedError):
    """The engine asked for does not fit this model; the text names one that does."""


class FitFailedError(LmerBridgeError, RuntimeError):
    """The engine accepted the model and could not fit it."""


class FitMessage(UserWarning):
    """What R says in a message: models are fitted again by ML, results may be misleading."""


class FitWarning(UserWarning):
    """What lme4 says as a warning or a message while it fits."""


def near_match(name: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` if a name close to ``name`` is known, else ``""``."""
    candidates = list(known)
    found = difflib.get_close_matches(name, candidates, n=1, cutoff=0.6)
    if not found:
        folded = {c.casefold(): c for c in candidates}
        close = difflib.get_close_matches(name.casefold(), list(folded), n=1, cutoff=0.6)
        found = [folded[c] for c in close]
    return f" (did you mean {found[0]!r}?)" if found else ""
