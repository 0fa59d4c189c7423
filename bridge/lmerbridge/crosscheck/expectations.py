"""Which verdicts are right for an engine on a model, where agreement is not, and whether one is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from lmerbridge.crosscheck.verdict import VERDICTS, Verdict
from lmerbridge.engines import engine_names, is_engine
from lmerbridge.errors import DataError, near_match

__all__ = [
    "UNAVAILABLE",
    "Expected",
    "as_text",
    "expectations",
    "is_well",
    "known_engine",
    "may_move",
    "verdicts_in",
]

Expected: TypeAlias = tuple[str, ...]
UNAVAILABLE = "unavailable"
# what another version of lme4 may come to without a fault: the referee says who is better
_OTHER_STOPS = ("better optimum", "other optimum", "flat", "boundary", "not converged")
_OR = " or "


def known_engine(name: Any, where: str) -> str:
    """The name of an engine.

    Raises
    ------
    DataError
        There is none of this name; ``where`` begins the message.
    """
    if not isinstance(name, str) or not is_engine(name):
        raise DataError(
            f"{where}: there is no engine {name!r}{near_match(name, engine_names())}; "
            f"engines: {', '.join(engine_names())}"
        )
    return name


def as_text(expected: Expected) -> str:
    """The verdicts in the words of a file: ``"other optimum or not converged"``."""
    return _OR.join(expected)


def verdicts_in(value: Any, where: str) -> Expected:
    """The verdicts that ``value`` names: ``"a"``, ``"a or b"``, or a list of them.

    Raises
    ------
    DataError
        Not such a text or list, or a verdict that does not exist; ``where`` begins the message.
    """
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, (list, tuple)) or not all(isinstance(v, str) for v in listed):
        raise DataError(
            f'{where}: a verdict is a text, "other optimum", "other optimum or not converged", '
            f"or a list of them, not {value!r}"
        )
    found = tuple(dict.fromkeys(part.strip() for text in listed for part in text.split(_OR)))
    if not found:
        raise DataError(f"{where}: no verdict is named; verdicts: {', '.join(VERDICTS)}")
    for verdict in found:
        if verdict not in VERDICTS:
            raise DataError(
                f"{where}: there is no verdict {verdict!r}{near_match(verdict, VERDICTS)}; "
                f"verdicts: {', '.join(VERDICTS)}"
            )
    return found


def expectations(
    entries: Any, where: str, engines: Sequence[str] | None = None
) -> dict[str, Expected]:
    """By engine the verdicts that are right for it.

    Parameters
    ----------
    entries : mapping
        By engine what :func:`verdicts_in` reads.
    where : str
        What begins a message.
    engines : sequence of str, optional
        Those that fit the model, if they are named.

    Raises
    ------
    DataError
        Not such a mapping, or it names an engine that there is not or that does not take part.
    """
    if not isinstance(entries, Mapping):
        raise DataError(f'{where}: expect must be {{ engine = "verdict", ... }}')
    for engine in entries:
        known_engine(engine, where)
        if engines is not None and engine not in engines:
            raise DataError(
                f"{where}: expect names {engine!r}{near_match(engine, engines)}, which does not "
                f"fit this model: its engines are {', '.join(engines)}"
            )
    return {e: verdicts_in(v, f"{where}: expect of {e!r}") for e, v in entries.items()}


def is_well(verdict: Verdict, expected: Expected, required: bool) -> bool:
    """Whether nothing is wrong: a verdict that is expected, or that needs no expectation.

    An engine that is unavailable is well unless it is required; ``expected`` may allow that then.
    It allows nothing else: where the engine is available after all, its other verdicts are judged
    as if ``"unavailable"`` had not been named.
    """
    if verdict.kind == UNAVAILABLE:
        return not required or UNAVAILABLE in expected
    others = [kind for kind in expected if kind != UNAVAILABLE]
    return verdict.kind in others if others else verdict.well


def may_move(verdict: Verdict, reference: bool) -> bool:
    """Whether a verdict of another version than the one that expectations were seen on is told and
    does not fail: what another package comes to, if it can be explained; what the ``reference``
    engine comes to only if it stops elsewhere on the same criterion.
    """
    if reference:
        return verdict.kind in _OTHER_STOPS
    return verdict.kind not in ("unexplained", UNAVAILABLE)
