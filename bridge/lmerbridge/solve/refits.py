"""Many responses fitted to one model: simulation, bootstrap, power."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lmerbridge.design import ModelFrame, theta_lower
from lmerbridge.equality import by_value
from lmerbridge.shown import shown, titled_table
from lmerbridge.solve.objective import given_start, minimum
from lmerbridge.solve.settings import SETTINGS, SINGULAR
from lmerbridge.solve.steps import floor_as_zero

if TYPE_CHECKING:
    from lmerbridge.likelihood import CrossProducts, Evaluation, Search

__all__ = ["Refits", "refit_many", "refit_products"]

Array = np.ndarray[Any, np.dtype[Any]]

# Numbers of 8 bytes that the responses done at once may take.
MAX_BATCH_NUMBERS = 4_000_000


@by_value
@dataclass(frozen=True, eq=False)
@shown
class Refits:
    """One model fitted to B responses.

    Attributes
    ----------
    names : tuple of str
        Of the fixed effects.
    beta : array (B, p); theta : array (B, m); sigma, criterion : array (B,)
        NaN where a response could not be fitted, such as a constant one.
    converged, singular : array of bool (B,)
    """

    names: tuple[str, ...]
    beta: Array
    theta: Array
    sigma: Array
    criterion: Array
    converged: Array
    singular: Array

    def __len__(self) -> int:
        return len(self.sigma)

    def __str__(self) -> str:
        import pandas as pd

        table = pd.DataFrame(self.beta, columns=list(self.names))
        for j in range(self.theta.shape[1]):
            table[f"theta{j + 1}"] = self.theta[:, j]
        table = table.assign(sigma=self.sigma, criterion=self.criterion)
        return titled_table(
            f"{len(self)} refit{'s' * (len(self) != 1)}: {int(self.converged.sum())} converged, "
            f"{int(self.singular.sum())} singular",
            table,
            "beta, theta, sigma, criterion, converged, singular",
        )


def refit_many(
    frame: ModelFrame,
    responses: Any,
    REML: bool,
    start: Any = None,
    products: CrossProducts | None = None,
) -> Refits:
    """Fit the model of ``frame`` to each column of ``responses``.

    Models with one grouping factor are fitted many at a time; others one after another, from
    the same cross-products. Each response has the optimum that the native engine finds for it alone
    from the same start.

    Parameters
    ----------
    responses : array (n, B), or another shape of :func:`lmerbridge.design.responses.row_matrix`
    start : array (m,), optional
        Parameters of the covariance matrices to start from, such as those of the model that the
        responses were simulated from; default the engine's own start for each.
    products : CrossProducts, optional
        Those of ``frame``, where they are known.

    Raises
    ------
    DataError
        Another number of rows, or a missing or infinite value.
    """
    from lmerbridge.design.responses import row_matrix
    from lmerbridge.likelihood import Search, cross_products

    Y = row_matrix(frame.source, responses, "the matrix of new responses")
    constant = np.ptp(Y, axis=0) == 0 if len(Y) else np.zeros(Y.shape[1], dtype=bool)
    c = cross_products(frame) if products is None else products
    search = Search(c)
    diagonal = search.bounded
    first = None if start is None else given_start(search, start)
    fits = _together if len(c.factors) == 1 and search.plain else _one_by_one
    per = max(1, MAX_BATCH_NUMBERS // (c.ZZ1.size * (c.p + len(diagonal) + 2)))
    parts = [
        fits(frame, c, Y[:, begin : begin + per], REML, first, diagonal)
        for begin in range(0, Y.shape[1], per)
    ] or [(np.empty((0, c.p)), np.empty((0, len(diagonal))), *(np.empty(0),) * 3)]
    beta, x, sigma, criterion, certified = (
        np.concatenate(part) for part in zip(*parts, strict=True)
    )
    x = floor_as_zero(x, diagonal, SETTINGS)
    lower = theta_lower([term.size for term in c.terms]) == 0
    theta = np.array([search.users(search.settled(t)) for t in x]).reshape(len(x), len(lower))
    failed = ~np.isfinite(criterion) | constant
    for values in (beta, theta, sigma, criterion):
        values[failed] = np.nan
    singular = np.any(theta[:, lower] < SINGULAR, axis=1)
    return Refits(
        frame.x_names, beta, theta, sigma, criterion, certified.astype(bool) & ~failed, singular
    )


def refit_products(c: CrossProducts, REML: bool, start: Array) -> tuple[Evaluation | None, bool]:
    """The fit to cross-products as they are, from the parameters ``start`` of covariance matrices;
    and whether it is certified.
    """
    from lmerbridge.likelihood import Search, evaluate

    search = Search(c)
    _, optimum = minimum(search, REML, given_start(search, start))
    x = floor_as_zero(optimum.x, search.bounded, SETTINGS)
    return evaluate(c, search.users(search.settled(x)), REML), optimum.certified


def _together(
    frame: ModelFrame, c: CrossProducts, Y: Array, REML: bool, first: Array | None, diagonal: Array
) -> tuple[Array, Array, Array, Array, Array]:
    from lmerbridge.likelihood import (
        Search,
        criteria_without_effects,
        cross_products,
        derivatives_of_many,
        many_responses,
        solutions_of_many,
    )
    from lmerbridge.solve.many import minimize_many

    many = replace(many_responses(frame, c, Y), shared=c.in_own_units())

    def at(which: Array, x: Array, information: bool) -> tuple[Array, Array, Array]:
        return derivatives_of_many(many.at(which), x, REML, information)

    given = np.full((len(many), len(diagonal)), np.nan)
    further = () if first is not None else tuple(Search(c).wide_starts())
    if first is not None:
        given[:] = first
    elif (compact := Search(c).compact) is not None:
        for i in range(len(many)):
            moments = compact.start_of(many.Zr[i].T, float(many.rr[i]), REML)
            given[i] = np.nan if moments is None else moments
    found = minimize_many(at, given, diagonal, SETTINGS, further)
    x, certified = found.x.copy(), found.certified.copy()
    s = solutions_of_many(many, floor_as_zero(x, diagonal, SETTINGS), REML)
    beta, sigma, criterion = s.beta.copy(), s.sigma.copy(), s.criterion.copy()
    certified &= criterion <= criteria_without_effects(many, REML) + SETTINGS.tolerance
    for i in np.flatnonzero(~certified).tolist():  # from what the engine would have, to the digit
        rows = replace(frame.rows, y=Y[:, i].copy())
        own = Search(cross_products(replace(frame, rows=rows), c.layout))
        beta[i], x[i], sigma[i], criterion[i], certified[i] = _alone(own, REML, first)
    return beta, x, sigma, criterion, certified


def _alone(
    search: Search, REML: bool, first: Array | None
) -> tuple[Array | float, Array, float, float, bool]:
    objective, optimum = minimum(search, REML, first)
    x = floor_as_zero(optimum.x, search.bounded, SETTINGS)
    found = objective.evaluation(search.settled(x))
    if found is None:
        return np.nan, optimum.x, np.nan, np.inf, optimum.certified
    return found.beta, optimum.x, found.sigma, found.criterion, optimum.certified


def _one_by_one(
    frame: ModelFrame, c: CrossProducts, Y: Array, REML: bool, first: Array | None, diagonal: Array
) -> tuple[Array, Array, Array, Array, Array]:
    from lmerbridge.likelihood import Search

    count = Y.shape[1]
    beta, x = np.empty((count, c.p)), np.empty((count, len(diagonal)))
    sigma, criterion, certified = np.empty(count), np.empty(count), np.empty(count, dtype=bool)
    for i in range(count):
        own = Search(c.with_response(frame, Y[:, i]))
        beta[i], x[i], sigma[i], criterion[i], certified[i] = _alone(own, REML, first)
    return beta, x, sigma, criterion, certified
