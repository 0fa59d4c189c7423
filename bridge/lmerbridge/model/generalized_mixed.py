"""``glmer``: formula, data and family to a fitted :class:`GeneralizedModel`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lmerbridge.arguments import checked
from lmerbridge.design import Control
from lmerbridge.design.call import Call
from lmerbridge.engines import EngineName, Seconds, engine_name, prepare, timeout_seconds
from lmerbridge.errors import ArgumentError
from lmerbridge.family import Family, family_of
from lmerbridge.formula import Formula
from lmerbridge.model.fitting import fit_call
from lmerbridge.model.generalized import GeneralizedModel, generalized_of

__all__ = ["glmer"]

MOST_NODES = 100


@checked
def glmer(
    formula: str | Formula,
    data: Any,
    family: str | Family = "binomial",
    nAGQ: int = 1,
    engine: EngineName = "auto",
    weights: Any = None,
    offset: Any = None,
    subset: Any = None,
    na_action: str = "omit",
    contrasts: Mapping[str, Any] | None = None,
    start: Sequence[float] | Mapping[str, Sequence[float]] | None = None,
    control: Control | None = None,
    *,
    timeout: Seconds | None = None,
) -> GeneralizedModel:
    """Fit a generalized linear mixed model, as lme4's ``glmer`` does.

    Parameters
    ----------
    formula : str
        lme4's language: ``"cbind(incidence, size - incidence) ~ period + (1 | herd)"``. The
        response of a binomial is 0 or 1, a truth value, a factor (its first level is failure),
        ``cbind(successes, failures)``, or a proportion with the numbers of trials as weights.
    data : pandas.DataFrame, or any frame that narwhals accepts, or a dict of columns
        Not changed.
    family : str or Family
        As R writes it, ``"poisson"``, ``'binomial(link = "probit")'``,
        ``"negative.binomial(theta = 2)"``; or from :mod:`lmerbridge.families`.
    nAGQ : int
        1: Laplace's approximation; 0: a rougher and faster one, with the fixed effects among the
        conditional modes; more: adaptive Gauss-Hermite quadrature with so many nodes, of models
        with one grouping factor (in lme4 with one random effect a level, in the native engine with
        up to 3).
    engine : str or an R
        As of :func:`lmerbridge.lmer`. The native engine fits families with a known dispersion
        (binomial, Poisson, negative binomial of a given size); lme4 all.
    weights, offset : str or array (n,), optional
        A column (or an expression in R's words), or values. Weights of a binomial are numbers of
        trials.
    subset, na_action, contrasts, timeout
        As of :func:`lmerbridge.lmer`.
    start : sequence of float or mapping, optional
        Starting theta; also as ``{"theta": ...}``.
    control : Control, optional
        From :func:`lmerbridge.glmerControl`.

    Returns
    -------
    GeneralizedModel
        ``print(m)`` and ``print(m.summary())`` show what R shows.

    Raises
    ------
    FormulaError
        The formula is none of lme4's; before any engine runs.
    DataError
        A column is missing, the values cannot be used or are none of the family's, or lme4's checks
        refuse the model; before any engine runs.
    ArgumentError
        There is no such family or link, or another argument cannot have this value.
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
        What R would say of the response, the model or the fit.

    References
    ----------
    Bates, Mächler, Bolker & Walker (2015), J. Stat. Softw. 67(1); Breslow & Clayton (1993), J. Am.
    Stat. Assoc. 88, 9-25 (Laplace's approximation).

    Examples
    --------
    >>> import lmerbridge as lb
    >>> d = lb.datasets.load("sleepstudy")
    >>> m = lb.glmer("I(Reaction > 300) ~ Days + (1 | Subject)", d, engine="native")
    >>> print(m.fixef().round(2).to_string())
    (Intercept)   -3.20
    Days           0.59
    """
    if control is not None and not isinstance(control, Control):
        raise ArgumentError(f"control must come from glmerControl(), not {type(control).__name__}")
    if control is not None and control.given and control.maker != "glmerControl":
        raise ArgumentError(f"glmer() takes control=glmerControl(...), not {control.maker}(...)")
    read = family_of(family)
    if (read.name, read.link.name) == ("gaussian", "identity"):
        raise ArgumentError(
            "the gaussian family with the identity link is a linear mixed model: use lmer()"
        )
    if isinstance(nAGQ, bool) or not 0 <= nAGQ <= MOST_NODES:
        raise ArgumentError(f"nAGQ must be a whole number from 0 to {MOST_NODES}, not {nAGQ!r}")
    timeout_seconds(timeout)
    prepare(engine)
    call = Call(
        formula,
        data,
        REML=False,
        engine=engine_name(engine),
        weights=weights,
        offset=offset,
        subset=subset,
        na_action=na_action,
        contrasts=contrasts,
        start=start,
        control=control,
        timeout=timeout,
        family=read,
        nAGQ=int(nAGQ),
    )
    return generalized_of(fit_call(call))
