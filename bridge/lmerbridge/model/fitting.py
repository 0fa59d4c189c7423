"""Calls to fits, and fits to further ones: what ``lmer``, ``update``, ``refit``, ``refitML`` do."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lmerbridge.design import ModelFrame
from lmerbridge.design.call import Call
from lmerbridge.design.table import read_table
from lmerbridge.engines import FitSpec, fit_spec, like_lme4, load_engine, refusal
from lmerbridge.engines import fit as fit_engine
from lmerbridge.errors import DataError, FitWarning, LmerBridgeError, UnsupportedModelError
from lmerbridge.formula import update_formula
from lmerbridge.inference.fit import Fit
from lmerbridge.messages import from_outside, tell
from lmerbridge.model.names import data_name
from lmerbridge.result import FitResult
from lmerbridge.result import from_json as result_from_json

if TYPE_CHECKING:
    from lmerbridge.solve.refits import Refits

__all__ = [
    "by_maximum_likelihood",
    "check_native",
    "family_refits",
    "fit_call",
    "in_r",
    "native_spec",
    "native_without",
    "natively",
    "of_formula",
    "refitted",
    "refitted_many",
    "same_rows",
    "stored",
    "updated",
]


def _fit_frame(frame: ModelFrame, call: Call) -> FitResult:
    """Fit a model frame as ``call`` says, and warn of what lme4 would warn of."""
    spec = fit_spec(
        frame,
        call.REML,
        call.start,
        call.timeout,
        call.nAGQ,
        dispersion=call.dispersion,
        information=call.information,
        like=call.like,
        size_estimated=call.size_estimated,
    )
    for note in frame.asked.notes:
        warnings.warn(note.text, FitWarning, stacklevel=from_outside())
    result = fit_engine(frame, spec, call.engine)
    for text in (*result.evidence.messages, *result.evidence.optimizer_warnings):
        text = text.replace("help('isSingular')", "help(m.isSingular)")  # R's would find nothing
        warnings.warn(text, FitWarning, stacklevel=from_outside())
    return result


def _deleted_rows(frame: ModelFrame) -> str:
    """What R's ``summary(lm)`` says of rows with missing values, and which variables miss them."""
    count = len(frame.source.dropped)
    listed = ", ".join(f"{name} ({rows})" for name, rows in frame.source.missing)
    rows = "observation" if count == 1 else "observations"
    return f"{count} {rows} deleted due to missingness: {listed}"


def fit_call(call: Call, name: str | None = None, known: tuple[tuple[str, int], ...] = ()) -> Fit:
    """Make the model frame of a call, and fit it.

    Parameters
    ----------
    name : str, optional
        Of the data, for what is printed; default the caller's variable that holds them.
    known : tuple of (str, int)
        Variables and how many of their values are missing, of which a message need not say again.

    Warns
    -----
    FitMessage
        Rows were left out for missing values.
    FitWarning
        What lme4 would say of the model or of the fit.
    """
    frame = call.frame(data_name(call.data) if name is None else name)
    if frame.source.missing and frame.source.missing != known:
        tell(_deleted_rows(frame))
    return _fit_of(frame, call)


def _fit_of(frame: ModelFrame, call: Call) -> Fit:
    """The fit of a frame, whose family has the size that was estimated."""
    result = _fit_frame(frame, call)
    if call.size_estimated:
        from lmerbridge.inference.family_residuals import fitted_family

        frame = replace(frame, asked=replace(frame.asked, family=fitted_family(result)))
    return Fit(result, frame, call)


def updated(fit: Fit, formula: str | None = None, **changes: Any) -> Fit:
    """Fit again with something changed; ``formula`` is a change of the model's own, in which ``.``
    is what was there.

    Raises
    ------
    ArgumentError
        ``changes`` name what is no argument of ``lmer``.
    """
    call = fit.call
    if formula is not None:
        call = replace(call, formula=update_formula(fit.frame.formula, formula))
    return _again(fit, call.changed(**changes), "data" in changes)


def of_formula(fit: Fit, formula: str, **changes: Any) -> Fit:
    """Fit the model of another formula, complete as it is, on the same data."""
    return _again(fit, fit.call.changed(**changes, formula=formula), "data" in changes)


def _again(fit: Fit, call: Call, other_data: bool) -> Fit:
    name = None if other_data else fit.result.call.data_name
    return fit_call(call, name, fit.frame.source.missing)


def same_rows(fit: Fit) -> dict[str, Any]:
    """Return the arguments that keep a further fit to the rows of this one."""
    frame = fit.frame
    return {} if frame.nobs == frame.source.total_rows else {"subset": frame.source.kept}


def refitted(fit: Fit, newresp: Any = None, newweights: Any = None) -> Fit:
    """Fit the same model to another response, or with other prior weights.

    Raises
    ------
    DataError
        Not numbers, another number of rows, or a missing value in a row that is used.
    """
    call = fit.call
    frame = fit.frame if newresp is None else fit.frame.with_response(newresp)
    if newweights is not None:
        frame = frame.with_weights(newweights)
    return _fit_of(frame, call)


def by_maximum_likelihood(fit: Fit) -> Fit:
    """Fit a REML model by maximum likelihood; one that is by it stays as it is.

    lme4 does so as R's ``refitML``: by bobyqa, from theta of the REML fit.
    """
    if not fit.result.call.REML:
        return fit
    call = replace(fit.call, REML=False)
    frame, start = fit.frame, call.start
    if fit.result.provenance.package == "lme4":
        start = fit.result.estimates.parameters
        given = {**dict(frame.asked.control.given), "optimizer": "bobyqa"}
        given.pop("optCtrl", None)  # of the other optimizer
        control = replace(frame.asked.control, given=tuple(given.items()))
        frame = replace(frame, asked=replace(frame.asked, control=control))
    result = _fit_frame(frame, replace(call, start=start))
    return Fit(replace(result, call=replace(fit.result.call, REML=False)), frame, call)


def natively(fit: Fit, y: Any) -> Fit:
    """Fit the same model to another response (n,) by the native engine, without warnings."""
    frame = fit.frame.with_response(y)
    return Fit(_native(fit, frame), frame, fit.call_given)


def _native(fit: Fit, frame: ModelFrame) -> FitResult:
    start = tuple(fit.result.estimates.parameters.tolist())
    return load_engine("native").fit(frame, replace(native_spec(fit), start=start))


def native_spec(fit: Fit) -> FitSpec:
    """Return how the native engine is asked for the same definitions as this fit's: those of the
    lme4 that fitted.
    """
    call, made = fit.result.call, fit.result.provenance
    like = like_lme4(made.engine_version) if made.package == "lme4" else call.like
    return FitSpec(
        call.REML,
        nAGQ=call.nAGQ,
        dispersion=call.dispersion,
        information=call.information,
        like=like,
        size_estimated=call.size_estimated,
    )


def check_native(fit: Fit, what: str) -> None:
    """Refuse what needs further fits by the native engine of a model that it does not fit.

    Raises
    ------
    UnsupportedModelError
    """
    why = refusal(load_engine("native"), fit.frame, native_spec(fit))
    if why is not None:
        raise UnsupportedModelError(f"{what} fits again by the native engine ({why})")


def native_without(fit: Fit, rows: Any) -> tuple[Any, Any, Any, float]:
    """Fit a generalized model by the native engine without some rows (indices): they have weight 0.

    Returns
    -------
    tuple
        The fixed effects (p,), their standard errors (p,), theta (m,) and the scale.
    """
    frame = fit.frame
    weights = np.ones(frame.nobs) if frame.weights is None else frame.weights.copy()
    weights[rows] = 0.0
    found = _native(fit, replace(frame, rows=replace(frame.rows, weights=weights))).estimates
    return found.beta, np.sqrt(np.diag(found.vcov)), found.theta, found.scale


def refitted_many(fit: Fit, responses: Any) -> Refits:
    """Fit the same model to many responses; arguments as of :meth:`lmerbridge.Model.refit_many`."""
    from lmerbridge.design.responses import row_matrix
    from lmerbridge.solve.refits import refit_many

    if fit.result.call.generalized:
        check_native(fit, "refit_many()")
        new = row_matrix(fit.frame.source, responses, "the matrix of new responses")
        return family_refits(fit, new)
    call = fit.call  # a model without its data is refused
    spec = fit_spec(fit.frame, fit.result.call.REML, call.start)
    return refit_many(fit.frame, responses, spec.REML, spec.start, fit.products)


def family_refits(fit: Fit, Y: Any) -> Refits:
    """Fit a generalized model to each of many responses (n, B) by the native engine; NaN where it
    cannot be.
    """
    from lmerbridge.solve.refits import Refits

    own = fit.result.estimates
    count = Y.shape[1]
    beta, theta = np.full((count, len(own.beta)), np.nan), np.full((count, len(own.theta)), np.nan)
    sigma, criterion = np.full(count, np.nan), np.full(count, np.nan)
    converged, singular = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
    for i, y in enumerate(Y.T):
        try:
            found = natively(fit, y).result
        except (LmerBridgeError, ArithmeticError, ValueError):  # one must not end the others
            continue
        beta[i], theta[i] = found.estimates.beta, found.estimates.theta
        sigma[i], criterion[i] = found.estimates.scale, found.criterion.value
        converged[i], singular[i] = found.evidence.converged, bool(found.evidence.singular)
    return Refits(own.names, beta, theta, sigma, criterion, converged, singular)


def in_r(fit: Fit) -> Any:
    """Return the model as an object in R; errors as of :attr:`lmerbridge.Model.r_object`."""
    from lmerbridge.engines.lme4 import r_object

    result, engine = fit.result, fit.result.provenance.engine
    of_its_own = result.provenance.package != engine
    r = getattr(load_engine(engine), "r", None) if of_its_own else None
    return r_object(fit.frame, FitSpec(result.call.REML, result.call.start), r)


def _stored_weights(result: FitResult, rows: int) -> pd.Series[float] | None:
    """The prior weights of the rows used, at their places in the data."""
    stored = result.estimates.weights
    if stored is None or result.call.weights is None:  # numbers of trials are no weights given
        return None
    kept = result.data.kept
    values = np.full(max(rows, len(stored)), np.nan)
    values[kept if kept is not None else slice(len(stored))] = stored
    return pd.Series(values[:rows], name=result.call.weights)


def stored(text: str, data: Any = None) -> Fit:
    """Read a fit from the text of its JSON, and make its model frame again from ``data``.

    Raises
    ------
    DataError
        Not such a document, or ``data`` gives another model frame than the one fitted.
    """
    result = result_from_json(text)
    if data is None:
        return Fit(result)
    from lmerbridge.inference.family_residuals import fitted_family

    asked = result.call
    table = read_table(data)
    # what was asked for; the coding of C(f, ...) is in the formula
    contrasts = {k: v for k, v in asked.contrasts.items() if k in table}
    if "matrix" in contrasts.values():
        raise DataError("a contrast matrix is not kept in JSON: fit again from the data")
    call = Call(
        asked.written,
        data,
        REML=asked.REML,
        engine=result.provenance.engine,
        weights=_stored_weights(result, table.rows),
        offset=asked.offset,
        subset=asked.subset,
        na_action=asked.na_action,
        contrasts=contrasts,
        start=asked.start,
        family=None if not asked.generalized else fitted_family(result),
        nAGQ=asked.nAGQ,
        dispersion=asked.dispersion,
        information=asked.information,
        like=asked.like,
        size_estimated=asked.size_estimated,
    )
    try:
        frame = call.frame(asked.data_name or "data")
    except DataError as error:
        raise DataError(f"the model frame cannot be built again from this data: {error}") from error
    if frame.fingerprint != result.data.fingerprint:
        raise DataError(
            "this data does not give the model frame that was fitted "
            f"(fingerprint {frame.fingerprint[:12]}, "
            f"fitted {result.data.fingerprint[:12]})"
        )
    return Fit(result, frame, call)
