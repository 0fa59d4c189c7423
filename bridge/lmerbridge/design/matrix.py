"""Model matrices with R's columns, R's coding and R's names.

R codes a factor in a term by contrasts if a term before it contains the variables that stand
beside the factor (none beside it: always), else by indicators of all its levels; without an
intercept the first factor of the first term that has one is coded by indicators (Chambers &
Hastie 1992, section 2.4.1; ``factors`` in R's ``?terms.object``). The margin itself need not be
a term: in ``~ a:x + b:x`` the term ``a:x`` contains ``x``, so that ``b`` is coded by contrasts.
formulaic and patsy use another, structural, rule that gives other columns for terms without
their margins, so that the coding here is ours; the contrast matrices and the bases of poly()
are formulaic's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lmerbridge.design.columns import Array, Column, Factor, Logical, Numeric
from lmerbridge.design.contrasts import Contrast, contrast_matrix, default_contrast
from lmerbridge.equality import by_value
from lmerbridge.errors import DataError
from lmerbridge.formula.terms import Terms

__all__ = ["ModelMatrix", "coded_by_contrasts", "contrasts_of", "model_matrix"]


@by_value
@dataclass(frozen=True, eq=False)
class ModelMatrix:
    """``values`` (n, p), the names of its columns, and per column its term (0: intercept)."""

    values: Array
    names: tuple[str, ...]
    assign: tuple[int, ...]
    labels: tuple[str, ...]


def _as_coded(column: Column) -> Column:
    """Logical columns are coded like factors with the levels FALSE and TRUE."""
    if isinstance(column, Logical):
        return Factor(
            np.where(np.isnan(column.values), -1, column.values).astype(np.int64), ("FALSE", "TRUE")
        )
    return column


def contrasts_of(
    variables: Mapping[str, Column], contrasts: Mapping[str, Contrast] | None = None
) -> dict[str, Contrast]:
    """The contrast that each factor among ``variables`` is coded by."""
    chosen = {}
    for label, column in variables.items():
        coded = _as_coded(column)
        if isinstance(coded, Factor):
            chosen[label] = (
                (contrasts or {}).get(label) or coded.contrast or default_contrast(coded.ordered)
            )
    return chosen


def coded_by_contrasts(terms: Terms, factors: list[bool]) -> list[dict[int, bool]]:
    """Per term and variable: coded by contrasts (True) or by indicators (False)."""
    coding = [dict(modes) for modes in terms.by_contrasts]
    if not terms.intercept:
        for term, modes in zip(terms.terms, coding, strict=True):
            first = next((v for v in term if factors[v]), None)
            if first is not None:
                modes[first] = False
                break
    return coding


def _columns(
    label: str, column: Column, by_contrasts: bool, contrast: Contrast | None
) -> tuple[Array, list[str]]:
    """One variable's columns in a term (n, k) and their names."""
    column = _as_coded(column)
    if isinstance(column, Numeric):
        values = column.floats
        if values.ndim == 1:
            return values[:, None], [label]
        names = column.names or tuple(str(i + 1) for i in range(values.shape[1]))
        return values, [label + name for name in names] if values.shape[1] > 1 else [label]
    assert isinstance(column, Factor)
    assert contrast is not None
    if not by_contrasts:
        if len(column.levels) < 2:
            raise DataError(
                "contrasts can be applied only to factors with 2 or more levels "
                f"({label} has {len(column.levels)})"
            )
        indicators = np.zeros((len(column.codes), len(column.levels)))
        indicators[np.arange(len(column.codes)), column.codes] = 1.0
        return indicators, [label + level for level in column.levels]
    try:
        matrix, names_ = contrast_matrix(contrast, column.levels)
    except DataError as error:
        raise DataError(f"{error} ({label})") from None
    return matrix[column.codes], [label + name for name in names_]


def model_matrix(
    terms: Terms,
    variables: Mapping[str, Column],
    rows: int,
    contrasts: Mapping[str, Contrast] | None = None,
    indicators: bool = False,
) -> ModelMatrix:
    """R's ``model.matrix``.

    Parameters
    ----------
    terms : Terms
    variables : mapping of str to Column
        The evaluated variables by their text, without missing values.
    rows : int
    contrasts : mapping, optional
        The contrast of each factor, as :func:`contrasts_of` gives it.
    indicators : bool
        Every factor by indicators of all its levels, in every term.
    """
    labels = terms.variable_labels
    chosen = contrasts if contrasts is not None else contrasts_of(variables)
    columns = [variables[label] for label in labels]
    coding = coded_by_contrasts(terms, [not isinstance(c, Numeric) for c in columns])
    blocks: list[Array] = []
    names: list[str] = []
    assign: list[int] = []
    if terms.intercept:
        blocks.append(np.ones((rows, 1)))
        names.append("(Intercept)")
        assign.append(0)
    for number, (term, modes) in enumerate(zip(terms.terms, coding, strict=True), 1):
        block, block_names = np.ones((rows, 1)), [""]
        for position, v in enumerate(term):
            values, value_names = _columns(
                labels[v], columns[v], modes[v] and not indicators, chosen.get(labels[v])
            )
            if position == 0:
                block, block_names = values, value_names
            else:  # the columns of the earlier variables vary fastest
                block = (values[:, :, None] * block[:, None, :]).reshape(rows, -1)
                block_names = [f"{a}:{b}" for b in value_names for a in block_names]
        blocks.append(block)
        names += block_names
        assign += [number] * len(block_names)
    values = np.concatenate(blocks, axis=1) if blocks else np.empty((rows, 0))
    return ModelMatrix(values, tuple(names), tuple(assign), terms.labels)
