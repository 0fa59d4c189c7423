"""Evaluation of a formula's expressions on columns, by R's rules.

Nothing here runs text as code: nodes are walked, and the functions are those of
:mod:`lmerbridge.design.functions`.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import replace
from typing import Any

import numpy as np

from lmerbridge.design.columns import Array, Column, Factor, Logical, Numeric, as_factor
from lmerbridge.design.constants import CONSTANTS
from lmerbridge.design.contrasts import Contrast
from lmerbridge.design.functions import FUNCTIONS
from lmerbridge.design.times import (
    SECONDS,
    Moment,
    Time,
    result_of,
    time_of_text,
    unit_of_difference,
)
from lmerbridge.design.values import (
    Arguments,
    Value,
    column_of,
    is_integer,
    numbers_of,
    plain_values,
    text_of,
    time_in,
)
from lmerbridge.errors import DataError, FormulaError, near_match
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
    names_in,
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
# of two integers, these give an integer
_WHOLE = frozenset({"+", "-", "*", "%%", "%/%"})
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
        Name to :class:`Column`; raises ``DataError`` for an unknown name. Not asked for R's
        constants, unless ``has`` knows a column of that name.
    rows : int
    has : container of str
        The columns there are.
    memory : dict, optional
        What data-dependent functions learned, by the text of the call; filled here on the
        first evaluation, and obeyed where it is already filled.
    """

    def __init__(
        self,
        column: Callable[[str], Column],
        rows: int,
        has: Container[str] = (),
        memory: dict[str, dict[Any, Any]] | None = None,
    ):
        self.lookup = column
        self.has = has
        self.rows = rows
        self.memory: dict[str, dict[Any, Any]] = {} if memory is None else memory

    def column(self, node: Node) -> Column:
        """``node`` as a column with a row per row of the data."""
        value = self.value(node)
        if isinstance(value, str):
            raise FormulaError(f"{deparse(node)} is a string, not a variable")
        if not isinstance(value, (Numeric, Logical, Factor)) or all(
            self.is_constant(name.id) for name in names_in(node)
        ):
            raise DataError(
                f"variable lengths differ: {deparse(node)} is not a column with a value for each "
                f"of the {self.rows} rows"
            )
        return value

    def is_constant(self, name: str) -> bool:
        """Whether ``name`` is one of R's own here, and no column."""
        return name in CONSTANTS and name not in self.has

    def value(self, node: Node) -> Value:
        """Evaluate a node."""
        match node:
            case Name():
                return CONSTANTS[node.id] if self.is_constant(node.id) else self.lookup(node.id)
            case Number():
                return int(node.value) if node.integer else node.value
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
        """Evaluate ``-a``, ``+a`` or ``!a``."""
        value = self.value(node.operand)
        if node.operator == "!":
            if isinstance(value, bool):
                return not value
            return Logical(1.0 - _truth(numbers_of(value, "!")))
        if isinstance(value, (int, float)):
            return -value if node.operator == "-" else +value
        column = column_of(value, self.rows, node.operator)
        numbers = numbers_of(column, node.operator)
        if not isinstance(column, Numeric):
            return Numeric(-numbers if node.operator == "-" else numbers, integer=True)
        if column.time is not None and not column.time.is_difference:
            raise DataError(f"{deparse(node)}: not defined for {column.time.kind!r} objects")
        return replace(
            column,
            values=-numbers if node.operator == "-" else numbers,
            integer=is_integer(column),
            exact=None,
        )

    def binary(self, node: Binary) -> Value:
        """Evaluate ``a + b``, ``a < b``, ``a %in% b`` and their like."""
        operator = node.operator
        left, right = self.value(node.left), self.value(node.right)
        if operator == "%in%":
            return self.is_in(left, right)
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
            return _sequence(left, right, deparse(node))
        if operator not in _ARITHMETIC:
            raise DataError(f"{operator!r} has no meaning inside {deparse(node)}")
        return self.arithmetic(node, left, right)

    def arithmetic(self, node: Binary, left: Value, right: Value) -> Value:
        """Compute with two values that are evaluated, times and whole numbers as R has them."""
        operator = node.operator
        function = _ARITHMETIC[operator]
        label = deparse(node)
        time, *scales = result_of(operator, time_in(left), time_in(right), label)
        if time is not None and time.is_difference:
            time, scales = self.difference(label, left, right, time, scales)
        left, right = (v.value if isinstance(v, Moment) else v for v in (left, right))
        whole = operator in _WHOLE and is_integer(left) and is_integer(right)
        if isinstance(left, list) or isinstance(right, list):
            return _of_constants(operator, left, right, label, whole)
        with np.errstate(all="ignore"):
            if isinstance(left, (int, float)) and isinstance(right, (int, float)):
                a, b = (
                    np.asarray(float(v)) * k for v, k in zip((left, right), scales, strict=True)
                )
                result = float(function(a, b))
                if time is not None:
                    return Moment(result, time)
                return int(result) if whole and np.isfinite(result) else result
            columns = [column_of(v, self.rows, operator) for v in (left, right)]
            a, b = (numbers_of(c, operator) for c in columns)
            a, b = (x if k == 1 else x * k for x, k in zip((a, b), scales, strict=True))
            if a.ndim != b.ndim:
                a, b = (x.reshape(self.rows, -1) for x in (a, b))
            if operator == "^" and isinstance(right, (int, float)) and right == 2:
                function, b = np.multiply, a  # exactly rounded, as in R
            names = next((c.names for c in columns if isinstance(c, Numeric) and c.names), None)
            return Numeric(function(a, b), names, integer=whole, time=time)

    def difference(
        self, label: str, left: Value, right: Value, time: Time, scales: list[float]
    ) -> tuple[Time, list[float]]:
        """The unit of a difference of instants, which R chooses by its size: in the fit."""
        first = time_in(left)
        if first is None or first.kind != "POSIXct":  # of dates it is always in days
            return time, scales
        learned = self.memory.setdefault(label, {})
        if "unit" not in learned:
            a, b = (
                np.asarray(v.value if isinstance(v, Moment) else numbers_of(v, "-"))
                for v in (left, right)
            )
            learned["unit"] = unit_of_difference(np.atleast_1d(a - b))
        unit = str(learned["unit"])
        return Time("difftime", unit), [1 / SECONDS[unit]] * 2

    def is_in(self, left: Value, right: Value) -> Value:
        """R's ``%in%`` of a column and constants, or another column: never missing."""
        column = column_of(left, self.rows, "%in%")
        if isinstance(right, (Numeric, Logical, Factor)):
            set_ = as_factor(right)
            texts, numbers = set(set_.levels), None
            if not isinstance(right, Factor):
                numbers = right.values[~np.isnan(right.values.astype(float))]
        else:
            plain = plain_values(right, "%in%")
            texts = {text_of(v) for v in plain}
            only_numbers = all(not isinstance(v, str) for v in plain)
            numbers = np.array(plain, dtype=float) if only_numbers else None
        if numbers is None and time_in(column) is not None:  # R's answer depends on its version
            raise DataError("%in% of dates and texts: write factor(day) %in% c('2024-01-31')")
        if isinstance(column, Factor) or numbers is None:
            factor = as_factor(column)
            found = np.array([*(level in texts for level in factor.levels), False])
            return Logical(found[factor.codes].astype(float))
        return Logical(np.isin(numbers_of(column, "%in%"), numbers).astype(float))

    def compare(self, operator: str, left: Value, right: Value) -> Value:
        """Compare two values: numbers, times, texts or a factor's levels."""
        if isinstance(right, Factor) and isinstance(left, str):
            mirrored = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
            return self.compare(mirrored.get(operator, operator), right, left)
        if isinstance(left, Factor):
            return self.compare_factor(operator, left, right)
        first, second = time_in(left), time_in(right)
        if first is not None and isinstance(right, str):
            right = time_of_text(right, first)
        elif second is not None and isinstance(left, str):
            left = time_of_text(left, second)
        elif first is not None and second is not None and first.kind != second.kind:
            raise DataError(f"{operator!r} cannot compare {first.kind!r} with {second.kind!r}")
        left, right = (v.value if isinstance(v, Moment) else v for v in (left, right))
        if isinstance(left, str) or isinstance(right, str):
            raise DataError(
                f"{operator!r} cannot compare numbers with the text "
                f"{left if isinstance(left, str) else right!r}; write the number without quotes"
            )
        a, b = (numbers_of(column_of(v, self.rows, operator), operator) for v in (left, right))
        result = _COMPARISONS[operator](a, b).astype(float)
        return Logical(np.where(np.isnan(a) | np.isnan(b), np.nan, result))

    def compare_factor(self, operator: str, left: Factor, right: Value) -> Value:
        """Compare a factor with a level or another factor; in their order where it is ordered."""
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
        """Evaluate a call: match its arguments to the function's parameters, and call ours of that
        name.
        """
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
        text = deparse(node)
        texts = tuple(deparse(a.value) for a in node.arguments)
        memory = self.memory.setdefault(text, {})
        if function == "cbind" and "names" not in memory:
            memory["names"] = tuple(
                a.name or (a.value.id if isinstance(a.value, Name) else str(i + 1))
                for i, a in enumerate(node.arguments)
            )
        return FUNCTIONS[function](Arguments(function, named, rest, self.rows, memory, text, texts))

    def argument(self, function: str, parameter: str, node: Node) -> Value:
        """Evaluate one argument of a call; contrasts may be given by their name."""
        if function == "C" and parameter == "contr" and isinstance(node, (Name, String)):
            name = node.id if isinstance(node, Name) else node.value
            if name not in CONTRAST_NAMES:
                raise DataError(
                    f"C(): unknown contrasts {quote_name(name)}"
                    f"{near_match(name, CONTRAST_NAMES)}; known: {', '.join(CONTRAST_NAMES)}"
                )
            return Contrast(CONTRAST_NAMES[name])
        return self.value(node)


def _of_constants(operator: str, left: Value, right: Value, label: str, whole: bool) -> list[Any]:
    """Arithmetic of constants, as in ``0:5 - 0.5``."""
    a, b = (np.array(plain_values(v, label), dtype=float) for v in (left, right))
    if len(a) != len(b) and 1 not in (len(a), len(b)):
        raise DataError(f"{label}: {len(a)} values and {len(b)}: lengths differ")
    with np.errstate(all="ignore"):
        values = _ARITHMETIC[operator](a, b).tolist()
    return [int(v) for v in values] if whole else values


def _sequence(left: Value, right: Value, label: str) -> list[Any]:
    """R's ``1:3``."""
    ends = [v for v in (left, right) if isinstance(v, (int, float)) and not isinstance(v, bool)]
    if len(ends) < 2 or not all(np.isfinite(ends)):
        raise DataError(f"{label}: ':' makes a sequence from one number to another")
    start, stop = ends
    count = int(np.floor(abs(stop - start) + 1e-10)) + 1
    step = 1 if stop >= start else -1
    whole = start == int(start)
    return [(int(start) if whole else start) + step * i for i in range(count)]


def _truth(values: Array) -> Array:
    return np.where(np.isnan(values), np.nan, (values != 0).astype(float))
