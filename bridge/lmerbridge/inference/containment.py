"""Which fixed terms contain which: what decides the hypotheses of types II and III.

SAS Institute, "The four types of estimable functions": a term contains another if both have the
same continuous variables and it has all the factors of the other and more. R's terms say more of a
variable: whether it is coded by contrasts, or, where a margin is missing, by indicators of all
levels. lmerTest counts the variables that are coded by contrasts alone, as experiments with 600
formulas say: in ``a + a:b`` the term ``a:b`` is nested, its ``a`` is no factor beside ``b``, and it
does not contain ``a``.
"""

from __future__ import annotations

import numpy as np

from lmerbridge.design import ModelFrame
from lmerbridge.design.columns import Column, Numeric, take
from lmerbridge.design.matrix import model_matrix
from lmerbridge.formula.functions import ELEMENTWISE
from lmerbridge.formula.syntax import Binary, Call, Node, Paren, Unary, deparse
from lmerbridge.formula.terms import Terms

__all__ = ["containing", "every_column", "fixed_terms", "term_columns"]

_MATRICES = ("scale", "poly", "bs", "ns", "cbind")
_KEEPING_MATRICES = ("I", *ELEMENTWISE)  # what gives a matrix of a matrix
_ARITHMETIC = ("+", "-", "*", "/", "^", "%%", "%/%")


def fixed_terms(frame: ModelFrame) -> Terms:
    """The terms of the fixed part."""
    return frame.formula.terms(frame.design.dot_columns)


def every_column(frame: ModelFrame) -> list[str]:
    """The columns of X with those that were dropped, in R's order."""
    if not frame.design.x_dropped:
        return list(frame.x_names)
    terms = fixed_terms(frame)
    labels = [deparse(v) for v in terms.variables]
    head = {name: take(frame.rows.variables[name], np.arange(1)) for name in labels}
    return list(model_matrix(terms, head, 1, frame.design.contrasts).names)


def term_columns(frame: ModelFrame) -> dict[str, list[int]]:
    """Per term of the fixed part the columns of X that are its own (of those kept)."""
    assign = np.array(frame.design.x_assign)
    found = {
        label: np.flatnonzero(assign == number).tolist()
        for number, label in enumerate(frame.design.x_terms, 1)
    }
    return {label: columns for label, columns in found.items() if columns}


def _makes_matrix(node: Node) -> bool:
    """Whether R's value of ``node`` is a matrix, if only of one column, as that of ``scale()``."""
    match node:
        case Call():
            function = node.function.rpartition("::")[2]
            if function in _MATRICES:
                return True
            return function in _KEEPING_MATRICES and any(
                _makes_matrix(a.value) for a in node.arguments
            )
        case Binary():
            return node.operator in _ARITHMETIC and (
                _makes_matrix(node.left) or _makes_matrix(node.right)
            )
        case Paren():
            return _makes_matrix(node.inner)
        case Unary():
            return _makes_matrix(node.operand)
        case _:
            return False


def _is_continuous(node: Node, column: Column) -> bool:
    """Whether R's terms call the variable numeric: matrices are of a class of their own, and count
    with the factors.
    """
    return isinstance(column, Numeric) and column.values.ndim == 1 and not _makes_matrix(node)


def containing(frame: ModelFrame) -> dict[str, list[str]]:
    """Per term of the fixed part the terms that contain it, in the order of the formula."""
    terms = fixed_terms(frame)
    continuous = {
        i
        for i, node in enumerate(terms.variables)
        if _is_continuous(node, frame.rows.variables[deparse(node)])
    }
    counted = [frozenset(v for v, yes in modes.items() if yes) for modes in terms.by_contrasts]
    parts = {
        label: (own - continuous, own & continuous)
        for label, own in zip(terms.labels, counted, strict=True)
    }
    return {
        label: [
            other
            for other, (more, numbers) in parts.items()
            if other != label and numbers == parts[label][1] and parts[label][0] < more
        ]
        for label in parts
    }
