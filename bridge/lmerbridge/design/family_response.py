"""The response of a generalized model, in every form in which R's ``glm`` takes one.

A binomial response is read as R does: a factor (its first level is failure, all others success),
truth values, numbers of successes and failures as ``cbind(successes, failures)``, or proportions
with the numbers of trials as weights. In the model frame it is always a proportion, with the
numbers of trials among the weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lmerbridge.design.columns import Array, Column, Factor, Numeric
from lmerbridge.design.notes import Note
from lmerbridge.errors import DataError

if TYPE_CHECKING:
    from lmerbridge.family import Family

__all__ = ["check_prior_weights", "family_response"]


def check_prior_weights(weights: Array, name: str | None) -> None:
    """Refuse prior weights that no family takes.

    Raises
    ------
    DataError
        A weight is negative or infinite, or all are 0.
    """
    if (weights < 0).any():
        row = int(np.flatnonzero(weights < 0)[0]) + 1
        raise DataError(f"negative weights not allowed: {name!r} is negative first in row {row}")
    if np.isinf(weights).any():
        raise DataError(f"weights {name!r} are infinite in some rows")
    if not (weights > 0).any():
        raise DataError(f"weights {name!r} are 0 in every row used: no observation is left")


def family_response(
    column: Column, label: str, weights: Array | None, family: Family
) -> tuple[Array, Array | None, list[Note]]:
    """Read the response of a generalized model.

    Parameters
    ----------
    column : Column
        The evaluated left-hand side, on the rows used.
    label : str
        Its text.
    weights : array (n,), optional
        Prior weights.
    family : Family

    Returns
    -------
    y : array (n,)
        The response; of a binomial the proportion of successes.
    weights : array (n,) or None
        Prior weights, of a binomial the numbers of trials; ``None`` where all are 1.
    notes : list of Note
        What R would warn of.

    Raises
    ------
    DataError
        The family has no such response; with R's words.
    """
    binomial = family.name == "binomial"
    if isinstance(column, Factor):
        if not binomial:
            raise DataError(
                f"{label} is a factor or a string: a response of the {family.name} family must be "
                "numeric"
            )
        if len(column.levels) < 2:
            raise DataError(
                f"{label} has one level alone, {', '.join(column.levels)}: nothing varies"
            )
        y = (column.codes > 0).astype(np.float64)
    elif isinstance(column, Numeric) and column.values.ndim == 2:
        if not binomial or column.values.shape[1] != 2:
            what = "cbind(successes, failures), two columns" if binomial else "one column"
            raise DataError(
                f"for the {family.name!r} family, y must be {what}: {label} has "
                f"{column.values.shape[1]}"
            )
        y, weights = _proportions(column.values.astype(np.float64), label, weights)
    else:
        if isinstance(column, Numeric) and column.time is not None:
            raise DataError(f"{label} is of class {column.time.kind!r}: write as.numeric({label})")
        y = np.asarray(column.values, dtype=np.float64)
    said = family.check_response(y, np.ones(len(y)) if weights is None else weights)
    return y, weights, [Note("warning", text) for text in said]


def _proportions(counts: Array, label: str, weights: Array | None) -> tuple[Array, Array]:
    """The proportions of successes and the numbers of trials, times the prior weights."""
    if (counts < 0).any():
        row = int(np.flatnonzero((counts < 0).any(axis=1))[0]) + 1
        raise DataError(f"{label} has negative counts, first in row {row}")
    trials = counts.sum(axis=1)
    some = trials > 0  # a row without trials has no part in the likelihood, as in R
    y = np.divide(counts[:, 0], trials, out=np.zeros(len(trials)), where=some)
    return y, trials if weights is None else trials * weights
