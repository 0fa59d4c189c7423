"""How far the approximation of a generalized model's likelihood is from the likelihood itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd

from lmerbridge.design import templates
from lmerbridge.equality import by_value
from lmerbridge.errors import FitFailedError, UnsupportedModelError
from lmerbridge.inference.family_residuals import fitted_family
from lmerbridge.inference.fit import Fit
from lmerbridge.shown import shown

if TYPE_CHECKING:
    from lmerbridge.likelihood.laplace import Problem

__all__ = ["ModelApproximation", "approximation"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
TRUSTED = 0.7  # of Pareto's k, above which a standard error is not to be trusted
ROUNDING = 1e-8  # what a log-likelihood is known to at best
SMALL = 0.1  # of a standard error, and of a standard deviation: what is worth a word


@shown
@by_value
@dataclass(frozen=True, eq=False, repr=False)
class ModelApproximation:
    """The likelihood that a model maximizes, and the one that it approximates.

    Attributes
    ----------
    nAGQ : int
        Of the fit: 1 for Laplace's approximation.
    approximate, exact : float
        The log-likelihoods at the fit's estimates.
    error : float
        Of ``exact``: by quadrature the change from the order before, by importance sampling the
        standard error.
    method : str
        ``"quadrature"`` or ``"importance sampling"``.
    nodes : int
        Nodes a dimension, or draws.
    effective, tail : float or None
        Of the draws, the effective sample size, and the shape of the weights' tail (Pareto's k):
        above 0.7 ``error`` is not to be trusted (Vehtari et al. 2024, JMLR 25(72)).
    estimates : DataFrame or None
        A row per fixed effect and standard deviation of the random effects, with ``fitted``,
        ``exact`` (where the likelihood itself is largest), ``std_error`` (of the exact fit's fixed
        effects) and ``shift``: fitted less exact, in standard errors, of a standard deviation as a
        part of the exact one. Where the likelihood is sampled, ``sampling`` is the standard error
        of ``exact`` by that.
    why_not : str
        Why there are no ``estimates``.
    """

    nAGQ: int
    approximate: float
    exact: float
    error: float
    method: str
    nodes: int
    effective: float | None
    tail: float | None
    estimates: pd.DataFrame | None
    why_not: str = ""

    @property
    def difference(self) -> float:
        """The approximate log-likelihood less the exact one."""
        return self.approximate - self.exact

    @property
    def matters(self) -> bool:
        """Whether an estimate is off by more than a tenth of its standard error, or of a standard
        deviation; without ``estimates``, whether the log-likelihood is by more than 0.1.
        """
        if self.estimates is None:
            return abs(self.difference) > SMALL + 2 * self.error
        return bool((self.estimates["shift"].abs() > SMALL).any())

    def __str__(self) -> str:
        named = "Laplace's approximation" if self.nAGQ == 1 else f"quadrature, nAGQ = {self.nAGQ}"
        what = "draws" if self.effective is not None else "nodes a dimension"
        lines = [
            f"log-likelihood by {named}: {self.approximate:.6f}",
            f"the likelihood itself: {self.exact:.6f}"
            f" ({self.method}, {self.nodes} {what}, error {max(self.error, ROUNDING):.1g})",
            f"difference: {self.difference:.2g}",
        ]
        if self.tail is not None and self.effective is not None:
            told = "" if self.tail <= TRUSTED else ": take more draws, this error misleads"
            lines.append(
                f"effective draws {self.effective:.0f}, tail of the weights {self.tail:.2f}{told}"
            )
        if self.estimates is None:
            lines.append(f"no exact estimates: {self.why_not}")
        else:
            lines += ["", self.estimates.to_string(float_format="{:.4g}".format, na_rep=""), ""]
            lines.append(
                "the approximation moves some estimates (shift): a larger nAGQ is needed"
                if self.matters
                else "no estimate is moved by more than a tenth of its standard error"
            )
        return "\n".join(lines)


def approximation(fit: Fit, estimates: bool, draws: int, seed: int) -> ModelApproximation:
    """Compare; arguments as of :meth:`lmerbridge.GeneralizedModel.approximation`."""
    from lmerbridge.likelihood.exact import exact_at
    from lmerbridge.likelihood.laplace import Problem
    from lmerbridge.likelihood.quadrature import quadrature
    from lmerbridge.likelihood.search import Coordinates

    result, frame = fit.result, fit.frame
    family = fitted_family(result)
    problem = Problem.of(frame, family)
    if family.dispersion is None:
        problem = problem.of_dispersion(result.estimates.scale**2)
    coordinates = Coordinates(problem.effects.layout)
    own = result.estimates.theta_scale * result.estimates.theta
    theta = coordinates.theta(coordinates.of_users(own))
    beta = problem.R @ result.estimates.beta
    nodes = max(1, result.call.nAGQ)
    point = problem.at(theta, beta)
    if point is None:
        raise FitFailedError("the conditional modes cannot be found at the fit's estimates")
    approximate = quadrature(point, nodes).criterion
    exact = exact_at(point, draws=draws, seed=seed)
    found = ModelApproximation(
        result.call.nAGQ,
        -0.5 * approximate,
        -0.5 * exact.value,
        0.5 * exact.error,
        exact.method,
        exact.nodes,
        exact.effective,
        exact.tail,
        None,
        "they were not asked for",
    )
    if not estimates:
        return found
    try:
        if exact.tail is not None and exact.tail > TRUSTED:
            raise FitFailedError("the weights of the draws have too heavy a tail; take more draws")
        sampled = draws if exact.tail is not None else None
        return replace(found, estimates=_estimates(fit, problem, sampled, seed), why_not="")
    except (UnsupportedModelError, FitFailedError) as error:
        return replace(found, why_not=str(error))


def _estimates(fit: Fit, problem: Problem, draws: int | None, seed: int) -> pd.DataFrame:
    """The fit's estimates beside those that maximize the likelihood itself.

    Raises
    ------
    UnsupportedModelError, FitFailedError
        They cannot be found.
    """
    from lmerbridge.likelihood.search import Coordinates
    from lmerbridge.solve.exact_estimates import exact_estimates
    from lmerbridge.solve.sampled_estimates import sampled_estimates

    own, terms = fit.result.estimates, fit.result.estimates.random
    coordinates = Coordinates(problem.effects.layout)
    start = coordinates.of_users(own.theta_scale * own.theta)
    p, into = len(own.beta), np.linalg.inv(problem.R)

    def users(x: Array) -> Array:
        """The fixed effects, and the standard deviations, at coordinates and beta."""
        x, beta = x[: len(x) - p], x[len(x) - p :]
        factors = templates(coordinates.users(x), [len(term.names) for term in terms])
        return np.concatenate([into @ beta, *(np.linalg.norm(L, axis=1) for L in factors)])

    columns = {}
    if draws is None:
        best = exact_estimates(problem, start)
        exact = users(np.append(best.fit.x, best.fit.point.beta))
        beta_errors = best.errors[len(best.errors) - p :]
    else:
        found = sampled_estimates(problem, draws, seed, start)
        at = np.append(found.x, found.beta)
        exact = users(at)
        steps = 1e-5 * np.eye(len(at))
        slope = np.column_stack([users(at + h) - users(at - h) for h in steps]) / 2e-5
        beta_errors = np.sqrt(np.diag(slope @ found.covariance @ slope.T))[:p]
        columns["sampling"] = np.sqrt(np.diag(slope @ found.sampling @ slope.T))
    deviations = exact[p:]
    fitted = np.concatenate([own.beta, *(term.deviations for term in terms)])
    errors = np.append(beta_errors, np.full(len(deviations), np.nan))
    unit = np.append(errors[:p], np.where(deviations > 0, deviations, np.nan))
    names = [*own.names, *(f"sd_{name}|{term.group}" for term in terms for name in term.names)]
    return pd.DataFrame(
        {
            "fitted": fitted,
            "exact": exact,
            **columns,
            "std_error": errors,
            "shift": (fitted - exact) / unit,
        },
        index=names,
    )
