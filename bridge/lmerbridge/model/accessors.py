"""Accessors with R's names: parts of the formula and of the data, counts, criteria, covariances."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lmerbridge.arguments import checked
from lmerbridge.design.columns import Factor, Logical, Numeric
from lmerbridge.design.matrix import model_matrix
from lmerbridge.equality import by_value
from lmerbridge.errors import DataError, as_number
from lmerbridge.inference.hypotheses import fixed_terms
from lmerbridge.model.base import ModelBase, Vector
from lmerbridge.model.variables import frame_table

if TYPE_CHECKING:
    from lmerbridge.design import ModelFrame

__all__ = ["Accessing", "Family", "ModelTerms", "dummy_coefficients", "model_terms"]


@dataclass(frozen=True)
class Family:
    """The response's distribution and link."""

    family: str
    link: str

    def __str__(self) -> str:
        return f"\nFamily: {self.family} \nLink function: {self.link} \n"


@by_value
@dataclass(frozen=True, eq=False)
class ModelTerms:
    """R's ``terms`` of the fixed part.

    Attributes
    ----------
    labels : tuple of str
        ``("f", "Days", "f:Days")``.
    order : tuple of int
        The number of variables in each.
    factors : DataFrame
        Variables by terms: 0 not in it, 1 coded by contrasts, 2 by all its levels.
    intercept : bool
    response : str
    """

    labels: tuple[str, ...]
    order: tuple[int, ...]
    factors: pd.DataFrame
    intercept: bool
    response: str


def model_terms(frame: ModelFrame) -> ModelTerms:
    """The terms of the fixed part of ``frame``."""
    from lmerbridge.design.matrix import coded_by_contrasts
    from lmerbridge.formula.syntax import deparse

    terms = fixed_terms(frame)
    variables = [deparse(v) for v in terms.variables]
    response = frame.formula.response_label
    kinds = [not isinstance(frame.variables[v], Numeric) for v in variables]
    table = pd.DataFrame(0, index=[response, *variables], columns=list(terms.labels))
    for j, modes in enumerate(coded_by_contrasts(terms, kinds)):
        for v, by_contrasts in modes.items():
            table.iloc[v + 1, j] = 1 if by_contrasts or not kinds[v] else 2
    return ModelTerms(
        tuple(terms.labels),
        tuple(len(t) for t in terms.terms),
        table,
        terms.intercept,
        response,
    )


def dummy_coefficients(frame: ModelFrame, beta: Any) -> dict[str, pd.Series[float]]:
    """R's ``dummy.coef``: what each level, or combination of levels, contributes, by term; for
    numbers at the value 1.

    Parameters
    ----------
    beta : array (p,)
        For the columns of ``frame.X``.
    """
    from lmerbridge.formula.syntax import deparse

    terms = fixed_terms(frame)
    values = dict(zip(frame.x_names, np.asarray(beta, dtype=float).tolist(), strict=True))
    found: dict[str, pd.Series[float]] = {}
    if terms.intercept:
        found["(Intercept)"] = pd.Series([values.get("(Intercept)", np.nan)], index=["(Intercept)"])
    for number, (label, term) in enumerate(zip(terms.labels, terms.terms, strict=True), 1):
        names = [deparse(terms.variables[v]) for v in term]
        factors = {}
        for name in names:
            column = frame.variables[name]
            if isinstance(column, Factor):
                factors[name] = column.levels
            elif isinstance(column, Logical):
                factors[name] = ("FALSE", "TRUE")
        sizes = [len(levels) for levels in factors.values()]
        count = int(np.prod(sizes)) if sizes else 1
        # the first factor varies fastest, as in expand.grid
        codes = np.unravel_index(np.arange(count), sizes, order="F") if sizes else ()
        rows: dict[str, Any] = {}
        for v in terms.variables:
            name = deparse(v)
            column = frame.variables[name]
            if name in factors:
                own = codes[list(factors).index(name)]
                rows[name] = (
                    Factor(own, column.levels, column.ordered, column.contrast)
                    if isinstance(column, Factor)
                    else Logical(own.astype(float))
                )
            elif isinstance(column, Numeric):
                shape = (count, *column.values.shape[1:])
                rows[name] = Numeric(np.ones(shape), column.names)
            elif isinstance(column, Factor):
                rows[name] = Factor(np.zeros(count, int), column.levels, column.ordered)
            else:
                rows[name] = Logical(np.zeros(count))
        matrix = model_matrix(terms, rows, count, frame.contrasts)
        own_columns = [j for j, k in enumerate(matrix.assign) if k == number]
        total = np.zeros(count)
        for j in own_columns:
            value = values.get(matrix.names[j], np.nan)
            with np.errstate(invalid="ignore"):
                part = matrix.values[:, j] * value
            total += np.where(matrix.values[:, j] == 0, 0.0, part)
        index = [
            ":".join(levels[codes[k][i]] for k, levels in enumerate(factors.values()))
            for i in range(count)
        ]
        found[label] = pd.Series(total, index=index if sizes else [label])
    return found


def _own(table: pd.DataFrame, frame: ModelFrame, name: str) -> list[str]:
    """The columns of the table that hold the variable ``name``."""
    column = frame.variables.get(name)
    if isinstance(column, Numeric) and column.values.ndim == 2:
        ends = column.names or tuple(str(j + 1) for j in range(column.values.shape[1]))
        return [f"{name}{end}" for end in ends]
    return [name] if name in table else []


@checked
class Accessing(ModelBase):
    """Methods that say what the model is made of."""

    # -- formula and data

    def terms(self) -> ModelTerms:
        """The terms of the fixed part: ``labels``, ``order``, ``factors``, ``intercept``."""
        return model_terms(self.frame)

    def model_frame(self, fixed_only: bool = False) -> pd.DataFrame:
        """The variables as the model has them, ``(weights)`` and ``(offset)`` last; rows used.

        Parameters
        ----------
        fixed_only : bool
            Without the variables of the random terms alone.
        """
        from lmerbridge.design.columns import as_categorical, as_factor, take
        from lmerbridge.formula.syntax import deparse

        frame = self.frame
        table = frame_table(frame)
        names = [frame.formula.response_label, *(deparse(v) for v in fixed_terms(frame).variables)]
        if not fixed_only:
            for term in frame.formula.random:
                names += [deparse(v) for v in term.columns.variables]
                for name in term.grouping.columns:
                    column = frame.variables.get(name) or take(frame.raw[name], frame.kept)
                    if name not in table:
                        table[name] = as_categorical(as_factor(column)).remove_unused_categories()
                    names.append(name)
        # a matrix among the variables is one column per column of it
        table = table[[c for n in dict.fromkeys(names) for c in _own(table, frame, n)]].copy()
        if frame.weights is not None:
            table["(weights)"] = frame.weights
        if frame.offset is not None:
            table["(offset)"] = frame.offset
        return table

    def getData(self) -> Any:
        """The data that the model was fitted to, as given."""
        return self._inputs()["data"]

    def family(self) -> Family:
        """The response's distribution and link."""
        return Family(self.result.call.family, self.result.call.link)

    def weights(self) -> Vector:
        """Prior weights: 1 where none were given."""
        given = self.result.estimates.weights
        found = np.ones(self.result.data.nobs) if given is None else given.copy()
        return self._rows(found, "weights")

    def isREML(self) -> bool:
        """Whether the fit is by REML."""
        return self.result.call.REML

    def isLMM(self) -> bool:
        """Whether this is a linear mixed model: it always is."""
        return True

    def isGLMM(self) -> bool:
        """Whether this is a generalized linear mixed model: it never is."""
        return False

    def isNLMM(self) -> bool:
        """Whether this is a nonlinear mixed model: it never is."""
        return False

    def refitML(self) -> Any:
        """The same model by maximum likelihood; this one if it is.

        lme4 fits it as R's ``refitML`` does: by bobyqa, from theta of the REML fit.
        """
        from lmerbridge.model.fitting import fit_frame

        if not self.result.call.REML:
            return self
        inputs = {**self._inputs(), "REML": False}
        frame, start = self.frame, inputs["start"]
        if self.result.provenance.package == "lme4":
            start = self.result.estimates.parameters
            given = {**dict(frame.control.given), "optimizer": "bobyqa"}
            given.pop("optCtrl", None)  # of the other optimizer
            frame = replace(frame, control=replace(frame.control, given=tuple(given.items())))
        fitted = fit_frame(frame, False, start, inputs["engine"], inputs["timeout"])
        call = replace(self.result.call, REML=False)
        return replace(fitted, result=replace(fitted.result, call=call), inputs=inputs)

    # -- criteria

    def AICc(self) -> float:
        """Akaike's criterion with Hurvich & Tsai's (1989, Biometrika 76, 297-307) correction:
        AIC + 2 k (k + 1) / (n - k - 1), k parameters; infinite where n = k + 1 or less.
        """
        criterion, n = self.result.criterion, self.result.data.nobs
        k = criterion.parameters
        if n - k - 1 <= 0:
            return float("inf")
        return criterion.AIC + 2 * k * (k + 1) / (n - k - 1)

    def extractAIC(self, scale: float = 0.0, k: float = 2.0) -> tuple[float, float]:
        """The number of parameters and Akaike's criterion, of the fit by maximum likelihood, as
        R's ``extractAIC`` has it: a REML fit is fitted again.

        Parameters
        ----------
        scale : float
            Only 0, as lme4 ignores it.
        k : float
            Weight of a parameter.
        """
        if as_number(scale, "scale"):
            raise DataError("extractAIC() of a mixed model has no scale: leave it at 0")
        m = self.refitML()
        parameters = m.result.criterion.parameters
        return float(parameters), float(m.result.criterion.value + k * parameters)

    # -- standard errors

    def se_fixef(self) -> Vector:
        """Standard errors of the fixed effects."""
        estimates = self.result.estimates
        return pd.Series(np.sqrt(np.diag(estimates.vcov)), index=list(estimates.names), dtype=float)

    def se_ranef(self) -> dict[str, pd.DataFrame]:
        """Standard errors of the conditional modes: a table (levels, columns) by factor."""
        return self._by_group("condsd")

    def _by_group(
        self, column: str, whichel: str | Sequence[str] | None = None
    ) -> dict[str, pd.DataFrame]:
        from lmerbridge.result.tables import random_table

        table = random_table(self.result, True, self._groups(whichel))
        found: dict[str, pd.DataFrame] = {}
        for group, own in table.groupby("grpvar", sort=False):
            parts = [
                pd.Series(part[column].to_numpy(), index=part["grp"].tolist(), name=term)
                for term, part in own.groupby("term", sort=False)
            ]
            found[str(group)] = pd.concat(parts, axis=1)
        return found

    def _groups(self, whichel: str | Sequence[str] | None) -> list[str] | None:
        """The grouping factors named.

        Raises
        ------
        DataError
        """
        if whichel is None:
            return None
        from lmerbridge.errors import near_match

        known = list(self.result.data.groups)
        if not isinstance(whichel, Iterable):
            raise DataError(f"whichel must name some of {', '.join(known)}, not {whichel!r}")
        wanted = [whichel] if isinstance(whichel, str) else list(whichel)
        for name in wanted:
            if name not in known:
                raise DataError(
                    f"whichel names {name!r}, which is no grouping factor of the model"
                    f"{near_match(name, known)}; it has {', '.join(known)}"
                )
        return wanted

    def postVar(self) -> dict[str, Any]:
        """Conditional covariance matrices of the random effects by term: (levels, k, k)."""
        return {
            term.label: None if term.variances is None else term.variances.copy()
            for term in self.result.estimates.random
        }

    def se_VarCorr(self) -> pd.DataFrame:
        """``VarCorr()`` with standard errors, from the expected information: ``grp, var1, var2,
        vcov, se_vcov, sdcor, se_sdcor``.

        Those of standard deviations and correlations are by the delta method, and missing where a
        variance is 0.
        """
        from lmerbridge.inference.variance_parameters import variance_errors

        return variance_errors(self.frame, self.result)

    def dummy_coef(self) -> dict[str, pd.Series[float]]:
        """Fixed effects in terms of the factors' own levels, by term, as R's ``dummy.coef`` of a
        regression: numbers at 1; sums of contrasts for each level or combination.
        """
        return dummy_coefficients(self.frame, self.result.estimates.beta)

    def fortify(self) -> pd.DataFrame:
        """The data of the rows used with ``.fitted``, ``.resid`` and ``.scresid`` (scaled)."""
        from lmerbridge.inference import residuals

        data = self._inputs()["data"]
        if isinstance(data, pd.DataFrame):
            table = data.iloc[self.frame.kept].copy()
        else:
            import narwhals.stable.v2 as nw

            if isinstance(data, dict):
                table = pd.DataFrame(data).iloc[self.frame.kept].copy()
            else:
                table = nw.from_native(data, eager_only=True).to_pandas().iloc[self.frame.kept]
        table[".fitted"] = self.result.estimates.fitted
        table[".resid"] = self.result.estimates.residuals
        table[".scresid"] = residuals(self.result, "pearson", True)
        return table
