"""Evaluation of a formula's expressions on columns, by R's rules.

Nothing here runs text as code: nodes are walked, and the functions are those of
:mod:`lmerbridge.design.functions`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lmerbridge.design.columns import Array, Column, Factor, Logical, Numeric
from lmerbridge.design.contrasts import Contrast
from lmerbridge.design.functions import FUNCTIONS
from lmerbridge.design.values import Arguments, Value, column_of, numbers_of
from lmerbridge.errors import DataError, FormulaError
from lmerbridge.formula.functions import CONTRAST_NAMES, SIGNATURES
from lmerbridge.formula.syntax import (
    Binary,
    Call,
    Constant,
    Name,
    Node,
    Number,
    Paren,
    String,
    Unary,
    deparse,
    quote_name,
)

__all__ = ["Evaluator"]

_ARITHMETIC: dict[str, Callable[[Array, Array], Array]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "^": np.power,
    "%%": np.mod,
    "%/%": lambda a, b: np.floor(a / b),
}
_COMPARISONS: dict[str, Callable[[Any, Any], Array]] = {
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    ">": np.greater,
    "<=": np.less_equal,
    ">=": np.greater_equal,
}


class Evaluator:
    """Evaluates nodes on the columns that ``column`` looks up.

    Parameters
    ----------
    column : callable
        Name to :class:`Column`; raises ``DataError`` for an unknown name.
    rows : int
    memory : dict, optional
        What data-dependent functions learned, by the text of the call; filled here on the
        first evaluation, and obeyed where it is already filled.
    """

    def __init__(
        self,
        column: Callable[[str], Column],
        rows: int,
        memory: dict[str, dict[Any, Any]] | None = None,
    ):
        self.lookup = column
        self.rows = rows
        self.memory: dict[str, dict[Any, Any]] = {} if memory is None else memory

    def column(self, node: Node) -> Column:
        """``node`` as a column with a row per row of the data."""
        value = self.value(node)
        if isinstance(value, str):
            raise FormulaError(f"{deparse(node)} is a string, not a variable")
        if isinstance(value, list) or value is None or isinstance(value, Contrast):
            raise DataError(f"variable lengths differ: {deparse(node)} is not a column")
        return column_of(value, self.rows, deparse(node))

    def value(self, node: Node) -> Value:
        match node:
            case Name():
                return self.lookup(node.id)
            case Number():
                return node.value
            case String():
                return node.value
            case Constant():
                constants: dict[str, Value] = {
                    "TRUE": True,
                    "FALSE": False,
                    "NULL": None,
                    "NA": float("nan"),
                    "NaN": float("nan"),
                    "Inf": float("inf"),
                }
                return constants[node.name]
            case Paren():
                return self.value(node.inner)
            case Unary():
                return self.unary(node)
            case Binary():
                return self.binary(node)
            case Call():
                return self.call(node)

    def unary(self, node: Unary) -> Value:
        value = self.value(node.operand)
        if node.operator == "!":
            if isinstance(value, bool):
                return not value
            return Logical(1.0 - _truth(numbers_of(value, "!")))
        if isinstance(value, (int, float)):
            return -float(value) if node.operator == "-" else float(value)
        column = column_of(value, self.rows, node.operator)
        numbers = numbers_of(column, node.operator)
        names = column.names if isinstance(column, Numeric) else None
        return Numeric(-numbers if node.operator == "-" else numbers, names)

    def binary(self, node: Binary) -> Value:
        operator = node.operator
        left, right = self.value(node.left), self.value(node.right)
        if operator in _COMPARISONS:
            return self.compare(operator, left, right)
        if operator in ("&", "&&", "|", "||"):
            a = _truth(numbers_of(column_of(left, self.rows, operator), operator))
            b = _truth(numbers_of(column_of(right, self.rows, operator), operator))
            # FALSE & NA is FALSE, TRUE | NA is TRUE: fmin and fmax, then NA where undecided
            and_ = operator.startswith("&")
            decided = np.fmin(a, b) if and_ else np.fmax(a, b)
            unknown = (np.isnan(a) | np.isnan(b)) & (decided != (0.0 if and_ else 1.0))
            return Logical(np.where(unknown, np.nan, decided))
        if operator == ":":
            raise DataError(f"{deparse(node)}: ':' makes sequences in R; not supported here")
        if operator not in _ARITHMETIC:
            raise DataError(f"{operator!r} has no meaning inside {deparse(node)}")
        function = _ARITHMETIC[operator]
        with np.errstate(all="ignore"):
            if isinstance(left, (int, float)) and isinstance(right, (int, float)):
                return float(function(np.asarray(float(left)), np.asarray(float(right))))
            columns = [column_of(v, self.rows, operator) for v in (left, right)]
            a, b = (numbers_of(c, operator) for c in columns)
            if a.ndim != b.ndim:
                a, b = (x.reshape(self.rows, -1) for x in (a, b))
            names = next((c.names for c in columns if isinstance(c, Numeric) and c.names), None)
            return Numeric(function(a, b), names)

    def compare(self, operator: str, left: Value, right: Value) -> Value:
        if isinstance(right, Factor) and isinstance(left, str):
            mirrored = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
            return self.compare(mirrored.get(operator, operator), right, left)
        if isinstance(left, Factor):
            return self.compare_factor(operator, left, right)
        a, b = (numbers_of(column_of(v, self.rows, operator), operator) for v in (left, right))
        result = _COMPARISONS[operator](a, b).astype(float)
        return Logical(np.where(np.isnan(a) | np.isnan(b), np.nan, result))

    def compare_factor(self, operator: str, left: Factor, right: Value) -> Value:
        if isinstance(right, (int, float)) and not isinstance(right, bool):
            right = deparse(Number(float(right)))
        if isinstance(right, str):
            if left.ordered:
                if right not in left.levels:
                    return Logical(np.full(self.rows, np.nan))
                result = _COMPARISONS[operator](left.codes, left.levels.index(right))
            elif operator in ("==", "!="):
                code = left.levels.index(right) if right in left.levels else -2
                result = _COMPARISONS[operator](left.codes, code)
            else:
                raise DataError(f"{operator!r} is not meaningful for factors and strings")
            return Logical(np.where(left.codes < 0, np.nan, result.astype(float)))
        if isinstance(right, Factor) and operator in ("==", "!="):
            position = {level: i for i, level in enumerate(left.levels)}
            renumber = np.array([position.get(level, -2) for level in right.levels] + [-1])
            other = renumber[right.codes]
            result = _COMPARISONS[operator](left.codes, other).astype(float)
            return Logical(np.where((left.codes < 0) | (other == -1), np.nan, result))
        raise DataError(f"{operator!r} is not meaningful for factors and strings")

    def call(self, node: Call) -> Value:
        function = node.function.rpartition("::")[2]
        parameters = SIGNATURES[function]
        named: dict[str, Value] = {}
        unnamed: list[Node] = []
        for argument in node.arguments:
            if argument.name is None:
                unnamed.append(argument.value)
            else:
                named[argument.name] = self.argument(function, argument.name, argument.value)
        rest: list[Value] = []
        free = [p for p in parameters if p not in named]
        for node_ in unnamed:
            if free and free[0] == "...":
                rest.append(self.value(node_))
            elif free:
                name = free.pop(0)
                named[name] = self.argument(function, name, node_)
            else:
                raise FormulaError(f"{function}() has too many arguments in {deparse(node)}")
        memory = self.memory.setdefault(deparse(node), {})
        if function == "cbind" and "names" not in memory:
            memory["names"] = tuple(
                a.name or (a.value.id if isinstance(a.value, Name) else str(i + 1))
                for i, a in enumerate(node.arguments)
            )
        return FUNCTIONS[function](Arguments(function, named, rest, self.rows, memory))

    def argument(self, function: str, parameter: str, node: Node) -> Value:
        if function == "C" and parameter == "contr" and isinstance(node, Name):
            if node.id not in CONTRAST_NAMES:
                raise DataError(
                    f"C(): unknown contrasts {quote_name(node.id)}; "
                    f"known: {', '.join(CONTRAST_NAMES)}"
                )
            return Contrast(CONTRAST_NAMES[node.id])
        return self.value(node)


def _truth(values: Array) -> Array:
    return np.where(np.isnan(values), np.nan, (values != 0).astype(float))
