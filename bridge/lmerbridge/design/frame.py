"""The frozen :class:`ModelFrame`: what every engine fits."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from lmerbridge.design.arguments import check_weights
from lmerbridge.design.asked import Asked
from lmerbridge.design.blocks import RandomBlock
from lmerbridge.design.checks import check_response
from lmerbridge.design.columns import Array, Numeric
from lmerbridge.design.design import Design
from lmerbridge.design.family_response import family_response
from lmerbridge.design.responses import row_matrix, row_vector
from lmerbridge.design.rows import Rows
from lmerbridge.design.source import Source
from lmerbridge.equality import by_value
from lmerbridge.formula import Formula

if TYPE_CHECKING:
    from lmerbridge.family import Family

__all__ = ["REFIT_RESPONSE", "ModelFrame"]

REFIT_RESPONSE = ".response"


@by_value
@dataclass(frozen=True, eq=False)
class ModelFrame:
    """Formula and data, evaluated, checked and coded: the common input of all engines.

    What every engine needs is read at the frame itself (``frame.y``, ``frame.random``, ...), the
    rest at its part.

    Attributes
    ----------
    design : Design
        What the model is: formula, names, terms, contrasts. No row is in it.
    rows : Rows
        What an engine's numbers come from: the rows used.
    source : Source
        The user's data as R needs them, and where the rows used lie in them.
    asked : Asked
        What was asked for and how it is named in print, and the notes of lme4's checks.
    """

    design: Design
    rows: Rows
    source: Source
    asked: Asked

    @property
    def formula(self) -> Formula:
        """The model's formula, as it was given."""
        return self.design.formula

    @property
    def y(self) -> Array:
        """The response (n,)."""
        return self.rows.y

    @property
    def X(self) -> Array:
        """The fixed part's matrix (n, p), without columns that are combinations of others."""
        return self.rows.X

    @property
    def x_names(self) -> tuple[str, ...]:
        """R's names of the columns of ``X``."""
        return self.design.x_names

    @cached_property
    def random(self) -> tuple[RandomBlock, ...]:
        """The random-effects terms with their rows, in lme4's order: by decreasing number of
        levels.
        """
        return tuple(map(RandomBlock, self.design.random, self.rows.random))

    @property
    def weights(self) -> Array | None:
        """The prior weights (n,), if any."""
        return self.rows.weights

    @property
    def offset(self) -> Array | None:
        """The sum of all offsets (n,), if any."""
        return self.rows.offset

    @property
    def family(self) -> Family | None:
        """The family of a generalized model; ``None`` for a linear one."""
        return self.asked.family

    @property
    def nobs(self) -> int:
        """Rows used."""
        return len(self.rows.y)

    @property
    def kept(self) -> Array:
        """Positions in the data of the rows used (n,)."""
        return self.source.kept

    @property
    def groups(self) -> dict[str, tuple[str, ...]]:
        """Grouping factors with their levels, in lme4's order."""
        return {term.group: term.levels for term in self.design.random}

    def weighted(self, rows: Any = slice(None)) -> tuple[Array, Array, Array | None]:
        """The response less the offset and X, each row times the square root of its prior weight,
        and those roots (``None`` without weights); of all rows or of some (a slice or indices).
        """
        return self.rows.weighted(rows)

    @property
    def covariance_parameters(self) -> int:
        """How many parameters the random effects' covariance matrices have."""
        return sum(term.structure.count(len(term.names)) for term in self.design.random)

    @property
    def plain(self) -> bool:
        """Whether every term's covariance matrix is unstructured."""
        return all(term.structure.plain for term in self.design.random)

    @property
    def fitted_formula(self) -> Formula:
        """The formula for an engine that evaluates ``source.raw`` itself."""
        formula = self.formula
        if formula.has_dot:
            formula = formula.with_columns(self.design.dot_columns)
        refitted = REFIT_RESPONSE in self.source.raw
        return formula.with_response(REFIT_RESPONSE) if refitted else formula

    def with_response(self, values: Any) -> ModelFrame:
        """The same frame with another response, in any shape of
        :func:`lmerbridge.design.responses.row_matrix`.

        Raises
        ------
        DataError
            Another number of values, missing or infinite ones, or a constant.
        """
        weights = self.weights
        if self.family is None:
            column = y = row_vector(self.source, values)
        else:
            column = row_matrix(self.source, values)
            column = column[:, 0] if column.shape[1] == 1 else column
            given = self.source.raw_weights
            if column.ndim == 2:  # new numbers of trials, times the prior weights
                weights = None if given is None else given[self.source.kept]
            y, weights, _ = family_response(
                Numeric(column), "the new response", weights, self.family
            )
        check_response(y, "the new response")
        variables = {**self.rows.variables, self.formula.response_label: Numeric(column)}
        raw = {**self.source.raw, REFIT_RESPONSE: Numeric(self.source.everywhere(column))}
        return replace(
            self,
            rows=replace(self.rows, y=y, weights=weights, variables=variables),
            source=replace(self.source, raw=raw),
        )

    def with_weights(self, values: Any) -> ModelFrame:
        """The same frame with other prior weights, in the shapes of :meth:`with_response`.

        Raises
        ------
        DataError
            Another number of values, or weights that are not positive and finite.
        """
        name = self.asked.weights_name or "weights"
        weights = row_vector(self.source, values, "the new weights")
        check_weights(weights, name)
        return replace(
            self,
            rows=replace(self.rows, weights=weights),
            source=replace(self.source, raw_weights=self.source.everywhere(weights)),
            asked=replace(self.asked, weights_name=name),
        )

    def with_random(self, blocks: Sequence[RandomBlock]) -> ModelFrame:
        """The same frame with other random-effects terms, unchecked, for what computes with them:
        formula and source stay, and are those of the terms that were.
        """
        return replace(
            self,
            design=replace(self.design, random=tuple(block.term for block in blocks)),
            rows=replace(self.rows, random=tuple(block.rows for block in blocks)),
        )

    def with_columns(self, X: Array, names: Sequence[str], assign: Sequence[int]) -> ModelFrame:
        """The same frame with another fixed part, unchecked, for what computes with it: formula
        and source stay, and are those of the columns that were.

        Parameters
        ----------
        X : array (n, p)
        names : sequence of str
            Of the columns.
        assign : sequence of int
            Per column the number of its term in ``design.x_terms``, 0 for none.
        """
        return replace(
            self,
            design=replace(self.design, x_names=tuple(names), x_assign=tuple(assign)),
            rows=replace(self.rows, X=X),
        )

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
