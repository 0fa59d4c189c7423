"""lme4's checks on a model, with lme4's words, made once for every engine."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from lmerbridge.design.columns import Array
from lmerbridge.design.control import Control
from lmerbridge.design.design import TermDesign
from lmerbridge.design.notes import Note
from lmerbridge.design.row_chunks import chunks, gram_triangle, triangle
from lmerbridge.errors import DataError

__all__ = ["check_random", "check_rank", "check_response", "check_scale", "independent_columns"]

SCALE_RATIO = 1e3  # lme4 warns beyond a ratio of 1,000 between standard deviations
RANK_TOLERANCE = 1e-7  # of a column's norm, as in R's qr()


def _act(action: str, text: str, notes: list[Note]) -> None:
    if action == "stop":
        raise DataError(text)
    if action in ("warning", "message"):
        notes.append(Note(action, text))


def check_random(
    terms: Sequence[TermDesign], rows: int, control: Control, residual: bool = True
) -> list[Note]:
    """Too few levels, too many levels, too many random effects.

    Parameters
    ----------
    terms : sequence of TermDesign
    rows : int
    control : Control
    residual : bool
        Whether the model has a residual for each row; without one there may be as many effects as
        rows.

    Raises
    ------
    DataError
        With lme4's message, where the control says ``"stop"``.
    """
    notes: list[Note] = []
    less, more = ("<", "<=") if residual else ("<=", "<")
    levels = {term.group: len(term.levels) for term in terms}
    if any(count < 2 for count in levels.values()):
        _act(control.check_nlev_gtr_1, "grouping factors must have > 1 sampled level", notes)
    if any(count < 5 for count in levels.values()):
        few = ", ".join(g for g, count in levels.items() if count < 5)
        _act(
            control.check_nlev_gtreq_5,
            f"grouping factors with < 5 sampled levels may give unreliable estimates: {few}",
            notes,
        )
    fewest = rows if residual else rows + 1  # effects that are too many
    crowded = [group for group, count in levels.items() if count >= fewest]
    if crowded:
        _act(
            control.check_nobs_vs_nlev,
            f"number of levels of each grouping factor must be {less} number of observations "
            f"(problems: {', '.join(crowded)})",
            notes,
        )
    for term in terms:
        effects = len(term.levels) * len(term.names)
        # fewer parameters than effects may be determined all the same: check_identifiable() says
        if term.structure.plain and effects >= fewest:
            _act(
                control.check_nobs_vs_nRE,
                f"number of observations (={rows}) {more} number of random effects (={effects}) "
                f"for term ({term.text}); the random-effects parameters and the residual "
                "variance (or scale parameter) are probably unidentifiable",
                notes,
            )
    return notes


def check_response(y: Array, label: str) -> None:
    """Raise ``DataError`` for a response that does not vary."""
    if len(y) > 1 and y[0] == y[-1] and np.all(y == y[0]):
        raise DataError(f"Response is constant ({label} is {y[0]:g} in every row used)")


def check_scale(X: Array, control: Control) -> list[Note]:
    """lme4's warning on predictors of very different scales.

    Columns of zeros and ones are exempt; the others' standard deviations may differ from
    each other and from 1 by a factor of up to 1,000.
    """
    notes: list[Note] = []
    if X.shape[0] < 2:
        return notes
    deviations = [_deviation(x) for x in X.T if not _is_indicator(x)]
    logs = [math.log(d) if d > 0 else -math.inf for d in deviations]
    if logs:
        spread = max(logs) - min(logs) if len(logs) > 1 else 0.0
        if max(spread, *map(abs, logs)) > math.log(SCALE_RATIO):
            _act(
                control.check_scaleX,
                "Some predictor variables are on very different scales: consider rescaling",
                notes,
            )
    return notes


def _is_indicator(x: Array) -> bool:
    """Whether there are zeros and ones alone."""
    if x[0] not in (0, 1) or x[-1] not in (0, 1):  # most columns tell at once
        return False
    return bool(np.all((x == 0) | (x == 1)))


def _deviation(x: Array) -> float:
    """Standard deviation of a column."""
    off = x - np.add.reduce(x) / len(x)  # as x.mean(), in a third of its time
    return math.sqrt(float(off @ off) / (len(x) - 1))


def independent_columns(X: Array, tolerance: float = RANK_TOLERANCE) -> Array:
    """Indices of the columns that R's ``qr()`` keeps, ascending.

    A column goes if, after the columns kept before it are projected out, less than
    ``tolerance`` of its norm is left. Works on the triangular factor, so that the cost in rows
    is one QR decomposition.
    """
    if X.shape[1] == 0:
        return np.arange(0)
    if len(X) >= X.shape[1] and gram_triangle(X.T @ X, X.shape[1]) is not None:
        return np.arange(X.shape[1])
    R: Array = triangle(X[rows] for rows in chunks(len(X)))
    norms = np.linalg.norm(R, axis=0)
    kept: list[int] = []
    basis = np.empty((R.shape[0], 0))
    for j in range(R.shape[1]):
        rest = R[:, j].copy()
        for _ in range(2):  # twice is enough (Kahan; Parlett 1980, section 6-9)
            rest -= basis @ (basis.T @ rest)
        size = float(np.linalg.norm(rest))
        if size > tolerance * norms[j] and size > 0:
            kept.append(j)
            basis = np.column_stack([basis, rest / size])
    return np.array(kept, dtype=np.int64)


def check_rank(X: Array, control: Control) -> tuple[Array, list[Note]]:
    """The columns to keep, and lme4's message if some go.

    Raises
    ------
    DataError
        Where the control says ``"stop.deficient"``; or there are as many independent columns as
        rows, so that nothing is left to estimate variances from.
    """
    if control.check_rankX == "ignore":
        return np.arange(X.shape[1]), []
    kept = independent_columns(X)
    if len(kept) >= X.shape[0]:
        raise DataError(
            f"number of observations (={X.shape[0]}) <= number of fixed effects (={len(kept)}): "
            "nothing is left to estimate variances from"
        )
    gone = X.shape[1] - len(kept)
    if not gone:
        return kept, []
    if control.check_rankX == "stop.deficient":
        raise DataError(
            f"the fixed-effects model matrix is column rank deficient (rank(X) = {len(kept)} < "
            f"{X.shape[1]} = p); the fixed effects will be jointly unidentifiable"
        )
    text = f"fixed-effect model matrix is rank deficient so dropping {gone} column" + (
        "s / coefficients" if gone > 1 else " / coefficient"
    )
    kinds = {"message+drop.cols": "message", "warn+drop.cols": "warning"}
    kind = kinds.get(control.check_rankX)
    return kept, [Note(kind, text)] if kind else []
