"""R expressions from text: a lexer and a precedence-climbing parser.

R's operators, loosest first (``?Syntax`` in R): ``~``, ``| ||``, ``& &&``, ``!``,
comparisons, binary ``+ -``, ``* /``, ``%any%``, ``:``, unary ``+ -``, ``^`` (to the right).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lmerbridge.errors import FormulaError, near_match
from lmerbridge.formula.functions import INSTEAD, PACKAGES, SIGNATURES, STRUCTURES
from lmerbridge.formula.syntax import (
    Argument,
    Binary,
    Call,
    Constant,
    Name,
    Node,
    Number,
    Paren,
    String,
    Unary,
)

__all__ = ["parse_expression"]

_TOKEN = re.compile(
    r"""
    (?P<space>[\s]+|\#[^\n]*)
  | (?P<number>0[xX][0-9a-fA-F]+L?|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?L?)
  | (?P<name>(?:[^\W\d_]|\.(?![0-9]))[\w.]*(?:::(?:[^\W\d_]|\.(?![0-9]))[\w.]*)?)
  | (?P<quoted>`(?:[^`\\]|\\.)+`)
  | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
  | (?P<operator>%[^%\s]*%|\*\*|<=|>=|==|!=|\|\||&&|[-+*/^:~|&!<>=(),])
    """,
    re.VERBOSE,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_CONSTANTS = frozenset({"TRUE", "FALSE", "NULL", "NA", "Inf", "NaN"})
_BINARY: dict[str, int] = {
    "~": 1,
    "|": 2,
    "||": 2,
    "&": 3,
    "&&": 3,
    "==": 5,
    "!=": 5,
    "<": 5,
    ">": 5,
    "<=": 5,
    ">=": 5,
    "+": 6,
    "-": 6,
    "*": 7,
    "/": 7,
    "%%": 8,
    "%/%": 8,
    "%in%": 8,
    ":": 9,
    "^": 11,
}
_NOT, _COMPARISON, _SIGN, _POWER = 4, 5, 10, 11


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    position: int


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), text, flags=re.DOTALL)


def _tokens(text: str) -> list[_Token]:
    tokens, position = [], 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            character = text[position]
            if character in "\"'`":
                raise FormulaError(f"this {character} is never closed", text, position)
            if character in "[{$@":
                raise FormulaError(
                    f"{character!r} is not allowed in a formula: make a column of it first",
                    text,
                    position,
                )
            raise FormulaError(f"unexpected {character!r}", text, position)
        kind = found.lastgroup
        if kind != "space":
            value = found.group()
            if kind == "operator" and value == "**":
                value = "^"
            tokens.append(_Token(str(kind), value, position))
        position = found.end()
    tokens.append(_Token("end", "", len(text)))
    return tokens


class _Parser:
    def __init__(self, text: str):
        self.text = text
        self.tokens = _tokens(text)
        self.index = 0

    @property
    def token(self) -> _Token:
        return self.tokens[self.index]

    def error(self, message: str, position: int | None = None) -> FormulaError:
        return FormulaError(
            message, self.text, self.token.position if position is None else position
        )

    def advance(self) -> _Token:
        token = self.token
        self.index += 1
        return token

    def at(self, operator: str) -> bool:
        return self.token.kind == "operator" and self.token.text == operator

    def parse(self) -> Node:
        node = self.expression(0)
        if self.token.kind != "end":
            if self.at(")"):
                raise self.error("this ')' closes nothing")
            if self.at("="):
                raise self.error("a single '=' has no meaning here; a formula uses '~'")
            raise self.error(f"unexpected {self.token.text!r}: an operator is missing before it")
        return node

    def expression(self, minimum: int) -> Node:
        left = self.prefix(minimum)
        while self.token.kind == "operator":
            operator = self.token.text
            if operator.startswith("%") and operator not in _BINARY:
                raise self.error(f"unknown operator {operator}; %%, %/% and %in% are known")
            power = _BINARY.get(operator)
            if power is None or power < minimum:
                break
            position = self.advance().position
            # ^ groups to the right, comparisons do not chain, all others group to the left.
            right = self.expression(_SIGN if operator == "^" else power + 1)
            left = Binary(operator, left, right, position)
            if power == _COMPARISON and _BINARY.get(self.token.text) == _COMPARISON:
                raise self.error("comparisons cannot be chained; use & between two of them")
        return left

    def prefix(self, minimum: int) -> Node:
        token = self.token
        if token.kind == "operator" and token.text in "+-":
            self.advance()
            return Unary(token.text, self.expression(_SIGN), token.position)
        if token.kind == "operator" and token.text == "!":
            self.advance()
            return Unary("!", self.expression(_NOT), token.position)
        if token.kind == "operator" and token.text == "~" and minimum == 0:
            self.advance()
            return Unary("~", self.expression(2), token.position)
        return self.atom()

    def atom(self) -> Node:
        token = self.token
        if token.kind == "end":
            raise self.error("the formula ends too early: something is missing here")
        self.advance()
        if token.kind == "number":
            integer = token.text.endswith("L")
            digits = token.text.rstrip("L")
            value = float(int(digits, 16)) if digits[:2].lower() == "0x" else float(digits)
            return Number(value, integer, token.position)
        if token.kind == "string":
            return String(_unescape(token.text[1:-1]), token.position)
        if token.kind == "quoted":
            return Name(_unescape(token.text[1:-1]), token.position)
        if token.kind == "name":
            if token.text in _CONSTANTS:
                return Constant(token.text, token.position)
            if self.at("("):
                return self.call(token)
            if "::" in token.text:
                if token.text.split("::")[1].startswith("contr."):
                    return Name(token.text.split("::")[1], token.position)
                raise self.error(
                    "'::' is only known in a call such as splines::bs(x)", token.position
                )
            return Name(token.text, token.position)
        if token.text == "(":
            inner = self.expression(0)
            if not self.at(")"):
                raise self.unclosed(token.position)
            self.advance()
            return Paren(inner, token.position)
        if token.text == ")":
            raise self.error("something is missing before this ')'", token.position)
        raise self.error(f"something is missing before {token.text!r}", token.position)

    def unclosed(self, position: int) -> FormulaError:
        if self.token.kind == "end":
            return self.error("this '(' is never closed", position)
        return self.error(f"unexpected {self.token.text!r}; ')' or an operator belongs here")

    def call(self, name: _Token) -> Node:
        package, _, function = name.text.rpartition("::")
        structure = not package and function in STRUCTURES
        if not structure and (function not in SIGNATURES or (package and package not in PACKAGES)):
            raise self.error(self.unknown_function(name.text), name.position)
        opening = self.advance().position
        arguments: list[Argument] = []
        while not self.at(")"):
            if arguments:
                if not self.at(","):
                    raise self.unclosed(opening)
                self.advance()
            arguments.append(self.argument(function))
        self.advance()
        if structure:
            return self.structured(Call(function, tuple(arguments), name.position))
        if not arguments and "..." not in SIGNATURES[function]:
            raise self.error(f"{function}() needs an argument", name.position)
        return Call(name.text, tuple(arguments), name.position)

    def structured(self, call: Call) -> Call:
        """The call of a covariance structure, if it is one."""
        name = call.function
        inner = call.arguments[0].value if call.arguments else None
        while isinstance(inner, Paren):
            inner = inner.inner
        bar = isinstance(inner, Binary) and inner.operator in ("|", "||")
        if not bar or call.arguments[0].name is not None:
            raise self.error(
                f"{name}() stands around a random term, as in {name}(x | g)", call.position
            )
        assert isinstance(inner, Binary)
        if inner.operator == "||":
            raise self.error(
                f"{name}() takes one bar, as in {name}(x | g): it says itself which effects "
                "are correlated",
                inner.position,
            )
        given = call.arguments[1:]
        if len(given) > 1 or any(a.name is None for a in given):
            raise self.error(f"{name}() takes a random term and hom =", call.position)
        for argument in given:
            value = argument.value
            if not (isinstance(value, Constant) and value.name in ("TRUE", "FALSE")):
                raise self.error("hom is TRUE or FALSE", call.position)
            if name == "us" and value.name == "TRUE":
                raise self.error(
                    "us() has a variance for each column; hom = TRUE is for diag(), cs() and ar1()",
                    call.position,
                )
        return call

    def unknown_function(self, name: str) -> str:
        start = f"the function {name!r} is not one that a formula may use"
        if name in INSTEAD:
            return f"{start}; {INSTEAD[name]}"
        module, _, last = name.rpartition(".")
        if module in ("np", "numpy", "math", "pd", "scipy") and last in SIGNATURES:
            return f"{start}: formulas are in R's words; write {last}()"
        known = "" if "::" in name else near_match(name, SIGNATURES)
        return f"{start}{known}; make a column of it first. Known: {', '.join(SIGNATURES)}"

    def argument(self, function: str) -> Argument:
        token = self.token
        following = self.tokens[self.index + 1] if token.kind != "end" else token
        named = following.kind == "operator" and following.text == "="
        if named and token.kind in ("name", "quoted", "string"):
            known = STRUCTURES.get(function) or SIGNATURES[function]
            name = token.text.strip("`\"'")
            if name not in known or name == "...":
                raise self.error(
                    f"{function}() has no argument {name!r}"
                    f"{near_match(name, known)}; it has {', '.join(known)}"
                )
            self.advance()
            self.advance()
            return Argument(name, self.expression(2))
        return Argument(None, self.expression(2))


def parse_expression(text: str) -> Node:
    """Parse R code of one expression into nodes.

    Raises
    ------
    FormulaError
        On a syntax error or a function that is not on the list, with a caret at the spot.
    """
    if not text.strip():
        raise FormulaError("the formula is empty", text, 0)
    return _Parser(text).parse()
