"""Contrast matrices with R's names for their columns; the matrices are formulaic's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lmerbridge.errors import DataError, near_match
from lmerbridge.formula.functions import CONTRAST_NAMES

__all__ = ["Contrast", "contrast_matrix", "default_contrast", "read_contrasts"]


@dataclass(frozen=True)
class Contrast:
    """How a factor is coded: by one of R's functions, or by a matrix of the user's.

    Attributes
    ----------
    name : str
        ``contr.treatment``, ``contr.sum``, ``contr.helmert``, ``contr.poly``,
        ``contr.SAS``, or ``matrix``.
    base : int
        1-based base level of ``contr.treatment``.
    matrix : tuple of tuples of float, optional
        Levels by columns.
    columns : tuple of str, optional
        Names of the columns; ``None`` gives R's.
    how_many : int, optional
        Keep the first so many columns.
    """

    name: str = "contr.treatment"
    base: int = 1
    matrix: tuple[tuple[float, ...], ...] | None = None
    columns: tuple[str, ...] | None = None
    how_many: int | None = None


def default_contrast(ordered: bool) -> Contrast:
    """R's defaults: treatment contrasts, and polynomial ones for ordered factors."""
    return Contrast("contr.poly" if ordered else "contr.treatment")


def contrast_matrix(contrast: Contrast, levels: tuple[str, ...]) -> tuple[Any, tuple[str, ...]]:
    """Matrix (levels, columns) of ``contrast`` and its column names.

    Raises
    ------
    DataError
        Fewer than two levels (lme4's message), or a matrix that does not fit.
    """
    from formulaic.transforms import contrasts as formulaic_contrasts

    count = len(levels)
    if count < 2:
        raise DataError("contrasts can be applied only to factors with 2 or more levels")
    names: tuple[str, ...]
    positions = list(range(count))
    if contrast.matrix is not None:
        matrix = np.array(contrast.matrix, dtype=np.float64)
        if matrix.shape[0] != count:
            raise DataError(
                f"the contrast matrix has {matrix.shape[0]} rows for a factor of {count} levels"
            )
        names = contrast.columns or tuple(str(i + 1) for i in range(matrix.shape[1]))
    else:
        if contrast.name == "contr.treatment":
            base = contrast.base - 1
            if not 0 <= base < count:
                raise DataError(f"base = {contrast.base} is not one of the {count} levels")
            coding: Any = formulaic_contrasts.TreatmentContrasts(base=base)
            names = tuple(levels[i] for i in positions if i != base)
        elif contrast.name == "contr.SAS":
            coding = formulaic_contrasts.TreatmentContrasts(base=count - 1)
            names = levels[:-1]
        elif contrast.name == "contr.sum":
            coding = formulaic_contrasts.SumContrasts()
            names = tuple(str(i + 1) for i in range(count - 1))
        elif contrast.name == "contr.helmert":
            coding = formulaic_contrasts.HelmertContrasts()
            names = tuple(str(i + 1) for i in range(count - 1))
        else:
            coding = formulaic_contrasts.PolyContrasts()
            degrees = ["", ".L", ".Q", ".C"]
            names = tuple(degrees[i] if i < len(degrees) else f"^{i}" for i in range(1, count))
        matrix = np.asarray(coding.get_coding_matrix(positions, reduced_rank=True), dtype=float)
        if contrast.columns is not None:
            names = contrast.columns
    if contrast.how_many is not None:
        matrix, names = matrix[:, : contrast.how_many], names[: contrast.how_many]
    return matrix, names


def read_contrasts(contrasts: Mapping[str, Any] | None) -> dict[str, Contrast]:
    """The ``contrasts=`` argument of ``lmer`` as :class:`Contrast` by variable.

    Values may be R's names (``"contr.sum"`` or ``"sum"``), a :class:`Contrast`, or a matrix
    (an array, or a DataFrame whose columns name the coefficients).
    """
    if contrasts is not None and not isinstance(contrasts, Mapping):
        raise DataError(
            "contrasts must be a mapping from variables to contrasts, as in "
            f"{{'f': 'contr.sum'}}, not {type(contrasts).__name__}"
        )
    read: dict[str, Contrast] = {}
    for variable, value in (contrasts or {}).items():
        if isinstance(value, Contrast):
            read[variable] = value
        elif isinstance(value, str):
            if value not in CONTRAST_NAMES:
                raise DataError(
                    f"unknown contrasts {value!r} for {variable!r}"
                    f"{near_match(value, CONTRAST_NAMES)}; known: {', '.join(CONTRAST_NAMES)}"
                )
            read[variable] = Contrast(CONTRAST_NAMES[value])
        else:
            columns = (
                tuple(str(c) for c in value.columns) if isinstance(value, pd.DataFrame) else None
            )
            matrix = np.asarray(value, dtype=np.float64)
            if matrix.ndim != 2:
                raise DataError(
                    f"contrasts for {variable!r}: a name or a matrix, levels by columns"
                )
            read[variable] = Contrast(
                "matrix", matrix=tuple(map(tuple, matrix.tolist())), columns=columns
            )
    return read
