"""Marginal means, slopes and reference grids of mixed models and of regressions: R's emmeans."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lmerbridge.arguments import belongs
from lmerbridge.design import ModelFrame
from lmerbridge.dialects import Dialect, dialect_of
from lmerbridge.display.table import RTable
from lmerbridge.equality import by_value
from lmerbridge.errors import DataError
from lmerbridge.inference.axes import Reduce
from lmerbridge.inference.degrees import Asymptotic, Denominator, ddf_name, of_fit
from lmerbridge.inference.emm_options import LIMIT, get_emm_options
from lmerbridge.inference.fit import Fit
from lmerbridge.inference.levels import DEFAULT_LEVEL
from lmerbridge.inference.means import scale_of
from lmerbridge.inference.reference_grid import ReferenceGrid, reference_grid
from lmerbridge.inference.regrid import regridded_reference
from lmerbridge.inference.specs import parse_specs
from lmerbridge.inference.trends import slopes
from lmerbridge.model.fitting import updated
from lmerbridge.model.joint_testing import joint_tests_of
from lmerbridge.model.ref_grid import RefGrid, means_of, say

__all__ = [
    "MeansSource",
    "emmeans",
    "emtrends",
    "joint_tests",
    "ref_grid",
    "source_of_family",
    "source_of_fit",
]


@by_value
@dataclass(frozen=True, eq=False)
class MeansSource:
    """What marginal means are made of, whatever kind of model it is of.

    Attributes
    ----------
    frame : ModelFrame
    denominator : Denominator
        Estimates of the fixed effects, their covariance matrix and degrees of freedom.
    sigma : float, optional
        The standard deviation for the adjustment for bias: of residuals. A generalized model has
        none that is right: there it is that of all the random effects together.
    dialect : Dialect
        Of the R that is followed.
    notes : tuple of str
        On the degrees of freedom.
    """

    frame: ModelFrame
    denominator: Denominator
    sigma: float | None
    dialect: Dialect
    notes: tuple[str, ...] = ()

    def with_notes(self, reference: ReferenceGrid) -> ReferenceGrid:
        """Return the reference grid with the notes on degrees of freedom before its own."""
        return replace(reference, notes=(*self.notes, *reference.notes), dialect=self.dialect)


def source_of_fit(
    fit: Fit, ddf: str | None, pbkrtest_limit: int | None, lmerTest_limit: int | None
) -> MeansSource:
    """Return what the means of a mixed model are made of; arguments as of
    :meth:`lmerbridge.Model.emmeans`.
    """
    method, notes = ddf_name(_option(ddf, "lmer_df"), of_means=True), []
    if method == "lme4":
        belongs(
            "ddf='kenward-roger' and 'satterthwaite'",
            pbkrtest_limit=pbkrtest_limit is not None,
            lmerTest_limit=lmerTest_limit is not None,
        )
    belongs(
        "ddf='kenward-roger'",
        pbkrtest_limit=pbkrtest_limit is not None and method != "Kenward-Roger",
    )
    result = fit.result
    rows = result.data.nobs
    limits = (
        ("Kenward-Roger", "pbkrtest_limit", pbkrtest_limit, "Satterthwaite"),
        ("Satterthwaite", "lmerTest_limit", lmerTest_limit, "lme4"),
    )
    for name, option, given, instead in limits:
        limit = _option(given, option)
        if method == name and rows > limit:
            notes.append(LIMIT.format(limit=limit, name=option, rows=rows))
            method = instead
    denominator = _denominator(fit, method)
    return MeansSource(
        fit.frame, denominator, result.estimates.scale, dialect_of(result), tuple(notes)
    )


def source_of_family(fit: Fit) -> MeansSource:
    """Return what the means of a generalized model are made of: z tests on the link's scale."""
    estimates = fit.result.estimates
    tests = Asymptotic(estimates.beta, estimates.vcov, "")
    return MeansSource(fit.frame, tests, None, dialect_of(fit.result))


def _denominator(fit: Fit, method: str) -> Denominator:
    """Degrees of freedom for marginal means; Kenward-Roger's of a fit by ML are made of the
    covariance matrix of the fit by REML, as emmeans does.
    """
    own = fit.result.estimates
    if method != "Kenward-Roger" or fit.result.call.REML or not len(own.beta):
        return of_fit(fit, method)

    def of_restricted() -> Denominator:
        restricted = updated(fit, REML=True)
        found: Any = of_fit(restricted, method)
        sigma = restricted.result.estimates.scale
        denominator: Denominator = replace(
            found, beta=own.beta, unadjusted=own.vcov, Phi=own.vcov / sigma**2
        )
        return denominator

    return fit.once("denominator of means", of_restricted)


def _option(given: Any, name: str) -> Any:
    return getattr(get_emm_options(), name) if given is None else given


def _grid(
    source: MeansSource,
    at: Mapping[str, Any] | None,
    cov_keep: Any,
    cov_reduce: Reduce,
    nesting: Any,
    offset: float | None,
    rg_limit: int | None,
) -> ReferenceGrid:
    return source.with_notes(
        reference_grid(
            source.frame,
            source.denominator,
            at,
            _option(cov_keep, "cov_keep"),
            cov_reduce,
            nesting,
            offset,
            _option(rg_limit, "rg_limit"),
            dialect=source.dialect,
        )
    )


def emmeans(
    source: Callable[[], MeansSource],
    specs: Any,
    by: Any,
    at: Mapping[str, Any] | None,
    type: str,
    weights: Any,
    level: float,
    *,
    cov_keep: Any,
    cov_reduce: Reduce,
    nesting: Any,
    offset: float | None,
    rg_limit: int | None,
    contr: Any,
    options: Mapping[str, Any],
    regrid: str | None = None,
    bias_adjust: bool = False,
    sigma: float | None = None,
) -> Any:
    """Average a reference grid; arguments as of :meth:`lmerbridge.Model.emmeans`.

    ``source`` is called when the other arguments have been looked at.
    """
    belongs("bias_adjust=True", sigma=sigma is not None and not bias_adjust)
    belongs(
        "type='response' and regrid=",
        bias_adjust=bias_adjust and not scale_of(type) and regrid is None,
    )
    made = source()
    reference = _grid(made, at, cov_keep, cov_reduce, nesting, offset, rg_limit)
    sigma = made.sigma if sigma is None else sigma
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
    source: Callable[[], MeansSource],
    specs: Any,
    var: str | None,
    by: Any,
    at: Mapping[str, Any] | None,
    level: float,
    *,
    weights: Any,
    cov_keep: Any,
    cov_reduce: Reduce,
    nesting: Any,
    delta_var: float | None,
    max_degree: int,
    rg_limit: int | None,
) -> Any:
    """Take slopes; arguments as of :meth:`lmerbridge.Model.emtrends`."""
    if var is None:
        raise DataError("emtrends() needs var, the covariate along which slopes are taken")
    if specs is None:
        belongs(
            "specs=",
            by=by is not None,
            level=level != DEFAULT_LEVEL,
            weights=not (isinstance(weights, str) and weights == "equal"),
        )
    made = source()
    reference = made.with_notes(
        slopes(
            made.frame,
            made.denominator,
            var,
            at,
            _option(cov_keep, "cov_keep"),
            cov_reduce,
            nesting,
            _option(rg_limit, "rg_limit"),
            delta_var,
            max_degree,
        )
    )
    if specs is None:
        say(reference.notes)
        return RefGrid(reference, made.sigma)
    asked = parse_specs(specs, by)
    if max_degree > 1 and not (asked.formula and "degree" in (*asked.names, *asked.by)):
        named = [n for n in asked.names if n != "degree"]
        others = [n for n in asked.by if n != "degree"]
        order = [*others, "degree"] if asked.formula and by is None else ["degree", *others]
        asked = replace(asked, names=tuple(named), by=tuple(order))
    return means_of(reference, asked, None, weights, level, "link", False, None, what="emtrends")


def ref_grid(
    source: Callable[[], MeansSource],
    at: Mapping[str, Any] | None,
    type: str,
    cov_keep: Any,
    cov_reduce: Reduce,
    nesting: Any,
    offset: float | None,
    rg_limit: int | None,
) -> RefGrid:
    """Make a reference grid; arguments as of :meth:`lmerbridge.Model.ref_grid`."""
    scale_of(type)
    made = source()
    reference = _grid(made, at, cov_keep, cov_reduce, nesting, offset, rg_limit)
    say(reference.notes)
    return RefGrid(reference, made.sigma, type)


def joint_tests(
    grid: Callable[..., RefGrid],
    by: str | Sequence[str] | None,
    show0df: bool,
    showconf: bool,
    weights: Any,
    options: Mapping[str, Any],
) -> RTable:
    """Test each term by contrasts among its means; arguments as of
    :meth:`lmerbridge.Model.joint_tests`, ``options`` those of ``grid``, which makes the grid.
    """
    belongs("means and contrasts", type="type" in options)
    return joint_tests_of(grid(**options).reference, by, weights, show0df, showconf)
