"""What the functions of a formula do, with R's semantics.

Each takes an :class:`Arguments` (already matched to R's parameters and evaluated) and
returns a column, a number, a string, a list or a :class:`Contrast`. A function whose result
depends on all rows (``poly``, ``scale``, ``bs``, ``ns``, ``cut``) keeps what it learned from
the data in ``memory``, so that new data can be treated alike.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from lmerbridge.design.columns import Array, Column, Factor, Logical, Numeric, as_factor, is_missing
from lmerbridge.design.contrasts import Contrast, default_contrast
from lmerbridge.errors import DataError
from lmerbridge.formula.syntax import format_number
from lmerbridge.rmath import round_r

__all__ = ["FUNCTIONS", "Arguments", "Value", "column_of", "numbers_of"]

# What an expression may evaluate to; a list of plain values comes from c().
Value: TypeAlias = Column | float | str | bool | list[Any] | Contrast | None


@dataclass(frozen=True)
class Arguments:
    """The arguments of one call: by parameter, those of ``...`` apart."""

    function: str
    named: dict[str, Value]
    rest: list[Value]
    rows: int
    memory: dict[Any, Any]

    def get(self, name: str, default: Value = None) -> Value:
        return self.named.get(name, default)

    def first(self, name: str) -> Value:
        if name not in self.named:
            raise DataError(f"{self.function}() needs its argument {name!r}")
        return self.named[name]

    def number(self, name: str, default: float | None = None) -> float | None:
        value = self.named.get(name, default)
        if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)):
            return None if value is None else float(value)
        if isinstance(value, bool):
            return float(value)
        raise DataError(f"{self.function}(): {name} must be a number")

    def truth(self, name: str, default: bool) -> bool:
        value = self.named.get(name, default)
        if isinstance(value, (bool, int, float)):
            return bool(value)
        raise DataError(f"{self.function}(): {name} must be TRUE or FALSE")

    def column(self, name: str) -> Column:
        return column_of(self.first(name), self.rows, self.function)

    def numbers(self, name: str) -> Array:
        return numbers_of(self.column(name), self.function)


def column_of(value: Value, rows: int, where: str) -> Column:
    """``value`` as a column of ``rows`` rows; a single number is repeated."""
    if isinstance(value, (Numeric, Logical, Factor)):
        return value
    if isinstance(value, bool):
        return Logical(np.full(rows, float(value)))
    if isinstance(value, (int, float)):
        return Numeric(np.full(rows, float(value)))
    raise DataError(f"{where}() needs a column, not {_describe(value)}")


def numbers_of(column: Value, where: str) -> Array:
    """The column as floats, or an error that says why it has none."""
    if isinstance(column, Numeric):
        return column.floats
    if isinstance(column, Logical):
        return column.values
    if isinstance(column, Factor):
        raise DataError(f"{where!r} is not meaningful for factors and strings")
    raise DataError(f"{where!r} needs numbers, not {_describe(column)}")


def _describe(value: Value) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return f"the string {value!r}"
    return "a list" if isinstance(value, list) else type(value).__name__.lower()


def _plain(value: Value, function: str) -> list[Any]:
    """A constant or c(...) as a list of plain values."""
    if isinstance(value, list):
        return value
    if isinstance(value, (bool, int, float, str)):
        return [value]
    raise DataError(f"{function}(): give constants, as in c(1, 2)")


def _elementwise(function: Callable[[Array], Array]) -> Callable[[Arguments], Value]:
    def apply(args: Arguments) -> Value:
        value = args.first("x")
        with np.errstate(all="ignore"):
            if isinstance(value, (int, float)):
                return float(function(np.array([float(value)]))[0])
            column = column_of(value, args.rows, args.function)
            names = column.names if isinstance(column, Numeric) else None
            return Numeric(function(numbers_of(column, args.function)), names)

    return apply


def _log(args: Arguments) -> Value:
    base = args.number("base")
    scale = 1.0 if base is None else np.log(base)
    if base in (2.0, 10.0):
        return _elementwise(np.log2 if base == 2 else np.log10)(args)
    return _elementwise(lambda x: np.log(x) / scale if base is not None else np.log(x))(args)


def _round(args: Arguments) -> Value:
    digits = args.number("digits", 0.0) or 0.0
    return _elementwise(lambda x: round_r(x, digits))(args)


def _identity(args: Arguments) -> Value:
    return args.column("x")


def _scale(args: Arguments) -> Value:
    column = args.column("x")
    x = numbers_of(column, "scale")
    matrix = x.reshape(len(x), -1)
    learned = args.memory
    if "center" not in learned:
        center, scale = args.get("center", True), args.get("scale", True)
        with np.errstate(all="ignore"):
            learned["center"] = (
                np.nanmean(matrix, axis=0)
                if center is True
                else np.zeros(matrix.shape[1])
                if center is False
                else np.array(_plain(center, "scale"), dtype=float)
            )
            shifted = matrix - learned["center"]
            counts = (~np.isnan(shifted)).sum(axis=0)
            learned["scale"] = (
                np.sqrt(np.nansum(shifted**2, axis=0) / np.maximum(1, counts - 1))
                if scale is True
                else np.ones(matrix.shape[1])
                if scale is False
                else np.array(_plain(scale, "scale"), dtype=float)
            )
    scaled = (matrix - learned["center"]) / learned["scale"]
    if isinstance(column, Numeric) and column.names is not None:
        return Numeric(scaled, column.names)
    return Numeric(scaled[:, 0])


def _complete(x: Array, function: str) -> Array:
    if np.isnan(x).any():
        raise DataError(f"missing values are not allowed in {function!r}: drop those rows first")
    return x


def _orthogonal(x: Array, degree: int, raw: bool, memory: dict[Any, Any]) -> Array:
    from formulaic.transforms.poly import poly

    if degree < 1 or (degree >= len(np.unique(x)) and not raw and not memory):
        raise DataError(
            "'degree' of poly() must be at least 1 and less than the number of unique points"
        )
    return np.asarray(poly(x, degree=degree, raw=raw, _state=memory), dtype=float).reshape(
        len(x), degree
    )


def _poly(args: Arguments) -> Value:
    raw = args.truth("raw", False)
    columns = [_complete(args.numbers("x"), "poly")]
    rest = list(args.rest)
    degree = args.number("degree")
    if degree is None and len(rest) == 1 and isinstance(rest[0], (int, float)):
        degree = float(rest[0])
        rest = []
    power = int(degree or 1)
    columns += [
        _complete(numbers_of(column_of(r, args.rows, "poly"), "poly"), "poly") for r in rest
    ]
    bases = [
        _orthogonal(x, power, raw, args.memory.setdefault(i, {})) for i, x in enumerate(columns)
    ]
    if len(bases) == 1:
        names = tuple(str(i + 1) for i in range(power))
        return Numeric(bases[0], names) if power > 1 else Numeric(bases[0][:, 0])
    # all products up to the total degree, the exponent of the first variable fastest
    exponents: list[tuple[int, ...]] = [()]
    for _ in bases:
        exponents = [(*e, k) for k in range(power + 1) for e in exponents]
    exponents = [e for e in exponents if 1 <= sum(e) <= power]
    products = []
    for exponent in exponents:
        product = np.ones(args.rows)
        for basis, k in zip(bases, exponent, strict=True):
            if k:
                product = product * basis[:, k - 1]
        products.append(product)
    return Numeric(np.column_stack(products), tuple(".".join(map(str, e)) for e in exponents))


def _knots(x: Array, args: Arguments, df: int | None, degree: int, intercept: bool) -> Array:
    """Interior knots: given, or at equally spaced quantiles so that there are df columns."""
    given = args.get("knots")
    if given is not None:
        return np.sort(np.array(_plain(given, args.function), dtype=float))
    count = 0 if df is None else df - degree - intercept
    if count < 0:
        raise DataError(f"{args.function}(): df = {df} is too small")
    inside = x[(x >= args.memory["low"]) & (x <= args.memory["high"])]
    return np.quantile(inside, np.linspace(0, 1, count + 2)[1:-1]) if count else np.array([])


def _boundary(x: Array, args: Arguments) -> tuple[float, float]:
    given = args.get("Boundary.knots")
    if given is not None:
        low, high = sorted(float(v) for v in _plain(given, args.function))
        return low, high
    return float(x.min()), float(x.max())


def _spline_basis(
    x: Array, knots: Array, degree: int, low: float, high: float, derivative: int = 0
) -> Array:
    from scipy.interpolate import BSpline

    padded = np.concatenate([[low] * (degree + 1), knots, [high] * (degree + 1)])
    count = len(padded) - degree - 1
    # The last interval is closed on the right, as in R.
    basis = BSpline(padded, np.eye(count), degree, extrapolate=True)
    return np.asarray(basis(x, nu=derivative))


def _bs(args: Arguments) -> Value:
    x = _complete(args.numbers("x"), "bs")
    degree = int(args.number("degree", 3.0) or 3)
    intercept = args.truth("intercept", False)
    learned = args.memory
    if "knots" not in learned:
        df = args.number("df")
        learned["low"], learned["high"] = _boundary(x, args)
        learned["knots"] = _knots(x, args, None if df is None else int(df), degree, intercept)
    basis = _spline_basis(x, learned["knots"], degree, learned["low"], learned["high"])
    basis = basis if intercept else basis[:, 1:]
    return Numeric(basis, tuple(str(i + 1) for i in range(basis.shape[1])))


def _ns(args: Arguments) -> Value:
    """Natural cubic splines: cubic B-splines with second derivatives 0 at the boundary."""
    x = _complete(args.numbers("x"), "ns")
    intercept = args.truth("intercept", False)
    learned = args.memory
    if "knots" not in learned:
        df = args.number("df")
        learned["low"], learned["high"] = _boundary(x, args)
        learned["knots"] = _knots(x, args, None if df is None else int(df), 1, intercept)
    low, high, knots = learned["low"], learned["high"], learned["knots"]
    basis = _spline_basis(np.clip(x, low, high), knots, 3, low, high)
    ends = np.array([low, high])
    constraint = _spline_basis(ends, knots, 3, low, high, derivative=2)
    slopes = _spline_basis(ends, knots, 3, low, high, derivative=1)
    for beyond, at in ((x < low, 0), (x > high, 1)):  # linear beyond the boundary
        basis[beyond] += np.outer(x[beyond] - ends[at], slopes[at])
    if not intercept:
        basis, constraint = basis[:, 1:], constraint[:, 1:]
    rotation, _ = np.linalg.qr(constraint.T, mode="complete")
    basis = basis @ rotation[:, 2:]
    return Numeric(basis, tuple(str(i + 1) for i in range(basis.shape[1])))


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    return value if isinstance(value, str) else format_number(float(value))


def _factor(args: Arguments) -> Value:
    factor = as_factor(args.column("x"))
    ordered = args.truth("ordered", factor.ordered or args.function == "ordered")
    levels, labels = args.get("levels"), args.get("labels")
    if levels is not None:
        wanted = tuple(_text(v) for v in _plain(levels, args.function))
        position = {level: i for i, level in enumerate(wanted)}
        renumber = np.array([position.get(level, -1) for level in factor.levels] + [-1])
        factor = Factor(renumber[factor.codes], wanted)
    elif isinstance(args.first("x"), Factor):
        used = np.unique(factor.codes[factor.codes >= 0])  # factor(f) drops unused levels
        renumber = np.full(len(factor.levels) + 1, -1, dtype=np.int64)
        renumber[used] = np.arange(len(used))
        factor = Factor(renumber[factor.codes], tuple(factor.levels[i] for i in used))
    if args.get("exclude") is not None:
        gone = {_text(v) for v in _plain(args.get("exclude"), args.function)}
        kept = [level for level in factor.levels if level not in gone]
        renumber = np.array(
            [kept.index(level) if level in kept else -1 for level in factor.levels] + [-1]
        )
        factor = Factor(renumber[factor.codes], tuple(kept))
    if labels is not None:
        named = [_text(v) for v in _plain(labels, args.function)]
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


def _as_factor(args: Arguments) -> Value:
    factor = as_factor(args.column("x"))
    return replace(factor, ordered=True) if args.function == "as.ordered" else factor


def _as_numeric(args: Arguments) -> Value:
    column = args.column("x")
    if isinstance(column, Factor):
        return Numeric(np.where(column.codes < 0, np.nan, column.codes + 1.0))
    values = numbers_of(column, args.function)
    return Numeric(np.trunc(values) if args.function == "as.integer" else values)


def _as_character(args: Arguments) -> Value:
    factor = as_factor(args.column("x"))
    order = sorted(range(len(factor.levels)), key=lambda i: factor.levels[i])
    rank = np.empty(len(order) + 1, dtype=np.int64)
    rank[order], rank[-1] = np.arange(len(order)), -1
    return Factor(rank[factor.codes], tuple(factor.levels[i] for i in order))


def _as_logical(args: Arguments) -> Value:
    values = numbers_of(args.column("x"), args.function)
    return Logical(np.where(np.isnan(values), np.nan, (values != 0).astype(float)))


def _relevel(args: Arguments) -> Value:
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


def _interaction(args: Arguments) -> Value:
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
    return Factor(codes, tuple(levels))


def _cut_labels(breaks: Array, right: bool, lowest: bool, digits: int) -> tuple[str, ...]:
    texts: list[str] = []
    for d in range(digits, max(12, digits) + 1):
        texts = [f"{b:.{d}g}" for b in breaks]
        if len(set(texts)) == len(texts):
            break
    opening, closing = ("(", "]") if right else ("[", ")")
    labels = [f"{opening}{a},{b}{closing}" for a, b in itertools.pairwise(texts)]
    if lowest and right:
        labels[0] = "[" + labels[0][1:]
    elif lowest:
        labels[-1] = labels[-1][:-1] + "]"
    return tuple(labels)


def _cut(args: Arguments) -> Value:
    x = args.numbers("x")
    right, lowest = args.truth("right", True), args.truth("include.lowest", False)
    learned = args.memory
    if "breaks" not in learned:
        breaks = np.array(_plain(args.first("breaks"), "cut"), dtype=float)
        if len(breaks) == 1:
            if breaks[0] < 2:
                raise DataError("cut(): invalid number of intervals")
            low, high = float(np.nanmin(x)), float(np.nanmax(x))
            span = high - low or abs(low)
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
        levels = tuple(_text(v) for v in _plain(labels, "cut"))
        if len(levels) != len(breaks) - 1:
            raise DataError("cut(): number of intervals and length of 'labels' differ")
    return Factor(codes, levels, args.truth("ordered_result", False))


def _contrasts(args: Arguments) -> Value:
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
        if contrast.name == "contr.treatment":
            # C() stores the matrix without level names when base is given: f1, f3
            contrast = replace(contrast, columns=_numbered(len(factor.levels), int(base)))
    if contrast.name == "contr.SAS" and contrast.columns is None:
        # R's C() gives these no level names either
        contrast = replace(contrast, columns=_numbered(len(factor.levels), len(factor.levels)))
    if many is not None:
        contrast = replace(contrast, how_many=int(many))
    return replace(factor, contrast=contrast)


def _numbered(count: int, base: int) -> tuple[str, ...]:
    return tuple(str(i) for i in range(1, count + 1) if i != base)


def _contrast_function(args: Arguments) -> Value:
    base = int(args.number("base", 1.0) or 1)
    contrast = Contrast(args.function, base=base)
    size = args.get("n")
    if args.function in ("contr.treatment", "contr.SAS") and isinstance(size, (int, float)):
        base = base if args.function == "contr.treatment" else int(size)
        return replace(contrast, columns=_numbered(int(size), base))
    return contrast


def _levels(args: Arguments) -> Value:
    column = args.column("x")
    return list(column.levels) if isinstance(column, Factor) else None


def _ifelse(args: Arguments) -> Value:
    test = numbers_of(args.column("test"), "ifelse")
    yes, no = args.first("yes"), args.first("no")
    if isinstance(yes, str) and isinstance(no, str):
        levels = tuple(sorted({yes, no}))
        codes = np.where(test != 0, levels.index(yes), levels.index(no))
        return Factor(np.where(np.isnan(test), -1, codes), levels)
    a, b = (numbers_of(column_of(v, args.rows, "ifelse"), "ifelse") for v in (yes, no))
    chosen = np.where(np.isnan(test), np.nan, np.where(test != 0, a, b))
    both = all(isinstance(v, (bool, Logical)) for v in (yes, no))
    return Logical(chosen) if both else Numeric(chosen)


def _extreme(function: Callable[[Array, Array], Array]) -> Callable[[Arguments], Value]:
    def apply(args: Arguments) -> Value:
        result: Array | None = None
        for value in args.rest:
            x = numbers_of(column_of(value, args.rows, args.function), args.function)
            result = x if result is None else function(result, x)
        if result is None:
            raise DataError(f"{args.function}() needs an argument")
        return Numeric(result)

    return apply


def _cbind(args: Arguments) -> Value:
    columns = [numbers_of(column_of(v, args.rows, "cbind"), "cbind") for v in args.rest]
    names = args.memory.get("names") or tuple(str(i + 1) for i in range(len(columns)))
    return Numeric(np.column_stack(columns), names)


def _combine(args: Arguments) -> Value:
    return [v for value in args.rest for v in _plain(value, "c")]


def _summary(function: Callable[[Array], float]) -> Callable[[Arguments], Value]:
    def apply(args: Arguments) -> Value:
        values = [args.first("x")] if "x" in args.named else args.rest
        if "value" not in args.memory:
            arrays = [
                np.ravel(numbers_of(column_of(v, args.rows, args.function), args.function))
                for v in values
            ]
            args.memory["value"] = float(function(np.concatenate(arrays)))
        return float(args.memory["value"])

    return apply


def _missing(args: Arguments) -> Value:
    return Logical(is_missing(args.column("x")).astype(float))


def _offset(args: Arguments) -> Value:
    return args.column("object")


FUNCTIONS: dict[str, Callable[[Arguments], Value]] = {
    **{
        name: _elementwise(getattr(np, name))
        for name in (
            "sqrt",
            "log2",
            "log10",
            "log1p",
            "exp",
            "expm1",
            "abs",
            "sin",
            "cos",
            "tan",
            "tanh",
            "sign",
            "floor",
            "trunc",
        )
    },
    "atan": _elementwise(np.arctan),
    "ceiling": _elementwise(np.ceil),
    "log": _log,
    "round": _round,
    "is.na": _missing,
    "I": _identity,
    "offset": _offset,
    "poly": _poly,
    "scale": _scale,
    "bs": _bs,
    "ns": _ns,
    "factor": _factor,
    "ordered": _factor,
    "as.factor": _as_factor,
    "as.ordered": _as_factor,
    "as.numeric": _as_numeric,
    "as.integer": _as_numeric,
    "as.character": _as_character,
    "as.logical": _as_logical,
    "relevel": _relevel,
    "interaction": _interaction,
    "cut": _cut,
    "C": _contrasts,
    **{
        f"contr.{name}": _contrast_function
        for name in ("treatment", "sum", "helmert", "poly", "SAS")
    },
    "levels": _levels,
    "ifelse": _ifelse,
    "pmin": _extreme(np.minimum),
    "pmax": _extreme(np.maximum),
    "cbind": _cbind,
    "c": _combine,
    "mean": _summary(lambda x: np.mean(x).item()),
    "min": _summary(lambda x: np.min(x).item()),
    "max": _summary(lambda x: np.max(x).item()),
    "sd": _summary(lambda x: np.std(x, ddof=1).item()),
    "median": _summary(lambda x: np.median(x).item()),
}
