"""Diagnostics of a fitted model."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lmerbridge.arguments import checked, frames
from lmerbridge.errors import FitWarning, LmerBridgeError
from lmerbridge.inference import explained
from lmerbridge.inference import influence as deletion
from lmerbridge.inference.effects import NA
from lmerbridge.inference.pooling import pooling_table
from lmerbridge.inference.simulated_residuals import quantile_residuals
from lmerbridge.model.base import ModelBase, Vector
from lmerbridge.model.progress import progress_bar

if TYPE_CHECKING:
    from lmerbridge.inference.explained import ICC, R2, PrincipalComponents
    from lmerbridge.inference.influence import Influence

__all__ = ["Diagnosing"]

LME4_OPTIMIZERS = ("bobyqa", "Nelder_Mead", "nlminbwrap", "nloptwrap")


@checked
class Diagnosing(ModelBase):
    """Methods that look at what a fit rests on."""

    def hatvalues(self) -> Vector:
        """Leverages."""
        return self._rows(deletion.hat_values(self.frame, self.result), "hatvalues")

    def cooks_distance(self) -> Vector:
        """Cook's distances of the observations, from their leverages, as lme4's
        ``cooks.distance``; with refits: ``influence().cooks_distance()``.
        """
        return self._rows(deletion.cooks_distance(self.frame, self.result), "cooks_distance")

    def rstudent(self) -> Vector:
        """Residuals over their standard errors."""
        return self._rows(deletion.rstudent(self.frame, self.result), "rstudent")

    def influence(self, groups: str | None = None, progress: bool = False) -> Influence:
        """The fit without each observation, or without each level of a grouping factor.

        With ``na_action="exclude"`` the rows dropped for a missing value have their places: the
        fit without them is the fit.

        Returns
        -------
        Influence
            ``dfbeta()``, ``dfbetas()``, ``cooks_distance()``, ``table()``; NaN where the other rows
            do not determine all fixed effects.

        Warns
        -----
        FitWarning
            Names what cannot be left out.
        """
        labels, used = self._places()
        shown = np.array([str(label) for label in labels], dtype=object)
        own = shown if used is None else shown[used]
        with progress_bar("influence", progress) as bar:
            found = deletion.influence(self.frame, self.result, groups, own.tolist(), bar)
        lost = [n for n, row in zip(found.sets, found.beta, strict=True) if np.isnan(row).any()]
        if lost:
            named = ", ".join(lost[:5]) + (", ..." if len(lost) > 5 else "")
            warnings.warn(
                f"without {named} the fixed effects cannot all be estimated: "
                f"{len(lost)} of {len(found.sets)} deletions are NaN",
                FitWarning,
                stacklevel=frames(2),
            )
        if groups is None and used is not None:
            return found._placed(shown.tolist(), used)
        return found

    def vif(self) -> pd.DataFrame:
        """Generalized variance inflation factors of the fixed terms, as car's ``vif``."""
        return explained.variance_inflation(self.frame, self.result)

    def icc(self) -> ICC:
        """Intraclass correlation: ``adjusted``, ``unadjusted``, ``by_group``."""
        return explained.icc(self.frame, self.result)

    def r2(self) -> R2:
        """Nakagawa's R2: ``marginal`` and ``conditional``."""
        return explained.r2(self.frame, self.result)

    def rmse(self, normalized: bool = False) -> float:
        """Root of the mean squared residual."""
        return explained.rmse(self.result, normalized)

    def rePCA(self) -> dict[str, PrincipalComponents]:
        """Principal components of the random effects by grouping factor: ``sdev``, ``rotation``,
        ``importance()``.
        """
        return explained.principal_components(self.frame, self.result)

    def quantile_residuals(self, nsim: int = 250, seed: Any = None, re_form: Any = NA) -> Vector:
        """Residuals on (0, 1) by simulation: uniform if the model holds."""
        found = quantile_residuals(self.frame, self.result, nsim, seed, re_form)
        return self._rows(found, "quantile_residuals")

    def pooling(self, group: str | None = None) -> pd.DataFrame:
        """Complete, no and partial pooling: ``group, term, complete, none, partial``; plots by
        :func:`lmerbridge.plots.pooling` and :func:`lmerbridge.plots.shrinkage`.
        """
        return pooling_table(self.frame, self.result, group)

    def allFit(self, progress: bool = False) -> pd.DataFrame:
        """The model by every optimizer of the native engine, and of lme4 where R is.

        Returns
        -------
        DataFrame
            A row per optimizer: ``engine``, ``optimizer``, ``criterion``, ``above`` (the best),
            ``converged``, ``singular``, ``seconds``, sigma, theta and the fixed effects,
            ``message``.
        """
        rows = self._native_fits()
        lme4 = self._lme4_available()
        with progress_bar("allFit", progress) as bar:
            for i, name in enumerate(LME4_OPTIMIZERS if lme4 else ()):
                if bar is not None:
                    bar(i, len(LME4_OPTIMIZERS))
                rows.append(self._lme4_fit(name))
        table = pd.DataFrame(rows)
        table.insert(3, "above", table["criterion"] - table["criterion"].min())
        return table

    def _lme4_available(self) -> bool:
        from lmerbridge.engines import FitSpec, load_engine, refusal, status_of

        if self.inputs is None or not status_of(self._lme4).available:
            return False
        spec = FitSpec(self.result.call.REML)
        return refusal(load_engine(self._lme4), self.frame, spec) is None

    @property
    def _lme4(self) -> str:
        """The engine's name for lme4: in the R that this model was fitted in, if it was in one."""
        made = self.result.provenance
        return made.engine if made.package == "lme4" else "lme4"

    def _row(
        self, engine: str, optimizer: str, found: Any, seconds: float, **more: Any
    ) -> dict[str, Any]:
        row: dict[str, Any] = {"engine": engine, "optimizer": optimizer, **more, "seconds": seconds}
        names = [f"theta{i + 1}" for i in range(len(self.result.estimates.theta))]
        row["sigma"] = found.sigma
        row.update(zip(names, found.theta.tolist(), strict=True))
        row.update(zip(self.result.estimates.names, found.beta.tolist(), strict=True))
        return row

    def _native_fits(self) -> list[dict[str, Any]]:
        from lmerbridge.engines.native.all_fit import all_fits

        return [
            self._row(
                "native",
                fit.optimizer,
                fit.found,
                fit.seconds,
                criterion=fit.found.criterion,
                converged=fit.converged,
                singular=fit.singular,
                message=f"{fit.evaluations} evaluations",
            )
            for fit in all_fits(self.frame, self.result.call.REML)
        ]

    def _lme4_fit(self, optimizer: str) -> dict[str, Any]:
        import warnings

        from lmerbridge.design import lmerControl

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                m: Any = self.update(  # type: ignore[attr-defined]
                    engine=self._lme4, start=None, control=lmerControl(optimizer=optimizer)
                )
        except LmerBridgeError as error:
            return {"engine": self._lme4, "optimizer": optimizer, "message": str(error)}
        evidence = m.result.evidence
        return self._row(
            self._lme4,
            optimizer,
            m.result.estimates,
            m.result.provenance.seconds,
            criterion=m.result.criterion.value,
            converged=evidence.converged,
            singular=evidence.singular,
            message="; ".join(evidence.messages),
        )
