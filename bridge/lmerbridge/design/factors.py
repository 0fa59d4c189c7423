"""Functions that make, change and code factors: ``factor``, ``cut``, ``C`` and their kin."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np

from lmerbridge.design.columns import Array, Factor, Logical, Numeric, as_factor
from lmerbridge.design.contrasts import Contrast, default_contrast
from lmerbridge.design.values import (
    Arguments,
    Value,
    column_of,
    numbers_of,
    plain_values,
    text_of,
    time_in,
)
from lmerbridge.dialects import without_r
from lmerbridge.errors import DataError, near_match
from lmerbridge.formula.syntax import format_number

__all__ = [
    "as_character",
    "as_factor_call",
    "as_logical",
    "as_numeric",
    "coded",
    "contrast_function",
    "cut",
    "dummy",
    "factor",
    "interaction",
    "levels",
    "relevel",
]


def factor(args: Arguments) -> Value:
    """R's ``factor`` and ``ordered``."""
    factor = as_factor(args.column("x"))
    ordered = args.truth("ordered", factor.ordered or args.function == "ordered")
    levels, labels = args.get("levels"), args.get("labels")
    if levels is not None:
        wanted = tuple(text_of(v) for v in plain_values(levels, args.function))
        position = {level: i for i, level in enumerate(wanted)}
        renumber = np.array([position.get(level, -1) for level in factor.levels] + [-1])
        factor = Factor(renumber[factor.codes], wanted)
    elif isinstance(args.first("x"), Factor):
        factor = _without_unused(factor)
    if args.get("exclude") is not None:
        gone = {text_of(v) for v in plain_values(args.get("exclude"), args.function)}
        kept = [level for level in factor.levels if level not in gone]
        renumber = np.array(
            [kept.index(level) if level in kept else -1 for level in factor.levels] + [-1]
        )
        factor = Factor(renumber[factor.codes], tuple(kept))
    if labels is not None:
        named = [text_of(v) for v in plain_values(labels, args.function)]
        if len(named) == 1 and len(factor.levels) > 1:
            named = [f"{named[0]}{i + 1}" for i in range(len(factor.levels))]
        if len(named) != len(factor.levels):
            raise DataError(
                f"{args.function}(): {len(named)} labels for {len(factor.levels)} levels"
            )
        unique = list(dict.fromkeys(named))
        renumber = np.array([unique.index(label) for label in named] + [-1])
        factor = Factor(renumber[factor.codes], tuple(unique))
    return replace(factor, ordered=ordered)


def _without_unused(factor: Factor) -> Factor:
    """A plain factor of the levels that some row has, as ``factor(f)`` makes it."""
    used = np.unique(factor.codes[factor.codes >= 0])
    renumber = np.full(len(factor.levels) + 1, -1, dtype=np.int64)
    renumber[used] = np.arange(len(used))
    return Factor(renumber[factor.codes], tuple(factor.levels[i] for i in used))


def as_factor_call(args: Arguments) -> Value:
    """R's ``as.factor`` and ``as.ordered``."""
    factor = as_factor(args.column("x"))
    return replace(factor, ordered=True) if args.function == "as.ordered" else factor


def as_numeric(args: Arguments) -> Value:
    """R's ``as.numeric`` (codes, for a factor) and ``as.integer``."""
    column = args.column("x")
    if isinstance(column, Factor):
        return Numeric(np.where(column.codes < 0, np.nan, column.codes + 1.0))
    values = numbers_of(column, args.function)
    whole = args.function == "as.integer"
    return Numeric(np.trunc(values) if whole else values, integer=whole)


def as_character(args: Arguments) -> Value:
    """R's ``as.character``: as a variable, a factor with sorted levels."""
    factor = as_factor(args.column("x"))
    order = sorted(range(len(factor.levels)), key=lambda i: factor.levels[i])
    rank = np.empty(len(order) + 1, dtype=np.int64)
    rank[order], rank[-1] = np.arange(len(order)), -1
    return Factor(rank[factor.codes], tuple(factor.levels[i] for i in order))


def as_logical(args: Arguments) -> Value:
    """R's ``as.logical``."""
    values = numbers_of(args.column("x"), args.function)
    return Logical(np.where(np.isnan(values), np.nan, (values != 0).astype(float)))


def relevel(args: Arguments) -> Value:
    """R's ``relevel``."""
    factor = args.column("x")
    if not isinstance(factor, Factor) or factor.ordered:
        raise DataError("relevel() needs an unordered factor")
    reference = args.first("ref")
    if isinstance(reference, str):
        if reference not in factor.levels:
            raise DataError(
                f"relevel(): {reference!r} is not a level; levels are {', '.join(factor.levels)}"
            )
        first = factor.levels.index(reference)
    else:
        first = int(args.number("ref") or 0) - 1
        if not 0 <= first < len(factor.levels):
            raise DataError(f"relevel(): there is no level {first + 1}")
    order = [first, *(i for i in range(len(factor.levels)) if i != first)]
    renumber = np.empty(len(order) + 1, dtype=np.int64)
    renumber[order], renumber[-1] = np.arange(len(order)), -1
    return Factor(renumber[factor.codes], tuple(factor.levels[i] for i in order))


def interaction(args: Arguments) -> Value:
    """R's ``interaction``: levels of the first factor vary fastest."""
    separator = args.get("sep", ".")
    if not isinstance(separator, str):
        raise DataError("interaction(): sep must be a string")
    factors = [as_factor(column_of(v, args.rows, "interaction")) for v in args.rest]
    lexical = args.truth("lex.order", False)
    codes, levels = factors[0].codes, list(factors[0].levels)
    for factor in factors[1:]:
        missing = (codes < 0) | (factor.codes < 0)
        if lexical:
            codes = codes * len(factor.levels) + factor.codes
            levels = [f"{a}{separator}{b}" for a in levels for b in factor.levels]
        else:
            codes = codes + factor.codes * len(levels)
            levels = [f"{a}{separator}{b}" for b in factor.levels for a in levels]
        codes = np.where(missing, -1, codes)
    made = Factor(codes, tuple(levels))
    return _without_unused(made) if args.truth("drop", False) else made


def _formatted(breaks: Array, digits: int) -> list[str]:
    """R's ``formatC``: significant digits; infinite ones as wide as the widest of them."""
    infinite = [format_number(float(b)) for b in breaks if np.isinf(b)]
    width = max(map(len, infinite), default=0)
    return [
        format_number(float(b)).rjust(width) if np.isinf(b) else f"{b + 0.0:.{digits}g}"
        for b in breaks
    ]


def _cut_labels(breaks: Array, right: bool, lowest: bool, digits: int) -> tuple[str, ...]:
    texts: list[str] = []
    for d in range(digits, max(12, digits) + 1):
        texts = _formatted(breaks, d)
        if len(set(texts)) == len(texts):
            break
    else:  # twelve digits do not tell the breaks apart
        return tuple(f"Range_{i}" for i in range(1, len(breaks)))
    opening, closing = ("(", "]") if right else ("[", ")")
    labels = [f"{opening}{a},{b}{closing}" for a, b in itertools.pairwise(texts)]
    if lowest and right:
        labels[0] = "[" + labels[0][1:]
    elif lowest:
        labels[-1] = labels[-1][:-1] + "]"
    return tuple(labels)


def cut(args: Arguments) -> Value:
    """R's ``cut``."""
    if isinstance(args.first("x"), Logical):
        raise DataError("cut(): 'x' must be numeric")
    time = time_in(args.first("x"))
    if time is not None:
        raise DataError(
            f"cut() of a {time.kind} is not here: make a column of the intervals first "
            "(of months: t.dt.strftime('%Y-%m')), or write cut(as.numeric(t), 3)"
        )
    x = args.numbers("x")
    right, lowest = args.truth("right", True), args.truth("include.lowest", False)
    learned = args.memory
    if "breaks" not in learned:
        breaks = np.array(plain_values(args.first("breaks"), "cut"), dtype=float)
        if len(breaks) == 1:
            if breaks[0] < 2:
                raise DataError("cut(): invalid number of intervals")
            low, high = float(np.nanmin(x)), float(np.nanmax(x))
            span = high - low or abs(low) or 1.0
            count = int(breaks[0]) + 1
            if high > low:
                breaks = np.linspace(low, high, count)
                breaks[[0, -1]] = low - span / 1000, high + span / 1000
            else:
                breaks = np.linspace(low - span / 1000, high + span / 1000, count)
        learned["breaks"] = np.sort(breaks)
    breaks = learned["breaks"]
    if len(np.unique(breaks)) < len(breaks):
        raise DataError("cut(): 'breaks' are not unique")
    codes = np.searchsorted(breaks, x, side="left" if right else "right") - 1
    if lowest:
        codes = np.where(x == breaks[0 if right else -1], 0 if right else len(breaks) - 2, codes)
    codes = np.where(np.isnan(x) | (codes < 0) | (codes >= len(breaks) - 1), -1, codes)
    labels = args.get("labels")
    if labels is False:
        return Numeric(np.where(codes < 0, np.nan, codes + 1.0))
    if labels is None:
        levels = _cut_labels(breaks, right, lowest, int(args.number("dig.lab", 3.0) or 3))
    else:
        levels = tuple(text_of(v) for v in plain_values(labels, "cut"))
        if len(levels) != len(breaks) - 1:
            raise DataError("cut(): number of intervals and length of 'labels' differ")
    return Factor(codes, levels, args.truth("ordered_result", False))


def coded(args: Arguments) -> Value:
    """R's ``C``: a factor with its contrasts."""
    given = args.first("object")
    if not isinstance(given, Factor):
        kind = "has truth values" if isinstance(given, Logical) else "is numeric"
        inner = args.texts[0] if args.texts else "x"
        raise DataError(
            f"{args.text}: object not interpretable as a factor: {inner} {kind}; "
            f"write factor({inner}), or C(factor({inner}), sum) for other contrasts"
        )
    factor = as_factor(args.column("object"))
    contrast = args.get("contr")
    if contrast is None:
        contrast = default_contrast(factor.ordered)
    if not isinstance(contrast, Contrast):
        raise DataError(
            "C(): the contrasts must be one of contr.treatment, contr.sum, "
            "contr.helmert, contr.poly, contr.SAS"
        )
    base, many = args.number("base"), args.number("how.many")
    if base is not None:
        contrast = replace(contrast, base=int(base))
    # R before 4.3 keeps level names only of contrasts that are named: C(f, SAS), C(f, "contr.SAS")
    by_function = any(t.startswith("contr.") and "(" not in t for t in args.texts)
    computed = by_function or base is not None or many is not None
    if computed and contrast.columns is None and not without_r().C_keeps_levels:
        count = len(factor.levels)
        left_out = {"contr.treatment": contrast.base, "contr.SAS": count}.get(contrast.name)
        if left_out is not None:
            contrast = replace(contrast, columns=_numbered(count, left_out))
    if many is not None:
        contrast = replace(contrast, how_many=int(many))
    return replace(factor, contrast=contrast)


def _numbered(count: int, base: int) -> tuple[str, ...]:
    return tuple(str(i) for i in range(1, count + 1) if i != base)


def contrast_function(args: Arguments) -> Value:
    """``contr.treatment(3, base = 2)`` and its kin, as an argument of ``C``."""
    base = int(args.number("base", 1.0) or 1)
    contrast = Contrast(args.function, base=base)
    size = args.get("n")
    if args.function in ("contr.treatment", "contr.SAS") and isinstance(size, (int, float)):
        base = base if args.function == "contr.treatment" else int(size)
        return replace(contrast, columns=_numbered(int(size), base))
    return contrast


def dummy(args: Arguments) -> Value:
    """lme4's ``dummy``: indicators of a factor's levels as numbers, of all but the first or of
    those asked for.
    """
    factor = as_factor(args.column("f"))
    if bool(np.any(factor.codes < 0)):
        raise DataError(
            f"{args.text}: missing values, which lme4's dummy() cannot place: drop those rows first"
        )
    factor = _without_unused(factor)
    known = args.memory.setdefault("levels", factor.levels)
    keep = args.get("levelsToKeep")
    wanted = known[1:] if keep is None else tuple(map(text_of, plain_values(keep, "dummy")))
    unknown = [level for level in wanted if level not in known]
    if unknown:
        raise DataError(
            f"{args.text}: {unknown[0]!r} is not a level{near_match(unknown[0], known)}; "
            f"levels are {', '.join(known)}"
        )
    if not wanted:
        raise DataError(f"{args.text}: no level is left to make an indicator of")
    texts = np.array(factor.levels, dtype=object)[factor.codes]
    return Numeric(np.column_stack([texts == level for level in wanted]).astype(float), wanted)


def levels(args: Arguments) -> Value:
    """R's ``levels``."""
    column = args.column("x")
    return list(column.levels) if isinstance(column, Factor) else None
