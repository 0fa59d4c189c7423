"""The model frame's variables as a DataFrame."""

from __future__ import annotations

import pandas as pd

from lmerbridge.design import ModelFrame
from lmerbridge.design.columns import Factor, Numeric

__all__ = ["frame_table"]


def frame_table(frame: ModelFrame) -> pd.DataFrame:
    """Variables as evaluated (``log(y)``, ``Days``), then the grouping columns, rows used."""
    table: dict[str, object] = {}
    for label, column in frame.variables.items():
        if isinstance(column, Factor):
            table[label] = pd.Categorical.from_codes(
                column.codes, categories=list(column.levels), ordered=column.ordered)
        elif isinstance(column, Numeric) and column.values.ndim == 2:
            for j in range(column.values.shape[1]):
                name = column.names[j] if column.names else str(j + 1)
                table[f"{label}{name}"] = column.values[:, j]
        else:
            table[label] = column.values
    for block in frame.random:
        if block.group not in table:
            table[block.group] = pd.Categorical.from_codes(block.codes,
                                                           categories=list(block.levels))
    return pd.DataFrame(table, index=frame.index)
