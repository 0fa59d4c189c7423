"""lme4's formula language: text to a frozen :class:`Formula`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from lmerbridge.arguments import checked
from lmerbridge.covariance import Structure
from lmerbridge.errors import FormulaError
from lmerbridge.formula.bars import (
    Splitter,
    bar_of,
    bare,
    expand_double_bars,
    groupings,
    holds_bar,
    structure_of,
    with_bar,
)
from lmerbridge.formula.parser import parse_expression
from lmerbridge.formula.syntax import (
    Binary,
    Call,
    Name,
    Node,
    Number,
    Unary,
    deparse,
    deparse_lines,
    names_in,
    renamed,
    substitute_dot,
)
from lmerbridge.formula.terms import Terms, expand_terms, is_offset

__all__ = ["Formula", "Grouping", "RandomTerm", "parse_formula"]


@dataclass(frozen=True)
class Grouping:
    """A grouping factor: a column, or the interaction of columns.

    Attributes
    ----------
    label : str
        lme4's name for it: ``batch``, ``cask:batch``, ``c:(b:a)``.
    columns : tuple of str
        The columns whose interaction it is, in the order of the label; the first varies
        slowest in the order of levels.
    """

    label: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class RandomTerm:
    """One random-effects term ``(columns | grouping)``, or ``cs(columns | grouping)``.

    Attributes
    ----------
    text : str
        ``1 + Days | Subject``.
    columns : Terms
    grouping : Grouping
    structure : Structure
        Of the covariance matrix of its effects.
    written : str
        As it stands in a formula: ``(Days | Subject)``, ``cs(Days | Subject, hom = TRUE)``.
    """

    text: str
    columns: Terms
    grouping: Grouping
    structure: Structure
    written: str


@checked
@dataclass(frozen=True)
class Formula:
    """A linear mixed model's formula, parsed.

    Attributes
    ----------
    text : str
        As the user wrote it.
    response : Node
        The left-hand side.
    fixed : Node or None
        The right-hand side without its random terms (``None``: the intercept alone).
    random : tuple of RandomTerm
        In the order written, ``||`` and ``/`` expanded; lme4 orders them by the number of
        levels, which needs data.
    expanded : Node
        The whole formula with ``||`` expanded, as lme4 1.1 keeps and prints it.
    """

    text: str
    response: Node
    fixed: Node | None
    random: tuple[RandomTerm, ...]
    expanded: Node

    # A formula is a value: what follows from it is made once, and fits of the same text share it.

    def __str__(self) -> str:
        return self._line

    @cached_property
    def _line(self) -> str:
        return deparse(self.expanded, integers=True)

    @cached_property
    def _lines(self) -> tuple[str, ...]:
        return tuple(deparse_lines(self.expanded))

    @property
    def lines(self) -> list[str]:
        """The formula as R prints it, in lines of about 60 characters."""
        return list(self._lines)

    @cached_property
    def response_label(self) -> str:
        """The response as R writes it."""
        return deparse(self.response, integers=True)

    @property
    def lme4_needed(self) -> tuple[str, str] | None:
        """The version of lme4 that first reads this formula, and for what, if not every one does:
        also ``us()``, which is the plain term, says so to an older one.
        """
        terms = list(self._terms())
        for term in terms:
            inner = bare(term)
            if isinstance(inner, Call):
                return "2.0", f"{inner.function}() around a random term"
        for term in terms:
            for node in _binaries(bar_of(term).right):
                if node.operator in ("*", "+"):
                    return "1.1-36", f"a grouping factor with {node.operator!r}"
        return None

    def _terms(self) -> list[Node]:
        assert isinstance(self.expanded, Binary)
        splitter = Splitter(self.text)
        splitter.split(self.expanded.right)
        return splitter.bars

    @cached_property
    def has_dot(self) -> bool:
        """Whether ``.`` stands for the data's columns in the fixed part."""
        return self.fixed is not None and any(n.id == "." for n in names_in(self.fixed))

    def with_response(self, name: str) -> Formula:
        """Return the same formula for a column as it stands.

        Parameters
        ----------
        name : str
            The column of the response.
        """
        assert isinstance(self.expanded, Binary)
        return replace(self, response=Name(name), expanded=replace(self.expanded, left=Name(name)))

    def with_names(self, names: Mapping[str, str]) -> Formula:
        """Return the same formula with other names for some columns.

        Parameters
        ----------
        names : mapping of str to str
            By the name there, the new one.
        """
        return replace(self, expanded=renamed(self.expanded, names)) if names else self

    def with_columns(self, columns: Iterable[str]) -> Formula:
        """Return the same formula with ``.`` written out.

        Parameters
        ----------
        columns : iterable of str
            Whose sum ``.`` stands for.
        """
        total: Node = Number(1)
        for column in columns:
            total = Name(column) if isinstance(total, Number) else Binary("+", total, Name(column))
        assert isinstance(self.expanded, Binary)
        right = substitute_dot(self.expanded.right, total)
        return replace(self, expanded=replace(self.expanded, right=right))

    def dot_columns(self, columns: Iterable[str]) -> tuple[str, ...]:
        """Return the columns that ``.`` stands for: all but the response's.

        Parameters
        ----------
        columns : iterable of str
            Those of the data.
        """
        used = {name.id for name in names_in(self.response)}
        return tuple(c for c in columns if c not in used)

    def terms(self, columns: Iterable[str] = ()) -> Terms:
        """Return the terms of the fixed part.

        Parameters
        ----------
        columns : iterable of str
            Those of the data, for ``.``.
        """
        if not self.has_dot:
            return self.terms_without_dot
        return expand_terms(self.fixed, self.text, self.dot_columns(columns))

    @cached_property
    def terms_without_dot(self) -> Terms:
        """The terms of the fixed part where ``.`` stands for nothing."""
        return expand_terms(self.fixed, self.text, ())

    def variable_names(self) -> dict[str, int]:
        """Return every column named, with the position of its first mention (``.`` left out)."""
        return dict(self._names)

    @cached_property
    def columns_named(self) -> tuple[str, ...]:
        """Every column named (``.`` left out), in the order of :meth:`variable_names`."""
        return tuple(self._names)

    @cached_property
    def _names(self) -> dict[str, int]:
        nodes: list[Node] = [self.response]
        if self.fixed is not None:
            nodes.append(self.fixed)
        found = {n.id: n.position for node in nodes for n in names_in(node) if n.id != "."}
        for term in self.random:
            for variable in term.columns.variables:
                for name in names_in(variable):
                    found.setdefault(name.id, name.position)
            for column in term.grouping.columns:
                found.setdefault(column, 0)
        return found


def _binaries(node: Node) -> Iterator[Binary]:
    inner = bare(node)
    if isinstance(inner, Binary):
        yield inner
        yield from _binaries(inner.left)
        yield from _binaries(inner.right)


def _grouping(node: Node, text: str) -> Grouping:
    columns: list[str] = []

    def collect(part: Node) -> None:
        inner = bare(part)
        if isinstance(inner, Name) and inner.id != ".":
            columns.append(inner.id)
        elif isinstance(inner, Binary) and inner.operator == ":":
            collect(inner.left)
            collect(inner.right)
        else:
            raise FormulaError(
                "a grouping factor is a column, an interaction a:b, a nesting a/b, or a*b; "
                f"for {deparse(inner)!r} make a column first",
                text,
                inner.position,
            )

    collect(node)
    label = node.id if isinstance(node, Name) else deparse(node)
    return Grouping(label, tuple(columns))


def _random_terms(term: Node, text: str) -> Iterator[RandomTerm]:
    bar, structure = bar_of(term), structure_of(term)
    if holds_bar(bar.left) or holds_bar(bar.right):
        raise FormulaError("a random term has one bar", text, bar.position)
    columns = expand_terms(bar.left, text)
    if not columns.terms and not columns.intercept:
        raise FormulaError("this random term has no columns", text, bar.position)
    for group in groupings(bar.right, text):
        grouping = _grouping(group, text)
        own = f"{deparse(bar.left)} | {grouping.label}"
        whole = with_bar(term, Binary("|", bar.left, group))
        written = deparse(whole) if isinstance(whole, Call) else f"({own})"
        yield RandomTerm(own, columns, grouping, structure, written)


@checked
def parse_formula(text: str | Formula, mixed: bool = True) -> Formula:
    """Parse a formula of lme4's language for linear mixed models.

    Parameters
    ----------
    text : str or Formula
        ``response ~ fixed + (columns | group) + ...``; a :class:`Formula` is returned as is.
    mixed : bool
        Whether it must have random terms; if not, it must have none.

    Raises
    ------
    FormulaError
        With the formula and a caret at the spot.
    """
    if isinstance(text, Formula):
        return text
    if not isinstance(text, str):
        raise FormulaError(f"a formula is a string, not {type(text).__name__}")
    return _parsed(text, mixed)


@lru_cache(maxsize=256)
def _parsed(text: str, mixed: bool) -> Formula:
    """Made once for a text, on which alone it depends."""
    whole = parse_expression(text)
    if isinstance(whole, Unary) and whole.operator == "~":
        raise FormulaError("the response is missing on the left of '~'", text, whole.position)
    if not (isinstance(whole, Binary) and whole.operator == "~"):
        raise FormulaError("a formula needs a '~' between response and predictors", text, len(text))
    if isinstance(whole.left, Binary) and whole.left.operator == "~":
        raise FormulaError("a formula has one '~'", text, whole.position)
    if holds_bar(whole.left):
        raise FormulaError("the response cannot hold a random term", text, whole.position)
    if any(n.id == "." for n in names_in(whole.left)):
        raise FormulaError("'.' has no meaning in the response", text, whole.position)
    response = bare(whole.left)
    if is_offset(response):
        raise FormulaError("an offset cannot be the response", text, response.position)

    splitter = Splitter(text)
    right = expand_double_bars(whole.right, text)
    fixed = splitter.split(right)
    random = tuple(term for bar in splitter.bars for term in _random_terms(bar, text))
    if random and not mixed:
        raise FormulaError(
            "an ordinary regression has no random terms: use lmer() for this formula",
            text,
            splitter.bars[0].position,
        )
    if mixed and not random:
        raise FormulaError(
            "No random effects terms specified in formula: a mixed model needs one, as in (1 | g)",
            text,
            len(text),
        )
    formula = Formula(
        text, whole.left, fixed, random, Binary("~", whole.left, right, whole.position)
    )
    expand_terms(fixed, text, dot=())  # raises here what is not a term
    return formula
