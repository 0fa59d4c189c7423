"""``Model``: what users hold after a fit. Thin: each method calls a function of the rooms below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lmerbridge import display, inference
from lmerbridge.design import theta_lower
from lmerbridge.errors import DataError, FitWarning
from lmerbridge.model import tidy as broom
from lmerbridge.model.base import Vector
from lmerbridge.model.components import component
from lmerbridge.model.diagnosing import Diagnosing
from lmerbridge.model.prediction import Prediction
from lmerbridge.model.testing import Testing
from lmerbridge.result import tables, to_json

if TYPE_CHECKING:
    from lmerbridge.engines.native.refits import Refits

__all__ = ["Model"]


@dataclass(frozen=True, repr=False)
class Model(Prediction, Testing, Diagnosing):
    """A fitted linear mixed model.

    Made by :func:`lmerbridge.lmer` or :func:`lmerbridge.from_json`. ``print(m)`` and
    ``print(m.summary())`` show what R shows. Methods have R's names; vectors come back as
    named Series, tables as DataFrames.

    Attributes
    ----------
    result : FitResult
        All numbers, frozen.
    inputs : mapping
        The arguments of ``lmer``, for :meth:`update` and :meth:`refit`.
    """

    @property
    def engine(self) -> str:
        """Name of the engine that fitted."""
        return self.result.provenance.engine

    @property
    def formula(self) -> str:
        """The formula, ``||`` expanded as lme4 has it."""
        return self.result.call.formula

    # -- estimates

    def fixef(self) -> Vector:
        """Fixed effects by R's names."""
        return tables.fixed_table(self.result)

    def ranef(self, condVar: bool = True) -> pd.DataFrame:
        """Conditional modes: ``grpvar, term, grp, condval`` and, with ``condVar``, ``condsd``."""
        return tables.random_table(self.result, condVar)

    def coef(self) -> dict[str, pd.DataFrame]:
        """Per grouping factor, each level's coefficients: fixed plus random."""
        return tables.coefficients(self.result)

    def VarCorr(self) -> pd.DataFrame:
        """Variance components: ``grp, var1, var2, vcov, sdcor``."""
        return tables.variance_table(self.result)

    def vcov(self, definition: str | None = None) -> pd.DataFrame:
        """Covariance matrix of the fixed effects.

        Parameters
        ----------
        definition : str, optional
            ``"conditional"`` (lme4's) or ``"joint"``, where the engine has it; default is the
            engine's ``result.estimates.vcov_definition``.
        """
        estimates = self.result.estimates
        table = tables.vcov_table(self.result)
        if definition is None or definition == estimates.vcov_definition:
            return table
        if definition not in estimates.other_vcov:
            known = [estimates.vcov_definition, *estimates.other_vcov]
            raise DataError(
                f"engine {self.engine!r} has no {definition!r} covariance matrix; "
                f"it has {', '.join(known)}"
            )
        return pd.DataFrame(
            estimates.other_vcov[definition].copy(), index=table.index, columns=table.columns
        )

    def sigma(self) -> float:
        """Residual standard deviation."""
        return self.result.estimates.sigma

    # -- criterion

    def logLik(self, REML: bool | None = None) -> float:
        """Log-likelihood; restricted for a REML fit unless ``REML=False``."""
        if REML is None or REML == self.result.call.REML:
            return self.result.criterion.logLik
        return -0.5 * (self.REMLcrit() if REML else self.deviance(REML=False))

    def REMLcrit(self) -> float:
        """REML criterion at the estimates."""
        return inference.reml_criterion(self.result)

    def deviance(self, REML: bool | None = None) -> float:
        """-2 log-likelihood; for a REML fit say ``REML=False``, or use :meth:`REMLcrit`."""
        if REML is None and self.result.call.REML:
            import warnings

            warnings.warn(
                "deviance() is deprecated for REML fits; use REMLcrit for the REML criterion or "
                "deviance(REML=False) for deviance calculated at the REML fit",
                FitWarning,
                stacklevel=2,
            )
            return self.REMLcrit()
        return self.REMLcrit() if REML else inference.ml_deviance(self.result)

    def AIC(self, k: float = 2.0) -> float:
        """Akaike's criterion: -2 logLik + ``k`` times the number of parameters."""
        if k == 2.0:
            return self.result.criterion.AIC
        return -2 * self.logLik() + k * self.result.criterion.parameters

    def BIC(self) -> float:
        """Schwarz's criterion, with log(n) as lme4 has it."""
        return self.result.criterion.BIC

    # -- sizes

    def nobs(self) -> int:
        """Rows used."""
        return self.result.data.nobs

    def ngrps(self) -> pd.Series[int]:
        """Number of levels by grouping factor."""
        groups = self.result.data.groups
        return pd.Series([len(v) for v in groups.values()], index=list(groups))

    def df_residual(self) -> int:
        """Rows less all parameters."""
        return self.result.criterion.df_residual

    def isSingular(self, tol: float = 1e-4) -> bool:
        """Whether theta is on its boundary: a diagonal element of Lambda below ``tol``."""
        sizes = [len(t.names) for t in self.result.estimates.random]
        on_diagonal = theta_lower(sizes) == 0
        return bool(np.any(self.result.estimates.theta[on_diagonal] < tol))

    # -- per row

    def fitted(self) -> Vector:
        """Fitted values given the random effects."""
        return self._rows(self.result.estimates.fitted.copy(), "fitted")

    def residuals(self, type: str = "response") -> Vector:
        """Residuals: ``response``, ``pearson`` (weighted), ``scaled`` (by sigma too)."""
        return self._rows(inference.residuals(self.result, type), "residuals")

    def model_matrix(self, type: str = "fixed") -> Any:
        """X as a DataFrame (``type="fixed"``), or Z, sparse (``type="random"``)."""
        if type == "fixed":
            frame = self.frame
            return pd.DataFrame(frame.X.copy(), columns=list(frame.x_names), index=frame.index)
        if type == "random":
            return self.getME("Z")
        raise DataError(f"model_matrix(type={type!r}): types are 'fixed' and 'random'")

    def getME(self, name: str | Sequence[str]) -> Any:
        """A part of the model by lme4's name (a dict for several names): ``X``, ``Z``, ``y``,
        ``theta``, ``Lambda``, ``beta``, ``b``, ``n``, ``p``, ``q``, ``cnms``, ``flist``, ...
        """
        if isinstance(name, str):
            return component(name, self.result, lambda: self.frame)
        return {n: component(n, self.result, lambda: self.frame) for n in name}

    # -- broom

    def tidy(
        self,
        effects: str | Sequence[str] = ("ran_pars", "fixed"),
        conf_int: bool = False,
        conf_level: float = 0.95,
        ddf: str | None = None,
    ) -> pd.DataFrame:
        """Estimates, one per row; see :func:`lmerbridge.model.tidy.tidy`. ``ddf``
        (``"Satterthwaite"``, ``"Kenward-Roger"``) adds degrees of freedom and p-values.
        """
        tests = None
        if ddf is not None and ddf != "lme4":
            shown = self.summary(ddf=ddf)
            assert shown.tests is not None
            tests = shown.tests.table
        return broom.tidy(self.result, effects, conf_int, conf_level, tests)

    def glance(self) -> pd.DataFrame:
        """One row on the fit."""
        return broom.glance(self.result)

    def augment(self) -> pd.DataFrame:
        """The variables used, with ``.fitted`` and ``.resid``."""
        from lmerbridge.model.variables import frame_table

        return broom.augment(self.result, frame_table(self.frame))

    # -- again

    def update(self, formula: str | None = None, **changes: Any) -> Model:
        """Fit again with something changed, as R's ``update``.

        Parameters
        ----------
        formula : str, optional
            In it ``.`` is what was there: ``". ~ . - Days"``.
        **changes
            Arguments of :func:`lmerbridge.lmer`.
        """
        from lmerbridge.formula import update_formula
        from lmerbridge.model.fitting import lmer

        inputs = dict(self._inputs())
        if formula is not None:
            inputs["formula"] = update_formula(self.frame.formula, formula)
        # a formula made from this model's own, not to be read as a change of it
        text = changes.pop("_text", None)
        if text is not None:
            inputs["formula"] = text
        unknown = set(changes) - set(inputs)
        if unknown:
            raise DataError(
                f"update() has no argument {sorted(unknown)[0]!r}; it takes {', '.join(inputs)}"
            )
        name = self.result.call.data_name if "data" not in changes else None
        return lmer(**{**inputs, **changes}, _data_name=name)

    def refit(self, newresp: Any) -> Model:
        """Fit the same model to another response.

        Parameters
        ----------
        newresp : array (n,)
            A value per row used, in their order.
        """
        from lmerbridge.model.fitting import fit_frame

        inputs = self._inputs()
        frame = self.frame.with_response(newresp)
        return replace(
            fit_frame(frame, inputs["REML"], inputs["start"], inputs["engine"], inputs["timeout"]),
            inputs=inputs,
        )

    @property
    def r_object(self) -> Any:
        """The model as lme4's object in R, for rpy2: fitted there once more, by R in this process,
        which is started for it.

        >>> m.r_object                                            # doctest: +SKIP
        <rpy2.rinterface.SexpS4 ...>

        Raises
        ------
        EngineUnavailableError
            rpy2 or R is missing, or they do not fit each other.
        FitFailedError
        """
        from lmerbridge.engines import FitSpec
        from lmerbridge.engines.lme4 import r_object

        return r_object(self.frame, FitSpec(self.result.call.REML, self.result.call.start))

    def refit_many(self, responses: Any) -> Refits:
        """Fit the same model to many responses, fast: simulation, bootstrap, power.

        By the native engine, whichever engine fitted this model; models with one grouping
        factor are fitted all at once.

        Parameters
        ----------
        responses : array (n, B)
            A column per response, a value per row used.

        Returns
        -------
        Refits
            beta (B, p), theta (B, m), sigma, criterion, converged and singular (B,).
        """
        from lmerbridge.engines.native.refits import refit_many

        self._inputs()
        return refit_many(self.frame, responses, self.result.call.REML, self.result.estimates.theta)

    # -- text

    def to_json(self, indent: int | None = None) -> str:
        """The result as JSON, without loss; :func:`lmerbridge.from_json` reads it."""
        return to_json(self.result, indent)

    def __str__(self) -> str:
        return display.model_text(self.result)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return display.model_html(self.result)
