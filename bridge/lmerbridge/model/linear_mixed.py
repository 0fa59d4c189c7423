"""``lmer``: formula and data to a fitted :class:`Model`; and a Model from JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lmerbridge.arguments import checked
from lmerbridge.design import Control
from lmerbridge.design.call import Call
from lmerbridge.engines import EngineName, Seconds, engine_name, prepare, timeout_seconds
from lmerbridge.errors import DataError
from lmerbridge.formula import Formula
from lmerbridge.model.fitting import fit_call, stored
from lmerbridge.model.model import Model, model_of

if TYPE_CHECKING:
    from lmerbridge.model.generalized import GeneralizedModel

__all__ = ["from_json", "lmer"]


@checked
def lmer(
    formula: str | Formula,
    data: Any,
    REML: bool = True,
    engine: EngineName = "auto",
    weights: Any = None,
    offset: Any = None,
    subset: Any = None,
    na_action: str = "omit",
    contrasts: Mapping[str, Any] | None = None,
    start: Sequence[float] | Mapping[str, Sequence[float]] | str | None = None,
    control: Control | None = None,
    *,
    timeout: Seconds | None = None,
) -> Model:
    """Fit a linear mixed model, as lme4's ``lmer`` does.

    Parameters
    ----------
    formula : str
        lme4's language: ``"Reaction ~ Days + (Days | Subject)"``.
    data : pandas.DataFrame, or any frame that narwhals accepts, or a dict of columns
        Not changed.
    REML : bool
        Restricted maximum likelihood, or maximum likelihood.
    engine : str or an R
        ``"lme4"``, ``"statsmodels"``, ...; ``"auto"`` takes the first of lme4, statsmodels and
        native that is available and can fit the model (the environment variable
        ``LMERBRIDGE_ENGINE`` sets another default). An engine named here never falls back.
        ``"lme4@4.6.2"``, ``"lme4@/opt/R/4.6.2"`` or :func:`lmerbridge.r`'s value: lme4 in that R.
    weights, offset : str or array (n,), optional
        A column (or an expression in R's words), or values. Weights are precisions, as in lme4.
    subset : str or array, optional
        A condition in R's words (``"Days > 1"``), truth values, or row positions.
    na_action : str
        ``"omit"`` drops rows with a missing value; ``"exclude"`` too, but keeps their places in
        ``fitted()``, ``residuals()``, ``simulate()`` and all else that has a value per row;
        ``"fail"`` raises, and so does ``"pass"``, which keeps what no fit can use. R's
        ``"na.omit"`` is ``"omit"``, and so on.
    contrasts : mapping, optional
        Per factor ``"contr.sum"``, ``"contr.helmert"``, ``"contr.poly"``, ``"contr.treatment"``,
        ``"contr.SAS"``, or a matrix; for the fixed effects only, as in lme4.
    start : sequence of float or mapping, optional
        Starting theta, or what lme4 2 calls par; also as ``{"theta": ...}``, ``{"par": ...}``.
        ``"cold"``: the engine's own start, also for statsmodels, which otherwise
        starts from the native engine's optimum.
    control : Control, optional
        From :func:`lmerbridge.lmerControl`.
    timeout : float, optional
        Seconds after which the fit is given up with a ``FitFailedError``. R is then ended, and
        the next fit starts another; the native engine stops after the evaluation it is at; the
        others refuse.

    Returns
    -------
    Model
        ``print(m)`` and ``print(m.summary())`` show what R shows.

    Raises
    ------
    FormulaError
        The formula is none of lme4's; before any engine runs.
    DataError
        A column is missing, the values cannot be used, or lme4's checks refuse the model; before
        any engine runs.
    ArgumentError
        There is no such argument, or it cannot have this value.
    EngineUnavailableError
        The engine named does not work here, or with ``"auto"`` none does.
    UnsupportedModelError
        The engine named does not fit this model, or with ``"auto"`` none does.
    FitFailedError
        The engine tried and could not fit it, or not within ``timeout``.

    Warns
    -----
    FitMessage
        Rows were left out for missing values: how many, and for which variables.
    FitWarning
        What lme4 would say of the model or of the fit.

    References
    ----------
    Bates, Mächler, Bolker & Walker (2015), Fitting Linear Mixed-Effects Models Using lme4, J. Stat.
    Softw. 67(1).

    Examples
    --------
    >>> import lmerbridge as lb
    >>> m = lb.lmer("Reaction ~ Days + (Days | Subject)", lb.datasets.load("sleepstudy"))
    >>> print(m.fixef().round(3).to_string())
    (Intercept)    251.405
    Days            10.467
    """
    if control is not None and not isinstance(control, Control):
        raise DataError(f"control must come from lmerControl(), not {type(control).__name__}")
    timeout_seconds(timeout)
    prepare(engine)
    call = Call(
        formula,
        data,
        REML=REML,
        engine=engine_name(engine),
        weights=weights,
        offset=offset,
        subset=subset,
        na_action=na_action,
        contrasts=contrasts,
        start=start,
        control=control,
        timeout=timeout,
    )
    return model_of(fit_call(call))


@checked
def from_json(text: str, data: Any = None) -> Model | GeneralizedModel:
    """Read a fitted model from the text of :meth:`Model.to_json`.

    Parameters
    ----------
    text : str
        The JSON document.
    data : frame, optional
        The data it was fitted to; without it, what needs the model frame (``update``,
        ``getME("X")``, ...) is not available.

    Returns
    -------
    Model or GeneralizedModel
        With the result as it was written.

    Raises
    ------
    DataError
        Not such a document, or ``data`` gives another model frame than the one fitted.
    """
    fit = stored(text, data)
    if fit.result.call.generalized:
        from lmerbridge.model.generalized import generalized_of

        return generalized_of(fit)
    return model_of(fit)
