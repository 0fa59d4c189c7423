"""What marginal means are asked for: ``"a"``, ``["a", "b"]``, ``"pairwise ~ a * b | c"``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lmerbridge.arguments import listed_names
from lmerbridge.errors import ArgumentError, DataError, FormulaError
from lmerbridge.formula.parser import parse_expression
from lmerbridge.formula.syntax import Binary, Node, Unary, deparse, names_in

__all__ = ["Specs", "parse_specs"]


@dataclass(frozen=True)
class Specs:
    """
    Attributes
    ----------
    names : tuple of str
        The predictors whose combinations are asked for.
    by : tuple of str
        Those that separate families.
    method : str, optional
        The contrasts on the left-hand side.
    formula : bool
        Whether it was given as a formula.
    """

    names: tuple[str, ...]
    by: tuple[str, ...]
    method: str | None = None
    formula: bool = False


def _listed(node: Node) -> list[str]:
    return list(dict.fromkeys(n.id for n in names_in(node)))


def parse_specs(specs: Any, by: Any = None) -> Specs:
    """Read ``specs`` and ``by`` as emmeans does: operators between names do not matter.

    Raises
    ------
    DataError
        A formula that cannot be read, or names that are no text.
    """
    given = listed_names(by, "by")
    if not isinstance(specs, str):
        if not isinstance(specs, Sequence) or not all(isinstance(n, str) for n in specs):
            raise ArgumentError(
                f"specs must be names or a formula such as '~ a | b', not {specs!r}"
            )
        names = [n for n in dict.fromkeys(specs) if n not in given]
        return Specs(tuple(names), tuple(given))
    if not any(sign in specs for sign in "~|*:+/ "):
        return Specs(() if specs in given else (specs.strip("`"),), tuple(given))
    try:
        node = parse_expression(specs)
    except FormulaError as error:
        if "~" not in specs:  # a name that is no syntactic one
            return Specs(() if specs in given else (specs,), tuple(given))
        raise DataError(f"specs cannot be read: {error}") from None
    method, formula = None, False
    if isinstance(node, Unary) and node.operator == "~":
        node, formula = node.operand, True
    elif isinstance(node, Binary) and node.operator == "~":
        method, formula = deparse(node.left), True
        node = node.right
    conditions: list[str] = []
    if isinstance(node, Binary) and node.operator == "|":
        conditions = _listed(node.right)
        node = node.left
    given += [n for n in conditions if n not in given]
    names = [n for n in _listed(node) if n not in given]
    return Specs(tuple(names), tuple(given), method, formula)
