"""``lb.check``: one model by several engines, from Python."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from lmerbridge.arguments import checked
from lmerbridge.crosscheck.cases import Case, family_text
from lmerbridge.crosscheck.expectations import expectations, known_engine
from lmerbridge.crosscheck.referee import Referee
from lmerbridge.crosscheck.report import suite_text
from lmerbridge.crosscheck.requirements import of_environment
from lmerbridge.crosscheck.suite import CaseReport, available_engines, run_frame
from lmerbridge.crosscheck.tolerances import TOLERANCES, changed_tolerances, entries_of
from lmerbridge.crosscheck.upgrade import drifted, engines_of, for_an_upgrade
from lmerbridge.crosscheck.verdict import Verdict
from lmerbridge.design import ModelFrame, build_frame
from lmerbridge.engines import (
    EngineName,
    FitSpec,
    Seconds,
    engine_name,
    load_engine,
    start_values,
    timeout_seconds,
)
from lmerbridge.errors import ArgumentError, DataError, FitWarning, near_match
from lmerbridge.family import Family, family_of
from lmerbridge.formula import Formula
from lmerbridge.rlang import RCommand
from lmerbridge.shown import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Comparison", "check"]


@checked
@dataclass(frozen=True, repr=False)
@shown
class Comparison:
    """One model fitted by several engines, compared and judged.

    ``print()`` shows the table, the verdicts and their evidence.

    Attributes
    ----------
    report : CaseReport
    frame : ModelFrame
    """

    report: CaseReport
    frame: ModelFrame = field(repr=False)

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """By engine."""
        return {o.engine: o.verdict for o in self.report.outcomes}

    @property
    def well(self) -> bool:
        """True if no verdict asks for action: each engine agrees with the reference, or its
        difference is explained and harmless (see :attr:`Verdict.well`).
        """
        return self.report.well

    def table(self) -> pd.DataFrame:
        """Return the worst difference per engine and quantity, with its unit, its limit and its
        key.
        """
        rows = [
            {
                "engine": o.engine,
                "against": o.against,
                "quantity": d.quantity,
                "difference": d.difference,
                "unit": d.tolerance.unit,
                "limit": d.tolerance.limit,
                "key": d.place,
                "agrees": d.agrees,
                "problem": d.problem,
            }
            for o in self.report.outcomes
            for d in o.differences
        ]
        return pd.DataFrame(rows)

    def estimates(self) -> pd.DataFrame:
        """Return the estimates, a column per engine: fixed effects, standard errors, SDs,
        correlations and criterion.
        """
        columns = {
            o.engine: {
                (quantity, key): value
                for quantity in (
                    "criterion",
                    "fixed effects",
                    "standard errors",
                    "std. deviations",
                    "correlations",
                )
                for key, value in o.quantities.values[quantity].items()
            }
            for o in self.report.outcomes
            if o.quantities is not None
        }
        table = pd.DataFrame(columns)
        table.index = pd.MultiIndex.from_tuples(list(table.index), names=["quantity", "key"])
        return table

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the fixed effects by engine with their intervals; needs matplotlib.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            To draw on; default those of a new figure.

        Returns
        -------
        Axes

        Raises
        ------
        DataError
            No engine gave numbers, or matplotlib is missing.
        """
        from lmerbridge.crosscheck.plots import plot_estimates

        found = {o.engine: o.quantities for o in self.report.outcomes if o.quantities is not None}
        if not found:
            raise DataError("no engine gave numbers, so there is nothing to plot")
        return plot_estimates(found, ax)

    def plot_criterion(self, one: str, two: str, ax: Axes | None = None) -> Axes:
        """Draw the criterion along the line between two engines' theta.

        Parameters
        ----------
        one, two : str
            Engines.
        ax : matplotlib Axes, optional
            To draw on; default those of a new figure.

        Returns
        -------
        Axes

        Raises
        ------
        DataError
            An engine without numbers, or a generalized model, whose criterion is one of the fixed
            effects, too; or matplotlib is missing.
        """
        from lmerbridge.crosscheck.plots import plot_criterion

        if self.frame.family is not None:
            raise DataError(
                "plot_criterion() draws the criterion of linear models, over theta alone; "
                "m.profile() and plot() show a generalized one"
            )

        thetas = {o.engine: o.theta for o in self.report.outcomes if o.quantities is not None}
        for name in (one, two):
            if name not in thetas:
                raise DataError(f"{name!r} gave no numbers; engines that did: {', '.join(thetas)}")
        REML = self.report.case.REML and self.frame.X.shape[1] > 0
        referee = Referee(self.frame, FitSpec(REML=REML))
        return plot_criterion(referee, thetas[one], thetas[two], (one, two), ax)

    def __str__(self) -> str:
        return suite_text([self.report], explain=False)


MOST_NODES = 100
# Arguments of lmer() that check() hands on.
OF_THE_FRAME = ("weights", "offset", "subset", "na_action", "contrasts", "control")


@checked
def check(
    formula: str | Formula,
    data: Any,
    engines: Sequence[EngineName] | None = None,
    REML: bool = True,
    *,
    r: Sequence[EngineName] | None = None,
    require: str | Sequence[str] = (),
    expect: Mapping[str, str | Sequence[str]] | None = None,
    tolerances: Mapping[str, tuple[float, str]] | None = None,
    start: Sequence[float] | Mapping[str, Sequence[float]] | str | None = None,
    timeout: Seconds | None = None,
    family: str | Family | None = None,
    nAGQ: int = 1,
    name: str = "model",
    **arguments: Any,
) -> Comparison:
    """Fit one model with several engines, compare the fits, and say why they differ.

    Parameters
    ----------
    formula, data, REML
        As for :func:`lmerbridge.lmer`.
    engines : sequence of str, optional
        Default: those that work here, without the rivals.
    r : sequence, optional
        Compare lme4 with lme4: R installations as :func:`lmerbridge.r` names them, versions, or
        its values. The first is the reference (of one alone: the R in use); whatever does not agree
        with it is *drift*. Instead of ``engines``, ``require`` and ``expect``.
    require : str or sequence of str
        Engines that take part and must work here: the comparison is not well without them. The
        environment variable ``LMERBRIDGE_REQUIRE_R=1`` requires ``lme4``, unless ``engines``
        leaves it out.
    expect : mapping, optional
        By engine the verdict that is right for it, if not agreement; or several
        (``"other optimum or not converged"``, or a list). ``"unavailable"`` allows an engine that
        is required to be missing.
    tolerances : mapping, optional
        By quantity another limit, with the reason: ``{"criterion": (1e-3, "lme4 stops early")}``.
    start, timeout
        As for :func:`lmerbridge.lmer`; no engine starts from what another one found.
    family, nAGQ
        Of a generalized model, as for :func:`lmerbridge.glmer`; ``REML`` is of no effect then.
    name : str
        The model's, in the table.
    **arguments
        ``weights``, ``offset``, ``subset``, ``na_action``, ``contrasts``, ``control`` of
        :func:`lmerbridge.lmer`.

    Returns
    -------
    Comparison
        ``print`` shows the table of agreement; ``well`` says whether a verdict asks for action.

    Raises
    ------
    FormulaError
        The formula is none of lme4's.
    DataError
        The data cannot be used as asked, or a quantity, verdict or engine is not known.
    EngineUnavailableError
        An engine named in ``engines`` is unknown or does not load. One that does not work here gets
        a verdict.

    Examples
    --------
    >>> import lmerbridge as lb
    >>> d = lb.datasets.load("sleepstudy")
    >>> lb.check("Reaction ~ Days + (Days | Subject)", d, engines=["native", "statsmodels"]).well
    True
    """
    where = "check()"
    for key in arguments:
        if key not in OF_THE_FRAME:
            raise ArgumentError(
                f"check() has no argument {key!r}{near_match(key, OF_THE_FRAME)}; of lmer()'s it "
                f"takes {', '.join(OF_THE_FRAME)}"
            )
    if r is not None:
        if engines is not None or require or expect:
            raise ArgumentError(
                "check(): r= compares lme4 with lme4, so that engines=, require= and expect= have "
                "nothing to say; leave them out"
            )
        if isinstance(r, (str, RCommand)):
            raise ArgumentError("check(): r must be a list of R installations, as [one, other]")
    installed = None if r is None else engines_of(r, where)
    asked = None if engines is None else [engine_name(engine) for engine in engines]
    for engine in asked or ():
        load_engine(engine)
    wanted = [known_engine(e, where) for e in ([require] if isinstance(require, str) else require)]
    expected = expectations(expect or {}, where, None if asked is None else [*asked, *wanted])
    limits = (
        TOLERANCES
        if tolerances is None
        else changed_tolerances(entries_of(tolerances, where), where)
    )
    theta, seconds = start_values(start), timeout_seconds(timeout)
    read = None if family is None else family_of(family)
    if read is not None and (read.name, read.link.name) == ("gaussian", "identity"):
        read = None
    if not 0 <= nAGQ <= MOST_NODES or (read is None and nAGQ != 1):
        raise ArgumentError(
            f"nAGQ is a whole number from 0 to {MOST_NODES}, of a model with a family, not {nAGQ!r}"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        frame = build_frame(formula, data, family=read, **arguments)
    chosen = asked if asked is not None else [] if installed else available_engines()
    by_environment = of_environment(None if asked is None else chosen)
    case = Case(
        name,
        "",
        str(formula),
        REML,
        control=arguments.get("control"),
        start=theta,
        timeout=seconds,
        family=family_text(read),
        nAGQ=nAGQ,
        require=tuple(dict.fromkeys((*wanted, *by_environment))),
        expect=expected,
        tolerances=limits,
        places={"": where},
    )
    if installed is not None:
        (case,) = for_an_upgrade([case], installed)
        return Comparison(drifted(run_frame(case, frame, installed)), frame)
    chosen += [e for e in case.require if e not in chosen]
    return Comparison(run_frame(case, frame, chosen), frame)
