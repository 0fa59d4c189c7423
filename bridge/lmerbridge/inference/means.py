"""Marginal means of a linear mixed model, their contrasts, and trends: R's ``emmeans``.

Searle, Speed & Milliken (1980, Am. Stat. 34, 216-221): the model's predictions on a grid of all
combinations of factor levels, numeric predictors at their means, averaged over the factors that
are not asked for. Every estimate is a row of a matrix L times beta, so that standard errors and
degrees of freedom come from :mod:`lmerbridge.inference.degrees`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from lmerbridge.design import ModelFrame
from lmerbridge.design.columns import Column, Factor, Logical, Numeric, as_factor, take
from lmerbridge.design.newdata import new_rows
from lmerbridge.errors import DataError, near_match
from lmerbridge.formula.syntax import Call, Name, Node, deparse, format_number, names_in
from lmerbridge.inference.adjust import adjusted_p, critical_values
from lmerbridge.inference.degrees import Denominator

__all__ = [
    "Grid",
    "Link",
    "marginal_means",
    "parse_specs",
    "trends",
]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Rows: TypeAlias = np.ndarray[Any, np.dtype[np.intp]]


@dataclass(frozen=True)
class Link:
    """A transformation of the response that can be undone."""

    name: str
    inverse: Callable[[Array], Array]
    slope: Callable[[Array], Array]


LINKS: dict[str, Link] = {
    "log": Link("log", np.exp, np.exp),
    "log2": Link("log2", np.exp2, lambda x: np.exp2(x) * math.log(2)),
    "log10": Link("log10", lambda x: 10.0**x, lambda x: 10.0**x * math.log(10)),
    "log1p": Link("log1p", np.expm1, np.exp),
    "sqrt": Link("sqrt", np.square, lambda x: 2 * x),
}


@dataclass(frozen=True)
class Grid:
    """Linear functions of the fixed effects with labels.

    Attributes
    ----------
    labels : DataFrame
        A row per function: levels (categorical) and values of predictors, or the contrast.
    L : array (rows, p); offset : array (rows,)
    beyond : array (rows, k)
        0 where the row can be estimated (:class:`lmerbridge.design.newdata.NewRows`).
    by : tuple of str
        The label columns that separate families of tests.
    estimate : str
        Name of the estimates' column.
    denominator : Denominator
    infer : str
        ``ci`` or ``test``: which the table shows.
    adjust : str
    family : int
        Means compared within each family.
    averaged : tuple of str
        Factors averaged over.
    """

    labels: pd.DataFrame
    L: Array
    offset: Array
    beyond: Array
    by: tuple[str, ...]
    estimate: str
    denominator: Denominator
    infer: str = "ci"
    adjust: str = "none"
    family: int = 1
    averaged: tuple[str, ...] = ()
    level: float = 0.95
    link: Link | None = None
    response: bool = False
    notes: tuple[str, ...] = ()
    contrast: bool = False

    @property
    def estimable(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which rows the data determine."""
        return np.asarray(np.all(np.abs(self.beyond) < 1e-6, axis=1))

    @property
    def numbers(self) -> tuple[Array, Array, Array]:
        """Estimates, standard errors and degrees of freedom."""
        estimates = self.L @ self.denominator.beta + self.offset
        variances = np.einsum("rp,pq,rq->r", self.L, self.denominator.vcov, self.L)
        df = np.full(len(self.L), np.nan)
        good = variances > 1e-14 * max(float(variances.max(initial=0.0)), 1e-300)
        if good.any():
            df[good] = self.denominator.of_rows(self.L[good])
        errors = np.sqrt(np.maximum(variances, 0.0))
        lost = ~self.estimable
        for values in (estimates, errors, df):
            values[lost] = np.nan
        return estimates, errors, df

    def families(self) -> list[Rows]:
        """Row numbers of each family of tests."""
        if not self.by:
            return [np.arange(len(self.L))]
        keys = list(self.labels[list(self.by)].itertuples(index=False, name=None))
        return [
            np.array([i for i, k in enumerate(keys) if k == key]) for key in dict.fromkeys(keys)
        ]

    def table(self) -> pd.DataFrame:
        """Labels, estimate, SE, df, and either limits or tests."""
        estimates, errors, df = self.numbers
        found = self.labels.reset_index(drop=True).copy()
        back = self.link if self.response else None
        name = self.estimate
        shown, shown_errors = estimates, errors
        if back is not None:
            shown = back.inverse(estimates)
            shown_errors = errors * np.abs(back.slope(estimates))
            name = "ratio" if self.contrast else "response"
        found[name], found["SE"], found["df"] = shown, shown_errors, df
        asymptotic = not bool(np.any(np.isfinite(df)))
        if self.infer in ("ci", "both"):
            half = np.empty(len(df))
            for rows in self.families():
                half[rows] = critical_values(self.level, df[rows], *self._adjusting(rows))
            low, high = estimates - half * errors, estimates + half * errors
            if back is not None:
                low, high = back.inverse(low), back.inverse(high)
            kind = ("asymp.LCL", "asymp.UCL") if asymptotic else ("lower.CL", "upper.CL")
            found[kind[0]], found[kind[1]] = low, high
        if self.infer in ("test", "both"):
            if back is not None:
                found["null"] = back.inverse(np.zeros(len(df)))
            with np.errstate(divide="ignore", invalid="ignore"):
                t = estimates / errors
            found["z.ratio" if asymptotic else "t.ratio"] = t
            p = np.full(len(df), np.nan)
            for rows in self.families():
                p[rows] = adjusted_p(t[rows], df[rows], *self._adjusting(rows))
            found["p.value"] = p
        return found

    def _adjusting(self, rows: Rows) -> tuple[str, int, int, Array]:
        L = self.L[rows]
        V = L @ self.denominator.vcov @ L.T
        deviations = np.sqrt(np.maximum(np.diag(V), 1e-300))
        rank = int(np.linalg.matrix_rank(L)) if self.adjust == "scheffe" else len(rows)
        return self.adjust, self.family, rank, V / np.outer(deviations, deviations)


# -- the reference grid


def _variables(frame: ModelFrame) -> dict[str, Node]:
    terms = frame.formula.terms(frame.dot_columns)
    return {deparse(v): v for v in terms.variables}


def _only_as_factor(frame: ModelFrame, name: str) -> bool:
    """Whether a numeric column enters the fixed part through factors alone: ``factor(x)``."""
    uses = [
        label for label, node in _variables(frame).items() if name in {n.id for n in names_in(node)}
    ]
    return bool(uses) and all(
        isinstance(frame.variables[label], Factor)
        and isinstance(_variables(frame)[label], Call)
        and _variables(frame)[label].function.rpartition("::")[2]  # type: ignore[union-attr]
        in ("factor", "as.factor", "ordered", "as.ordered")
        for label in uses
    )


@dataclass(frozen=True)
class _Axis:
    """A predictor of the grid: its values, and the rows' share of each."""

    name: str
    values: tuple[Any, ...]
    classifies: bool
    ordered: bool
    shares: Array


def _column(frame: ModelFrame, name: str) -> Column:
    return take(frame.raw[name], frame.kept)


def _axes(frame: ModelFrame, at: Mapping[str, Any]) -> list[_Axis]:
    names: list[str] = []
    for node in _variables(frame).values():
        names += [n.id for n in names_in(node) if n.id in frame.raw and n.id not in names]
    terms = frame.formula.terms(frame.dot_columns)
    for node in terms.offsets:
        names += [n.id for n in names_in(node) if n.id in frame.raw and n.id not in names]
    unknown = [k for k in at if k not in names]
    if unknown:
        raise DataError(
            f"at: {unknown[0]!r} is no predictor of the fixed effects"
            f"{near_match(unknown[0], names)}; they are {', '.join(names)}"
        )
    found = []
    for name in names:
        column = _column(frame, name)
        classifies = isinstance(column, (Factor, Logical)) or _only_as_factor(frame, name)
        if classifies:
            factor = as_factor(column)
            counts = np.bincount(factor.codes[factor.codes >= 0], minlength=len(factor.levels))
            values: tuple[Any, ...] = tuple(
                level for level, n in zip(factor.levels, counts, strict=True) if n
            )
            shares = counts[counts > 0] / counts.sum()
            if name in at:
                asked = [
                    v
                    if isinstance(v, str)
                    else ("TRUE" if v else "FALSE")
                    if isinstance(v, (bool, np.bool_))
                    else format_number(float(v))
                    for v in np.atleast_1d(np.asarray(at[name], dtype=object)).tolist()
                ]
                wrong = [v for v in asked if v not in values]
                if wrong:
                    raise DataError(
                        f"at: {name} has no level {wrong[0]!r}; levels are {', '.join(values)}"
                    )
                shares = np.array([shares[values.index(v)] for v in asked])
                values = tuple(asked)
            ordered = isinstance(column, Factor) and column.ordered
            found.append(_Axis(name, values, True, ordered, shares / shares.sum()))
            continue
        assert isinstance(column, Numeric)
        numbers = column.floats
        if name in at:
            try:
                chosen = np.atleast_1d(np.asarray(at[name], dtype=np.float64))
            except (TypeError, ValueError) as error:
                raise DataError(f"at: {name} is numeric, so give numbers") from error
        else:
            chosen = np.array([float(np.mean(numbers))])
        share = np.full(len(chosen), 1 / len(chosen))
        found.append(_Axis(name, tuple(chosen.tolist()), False, False, share))
    return found


def _rows(
    frame: ModelFrame, axes: Sequence[_Axis], grid: pd.DataFrame
) -> tuple[Array, Array, Array]:
    """X, offset and what is not determined on a grid whose columns are the axes' values."""
    data = grid.copy()
    for axis in axes:
        fitted = frame.raw[axis.name]
        if isinstance(fitted, Logical):
            data[axis.name] = [v == "TRUE" for v in data[axis.name]]
        elif axis.classifies and isinstance(fitted, Numeric):
            data[axis.name] = [float(v) for v in data[axis.name]]
    if frame.offset_name is not None and frame.offset_name not in data:
        data[frame.offset_name] = 0.0
    found = new_rows(frame, data, random=False)
    offset = np.zeros(len(data)) if found.offset is None else found.offset
    return found.X, offset, found.beyond


def _combinations(axes: Sequence[_Axis]) -> pd.DataFrame:
    """All combinations, the first predictor fastest, as in R's expand.grid."""
    values = [axis.values for axis in axes]
    rows = [tuple(reversed(c)) for c in itertools.product(*reversed(values))]
    return pd.DataFrame(rows, columns=[axis.name for axis in axes])


def parse_specs(specs: Any, by: Any) -> tuple[list[str], list[str], str | None]:
    """What is asked for: ``"a"``, ``["a", "b"]``, ``"~ a * b | c"``, ``"pairwise ~ a | c"``.

    Returns
    -------
    names, by, method
    """
    given = [by] if isinstance(by, str) else list(by or [])
    if not isinstance(specs, str):
        names = list(specs)
        return [n for n in names if n not in given], given, None
    text, method = specs, None
    if "~" in text:
        left, _, text = text.partition("~")
        method = left.strip() or None
    wanted, _, conditions = text.partition("|")

    def listed(part: str) -> list[str]:
        for operator in "*:+":
            part = part.replace(operator, " ")
        return [word.strip("`") for word in part.split() if word != "1"]

    given += [n for n in listed(conditions) if n not in given]
    names = [n for n in dict.fromkeys(listed(wanted)) if n not in given]
    return names, given, method


def marginal_means(
    frame: ModelFrame,
    denominator: Denominator,
    names: Sequence[str],
    by: Sequence[str] = (),
    at: Mapping[str, Any] | None = None,
    weights: str = "equal",
    level: float = 0.95,
    type: str = "link",
) -> Grid:
    """Marginal means of the combinations of ``names`` within those of ``by``.

    Parameters
    ----------
    at : mapping, optional
        Values of predictors: other than the mean of numeric ones, or some levels of a factor.
    weights : str
        How factors that are averaged over count: ``equal``, or ``proportional`` to their rows.
    type : str
        ``link``: the scale of the model; ``response``: back from ``log(y)`` and its like.

    Raises
    ------
    DataError
    """
    if weights not in ("equal", "proportional"):
        raise DataError(f"weights must be 'equal' or 'proportional', not {weights!r}")
    if type not in ("link", "response"):
        raise DataError(f"type must be 'link' or 'response', not {type!r}")
    if not 0 < level < 1:
        raise DataError(f"level must be between 0 and 1, not {level}")
    axes = _axes(frame, at or {})
    known = {axis.name: axis for axis in axes}
    for name in (*names, *by):
        if name not in known:
            raise DataError(
                f"no predictor {name!r} in the fixed effects{near_match(name, known)}; "
                f"they are {', '.join(known)}"
            )
    wanted = [known[n] for n in names] + [known[n] for n in by]
    rest = [axis for axis in axes if axis.name not in (*names, *by)]
    full = _combinations([*wanted, *rest])
    X, offset, beyond = _rows(frame, axes, full)
    size = math.prod(len(axis.values) for axis in wanted)
    share = np.ones(1)
    for axis in rest:  # the first fastest
        own = (
            axis.shares
            if weights == "proportional"
            else np.full(len(axis.values), 1 / len(axis.values))
        )
        share = (own[:, None] * share[None, :]).ravel()
    L = np.einsum("s,swp->wp", share, X.reshape(len(share), size, -1))
    offsets = share @ offset.reshape(len(share), size)
    lost = np.einsum("s,swk->wk", share, beyond.reshape(len(share), size, -1))
    labels = _labelled(full.iloc[:size][[axis.name for axis in wanted]], wanted)
    averaged = tuple(axis.name for axis in rest if axis.classifies and len(axis.values) > 1)
    return Grid(
        labels,
        L,
        offsets,
        lost,
        tuple(by),
        "emmean",
        denominator,
        family=math.prod(len(known[n].values) for n in names),
        averaged=averaged,
        level=level,
        link=_link(frame),
        response=type == "response" and _link(frame) is not None,
        notes=_misleading(frame, names, by),
    )


def _labelled(table: pd.DataFrame, axes: Sequence[_Axis]) -> pd.DataFrame:
    found = table.copy()
    for axis in axes:
        if axis.classifies:
            found[axis.name] = pd.Categorical(
                found[axis.name], list(axis.values), ordered=axis.ordered
            )
    return found.reset_index(drop=True)


def _link(frame: ModelFrame) -> Link | None:
    node = frame.formula.response
    if isinstance(node, Call) and len(node.arguments) == 1:
        argument = node.arguments[0].value
        if isinstance(argument, Name):
            return LINKS.get(node.function.rpartition("::")[2])
    return None


def _misleading(frame: ModelFrame, names: Sequence[str], by: Sequence[str]) -> tuple[str, ...]:
    """Emmeans' note where a factor asked for interacts with one that is averaged over."""
    terms = frame.formula.terms(frame.dot_columns)
    shown = {*names, *by}
    for term in terms.terms:
        used = {n.id for i in term for n in names_in(terms.variables[i]) if n.id in frame.raw}
        if used & set(names) and not used <= shown:
            return ("NOTE: Results may be misleading due to involvement in interactions",)
    return ()


def trends(
    frame: ModelFrame,
    denominator: Denominator,
    names: Sequence[str],
    var: str,
    by: Sequence[str] = (),
    at: Mapping[str, Any] | None = None,
    level: float = 0.95,
) -> Grid:
    """Slopes along the numeric predictor ``var``: differences of the grid's predictions around its
    value, over a thousandth of its range.

    Raises
    ------
    DataError
    """
    column = frame.raw.get(var)
    if not isinstance(column, Numeric) or _only_as_factor(frame, var):
        raise DataError(f"var {var!r} is no numeric predictor of the model")
    values = take(column, frame.kept)
    assert isinstance(values, Numeric)
    given = dict(at or {})
    centre = np.atleast_1d(np.asarray(given.get(var, np.mean(values.floats)), dtype=np.float64))
    step = 1e-3 * float(np.ptp(values.floats) or 1.0)
    shifted = [
        marginal_means(
            frame, denominator, names, by, {**given, var: centre + sign * step / 2}, level=level
        )
        for sign in (1, -1)
    ]
    up, down = shifted
    labels = up.labels
    if var in labels:
        labels = labels.assign(**{var: labels[var] - step / 2})
    L = (up.L - down.L) / step
    return replace(
        up,
        labels=labels,
        L=L,
        offset=np.zeros(len(L)),
        beyond=(up.beyond - down.beyond) / step,
        estimate=f"{var}.trend",
        notes=(),
        link=None,
        response=False,
    )
