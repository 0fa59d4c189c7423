"""The model frame's variables as a DataFrame."""

from __future__ import annotations

import pandas as pd

from lmerbridge.design import ModelFrame
from lmerbridge.design.columns import Factor, Numeric, as_categorical

__all__ = ["frame_table", "grouping_factors"]


def grouping_factors(frame: ModelFrame) -> dict[str, pd.Categorical]:
    """The grouping factors by name, in lme4's order."""
    return {
        block.group: as_categorical(Factor(block.codes, block.levels)) for block in frame.random
    }


def frame_table(frame: ModelFrame) -> pd.DataFrame:
    """Variables as evaluated (``log(y)``, ``Days``), then the grouping factors; rows used."""
    table: dict[str, object] = {}
    for label, column in frame.rows.variables.items():
        if isinstance(column, Factor):
            table[label] = as_categorical(column)
        elif isinstance(column, Numeric) and column.values.ndim == 2:
            for j in range(column.values.shape[1]):
                name = column.names[j] if column.names else str(j + 1)
                table[f"{label}{name}"] = column.values[:, j]
        else:
            table[label] = column.values
    for group, factor in grouping_factors(frame).items():
        table.setdefault(group, factor)
    return pd.DataFrame(table, index=frame.source.index)
