"""Numbers, vectors and matrices as R prints them, from R's documented behaviour.

``format`` and ``print.default`` (digits, common formatting of a vector, fixed against
scientific notation), ``abbreviate``, ``printCoefmat``; checked against R by the tests.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lmerbridge.dialects import NEWEST, Dialect
from lmerbridge.rmath import round_r

__all__ = [
    "LINE_WIDTH",
    "abbreviate",
    "cat_fill",
    "coefficient_cells",
    "format_each",
    "format_numbers",
    "print_matrix",
    "print_named",
    "print_vector",
    "wrap",
    "zapsmall",
]

LINE_WIDTH = 80


@dataclass(frozen=True)
class _Shape:
    """What one number needs: significant digits, power of ten, digits right of the point."""

    power: int
    significant: int
    negative: bool

    @property
    def right(self) -> int:
        return max(0, self.significant - self.power - 1)

    @property
    def left(self) -> int:
        return max(1, self.power + 1)


def _shape(value: float, digits: int) -> _Shape:
    if value == 0:
        return _Shape(0, 1, False)
    mantissa, exponent = f"{abs(value):.{digits - 1}e}".split("e")
    return _Shape(int(exponent), max(1, len(mantissa.replace(".", "").rstrip("0"))), value < 0)


def _special(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Inf" if value > 0 else "-Inf"


def format_numbers(values: Sequence[float], digits: int = 7, nsmall: int = 0) -> list[str]:
    """R's ``format(values, digits=, nsmall=)``: one notation and one width for all.

    So many decimals that the element that needs most shows ``digits`` significant digits;
    scientific if that is narrower than fixed.
    """
    numbers = [float(v) + 0.0 for v in values]  # no -0
    shapes = [_shape(v, digits) for v in numbers if math.isfinite(v)]
    special = [len(_special(v)) for v in numbers if not math.isfinite(v)]
    least = 0
    if not shapes:
        texts = [_special(v) for v in numbers]
    else:
        negative = any(s.negative for s in shapes)
        right = max(s.right for s in shapes)
        left = max(s.left + s.negative for s in shapes)
        fixed_width = left + (right + 1 if right else 0)
        mantissa = max(s.significant for s in shapes)
        exponent = max(2, max(len(str(abs(s.power))) for s in shapes))
        scientific_width = negative + mantissa + (mantissa > 1) + 2 + exponent
        if fixed_width <= scientific_width:
            decimals = max(right, nsmall)
            # 99.996 beside others: counted as 100.0, so that R leaves room for that
            least = left + (decimals + 1 if decimals else 0)
            texts = [f"{v:.{decimals}f}" if math.isfinite(v) else _special(v) for v in numbers]
        else:
            texts = [
                _scientific(v, mantissa - 1, exponent) if math.isfinite(v) else _special(v)
                for v in numbers
            ]
    width = max([len(t) for t in texts] + special + [least], default=0)
    return [t.rjust(width) for t in texts]


def _scientific(value: float, decimals: int, exponent_digits: int) -> str:
    mantissa, exponent = f"{value:.{decimals}e}".split("e")
    number = int(exponent)
    return f"{mantissa}e{'-' if number < 0 else '+'}{abs(number):0{exponent_digits}d}"


def format_each(values: Sequence[float], digits: int = 7) -> list[str]:
    """Each value formatted for itself, as ``cat`` and ``paste`` do."""
    return [format_numbers([v], digits)[0] for v in values]


def zapsmall(values: Sequence[float], digits: int) -> list[float]:
    """R's ``zapsmall``: round relative to the largest value."""
    largest = max((abs(v) for v in values if math.isfinite(v)), default=0.0)
    places = digits if largest == 0 else max(0, math.floor(digits - math.log10(largest) + 0.5))
    rounded: list[float] = round_r(list(values), places).tolist()
    return rounded


def print_named(
    names: Sequence[str], cells: Sequence[str], width: int = LINE_WIDTH, gap: int = 1
) -> list[str]:
    """A named vector as R prints it: names over values, right-justified, blanks after each."""
    size = max([len(t) for t in (*names, *cells)], default=0)
    per_line = max(1, width // (size + gap))
    lines = []
    for start in range(0, len(cells), per_line):
        for row in (names, cells):
            lines.append("".join(t.rjust(size) + " " * gap for t in row[start : start + per_line]))
    return lines


def print_matrix(
    rows: Sequence[str],
    columns: Sequence[str],
    cells: Sequence[Sequence[str]],
    right: bool = True,
    width: int = LINE_WIDTH,
) -> list[str]:
    """A matrix of text as R prints it: columns that do not fit go into further blocks."""
    stub = max([len(r) for r in rows], default=4)  # R leaves that much for no rows
    widths = [max([len(columns[j])] + [len(row[j]) for row in cells]) for j in range(len(columns))]
    lines: list[str] = []
    start = 0
    while start < len(columns):
        end, used = start, stub
        while end < len(columns) and (end == start or used + 1 + widths[end] < width):
            used += 1 + widths[end]
            end += 1

        def line(stub_text: str, texts: Sequence[str], first: int = start, last: int = end) -> str:
            parts = [
                texts[j].rjust(widths[j]) if right else texts[j].ljust(widths[j])
                for j in range(first, last)
            ]
            return " ".join([stub_text.ljust(stub), *parts])

        lines.append(line("", columns))
        lines += [line(name, row) for name, row in zip(rows, cells, strict=True)]
        start = end
    return lines


def print_vector(cells: Sequence[str], width: int = LINE_WIDTH) -> list[str]:
    """A vector without names as R prints it: the index of its first value before each line."""
    size = max((len(c) for c in cells), default=0)
    stub = len(str(len(cells))) + 2
    per_line = max(1, (width - stub) // (size + 1))
    return [
        " ".join(
            [
                f"[{start + 1}]".rjust(stub),
                *(c.rjust(size) for c in cells[start : start + per_line]),
            ]
        )
        for start in range(0, len(cells), per_line)
    ]


def wrap(text: str, indent: int = 0, width: int = LINE_WIDTH) -> list[str]:
    """R's ``strwrap(exdent = indent)``: lines shorter than ``width`` less one."""
    lines, line = [], ""
    for word in text.split():
        if line.strip() and len(line) + 1 + len(word) >= width - 1:
            lines.append(line)
            line = " " * indent + word
        else:
            line = f"{line} {word}" if line.strip() else line + word
    return [*lines, line]


def cat_fill(items: Sequence[str], width: int = LINE_WIDTH) -> list[str]:
    """The lines of R's ``cat(..., fill = TRUE)``: an item that does not fit starts a new one."""
    lines, line = [], ""
    for item in items:
        if line and len(line) + len(item) + 1 > width:
            lines.append(line)
            line = ""
        line += item + " "
    return [*lines, line[:-1]]


_VOWELS = frozenset("aeiouàáâãäåèéêëìíîïòóôõöøùúûüýāăąēĕėęěĩīĭįıōŏőũūŭůűų")  # noqa: RUF001 - the letter R has
_OLDER_VOWELS = _VOWELS - set("âýę") | {"Ę"}


def _abbreviate_one(text: str, length: int, dialect: Dialect) -> str:
    """Strip lower-case vowels, then lower-case letters, then anything, until no more than
    ``length`` characters are left: always from the right, first at the ends of words, then
    anywhere; the first character of a word stays.
    """
    text = text.strip(" ")
    if len(text) <= length:
        return text
    characters = list(text)

    def short_enough() -> bool:
        return sum(c != " " for c in characters) <= length

    def strip(gone: Callable[[str], bool], ends_only: bool) -> bool:
        for i in range(len(characters) - 1, 0, -1):
            if short_enough():
                return True
            first = characters[i - 1] == " "
            last = i + 1 == len(characters) or characters[i + 1] == " "
            if gone(characters[i]) and not first and (last or not ends_only):
                del characters[i]
        return short_enough()

    vowels = _VOWELS if dialect.abbreviates_any_script else _OLDER_VOWELS
    stages: tuple[Callable[[str], bool], ...] = (
        lambda c: c in vowels,
        lambda c: c.islower() if dialect.abbreviates_any_script else "a" <= c <= "z",
        lambda c: c != " ",
    )
    for gone in stages:
        if strip(gone, True) or strip(gone, False):
            break
    return "".join(c for c in characters if c != " ")


def abbreviate(names: Sequence[str], length: int, dialect: Dialect = NEWEST) -> list[str]:
    """R's ``abbreviate``: unique names of at least ``length`` characters where possible."""
    short = {name: _abbreviate_one(name, length, dialect) for name in dict.fromkeys(names)}
    wanted = length
    while True:
        counts: dict[str, int] = {}
        for text in short.values():
            counts[text] = counts.get(text, 0) + 1
        again = [name for name, text in short.items() if counts[text] > 1]
        longest = max((len(name) for name in again), default=0)
        if not again:
            break
        if wanted > longest:  # no length tells them apart (they differ in outer blanks)
            for name in again:
                short[name] = _abbreviate_one(name, length, dialect)
            break
        wanted += 1
        for name in again:
            short[name] = _abbreviate_one(name, wanted, dialect)
    return [short[name] for name in names]


def coefficient_cells(
    estimates: Sequence[float], errors: Sequence[float], statistics: Sequence[float], digits: int
) -> list[list[str]]:
    """The cells of ``printCoefmat``: estimates, standard errors, test statistics.

    The first two are rounded and formatted jointly, so that the smallest shows its leading
    digits; statistics have at most five decimals.
    """
    both = [abs(v) for v in (*estimates, *errors) if math.isfinite(v) and v != 0]
    least = 1 + math.floor(math.log10(min(both))) if both else 0
    most = 1 + math.floor(math.log10(max(both))) if both else 0
    places = max(1, digits - least, digits - most)
    joint = format_numbers(round_r([*estimates, *errors], places).tolist(), digits)
    decimals = max(1, min(5, digits - 1))
    tests = round_r(list(statistics), decimals).tolist()
    columns = [joint[: len(estimates)], joint[len(estimates) :], format_numbers(tests, digits)]
    return [list(row) for row in zip(*columns, strict=True)]
