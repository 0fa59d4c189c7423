"""Which factors of a reference grid are nested in others: cities in states.

Lenth (``emmeans``, ``?ref_grid``, "nesting", and the vignette "Messy data"): a factor is nested in
another where the data have each of its levels with one level of the other only, and where the
model's terms say so: ``k`` of ``f/k`` comes only together with ``f``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from lmerbridge.arguments import listed_names
from lmerbridge.design import ModelFrame
from lmerbridge.errors import DataError, near_match
from lmerbridge.formula.syntax import names_in
from lmerbridge.inference.axes import Axis

__all__ = ["Nesting", "as_nesting", "detected", "nesting_note", "present", "said"]

Nesting: TypeAlias = Mapping[str, tuple[str, ...]]


def _of_data(axes: Sequence[Axis], codes: Any, counts: Any) -> dict[str, list[str]]:
    """Factors of which each level goes with one level of another only."""
    nested: dict[str, list[str]] = {axis.name: [] for axis in axes}
    seen = codes[counts > 0]
    for a, inner in enumerate(axes):
        for b, outer in enumerate(axes):
            if a == b or inner.name in nested[outer.name]:
                continue
            pairs = np.unique(seen[:, [a, b]], axis=0)
            if len(np.unique(pairs[:, 0])) == len(pairs):
                nested[inner.name].append(outer.name)
    return nested


def _of_terms(frame: ModelFrame, names: Sequence[str]) -> dict[str, list[str]]:
    """Factors that come only in terms with others.

    A term in which the factor stands with all its levels after it has come by contrasts within
    others says nothing new: in ``a/b + b:c``, ``c`` is nested in ``b``, not ``b`` in ``c``.
    """
    terms = frame.formula.terms(frame.design.dot_columns)
    of_variable = [[n.id for n in names_in(node) if n.id in names] for node in terms.variables]
    candidates: dict[str, list[str]] = {}
    by_contrasts: set[str] = set()
    before: list[frozenset[int]] = [frozenset()]
    for term in terms.terms:
        whole = frozenset(term)
        factors = [name for v in term for name in of_variable[v]]
        margin = {v: any(whole - {v} <= earlier for earlier in before) for v in term}
        before.append(whole)
        for v in term:
            for name in of_variable[v]:
                if not margin[v] and name in by_contrasts:
                    continue
                others = [f for f in dict.fromkeys(factors) if f != name]
                known = candidates.get(name)
                candidates[name] = others if known is None else [f for f in known if f in others]
        by_contrasts |= {name for v in term if margin[v] for name in of_variable[v]}
    return candidates


def _closed(nested: dict[str, list[str]]) -> dict[str, tuple[str, ...]]:
    """Without what is nested in itself, and with what the outer factors are nested in."""
    mutual = {
        name for name, outer in nested.items() for other in outer if name in nested.get(other, [])
    }
    kept = {name: ([] if name in mutual else outer) for name, outer in nested.items()}
    for _ in kept:
        kept = {
            name: list(dict.fromkeys([*(n for o in outer for n in kept[o]), *outer]))
            for name, outer in kept.items()
        }
    return {name: tuple(outer) for name, outer in kept.items() if outer}


def detected(frame: ModelFrame, axes: Sequence[Axis], codes: Any, counts: Any) -> Nesting:
    """The nesting that data and model show.

    Parameters
    ----------
    frame : ModelFrame
        The model frame of the fit.
    axes : sequence of Axis
    codes : array of int (rows, axes)
        The grid.
    counts : array (rows,)
        Rows of the data in each cell of the grid.

    Returns
    -------
    mapping of str to tuple of str
        Per nested factor what it is nested in.
    """
    many = [j for j, axis in enumerate(axes) if len(axis) > 1]
    chosen = [axes[j] for j in many]
    nested = _of_data(chosen, codes[:, many], counts)
    for name, outer in _of_terms(frame, list(nested)).items():
        nested[name] = list(dict.fromkeys([*nested[name], *outer]))
    return _closed(nested)


def said(nesting: Nesting) -> str:
    """``city %in% state, ch %in% (a*b)``."""
    return ", ".join(
        f"{name} %in% {outer[0] if len(outer) == 1 else '(' + '*'.join(outer) + ')'}"
        for name, outer in nesting.items()
    )


def nesting_note(nesting: Nesting) -> str:
    """What emmeans says where it finds factors nested."""
    return f"NOTE: A nesting structure was detected in the fitted model:\n    {said(nesting)}"


def as_nesting(given: Any, names: Sequence[str]) -> Nesting:
    """The argument ``nesting``: ``"city %in% state"``, ``{"city": "state"}``; nothing is none.

    Raises
    ------
    DataError
        Another form, a name that is no factor of the grid, or a circle.
    """
    if isinstance(given, Mapping):
        pairs = {str(k): listed_names(v, f"nesting of {k}") for k, v in given.items()}
    else:
        pairs = {}
        texts = listed_names(given, "nesting")
        for text in (part for whole in texts for part in str(whole).split(",")):
            inner, operator, outer = text.partition("%in%")
            if not operator:
                raise DataError(f"nesting: write 'inner %in% outer', not {text.strip()!r}")
            pairs[inner.strip()] = re.findall(r"[^\s*()]+", outer)
    for name in (*pairs, *(f for outer in pairs.values() for f in outer)):
        if name not in names:
            raise DataError(
                f"nesting: {name!r} is no factor of the reference grid{near_match(name, names)}; "
                f"they are {', '.join(names)}"
            )
    nested = _closed(pairs | {f: pairs.get(f, []) for outer in pairs.values() for f in outer})
    circles = [name for name in pairs if pairs[name] and name not in nested]
    if circles:
        raise DataError(f"nesting: {circles[0]!r} is nested in what is nested in it")
    return nested


def present(axes: Sequence[Axis], codes: Any, counts: Any, nesting: Nesting) -> Any:
    """Which rows of a grid are there: those whose nested levels lie in the levels beside them."""
    position = {axis.name: j for j, axis in enumerate(axes)}
    is_present = np.ones(len(codes), dtype=bool)
    for name, outer in nesting.items():
        if not {name, *outer} <= set(position):
            continue
        columns = [position[f] for f in (name, *outer)]
        _, cell = np.unique(codes[:, columns], axis=0, return_inverse=True)
        cell = np.ravel(cell)
        is_present &= np.bincount(cell, weights=counts)[cell] > 0
    return is_present
