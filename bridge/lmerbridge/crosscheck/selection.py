"""Some of the cases of a suite, by their names."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from lmerbridge.crosscheck.cases import Case
from lmerbridge.errors import DataError, near_match

__all__ = ["only"]


def only(cases: Sequence[Case], names: Sequence[str]) -> list[Case]:
    """Choose the cases of these names, in the suite's order; all of them if there are no names.

    Parameters
    ----------
    cases : sequence of Case
    names : sequence of str
        Names, or patterns in which ``*`` stands for any text and ``?`` for any letter.

    Raises
    ------
    DataError
        No case has such a name.
    """
    for name in names:
        if not any(fnmatchcase(case.name, name) for case in cases):
            known = [case.name for case in cases]
            raise DataError(f"no model is named {name!r}{near_match(name, known)}")
    return [c for c in cases if not names or any(fnmatchcase(c.name, name) for name in names)]
