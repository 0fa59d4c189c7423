"""Results brought to the scale of the response once and for all: R's ``regrid``.

Afterwards averages and differences are of responses, not of their transforms; their covariance
matrix is that of the delta method, and their degrees of freedom are those of the least certain row
that enters (``emmeans``, ``?regrid``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from lmerbridge.equality import by_value
from lmerbridge.errors import DataError, matched
from lmerbridge.inference.degrees import FTest
from lmerbridge.inference.linear_functions import Grid
from lmerbridge.inference.links import LINKS, Link, bias_adjusted
from lmerbridge.inference.means import NO_SIGMA
from lmerbridge.inference.reference_grid import ReferenceGrid

__all__ = ["Inherited", "regridded", "regridded_reference"]

TRANSFORMS = ("response", "mu", "unlink", "log", "log2", "log10", "sqrt")
# emmeans' others, which count where the beginning of a word is to be that of one alone
ELSEWHERE = ("none", "pass", "logit", "probit", "cauchit", "cloglog", "1/mu^2", "inverse")

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


@by_value
@dataclass(frozen=True, eq=False)
class Inherited:
    """Degrees of freedom of combinations of rows that have their own: the least of theirs.

    Attributes
    ----------
    beta, vcov : array (rows,), (rows, rows)
        The rows' estimates and their covariance matrix.
    df : array (rows,)
    name : str
    """

    beta: Array
    vcov: Array
    df: Array
    name: str

    def of_rows(self, L: Array) -> Array:
        """Degrees of freedom (r,) of each row of ``L`` (r, rows)."""
        used = np.abs(L) > 1e-12
        return np.asarray(np.min(np.where(used, self.df, np.inf), axis=1))

    def of_all(self, L: Array) -> FTest:
        """The F test of all rows of ``L`` together, on the least of their degrees of freedom."""
        estimate = L @ self.beta
        values, vectors = np.linalg.eigh(L @ self.vcov @ L.T)
        keep = values > 1e-10 * max(values.max(initial=0.0), 0.0)
        F = float(np.mean((vectors[:, keep].T @ estimate) ** 2 / values[keep]))
        return FTest(F, int(keep.sum()), float(np.min(self.of_rows(L))))


FORWARD = {"log": np.log, "log2": np.log2, "log10": np.log10, "sqrt": np.sqrt}


def _transform(word: object) -> str:
    """What is asked for, by its beginning as emmeans finds it.

    Raises
    ------
    DataError
    """
    begun = isinstance(word, str) and [w for w in ELSEWHERE if word and w.startswith(word)]
    found = matched(word, TRANSFORMS + ELSEWHERE if begun else TRANSFORMS, "transform")
    return matched(found, TRANSFORMS, "transform")


def _inherited(
    grid: Grid, transform: str, bias_adjust: bool, sigma: float | None
) -> tuple[Inherited, Link | None]:
    transform = _transform(transform)
    estimates, _, df = grid.numbers
    estimates = np.where(grid.estimable, estimates, 0.0)
    values, slope = estimates, np.ones(len(estimates))
    link = grid.link
    if link is not None:
        if bias_adjust and link.known:
            if sigma is None:
                raise DataError(NO_SIGMA.format(sigma))
            link = bias_adjusted(link, float(sigma))
        values, slope = link.inverse(estimates), link.slope(estimates)
    new: Link | None = None
    if transform in FORWARD:
        if np.any(values[grid.estimable] <= 0):
            raise DataError(
                f"transform={transform!r}: some estimates of the response are not positive"
            )
        new = LINKS[transform]
        values = FORWARD[transform](np.where(grid.estimable, values, 1.0))
        slope = slope / new.slope(values)
    J = slope[:, None] * grid.L
    name = grid.denominator.name
    if name and not name.startswith("inherited"):
        name = f"inherited from {_named(name)} when re-gridding"
    return Inherited(values, J @ grid.denominator.vcov @ J.T, df, name), new


def _named(name: str) -> str:
    return {"lme4": "asymptotic"}.get(name, name.lower())


def regridded(
    grid: Grid, transform: str = "response", bias_adjust: bool = False, sigma: float | None = None
) -> Grid:
    """Means or contrasts whose estimates are responses.

    Parameters
    ----------
    grid : Grid
        The means or contrasts.
    transform : {"response", "log", "log2", "log10", "sqrt"}
        ``log``: the logarithms of responses, so that contrasts become ratios.
    bias_adjust, sigma
        As in :func:`lmerbridge.inference.means.on_scale`.

    Raises
    ------
    DataError
        There is no such transformation, or estimates are outside of where it has values.
    """
    denominator, link = _inherited(grid, transform, bias_adjust, sigma)
    return replace(
        grid,
        L=np.eye(len(grid.L)),
        offset=np.zeros(len(grid.L)),
        denominator=denominator,
        link=link,
        response=False,
        estimate=grid.link.estimate if grid.link and not grid.contrast else grid.estimate,
    )


def regridded_reference(
    reference: ReferenceGrid,
    transform: str = "response",
    bias_adjust: bool = False,
    sigma: float | None = None,
) -> ReferenceGrid:
    """A reference grid whose predictions are responses."""
    denominator, link = _inherited(reference.grid(), transform, bias_adjust, sigma)
    rows = len(reference.L)
    return replace(
        reference,
        L=np.eye(rows),
        offset=np.zeros(rows),
        denominator=denominator,
        link=link,
        estimate=reference.link.estimate if reference.link else reference.estimate,
    )
