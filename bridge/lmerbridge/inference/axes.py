"""The predictors of a reference grid: which there are, and the values that each takes in it.

Lenth (``emmeans``, ``?ref_grid``): factors take their levels, covariates their mean, covariates of
few values these values; ``at``, ``cov.keep`` and ``cov.reduce`` say otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from lmerbridge.arguments import several
from lmerbridge.design import ModelFrame
from lmerbridge.design.columns import Column, Factor, Logical, Numeric, as_factor, take
from lmerbridge.equality import by_value
from lmerbridge.errors import DataError, near_match
from lmerbridge.formula.syntax import Node, deparse, format_number, names_in

__all__ = [
    "AUTO",
    "Axis",
    "Reduce",
    "axes_of",
    "is_covariate",
    "level_text",
    "meanint",
    "predictors",
    "variables",
]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Codes: TypeAlias = np.ndarray[Any, np.dtype[np.intp]]
Reduce: TypeAlias = "Callable[[Any], Any] | bool | Mapping[str, Callable[[Any], Any] | bool]"


AUTO = "auto"  # nesting as the data and the model show it
MANY_VALUES = 99  # different values that cov_reduce=False keeps


@by_value
@dataclass(frozen=True, eq=False)
class Axis:
    """A predictor of the grid.

    Attributes
    ----------
    name : str
    values : tuple of str, bool or float
        What it takes in the grid: levels, truth values or numbers.
    codes : array of int (n,), optional
        Per row of the fit the index of its value; -1 where it has none of them. ``None`` for a
        covariate that stands at values which are not its own.
    ordered : bool
        Whether it is an ordered factor.
    """

    name: str
    values: tuple[Any, ...]
    codes: Codes | None
    ordered: bool = False

    def __len__(self) -> int:
        return len(self.values)


def meanint(values: Array) -> Array:
    """Return one less and one more than the mean of a covariate, as R's function of this name."""
    return float(np.mean(values)) + np.array([-1.0, 1.0])


def variables(frame: ModelFrame) -> dict[str, Node]:
    """The variables of the fixed effects by their text: ``x``, ``factor(k)``, ``poly(x, 2)``."""
    terms = frame.formula.terms(frame.design.dot_columns)
    return {deparse(v): v for v in terms.variables}


def _named(nodes: Iterable[Node], frame: ModelFrame) -> list[str]:
    names = [n.id for node in nodes for n in names_in(node) if n.id in frame.source.raw]
    return list(dict.fromkeys(names))


def predictors(frame: ModelFrame) -> list[str]:
    """The columns of the data that the fixed effects, and the offsets of the formula, use."""
    terms = frame.formula.terms(frame.design.dot_columns)
    return _named([*terms.variables, *terms.offsets], frame)


def _within_factor(frame: ModelFrame, name: str) -> bool:
    """Whether a column of numbers enters by a factor made of it: ``factor(x)``, ``cut(x, 3)``."""
    return any(
        isinstance(frame.rows.variables[label], Factor) and name in {n.id for n in names_in(node)}
        for label, node in variables(frame).items()
    )


def _column(frame: ModelFrame, name: str) -> Column:
    return take(frame.source.raw[name], frame.source.kept)


def _asked(name: str, values: Any) -> list[Any]:
    values_asked = np.atleast_1d(np.asarray(values, dtype=object)).ravel().tolist()
    if not values_asked:
        raise DataError(f"at: {name} has no values")
    if len(set(map(str, values_asked))) < len(values_asked):
        raise DataError(f"at: a value of {name} is there twice")
    return values_asked


def level_text(value: Any) -> str:
    """A value of a predictor as the level that it has as a factor."""
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, np.bool_)):
        return "TRUE" if value else "FALSE"
    try:
        return format_number(float(value))
    except (TypeError, ValueError):
        return str(value)


def _factor_axis(name: str, column: Factor | Logical, at: Mapping[str, Any]) -> Axis:
    factor = as_factor(column)
    counts = np.bincount(factor.codes[factor.codes >= 0], minlength=len(factor.levels))
    levels = [level for level, n in zip(factor.levels, counts, strict=True) if n]
    if name in at:
        asked = [level_text(v) for v in _asked(name, at[name])]
        wrong = [v for v in asked if v not in levels]
        if wrong:
            raise DataError(f"at: {name} has no level {wrong[0]!r}; levels are {', '.join(levels)}")
        levels = asked
    position = {level: i for i, level in enumerate(levels)}
    renumber = np.array([*(position.get(level, -1) for level in factor.levels), -1])
    values: tuple[Any, ...] = tuple(levels)
    if isinstance(column, Logical):
        values = tuple(level == "TRUE" for level in levels)
    ordered = isinstance(column, Factor) and column.ordered
    return Axis(name, values, renumber[factor.codes], ordered)


def _kept_axis(name: str, numbers: Array, at: Mapping[str, Any]) -> Axis:
    """A covariate whose own values are levels."""
    values, codes = np.unique(numbers, return_inverse=True)
    if name in at:
        wanted = _numbers(name, at[name])
        position = {v: i for i, v in enumerate(wanted)}
        codes = np.array([position.get(v, -1) for v in values.tolist()])[codes]
        return Axis(name, tuple(wanted), codes)
    return Axis(name, tuple(values.tolist()), codes)


def _numbers(name: str, values: Any) -> list[float]:
    asked = _asked(name, values)
    try:
        return [float(v) for v in asked]
    except (TypeError, ValueError) as error:
        raise DataError(f"at: {name} is numeric, so give numbers") from error


def _kept(cov_keep: Any, names: Sequence[str]) -> tuple[set[str], int]:
    """Covariates to keep by name, and up to how many values they are kept without being named."""
    given = several(cov_keep, "cov_keep")
    limits = [int(v) for v in given if str(v).strip().isdigit()]
    named = {str(v) for v in given if not str(v).strip().isdigit()}
    for name in named:
        if name not in names:
            raise DataError(
                f"cov_keep: {name!r} is no predictor of the fixed effects"
                f"{near_match(name, names)}; they are {', '.join(names)}"
            )
    return named, max(limits, default=0)


def _reduced(name: str, numbers: Array, reduce: Any) -> tuple[float, ...]:
    function = reduce.get(name) if isinstance(reduce, Mapping) else reduce
    if function is None or function is True:
        return (float(np.mean(numbers)),)
    if not callable(function):
        raise DataError(
            f"cov_reduce: {name} needs a function of its values, such as numpy.median, or True for "
            f"their mean, not {function!r}"
        )
    try:
        reduced = np.atleast_1d(np.asarray(function(numbers.copy()), dtype=np.float64)).ravel()
    except (TypeError, ValueError) as error:
        raise DataError(f"cov_reduce: the function failed for {name}: {error}") from error
    if not len(reduced) or not np.isfinite(reduced).all():
        raise DataError(f"cov_reduce: the function gives no numbers for {name}")
    return tuple(dict.fromkeys(reduced.tolist()))


def axes_of(
    frame: ModelFrame,
    at: Mapping[str, Any] | None = None,
    cov_keep: Any = "2",
    cov_reduce: Reduce = True,
) -> list[Axis]:
    """The predictors with their values in the reference grid, in the formula's order.

    Parameters
    ----------
    frame : ModelFrame
        The model frame of the fit.
    at : mapping of str to values, optional
        Values of some predictors.
    cov_keep : str, int, or a sequence of them
        Covariates whose own values are levels, by name; and by number, that those of at most so
        many different values are.
    cov_reduce : callable, bool, or a mapping of str to these
        What makes the values of the other covariates: ``True`` is their mean; ``False`` keeps the
        values of those that have fewer than 100 different ones.

    Raises
    ------
    DataError
        A name that is no predictor, a level that the data have not, or values that are no numbers.
    """
    asked = dict(at or {})
    names = predictors(frame)
    for unknown in [k for k in asked if k not in names]:
        raise DataError(
            f"at: {unknown!r} is no predictor of the fixed effects"
            f"{near_match(unknown, names)}; they are {', '.join(names)}"
        )
    if isinstance(cov_reduce, Mapping):
        for unknown in [k for k in cov_reduce if k not in names]:
            raise DataError(
                f"cov_reduce: {unknown!r} is no predictor of the fixed effects"
                f"{near_match(unknown, names)}; they are {', '.join(names)}"
            )
    for function in cov_reduce.values() if isinstance(cov_reduce, Mapping) else (cov_reduce,):
        if not (callable(function) or isinstance(function, (bool, np.bool_))):
            raise DataError(
                "cov_reduce needs a function of a covariate's values, such as numpy.median, True "
                f"for their mean, or False for the values themselves, not {function!r}"
            )
    named, limit = _kept(cov_keep, names)
    if cov_reduce is False:
        cov_reduce, limit = True, max(limit, MANY_VALUES)
    axes = []
    for name in names:
        column = _column(frame, name)
        if isinstance(column, (Factor, Logical)):
            axes.append(_factor_axis(name, column, asked))
            continue
        numbers = column.floats
        if numbers.ndim != 1:
            raise DataError(f"{name!r} is a matrix: a reference grid cannot be made of it")
        if _within_factor(frame, name):
            axes.append(_kept_axis(name, numbers, asked))
        elif name in asked:
            axes.append(Axis(name, tuple(_numbers(name, asked[name])), None))
        elif name in named or (limit > 0 and len(np.unique(numbers)) <= limit):
            axes.append(_kept_axis(name, numbers, asked))
        else:
            axes.append(Axis(name, _reduced(name, numbers, cov_reduce), None))
    return axes


def is_covariate(frame: ModelFrame, name: str) -> bool:
    """Whether a predictor is a column of numbers that no factor is made of."""
    column = frame.source.raw.get(name)
    return isinstance(column, Numeric) and not _within_factor(frame, name)
