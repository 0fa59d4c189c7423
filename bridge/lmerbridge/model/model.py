"""``Model``: what users hold after a fit. Thin: each method calls a function of the rooms below."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lmerbridge import display, inference
from lmerbridge.arguments import belongs, checked, frames
from lmerbridge.design import theta_lower
from lmerbridge.display.table import RTable
from lmerbridge.equality import by_value
from lmerbridge.errors import (
    ArgumentError,
    DataError,
    FitMessage,
    FitWarning,
    as_number,
    matched,
    near_match,
)
from lmerbridge.inference.containment import every_column
from lmerbridge.inference.levels import LEVEL
from lmerbridge.model import tidy as broom
from lmerbridge.model.accessors import Accessing
from lmerbridge.model.averaging import Averaging
from lmerbridge.model.base import Vector
from lmerbridge.model.components import component, components
from lmerbridge.model.diagnosing import Diagnosing
from lmerbridge.model.elsewhere import missing_attribute
from lmerbridge.model.intervals import Intervals
from lmerbridge.model.prediction import Prediction
from lmerbridge.result import tables, to_json

if TYPE_CHECKING:
    from lmerbridge.engines.native.refits import Refits

__all__ = ["Model"]


@checked
@by_value
@dataclass(frozen=True, eq=False, repr=False)
class Model(Prediction, Intervals, Averaging, Diagnosing, Accessing):
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

    def fixef(self, add_dropped: bool = False) -> Vector:
        """Fixed effects by R's names.

        Parameters
        ----------
        add_dropped : bool
            Also the columns that are linear combinations of others, as missing, in their places.
        """
        found = tables.fixed_table(self.result)
        if not add_dropped or not self.result.data.columns_dropped:
            return found
        return found.reindex(every_column(self.frame))

    def ranef(
        self,
        condVar: bool = True,
        whichel: str | Sequence[str] | None = None,
        drop: bool = False,
    ) -> Any:
        """Conditional modes of the random effects.

        Parameters
        ----------
        condVar : bool
            With ``condsd``, their conditional standard deviations.
        whichel : str or sequence of str, optional
            Grouping factors; default all.
        drop : bool
            A Series for a factor with one column, a table of levels by columns for the others.

        Returns
        -------
        DataFrame
            ``grpvar, term, grp, condval, condsd``, the form of R's ``as.data.frame(ranef(m))``;
            with ``drop`` a dict of grouping factor to Series or DataFrame.
        """
        groups = self._groups(whichel)
        if not drop:
            return tables.random_table(self.result, condVar, groups)
        wide = self._by_group("condval", groups)
        return {g: t.iloc[:, 0] if t.shape[1] == 1 else t for g, t in wide.items()}

    def coef(self) -> dict[str, pd.DataFrame]:
        """Per grouping factor, each level's coefficients: fixed plus random."""
        return tables.coefficients(self.result)

    def VarCorr(
        self,
        sigma: float | None = None,
        comp: str | Sequence[str] = "Std.Dev.",
        order: str = "cov.last",
        digits: int = 5,
    ) -> RTable:
        """Variance components: a table that prints as R prints ``VarCorr(m)``.

        Parameters
        ----------
        sigma : float, optional
            The residual standard deviation by which theta is scaled; default that of the fit.
        comp : str or sequence of str
            What is printed: ``"Std.Dev."``, ``"Variance"``, or both.
        order : {"cov.last", "lower.tri"}
            Of the rows of the table: covariances last, or by columns of the lower triangle.
        digits : int
            Of what is printed.

        Returns
        -------
        RTable
            ``grp, var1, var2, vcov, sdcor``, as R's ``as.data.frame(VarCorr(m))``.

        Raises
        ------
        DataError
            A word that is none of those, or fewer digits than one.
        """
        if digits < 1:
            raise DataError(f"digits must be at least 1, not {digits}")
        result = self.result if sigma is None else tables.rescaled(self.result, sigma)
        names = [comp] if isinstance(comp, str) else list(comp)
        shown = [matched(name, ("Variance", "Std.Dev."), "comp") for name in names]
        if not shown:
            raise DataError("comp must name 'Variance', 'Std.Dev.' or both")
        rows = matched(order, ("cov.last", "lower.tri"), "order")
        return RTable.of(
            tables.variance_table(result, rows), display.variance_text(result, shown, digits)
        )

    def vcov(
        self,
        definition: str | None = None,
        full: bool | str = False,
        correlation: bool = False,
    ) -> pd.DataFrame:
        """Covariance matrix of the fixed effects.

        Parameters
        ----------
        definition : str, optional
            ``"conditional"`` (lme4's) or ``"joint"``, where the engine has it; default is the
            engine's ``result.estimates.vcov_definition``.
        full : bool or str
            ``True`` or ``"parameters"``: also of the variance parameters, by the expected
            information, as merDeriv has it: rows ``cov_Subject.(Intercept)``, ..., ``residual``.
            ``"modes"``: also of the random effects' conditional modes, given theta and sigma, as
            lme4's ``full = TRUE`` since 1.1-36: rows ``Subject.308.(Intercept)``, ..., before the
            fixed effects.
        correlation : bool
            As correlations.
        """
        kinds = ("parameters", "modes")
        kind = matched(full, kinds, "full") if isinstance(full, str) else kinds[0] * bool(full)
        table = self._vcov(definition)
        if kind == "modes":
            from lmerbridge.inference.modes_vcov import modes_vcov

            if definition not in (None, "conditional"):
                raise DataError(
                    f"full='modes' is given theta and sigma, and has no {definition!r} form"
                )
            table = modes_vcov(self.frame, self.result)
        elif kind == "parameters":
            from lmerbridge.inference.variance_parameters import full_vcov

            fixed, table = table, full_vcov(self.frame, self.result)
            table.loc[list(fixed.index), list(fixed.columns)] = fixed
        if correlation:
            deviations = np.sqrt(np.diag(table))
            with np.errstate(divide="ignore", invalid="ignore"):
                table = table.div(deviations, axis=0).div(deviations, axis=1)
        return table

    def _vcov(self, definition: str | None) -> pd.DataFrame:
        estimates = self.result.estimates
        table = tables.vcov_table(self.result)
        if definition is None or definition == estimates.vcov_definition:
            return table
        if not isinstance(definition, str) or definition not in estimates.other_vcov:
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
            warnings.warn(
                "deviance() is deprecated for REML fits; use REMLcrit for the REML criterion or "
                "deviance(REML=False) for deviance calculated at the REML fit",
                FitWarning,
                stacklevel=frames(2),
            )
            return self.REMLcrit()
        return self.REMLcrit() if REML else inference.ml_deviance(self.result)

    def AIC(self, k: float = 2.0) -> float:
        """Akaike's criterion: -2 logLik + ``k`` times the number of parameters."""
        k = as_number(k, "k")
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
        """Whether the fit is singular: theta on its boundary, a diagonal element of Lambda below
        ``tol``, so that a variance is estimated as 0 or a correlation as 1 or -1.

        The criterion has its optimum there: such a fit has converged. It says that the data do not
        bear all of the random effects. Tests and intervals that rest on a normal approximation are
        doubtful for parameters at the boundary. What may be done: look where the variance is 0
        (``m.VarCorr()``, ``m.rePCA()``), take out correlations (``||``) or terms that the design
        does not need, compare (``m.ranova()``), or keep the model and say so.
        """
        tol = as_number(tol, "tol")
        sizes = [len(t.names) for t in self.result.estimates.random]
        on_diagonal = theta_lower(sizes) == 0
        return bool(np.any(self.result.estimates.theta[on_diagonal] < tol))

    # -- per row

    def fitted(self) -> Vector:
        """Fitted values given the random effects."""
        return self._rows(self.result.estimates.fitted.copy(), "fitted")

    def residuals(self, type: str = "response", scaled: bool = False) -> Vector:
        """Residuals: ``response`` or ``working``, ``pearson`` or ``deviance`` (times the root of
        the prior weights), ``scaled`` (``pearson`` over sigma).

        Parameters
        ----------
        scaled : bool
            Any type over sigma.
        """
        return self._rows(inference.residuals(self.result, type, scaled), "residuals")

    def model_matrix(self, type: str = "fixed") -> Any:
        """X as a DataFrame (``type="fixed"``), Z, sparse (``"random"``), or the random terms' own
        matrices (``"randomListRaw"``).
        """
        kind = matched(type, ("fixed", "random", "randomListRaw"), "type")
        if kind == "fixed":
            frame = self.frame
            return pd.DataFrame(frame.X.copy(), columns=list(frame.x_names), index=frame.index)
        return self.getME("Z" if kind == "random" else "mmList")

    def getME(self, name: str | Sequence[str]) -> Any:
        """A part of the model by lme4's name; a dict for several names, or for ``"ALL"``.

        All of lme4's names: ``X``, ``Z``, ``Zt``, ``Ztlist``, ``mmList``, ``y``, ``mu``, ``u``,
        ``b``, ``Gp``, ``Tp``, ``L``, ``Lambda``, ``Lambdat``, ``Lind`` (counted from 1),
        ``Tlist``, ``A``, ``RX``, ``RZX``, ``RXi``, ``sigma``, ``flist``, ``fixef``, ``beta``,
        ``theta``, ``ST``, ``REML``, ``is_REML``, ``n_rtrms``, ``n_rfacs``, ``N``, ``n``, ``p``,
        ``q``, ``p_i``, ``l_i``, ``q_i``, ``k``, ``m_i``, ``m``, ``cnms``, ``devcomp``,
        ``offset``, ``lower``, ``devfun`` (the criterion as a function of theta); and ``weights``.
        """
        if isinstance(name, str) and name != "ALL":
            return component(name, self.result, lambda: self.frame)
        names = ["ALL"] if isinstance(name, str) else name
        return components(names, self.result, lambda: self.frame)

    # -- broom

    def tidy(
        self,
        effects: str | Sequence[str] = ("ran_pars", "fixed"),
        conf_int: bool = False,
        conf_level: float = LEVEL,
        ddf: str | None = None,
        scales: str | Sequence[str | None] | None = None,
        conf_method: str = "Wald",
    ) -> pd.DataFrame:
        """Estimates, one per row, with broom.mixed's columns; those that do not apply are left out.

        Parameters
        ----------
        effects : str or sequence of str
            Of ``fixed``, ``ran_pars``, ``ran_vals``, ``ran_coefs``.
        conf_int : bool
            Add ``conf_low`` and ``conf_high``.
        ddf : str, optional
            ``"Satterthwaite"`` or ``"Kenward-Roger"``: degrees of freedom and p-values.
        scales : str or sequence, optional
            ``"sdcor"`` (default) or ``"vcov"``: standard deviations and correlations, or
            variances and covariances, for ``ran_pars``; a sequence has one per effect.
        conf_method : {"Wald", "profile", "boot"}
            Wald has intervals for ``fixed`` and ``ran_vals`` alone: those of variance parameters
            are missing, as in R.
        """
        request = broom.Request.of(effects, conf_int, conf_level, scales, conf_method)
        belongs(
            "conf_int=True",
            conf_level=conf_level != LEVEL and not conf_int,
            conf_method=request.method != "Wald" and not conf_int,
        )
        belongs("effects='fixed'", ddf=ddf is not None and "fixed" not in request.effects)
        belongs(
            "effects='fixed' and 'ran_pars'",
            conf_method=request.method != "Wald" and not {"fixed", "ran_pars"} & {*request.effects},
        )
        tests = None
        if ddf is not None:
            shown = self.summary(ddf=ddf)
            tests = None if shown.tests is None else shown.tests.table
        bounds = None
        if conf_int and request.method != "Wald":
            bounds = self.confint(request.method, conf_level)
        if conf_int and bounds is None and request.only_parameters:
            warnings.warn(broom.NO_WALD, FitMessage, stacklevel=frames(2))
        return broom.tidy(self.result, request, tests, bounds)

    def glance(self) -> pd.DataFrame:
        """One row on the fit."""
        return broom.glance(self.result)

    def augment(self) -> pd.DataFrame:
        """The variables used, with broom.mixed's columns: ``.fitted``, ``.resid``, ``.hat``,
        ``.cooksd``, ``.fixed`` (predictions without random effects), ``.mu``, ``.offset``,
        ``.sqrtXwt``, ``.sqrtrwt``, ``.weights``, ``.wtres``.

        With ``na_action="exclude"`` the rows that were dropped are there, their values missing.
        """
        from lmerbridge.model.variables import frame_table

        added = broom.augmented(self.frame, self.result)
        table = frame_table(self.frame)
        rows = self._rows(self.result.estimates.fitted, ".fitted").index
        if len(rows) != len(table):
            table = self._padded_variables(table)
        for name, values in added.items():
            table[name] = self._rows(values, name).to_numpy()
        return table

    if not TYPE_CHECKING:  # types know what there is

        def __getattr__(self, name: str) -> Any:
            raise missing_attribute(self, name)

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
            first = min(unknown)
            raise ArgumentError(
                f"update() has no argument {first!r}{near_match(first, inputs)}; "
                f"it takes {', '.join(inputs)}"
            )
        name = self.result.call.data_name if "data" not in changes else None
        return lmer(**{**inputs, **changes}, _data_name=name, _known=self.frame.missing)

    def refit(self, newresp: Any = None, newweights: Any = None) -> Model:
        """Fit the same model to another response, or with other prior weights.

        Parameters
        ----------
        newresp : array, Series or table of one column, optional
            A value for each row used; or for each row of ``fitted()`` with
            ``na_action="exclude"``, such as ``simulate()`` gives; or for each row of the data.
        newweights : array or Series, optional
            In the same shapes.

        Raises
        ------
        DataError
            Not numbers, another number of rows, or a missing value in a row that is used.
        """
        from lmerbridge.model.fitting import fit_frame

        inputs = self._inputs()
        frame = self.frame if newresp is None else self.frame.with_response(newresp)
        if newweights is not None:
            frame = frame.with_weights(newweights)
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
        from lmerbridge.engines import FitSpec, load_engine
        from lmerbridge.engines.lme4 import r_object

        of_its_own = self.result.provenance.package != self.engine
        r = getattr(load_engine(self.engine), "r", None) if of_its_own else None
        return r_object(self.frame, FitSpec(self.result.call.REML, self.result.call.start), r)

    def refit_many(self, responses: Any) -> Refits:
        """Fit the same model to many responses, fast: simulation, bootstrap, power.

        By the native engine, whichever engine fitted this model; models with one grouping
        factor are fitted all at once.

        Parameters
        ----------
        responses : array (n, B) or table
            A column per response; rows as of :meth:`refit`.

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
