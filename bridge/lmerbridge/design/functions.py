"""What the functions of a formula do, with R's semantics: arithmetic, and the list of all.

Each takes an :class:`Arguments` (already matched to R's parameters and evaluated) and
returns a column, a number, a string, a list or a :class:`Contrast`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from lmerbridge.design import bases, factors, special
from lmerbridge.design.columns import Array, Factor, Logical, Numeric, is_missing
from lmerbridge.design.times import Moment
from lmerbridge.design.values import (
    Arguments,
    Value,
    column_of,
    is_integer,
    no_time,
    numbers_of,
    plain_values,
    time_in,
)
from lmerbridge.errors import DataError
from lmerbridge.rmath import cospi, round_r, signif_r, sinpi, tanpi

__all__ = ["FUNCTIONS"]

# these keep integers integers, and the others dates dates
_WHOLE = frozenset({"abs", "round", "sign"})
_OF_TIMES = frozenset({"abs", "sign", "round", "floor", "ceiling", "trunc"})


# NumPy's by R's names
_OF_ONE: dict[str, Callable[[Array], Array]] = {
    "abs": np.abs,
    "sign": np.sign,
    "sqrt": np.sqrt,
    "floor": np.floor,
    "ceiling": np.ceil,
    "trunc": np.trunc,
    "exp": np.exp,
    "expm1": np.expm1,
    "log1p": np.log1p,
    "log2": np.log2,
    "log10": np.log10,
    "cos": np.cos,
    "sin": np.sin,
    "tan": np.tan,
    "acos": np.arccos,
    "asin": np.arcsin,
    "atan": np.arctan,
    "cosh": np.cosh,
    "sinh": np.sinh,
    "tanh": np.tanh,
    "acosh": np.arccosh,
    "asinh": np.arcsinh,
    "atanh": np.arctanh,
    "cospi": cospi,
    "sinpi": sinpi,
    "tanpi": tanpi,
    **special.OF_ONE,
}


def _elementwise(function: Callable[[Array], Array]) -> Callable[[Arguments], Value]:
    def apply(args: Arguments) -> Value:
        value = args.first("x")
        if not (args.function in _OF_TIMES and time_in(value)):
            no_time(value, args.function)
        whole = args.function in _WHOLE and is_integer(value)
        with np.errstate(all="ignore"):
            if isinstance(value, (int, float)):
                result = float(function(np.array([float(value)]))[0])
                return int(result) if whole else result
            column = column_of(value, args.rows, args.function)
            names = column.names if isinstance(column, Numeric) else None
            time = None if args.function == "sign" else time_in(value)
            return Numeric(
                function(numbers_of(column, args.function)), names, integer=whole, time=time
            )

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


def _signif(args: Arguments) -> Value:
    digits = args.number("digits", 6.0)
    # R rounds the number of digits, halves up, and takes no fewer than one
    wanted = max(math.floor((6.0 if digits is None else digits) + 0.5), 1)
    return _elementwise(lambda x: signif_r(x, wanted))(args)


def _angle(args: Arguments) -> Value:
    """The angle of the point (x, y), between -pi and pi."""
    values = [args.first("y"), args.first("x")]
    for value in values:
        no_time(value, "atan2")
    plain = [float(v) for v in values if isinstance(v, (int, float))]
    if len(plain) == 2:
        return math.atan2(*plain)
    columns = [column_of(v, args.rows, "atan2") for v in values]
    y, x = (numbers_of(c, "atan2") for c in columns)
    if y.ndim != x.ndim:
        y, x = (v.reshape(args.rows, -1) for v in (y, x))
    names = next((c.names for c in columns if isinstance(c, Numeric) and c.names), None)
    return Numeric(np.arctan2(y, x), names)


def _identity(args: Arguments) -> Value:
    return args.column("x")


def _ifelse(args: Arguments) -> Value:
    if not isinstance(args.first("test"), (Numeric, Logical)):
        raise DataError("ifelse(): test must be a condition, true or false for each row")
    test = numbers_of(args.column("test"), "ifelse")
    yes, no = args.first("yes"), args.first("no")
    if isinstance(yes, str) and isinstance(no, str):
        levels = tuple(sorted({yes, no}))
        codes = np.where(test != 0, levels.index(yes), levels.index(no))
        return Factor(np.where(np.isnan(test), -1, codes), levels)
    a, b = (numbers_of(column_of(v, args.rows, "ifelse"), "ifelse") for v in (yes, no))
    chosen = np.where(np.isnan(test), np.nan, np.where(test != 0, a, b))
    both = all(isinstance(v, (bool, Logical)) for v in (yes, no))
    whole = all(is_integer(v) for v in (yes, no))
    return Logical(chosen) if both else Numeric(chosen, integer=whole)


def _extreme(function: Callable[[Array, Array], Array]) -> Callable[[Arguments], Value]:
    def apply(args: Arguments) -> Value:
        result: Array | None = None
        for value in args.rest:
            no_time(value, args.function)
            x = numbers_of(column_of(value, args.rows, args.function), args.function)
            result = x if result is None else function(result, x)
        if result is None:
            raise DataError(f"{args.function}() needs an argument")
        return Numeric(result, integer=all(is_integer(v) for v in args.rest))

    return apply


def _cbind(args: Arguments) -> Value:
    columns = [numbers_of(column_of(v, args.rows, "cbind"), "cbind") for v in args.rest]
    names = args.memory.get("names") or tuple(str(i + 1) for i in range(len(columns)))
    return Numeric(np.column_stack(columns), names)


def _combine(args: Arguments) -> Value:
    return [v for value in args.rest for v in plain_values(value, "c")]


def _summary(function: Callable[[Array], float]) -> Callable[[Arguments], Value]:
    def apply(args: Arguments) -> Value:
        values = [args.first("x")] if "x" in args.named else args.rest
        if "value" not in args.memory:
            arrays = [
                np.ravel(numbers_of(column_of(v, args.rows, args.function), args.function))
                for v in values
            ]
            args.memory["value"] = float(function(np.concatenate(arrays)))
        value = float(args.memory["value"])
        times = {time_in(v) for v in values} if args.function != "sd" else {None}
        time = next(iter(times)) if len(times) == 1 else None
        return Moment(value, time) if time is not None else value

    return apply


def _missing(args: Arguments) -> Value:
    return Logical(is_missing(args.column("x")).astype(float))


def _offset(args: Arguments) -> Value:
    return args.column("object")


FUNCTIONS: dict[str, Callable[[Arguments], Value]] = {
    **{name: _elementwise(function) for name, function in _OF_ONE.items()},
    "log": _log,
    "logb": _log,
    "round": _round,
    "signif": _signif,
    "atan2": _angle,
    **special.OF_SEVERAL,
    "rank": special.rank,
    "is.na": _missing,
    "I": _identity,
    "offset": _offset,
    "poly": bases.poly,
    "scale": bases.scale,
    "bs": bases.bs,
    "ns": bases.ns,
    "factor": factors.factor,
    "ordered": factors.factor,
    "as.factor": factors.as_factor_call,
    "as.ordered": factors.as_factor_call,
    "as.numeric": factors.as_numeric,
    "as.integer": factors.as_numeric,
    "as.character": factors.as_character,
    "as.logical": factors.as_logical,
    "relevel": factors.relevel,
    "interaction": factors.interaction,
    "cut": factors.cut,
    "C": factors.coded,
    "dummy": factors.dummy,
    **{
        f"contr.{name}": factors.contrast_function
        for name in ("treatment", "sum", "helmert", "poly", "SAS")
    },
    "levels": factors.levels,
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
