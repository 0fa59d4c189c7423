"""A model by every optimizer that there is: lme4's ``allFit``."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import pandas as pd

from lmerbridge.design import glmerControl, lmerControl
from lmerbridge.display.table import WholeTable
from lmerbridge.engines import like_lme4, load_engine, refusal, status_of
from lmerbridge.errors import LmerBridgeError
from lmerbridge.inference.fit import Fit
from lmerbridge.model.fitting import native_spec, updated
from lmerbridge.model.progress import progress_bar

__all__ = ["all_fit"]

LME4_OPTIMIZERS = ("bobyqa", "Nelder_Mead", "nlminbwrap", "nloptwrap")


def all_fit(fit: Fit, progress: bool) -> pd.DataFrame:
    """Fit the model by each optimizer of the native engine, and of lme4 where R is: a row each."""
    rows = _native_fits(fit)
    engine = _lme4(fit)
    with progress_bar("allFit", progress) as bar:
        for i, name in enumerate(LME4_OPTIMIZERS if _available(fit, engine) else ()):
            if bar is not None:
                bar(i, len(LME4_OPTIMIZERS))
            make = glmerControl if fit.result.call.generalized else lmerControl
            rows.append(_engine_fit(fit, engine, name, make(optimizer=name)))
    table = WholeTable(rows)
    table.insert(3, "above", table["criterion"] - table["criterion"].min())
    return table


def _lme4(fit: Fit) -> str:
    """The engine's name for lme4: in the R that this model was fitted in, if it was in one."""
    made = fit.result.provenance
    return made.engine if made.package == "lme4" else "lme4"


def _available(fit: Fit, engine: str) -> bool:
    """Whether the engine fits the same model by the same definition."""
    status = status_of(engine)
    if fit.call_given is None or not status.available:
        return False
    family, result = fit.frame.family, fit.result
    spec = native_spec(fit)
    # versions of lme4 have different definitions of an estimated dispersion
    dispersed = family is not None and family.dispersion is None
    if dispersed and engine != "native" and like_lme4(status.version or "") != spec.like:
        return False
    if engine != "native":
        spec = replace(spec, like=result.call.like)
    return refusal(load_engine(engine), fit.frame, spec) is None


def _row(
    fit: Fit, engine: str, optimizer: str, found: Any, seconds: float, **more: Any
) -> dict[str, Any]:
    estimates = fit.result.estimates
    row: dict[str, Any] = {"engine": engine, "optimizer": optimizer, **more, "seconds": seconds}
    names = [f"theta{i + 1}" for i in range(len(estimates.theta))]
    row["sigma"] = found.sigma
    row.update(zip(names, found.theta.tolist(), strict=True))
    row.update(zip(estimates.names, found.beta.tolist(), strict=True))
    return row


def _native_fits(fit: Fit) -> list[dict[str, Any]]:
    if fit.result.call.generalized:
        return [_engine_fit(fit, "native", "Newton", None)] if _available(fit, "native") else []
    from lmerbridge.solve.all_fit import all_fits

    return [
        _row(
            fit,
            "native",
            one.optimizer,
            one.found,
            one.seconds,
            criterion=one.found.criterion,
            converged=one.converged,
            singular=one.singular,
            message=f"{one.evaluations} evaluations",
        )
        for one in all_fits(fit.frame, fit.products, fit.result.call.REML)
    ]


def _engine_fit(fit: Fit, engine: str, optimizer: str, control: Any) -> dict[str, Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            changes: dict[str, Any] = {"engine": engine, "start": None, "control": control}
            if fit.result.call.generalized and engine == "native":
                changes["like"] = native_spec(fit).like
            result = updated(fit, **changes).result
    except LmerBridgeError as error:
        return {"engine": engine, "optimizer": optimizer, "message": str(error)}
    return _row(
        fit,
        engine,
        optimizer,
        result.estimates,
        result.provenance.seconds,
        criterion=result.criterion.value,
        converged=result.evidence.converged,
        singular=result.evidence.singular,
        message="; ".join(result.evidence.messages),
    )
