"""What every part of :class:`lmerbridge.Model` stands on: the result, the model frame, the call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from lmerbridge.design import ModelFrame
from lmerbridge.errors import DataError
from lmerbridge.result import FitResult

__all__ = ["ModelBase", "Vector"]

Vector: TypeAlias = "pd.Series[float]"


@dataclass(frozen=True, eq=False, repr=False)
class ModelBase:
    """
    Attributes
    ----------
    result : FitResult
        All numbers, frozen.
    inputs : mapping
        The arguments of ``lmer``, for ``update`` and ``refit``.
    """

    result: FitResult
    _frame: ModelFrame | None = None
    inputs: Mapping[str, Any] | None = None

    @property
    def frame(self) -> ModelFrame:
        """The model frame.

        Raises
        ------
        DataError
            The model was read from JSON without data.
        """
        if self._frame is None:
            raise DataError(
                "this model was read without its data; give it: lb.from_json(text, data=...)"
            )
        return self._frame

    def _inputs(self) -> Mapping[str, Any]:
        if self.inputs is None:
            raise DataError(
                "this model was read without its data; give it: lb.from_json(text, data=...)"
            )
        return self.inputs

    def _places(self) -> tuple[Any, np.ndarray[Any, Any] | None]:
        """Labels of the rows that are shown, and where among them the rows used are: ``None``
        where they are the same. With ``na_action="exclude"`` the rows dropped for a missing value
        keep their places.
        """
        data = self.result.data
        kept = np.arange(data.nobs) if data.kept is None else data.kept
        if self.result.call.na_action != "exclude" or not len(data.dropped):
            if self._frame is not None and self._frame.index is not None:
                return self._frame.index, None
            return pd.Index(kept if data.row_labels is None else list(data.row_labels)), None
        _, places, labels = self._all_rows(kept)
        return labels, places

    def _rows(self, values: np.ndarray[Any, Any], name: str) -> Vector:
        """Values of the rows used as a Series; with ``na_action="exclude"`` of all rows."""
        return self._row_table(values[:, None], [name])[name]

    def _row_table(self, values: np.ndarray[Any, Any], columns: Sequence[str]) -> pd.DataFrame:
        """Values (n, columns) of the rows used as a table, NaN in the places of
        ``na_action="exclude"``.
        """
        labels, used = self._places()
        shown = values
        if used is not None:
            shown = np.full((len(labels), values.shape[1]), np.nan)
            shown[used] = values
        return pd.DataFrame(shown, index=labels, columns=list(columns))

    def _all_rows(self, kept: Any) -> tuple[Any, Any, Any]:
        """The rows used and dropped: their positions in the data, the places of those used among
        them, their labels.
        """
        rows = np.sort(np.concatenate([kept, self.result.data.dropped]))
        native = None if self.inputs is None else self.inputs.get("data")
        labels = native.index[rows] if isinstance(native, pd.DataFrame) else pd.Index(rows)
        return rows, np.searchsorted(rows, kept), labels

    def _padded_variables(self, table: pd.DataFrame) -> pd.DataFrame:
        """The variables of the rows used, with those of the dropped rows: columns of the data as
        they are there, other variables missing.
        """
        from lmerbridge.design.columns import Factor, as_categorical, take
        from lmerbridge.design.frame import REFIT_RESPONSE

        rows, places, labels = self._all_rows(self.frame.kept)
        found = {}
        for name in table:
            refitted = (
                name == self.frame.formula.response_label and REFIT_RESPONSE in self.frame.raw
            )
            raw = self.frame.raw.get(REFIT_RESPONSE if refitted else str(name))
            if raw is not None and not (isinstance(raw, Factor)) and raw.values.ndim == 1:
                found[name] = pd.Series(take(raw, rows).values, index=labels)  # type: ignore[union-attr]
            elif isinstance(raw, Factor):
                found[name] = pd.Series(as_categorical(take(raw, rows)), index=labels)  # type: ignore[arg-type]
            else:
                own = table[name].reset_index(drop=True)
                own.index = pd.Index(places)
                found[name] = own.reindex(range(len(rows))).set_axis(labels)
        return pd.DataFrame(found, index=labels)
