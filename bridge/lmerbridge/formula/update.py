"""``update(m, . ~ . + x)``: a new formula from an old one, as R's ``update`` makes it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from lmerbridge.errors import FormulaError
from lmerbridge.formula.bars import bare, is_bar
from lmerbridge.formula.model_formula import Formula
from lmerbridge.formula.parser import parse_expression
from lmerbridge.formula.syntax import (
    Binary,
    Call,
    Name,
    Node,
    Paren,
    Unary,
    deparse,
    substitute_dot,
)
from lmerbridge.formula.terms import expand_terms

__all__ = ["update_formula"]

_MARK = ".lmerbridge.random.term."  # a name that R writes without backticks


def _bar(node: Node) -> Node | None:
    inner = bare(node)
    return inner if is_bar(inner) else None


def _has_bar(node: Node) -> bool:
    return bool(_bars_in(node))


@dataclass
class _Bars:
    """Random terms stand for variables while terms are expanded and put in order, as in R."""

    text: str
    labels: list[str] = field(default_factory=list)

    def hidden(self, node: Node) -> Node:
        """Return the expression with a name in the place of each random term."""
        bar = _bar(node)
        if bar is not None:
            label = deparse(bar)
            if label not in self.labels:
                self.labels.append(label)
            return Name(f"{_MARK}{self.labels.index(label)}", node.position)
        match node:
            case Paren():
                return replace(node, inner=self.hidden(node.inner))
            case Unary(operator="+" | "-"):
                return replace(node, operand=self.hidden(node.operand))
            case Binary():
                if node.operator not in "+-" and _has_bar(node):
                    raise FormulaError(
                        "a random term can only be added or taken away", self.text, node.position
                    )
                if node.operator == "-":
                    self._there(node.right, node.left)
                return replace(node, left=self.hidden(node.left), right=self.hidden(node.right))
            case _:
                return node

    def _there(self, gone: Node, left: Node) -> None:
        bar = _bar(gone)
        if bar is not None and deparse(bar) not in {deparse(b) for b in _bars_in(left)}:
            raise FormulaError(
                f"there is no random term ({deparse(bar)}) to take away", self.text, gone.position
            )

    def shown(self, label: str) -> str:
        """Return the label of a term with its random term in place again."""
        if not label.startswith(_MARK):
            return label
        term = self.labels[int(label.removeprefix(_MARK))]
        return term if isinstance(parse_expression(term), Call) else f"({term})"


def _bars_in(node: Node) -> list[Node]:
    bar = _bar(node)
    if bar is not None:
        return [bar]
    match node:
        case Paren():
            return _bars_in(node.inner)
        case Unary():
            return _bars_in(node.operand)
        case Binary():
            return [*_bars_in(node.left), *_bars_in(node.right)]
        case _:
            return []


def update_formula(old: Formula, new: str) -> str:
    """The text of ``old`` changed by ``new``, in which ``.`` is what was there.

    Raises
    ------
    FormulaError
        The change is no formula, or what is left is none of lme4's.
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
    bars = _Bars(new)
    right_side = bars.hidden(substitute_dot(changed.right, whole.right))
    terms = expand_terms(right_side, new, dot=None if not old.has_dot else (".",))
    written = [*map(bars.shown, terms.labels), *(deparse(o) for o in terms.offsets)]
    if not written and terms.intercept:
        written = ["1"]
    right = " + ".join(written)
    return f"{deparse(response)} ~ {right}{'' if terms.intercept else ' - 1'}"
