"""Columns that depend on all rows: ``scale``, ``poly``, ``bs`` and ``ns``.

Each keeps what it learned from the data in ``memory``, so that new data can be treated alike.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lmerbridge.design.columns import Array, Numeric
from lmerbridge.design.values import Arguments, Value, column_of, numbers_of, plain_values
from lmerbridge.dialects import without_r
from lmerbridge.errors import DataError

__all__ = ["bs", "ns", "poly", "scale"]


def scale(args: Arguments) -> Value:
    """R's ``scale``: centred and divided by the standard deviation, NA left out."""
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
                else np.array(plain_values(center, "scale"), dtype=float)
            )
            shifted = matrix - learned["center"]
            counts = (~np.isnan(shifted)).sum(axis=0)
            learned["scale"] = (
                np.sqrt(np.nansum(shifted**2, axis=0) / np.maximum(1, counts - 1))
                if scale is True
                else np.ones(matrix.shape[1])
                if scale is False
                else np.array(plain_values(scale, "scale"), dtype=float)
            )
    scaled = (matrix - learned["center"]) / learned["scale"]
    if isinstance(column, Numeric) and column.names is not None:
        return Numeric(scaled, column.names)
    return Numeric(scaled[:, 0])


def _complete(x: Array, function: str) -> Array:
    if np.isnan(x).any():
        raise DataError(f"missing values are not allowed in {function!r}: drop those rows first")
    if np.isinf(x).any():
        raise DataError(f"infinite values are not allowed in {function!r}")
    return x


def _polynomials(x: Array, degree: int, raw: bool, memory: dict[Any, Any]) -> Array:
    from formulaic.transforms.poly import poly as orthogonal

    if degree < 1 or (degree >= len(np.unique(x)) and not raw and not memory):
        raise DataError(
            "'degree' of poly() must be at least 1 and less than the number of unique points"
        )
    return np.asarray(orthogonal(x, degree=degree, raw=raw, _state=memory), dtype=float).reshape(
        len(x), degree
    )


def poly(args: Arguments) -> Value:
    """R's ``poly``: orthogonal (formulaic's recurrence) or raw, of one or several variables."""
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
        _polynomials(x, power, raw, args.memory.setdefault(i, {})) for i, x in enumerate(columns)
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
        return np.sort(np.array(plain_values(given, args.function), dtype=float))
    count = 0 if df is None else df - degree - intercept
    if count < 0:
        raise DataError(f"{args.function}(): df = {df} is too small")
    low, high = args.memory["low"], args.memory["high"]
    if not count:
        return np.array([])
    inside = x[(x >= low) & (x <= high)]
    knots = np.quantile(inside, np.linspace(0, 1, count + 2)[1:-1])
    return _moved_inside(knots, low, high) if without_r().knots_moved_inside else knots


def _moved_inside(knots: Array, low: float, high: float) -> Array:
    """Knots at a boundary moved inside, an eighth of the way to the nearest other knot, as R since
    4.3 does it (found from the knots that it gives); they stay if there is no other.
    """
    others = knots[knots > low]
    if len(others):
        knots = np.where(knots == low, low + (others.min() - low) / 8, knots)
    others = knots[knots < high]
    if len(others):
        knots = np.where(knots == high, high - (high - others.max()) / 8, knots)
    return knots


def _boundary(x: Array, args: Arguments) -> tuple[float, float]:
    given = args.get("Boundary.knots")
    ends = x if given is None else np.array(plain_values(given, args.function), dtype=float)
    low, high = float(ends.min()), float(ends.max())
    if not low < high:
        raise DataError(f"{args.function}() needs values that differ")
    return low, high


def _spline_basis(
    x: Array, knots: Array, degree: int, low: float, high: float, derivative: int = 0
) -> Array:
    from scipy.interpolate import BSpline

    padded = np.concatenate([[low] * (degree + 1), knots, [high] * (degree + 1)])
    count = len(padded) - degree - 1
    # The last interval is closed on the right, as in R.
    basis = BSpline(padded, np.eye(count), degree, extrapolate=True)
    return np.asarray(basis(x, nu=derivative))


def bs(args: Arguments) -> Value:
    """R's ``bs``: B-splines (de Boor 1978), interior knots at quantiles."""
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


def ns(args: Arguments) -> Value:
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
