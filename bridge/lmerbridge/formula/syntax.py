"""Expressions of R's language as frozen nodes, and their text as R deparses it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

__all__ = [
    "Argument",
    "Binary",
    "Call",
    "Constant",
    "Name",
    "Node",
    "Number",
    "Paren",
    "String",
    "Unary",
    "deparse",
    "deparse_lines",
    "format_number",
    "names_in",
    "quote_name",
    "renamed",
    "substitute_dot",
]


@dataclass(frozen=True)
class Name:
    """A variable. ``position`` is its index in the formula text."""

    id: str
    position: int = 0


@dataclass(frozen=True)
class Number:
    value: float
    integer: bool = False
    position: int = 0


@dataclass(frozen=True)
class String:
    value: str
    position: int = 0


@dataclass(frozen=True)
class Constant:
    """``TRUE``, ``FALSE``, ``NULL``, ``NA``, ``Inf`` or ``NaN``."""

    name: str
    position: int = 0


@dataclass(frozen=True)
class Argument:
    name: str | None
    value: Node


@dataclass(frozen=True)
class Call:
    function: str
    arguments: tuple[Argument, ...]
    position: int = 0


@dataclass(frozen=True)
class Unary:
    operator: str
    operand: Node
    position: int = 0


@dataclass(frozen=True)
class Binary:
    operator: str
    left: Node
    right: Node
    position: int = 0


@dataclass(frozen=True)
class Paren:
    inner: Node
    position: int = 0


Node: TypeAlias = Name | Number | String | Constant | Call | Unary | Binary | Paren

_SYNTACTIC = re.compile(r"(?:[^\W\d_]|\.(?![0-9]))[\w.]*\Z")
_RESERVED = frozenset(
    {"if", "else", "repeat", "while", "function", "for", "next", "break", "in"}
    | {"TRUE", "FALSE", "NULL", "Inf", "NaN", "NA"}
    | {"NA_integer_", "NA_real_", "NA_character_"}
)
# R puts no space round these; round all others it does.
_TIGHT = frozenset({"^", ":", "/", "%%", "%/%"})


def quote_name(name: str) -> str:
    """``name`` as R writes it in code: in backticks if it is not a syntactic name."""
    if _SYNTACTIC.match(name) and name not in _RESERVED:
        return name
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def format_number(value: float, digits: int = 15) -> str:
    """``value`` as R prints a single number with ``digits`` significant digits.

    The shortest number of digits that still shows ``digits`` significant ones; scientific
    where that is narrower (R's ``scipen = 0``).
    """
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Inf" if value > 0 else "-Inf"
    if value == 0:
        return "0"
    mantissa, exponent_text = f"{value:.{digits - 1}e}".split("e")
    exponent = int(exponent_text)
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    significant = len(mantissa.replace("-", "").replace(".", ""))
    decimals = max(0, significant - 1 - exponent)
    fixed = f"{value:.{decimals}f}"
    scientific = f"{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    return fixed if len(fixed) <= len(scientific) else scientific


def _string(value: str) -> str:
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    return '"' + "".join(escapes.get(c, c) for c in value) + '"'


class _Writer:
    """Writes R code, breaking lines where R's ``deparse`` does.

    R may break after a spaced operator and between arguments, as soon as the line is longer
    than ``width``; each construct that has been broken indents its rest by four blanks.
    """

    def __init__(self, width: float, integers: bool):
        self.width = width
        self.integers = integers
        self.lines: list[str] = []
        self.line = ""
        self.indent = 0

    def may_break(self, broken: bool) -> bool:
        if len(self.line.encode()) <= self.width:
            return broken
        self.indent += not broken
        self.lines.append(self.line)
        self.line = "    " * self.indent
        return True

    def write(self, node: Node) -> None:
        broken = False
        match node:
            case Name():
                self.line += quote_name(node.id)
            case Number():
                whole = node.integer and self.integers
                self.line += format_number(node.value) + ("L" if whole else "")
            case String():
                self.line += _string(node.value)
            case Constant():
                self.line += node.name
            case Paren():
                self.line += "("
                self.write(node.inner)
                self.line += ")"
            case Unary():
                self.line += node.operator
                self.write(node.operand)
            case Binary():
                self.write(node.left)
                if node.operator in _TIGHT:
                    self.line += node.operator
                else:
                    self.line += f" {node.operator} "
                    if node.operator != "~":
                        broken = self.may_break(broken)
                self.write(node.right)
            case Call():
                self.line += node.function + "("
                for i, argument in enumerate(node.arguments):
                    if i:
                        self.line += ", "
                        broken = self.may_break(broken)
                    if argument.name is not None:
                        self.line += quote_name(argument.name) + " = "
                    self.write(argument.value)
                self.line += ")"
        self.indent -= broken


def deparse(node: Node, integers: bool = False) -> str:
    """``node`` on one line, as R's ``deparse`` writes it.

    In the labels of variables and terms R leaves out the ``L`` of whole numbers, so that
    ``factor(k + 1L)`` is called ``factor(k + 1)``; with ``integers`` it stays, as in a formula.
    """
    return deparse_lines(node, float("inf"), integers)[0]


def deparse_lines(node: Node, width: float = 60, integers: bool = True) -> list[str]:
    """``node`` as R's ``deparse(width.cutoff = width)`` writes it, a string per line."""
    writer = _Writer(width, integers)
    writer.write(node)
    return [*writer.lines, writer.line]


def _names_contrasts(function: str, argument: Argument) -> bool:
    """Whether this is the second argument of ``C(f, contr.sum)``: no variable."""
    return function == "C" and argument.name in (None, "contr") and isinstance(argument.value, Name)


def names_in(node: Node) -> Iterator[Name]:
    """All variables in ``node``, left to right (functions are not variables)."""
    match node:
        case Name():
            yield node
        case Paren():
            yield from names_in(node.inner)
        case Unary():
            yield from names_in(node.operand)
        case Binary():
            yield from names_in(node.left)
            yield from names_in(node.right)
        case Call():
            for i, argument in enumerate(node.arguments):
                if not (i > 0 and _names_contrasts(node.function, argument)):
                    yield from names_in(argument.value)
        case _:
            return


def substitute_dot(node: Node, replacement: Node) -> Node:
    """``node`` with ``(replacement)`` for every ``.``."""
    return substituted(node, lambda name: Paren(replacement) if name.id == "." else name)


def renamed(node: Node, names: Mapping[str, str]) -> Node:
    """``node`` with other names for some variables."""
    return substituted(node, lambda name: Name(names.get(name.id, name.id), name.position))


def substituted(node: Node, of: Callable[[Name], Node]) -> Node:
    """``node`` with ``of(name)`` for every variable."""
    match node:
        case Name():
            return of(node)
        case Paren():
            return Paren(substituted(node.inner, of), node.position)
        case Unary():
            return Unary(node.operator, substituted(node.operand, of), node.position)
        case Binary():
            return Binary(
                node.operator,
                substituted(node.left, of),
                substituted(node.right, of),
                node.position,
            )
        case Call():
            return Call(
                node.function,
                tuple(
                    a
                    if i > 0 and _names_contrasts(node.function, a)
                    else Argument(a.name, substituted(a.value, of))
                    for i, a in enumerate(node.arguments)
                ),
                node.position,
            )
        case _:
            return node
