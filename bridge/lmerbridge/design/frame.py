"""The frozen :class:`ModelFrame`: what every engine fits."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from lmerbridge.design.arguments import check_weights
from lmerbridge.design.blocks import RandomBlock
from lmerbridge.design.checks import check_response
from lmerbridge.design.columns import (
    Array,
    Column,
    Numeric,
)
from lmerbridge.design.contrasts import Contrast
from lmerbridge.design.control import Control
from lmerbridge.design.notes import Note
from lmerbridge.design.responses import row_vector
from lmerbridge.equality import by_value
from lmerbridge.formula import Formula

__all__ = ["REFIT_RESPONSE", "ModelFrame"]

REFIT_RESPONSE = ".response"


@by_value
@dataclass(frozen=True, eq=False)
class ModelFrame:
    """Formula and data, evaluated, checked and coded: the common input of all engines.

    Attributes
    ----------
    formula : Formula
    data_name : str
        What R would print after ``Data:``.
    y : array (n,)
    X : array (n, p)
        Without the columns that are linear combinations of others (``x_dropped``).
    x_names, x_dropped : tuple of str
    x_assign : tuple of int
        Per column of X the number of its term in ``x_terms``, 0 for the intercept.
    random : tuple of RandomBlock
        In lme4's order: by decreasing number of levels.
    weights, offset : array (n,) or None
    weights_name, offset_name, subset_name : str or None
        As R would print them.
    kept : array of int (n,)
        Positions in the data of the rows used.
    dropped : array of int
        Positions of the rows with a missing value (those outside the subset not counted).
    total_rows : int
        Rows of the data.
    dot_columns : tuple of str
        The columns that ``.`` stands for in the formula.
    index : pandas.Index or None
        The row labels of the rows used, if the data had any.
    variables : mapping of str to Column
        The evaluated variables by their text, rows used only.
    contrasts : mapping of str to Contrast
        How the fixed part's factors are coded.
    raw : mapping of str to Column
        The columns of the data that the formula names, all rows.
    raw_weights, raw_offset, raw_subset : array (total_rows,) or None
    na_action : str
    control : Control
    notes : tuple of Note
        What lme4's checks say about this model.
    memory : dict
        What poly(), scale() and the like learned from the data.
    missing : tuple of (str, int)
        Per variable that is missing in a row of ``dropped`` in how many it is.
    """

    formula: Formula
    data_name: str
    y: Array
    X: Array
    x_names: tuple[str, ...]
    x_dropped: tuple[str, ...]
    x_assign: tuple[int, ...]
    x_terms: tuple[str, ...]
    random: tuple[RandomBlock, ...]
    weights: Array | None
    offset: Array | None
    weights_name: str | None
    offset_name: str | None
    subset_name: str | None
    kept: Array
    dropped: Array
    total_rows: int
    dot_columns: tuple[str, ...]
    index: pd.Index[Any] | None
    variables: Mapping[str, Column]
    contrasts: Mapping[str, Contrast]
    asked_contrasts: Mapping[str, Contrast]
    raw: Mapping[str, Column]
    raw_weights: Array | None
    raw_offset: Array | None
    raw_subset: Array | None
    na_action: str
    control: Control
    notes: tuple[Note, ...]
    memory: Mapping[str, Any] = field(default_factory=dict)
    missing: tuple[tuple[str, int], ...] = ()

    @property
    def nobs(self) -> int:
        """Rows used."""
        return len(self.y)

    @property
    def groups(self) -> dict[str, tuple[str, ...]]:
        """Grouping factors with their levels, in lme4's order."""
        return {block.group: block.levels for block in self.random}

    def weighted(self, rows: Any = slice(None)) -> tuple[Array, Array, Array | None]:
        """The response less the offset and X, each row times the square root of its prior weight,
        and those roots (``None`` without weights); of all rows or of some (a slice or indices).
        """
        y, X = self.y[rows], self.X[rows]
        if self.offset is not None:
            y = y - self.offset[rows]
        if self.weights is None:
            return y, X, None
        root = np.sqrt(self.weights[rows])
        return y * root, X * root[:, None], root

    @property
    def covariance_parameters(self) -> int:
        """How many parameters the random effects' covariance matrices have."""
        return sum(b.structure.count(len(b.names)) for b in self.random)

    @property
    def plain(self) -> bool:
        """Whether every term's covariance matrix is unstructured."""
        return all(block.structure.plain for block in self.random)

    @property
    def fitted_formula(self) -> Formula:
        """The formula for an engine that evaluates ``raw`` itself."""
        formula = self.formula
        if formula.has_dot:
            formula = formula.with_columns(self.dot_columns)
        return formula.with_response(REFIT_RESPONSE) if REFIT_RESPONSE in self.raw else formula

    def with_response(self, values: Any) -> ModelFrame:
        """The same frame with another response, in any shape of
        :func:`lmerbridge.design.responses.row_matrix`.

        Raises
        ------
        DataError
            Another number of values, missing or infinite ones, or a constant.
        """
        y = row_vector(self, values)
        check_response(y, "the new response")
        return replace(
            self,
            y=y,
            raw={**self.raw, REFIT_RESPONSE: Numeric(self._everywhere(y))},
            variables={**self.variables, self.formula.response_label: Numeric(y)},
        )

    def with_weights(self, values: Any) -> ModelFrame:
        """The same frame with other prior weights, in the shapes of :meth:`with_response`.

        Raises
        ------
        DataError
            Another number of values, or weights that are not positive and finite.
        """
        name = self.weights_name or "weights"
        weights = row_vector(self, values, "the new weights")
        check_weights(weights, name)
        return replace(
            self,
            weights=weights,
            raw_weights=self._everywhere(weights),
            weights_name=name,
        )

    def _everywhere(self, values: Array) -> Array:
        """Values of the rows used at their places in the data."""
        found = np.full(self.total_rows, np.nan)
        found[self.kept] = values
        return found

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of everything an engine can see; equal frames have equal fingerprints."""
        digest = hashlib.sha256()

        def add(*parts: Any) -> None:
            for part in parts:
                if isinstance(part, np.ndarray):
                    digest.update(str((part.dtype.kind, part.shape)).encode())
                    digest.update(np.ascontiguousarray(part).data)
                else:
                    digest.update(repr(part).encode())

        add(self.y, self.X, self.x_names, self.weights, self.offset)
        for block in self.random:
            add(block.label, block.group, block.names, block.levels)
            add(block.columns, block.codes.astype(np.int64, copy=False))
            if not block.structure.plain:
                add(block.structure)
        return digest.hexdigest()
