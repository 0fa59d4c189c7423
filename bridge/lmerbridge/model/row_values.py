"""Values per row of the fit as users see them: with the labels of the data, and with the places of
rows dropped for a missing value where ``na_action="exclude"`` keeps them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from lmerbridge.design.columns import Factor, as_categorical, take
from lmerbridge.design.frame import REFIT_RESPONSE
from lmerbridge.inference.fit import Fit

__all__ = ["Vector", "by_row", "padded_variables", "row_labels", "row_table"]

Vector: TypeAlias = "pd.Series[float]"


def row_labels(fit: Fit) -> tuple[Any, np.ndarray[Any, Any] | None]:
    """Return the labels of the rows that are shown, and where among them the rows used are.

    Returns
    -------
    labels : pandas.Index
    used : array (n,) of int, or None
        ``None`` where the rows used are all that is shown.
    """
    data, frame = fit.result.data, fit.frame_given
    kept = np.arange(data.nobs) if data.kept is None else data.kept
    if fit.result.call.na_action != "exclude" or not len(data.dropped):
        if frame is not None and frame.source.index is not None:
            return frame.source.index, None
        return pd.Index(kept if data.row_labels is None else list(data.row_labels)), None
    _, places, labels = _all_rows(fit, kept)
    return labels, places


def by_row(fit: Fit, values: np.ndarray[Any, Any], name: str) -> Vector:
    """Return values (n,) of the rows used as a Series; with ``na_action="exclude"`` of all rows."""
    return row_table(fit, values[:, None], [name])[name]


def row_table(fit: Fit, values: np.ndarray[Any, Any], columns: Sequence[str]) -> pd.DataFrame:
    """Return values (n, columns) of the rows used as a table, NaN in the places of
    ``na_action="exclude"``.
    """
    labels, used = row_labels(fit)
    shown = values
    if used is not None:
        shown = np.full((len(labels), values.shape[1]), np.nan)
        shown[used] = values
    return pd.DataFrame(shown, index=labels, columns=list(columns))


def _all_rows(fit: Fit, kept: Any) -> tuple[Any, Any, Any]:
    """The rows used and dropped: their positions in the data, the places of those used among
    them, their labels.
    """
    rows = np.sort(np.concatenate([kept, fit.result.data.dropped]))
    data = None if fit.call_given is None else fit.call_given.data
    labels = data.index[rows] if isinstance(data, pd.DataFrame) else pd.Index(rows)
    return rows, np.searchsorted(rows, kept), labels


def padded_variables(fit: Fit, table: pd.DataFrame) -> pd.DataFrame:
    """Return the variables of the rows used, ``table``, with those of the dropped rows: columns of
    the data as they are there, other variables missing.
    """
    frame = fit.frame
    rows, places, labels = _all_rows(fit, frame.source.kept)
    found: dict[Any, Any] = {}
    for name in table:
        refitted = name == frame.formula.response_label and REFIT_RESPONSE in frame.source.raw
        raw = frame.source.raw.get(REFIT_RESPONSE if refitted else str(name))
        if isinstance(raw, Factor):
            taken = take(raw, rows)
            assert isinstance(taken, Factor)
            found[name] = pd.Series(as_categorical(taken), index=labels)
        elif raw is not None and raw.values.ndim == 1:
            taken = take(raw, rows)
            assert not isinstance(taken, Factor)
            found[name] = pd.Series(taken.values, index=labels)
        else:
            own = table[name].reset_index(drop=True)
            own.index = pd.Index(places)
            found[name] = own.reindex(range(len(rows))).set_axis(labels)
    return pd.DataFrame(found, index=labels)
