"""Which random effects are meant: R's ``re.form``."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np

from lmerbridge.design import ModelFrame
from lmerbridge.design.columns import take
from lmerbridge.design.matrix import model_matrix
from lmerbridge.errors import ArgumentError, DataError, FormulaError
from lmerbridge.formula import parse_formula
from lmerbridge.formula.syntax import deparse

__all__ = ["NA", "chosen_effects", "every_effect", "is_na"]

NA = "NA"
Flags: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]


def is_na(re_form: Any) -> bool:
    """Whether ``re_form`` means none: ``"NA"``, ``"~0"``, ``False``, NaN, pandas.NA."""
    if isinstance(re_form, str):
        return re_form.replace(" ", "") in ("NA", "~0", "")
    if isinstance(re_form, bool):
        return not re_form
    if isinstance(re_form, float):
        return math.isnan(re_form)
    return type(re_form).__name__ == "NAType"


def every_effect(frame: ModelFrame) -> list[Flags]:
    """All columns of all random terms."""
    return [np.ones(len(block.names), dtype=bool) for block in frame.random]


def chosen_effects(frame: ModelFrame, re_form: Any) -> list[Flags]:
    """Per random term which of its columns count.

    Parameters
    ----------
    frame : ModelFrame
        The model frame of the fit.
    re_form : None, NA or str
        ``None``: all; NA (see :func:`is_na`): none; a formula of random terms, ``"~ (1 | g)"``:
        these, which must be among the model's.

    Raises
    ------
    DataError
        ``re_form`` is no such formula, has a response, or names a variable or a term that the
        random effects of the model have not.
    """
    if re_form is None or re_form is True:
        return every_effect(frame)
    found = [np.zeros(len(block.names), dtype=bool) for block in frame.random]
    if is_na(re_form):
        return found
    if not isinstance(re_form, str):
        raise ArgumentError(
            f"re_form must be None (all random effects), 'NA' (none), or a formula of random "
            f"terms such as '~ (1 | g)', not {re_form!r}"
        )
    text = re_form if "~" in re_form else f"~ {re_form}"
    if not text.strip().startswith("~"):
        raise DataError(f"re_form {re_form!r} must have no response")
    try:
        asked = parse_formula(f"{frame.formula.response_label} {text}").random
    except FormulaError as error:
        raise DataError(f"re_form {re_form!r}: {error}") from error
    for term in asked:
        variables = {}
        for variable in term.columns.variables:
            label = deparse(variable)
            if label not in frame.rows.variables:
                raise DataError(f"re_form {re_form!r}: the model has no variable {label}")
            variables[label] = take(frame.rows.variables[label], np.arange(1))
        names = model_matrix(term.columns, variables, 1).names
        for name in names:
            where = [
                (i, block.names.index(name))
                for i, block in enumerate(frame.random)
                if block.group == term.grouping.label and name in block.names
            ]
            if not where:
                raise DataError(
                    f"re_form {re_form!r}: ({term.text}) is not part of the random effects of "
                    f"the model, which are {', '.join(f'({b.text})' for b in frame.random)}"
                )
            for i, j in where:
                found[i][j] = True
    return found
