"""Random terms in an expression: found, taken out, expanded, read as sums.

What lme4 calls ``findbars``, ``nobars``, ``expandDoubleVerts`` and ``subbars``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from lmerbridge.covariance import KINDS, PLAIN, Structure
from lmerbridge.errors import FormulaError
from lmerbridge.formula.functions import STRUCTURES
from lmerbridge.formula.parser import parse_expression
from lmerbridge.formula.syntax import (
    Argument,
    Binary,
    Call,
    Constant,
    Node,
    Number,
    Paren,
    Unary,
    deparse,
)
from lmerbridge.formula.terms import expand_terms

__all__ = [
    "Splitter",
    "bar_of",
    "bare",
    "expandDoubleVerts",
    "expand_double_bars",
    "findbars",
    "groupings",
    "holds_bar",
    "is_bar",
    "nobars",
    "structure_of",
    "subbars",
    "with_bar",
]


def bare(node: Node) -> Node:
    while isinstance(node, Paren):
        node = node.inner
    return node


def is_bar(node: Node) -> bool:
    if isinstance(node, Call):
        return node.function in STRUCTURES
    return isinstance(node, Binary) and node.operator in ("|", "||")


def bar_of(node: Node) -> Binary:
    """The bar itself, of a random term with its covariance structure around it or without."""
    inner = bare(node)
    if isinstance(inner, Call):
        inner = bare(inner.arguments[0].value)
    assert isinstance(inner, Binary)
    return inner


def structure_of(node: Node) -> Structure:
    """The covariance structure that a random term is given."""
    inner = bare(node)
    if not isinstance(inner, Call):
        return PLAIN
    hom = KINDS[inner.function]
    for argument in inner.arguments[1:]:
        assert isinstance(argument.value, Constant)
        hom = argument.value.name == "TRUE"
    return Structure(inner.function, hom)


def with_bar(node: Node, bar: Binary) -> Node:
    """The random term with another bar in its place."""
    inner = bare(node)
    if not isinstance(inner, Call):
        return bar
    return replace(inner, arguments=(Argument(None, bar), *inner.arguments[1:]))


def holds_bar(node: Node) -> bool:
    inner = bare(node)
    if is_bar(inner):
        return True
    if isinstance(inner, Binary):
        return holds_bar(inner.left) or holds_bar(inner.right)
    return isinstance(inner, Unary) and holds_bar(inner.operand)


class Splitter:
    """Takes the right-hand side apart into its fixed part and its bars."""

    def __init__(self, text: str):
        self.text = text
        self.bars: list[Node] = []

    def error(self, message: str, position: int) -> FormulaError:
        return FormulaError(message, self.text, position)

    def split(self, node: Node) -> Node | None:
        """The fixed part of ``node``, or ``None`` if it is all random terms."""
        inner = bare(node)
        if is_bar(inner):
            self.bars.append(inner)
            return None
        if not holds_bar(node):
            return node
        if isinstance(node, Paren):
            kept = self.split(node.inner)
            return None if kept is None else Paren(kept, node.position)
        if isinstance(node, Unary) and node.operator == "+":
            return self.split(node.operand)
        if isinstance(node, Binary) and node.operator in ("+", "-"):
            if node.operator == "-" and holds_bar(node.right):
                raise self.error("a random term can only be added, not taken away", node.position)
            left, right = self.split(node.left), self.split(node.right)
            if left is None:
                return (
                    Unary("-", right, node.position)
                    if (node.operator == "-" and right is not None)
                    else right
                )
            return left if right is None else Binary(node.operator, left, right, node.position)
        raise self.error(
            "a random term can only be added with '+' to the rest of the formula", node.position
        )


def expand_double_bars(node: Node, text: str) -> Node:
    """Replace each ``(a + b || g)`` by ``((1 | g) + (0 + a | g) + (0 + b | g))``."""
    match node:
        case Binary(operator="||"):
            terms = expand_terms(node.left, text)
            parts: list[Node] = [Number(1)] if terms.intercept else []
            for term in terms.terms:
                product = terms.variables[term[0]]
                for index in term[1:]:
                    product = Binary(":", product, terms.variables[index])
                parts.append(Binary("+", Number(0), product))
            if not parts:
                raise FormulaError("this random term has no columns", text, node.position)
            bars: list[Node] = [
                Paren(Binary("|", part, node.right, node.position), node.position) for part in parts
            ]
            joined = bars[0]
            for bar in bars[1:]:
                joined = Binary("+", joined, bar)
            return joined
        case Paren():
            return Paren(expand_double_bars(node.inner, text), node.position)
        case Binary() if node.operator != "|":
            return Binary(
                node.operator,
                expand_double_bars(node.left, text),
                expand_double_bars(node.right, text),
                node.position,
            )
        case _:
            return node


def nestings(node: Node, text: str) -> Iterator[Node]:
    """``a/b`` stands for ``b:a`` and ``a``; innermost first, as lme4 lists them."""
    return _levels(node, text, ("/",))


def groupings(node: Node, text: str) -> Iterator[Node]:
    """As :func:`nestings`, and as lme4 from 1.1-36 on has it ``a*b`` stands for ``a:b``, ``a`` and
    ``b``, ``a+b`` for ``a`` and ``b``.
    """
    return _levels(node, text, ("/", "*", "+"))


def _levels(node: Node, text: str, operators: tuple[str, ...]) -> Iterator[Node]:
    inner = bare(node)
    if not (isinstance(inner, Binary) and inner.operator in operators):
        yield node
        return
    left = list(_levels(inner.left, text, operators))
    right = list(_levels(inner.right, text, operators))
    if inner.operator == "/":
        outer = left
        for nested in reversed(right):
            largest: Node = outer[0]
            if isinstance(largest, Binary):
                largest = Paren(largest)
            outer = [Binary(":", nested, largest, inner.position), *outer]
        yield from outer
        return
    if inner.operator == "*":
        yield from (Binary(":", a, b, inner.position) for a in left for b in right)
    yield from (*left, *right)


# Operators that bind less tightly than "+": R writes their expressions in parentheses in a sum.
_LOOSE = frozenset({"&", "&&", "==", "!=", "<", ">", "<=", ">="})


def _summand(node: Node, right: bool) -> Node:
    """The node as R writes it in a sum, on the right of the sign or on the left."""
    loose = isinstance(node, Binary) and (
        node.operator in _LOOSE or (right and node.operator in ("+", "-"))
    )
    negated = isinstance(node, Unary) and node.operator == "!"
    return Paren(node) if loose or negated else node


def _summed_bars(node: Node) -> Node:
    """Replace each ``(a | g)`` and ``(a || g)`` by ``(a + g)``."""
    match node:
        case Paren():
            return Paren(_summed_bars(node.inner), node.position)
        case Unary():
            return Unary(node.operator, _summed_bars(node.operand), node.position)
        case Call() if is_bar(node):
            return Paren(_summed_bars(bar_of(node)), node.position)
        case Binary():
            left, right = _summed_bars(node.left), _summed_bars(node.right)
            if is_bar(node):
                return Binary("+", _summand(left, False), _summand(right, True), node.position)
            return Binary(node.operator, left, right, node.position)
        case _:
            return node


def _read(formula: str) -> tuple[Node | None, Node, bool]:
    """Return the response, the rest, and whether there is a ``~``."""
    if not isinstance(formula, str):
        raise FormulaError(f"a formula is a string, not {type(formula).__name__}")
    whole = parse_expression(formula)
    if isinstance(whole, Binary) and whole.operator == "~":
        if holds_bar(whole.left):
            raise FormulaError("the response cannot hold a random term", formula, whole.position)
        if isinstance(whole.left, Binary) and whole.left.operator == "~":
            raise FormulaError("a formula has one '~'", formula, whole.position)
        return whole.left, whole.right, True
    if isinstance(whole, Unary) and whole.operator == "~":
        return None, whole.operand, True
    return None, whole, False


def _written(response: Node | None, right: Node, tilde: bool) -> str:
    if response is not None:
        right = Binary("~", response, right)
    elif tilde:
        right = Unary("~", right)
    return deparse(right, integers=True)


def nobars(formula: str) -> str:
    """Take the random terms out of a formula.

    Parameters
    ----------
    formula : str
        With or without a response; without a ``~`` it is read as a right-hand side.

    Returns
    -------
    str
        The rest as R writes it; ``1`` stands where nothing is left.

    Raises
    ------
    FormulaError
        It is none, or has a random term that is not added to the rest.

    Examples
    --------
    >>> nobars("Reaction ~ Days + (Days | Subject)")
    'Reaction ~ Days'
    """
    response, right, tilde = _read(formula)
    fixed = Splitter(formula).split(right)
    return _written(response, Number(1) if fixed is None else fixed, tilde)


def findbars(formula: str) -> list[str]:
    """List the random terms of a formula, ``||`` and ``/`` expanded.

    Parameters
    ----------
    formula : str
        With or without a response; without a ``~`` it is read as a right-hand side.

    Returns
    -------
    list of str
        ``columns | grouping`` as R writes each, without parentheses; empty where there are none.

    Raises
    ------
    FormulaError
        It is none, or has a random term that is not added to the rest.

    Examples
    --------
    >>> findbars("y ~ x + (x || g) + (1 | a/b)")
    ['1 | g', '0 + x | g', '1 | b:a', '1 | a']
    """
    _, right, _ = _read(formula)
    splitter = Splitter(formula)
    splitter.split(expand_double_bars(right, formula))
    return [
        deparse(with_bar(term, Binary("|", bar_of(term).left, group)), integers=True)
        for term in splitter.bars
        for group in nestings(bar_of(term).right, formula)
    ]


def subbars(formula: str) -> str:
    """Write the bars of a formula as ``+``: it then names every variable of the model as a term.

    Parameters
    ----------
    formula : str
        With or without a response; without a ``~`` it is read as a right-hand side.

    Returns
    -------
    str
        As R writes it.

    Raises
    ------
    FormulaError
        It is none.

    Examples
    --------
    >>> subbars("Reaction ~ Days + (Days | Subject)")
    'Reaction ~ Days + (Days + Subject)'
    """
    response, right, tilde = _read(formula)
    return _written(response, _summed_bars(right), tilde)


def expandDoubleVerts(formula: str) -> str:
    """Write each ``(a + b || g)`` of a formula as random terms that are not correlated.

    Parameters
    ----------
    formula : str
        With or without a response; without a ``~`` it is read as a right-hand side.

    Returns
    -------
    str
        As R writes it.

    Raises
    ------
    FormulaError
        It is none, or has a random term without columns.

    Examples
    --------
    >>> expandDoubleVerts("y ~ x + (x || g)")
    'y ~ x + ((1 | g) + (0 + x | g))'
    """
    response, right, tilde = _read(formula)
    return _written(response, expand_double_bars(right, formula), tilde)
