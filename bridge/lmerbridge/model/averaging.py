"""Marginal means, slopes and reference grids of a fitted model: R's emmeans."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lmerbridge.arguments import belongs, checked, frames
from lmerbridge.dialects import dialect_of
from lmerbridge.errors import DataError, FitMessage
from lmerbridge.inference.axes import Reduce
from lmerbridge.inference.degrees import Denominator, ddf_name
from lmerbridge.inference.emm_options import LIMIT, get_emm_options
from lmerbridge.inference.levels import LEVEL
from lmerbridge.inference.means import (
    averaged_combinations,
    marginal_means,
    on_scale,
    scale_of,
)
from lmerbridge.inference.reference_grid import AUTO, ReferenceGrid, reference_grid
from lmerbridge.inference.regrid import regridded_reference
from lmerbridge.inference.specs import Specs, parse_specs
from lmerbridge.inference.trends import slopes
from lmerbridge.model.joint_testing import joint_tests_of, meanint
from lmerbridge.model.testing import Testing

if TYPE_CHECKING:
    import pandas as pd

    from lmerbridge.display.table import RTable
    from lmerbridge.model.marginal import MarginalMeans

__all__ = ["Averaging", "RefGrid"]


@checked
@dataclass(frozen=True, repr=False)
class RefGrid:
    """A reference grid; ``print`` shows what R prints of one, :meth:`structure` gives what R's
    ``str`` prints.

    Attributes
    ----------
    reference : ReferenceGrid
        The predictions as linear functions of the fixed effects.
    sigma : float
        The model's residual standard deviation, for the adjustment for bias.
    type : str
        The scale on which results are shown.
    """

    reference: ReferenceGrid
    sigma: float
    type: str = "link"

    @property
    def grid(self) -> MarginalMeans:
        """Its predictions, as :class:`lmerbridge.MarginalMeans`."""
        from lmerbridge.model.marginal import MarginalMeans

        return MarginalMeans(on_scale(self.reference.grid(), self.type))

    @property
    def table(self) -> pd.DataFrame:
        """All digits: values of the predictors, prediction, SE and df."""
        return self.grid.table

    @property
    def linfct(self) -> Any:
        """The coefficients of the fixed effects (rows, p)."""
        return self.reference.L.copy()

    @property
    def levels(self) -> dict[str, list[Any]]:
        """The values of each predictor."""
        return {axis.name: list(axis.values) for axis in self.reference.axes}

    @property
    def nesting(self) -> dict[str, list[str]]:
        """Per nested factor what it is nested in."""
        return {name: list(outer) for name, outer in self.reference.nesting.items()}

    def emmeans(
        self,
        specs: Any,
        by: Any = None,
        weights: Any = "equal",
        level: float = 0.95,
        type: str | None = None,
        bias_adjust: bool = False,
        sigma: float | None = None,
    ) -> Any:
        """Marginal means of it, as :meth:`lmerbridge.Model.emmeans`."""
        belongs("bias_adjust=True", sigma=sigma is not None and not bias_adjust)
        shown = self.type if type is None else type
        belongs("type='response'", bias_adjust=bias_adjust and not scale_of(shown))
        return means_of(
            self.reference,
            specs,
            by,
            weights,
            level,
            shown,
            bias_adjust,
            self.sigma if sigma is None else sigma,
            self.reference.notes,
        )

    def contrasts(self, *args: Any, **options: Any) -> Any:
        """Contrasts of its predictions, as :meth:`lmerbridge.MarginalMeans.contrasts`."""
        return self.grid.contrasts(*args, **options)

    def pairs(self, *args: Any, **options: Any) -> Any:
        """Pairwise differences of its predictions."""
        return self.grid.pairs(*args, **options)

    def confint(self, *args: Any, **options: Any) -> Any:
        """Its predictions with confidence limits."""
        return self.grid.confint(*args, **options)

    def test(self, *args: Any, **options: Any) -> Any:
        """Its predictions with tests against 0."""
        return self.grid.test(*args, **options)

    def joint_tests(
        self,
        by: str | Sequence[str] | None = None,
        *,
        show0df: bool = False,
        showconf: bool = True,
        weights: Any = "equal",
    ) -> RTable:
        """Test each term whose predictors have more than one value here, as
        :meth:`lmerbridge.Model.joint_tests`.
        """
        return joint_tests_of(self.reference, by, weights, show0df, showconf)

    def regrid(
        self, transform: str = "response", bias_adjust: bool = False, sigma: float | None = None
    ) -> RefGrid:
        """The grid of responses, of which means and contrasts are then taken: R's ``regrid``.

        Parameters
        ----------
        transform : {"response", "log", "log2", "log10", "sqrt"}
            ``log``: of their logarithms.
        bias_adjust : bool
        sigma : float, optional
            For the adjustment; default is the model's.
        """
        belongs("bias_adjust=True", sigma=sigma is not None and not bias_adjust)
        sigma = self.sigma if sigma is None else sigma
        return RefGrid(
            regridded_reference(self.reference, transform, bias_adjust, sigma), self.sigma
        )

    def averaged_over(self, specs: Any, by: Any = None) -> pd.DataFrame:
        """The combinations that means are averages over, in the order of numeric ``weights``:
        emmeans' ``weights = "show.levels"``.
        """
        asked = parse_specs(specs, by)
        return averaged_combinations(self.reference, (*asked.names, *asked.by))

    def __len__(self) -> int:
        return len(self.reference.L)

    def __str__(self) -> str:
        return f"{self.grid}"

    def __repr__(self) -> str:
        return f"{self.grid}"

    def structure(self) -> str:
        """What R's ``str`` prints: the predictors, their values, nesting and transformation."""
        return self.reference.text()


def _say(notes: Sequence[str], depth: int = 3) -> None:
    """Give notes as messages, of the line that called the method ``depth`` calls up."""
    for note in dict.fromkeys(notes):
        warnings.warn(note, FitMessage, stacklevel=frames(depth))


def means_of(
    reference: ReferenceGrid,
    specs: Any,
    by: Any,
    weights: Any,
    level: float,
    type: str,
    bias_adjust: bool,
    sigma: float | None,
    said: Sequence[str] = (),
    what: str = "emmeans",
    contr: Any = None,
    options: Mapping[str, Any] | None = None,
) -> Any:
    """The means that ``specs`` ask for: one table, or several by name."""
    from lmerbridge.model.marginal import MarginalMeans
    from lmerbridge.model.means_list import MeansList

    if isinstance(specs, Mapping) or _are_several(specs):
        items = list(specs.items()) if isinstance(specs, Mapping) else [("", s) for s in specs]
        parts: dict[str, MarginalMeans] = {}
        for name, one in items:
            found = means_of(
                reference,
                one,
                by,
                weights,
                level,
                type,
                bias_adjust,
                sigma,
                said,
                what,
                contr,
                options,
            )
            parts.update(_titled(found, str(name), one, by, what))
        return MeansList(parts)
    asked = specs if isinstance(specs, Specs) else parse_specs(specs, by)
    grid = marginal_means(reference, asked.names, asked.by, weights, level)
    grid = on_scale(grid, type, bias_adjust, sigma)
    _say([note for note in grid.notes if note not in said], 4)
    shown = {name: value for name, value in (options or {}).items() if value is not None}
    belongs("specs that name no contrasts", contr=contr is not None and asked.method is not None)
    method = contr if asked.method is None else asked.method
    means = MarginalMeans(grid)
    if method is None:
        return means.summary(**shown) if shown else means
    adjust = shown.pop("adjust", None)  # is of the contrasts where there are any
    if shown:
        means = means.summary(**shown)
    return MeansList({what: means, "contrasts": means.contrasts(method, adjust, **shown)})


def _are_several(specs: Any) -> bool:
    """Whether ``specs`` is a list of formulas."""
    return (
        isinstance(specs, (list, tuple))
        and len(specs) > 0
        and all(isinstance(s, str) and "~" in s for s in specs)
    )


def _titled(found: Any, name: str, specs: Any, by: Any, what: str) -> dict[str, Any]:
    """The tables of one of several specs with the names that emmeans gives them."""
    from lmerbridge.model.marginal import MarginalMeans

    asked = parse_specs(specs, by)
    wanted = ", ".join(asked.names) or "1"
    of = f"{wanted} | {', '.join(asked.by)}" if asked.by else wanted
    title = name or f"{what} of {of}"
    if isinstance(found, MarginalMeans):
        return {title: found}
    kind = {"pairwise": "pairwise differences", "revpairwise": "pairwise differences"}
    method = kind.get(asked.method or "", asked.method or "")
    return {title: found[0], f"{name} {method}" if name else f"{method} of {of}": found[1]}


@checked
class Averaging(Testing):
    """Methods for marginal means."""

    __test__ = False  # no test of pytest's

    def emmeans(
        self,
        specs: Any,
        by: Any = None,
        at: Mapping[str, Any] | None = None,
        type: str = "link",
        ddf: str | None = None,
        weights: Any = "equal",
        level: float = 0.95,
        *,
        cov_keep: Any = None,
        cov_reduce: Reduce = True,
        nesting: Any = AUTO,
        offset: float | None = None,
        regrid: str | None = None,
        bias_adjust: bool = False,
        sigma: float | None = None,
        pbkrtest_limit: int | None = None,
        lmerTest_limit: int | None = None,
        rg_limit: int | None = None,
        contr: Any = None,
        **options: Any,
    ) -> Any:
        """Marginal means: averages of the reference grid of :meth:`ref_grid`.

        Parameters
        ----------
        specs : str, sequence of str, or mapping of str to these
            Factors (and covariates): ``"Machine"``, ``["a", "b"]``, ``"~ a * b | c"``, ``"~ 1"``,
            ``"pairwise ~ a"``; several formulas, also by name, for several tables.
        by : str or sequence of str, optional
        at, cov_keep, cov_reduce, nesting, offset, rg_limit
            As in :meth:`ref_grid`.
        type : {"link", "response"}
            ``response`` undoes ``log(y)`` and its like.
        ddf : str, optional
            ``kenward-roger`` (default), ``satterthwaite`` or ``asymptotic``. Above
            ``pbkrtest_limit`` rows of data Satterthwaite's takes the place of Kenward-Roger's,
            above ``lmerTest_limit`` there are none; a message says so.
        weights : str or array
            How cells that are averaged count: ``equal``; ``proportional`` to their rows;
            ``outer``, as if factors were independent; ``cells``, to the rows of each cell;
            ``flat``, equal for cells that have rows; or a number for each combination, in the order
            of ``m.ref_grid().averaged_over(specs)``.
        level : float
            Of confidence limits.
        regrid : {"response", "log", "log2", "log10", "sqrt"}, optional
            Average predictions of the response instead of the model's scale.
        bias_adjust : bool
            Whether ``type="response"`` gives means of the response, with ``sigma`` (default: the
            residual standard deviation).

        contr : str, mapping, ...
            Contrasts beside the means, as on the left of ``~``.
        **options
            As of :meth:`MarginalMeans.summary`: ``infer``, ``adjust`` (of the contrasts, if there
            are any), ``null``, ``side``, ``delta``, ``cross_adjust``, ``df``.

        Returns
        -------
        MarginalMeans, or MeansList of the means and their contrasts

        Warns
        -----
        FitMessage
            Degrees of freedom that are not computed, factors that are nested, and what is averaged
            over although it interacts with what is shown.

        Raises
        ------
        DataError
            Names, levels or words that there are not.
        """
        belongs("bias_adjust=True", sigma=sigma is not None and not bias_adjust)
        belongs(
            "type='response' and regrid=",
            bias_adjust=bias_adjust and not scale_of(type) and regrid is None,
        )
        reference = self._reference(
            ddf,
            pbkrtest_limit,
            lmerTest_limit,
            lambda denominator: reference_grid(
                self.frame,
                denominator,
                at,
                _option(cov_keep, "cov_keep"),
                cov_reduce,
                nesting,
                offset,
                _option(rg_limit, "rg_limit"),
                dialect=dialect_of(self.result),
            ),
        )
        sigma = self.result.estimates.sigma if sigma is None else sigma
        if regrid is not None:
            reference = regridded_reference(reference, regrid, bias_adjust, sigma)
        return means_of(
            reference,
            specs,
            by,
            weights,
            level,
            type,
            bias_adjust,
            sigma,
            contr=contr,
            options=options,
        )

    def emtrends(
        self,
        specs: Any = None,
        var: str | None = None,
        by: Any = None,
        at: Mapping[str, Any] | None = None,
        ddf: str | None = None,
        level: float = LEVEL,
        *,
        weights: Any = "equal",
        cov_keep: Any = None,
        cov_reduce: Reduce = True,
        nesting: Any = AUTO,
        delta_var: float | None = None,
        max_degree: int = 1,
        pbkrtest_limit: int | None = None,
        lmerTest_limit: int | None = None,
        rg_limit: int | None = None,
    ) -> Any:
        """Slopes along a covariate for each level of ``specs``.

        Parameters
        ----------
        specs : str or sequence of str, optional
            As in :meth:`emmeans`; without it the slopes of the whole reference grid.
        var : str
            A covariate ``x``, or a function of one: ``sqrt(x)``.
        delta_var : float, optional
            The step of the difference quotient (f(x + h) - f(x)) / h; default is 0.001 of the
            range.
        max_degree : int
            Up to 5: derivatives up to this order (over their factorials), by a factor ``degree``.

        Returns
        -------
        MarginalMeans, or RefGrid without ``specs``

        Raises
        ------
        DataError
        """
        if var is None:
            raise DataError("emtrends() needs var, the covariate along which slopes are taken")
        if specs is None:
            belongs(
                "specs=",
                by=by is not None,
                level=level != LEVEL,
                weights=not (isinstance(weights, str) and weights == "equal"),
            )
        covariate = var
        reference = self._reference(
            ddf,
            pbkrtest_limit,
            lmerTest_limit,
            lambda denominator: slopes(
                self.frame,
                denominator,
                covariate,
                at,
                _option(cov_keep, "cov_keep"),
                cov_reduce,
                nesting,
                _option(rg_limit, "rg_limit"),
                delta_var,
                max_degree,
            ),
        )
        if specs is None:
            _say(reference.notes)
            return RefGrid(reference, self.result.estimates.sigma)
        asked = parse_specs(specs, by)
        if max_degree > 1 and not (asked.formula and "degree" in (*asked.names, *asked.by)):
            named = [n for n in asked.names if n != "degree"]
            others = [n for n in asked.by if n != "degree"]
            order = [*others, "degree"] if asked.formula and by is None else ["degree", *others]
            asked = replace(asked, names=tuple(named), by=tuple(order))
        return means_of(
            reference, asked, None, weights, level, "link", False, None, what="emtrends"
        )

    def joint_tests(
        self,
        by: str | Sequence[str] | None = None,
        *,
        show0df: bool = False,
        showconf: bool = True,
        weights: Any = "equal",
        ddf: str | None = None,
        at: Mapping[str, Any] | None = None,
        cov_reduce: Reduce = meanint,
        **options: Any,
    ) -> RTable:
        """Test each term of the model by the contrasts among its marginal means.

        Parameters
        ----------
        by : str or sequence of str, optional
            Predictors for each combination of whose values there is a table.
        show0df : bool
            Whether terms without an estimable contrast are shown.
        showconf : bool
            Whether what is left of the estimable contrasts is tested too, as ``(confounded)``,
            where some contrasts are not estimable.
        weights, ddf, at
            As of :meth:`emmeans`.
        cov_reduce : callable, bool or mapping
            The values of covariates: by default one less and one more than the mean. A covariate
            that has one value is not tested. ``lambda x: (-1, 1)`` tests factors where covariates
            are 0, as SAS does.
        **options
            Further ones of :meth:`ref_grid`.

        Returns
        -------
        RTable
            ``model term``, the columns of ``by``, ``df1``, ``df2``, ``F.ratio``, ``p.value``, and
            ``note`` where ``df1`` has been reduced.
        """
        belongs("means and contrasts", type="type" in options)
        grid = self.ref_grid(at, ddf=ddf, cov_reduce=cov_reduce, **options)
        return joint_tests_of(grid.reference, by, weights, show0df, showconf)

    def ref_grid(
        self,
        at: Mapping[str, Any] | None = None,
        ddf: str | None = None,
        *,
        type: str = "link",
        cov_keep: Any = None,
        cov_reduce: Reduce = True,
        nesting: Any = AUTO,
        offset: float | None = None,
        pbkrtest_limit: int | None = None,
        lmerTest_limit: int | None = None,
        rg_limit: int | None = None,
    ) -> RefGrid:
        """The reference grid: predictions at all combinations of the predictors' values.

        Parameters
        ----------
        at : mapping, optional
            Values of predictors: other than the mean of covariates, or some levels of a factor.
        cov_keep : str, int, or a sequence of them
            Covariates whose own values are levels, over which is averaged as over those of a
            factor: by name, and by number all that have at most so many values. Default: 2.
        cov_reduce : callable, bool or mapping
            What makes the values of other covariates of theirs: ``numpy.median``; by name
            ``{"x": numpy.median}``. ``False``: they keep their values.
        nesting : str or mapping, optional
            ``"city %in% state"`` or ``{"city": "state"}`` instead of what data and model show;
            ``None`` for none.
        offset : float, optional
            Instead of the mean of the model's offset.
        rg_limit : int, optional
            Greatest number of rows, default 10,000.

        Returns
        -------
        RefGrid

        Raises
        ------
        DataError
        """
        scale_of(type)
        on_scale_of = type
        reference = self._reference(
            ddf,
            pbkrtest_limit,
            lmerTest_limit,
            lambda denominator: reference_grid(
                self.frame,
                denominator,
                at,
                _option(cov_keep, "cov_keep"),
                cov_reduce,
                nesting,
                offset,
                _option(rg_limit, "rg_limit"),
                dialect=dialect_of(self.result),
            ),
        )
        _say(reference.notes)
        return RefGrid(reference, self.result.estimates.sigma, on_scale_of)

    def _reference(
        self, ddf: str | None, kr_limit: int | None, sat_limit: int | None, make: Any
    ) -> ReferenceGrid:
        """A reference grid, its notes with those on the degrees of freedom before them."""
        denominator, notes = self._degrees_of_means(ddf, kr_limit, sat_limit)
        reference: ReferenceGrid = make(denominator)
        return replace(reference, notes=(*notes, *reference.notes), dialect=dialect_of(self.result))

    def _degrees_of_means(
        self, ddf: str | None, kr_limit: int | None, sat_limit: int | None
    ) -> tuple[Denominator, tuple[str, ...]]:
        method, notes = ddf_name(_option(ddf, "lmer_df"), of_means=True), []
        if method == "lme4":
            belongs(
                "ddf='kenward-roger' and 'satterthwaite'",
                pbkrtest_limit=kr_limit is not None,
                lmerTest_limit=sat_limit is not None,
            )
        belongs(
            "ddf='kenward-roger'",
            pbkrtest_limit=kr_limit is not None and method != "Kenward-Roger",
        )
        rows = self.result.data.nobs
        limits = (
            ("Kenward-Roger", "pbkrtest_limit", kr_limit, "Satterthwaite"),
            ("Satterthwaite", "lmerTest_limit", sat_limit, "lme4"),
        )
        for name, option, given, instead in limits:
            limit = _option(given, option)
            if method == name and rows > limit:
                notes.append(LIMIT.format(limit=limit, name=option, rows=rows))
                method = instead
        return self._of_means(method), tuple(notes)

    def _of_means(self, method: str) -> Denominator:
        """Degrees of freedom for marginal means; Kenward-Roger's of a fit by ML are made of the
        covariance matrix of the fit by REML, as emmeans does.
        """
        own = self.result.estimates
        if method != "Kenward-Roger" or self.result.call.REML or not len(own.beta):
            return self.denominator(method)
        known: dict[str, Any] = self.__dict__.setdefault("_denominators", {})
        if "means" not in known:
            again: Any = self
            restricted = again.update(REML=True)
            found: Any = restricted.denominator(method)
            sigma = restricted.result.estimates.sigma
            known["means"] = replace(
                found, beta=own.beta, unadjusted=own.vcov, Phi=own.vcov / sigma**2
            )
        return known["means"]  # type: ignore[no-any-return]


def _option(given: Any, name: str) -> Any:
    return getattr(get_emm_options(), name) if given is None else given
