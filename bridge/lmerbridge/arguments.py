"""Arguments of public methods are of the kinds that their annotations say, or are refused.

A method that is told ``by: str | Sequence[str] | None`` gets one of these. The annotation is the
only place that says so: :func:`checked` reads it when the method is first called. A part of an
annotation that is unknown here (``Any``, a mapping of ours) admits everything; what it means is
then for the function that reads the argument.
"""

from __future__ import annotations

import functools
import inspect
import math
import numbers
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from typing import Any, TypeVar, cast

import numpy as np

from lmerbridge.errors import ArgumentError, near_match

__all__ = [
    "belongs",
    "check_level",
    "checked",
    "listed_names",
    "numbers_of",
    "of_kind",
    "one_of_ours",
    "several",
]

# A class, or a function.
Checked = TypeVar("Checked", bound=Callable[..., Any])

# Integers that fit a machine's word: what is larger is no count, position or digit.
INTEGER_BOUND = 2**63


class _NoMatch:
    """What a reader gives for a value of another kind."""


NO_MATCH = _NoMatch()
Reader = Callable[[Any], Any]


def _none(value: Any) -> Any:
    return None if value is None else NO_MATCH


def _truth(value: Any) -> Any:
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    return bool(value) if isinstance(value, numbers.Integral) and value in (0, 1) else NO_MATCH


def _integer(value: Any) -> Any:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        return NO_MATCH
    if isinstance(value, numbers.Integral):
        whole = int(value)
    elif math.isfinite(value) and float(value).is_integer():
        whole = int(float(value))
    else:
        return NO_MATCH
    return whole if abs(whole) < INTEGER_BOUND else NO_MATCH


def _number(value: Any) -> Any:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        return NO_MATCH
    return NO_MATCH if math.isnan(value) else value


def _text(value: Any) -> Any:
    return value if isinstance(value, str) else NO_MATCH


def _mapping(value: Any) -> Any:
    return value if isinstance(value, Mapping) else NO_MATCH


def _function(value: Any) -> Any:
    return value if callable(value) else NO_MATCH


def _sequence(item: Reader) -> Reader:
    def read(value: Any) -> Any:
        if isinstance(value, (str, bytes, Mapping)):
            return NO_MATCH
        if getattr(value, "ndim", 1) != 1:
            return NO_MATCH
        if not isinstance(value, Iterable):
            return NO_MATCH
        items = [item(v) for v in value]
        if any(v is NO_MATCH for v in items):
            return NO_MATCH
        return tuple(items) if isinstance(value, tuple) else items

    return read


def _anything(value: Any) -> Any:
    return value


READERS: dict[str, tuple[Reader, str]] = {
    "None": (_none, "None"),
    "bool": (_truth, "True or False"),
    "int": (_integer, "an integer"),
    "float": (_number, "a number"),
    "str": (_text, "text"),
}


def _parts(annotation: str) -> list[str]:
    """The alternatives of ``a | b[c | d]``: ``a`` and ``b[c | d]``."""
    parts, depth, start = [], 0, 0
    for i, sign in enumerate(annotation):
        depth += (sign == "[") - (sign == "]")
        if sign == "|" and depth == 0:
            parts.append(annotation[start:i].strip())
            start = i + 1
    return [*parts, annotation[start:].strip()]


def _readers(annotation: str, known: Mapping[str, Any]) -> list[tuple[Reader, str]] | None:
    """How to read what the annotation admits, and its words; nothing where it admits everything."""
    alternatives: list[tuple[Reader, str]] = []
    for part in _parts(annotation):
        head, _, inside = part.partition("[")
        value = known.get(part)
        if part in READERS:
            alternatives.append(READERS[part])
        elif head in ("Sequence", "Iterable"):
            items = _readers(inside.rstrip("]") if "[" not in inside else inside[:-1], known)
            words = " or ".join(w for _, w in items) if items else "anything"
            readers = [r for r, _ in items] if items else [_anything]
            alternatives.append((_sequence(_first_of(readers)), f"a list of {words}"))
        elif head == "Mapping":
            alternatives.append((_mapping, "a mapping"))
        elif head == "Callable":
            alternatives.append((_function, "a function"))
        elif isinstance(value, types.UnionType):  # an alias such as By
            written = str(value).replace("collections.abc.", "").replace("typing.", "")
            shorter = " | ".join(p.rpartition(".")[2] for p in _parts(written))
            inner = _readers(shorter, known)
            if inner is None:
                return None
            alternatives += inner
        elif isinstance(value, type) and issubclass(value, Enum):
            alternatives.append((_instance(value), ""))
        else:
            return None
    return alternatives


def _instance(kind: type) -> Reader:
    return lambda value: value if isinstance(value, kind) else NO_MATCH


def _first_of(readers: Sequence[Reader]) -> Reader:
    def read(value: Any) -> Any:
        for reader in readers:
            read_value = reader(value)
            if read_value is not NO_MATCH:
                return read_value
        return NO_MATCH

    return read


def _shown(value: object) -> str:
    """The value for a message: no table of a thousand rows."""
    text = repr(value)
    return text if len(text) <= 60 and "\n" not in text else f"a {type(value).__name__}"


def of_kind(value: object, annotation: str, what: str) -> Any:
    """The value, where it is of a kind that the annotation admits.

    Parameters
    ----------
    value : object
    annotation : str
        ``"str | Sequence[str] | None"``.
    what : str
        The argument's name, for the message.

    Returns
    -------
    object
        The value; a number of numpy as Python's where an integer or a truth value is asked, an
        array or a series as a list.

    Raises
    ------
    ArgumentError
        It is of no such kind.
    """
    readers = _readers(annotation, {})
    return value if readers is None else _Kind(readers).read(value, what)


def listed_names(value: object, what: str) -> list[str]:
    """Names as a list: none, one or several.

    Raises
    ------
    ArgumentError
        They are no text; ``what`` names the argument.
    """
    names = of_kind(value, "str | Sequence[str] | None", what)
    return [names] if isinstance(names, str) else list(names or [])


def several(value: object, what: str) -> list[Any]:
    """One text or number, or a list of what is each, as a list; none is an empty one.

    Raises
    ------
    ArgumentError
        A table, a matrix, or what has no elements; ``what`` names the argument.
    """
    if value is None:
        return []
    if isinstance(value, (str, numbers.Number)):
        return [value]
    items = _sequence(_anything)(value)
    if items is NO_MATCH:
        raise ArgumentError(f"{what} must be one value or a list of values, not {_shown(value)}")
    return list(items)


def one_of_ours(value: object, kind: type, what: str) -> Any:
    """The value, an object of the class ``kind``.

    Raises
    ------
    ArgumentError
        It is another; ``what`` names the argument.
    """
    if not isinstance(value, kind):
        raise ArgumentError(f"{what} must be {kind.__name__}, not {_shown(value)}")
    return value


def numbers_of(value: object, what: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A number or an array of numbers of any shape, as an array.

    Raises
    ------
    ArgumentError
        What no array of numbers can be made of; ``what`` names the argument.
    """
    if not isinstance(value, Mapping):
        try:
            return np.asarray(value, dtype=np.float64)
        except (TypeError, ValueError):
            pass
    raise ArgumentError(f"{what} must be numbers, not {_shown(value)}")


class _Kind:
    """What an annotation admits."""

    def __init__(self, readers: list[tuple[Reader, str]]):
        self._readers = readers
        self._first = _first_of([r for r, _ in readers])

    def read(self, value: object, what: str) -> Any:
        read_value = self._first(value)
        if read_value is NO_MATCH:
            words = [w for _, w in self._readers if w]
            raise ArgumentError(f"{what} must be {' or '.join(words)}, not {_shown(value)}")
        return read_value


class _Rules:
    """What a function's signature says of its arguments; read when it is first called."""

    def __init__(self, function: Callable[..., Any]):
        self.signature = inspect.signature(function)
        parameters = self.signature.parameters.values()
        plain = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        self.readers: dict[str, _Kind] = {}
        for p in parameters:
            if p.kind in plain and isinstance(p.annotation, str):
                readers = _readers(p.annotation, function.__globals__)
                if readers is not None:
                    self.readers[p.name] = _Kind(readers)
        self.known = frozenset(self.signature.parameters)
        self.required = frozenset(
            p.name for p in parameters if p.default is inspect.Parameter.empty
        )
        self.ordered = [p.name for p in parameters if p.kind is plain[0]]
        self.simple = all(p.kind in plain for p in parameters)


def _checking(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.cache
    def rules_of() -> _Rules:
        return _Rules(function)

    @functools.wraps(function)
    def method(*args: Any, **kwargs: Any) -> Any:
        rules = rules_of()
        if rules.simple and len(args) <= len(rules.ordered) and kwargs.keys() <= rules.known:
            arguments = dict(zip(rules.ordered, args, strict=False))
            if arguments.keys().isdisjoint(kwargs):
                # what bind() would find, in a tenth of its time
                arguments.update(kwargs)
                if rules.required <= arguments.keys():
                    for name, kind in rules.readers.items():
                        if name in arguments:
                            arguments[name] = kind.read(arguments[name], name)
                    return function(**arguments)
        try:
            bound = rules.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise _miscalled(function.__name__, rules.signature, kwargs, error) from None
        for name, kind in rules.readers.items():
            if name in bound.arguments:
                bound.arguments[name] = kind.read(bound.arguments[name], name)
        return function(*bound.args, **bound.kwargs)

    return method


# What users of other packages write, and where it is here.
ELSEWHERE = {
    "family": "glmer() fits generalized linear mixed models",
    "groups": "the grouping factor stands in the formula: (1 | group)",
    "re_formula": "random effects stand in the formula: (1 + x | group)",
    "vc_formula": "random effects stand in the formula: (1 | a) + (1 | b)",
    "random": "random effects stand in the formula: (1 + x | group)",
    "correlation": "residuals are independent here; ar1() and cs() around a random term are there",
    "method": "REML=False is maximum likelihood",
}


def _miscalled(
    name: str, signature: inspect.Signature, given: Mapping[str, Any], error: TypeError
) -> ArgumentError:
    """What is wrong with a call that does not fit the function."""
    known = [p for p in signature.parameters if p != "self" and not p.startswith("_")]
    unknown = [key for key in given if key not in signature.parameters]
    if not unknown:
        return ArgumentError(f"{name}(): {error}")
    near = near_match(unknown[0], known)
    if not near and unknown[0] in ELSEWHERE and "formula" in known:
        return ArgumentError(f"{name}() has no argument {unknown[0]!r}: {ELSEWHERE[unknown[0]]}")
    return ArgumentError(
        f"{name}() has no argument {unknown[0]!r}{near}; it has {', '.join(known) or 'none'}"
    )


def check_level(level: float) -> None:
    """Refuse a level of confidence that is not between 0 and 1.

    Raises
    ------
    ArgumentError
        It is not.
    """
    if not 0 < level < 1:
        raise ArgumentError(f"level must be between 0 and 1, not {level}")


def belongs(what: str, **given: bool) -> None:
    """Refuse arguments that were given and would do nothing.

    Parameters
    ----------
    what : str
        What they belong to: ``"method='boot'"``.
    **given : bool
        By name whether the argument was given, or is another than its default.

    Raises
    ------
    ArgumentError
        One of them was.
    """
    names = [name for name, there in given.items() if there]
    if len(names) == 1:
        raise ArgumentError(f"{names[0]} belongs to {what}: leave it out, or ask for that")
    if names:
        listed = f"{', '.join(names[:-1])} and {names[-1]}"
        raise ArgumentError(f"{listed} belong to {what}: leave them out, or ask for that")


def checked(cls: Checked) -> Checked:
    """Let a function, or the public methods of a class, refuse arguments of other kinds than they
    are annotated, and names that are no arguments.

    Raises
    ------
    ArgumentError
        By a method: an argument is of another kind; the message names it and what it must be.
    ArgumentError
        By a method: there is no such argument, or one is missing.
    """
    wrapped: Any = cls
    if isinstance(wrapped, type):
        for name, member in list(vars(wrapped).items()):
            if inspect.isfunction(member) and not name.startswith("_"):
                setattr(wrapped, name, _checking(member))
    else:
        wrapped = _checking(wrapped)
    return cast("Checked", wrapped)
