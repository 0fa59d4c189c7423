"""Every exception and warning that lmerbridge raises on purpose.

::

    LmerBridgeError
    ├── FormulaError            (also ValueError)           the formula is not one of lme4's
    ├── DataError               (also ValueError)           the data cannot be used as asked
    │   ├── ArgumentError       (also TypeError)            no such argument, or no such value of it
    │   └── MissingPackageError (also ImportError)          a part needs a package that is not here
    ├── EngineUnavailableError  (also ImportError)          the engine is not usable here
    ├── UnsupportedModelError   (also NotImplementedError)  this engine does not fit that model
    └── FitFailedError          (also RuntimeError)         the engine tried and could not fit

    FitWarning (UserWarning)    what lme4 would say of a fit as a warning or a message
    FitMessage (UserWarning)    what R says in a message beside the result of a function
"""

from __future__ import annotations

import difflib
import math
import numbers
import sys
from collections.abc import Iterable
from types import TracebackType

__all__ = [
    "ArgumentError",
    "DataError",
    "EngineUnavailableError",
    "FitFailedError",
    "FitMessage",
    "FitWarning",
    "FormulaError",
    "LmerBridgeError",
    "MissingPackageError",
    "UnsupportedModelError",
    "as_number",
    "matched",
    "near_match",
]


class LmerBridgeError(Exception):
    """Base of everything that lmerbridge raises on purpose."""

    def _render_traceback_(self) -> list[str]:
        """Return what IPython and Jupyter show of this error: the user's own lines and the message.

        The lines of this package say nothing of what is wrong with the call; a script, ``%debug``
        and ``traceback`` have them all.
        """
        shell = sys.modules["IPython"].get_ipython()
        shown = shell.InteractiveTB.structured_traceback(
            type(self), self, _of_the_user(self.__traceback__), tb_offset=0
        )
        return list(shown)


def _of_the_user(traceback: TracebackType | None) -> TracebackType | None:
    """The traceback without the frames of this package and of IPython, which runs the cell."""
    kept = []
    while traceback is not None:
        module = str(traceback.tb_frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] not in ("lmerbridge", "IPython", "ipykernel"):
            kept.append(traceback)
        traceback = traceback.tb_next
    found: TracebackType | None = None
    for one in reversed(kept):
        found = TracebackType(found, one.tb_frame, one.tb_lasti, one.tb_lineno)
    return found


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


class ArgumentError(DataError, TypeError):
    """A function has no such argument, lacks one, or cannot take its value: it is of another kind,
    out of range, or a word that is not known.
    """


class MissingPackageError(DataError, ImportError):
    """A part of lmerbridge needs a package that is not installed; the text says what to install."""


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


def near_match(name: object, known: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` if a name close to ``name`` is known, else ``""``."""
    if not isinstance(name, str):
        return ""
    candidates = list(known)
    found = difflib.get_close_matches(name, candidates, n=1, cutoff=0.6)
    if not found:
        folded = {c.casefold(): c for c in candidates}
        close = difflib.get_close_matches(name.casefold(), list(folded), n=1, cutoff=0.6)
        found = [folded[c] for c in close]
    return f" (did you mean {found[0]!r}?)" if found else ""


def as_number(value: object, what: str) -> float:
    """Return ``value`` as a finite number.

    Raises
    ------
    ArgumentError
        It is none; ``what`` names it.
    """
    if isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise ArgumentError(f"{what} must be a number, not {value!r}")


def matched(word: object, known: Iterable[str], what: str) -> str:
    """Return the one of ``known`` that ``word`` is or begins, as R's ``match.arg`` finds it.

    Parameters
    ----------
    word : object
        What was given.
    known : iterable of str
    what : str
        What is chosen, for the message: ``"type"``.

    Raises
    ------
    ArgumentError
        No text, none of them, or the beginning of several.
    """
    words = list(known)
    if isinstance(word, str):
        if word in words:
            return word
        begun = [w for w in words if word and w.startswith(word)]
        if len(begun) == 1:
            return begun[0]
        if begun:
            raise ArgumentError(f"{what}={word!r} may be {' or '.join(begun)}; write more of it")
    near = near_match(word, words) if isinstance(word, str) else ""
    raise ArgumentError(f"{what} must be one of {', '.join(words)}, not {word!r}{near}")
