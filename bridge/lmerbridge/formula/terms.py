"""The fixed part of a formula as terms: Wilkinson-Rogers expansion in R's order.

Chambers & Hastie (1992), *Statistical Models in S*, section 2.4, says what the operators
mean; the order of terms is that of R's ``terms()``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from lmerbridge.errors import FormulaError
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
)

__all__ = ["Terms", "expand_terms", "is_offset"]


@dataclass(frozen=True)
class Terms:
    """Terms of one side of a formula.

    Attributes
    ----------
    variables : tuple of Node
        Every variable (a name or a call), in order of first appearance.
    terms : tuple of tuple of int
        Per term the indices of its variables, ascending: by degree, then by appearance.
    intercept : bool
    offsets : tuple of Node
        The ``offset()`` calls.
    variable_labels, labels : tuple of str
        The variables' and the terms' texts.
    """

    variables: tuple[Node, ...]
    terms: tuple[tuple[int, ...], ...]
    intercept: bool
    offsets: tuple[Node, ...] = ()
    variable_labels: tuple[str, ...] = field(init=False)
    labels: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        names = tuple(deparse(v) for v in self.variables)
        object.__setattr__(self, "variable_labels", names)
        labels = tuple(":".join(names[i] for i in term) for term in self.terms)
        object.__setattr__(self, "labels", labels)

    @property
    def by_contrasts(self) -> tuple[dict[int, bool], ...]:
        """Per term and variable: whether R codes it by contrasts (1 in the matrix ``factors`` of a
        terms object), or by indicators of all levels (2), as where no earlier term contains the
        term without it. Main effects count as coded by contrasts whatever the intercept.
        """
        coding: list[dict[int, bool]] = []
        before: list[frozenset[int]] = [frozenset()]
        for term in self.terms:
            whole = frozenset(term)
            coding.append({v: any(whole - {v} <= earlier for earlier in before) for v in term})
            before.append(whole)
        return tuple(coding)


def is_offset(node: Node) -> bool:
    return isinstance(node, Call) and node.function.rpartition("::")[2] == "offset"


class _Expansion:
    """Expands an expression; a term is a bit mask over ``variables``, 0 the intercept."""

    def __init__(self, text: str, dot: Iterable[str] | None):
        self.text = text
        self.dot = None if dot is None else list(dot)
        self.variables: list[Node] = []
        self.index: dict[str, int] = {}
        self.offsets: list[Node] = []
        self.intercept = True

    def variable(self, node: Node) -> int:
        label = deparse(node)
        if label not in self.index:
            self.index[label] = len(self.variables)
            self.variables.append(node)
        return 1 << self.index[label]

    def error(self, message: str, node: Node) -> FormulaError:
        return FormulaError(message, self.text, node.position)

    def expand(self, node: Node) -> list[int]:
        match node:
            case Name(id="."):
                if self.dot is None:
                    raise self.error("'.' has no meaning here", node)
                return _unique(self.variable(Name(c, node.position)) for c in self.dot)
            case Name():
                return [self.variable(node)]
            case Call():
                if is_offset(node):
                    if deparse(node) not in map(deparse, self.offsets):
                        self.offsets.append(node)
                    return []
                return [self.variable(node)]
            case Number(value=value) if value in (0, 1):
                self.intercept = value == 1
                return []
            case Number():
                raise self.error(
                    "a number other than 0 and 1 is not a term; write I(...) for arithmetic", node
                )
            case String() | Constant():
                raise self.error(f"{deparse(node)} is not a term", node)
            case Paren():
                return self.expand(node.inner)
            case Unary(operator="+"):
                return self.expand(node.operand)
            case Unary(operator="-"):
                return self.remove([], node.operand)
            case Unary(operator="~"):
                raise self.error("a second '~' has no meaning here", node)
            case Unary():
                return [self.variable(node)]
            case Binary():
                return self.binary(node)

    def remove(self, terms: list[int], node: Node) -> list[int]:
        inner = node
        while isinstance(inner, Paren):
            inner = inner.inner
        if isinstance(inner, Number) and inner.value in (0, 1):
            self.intercept = inner.value == 0
            return terms
        offsets = list(self.offsets)
        intercept = self.intercept
        gone = self.expand(node)
        self.intercept = intercept
        if len(self.offsets) > len(offsets):
            raise self.error("an offset cannot be taken away", node)
        return [t for t in terms if t not in gone]

    def binary(self, node: Binary) -> list[int]:
        operator = node.operator
        if operator == "+":
            return _unique([*self.expand(node.left), *self.expand(node.right)])
        if operator == "-":
            return self.remove(self.expand(node.left), node.right)
        if operator == "^":
            return self.power(node)
        if operator in ("*", ":", "/", "%in%"):
            left, right = self.expand(node.left), self.expand(node.right)
            if not left or not right:
                raise self.error(f"{operator!r} needs a variable on either side", node)
            if operator == ":":
                return _crossed(left, right)
            if operator == "*":
                return _unique([*left, *right, *_crossed(left, right)])
            if operator == "/":
                return _unique([*left, *_crossed([_joined(left)], right)])
            return _crossed(left, [_joined(right)])
        if operator in ("|", "||"):
            raise self.error("a random term must stand in parentheses, as in (1 | g)", node)
        if operator == "~":
            raise self.error("a second '~' has no meaning here", node)
        return [self.variable(node)]  # comparisons, %% and the like are R expressions

    def power(self, node: Binary) -> list[int]:
        exponent = node.right
        while isinstance(exponent, Paren):
            exponent = exponent.inner
        if not (
            isinstance(exponent, Number)
            and exponent.value >= 1
            and exponent.value == int(exponent.value)
        ):
            raise self.error(
                "the power of a term must be a whole number; write I(x^2) for arithmetic", node
            )
        base = self.expand(node.left)
        terms = base
        for _ in range(int(exponent.value) - 1):
            grown = _unique([*terms, *_crossed(terms, base)])
            if grown == terms:
                break
            terms = grown
        return terms


def _unique(terms: Iterable[int]) -> list[int]:
    return list(dict.fromkeys(terms))


def _crossed(left: list[int], right: list[int]) -> list[int]:
    return _unique(a | b for a in left for b in right)


def _joined(terms: list[int]) -> int:
    joined = 0
    for term in terms:
        joined |= term
    return joined


def expand_terms(node: Node | None, text: str = "", dot: Iterable[str] | None = None) -> Terms:
    """Expand the right-hand side ``node`` (``None``: the intercept alone).

    Parameters
    ----------
    node : Node or None
    text : str
        The formula, for error messages.
    dot : iterable of str, optional
        The columns that ``.`` stands for.
    """
    expansion = _Expansion(text, dot)
    masks = [] if node is None else expansion.expand(node)
    masks = [m for m in masks if m]
    masks.sort(key=int.bit_count)  # stable: within a degree, the order of appearance
    terms = tuple(
        tuple(i for i in range(len(expansion.variables)) if mask >> i & 1) for mask in masks
    )
    return Terms(tuple(expansion.variables), terms, expansion.intercept, tuple(expansion.offsets))
