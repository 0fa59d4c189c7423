"""``update(m, . ~ . + x)``: a new formula from an old one, as R's ``update`` makes it."""

from __future__ import annotations

from dataclasses import dataclass, field

from lmerbridge.errors import FormulaError
from lmerbridge.formula.model_formula import Formula
from lmerbridge.formula.parser import parse_expression
from lmerbridge.formula.syntax import (
    Binary,
    Name,
    Node,
    Paren,
    Unary,
    deparse,
    substitute_dot,
)
from lmerbridge.formula.terms import expand_terms

__all__ = ["update_formula"]


def _bar(node: Node) -> Binary | None:
    while isinstance(node, Paren):
        node = node.inner
    return node if isinstance(node, Binary) and node.operator in ("|", "||") else None


def _has_bar(node: Node) -> bool:
    if _bar(node) is not None:
        return True
    match node:
        case Paren():
            return _has_bar(node.inner)
        case Unary():
            return _has_bar(node.operand)
        case Binary():
            return _has_bar(node.left) or _has_bar(node.right)
        case _:
            return False


@dataclass
class _Parts:
    text: str
    fixed: Node | None = None
    bars: list[str] = field(default_factory=list)

    def add(self, node: Node, sign: str) -> None:
        bar = _bar(node)
        if bar is not None:
            label = deparse(bar)
            if sign == "+":
                self.bars += [] if label in self.bars else [label]
            elif label in self.bars:
                self.bars.remove(label)
            else:
                raise FormulaError(
                    f"there is no random term ({label}) to take away", self.text, node.position
                )
        elif not _has_bar(node):
            if self.fixed is None:
                self.fixed = Unary("-", node) if sign == "-" else node
            else:
                self.fixed = Binary(sign, self.fixed, node)
        elif isinstance(node, Paren):
            self.add(node.inner, sign)
        elif isinstance(node, Unary) and node.operator in "+-":
            self.add(node.operand, "-" if node.operator != sign else "+")
        elif isinstance(node, Binary) and node.operator in "+-":
            self.add(node.left, sign)
            flipped = {"+": "-", "-": "+"}
            self.add(node.right, node.operator if sign == "+" else flipped[node.operator])
        else:
            raise FormulaError(
                "a random term can only be added or taken away", self.text, node.position
            )


def update_formula(old: Formula, new: str) -> str:
    """The text of ``old`` changed by ``new``, in which ``.`` is what was there.

    Raises
    ------
    FormulaError
    """
    changed = parse_expression(new)
    if isinstance(changed, Unary) and changed.operator == "~":
        changed = Binary("~", Name("."), changed.operand, changed.position)
    if not (isinstance(changed, Binary) and changed.operator == "~"):
        raise FormulaError("a formula needs a '~', as in '. ~ . + x'", new, len(new))
    whole = old.expanded
    assert isinstance(whole, Binary)
    response = (
        old.response
        if deparse(changed.left) == "."
        else (substitute_dot(changed.left, old.response))
    )
    parts = _Parts(new)
    parts.add(substitute_dot(changed.right, whole.right), "+")
    terms = expand_terms(parts.fixed, new, dot=None if not old.has_dot else (".",))
    written = [*terms.labels, *(deparse(o) for o in terms.offsets)]
    written += [f"({bar})" for bar in parts.bars]
    if not terms.labels and terms.intercept and not terms.offsets and not parts.bars:
        written = ["1"]
    right = " + ".join(written)
    return f"{deparse(response)} ~ {right}{'' if terms.intercept else ' - 1'}"
