"""``lb.check``: one model by several engines, from Python."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from lmerbridge.crosscheck.cases import Case
from lmerbridge.crosscheck.referee import Referee
from lmerbridge.crosscheck.report import suite_text
from lmerbridge.crosscheck.suite import CaseReport, available_engines, run_frame
from lmerbridge.crosscheck.tolerances import TOLERANCES
from lmerbridge.crosscheck.verdict import Verdict
from lmerbridge.design import ModelFrame, build_frame
from lmerbridge.engines import FitSpec, load_engine
from lmerbridge.errors import DataError, FitWarning

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Comparison", "check"]


@dataclass(frozen=True, repr=False)
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
        """Whether every engine agrees, or what differs needs no care."""
        return self.report.well

    def table(self) -> pd.DataFrame:
        """Per engine and quantity the worst difference, its unit, its limit and its key."""
        rows = [
            {
                "engine": o.engine,
                "against": o.against,
                "quantity": d.quantity,
                "difference": d.difference,
                "unit": d.tolerance.unit,
                "limit": d.tolerance.limit,
                "key": d.key,
                "agrees": d.agrees,
                "problem": d.problem,
            }
            for o in self.report.outcomes
            for d in o.differences
        ]
        return pd.DataFrame(rows)

    def estimates(self) -> pd.DataFrame:
        """Fixed effects, standard errors, SDs, correlations and criterion, a column per engine."""
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
        """Fixed effects by engine with their intervals; needs matplotlib.

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
        """The criterion along the line between two engines' theta.

        Raises
        ------
        DataError
            An engine without numbers, or matplotlib is missing.
        """
        from lmerbridge.crosscheck.plots import plot_criterion

        thetas = {o.engine: o.theta for o in self.report.outcomes if o.quantities is not None}
        for name in (one, two):
            if name not in thetas:
                raise DataError(f"{name!r} gave no numbers; engines that did: {', '.join(thetas)}")
        REML = self.report.case.REML and self.frame.X.shape[1] > 0
        referee = Referee(self.frame, FitSpec(REML=REML))
        return plot_criterion(referee, thetas[one], thetas[two], (one, two), ax)

    def __str__(self) -> str:
        return suite_text([self.report], explain=False)

    __repr__ = __str__


def check(
    formula: str,
    data: Any,
    engines: Sequence[str] | None = None,
    REML: bool = True,
    *,
    expect: Mapping[str, str] | None = None,
    tolerances: Mapping[str, tuple[float, str]] | None = None,
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
    expect : mapping, optional
        By engine the verdict that is right for it, if not agreement.
    tolerances : mapping, optional
        By quantity another limit, with the reason: ``{"criterion": (1e-3, "lme4 stops early")}``.
    **arguments
        ``weights``, ``offset``, ``subset``, ``na_action``, ``contrasts``, ``control`` of
        :func:`lmerbridge.lmer`.

    Returns
    -------
    Comparison

    Raises
    ------
    FormulaError, DataError, EngineUnavailableError
    """
    from lmerbridge.crosscheck.cases import changed_tolerances

    for engine in engines or ():
        load_engine(engine)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        frame = build_frame(formula, data, **arguments)
    limits = TOLERANCES
    if tolerances:
        entries = [
            {"quantity": q, "limit": limit, "reason": reason}
            for q, (limit, reason) in tolerances.items()
        ]
        limits = changed_tolerances(entries, "check()")
    case = Case(name, "", str(formula), REML, expect=expect or {}, tolerances=limits)
    chosen = list(engines) if engines is not None else available_engines()
    return Comparison(run_frame(case, frame, chosen), frame)
