"""Joint tests of linear functions, and of a model's terms by contrasts among its marginal means:
emmeans' ``test(joint = TRUE)`` and ``joint_tests``.

An F test of L beta = null with as many numerator degrees of freedom as L has independent rows that
the data determine. The denominator degrees of freedom are the least of those of the rows of an
orthonormal basis, which emmeans takes in the order of the rows of L.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from lmerbridge.dialects import Dialect, without_r
from lmerbridge.equality import by_value
from lmerbridge.errors import ArgumentError, DataError
from lmerbridge.inference.contrasts import KEEP, with_by
from lmerbridge.inference.interactions import interaction_grid
from lmerbridge.inference.linear_functions import Grid

__all__ = ["JointTests", "joint_test", "terms_tested"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

DEPENDENT_PART = 1e-7  # of a row's own length, as R's qr() has it
ESTIMABLE_TOLERANCE = 1e-6

DEPENDENCE = "d: df1 reduced due to linear dependence"
NOT_ESTIMABLE = "e: df1 reduced due to non-estimability"


@by_value
@dataclass(frozen=True, eq=False)
class JointTests:
    """F tests with labels.

    Attributes
    ----------
    table : DataFrame
        Labels, ``df1``, ``df2``, ``F.ratio``, ``p.value``, and ``note`` where one has been reduced;
        ``Chisq`` where the dialect has it and every ``df2`` is infinite.
    by : tuple of str
        The label columns that separate tables.
    functions : dict of str to array (df1, p)
        The orthonormal linear functions that are tested, by label.
    dialect : Dialect
        Whose text the table is printed in.
    """

    table: pd.DataFrame
    by: tuple[str, ...]
    functions: dict[str, Array]
    dialect: Dialect = field(default_factory=without_r)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the letters of the column ``note`` mean."""
        letters = "".join(self.table.get("note", pd.Series(dtype=str)).astype(str))
        return tuple(
            text for letter, text in (("d", DEPENDENCE), ("e", NOT_ESTIMABLE)) if letter in letters
        )


@by_value
@dataclass(frozen=True, eq=False)
class _Test:
    basis: Array
    df1: int
    df2: float
    F: float
    note: str

    @property
    def p_value(self) -> float:
        from scipy import special

        if not math.isfinite(self.F) or math.isnan(self.df2):
            return math.nan
        if math.isinf(self.df2):
            return float(special.chdtrc(self.df1, self.df1 * self.F))
        return float(special.fdtrc(self.df1, self.df2, self.F))

    @property
    def numbers(self) -> dict[str, Any]:
        return {"df1": self.df1, "df2": self.df2, "F.ratio": self.F, "p.value": self.p_value}


def _with_chisq(table: pd.DataFrame, dialect: Dialect) -> pd.DataFrame:
    known = table["df2"].dropna()
    if dialect.joint_chisq and len(known) and np.all(np.isinf(known)):
        place = list(table.columns).index("F.ratio") + 1
        table.insert(place, "Chisq", table["df1"] * table["F.ratio"])
    return table


def _estimable(L: Array, beyond: Array) -> tuple[Array, bool]:
    """The combinations of the rows that the data determine, and whether that takes any away."""
    if beyond.size == 0 or float(np.abs(beyond).max()) < ESTIMABLE_TOLERANCE:
        return L, False
    _, kept = _basis(beyond.T)
    Q = np.linalg.qr(beyond[:, kept], mode="complete")[0]
    return np.asarray(Q[:, len(kept) :].T @ L), True


def _basis(L: Array) -> tuple[Array, list[int]]:
    """An orthonormal basis of the rows, taken in order, and the rows that add to it."""
    found: list[Array] = []
    kept = []
    for i, row in enumerate(L):
        rest = row.copy()
        for _ in range(2):  # the second time takes off what rounding left
            for q in found:
                rest = rest - (q @ rest) * q
        size = float(np.linalg.norm(rest))
        if size > DEPENDENT_PART * max(float(np.linalg.norm(row)), 1e-300) and size > 1e-12:
            found.append(rest / size)
            kept.append(i)
    return np.array(found).reshape(len(found), L.shape[1]), kept


def _test(grid: Grid, L: Array, beyond: Array, null: Array) -> _Test:
    reduced, lost = _estimable(L, beyond)
    if lost and np.any(null != 0):
        raise DataError("rows that cannot be estimated can be tested against 0 only")
    basis, kept = _basis(reduced)
    dependent = len(kept) < max(len(reduced), 1)
    note = f"{'d' if dependent else ' '} {'e' if lost else ' '}"
    if not kept:
        return _Test(basis, 0, math.nan, math.nan, "d e")
    if dependent and np.any(null != 0):
        raise DataError("rows are linearly dependent: they can be tested together against 0 only")
    rows, off = (L, null) if np.any(null != 0) else (basis, np.zeros(len(basis)))
    difference = rows @ grid.denominator.beta - off
    V = rows @ grid.denominator.vcov @ rows.T
    F = float(difference @ np.linalg.solve(V, difference)) / len(kept)
    df = grid.denominator.of_rows(basis) if grid.df is None else np.array([grid.df])
    return _Test(basis, len(kept), float(np.min(df)), F, note)


def joint_test(
    grid: Grid, null: float | Sequence[float] = 0.0, by: Any = KEEP, rows: Any = None
) -> JointTests:
    """Test all rows of each family together.

    Parameters
    ----------
    grid : Grid
        The means or contrasts.
    null : float or sequence of float
    by : str, sequence of str or None, optional
        Default: the grid's own.
    rows : sequence of int, optional
        Positions from 0 of the rows to test, as one family.

    Raises
    ------
    DataError
        If dependent rows, or such as cannot be estimated, are tested against other than 0, or
        offsets are among them.
    """
    if by is not KEEP:
        grid = with_by(grid, by)
    if rows is not None:
        grid = with_by(grid, None)
        try:
            families = [np.arange(len(grid.L))[np.atleast_1d(np.asarray(rows))]]
        except IndexError as error:
            raise ArgumentError(f"rows must be positions from 0 to {len(grid.L) - 1}") from error
    else:  # in the order in which they come
        families = sorted(grid.families(), key=lambda rows: int(rows[0]))
    records, notes, functions = [], [], {}
    for family in families:
        values = np.broadcast_to(np.asarray(null, dtype=np.float64), (len(family),))
        found = _test(grid, grid.L[family], grid.beyond[family], values - grid.offset[family])
        labels = {b: grid.labels[b].iloc[family[0]] for b in grid.by}
        records.append({**labels, **found.numbers})
        notes.append(found.note)
        functions[", ".join(map(str, labels.values())) or "all"] = found.basis
    table = pd.DataFrame(records)
    for b in grid.by:
        table[b] = table[b].astype(grid.labels[b].dtype)
    if any(note.strip() for note in notes):
        table["note"] = notes
    return JointTests(_with_chisq(table, grid.dialect), (), functions, grid.dialect)


def _subsets(terms: Iterable[Sequence[str]], order: Sequence[str]) -> list[tuple[str, ...]]:
    """All margins of the terms, smaller ones first, in the order of the predictors."""
    found = set()
    for term in terms:
        known = [v for v in order if v in term]
        for size in range(1, len(known) + 1):
            found |= set(itertools.combinations(known, size))
    place = {v: i for i, v in enumerate(order)}
    return sorted(found, key=lambda t: (len(t), [place[v] for v in t]))


def terms_tested(
    means: Callable[[Sequence[str], Sequence[str]], Grid],
    terms: Iterable[Sequence[str]],
    predictors: Sequence[str],
    by: Sequence[str] = (),
    show0df: bool = False,
    showconf: bool = True,
    nesting: Mapping[str, Sequence[str]] | None = None,
    dialect: Dialect | None = None,
) -> JointTests:
    """Test each term by the contrasts among its marginal means.

    Parameters
    ----------
    means : function of (names, by)
        The marginal means of the predictors' combinations.
    terms : sequence of sequence of str
        The predictors of each term of the model.
    predictors : sequence of str
        Those of the reference grid with more than one value, in its order.
    by : sequence of str
        Predictors for each combination of whose values there is a table.
    show0df : bool
        Whether terms without an estimable contrast are shown.
    showconf : bool
        Whether what remains of the estimable contrasts is tested as ``(confounded)`` where some
        are not estimable.
    nesting : mapping of str to sequence of str, optional
        Per nested factor what it is nested in: its levels are compared within these only.
    dialect : Dialect, optional
        Whose text the table is printed in; by default that of fits without R.

    Raises
    ------
    DataError
        If there is nothing to test.
    """
    dialect = dialect or without_r()
    nests = {f: set(outer) for f, outer in (nesting or {}).items()}
    wanted = [
        t
        for t in _subsets(terms, predictors)
        if not set(t) & set(by) and all(nests.get(f, set()) <= {*t, *by} for f in t)
    ]
    if not wanted:
        raise DataError("there are no factors to test")
    rows: dict[Any, list[tuple[str, _Test]]] = {}
    labels: dict[Any, dict[str, Any]] = {}
    dtypes: dict[str, Any] = {}
    for term in wanted:
        outer = [v for v in term if any(v in nests.get(f, ()) for f in term)]
        inner = [v for v in term if v not in outer]
        whole = interaction_grid(means(inner, [*by, *outer]), "consec")
        grid = with_by(whole, by)
        for family in grid.families():
            own = {b: grid.labels[b].iloc[family[0]] for b in by}
            key = tuple(own.values())
            labels[key] = own
            dtypes.update({b: grid.labels[b].dtype for b in by})
            test = _test(grid, grid.L[family], grid.beyond[family], np.zeros(len(family)))
            rows.setdefault(key, []).append((":".join(term), test))
    others = [p for p in predictors if p not in by]
    for key, tested in rows.items():
        if showconf and (show0df or any("e" in test.note for _, test in tested)):
            rest = _confounded(means(others, by), labels[key], [test.basis for _, test in tested])
            tested.append(("(confounded)", rest))
    records, notes, functions = [], [], {}
    for key, tested in rows.items():
        for name, test in tested:
            if test.df1 or show0df:
                records.append({"model term": name, **labels[key], **test.numbers})
                notes.append(test.note)
                functions[" ".join([name, *map(str, key)])] = test.basis
    table = pd.DataFrame(records, columns=["model term", *by, "df1", "df2", "F.ratio", "p.value"])
    for b in by:
        table[b] = table[b].astype(dtypes[b])
    if any(note.strip() for note in notes):
        table["note"] = notes
    return JointTests(_with_chisq(table, dialect), tuple(by), functions, dialect)


def _confounded(grid: Grid, own: dict[str, Any], tested: Sequence[Array]) -> _Test:
    """Test the estimable contrasts of all cells beyond those tested already: what their joint test
    adds to the joint test of these.
    """
    family = next(
        rows
        for rows in grid.families()
        if all(grid.labels[b].iloc[rows[0]] == value for b, value in own.items())
    )
    none = np.zeros(max(len(family) - 1, 0))
    L, beyond = grid.L[family], grid.beyond[family]
    whole = _test(grid, np.diff(L, axis=0), np.diff(beyond, axis=0), none)
    stacked = np.concatenate(tested)
    part = _test(grid, stacked, np.zeros((len(stacked), 0)), np.zeros(len(stacked)))
    df1 = whole.df1 - part.df1
    known = part.df1 * part.F if part.df1 else 0.0
    F = (whole.df1 * whole.F - known) / df1 if df1 > 0 else math.nan
    return _Test(whole.basis, max(df1, 0), whole.df2, F, "   ")
