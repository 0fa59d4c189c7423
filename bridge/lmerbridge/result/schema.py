"""``FitResult``: what every engine returns, frozen and versioned."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from lmerbridge.equality import by_value
from lmerbridge.result.on_demand import on_demand

__all__ = [
    "SCHEMA",
    "CallInfo",
    "Criterion",
    "DataInfo",
    "Estimates",
    "Evidence",
    "FitResult",
    "IntArray",
    "Provenance",
    "RandomEffects",
    "Skipped",
]

SCHEMA = "lmerbridge/1"
FloatArray: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
IntArray: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]


@by_value
@dataclass(frozen=True, eq=False)
class CallInfo:
    """What was asked for.

    Attributes
    ----------
    formula : str
        With ``||`` expanded, as lme4 keeps it; ``formula_lines`` is how R prints it.
    written : str
        As the user wrote it.
    data_name, weights, offset, subset : str or None
        The names that ``summary()`` shows.
    contrasts : mapping
        Per factor of the fixed part the name of its contrasts.
    start : tuple of float, optional
        Starting theta, if one was given.
    control : str, optional
        The ``lmerControl(...)`` given, as R would deparse it.
    family, link : str
        ``gaussian`` and ``identity`` for linear mixed models.
    shape : float, optional
        Theta of a negative binomial, with all its digits.
    nAGQ : int
        Of a generalized model the nodes of the quadrature: 1 for Laplace's approximation, 0 with
        the fixed effects among the modes.
    dispersion, information : str
        Of a generalized model, how an estimated dispersion is found (``moment`` or ``ML``), and
        which information the determinant has (``expected`` or ``observed``).
    like : str, optional
        The version of lme4 whose definitions were asked for.
    size_estimated : bool
        Whether ``shape`` was estimated.
    """

    formula: str
    formula_lines: tuple[str, ...]
    written: str
    REML: bool
    data_name: str | None = None
    weights: str | None = None
    offset: str | None = None
    subset: str | None = None
    na_action: str = "omit"
    contrasts: Mapping[str, str] = field(default_factory=dict)
    start: tuple[float, ...] | None = None
    control: str | None = None
    family: str = "gaussian"
    link: str = "identity"
    shape: float | None = None
    nAGQ: int = 1
    dispersion: str = "moment"
    information: str = "expected"
    like: str | None = None
    size_estimated: bool = False

    @property
    def generalized(self) -> bool:
        """Whether it is a generalized model."""
        return (self.family, self.link) != ("gaussian", "identity")


@by_value
@dataclass(frozen=True, eq=False)
class DataInfo:
    """What the model saw of the data.

    Attributes
    ----------
    nobs : int
        Rows used.
    total_rows : int
        Rows given.
    dropped : array of int
        Positions (0-based) of the rows dropped because a value was missing.
    kept : array of int, optional
        Positions of the rows used; ``None`` if all were.
    row_labels : tuple of str, optional
        Labels of the rows used; ``None`` for positions.
    groups : mapping
        Grouping factors, in lme4's order, with their levels.
    columns_dropped : tuple of str
        Columns of X that were linear combinations of others.
    fingerprint : str
        SHA-256 of the model frame; computed when it is first asked for, since of many rows it takes
        as long as a fit.
    """

    nobs: int
    total_rows: int
    dropped: IntArray
    kept: IntArray | None
    row_labels: tuple[str, ...] | None
    groups: Mapping[str, tuple[str, ...]]
    columns_dropped: tuple[str, ...]
    fingerprint: str = on_demand()

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled: the fingerprint itself, and not the frame that it is of."""
        assert isinstance(self.fingerprint, str)
        return vars(self)


@by_value
@dataclass(frozen=True, eq=False)
class RandomEffects:
    """One random-effects term, estimated.

    Attributes
    ----------
    label, group : str
        ``Subject.1`` and its factor ``Subject``.
    names : tuple of str
        The k columns.
    covariance : array (k, k)
    deviations : array (k,)
        Standard deviations, as the engine has them.
    correlation : array (k, k)
        NaN where a standard deviation is 0.
    modes : array (levels, k)
        Conditional modes.
    variances : array (levels, k, k), optional
        Conditional covariance matrices, given theta and beta. Where computing them takes an engine
        long, it does so when they are first asked for (:func:`on_demand`).
    structure : str
        What the covariance matrix is: ``us``, ``diag``, ``cs`` or ``ar1``.
    hom : bool
        Whether all columns have one standard deviation.
    """

    label: str
    group: str
    names: tuple[str, ...]
    covariance: FloatArray
    deviations: FloatArray
    correlation: FloatArray
    modes: FloatArray
    variances: FloatArray | None = on_demand(None)  # noqa: RUF009 - a descriptor
    structure: str = "us"
    hom: bool = False

    @classmethod
    def of_factor(
        cls,
        label: str,
        group: str,
        names: tuple[str, ...],
        factor: FloatArray,
        sigma: float,
        modes: FloatArray,
        variances: FloatArray | None,
        structure: str = "us",
        hom: bool = False,
    ) -> RandomEffects:
        """From the term's block of Lambda (k, k) and sigma."""
        covariance = sigma**2 * factor @ factor.T
        deviations = np.sqrt(np.diag(covariance))
        with np.errstate(divide="ignore", invalid="ignore"):
            correlation = covariance / np.outer(deviations, deviations)
        np.fill_diagonal(correlation, 1.0)
        return cls(
            label,
            group,
            names,
            covariance,
            deviations,
            correlation,
            modes,
            variances,
            structure,
            hom,
        )


@by_value
@dataclass(frozen=True, eq=False)
class Estimates:
    """The engine's own estimates.

    Attributes
    ----------
    names : tuple of str
        Fixed effects, R's names.
    beta : array (p,)
    vcov : array (p, p)
        Covariance matrix of beta, by ``vcov_definition``.
    vcov_definition : str
        ``"conditional"``: (X' V^-1 X)^-1 at the estimated theta, as lme4 has it;
        ``"joint"``: from the inverse of the joint Hessian of beta and the variances.
    other_vcov : mapping
        The same by other definitions that the engine reports.
    theta : array
        Relative covariance factor: of each term the lower triangle of its block of Lambda, by
        columns. Of unstructured terms these are the parameters, in lme4's order.
    sigma : float, optional
        Residual standard deviation; ``None`` in a family without a dispersion parameter, where the
        random effects have the covariance matrix that ``theta`` says.
    random : tuple of RandomEffects
    fitted, residuals : array (n,)
        Conditional on the random effects; response residuals.
    weights : array (n,), optional
        Prior weights.
    par : array, optional
        The covariance parameters where some term is not unstructured: of such a term standard
        deviations relative to sigma and then the correlation, as lme4 has them; ``None`` where
        they are theta.
    """

    names: tuple[str, ...]
    beta: FloatArray
    vcov: FloatArray
    vcov_definition: str
    theta: FloatArray
    sigma: float | None
    random: tuple[RandomEffects, ...]
    fitted: FloatArray
    residuals: FloatArray
    weights: FloatArray | None = None
    other_vcov: Mapping[str, FloatArray] = field(default_factory=dict)
    par: FloatArray | None = None

    @property
    def parameters(self) -> FloatArray:
        """The covariance parameters, as ``start=`` takes them."""
        return self.theta if self.par is None else self.par

    @property
    def scale(self) -> float:
        """What the random effects' standard deviations are relative to: sigma, or 1 without it."""
        return 1.0 if self.sigma is None else self.sigma

    @property
    def theta_scale(self) -> float:
        """What theta is to be multiplied by to give standard deviations of the random effects:
        :attr:`scale`; 1 in a generalized model of the native engine or of lme4 2.0 on, whatever its
        dispersion.
        """
        start = 0
        for term in self.random:
            k = len(term.names)
            L = np.zeros((k, k))
            column, row = np.triu_indices(k)
            L[row, column] = self.theta[start : start + len(row)]
            start += len(row)
            sizes = np.linalg.norm(L, axis=1)
            at = int(np.argmax(sizes))
            if sizes[at] > 0:
                return float(term.deviations[at] / sizes[at])
        return self.scale

    @property
    def relative(self) -> bool:
        """Whether theta is in units of :attr:`scale`."""
        return math.isclose(self.theta_scale, self.scale, rel_tol=1e-6)

    @property
    def deviations(self) -> list[float]:
        """The standard deviations in the order of ``VarCorr()``: of the terms' columns, and sigma
        where the family has it.
        """
        found = [float(d) for term in self.random for d in term.deviations]
        return found if self.sigma is None else [*found, self.sigma]


@by_value
@dataclass(frozen=True, eq=False)
class Criterion:
    """The criterion at the estimates.

    Attributes
    ----------
    kind : str
        ``"REML"`` or ``"ML"``.
    value : float
        REML criterion, or deviance (-2 log-likelihood).
    logLik : float
    parameters : int
        Counted as lme4 counts: fixed effects, theta and sigma.
    AIC, BIC : float
    counts : str
        What AIC and BIC count, in words.
    components : mapping
        Parts of the profiled criterion where the engine reports them (``ldL2``: log
        determinant of the random effects' Cholesky factor; ``ldRX2``; ``pwrss``: penalized
        weighted residual sum of squares).
    """

    kind: str
    value: float
    logLik: float
    parameters: int
    AIC: float
    BIC: float
    df_residual: int
    counts: str = "fixed effects + covariance parameters + sigma; BIC with log(n)"
    components: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Evidence:
    """Why the estimates may be believed.

    Attributes
    ----------
    converged : bool
    singular : bool
        Whether theta is on its boundary (a value below 1e-4 on the diagonal of Lambda).
    gradient_norm : float, optional
        Largest absolute component of the criterion's gradient over theta, as the engine has it.
    optimizer : str
    code : int
        The optimizer's code, 0 if all is well.
    message : str
        The optimizer's message.
    evaluations : int, optional
    optimizer_warnings, messages : tuple of str
        What the optimizer warned of; what the checks of convergence say.
    notes : tuple of str
        What the checks of the design say (columns dropped, scales), and how R ended in a first
        try of this fit.
    """

    converged: bool
    singular: bool
    gradient_norm: float | None
    optimizer: str
    code: int
    message: str
    evaluations: int | None
    optimizer_warnings: tuple[str, ...] = ()
    messages: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Skipped:
    """An engine that ``engine="auto"`` passed over, and why."""

    engine: str
    reason: str


@by_value
@dataclass(frozen=True, eq=False)
class Provenance:
    """Who computed this, with what, where.

    ``engine`` is the name that was asked for: ``"lme4"``, or ``"lme4@4.6.2"`` with an R that was
    named; ``versions`` has R's in either case.
    """

    engine: str
    engine_version: str
    versions: Mapping[str, str]
    platform: str
    blas: str
    seconds: float
    skipped: tuple[Skipped, ...] = ()

    @property
    def package(self) -> str:
        """The engine's name without the R that it was asked in."""
        return self.engine.partition("@")[0]


@by_value
@dataclass(frozen=True, eq=False)
class FitResult:
    """A fitted linear mixed model: all numbers of one engine, frozen.

    Attributes
    ----------
    call : CallInfo
        What was asked for.
    data : DataInfo
        What it was fitted to: rows, groups, levels.
    estimates : Estimates
        Fixed effects, theta, sigma, their covariance matrix, conditional modes, fitted values.
    criterion : Criterion
        The value at the optimum, and what AIC and BIC count.
    evidence : Evidence
        Whether and how the search ended.
    provenance : Provenance
        The engine, all versions, the machine, the time.
    missing : mapping of str to str
        By the name of a quantity, the reason why this engine does not have it; for one that is
        computed on demand, reading the reason computes it.
    schema : str
        The version of this form.
    others : mapping
        What a JSON document holds that this version does not know, by its path.
    """

    call: CallInfo
    data: DataInfo
    estimates: Estimates
    criterion: Criterion
    evidence: Evidence
    provenance: Provenance
    missing: Mapping[str, str] = field(default_factory=dict, hash=False)
    schema: str = SCHEMA
    others: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for part in (self.estimates, *self.estimates.random):
            for value in vars(part).values():
                if isinstance(value, np.ndarray):
                    value.setflags(write=False)
