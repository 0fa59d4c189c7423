"""The families of contrasts that have names: coefficients, labels and the adjustment they bring.

They are emmeans' (``help("emmc-functions")``), with its numbers: levels count from 1, as in R,
or are named.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from lmerbridge.arguments import several
from lmerbridge.equality import by_value
from lmerbridge.errors import ArgumentError, DataError, near_match

__all__ = ["METHODS", "Family", "named_family", "parenthesized"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

OPERATORS = re.compile(r"[-+/*]")


@by_value
@dataclass(frozen=True, eq=False)
class Family:
    """Contrasts of k means.

    Attributes
    ----------
    rows : array (n, k)
        Coefficients of the means.
    labels : tuple of str
    adjust : str
        The adjustment that emmeans takes unless told otherwise.
    compared : int
        Means that take part.
    pairs : bool
        Whether these are all pairs of the means that take part, as Tukey's method needs.
    """

    rows: Array
    labels: tuple[str, ...]
    adjust: str
    compared: int
    pairs: bool = False


@dataclass(frozen=True)
class _Levels:
    """The levels that take part: their labels as they are shown, and their places among all."""

    shown: tuple[str, ...]
    places: tuple[int, ...]
    count: int

    @property
    def k(self) -> int:
        return len(self.places)

    def spread(self, rows: Array) -> Array:
        """Coefficients of those that take part as coefficients of all."""
        found = np.zeros((len(rows), self.count))
        found[:, list(self.places)] = rows
        return found


def parenthesized(label: str) -> str:
    """Put parentheses around a label that holds one of ``+ - * /``, as emmeans does."""
    return f"({label})" if OPERATORS.search(label) else label


def _place(wanted: Any, labels: Sequence[Sequence[str]], argument: str) -> int:
    """The place (from 0) of a level named by its label or by R's number (from 1)."""
    first = labels[0]
    if isinstance(wanted, (int, np.integer)) and not isinstance(wanted, (bool, np.bool_)):
        if 1 <= int(wanted) <= len(first):
            return int(wanted) - 1
        raise DataError(
            f"{argument}: {wanted} is out of range; levels count from 1, as in R, "
            f"to {len(first)}: {', '.join(first)}"
        )
    for names in labels:
        if wanted in names:
            return list(names).index(str(wanted))
    raise DataError(
        f"{argument}: {wanted!r} is none of the levels {', '.join(first)}"
        f"{near_match(str(wanted), first)}; give names, or numbers from 1 as in R"
    )


def _places(wanted: Any, labels: Sequence[Sequence[str]], argument: str) -> list[int]:
    many = several(wanted, argument)
    return list(dict.fromkeys(_place(one, labels, argument) for one in many))


def _taking_part(labels: Sequence[Sequence[str]], exclude: Any, include: Any) -> _Levels:
    count = len(labels[0])
    places = list(range(count))
    if exclude is not None and include is not None:
        raise DataError("give exclude or include, not both")
    if include is not None:
        kept = _places(include, labels, "include")
        places = [i for i in places if i in kept]
    if exclude is not None:
        gone = _places(exclude, labels, "exclude")
        places = [i for i in places if i not in gone]
    return _Levels(tuple(labels[0][i] for i in places), tuple(places), count)


def _differences(levels: _Levels, pairs: Sequence[tuple[int, int]]) -> tuple[Array, list[str]]:
    rows = np.zeros((len(pairs), levels.k))
    for row, (plus, minus) in zip(rows, pairs, strict=True):
        row[plus], row[minus] = 1.0, -1.0
    return rows, [f"{levels.shown[i]} - {levels.shown[j]}" for i, j in pairs]


def _pairwise(levels: _Levels, reverse: bool) -> Family:
    k = levels.k
    if reverse:
        pairs = [(j, i) for j in range(k) for i in range(j)]
    else:
        pairs = [(i, j) for i in range(k) for j in range(i + 1, k)]
    rows, labels = _differences(levels, pairs)
    return Family(levels.spread(rows), tuple(labels), "tukey", k, pairs=True)


def _controls(levels: _Levels, controls: Sequence[int], reverse: bool) -> Family:
    """Each level against one, or against the mean of several (places among all levels)."""
    if any(c not in levels.places for c in controls):
        raise DataError("ref and exclude cannot have levels in common")
    base = [levels.places.index(c) for c in controls]
    others = [i for i in range(levels.k) if i not in base]
    names = [levels.shown[i] for i in base]
    control = names[0] if len(names) == 1 else f"avg({','.join(names)})"
    rows = np.zeros((len(others), levels.k))
    labels = []
    for row, i in zip(rows, others, strict=True):
        row[base] = -1.0 / len(base)
        row[i] = 1.0
        shown = levels.shown[i]
        labels.append(f"{control} - {shown}" if reverse else f"{shown} - {control}")
    rows = -rows if reverse else rows
    return Family(levels.spread(rows), tuple(labels), "dunnett", levels.k)


def _consecutive(levels: _Levels, reverse: bool) -> Family:
    pairs = [(i, i + 1) if reverse else (i + 1, i) for i in range(levels.k - 1)]
    rows, labels = _differences(levels, pairs)
    return Family(levels.spread(rows), tuple(labels), "mvt", levels.k)


def _mean_changes(levels: _Levels, reverse: bool) -> Family:
    k = levels.k
    rows = np.array(
        [[-1 / (i + 1)] * (i + 1) + [1 / (k - i - 1)] * (k - i - 1) for i in range(k - 1)]
    ).reshape(max(k - 1, 0), k)
    labels = [f"{levels.shown[i]}|{levels.shown[i + 1]}" for i in range(k - 1)]
    return Family(levels.spread(-rows if reverse else rows), tuple(labels), "mvt", k)


def _effects(levels: _Levels, wts: Any, deleted: bool) -> Family:
    """Each level against the (weighted) mean of all, or of all others."""
    k = levels.k
    weights = np.ones(k) if wts is None else np.atleast_1d(np.asarray(wts, dtype=np.float64))
    if len(weights) == levels.count and k < levels.count:
        weights = weights[list(levels.places)]
    if weights.shape != (k,) or not np.all(np.isfinite(weights)):
        raise DataError(f"wts needs {k} numbers, one for each level that takes part")
    if deleted:
        rows = np.eye(k)
        if k > 1:
            for i in range(k):
                others = np.arange(k) != i
                rows[i, others] = -weights[others] / weights[others].sum()
    else:
        rows = np.eye(k) - weights / weights.sum()
    if k < 2 and deleted:  # there are no others
        rows = rows[:0]
    labels = tuple(f"{name} effect" for name in levels.shown[: len(rows)])
    return Family(levels.spread(rows), labels, "fdr", k)


DEGREES = ("linear", "quadratic", "cubic", "quartic")


def _polynomials(levels: _Levels, max_degree: int | None) -> Family:
    """Orthogonal polynomials in whole numbers where they are small, as tables have them."""
    from lmerbridge.design.contrasts import Contrast, contrast_matrix

    k = levels.k
    if max_degree is not None and not max_degree >= 1:
        raise ArgumentError(f"max_degree must be 1 or more, not {max_degree}")
    most = min(6, k - 1) if max_degree is None else min(int(max_degree), k - 1)
    if most < 1:
        raise DataError("contrasts 'poly' need at least two means")
    matrix, _ = contrast_matrix(Contrast("contr.poly"), tuple(map(str, range(k))))
    rows, names = [], []
    for j in range(most):
        column = matrix[:, j]
        scaled = column / np.min(np.abs(column[np.abs(column) > 1e-9]))
        for multiple in range(1, 200):
            whole = scaled * multiple
            if np.allclose(whole, np.round(whole), atol=1e-6):
                scaled = np.round(whole)
                break
        rows.append(scaled)
        names.append(DEGREES[j] if j < len(DEGREES) else f"degree {j + 1}")
    return Family(levels.spread(np.array(rows)), tuple(names), "none", k)


@by_value
@dataclass(frozen=True, eq=False)
class _Method:
    """How a name makes its coefficients, and the options that it takes."""

    make: Callable[[_Levels, Sequence[Sequence[str]], Mapping[str, Any]], Family]
    options: tuple[str, ...] = ("exclude", "include")


def _controlled(default: int) -> _Method:
    def make(levels: _Levels, labels: Sequence[Sequence[str]], o: Mapping[str, Any]) -> Family:
        wanted = o.get("ref")
        first = [default % len(labels[0])]
        controls = first if wanted is None else _places(wanted, labels, "ref")
        return _controls(levels, controls, bool(o.get("reverse", False)))

    return _Method(make, ("ref", "reverse", "exclude", "include"))


TURNS = ("reverse", "exclude", "include")
_NAMED: dict[str, _Method] = {
    "pairwise": _Method(lambda v, _, o: _pairwise(v, False)),
    "revpairwise": _Method(lambda v, _, o: _pairwise(v, True)),
    "tukey": _Method(lambda v, _, o: _pairwise(v, bool(o.get("reverse", False))), TURNS),
    "trt.vs.ctrl": _controlled(0),
    "trt.vs.ctrl1": _controlled(0),
    "trt.vs.ctrlk": _controlled(-1),
    "dunnett": _controlled(0),
    "consec": _Method(lambda v, _, o: _consecutive(v, bool(o.get("reverse", False))), TURNS),
    "mean_chg": _Method(lambda v, _, o: _mean_changes(v, bool(o.get("reverse", False))), TURNS),
    "eff": _Method(lambda v, _, o: _effects(v, o.get("wts"), False), ("exclude", "include", "wts")),
    "del.eff": _Method(
        lambda v, _, o: _effects(v, o.get("wts"), True), ("exclude", "include", "wts")
    ),
    "poly": _Method(lambda v, _, o: _polynomials(v, o.get("max_degree")), ("max_degree",)),
    "identity": _Method(
        lambda v, _, o: Family(v.spread(np.eye(v.k)), v.shown, "none", v.k),
    ),
}
METHODS = tuple(_NAMED)


def named_family(
    method: str, labels: Sequence[str], plain: Sequence[str], options: Mapping[str, Any]
) -> Family:
    """Make the coefficients of one of :data:`METHODS`.

    Parameters
    ----------
    method : str
        Its name.
    labels : sequence of str (k,)
        The levels as contrasts show them.
    plain : sequence of str (k,)
        The levels as they are, by which they may be named too.
    options : mapping
        ``ref``, ``reverse``, ``exclude``, ``include``, ``wts``, ``max_degree``; None is not given.

    Raises
    ------
    DataError
        If the method is unknown, does not take an option, or a level is none of these.
    """
    if method not in _NAMED:
        raise DataError(
            f"unknown contrasts {method!r}{near_match(method, METHODS)}; "
            f"methods: {', '.join(METHODS)}"
        )
    known = _NAMED[method]
    given = {name: value for name, value in options.items() if value is not None}
    wrong = [name for name in given if name not in known.options]
    if wrong:
        hint = (
            "; the other direction is 'revpairwise', or pairs(reverse=True)"
            if wrong[0] == "reverse" and method in ("pairwise", "revpairwise")
            else ""
        )
        raise DataError(
            f"contrasts {method!r} take no {wrong[0]}; they take {', '.join(known.options)}{hint}"
        )
    names = [tuple(labels), tuple(plain)]
    levels = _taking_part(names, given.get("exclude"), given.get("include"))
    return known.make(levels, names, given)
