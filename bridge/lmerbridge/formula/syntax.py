"""Expressions of R's language as frozen nodes, and their text as R deparses it."""

from __future__ import annotations

import re
from collections.abc import Iterator
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
    "if else repeat while function for next break TRUE FALSE NULL Inf NaN NA "
    "NA_integer_ NA_real_ NA_character_ in".split()
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


def _pieces(node: Node) -> Iterator[str | None]:
    """Text fragments of ``node``; ``None`` marks a spot where R may break a long line."""
    match node:
        case Name():
            yield quote_name(node.id)
        case Number():
            yield format_number(node.value) + ("L" if node.integer else "")
        case String():
            yield _string(node.value)
        case Constant():
            yield node.name
        case Paren():
            yield "("
            yield from _pieces(node.inner)
            yield ")"
        case Unary():
            yield node.operator
            yield from _pieces(node.operand)
        case Binary():
            yield from _pieces(node.left)
            if node.operator in _TIGHT:
                yield node.operator
            else:
                yield f" {node.operator} "
                if node.operator not in ("~", "|", "||") and not node.operator.startswith("%"):
                    yield None
            yield from _pieces(node.right)
        case Call():
            yield node.function + "("
            for i, argument in enumerate(node.arguments):
                if i:
                    yield ", "
                yield None
                if argument.name is not None:
                    yield quote_name(argument.name) + " = "
                yield from _pieces(argument.value)
            yield ")"


def deparse(node: Node) -> str:
    """``node`` on one line, as R's ``deparse`` writes it."""
    return "".join(piece for piece in _pieces(node) if piece is not None)


def deparse_lines(node: Node, width: int = 60) -> list[str]:
    """``node`` as R's ``deparse(width.cutoff = width)`` writes it, a string per line.

    R starts a new line, indented by four blanks, at the first place that allows one once
    the line is longer than ``width``.
    """
    lines, line = [], ""
    for piece in _pieces(node):
        if piece is not None:
            line += piece
        elif len(line.encode()) > width:
            lines.append(line)
            line = "    "
    return [*lines, line]


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
            for argument in node.arguments:
                yield from names_in(argument.value)
        case _:
            return
