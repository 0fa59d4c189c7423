"""``glmer`` and ``glmer_nb``: formula, data and family to a fitted :class:`GeneralizedModel`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lmerbridge.arguments import checked
from lmerbridge.design import Control
from lmerbridge.design.call import Call
from lmerbridge.engines import EngineName, Seconds, engine_name, prepare, timeout_seconds
from lmerbridge.errors import ArgumentError, matched
from lmerbridge.family import Family, family_of
from lmerbridge.family.families import negative_binomial
from lmerbridge.formula import Formula
from lmerbridge.model.fitting import fit_call
from lmerbridge.model.generalized import GeneralizedModel, generalized_of

__all__ = ["glmer", "glmer_nb"]

MOST_NODES = 100
DISPERSIONS = ("moment", "ML")
INFORMATIONS = ("expected", "observed")
VERSIONS = ("1.1",)


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
    dispersion: str = "moment",
    information: str = "expected",
    like: str | None = None,
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
        conditional modes; more: adaptive Gauss-Hermite quadrature with so many nodes, in lme4 of
        models with one random effect a level of one grouping factor, in the native engine with up
        to 3, and of nested factors, with up to 4 along them.
    engine : str or an R
        As of :func:`lmerbridge.lmer`.
    weights, offset : str or array (n,), optional
        A column (or an expression in R's words), or values. Weights of a binomial are numbers of
        trials.
    subset, na_action, contrasts, timeout
        As of :func:`lmerbridge.lmer`.
    start : sequence of float or mapping, optional
        Starting theta; also as ``{"theta": ...}``.
    control : Control, optional
        From :func:`lmerbridge.glmerControl`.
    dispersion : {"moment", "ML"}
        How the native engine estimates the dispersion of a gamma, inverse Gaussian or normal: as
        lme4 2.1, from the deviance at the modes, or by maximum likelihood, as glmmTMB.
    information : {"expected", "observed"}
        Which information the determinant of Laplace's approximation has: that of lme4, or that of
        glmmTMB. They are the same for canonical links.
    like : {"1.1"}, optional
        For the native engine to give the numbers of lme4 up to 1.1, to check old results: modes
        with a dispersion of 1; with ``nAGQ > 1`` a log-likelihood without its constants.

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
    read = family_of(family)
    if (read.name, read.link.name) == ("gaussian", "identity"):
        raise ArgumentError(
            "the gaussian family with the identity link is a linear mixed model: use lmer()"
        )
    return _fitted(
        read,
        engine,
        formula=formula,
        data=data,
        weights=weights,
        offset=offset,
        subset=subset,
        na_action=na_action,
        contrasts=contrasts,
        start=start,
        control=control,
        timeout=timeout,
        nAGQ=nAGQ,
        dispersion=matched(dispersion, DISPERSIONS, "dispersion"),
        information=matched(information, INFORMATIONS, "information"),
        like=None if like is None else matched(like, VERSIONS, "like"),
    )


@checked
def glmer_nb(
    formula: str | Formula,
    data: Any,
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
    link: str = "log",
    information: str = "expected",
    timeout: Seconds | None = None,
) -> GeneralizedModel:
    """Fit a negative binomial mixed model with its size estimated, as lme4's ``glmer.nb`` does.

    The size is theta of V(mu) = mu + mu^2 / theta, ``getME("glmer.nb.theta")`` of the model. The
    native engine maximizes over it together with all else; lme4 fits again and again.

    Parameters
    ----------
    formula, data, engine, weights, offset, subset, na_action, contrasts, start, control, timeout
        As of :func:`glmer`.
    nAGQ : int
        As of :func:`glmer`.
    link : {"log", "sqrt", "identity"}
        In lme4 the log alone.
    information : {"expected", "observed"}
        As of :func:`glmer`.

    Returns
    -------
    GeneralizedModel
        Standard errors take the size as given, as lme4's do.

    Raises
    ------
    FormulaError, DataError, ArgumentError, EngineUnavailableError, UnsupportedModelError
        As of :func:`glmer`.
    FitFailedError
        The engine tried and could not fit it, or not within ``timeout``.

    Warns
    -----
    FitWarning
        As of :func:`glmer`; and where the counts vary no more than Poisson counts do, so that the
        size has no finite estimate.

    Examples
    --------
    >>> import lmerbridge as lb
    >>> d = lb.datasets.load("grouseticks")
    >>> m = lb.glmer_nb("TICKS ~ cHEIGHT + (1 | BROOD)", d, engine="native")
    >>> round(m.getME("glmer.nb.theta"), 2)
    3.27
    """
    return _fitted(
        negative_binomial(1.0, link),
        engine,
        formula=formula,
        data=data,
        weights=weights,
        offset=offset,
        subset=subset,
        na_action=na_action,
        contrasts=contrasts,
        start=start,
        control=control,
        timeout=timeout,
        nAGQ=nAGQ,
        information=matched(information, INFORMATIONS, "information"),
        size_estimated=True,
    )


def _fitted(family: Family, engine: EngineName, **arguments: Any) -> GeneralizedModel:
    """The model of a call, once its arguments are what they must be.

    Raises
    ------
    ArgumentError
        A control that is none of ``glmer``'s, or a number of nodes that cannot be.
    """
    control, nAGQ = arguments["control"], arguments["nAGQ"]
    if control is not None and not isinstance(control, Control):
        raise ArgumentError(f"control must come from glmerControl(), not {type(control).__name__}")
    if control is not None and control.given and control.maker != "glmerControl":
        raise ArgumentError(f"glmer() takes control=glmerControl(...), not {control.maker}(...)")
    if isinstance(nAGQ, bool) or not 0 <= nAGQ <= MOST_NODES:
        raise ArgumentError(f"nAGQ must be a whole number from 0 to {MOST_NODES}, not {nAGQ!r}")
    timeout_seconds(arguments["timeout"])
    prepare(engine)
    asked = {**arguments, "nAGQ": int(nAGQ)}
    call = Call(REML=False, engine=engine_name(engine), family=family, **asked)
    return generalized_of(fit_call(call))
