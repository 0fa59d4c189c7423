"""Likelihood-ratio tests between models, mixed ones and regressions: ``anova(m1, m2)``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np

from lmerbridge.dialects import dialect_of, without_r
from lmerbridge.display.anova import table_of_tests
from lmerbridge.display.table import RTable
from lmerbridge.equality import by_value
from lmerbridge.errors import DataError
from lmerbridge.inference.anova import Fitted, anova_of_models
from lmerbridge.inference.fit import Fit
from lmerbridge.messages import tell
from lmerbridge.model.fitting import by_maximum_likelihood
from lmerbridge.model.names import caller_name

__all__ = ["Comparable", "Compared", "compared_fit", "comparison", "model_names", "one_line"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


@by_value
@dataclass(frozen=True, eq=False)
class Compared:
    """A model as a comparison sees it.

    Attributes
    ----------
    fitted : Fitted
        By maximum likelihood, where that was asked for.
    response : array (n,), or None where it is not known
    restricted : bool
        Whether the model itself was fitted by REML.
    fit : Fit, optional
        Of a mixed model.
    """

    fitted: Fitted
    response: Array | None
    restricted: bool = False
    fit: Fit | None = None


@runtime_checkable
class Comparable(Protocol):
    """A model that can stand in a comparison."""

    def compared(self, name: str, refit: bool) -> Compared:
        """Return it under a name; ``refit``: by maximum likelihood if it is by REML."""
        ...


def one_line(lines: Sequence[str]) -> str:
    """Return the lines of a formula as one."""
    return " ".join(line.strip() for line in lines)


def compared_fit(fit: Fit, name: str, refit: bool) -> Compared:
    """Return a mixed model as a comparison sees it."""
    restricted = fit.result.call.REML
    result = by_maximum_likelihood(fit).result if refit and restricted else fit.result
    fitted = Fitted(
        name,
        one_line(result.call.formula_lines),
        result.criterion.parameters,
        result.criterion.logLik,
        result.data.nobs,
        result.call.data_name,
        result.call.subset,
    )
    response = None if fit.frame_given is None else fit.frame_given.y
    return Compared(fitted, response, restricted, fit)


def model_names(models: Sequence[Any]) -> list[str]:
    """Return the names of the caller's variables that hold the models, or generic ones."""
    names = [caller_name(m) or f"MODEL{number}" for number, m in enumerate(models, 1)]
    if len(set(names)) < len(names):
        names = [f"MODEL{number}" for number in range(1, len(names) + 1)]
        tell("failed to find model names, assigning generic names")
    return names


def comparison(models: Sequence[Any], names: Sequence[str], refit: bool) -> RTable:
    """Compare models in order of their number of parameters.

    Parameters
    ----------
    models : sequence of Comparable
    names : sequence of str
    refit : bool
        Fit REML models again by maximum likelihood first.

    Raises
    ------
    DataError
        What is compared is no model, or the models are of different responses.
    """
    for model in models:
        if not isinstance(model, Comparable):
            raise DataError(
                f"anova() compares models, not {type(model).__name__}; for one model's terms "
                "name the other arguments: type=, ddf="
            )
    if len(names) != len(models):
        raise DataError(f"model_names has {len(names)} names for {len(models)} models")
    plain = [model.compared(name, False) for model, name in zip(models, names, strict=True)]
    _check_same_response(plain)
    restricted = [m for m in plain if m.restricted]
    notes: tuple[str, ...] = ()
    if refit and restricted:
        notes = ("refitting model(s) with ML (instead of REML)",)
    elif restricted and len(restricted) < len(models):
        notes = ("some models fit with REML = TRUE, some not",)
    first = next((m.fit for m in plain if m.fit is not None), None)
    dialect = without_r() if first is None else dialect_of(first.result)
    fitted = [
        model.compared(name, True).fitted if refit and own.restricted else own.fitted
        for model, name, own in zip(models, names, plain, strict=True)
    ]
    found = table_of_tests(anova_of_models(fitted, notes, dialect.deviance))
    for note in found.notes:
        tell(note)
    return found


def _check_same_response(models: Sequence[Compared]) -> None:
    first, *rest = [m.response for m in models]
    for other in rest:
        if first is None or other is None or len(first) != len(other):
            continue  # another number of rows is named later
        if not np.array_equal(first, other):
            raise DataError(
                "models were not fitted to the same response: likelihoods of different data "
                "cannot be compared"
            )
