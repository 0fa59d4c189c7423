"""``lmer``: formula and data to a fitted :class:`Model`; and a Model from JSON."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lmerbridge.arguments import checked, frames
from lmerbridge.design import Control, ModelFrame, build_frame
from lmerbridge.design.table import read_table
from lmerbridge.engines import (
    EngineName,
    Seconds,
    engine_name,
    fit_spec,
    prepare,
    timeout_seconds,
)
from lmerbridge.engines import fit as fit_engine
from lmerbridge.errors import DataError, FitMessage, FitWarning
from lmerbridge.formula import Formula
from lmerbridge.model.model import Model
from lmerbridge.model.names import caller_name
from lmerbridge.result import FitResult
from lmerbridge.result import from_json as result_from_json

__all__ = ["data_name", "fit_frame", "from_json", "lmer"]


def data_name(data: Any, depth: int) -> str:
    """What R would print after ``Data:``: the name that the caller's variable has.

    A name in ``data.attrs["name"]`` wins (data sets of this package have one).
    """
    attributes = getattr(data, "attrs", None)
    if isinstance(attributes, dict) and isinstance(attributes.get("name"), str):
        return str(attributes["name"])
    return caller_name(data, depth + 1) or "data"


def fit_frame(
    frame: ModelFrame,
    REML: bool = True,
    start: Any = None,
    engine: EngineName = "auto",
    timeout: float | None = None,
) -> Model:
    """Fit a model frame, and warn of what lme4 would warn of."""
    spec = fit_spec(frame, REML, start, timeout)
    for note in frame.notes:
        warnings.warn(note.text, FitWarning, stacklevel=frames(3))
    result = fit_engine(frame, spec, engine)
    for text in (*result.evidence.messages, *result.evidence.optimizer_warnings):
        warnings.warn(text, FitWarning, stacklevel=frames(3))
    return Model(result, frame)


def deleted_rows(frame: ModelFrame) -> str:
    """What R's ``summary(lm)`` says of rows with missing values, and which variables miss them."""
    count = len(frame.dropped)
    listed = ", ".join(f"{name} ({rows})" for name, rows in frame.missing)
    rows = "observation" if count == 1 else "observations"
    return f"{count} {rows} deleted due to missingness: {listed}"


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
    _data_name: str | None = None,
    _known: tuple[tuple[str, int], ...] = (),
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

    Raises
    ------
    FormulaError, DataError
        Before any engine runs.
    EngineUnavailableError, UnsupportedModelError, FitFailedError

    Warns
    -----
    FitMessage
        Rows were left out for missing values: how many, and for which variables.
    FitWarning
        What lme4 would say of the model or of the fit.
    """
    if control is not None and not isinstance(control, Control):
        raise DataError(f"control must come from lmerControl(), not {type(control).__name__}")
    timeout_seconds(timeout)
    prepare(engine)
    frame = build_frame(
        formula,
        data,
        weights=weights,
        offset=offset,
        subset=subset,
        na_action=na_action,
        contrasts=contrasts,
        control=control,
        data_name=_data_name if _data_name is not None else data_name(data, 2),
    )
    if frame.missing and frame.missing != _known:  # which a model that is updated has said
        warnings.warn(deleted_rows(frame), FitMessage, stacklevel=frames(2))
    model = fit_frame(frame, REML, start, engine, timeout)
    inputs = {
        "formula": formula,
        "data": data,
        "REML": REML,
        "engine": engine_name(engine),
        "weights": weights,
        "offset": offset,
        "subset": subset,
        "na_action": na_action,
        "contrasts": contrasts,
        "start": start,
        "control": control,
        "timeout": timeout,
    }
    return Model(model.result, frame, inputs)


def _stored_weights(result: FitResult, rows: int) -> pd.Series[float] | None:
    """The prior weights of the rows used, at their places in the data."""
    stored = result.estimates.weights
    if stored is None:
        return None
    kept = result.data.kept
    values = np.full(max(rows, len(stored)), np.nan)
    values[kept if kept is not None else slice(len(stored))] = stored
    return pd.Series(values[:rows], name=result.call.weights)


@checked
def from_json(text: str, data: Any = None) -> Model:
    """A fitted model from :meth:`Model.to_json`'s text.

    Parameters
    ----------
    text : str
    data : frame, optional
        The data it was fitted to; without it, what needs the model frame (``update``,
        ``getME("X")``, ...) is not available.

    Raises
    ------
    DataError
        Not such a document, or ``data`` gives another model frame than the one fitted.
    """
    result = result_from_json(text)
    if data is None:
        return Model(result)
    call = result.call
    weights = _stored_weights(result, read_table(data).rows)
    # what was asked for; the coding of C(f, ...) is in the formula
    contrasts = {k: v for k, v in call.contrasts.items() if k in read_table(data)}
    if "matrix" in contrasts.values():
        raise DataError("a contrast matrix is not kept in JSON: fit again from the data")
    try:
        frame = build_frame(
            call.written,
            data,
            weights=weights,
            offset=call.offset,
            subset=call.subset,
            na_action=call.na_action,
            contrasts=contrasts,
            data_name=call.data_name or "data",
        )
    except DataError as error:
        raise DataError(f"the model frame cannot be built again from this data: {error}") from error
    if frame.fingerprint != result.data.fingerprint:
        raise DataError(
            "this data does not give the model frame that was fitted "
            f"(fingerprint {frame.fingerprint[:12]}, "
            f"fitted {result.data.fingerprint[:12]})"
        )
    inputs = {
        "formula": call.written,
        "data": data,
        "REML": call.REML,
        "engine": result.provenance.engine,
        "weights": weights,
        "offset": call.offset,
        "subset": call.subset,
        "na_action": call.na_action,
        "contrasts": contrasts,
        "start": call.start,
        "control": None,
        "timeout": None,
    }
    return Model(result, frame, inputs)
