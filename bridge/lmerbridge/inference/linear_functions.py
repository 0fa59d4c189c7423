"""Linear functions of the fixed effects with labels: what emmeans calls an ``emmGrid``.

A reference grid, its marginal means, their contrasts and slopes are all of this kind: a row of a
matrix L each, so that estimates, standard errors, degrees of freedom, limits and tests are found
here for all of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from lmerbridge.dialects import Dialect, without_r
from lmerbridge.equality import by_value
from lmerbridge.errors import DataError
from lmerbridge.inference.adjust import (
    TWO_SIDED,
    adjusted_p,
    critical_values,
    cross_adjusted,
)
from lmerbridge.inference.degrees import Denominator
from lmerbridge.inference.links import Link
from lmerbridge.inference.nesting import Nesting

__all__ = ["Grid"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Rows: TypeAlias = np.ndarray[Any, np.dtype[np.intp]]

NOTE = 'Note: adjust = "{0}" was changed to "sidak"\nbecause "{0}" is {1}'
NOT_PAIRS = "only appropriate for one set of pairwise comparisons"
ONE_SIDED = "not appropriate for one-sided inferences"


@by_value
@dataclass(frozen=True, eq=False)
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
        Which the table shows: ``ci``, ``test``, ``both`` or ``neither``.
    adjust : str
        The adjustment asked for; :meth:`adjustment` says which one is made.
    family : int
        Means compared within each family, in the largest where they are not equally many.
    averaged : tuple of str
        Factors averaged over; ``partly``: some rows of the table over some of these.
    link : Link, optional
        The transformation of the response.
    response : bool
        Whether estimates are shown on the scale of the response.
    notes : tuple of str
        What emmeans says in messages.
    kind : str
        ``means``, ``contrast``, ``pairs`` (all pairs of means within each family) or ``part``
        (rows of several tables, or some of one).
    side : {-1, 0, 1}
        Tests and limits of one side: that the estimate is less, different or more.
    delta : float
        Threshold of equivalence, or of non-inferiority where ``side`` is not 0.
    null : tuple of float
        What is tested, on the scale of the model: one number, or one for each row of a family.
    cross_adjust : str
        Further adjustment of p-values across families.
    scheffe_rank : int, optional
        Instead of the rank of each family's rows.
    paired_by : tuple of str
        ``by`` when the pairs were made.
    contrast_columns : tuple of str
        The label columns that name contrasts.
    still : str
        The scale that contrasts stay on because they have no way back.
    remarks : tuple of str
        Lines that go before the method of the degrees of freedom.
    coefficients : array (rows, base rows), optional; base : DataFrame, optional
        The contrasts' coefficients, and the labels of what they combine.
    df : float, optional
        Degrees of freedom for all instead of the method's.
    nesting : mapping of str to tuple of str
        Per nested factor what it is nested in.
    dialect : Dialect
        Whose text tables are printed in.
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
    kind: str = "means"
    side: int = 0
    delta: float = 0.0
    null: tuple[float, ...] = (0.0,)
    cross_adjust: str = "none"
    scheffe_rank: int | None = None
    paired_by: tuple[str, ...] = ()
    contrast_columns: tuple[str, ...] = ()
    still: str = ""
    partly: bool = False
    remarks: tuple[str, ...] = ()
    coefficients: Array | None = None
    base: pd.DataFrame | None = None
    df: float | None = None
    nesting: Nesting = field(default_factory=dict)
    dialect: Dialect = field(default_factory=without_r)

    @property
    def contrast(self) -> bool:
        """Whether the rows are contrasts of means."""
        return bool(self.contrast_columns)

    @property
    def estimable(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which rows the data determine."""
        return np.asarray(np.all(np.abs(self.beyond) < 1e-6, axis=1))

    @property
    def numbers(self) -> tuple[Array, Array, Array]:
        """Estimates, standard errors and degrees of freedom."""
        estimates = self.L @ self.denominator.beta + self.offset
        variances = np.einsum("rp,pq,rq->r", self.L, self.denominator.vcov, self.L)
        # a function that is 0 for any beta has no degrees of freedom, unless none are asked for
        df = np.full(len(self.L), np.inf if self.denominator.name in ("lme4", "") else np.nan)
        good = variances > 1e-14 * max(float(variances.max(initial=0.0)), 1e-300)
        lost = ~self.estimable
        good &= ~lost
        if good.any():
            df[good] = self.denominator.of_rows(self.L[good]) if self.df is None else self.df
        errors = np.sqrt(np.maximum(variances, 0.0))
        for values in (estimates, errors, df):
            values[lost] = np.nan
        return estimates, errors, df

    def families(self) -> list[Rows]:
        """Row numbers of each family of tests: by the levels of ``by``, the first fastest."""
        if not self.by:
            return [np.arange(len(self.L))]
        codes = [_codes(self.labels[column]) for column in self.by]
        order = np.lexsort(codes)  # the last key counts first
        sorted_codes = np.column_stack([c[order] for c in codes])
        starts = np.flatnonzero(np.any(np.diff(sorted_codes, axis=0) != 0, axis=1)) + 1
        return [np.asarray(rows) for rows in np.split(order, starts)]

    # -- adjustments

    def adjustment(self, limits: bool) -> tuple[str, str]:
        """The adjustment that is made of limits or of tests, and emmeans' note where it is not the
        one asked for.
        """
        asked = self.adjust
        one_sided = self.side != 0 or (self.delta > 0 and not limits)
        single = max(len(rows) for rows in self.families()) < 2
        if asked == "none" or (single and asked != "scheffe"):
            return "none", ""
        if one_sided and asked in TWO_SIDED:
            name = "dunnettx" if asked == "dunnett" else asked
            return "sidak", NOTE.format(name, ONE_SIDED)
        if asked == "tukey" and not (self.kind == "pairs" and set(self.by) == set(self.paired_by)):
            return "sidak", NOTE.format("tukey", NOT_PAIRS)
        return asked, ""

    def changes(self) -> tuple[str, ...]:
        """The notes of :meth:`adjustment` for what the table shows."""
        kinds = {"ci": (True,), "test": (False,), "both": (True, False)}.get(self.infer, ())
        notes = [self.adjustment(limits)[1] for limits in kinds]
        return tuple(dict.fromkeys(note for note in notes if note))

    def ranks(self) -> list[int]:
        """The rank of each family's linear functions, for Scheffe's method."""
        if self.scheffe_rank is not None:
            return [self.scheffe_rank] * len(self.families())
        # with what cannot be estimated, as emmeans has it
        whole = np.concatenate([self.L, self.beyond], axis=1)
        return [
            max(int(np.linalg.matrix_rank(whole[rows])), 1) if rows.size else 1
            for rows in self.families()
        ]

    def counted(self, limits: bool) -> list[int]:
        """Rows of each family that tests, or limits, are adjusted for: those that can be estimated;
        of tests those that have a statistic, which what is 0 for any beta has not.
        """
        if not self.dialect.families_of_estimable:
            return [len(rows) for rows in self.families()]
        known = self.estimable
        if not limits:
            known = known & np.any(np.abs(self.L) > 1e-12, axis=1)
        least = 0 if limits else 1
        return [max(least, int(np.sum(known[rows]))) for rows in self.families()]

    def compared(self, limits: bool) -> list[float]:
        """Means compared in each family: of all pairs, as many as have that number of pairs, which
        need not be whole.
        """
        sizes = self.counted(limits)
        whole = sizes == [len(rows) for rows in self.families()]
        if self.kind != "pairs" or (whole and len(set(sizes)) < 2):
            return [self.family] * len(sizes)
        return [(1 + math.sqrt(1 + 8 * size)) / 2 for size in sizes]

    @property
    def adjusts_across(self) -> bool:
        """Whether p-values are adjusted across families, which must be of one size.

        Raises
        ------
        DataError
            They are not, in a dialect of which emmeans does not leave the adjustment out then.
        """
        families = self.families()
        if self.cross_adjust == "none" or len(families) < 2:
            return False
        if len({len(rows) for rows in families}) == 1:
            return True
        if self.dialect.unequal_groups_apart:
            return False
        raise DataError("cross_adjust needs families of equal size")

    def _adjusting(self, limits: bool) -> list[tuple[Rows, str, float, int, Array, int]]:
        method, _ = self.adjustment(limits)
        compared = self.compared(limits)
        ranks = self.ranks() if method == "scheffe" else [1] * len(self.families())
        adjusting = []
        for rows, family, rank, count in zip(
            self.families(), compared, ranks, self.counted(limits), strict=True
        ):
            V = self.L[rows] @ self.denominator.vcov @ self.L[rows].T
            deviations = np.sqrt(np.maximum(np.diag(V), 1e-300))
            adjusting.append(
                (rows, method, family, rank, V / np.outer(deviations, deviations), count)
            )
        return adjusting

    # -- what the table shows

    def shown_labels(self) -> pd.DataFrame:
        """The labels, where a difference of logarithms is shown as a ratio."""
        labels = self.labels.reset_index(drop=True).copy()
        if self.response and self.link is not None:
            for column in self.contrast_columns:
                values = labels[column]
                if isinstance(values.dtype, pd.CategoricalDtype):
                    names = {c: str(c).replace(" - ", " / ") for c in values.cat.categories}
                    labels[column] = values.cat.rename_categories(names)
                else:
                    labels[column] = [str(v).replace(" - ", " / ") for v in values]
        return labels

    @property
    def estimate_name(self) -> str:
        """The header of the estimates, which depends on their scale."""
        if self.response and self.link is not None:
            return self.link.ratio if self.contrast else self.link.estimate
        return self.estimate

    def nulls(self) -> Array:
        """What each row is tested against, on the scale of the model."""
        nulls = np.empty(len(self.L))
        for rows in self.families():
            if len(self.null) not in (1, len(rows)):
                raise DataError(
                    f"null has {len(self.null)} values for {len(rows)} tests; give one, or one "
                    "for each test of a family"
                )
            nulls[rows] = self.null
        return nulls

    def limits(self) -> tuple[Array, Array]:
        """Lower and upper confidence limits on the scale of the model."""
        estimates, errors, df = self.numbers
        half = np.empty(len(df))
        for rows, method, family, rank, correlation, count in self._adjusting(True):
            half[rows] = critical_values(
                self.level, df[rows], method, family, rank, correlation, count, self.side
            )
        # a function that is 0 whatever the coefficients are has no error
        none = errors <= 1e-7 * float(np.max(errors, initial=0.0, where=~np.isnan(errors)))
        half = np.where(none, 0.0, half * errors)
        known = np.isfinite(half)
        low = np.where(known & (self.side < 0), -np.inf, estimates - half)
        high = np.where(known & (self.side > 0), np.inf, estimates + half)
        return low, high

    def tests(self) -> tuple[Array, Array]:
        """Test statistics and adjusted p-values.

        The statistic is (estimate - null) / SE; with a threshold ``delta`` this is added to the
        difference (``side`` 1) or taken off it (-1), or off its absolute value (0), where the
        p-value is P(T < t): the less significant of two one-sided tests.
        """
        estimates, errors, df = self.numbers
        difference = estimates - self.nulls()
        tail = self.side
        if self.delta > 0 and self.side == 0:
            difference, tail = np.abs(difference) - self.delta, -1
        else:
            difference = difference + self.side * self.delta
        with np.errstate(divide="ignore", invalid="ignore"):
            t = difference / errors
        p = np.full(len(df), np.nan)
        for rows, method, family, rank, correlation, count in self._adjusting(False):
            p[rows] = adjusted_p(t[rows], df[rows], method, family, rank, correlation, count, tail)
        families = self.families()
        if self.adjusts_across:
            across = cross_adjusted(np.array([p[rows] for rows in families]), self.cross_adjust)
            for rows, values in zip(families, across, strict=True):
                p[rows] = values
        return t, p

    @property
    def asymptotic(self) -> bool:
        """Whether no row has finite degrees of freedom."""
        return not bool(np.any(np.isfinite(self.numbers[2])))

    def table(self) -> pd.DataFrame:
        """Labels, estimate, SE, df, and limits or tests as asked for."""
        estimates, errors, df = self.numbers
        table = self.shown_labels()
        back = self.link if self.response else None
        shown, shown_errors = estimates, errors
        if back is not None:
            shown = back.inverse(estimates)
            shown_errors = errors * np.abs(back.slope(estimates))
        table[self.estimate_name], table["SE"], table["df"] = shown, shown_errors, df
        asymptotic = self.asymptotic
        if self.infer in ("ci", "both"):
            low, high = self.limits()
            if back is not None:
                low, high = _back(back, low, high)
            kind = ("asymp.LCL", "asymp.UCL") if asymptotic else ("lower.CL", "upper.CL")
            table[kind[0]], table[kind[1]] = low, high
        if self.infer in ("test", "both"):
            null = self.nulls()
            if back is not None:
                null = back.inverse(null)
            if np.any(null != 0):
                table["null"] = null
            t, p = self.tests()
            table["z.ratio" if asymptotic else "t.ratio"] = t
            table["p.value"] = p
        return table


def _codes(values: pd.Series[Any]) -> Rows:
    """The order of a column's values: of levels, of numbers, or in which texts come."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        return np.asarray(values.cat.codes, dtype=np.intp)
    codes, _ = pd.factorize(values, sort=values.dtype.kind in "fiub")
    return np.asarray(codes, dtype=np.intp)


def _back(link: Link, low: Array, high: Array) -> tuple[Array, Array]:
    """Limits on the scale of the response: where the way back is a decreasing function, they change
    places.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        a, b = link.inverse(low), link.inverse(high)
    if link.name == "log":  # R's exponential is never below the machine's epsilon
        a = np.where(low == -np.inf, np.finfo(float).eps, a)
    falling = b < a
    return np.where(falling, b, a), np.where(falling, a, b)
