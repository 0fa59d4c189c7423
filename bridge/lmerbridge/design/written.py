"""The call of a regression as R deparses it."""

from __future__ import annotations

from lmerbridge.design.frame import ModelFrame
from lmerbridge.formula.parser import parse_expression
from lmerbridge.formula.syntax import Argument, Call, Name, Node, deparse_lines

__all__ = ["call_lines"]


def call_lines(frame: ModelFrame, family: str | None = None) -> list[str]:
    """Return the lines of R's call of ``lm``, or with a family (empty: not named) of ``glm``."""
    asked = frame.asked
    given: dict[str, Node | None] = {"formula": frame.formula.expanded}
    if family:
        given["family"] = _family(family)
    given["data"] = Name(asked.data_name or "data")
    for name in (
        ("subset", "weights", "offset") if family is None else ("weights", "subset", "offset")
    ):
        text = getattr(asked, f"{name}_name")
        given[name] = None if text is None else parse_expression(text)
    arguments = tuple(Argument(name, node) for name, node in given.items() if node is not None)
    return deparse_lines(Call("lm" if family is None else "glm", arguments))


def _family(text: str) -> Node:
    """A family as it was written, ``binomial(link = "probit")``."""
    name, _, inside = text.partition("(")
    if not inside:
        return Name(name.strip())
    arguments = []
    for part in inside.rpartition(")")[0].split(","):
        key, _, value = part.rpartition("=")
        arguments.append(Argument(key.strip() or None, parse_expression(value)))
    return Call(name.strip(), tuple(arguments))
