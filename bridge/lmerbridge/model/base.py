"""What every part of :class:`lmerbridge.Model` stands on: the result, the model frame, the call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from lmerbridge.design import ModelFrame
from lmerbridge.errors import DataError
from lmerbridge.result import FitResult

__all__ = ["ModelBase", "Vector"]

Vector: TypeAlias = "pd.Series[float]"


@dataclass(frozen=True, repr=False)
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

    def _rows(self, values: np.ndarray[Any, Any], name: str) -> Vector:
        """Values of the rows used as a Series; with ``na_action="exclude"`` of all rows."""
        data = self.result.data
        kept = np.arange(data.nobs) if data.kept is None else np.array(data.kept)
        if self._frame is not None and self._frame.index is not None:
            index: Any = self._frame.index
        elif data.row_labels is not None:
            index = pd.Index(list(data.row_labels))
        else:
            index = pd.Index(kept)
        if self.result.call.na_action != "exclude" or not data.dropped:
            return pd.Series(values, index=index, name=name)
        rows = np.sort(np.concatenate([kept, np.array(data.dropped)]))
        padded = np.full(len(rows), np.nan)
        padded[np.searchsorted(rows, kept)] = values
        native = None if self.inputs is None else self.inputs.get("data")
        labels = native.index[rows] if isinstance(native, pd.DataFrame) else pd.Index(rows)
        return pd.Series(padded, index=labels, name=name)
