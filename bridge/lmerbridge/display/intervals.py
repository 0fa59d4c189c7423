"""Matrices of numbers as R prints them: confidence intervals."""

from __future__ import annotations

import math

import pandas as pd

from lmerbridge.display.rformat import format_numbers, print_matrix

__all__ = ["confint_text", "matrix_text"]


def matrix_text(table: pd.DataFrame, digits: int = 7) -> str:
    """A numeric matrix with row names, each column in its own format."""
    columns = []
    for name in table.columns:
        values = table[name].to_numpy(float)
        known = [float(v) for v in values if not math.isnan(v)]
        texts = iter(format_numbers(known, digits))
        columns.append(["NA" if math.isnan(v) else next(texts) for v in values])
    rows = [list(r) for r in zip(*columns, strict=True)]
    return "\n".join(print_matrix([str(i) for i in table.index], [str(c) for c in table], rows))


def confint_text(table: pd.DataFrame) -> str:
    """What R prints for ``confint``."""
    return matrix_text(table)
