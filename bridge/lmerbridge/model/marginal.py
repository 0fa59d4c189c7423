"""Marginal means and contrasts as users hold them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lmerbridge.arguments import belongs, checked, one_of_ours
from lmerbridge.display.means import grid_text, joint_text, letters_text, list_text
from lmerbridge.display.table import RTable
from lmerbridge.equality import by_value
from lmerbridge.errors import DataError, near_match
from lmerbridge.inference.combine import part_of, stacked
from lmerbridge.inference.contrasts import (
    KEEP,
    Keep,
    Labels,
    contrast_grid,
    with_by,
)
from lmerbridge.inference.interactions import interaction_grid, simple_sets
from lmerbridge.inference.joint_tests import joint_test
from lmerbridge.inference.letters import SYMBOLS, letters
from lmerbridge.inference.linear_functions import Grid
from lmerbridge.inference.options import with_options
from lmerbridge.messages import tell
from lmerbridge.shown import shown

__all__ = ["MarginalMeans", "MeansList"]

By = str | Sequence[str] | Keep | None


@checked
@dataclass(frozen=True, repr=False)
@shown
class MarginalMeans:
    """Marginal means, slopes or contrasts; ``print`` shows what emmeans prints.

    Attributes
    ----------
    grid : Grid
        The linear functions of the fixed effects behind them.
    """

    grid: Grid

    # -- values

    @property
    def table(self) -> pd.DataFrame:
        """All digits: labels, estimate, SE, df and limits or tests, a row per mean."""
        return self.grid.table()

    @property
    def linfct(self) -> Any:
        """The means' coefficients of the fixed effects (rows, p)."""
        return self.grid.L.copy()

    @property
    def notes(self) -> tuple[str, ...]:
        """What emmeans says in messages."""
        return (*self.grid.notes, *self.grid.changes())

    def vcov(self) -> pd.DataFrame:
        """Return the covariance matrix (rows, rows) of the estimates, on the scale of the model."""
        V = self.grid.L @ self.grid.denominator.vcov @ self.grid.L.T
        return pd.DataFrame(V)

    def coef(self) -> pd.DataFrame:
        """Return the coefficients of contrasts: what they combine, and a column ``c.1``, ... for
        each.

        Raises
        ------
        DataError
            These are not contrasts.
        """
        grid = self.grid
        if grid.coefficients is None or grid.base is None:
            raise DataError("only contrasts have coefficients; these are no contrasts")
        columns = {f"c.{i + 1}": row for i, row in enumerate(grid.coefficients)}
        return pd.concat([grid.base.reset_index(drop=True), pd.DataFrame(columns)], axis=1)

    # -- contrasts

    def contrasts(
        self,
        method: Any = "pairwise",
        adjust: str | None = None,
        by: By = KEEP,
        ref: Any = None,
        *,
        interaction: Any = False,
        simple: Any = None,
        combine: bool = False,
        name: str = "contrast",
        reverse: bool | None = None,
        exclude: Any = None,
        include: Any = None,
        wts: Any = None,
        max_degree: int | None = None,
        scale: Any = None,
        offset: Any = None,
        ratios: bool = True,
        parens: bool = True,
        enhance_levels: bool | str | Sequence[str] = True,
        **options: Any,
    ) -> Any:
        """Contrast the means within each family.

        Parameters
        ----------
        method : str, mapping, DataFrame, sequence or function
            ``pairwise``, ``revpairwise``, ``tukey``, ``trt.vs.ctrl``, ``trt.vs.ctrl1``,
            ``trt.vs.ctrlk``, ``dunnett``, ``consec``, ``mean_chg``, ``eff``, ``del.eff``, ``poly``,
            ``identity``; coefficients by name, as columns, or unnamed; or a function of the
            levels' labels that returns such.
        adjust : str, optional
            ``tukey``, ``holm``, ``bonferroni``, ``sidak``, ``scheffe``, ``dunnett``, ``mvt``,
            ``BH`` or ``fdr``, ``BY``, ``hochberg``, ``hommel``, ``none``, or how one of these
            begins; default is the method's own.
        by : str or sequence of str, optional
            Columns that separate families; default: as they are. None: one family of all.
        ref, exclude, include : str, int or sequence of these, optional
            The level or levels that are the control, or take no part, or alone take part: by
            name, or by number from 1 as in R.
        interaction : bool, str, sequence or mapping
            Contrasts of contrasts: a method for each factor; True: ``method`` for all.
        simple : str, tuple of str, or list
            The factor(s) contrasted within each combination of the others; a list: each of its
            elements in turn; ``"each"``: each factor in turn.
        combine : bool
            Whether simple contrasts of several factors become one family.
        name : str
            The header of the contrasts' column.
        reverse : bool
            The other direction, of ``tukey``, ``trt.vs.ctrl``, ``consec`` and their like.
        wts : sequence of float, optional
            Weights of the mean in ``eff`` and ``del.eff``.
        max_degree : int, optional
            Of ``poly``.
        scale, offset : float or sequence of float, optional
            By which the estimates are multiplied, and what is added then.
        ratios : bool
            Whether differences of logarithms can be shown as ratios.
        parens : bool
            Whether labels with ``+ - * /`` get parentheses.
        enhance_levels : bool, str or sequence of str
            Factors whose name is put before their levels; True: those whose levels are numbers.
        **options
            As of :meth:`summary`: ``infer``, ``level``, ``type``, ``side``, ``delta``, ``null``,
            ``cross_adjust``, ``df``, ``scheffe_rank``.

        Returns
        -------
        MarginalMeans, or MeansList for several sets of simple contrasts
        """
        more = {
            "ref": ref,
            "reverse": reverse,
            "exclude": exclude,
            "include": include,
            "wts": wts,
            "max_degree": max_degree,
        }
        is_interaction = interaction is not False and interaction is not None
        belongs(
            "contrasts without interaction=",
            name=is_interaction and name != "contrast",
            scale=is_interaction and scale is not None,
            offset=is_interaction and offset is not None,
            enhance_levels=is_interaction and enhance_levels is not True,
        )
        belongs("contrasts without simple=", by=simple is not None and by is not KEEP)
        belongs("simple=", combine=combine and simple is None)
        named = (enhance_levels,) if isinstance(enhance_levels, str) else enhance_levels
        labels = Labels(named if isinstance(named, bool) else tuple(named), parens)

        def of(columns: Any, adjusted: str | None) -> MarginalMeans:
            if is_interaction:
                grid = interaction_grid(
                    self.grid,
                    interaction,
                    method,
                    columns,
                    adjusted,
                    options=more,
                    ratios=ratios,
                    parens=parens,
                )
            else:
                grid = contrast_grid(
                    self.grid,
                    method,
                    columns,
                    adjusted,
                    options=more,
                    scale=scale,
                    offset=offset,
                    name=name,
                    ratios=ratios,
                    labels=labels,
                )
            return MarginalMeans(grid).summary(**options)

        if simple is None:
            return of(by, adjust)
        sets = simple_sets(self.grid, simple)
        if isinstance(sets, tuple):
            return of(sets, adjust)
        parts = {heading: of(columns, None if combine else adjust) for heading, columns in sets}
        if combine:
            first, *others = parts.values()
            return first.rbind(*others, adjust=adjust or "bonferroni")
        return MeansList(parts)

    contrast = contrasts

    def pairs(
        self,
        adjust: str | None = None,
        by: By = KEEP,
        *,
        reverse: bool = False,
        **options: Any,
    ) -> Any:
        """Compare the means pairwise.

        Parameters
        ----------
        adjust : str, optional
            As of :meth:`contrasts`; default Tukey's.
        by : str or sequence of str, optional
            Columns that separate families; default: as they are. None: one family of all.
        reverse : bool
            Later minus earlier.
        **options
            As of :meth:`contrasts`.

        Returns
        -------
        MarginalMeans, or MeansList for several sets of simple contrasts
            A row per difference.

        Examples
        --------
        >>> import lmerbridge as lb
        >>> machines = lb.lmer("score ~ Machine + (1 | Worker)", lb.datasets.load("Machines"))
        >>> print(machines.emmeans("Machine").pairs().table.round(2).to_string(index=False))
        contrast  estimate   SE   df  t.ratio  p.value
           A - B     -7.97 1.05 46.0    -7.56      0.0
           A - C    -13.92 1.05 46.0   -13.21      0.0
           B - C     -5.95 1.05 46.0    -5.65      0.0
        """
        asked = options.get("interaction")
        own = asked is not None and not isinstance(asked, bool)  # each factor has its own method
        belongs("interaction=True, or contrasts without it", reverse=reverse and own)
        return self.contrasts("revpairwise" if reverse else "pairwise", adjust, by, **options)

    # -- how they are shown

    def summary(
        self,
        infer: Any = None,
        level: float | None = None,
        adjust: str | None = None,
        by: By = KEEP,
        *,
        cross_adjust: str | None = None,
        type: str | None = None,
        df: float | None = None,
        null: float | Sequence[float] | None = None,
        delta: float | None = None,
        side: Any = None,
        scheffe_rank: int | None = None,
    ) -> MarginalMeans:
        """Show the same otherwise; what is not given stays as it is.

        Parameters
        ----------
        infer : bool or (bool, bool), optional
            Whether limits and tests are shown.
        level : float, optional
            Of the confidence limits.
        adjust : str, optional
            Within each family, as of :meth:`contrasts`.
        by : str or sequence of str, optional
            Columns that separate families; None: one family of all.
        cross_adjust : str, optional
            Further adjustment across families: ``sidak`` or one of R's ``p.adjust``.
        type : {"link", "response"}, optional
            The scale of the estimates, where the response has been transformed.
        df : float, optional
            Degrees of freedom for all.
        null : float or sequence of float, optional
            What is tested, on the scale of the model.
        delta : float, optional
            Threshold, on the scale of the model, of tests of equivalence, or of non-inferiority
            and non-superiority if ``side`` says so.
        side : str or int, optional
            ``"<"``, ``"left"``, ``"nonsuperiority"``, -1; ``">"``, ``"right"``,
            ``"noninferiority"``, 1; ``"two-sided"``, ``"equivalence"``, 0.
        scheffe_rank : int, optional
            The dimension of the contrasts that Scheffe's method allows for.

        Returns
        -------
        MarginalMeans
            The same estimates.

        Raises
        ------
        ArgumentError
            A number is out of its range.
        DataError
            A word or a column that there is not.
        """
        return MarginalMeans(
            with_options(
                self.grid,
                infer=infer,
                level=level,
                adjust=adjust,
                by=by,
                cross_adjust=cross_adjust,
                type=type,
                df=df,
                null=null,
                delta=delta,
                side=side,
                scheffe_rank=scheffe_rank,
            )
        )._said()

    def update(self, **options: Any) -> MarginalMeans:
        """Show the same otherwise, as :meth:`summary`.

        Parameters
        ----------
        **options
            As of :meth:`summary`.
        """
        return self.summary(**options)

    def confint(
        self, level: float = 0.95, adjust: str | None = None, **options: Any
    ) -> MarginalMeans:
        """Show the same with confidence limits.

        Parameters
        ----------
        level : float
            Of the limits, between 0 and 1.
        adjust : str, optional
            As of :meth:`summary`.
        **options
            As of :meth:`summary`.
        """
        return self.summary("ci", level, adjust, **options)

    def test(
        self,
        adjust: str | None = None,
        null: float | Sequence[float] | None = None,
        *,
        joint: bool = False,
        rows: Any = None,
        by: By = KEEP,
        **options: Any,
    ) -> Any:
        """Show the same with tests against ``null``.

        Parameters
        ----------
        adjust : str, optional
            As of :meth:`summary`.
        null : float or sequence of float, optional
            What is tested, on the scale of the model; default 0.
        joint : bool
            Test all rows of each family together, by F tests with the columns ``df1``, ``df2``,
            ``F.ratio``, ``p.value`` and ``note``.
        rows : sequence of int, optional
            Positions from 0 of the rows that are tested together, as one family.
        by : str or sequence of str, optional
            Columns that separate families; default: as they are. None: one family of all.
        **options
            As of :meth:`summary`.

        Returns
        -------
        MarginalMeans, or RTable for a joint test
            A row per mean, or per family.

        Raises
        ------
        DataError
            ``rows`` without ``joint``, or options that a joint test does not take.
        """
        if not joint:
            if rows is not None:
                raise DataError("rows are for joint tests: joint=True")
            return self.summary("test", None, adjust, by, null=null, **options)
        if adjust is not None or options:
            wrong = "adjust" if adjust is not None else next(iter(options))
            raise DataError(f"a joint test takes no {wrong}")
        tests = joint_test(self.grid, 0.0 if null is None else null, by, rows)
        return RTable.of(tests.table, joint_text(tests), tests.notes)

    def both(
        self, level: float | None = None, adjust: str | None = None, **options: Any
    ) -> MarginalMeans:
        """Show the same with limits and tests.

        Parameters
        ----------
        level : float, optional
            Of the limits, between 0 and 1.
        adjust : str, optional
            As of :meth:`summary`.
        **options
            As of :meth:`summary`.
        """
        return self.summary("both", level, adjust, **options)

    def eff_size(self, sigma: float, edf: float, method: Any = "pairwise") -> MarginalMeans:
        """Divide differences by ``sigma``, with limits that allow for its uncertainty.

        Parameters
        ----------
        sigma : float
            The standard deviation of the population, as ``m.sigma()`` or the root of a sum of
            variances.
        edf : float
            Its degrees of freedom; infinite if it is known.
        method : str or mapping
            The contrasts; ``identity`` if these are differences already.

        Returns
        -------
        MarginalMeans
            In units of ``sigma``.

        Raises
        ------
        ArgumentError
            ``sigma`` or ``edf`` is not positive.

        References
        ----------
        Cohen (1988), Statistical Power Analysis for the Behavioral Sciences.
        """
        from lmerbridge.inference.effect_sizes import effect_sizes

        return MarginalMeans(effect_sizes(self.grid, sigma, edf, method))

    def cld(
        self,
        alpha: float = 0.05,
        adjust: str | None = None,
        by: By = KEEP,
        *,
        Letters: str | None = None,
        sort: bool = True,
        reversed: bool = False,
        delta: float = 0.0,
        signif_sets: bool = False,
    ) -> RTable:
        """Make a compact letter display: means that share a symbol do not differ significantly.

        Parameters
        ----------
        alpha : float
            Two means differ if the adjusted p-value of their difference is below.
        adjust : str, optional
            Of the pairwise comparisons; default ``tukey``.
        by : str or sequence of str, optional
            Columns that separate families; default: as they are. None: one family of all.
        Letters : str, optional
            Symbols; default digits, then capital and small letters.
        sort : bool
            Whether means are ordered by their estimates, upwards.
        reversed : bool
            Downwards.
        delta : float
            If positive: means share a symbol if they are found equivalent within it.
        signif_sets : bool
            Whether means share a symbol if they are found different instead.

        Returns
        -------
        RTable
            The means with a column ``.group`` (``.equiv.set``, ``.signif.set``).

        Raises
        ------
        ArgumentError
            ``alpha`` is not between 0 and 1.

        References
        ----------
        Piepho (2004), J. Comput. Graph. Stat. 13, 456-466.
        """
        belongs("sort=True", reversed=reversed and not sort)
        grid = self.grid if by is KEEP else with_by(self.grid, by)
        made = letters(grid, alpha, Letters or SYMBOLS, sort, reversed, adjust, delta, signif_sets)
        table = made.grid.table().assign(**{made.header: made.groups})
        return RTable.of(table, letters_text(made, alpha))

    # -- families

    def __getitem__(self, rows: Any) -> MarginalMeans:
        """Some rows as one family: positions from 0, a slice, or truth values."""
        return MarginalMeans(part_of(self.grid, rows))._said(self.grid.changes())

    def __len__(self) -> int:
        return len(self.grid.L)

    def subset(self, where: str) -> MarginalMeans:
        """Take the rows for which an expression of the labels holds, as one family.

        Parameters
        ----------
        where : str
            Such as ``"b == 'hi'"``.

        Raises
        ------
        DataError
            The expression cannot be evaluated, or no row is left.
        """
        labels = self.grid.shown_labels()
        try:
            is_chosen = labels.eval(where)
        except Exception as error:
            raise DataError(
                f"subset: {where!r} cannot be evaluated with {', '.join(map(str, labels))}: {error}"
            ) from error
        return self[np.broadcast_to(np.asarray(is_chosen, dtype=bool), (len(labels),))]

    def rbind(self, *others: MarginalMeans, adjust: str = "bonferroni") -> MarginalMeans:
        """Put this and others together as one family of tests.

        Parameters
        ----------
        *others : MarginalMeans
            Of the same model.
        adjust : str
            As of :meth:`summary`.

        Raises
        ------
        DataError
            They are of different models, or no marginal means.
        """
        bound = [one_of_ours(o, MarginalMeans, "what is bound") for o in others]
        known = [note for part in (self, *bound) for note in part.grid.changes()]
        return MarginalMeans(stacked([self.grid, *(o.grid for o in bound)], adjust))._said(known)

    def __add__(self, other: MarginalMeans) -> MarginalMeans:
        return self.rbind(other)

    # -- text

    def _said(self, before: Sequence[str] = ()) -> MarginalMeans:
        """Itself, its notes given as messages but for those that were ``before``."""
        for note in self.grid.changes():
            if note not in before:
                tell(note)
        return self

    def __str__(self) -> str:
        return grid_text(self.grid)


@checked
@by_value
@dataclass(frozen=True, eq=False, repr=False)
@shown
class MeansList(Mapping[str, "MarginalMeans"]):
    """Several tables, as of ``emmeans("pairwise ~ a")``: the means and their contrasts, which are
    ``.emmeans`` and ``.contrasts``, ``["emmeans"]`` and ``["contrasts"]``, ``[0]`` and ``[1]``.

    ``print`` shows all. As in R, ``summary``, ``confint`` and ``test`` are of all tables, and what
    makes contrasts (``pairs``, ``contrast``) is of the first.

    Attributes
    ----------
    parts : dict of str to MarginalMeans
    """

    parts: dict[str, MarginalMeans]

    def __getitem__(self, key: str | int) -> MarginalMeans:
        names = list(self.parts)
        if isinstance(key, (int, np.integer)):
            if -len(names) <= key < len(names):
                return self.parts[names[int(key)]]
            raise DataError(f"there are {len(names)} tables: {', '.join(names)}")
        if not isinstance(key, str) or key not in self.parts:
            raise DataError(
                f"there is no table {key!r}{near_match(str(key), names)}; "
                f"tables are {', '.join(names)}"
            )
        return self.parts[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.parts)

    def __len__(self) -> int:
        return len(self.parts)

    @property
    def first(self) -> MarginalMeans:
        """The first table."""
        return next(iter(self.parts.values()))

    @property
    def emmeans(self) -> MarginalMeans:
        """The means, of ``emmeans("pairwise ~ a")``."""
        return self["emmeans"]

    @property
    def emtrends(self) -> MarginalMeans:
        """The slopes, of ``emtrends("pairwise ~ a", "x")``."""
        return self["emtrends"]

    @property
    def contrasts(self) -> MarginalMeans:
        """The contrasts, of ``emmeans("pairwise ~ a")``."""
        return self["contrasts"]

    @property
    def table(self) -> pd.DataFrame:
        """The numbers of the last table, which are those of the contrasts."""
        return list(self.parts.values())[-1].table

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The numbers of all tables."""
        return {name: part.table for name, part in self.parts.items()}

    @property
    def notes(self) -> tuple[str, ...]:
        """What emmeans says in messages."""
        return tuple(dict.fromkeys(note for part in self.parts.values() for note in part.notes))

    def summary(self, *args: Any, **options: Any) -> MeansList:
        """Show all tables otherwise, as :meth:`MarginalMeans.summary`.

        Parameters
        ----------
        *args, **options
            As there.
        """
        return MeansList({n: p.summary(*args, **options) for n, p in self.parts.items()})

    def confint(self, *args: Any, **options: Any) -> MeansList:
        """Show all tables with confidence limits, as :meth:`MarginalMeans.confint`.

        Parameters
        ----------
        *args, **options
            As there.
        """
        return MeansList({n: p.confint(*args, **options) for n, p in self.parts.items()})

    def test(self, *args: Any, **options: Any) -> MeansList:
        """Show all tables with tests, as :meth:`MarginalMeans.test`.

        Parameters
        ----------
        *args, **options
            As there.
        """
        return MeansList({n: p.test(*args, **options) for n, p in self.parts.items()})

    def both(self, *args: Any, **options: Any) -> MeansList:
        """Show all tables with limits and tests, as :meth:`MarginalMeans.both`.

        Parameters
        ----------
        *args, **options
            As there.
        """
        return MeansList({n: p.both(*args, **options) for n, p in self.parts.items()})

    def contrast(self, *args: Any, **options: Any) -> Any:
        """Contrast the means of the first table, as :meth:`MarginalMeans.contrasts`.

        Parameters
        ----------
        *args, **options
            As there.
        """
        return self.first.contrasts(*args, **options)

    def pairs(self, *args: Any, **options: Any) -> Any:
        """Compare the means of the first table pairwise, as :meth:`MarginalMeans.pairs`.

        Parameters
        ----------
        *args, **options
            As there.
        """
        return self.first.pairs(*args, **options)

    def rbind(self, adjust: str = "bonferroni") -> MarginalMeans:
        """Put all tables together as one family of tests.

        Parameters
        ----------
        adjust : str
            As of :meth:`MarginalMeans.summary`.
        """
        first, *others = self.parts.values()
        return first.rbind(*others, adjust=adjust)

    def __str__(self) -> str:
        return list_text(self.parts)
