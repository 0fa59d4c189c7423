"""Many responses fitted to one model: simulation, bootstrap, power."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lmerbridge.design import ModelFrame, theta_lower
from lmerbridge.equality import by_value
from lmerbridge.solve.objective import Objective
from lmerbridge.solve.optimum import STARTS, minimize
from lmerbridge.solve.settings import SETTINGS, SINGULAR

if TYPE_CHECKING:
    from lmerbridge.likelihood import CrossProducts, Evaluation, Search

__all__ = ["Refits", "refit_many", "refit_products"]

Array = np.ndarray[Any, np.dtype[Any]]

# Numbers of 8 bytes that the responses done at once may take.
ROOM = 4_000_000


@by_value
@dataclass(frozen=True, eq=False)
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


def refit_many(
    frame: ModelFrame,
    responses: Any,
    REML: bool,
    start: Any = None,
    products: CrossProducts | None = None,
) -> Refits:
    """Fit the model of ``frame`` to each column of ``responses``.

    Models with one grouping factor are fitted many at a time; others one after another, from
    the same cross-products.

    Parameters
    ----------
    responses : array (n, B), or another shape of :func:`lmerbridge.design.responses.row_matrix`
    start : array (m,), optional
        Theta to start from, such as that of the model the responses were simulated from.
    products : CrossProducts, optional
        Those of ``frame``, where they are known.

    Raises
    ------
    DataError
        Another number of rows, or a missing or infinite value.
    """
    from lmerbridge.design.responses import row_matrix
    from lmerbridge.likelihood import Search, cross_products

    Y = row_matrix(frame, responses, "the matrix of new responses")
    constant = np.ptp(Y, axis=0) == 0 if len(Y) else np.zeros(Y.shape[1], dtype=bool)
    c = cross_products(frame) if products is None else products
    search = Search(c)
    diagonal = search.bounded
    first = np.where(diagonal, STARTS[0], 0.0)
    if start is not None:
        first = search.of_users(np.asarray(start, dtype=np.float64))
        first = np.where(diagonal, np.maximum(first, 0.05), first)
    fits = _together if len(c.factors) == 1 and search.plain else _one_by_one
    per = max(1, ROOM // (c.ZZ1.size * (c.p + len(diagonal) + 2)))
    parts = [
        fits(frame, c, Y[:, begin : begin + per], REML, first, diagonal)
        for begin in range(0, Y.shape[1], per)
    ] or [(np.empty((0, c.p)), np.empty((0, len(diagonal))), *(np.empty(0),) * 3)]
    beta, x, sigma, criterion, certified = (
        np.concatenate(part) for part in zip(*parts, strict=True)
    )
    x = np.where(diagonal & (x <= SETTINGS.at_floor), 0.0, x)
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
    """The fit to cross-products as they are, from theta ``start``; and whether it is certified."""
    from lmerbridge.likelihood import Search, evaluate

    search = Search(c)
    first = search.of_users(start)
    first = np.where(search.bounded, np.maximum(first, 0.05), first)
    x, certified = _alone(search, REML, first)
    x = search.settled(np.where(search.bounded & (x <= SETTINGS.at_floor), 0.0, x))
    return evaluate(c, search.users(x), REML), certified


def _together(
    frame: ModelFrame, c: CrossProducts, Y: Array, REML: bool, first: Array, diagonal: Array
) -> tuple[Array, Array, Array, Array, Array]:
    from lmerbridge.likelihood import (
        Search,
        derivatives_of_many,
        many_responses,
        solutions_of_many,
    )
    from lmerbridge.solve.many import minimize_many

    many = replace(many_responses(frame, c, Y), shared=c.in_own_units())
    starts = [first, *(np.where(diagonal, height, 0.0) for height in STARTS)]

    def at(which: Array, x: Array, information: bool) -> tuple[Array, Array, Array]:
        return derivatives_of_many(many.at(which), x, REML, information)

    broadcast = [np.broadcast_to(s, (Y.shape[1], len(s))).copy() for s in starts]
    found = minimize_many(at, broadcast, diagonal, SETTINGS)
    x, certified = found.x.copy(), found.certified.copy()
    for i in np.flatnonzero(~certified):
        x[i], certified[i] = _alone(Search(many.one(int(i))), REML, first)
    at_zero = np.where(diagonal & (x <= SETTINGS.at_floor), 0.0, x)
    s = solutions_of_many(many, at_zero, REML)
    return s.beta, x, s.sigma, s.criterion, certified


def _alone(search: Search, REML: bool, first: Array) -> tuple[Array, bool]:
    objective = Objective(search, REML)
    found = minimize(
        objective.value,
        objective.gradient,
        search.bounded,
        SETTINGS,
        first,
        objective.information,
        tuple(search.starts()),
    )
    return found.x, found.certified


def _one_by_one(
    frame: ModelFrame, c: CrossProducts, Y: Array, REML: bool, first: Array, diagonal: Array
) -> tuple[Array, Array, Array, Array, Array]:
    from lmerbridge.likelihood import Search, evaluate

    p, count = c.p, Y.shape[1]
    beta, sigma = np.full((count, p), np.nan), np.full(count, np.nan)
    x, criterion = np.tile(first, (count, 1)), np.full(count, np.inf)
    certified = np.zeros(count, dtype=bool)
    for i in range(count):
        search = Search(c.with_response(frame, Y[:, i]))
        x[i], certified[i] = _alone(search, REML, first)
        settled = search.settled(np.where(diagonal & (x[i] <= SETTINGS.at_floor), 0.0, x[i]))
        found = evaluate(search.products, search.theta(settled), REML)
        if found is not None:
            beta[i], sigma[i], criterion[i] = found.beta, found.sigma, found.criterion
    return beta, x, sigma, criterion, certified
