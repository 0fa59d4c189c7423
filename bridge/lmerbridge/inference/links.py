"""Transformations of the response that can be undone, and the scales that results are shown on.

What is recognized, and how the scale is called, is what emmeans does with the left-hand side of a
formula (``emmeans``, vignette "Transformations and link functions"): a function of the response,
``log(y)``; of the response and a constant, ``log(y + 1)``; a multiple of a function, ``2*sqrt(y)``;
``asin(sqrt(y))`` and ``asinh(sqrt(y))``; ``scale(y)``. What stands inside the function is what
comes back: ``log(2 * y)`` comes back as ``2 * y``. Another function is a scale without a way back:
results stay on it. A generalized model's scale is that of its link, whatever its response is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from lmerbridge.design import ModelFrame
from lmerbridge.equality import by_value
from lmerbridge.formula.syntax import (
    Binary,
    Call,
    Name,
    Node,
    Number,
    Paren,
    deparse,
    format_number,
)

if TYPE_CHECKING:
    from lmerbridge.family import Family

__all__ = ["LINKS", "Link", "bias_adjusted", "link_of"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Function: TypeAlias = Callable[[Array], Array]


@by_value
@dataclass(frozen=True, eq=False)
class Link:
    """A transformation of the response that can be undone.

    Attributes
    ----------
    name : str
        How emmeans calls the scale of the model: ``log``, ``log(mu + 1)``, ``2*sqrt``.
    inverse, slope : callable
        The way back and its derivative.
    curvature, bend : callable
        The second and third derivative of ``inverse``.
    still : str
        How emmeans calls the scale of contrasts that stay on it, if not by ``name``.
    bias : float, optional
        The standard deviation for which :func:`bias_adjusted` has changed ``inverse``.
    known : bool
        Whether there is a way back: emmeans has none from ``atan(y)``, and says so.
    estimate, ratio : str
        How emmeans heads what comes back, and differences that do.
    """

    name: str
    inverse: Function
    slope: Function
    curvature: Function = np.zeros_like
    bend: Function = np.zeros_like
    still: str = ""
    bias: float | None = None
    known: bool = True
    estimate: str = "response"
    ratio: str = "ratio"


# Functions with their constants, as partial() takes them: a lambda would not pickle.


def _exponential(rate: float, order: int, eta: Array) -> Array:
    return np.asarray(np.exp(eta * rate) * rate**order)


def _power_of(base: float) -> Link:
    derivative = partial(partial, _exponential, math.log(base))
    return Link("", derivative(0), derivative(1), derivative(2), derivative(3))


def _within(low: float, high: float, function: Function, eta: Array) -> Array:
    """A way back where the transformation has values: beyond them it stays what it is at the end.

    The square of a negative number is not the way back from a square root.
    """
    return function(np.clip(eta, low, high))


def _only_within(low: float, high: float, function: Function, eta: Array) -> Array:
    """Its derivative, which is 0 beyond."""
    return np.where((eta >= low) & (eta <= high), function(eta), 0.0)


def _line(intercept: float, slope: float, eta: Array) -> Array:
    return np.asarray(intercept + slope * eta)


def _log_derivative(order: int, eta: Array) -> Array:
    signs = {1: 1.0, 2: -1.0, 3: 2.0}
    return np.asarray(signs[order] / eta**order)


def _squared_sine(order: int, eta: Array) -> Array:
    """The derivative of this order of ``sin(eta)**2``."""
    waves = {1: np.sin(2 * eta), 2: 2 * np.cos(2 * eta), 3: -4 * np.sin(2 * eta)}
    return np.asarray(np.sin(eta) ** 2 if order == 0 else waves[order])


def _squared_sinh(order: int, eta: Array) -> Array:
    """The derivative of this order of ``sinh(eta)**2``."""
    waves = {1: np.sinh(2 * eta), 2: 2 * np.cosh(2 * eta), 3: 4 * np.sinh(2 * eta)}
    return np.asarray(np.sinh(eta) ** 2 if order == 0 else waves[order])


def _tanh_derivative(order: int, eta: Array) -> Array:
    t, u = np.tanh(eta), 1 / np.cosh(eta) ** 2
    return np.asarray({1: u, 2: -2 * t * u, 3: (4 * t**2 - 2 * u) * u}[order])


def _of_root(name: str, high: float, derivative: Callable[[int, Array], Array]) -> Link:
    """The function ``name`` of the root of the response; ``derivative`` of the way back."""
    inside = [partial(_only_within, 0.0, high, partial(derivative, order)) for order in (1, 2, 3)]
    return Link(
        f"{name}(sqrt(mu))",
        partial(_within, 0.0, high, partial(derivative, 0)),
        inside[0],
        inside[1],
        inside[2],
        still=f"{name}.sqrt",
    )


_OF_ROOTS = {
    "asin": _of_root("asin", math.pi / 2, _squared_sine),
    "asinh": _of_root("asinh", math.inf, _squared_sinh),
}
_ATANH = Link(
    "atanh(mu)",
    np.tanh,
    partial(_tanh_derivative, 1),
    partial(_tanh_derivative, 2),
    partial(_tanh_derivative, 3),
    still="atanh",
)

LINKS: dict[str, Link] = {
    "log": replace(_power_of(math.e), name="log"),
    "log2": replace(_power_of(2.0), name="log2"),
    "log10": replace(_power_of(10.0), name="log10"),
    "log1p": Link("log1p", np.expm1, np.exp, np.exp, np.exp),
    "sqrt": Link(
        "sqrt",
        partial(_within, 0.0, math.inf, np.square),
        partial(_only_within, 0.0, math.inf, partial(_line, 0.0, 2.0)),
        partial(_only_within, 0.0, math.inf, partial(_line, 2.0, 0.0)),
    ),
    "exp": Link(
        "exp",
        np.log,
        partial(_log_derivative, 1),
        partial(_log_derivative, 2),
        partial(_log_derivative, 3),
    ),
    "atanh": _ATANH,
    "I": Link("identity", np.asarray, np.ones_like),
}


def _inner(node: Node) -> Node:
    while isinstance(node, Paren):
        node = node.inner
    return node


def _function(node: Node) -> tuple[str, Node] | None:
    """The name and the argument of a function of one argument."""
    if not isinstance(node, Call):
        return None
    name = node.function.rpartition("::")[2]
    if name == "log" and len(node.arguments) == 2:
        base = node.arguments[1].value
        if isinstance(base, Number) and base.value in (2.0, 10.0):
            return f"log{format_number(base.value)}", node.arguments[0].value
        return None
    if len(node.arguments) != 1 or node.arguments[0].name not in (None, "x"):
        return None
    return name, node.arguments[0].value


def _less(function: Function, shift: float, eta: Array) -> Array:
    return function(eta) - shift


def _shifted(link: Link, shift: float) -> Link:
    return replace(
        link,
        name=f"{link.name}(mu + {format_number(shift, 7)})",
        inverse=partial(_less, link.inverse, shift) if link.known else link.inverse,
        still=f"{link.still or link.name}(mu + {format_number(shift, 7)})",
    )


def _of_multiple(function: Function, times: float, order: int, eta: Array) -> Array:
    return function(eta / times) / times**order


def _stretched(link: Link, times: float) -> Link:
    named = replace(
        link,
        name=f"{format_number(times, 7)}*{link.name}",
        still=f"{format_number(times, 7)}*{link.still}" if link.still else "",
    )
    if not link.known:
        return named
    return replace(
        named,
        inverse=partial(_of_multiple, link.inverse, times, 0),
        slope=partial(_of_multiple, link.slope, times, 1),
        curvature=partial(_of_multiple, link.curvature, times, 2),
        bend=partial(_of_multiple, link.bend, times, 3),
    )


def _scaled(frame: ModelFrame, node: Call) -> Link | None:
    """``scale(y)``: back to the units of y."""
    learned = frame.design.memory.get(deparse(node), {})
    centre = np.ravel(learned.get("center", 0.0))
    spread = np.ravel(learned.get("scale", 1.0))
    if len(centre) != 1 or len(spread) != 1:
        return None
    a, b = float(centre[0]), float(spread[0])
    return Link(
        f"scale({format_number(a, 3)}, {format_number(b, 3)})",
        partial(_line, a, b),
        partial(_line, b, 0.0),
    )


def link_of(frame: ModelFrame) -> Link | None:
    """The transformation of the response of a model, or ``None`` where it is none that can be
    undone.
    """
    if frame.family is not None:
        return _of_family(frame.family)
    node = _inner(frame.formula.response)
    if isinstance(node, Binary) and node.operator == "*":
        times, rest = _inner(node.left), _inner(node.right)
        found = _link_of_call(frame, rest)
        if isinstance(times, Number) and found is not None and times.value != 0:
            return _stretched(found, times.value)
        return None
    return _link_of_call(frame, node)


def _of_family(family: Family) -> Link | None:
    link = family.link
    if link.name == "identity":
        return None
    headers = {"binomial": "prob", "poisson": "rate"}
    return Link(
        link.name,
        link.inverse,
        link.slope,
        link.curvature,
        link.bend,
        estimate=headers.get(family.name, "response"),
    )


def _unknown(name: str) -> Link:
    """A scale without a way back."""
    return Link(name, np.asarray, np.ones_like, known=False)


def _link_of_call(frame: ModelFrame, node: Node) -> Link | None:
    if isinstance(node, Call) and node.function.rpartition("::")[2] == "scale":
        return _scaled(frame, node)
    called = _function(node)
    if called is None:
        name = node.function.rpartition("::")[2] if isinstance(node, Call) else ""
        return _unknown(name) if name and name not in LINKS else None
    name, argument = called
    inside = _function(_inner(argument))
    if name in _OF_ROOTS and inside is not None and inside[0] == "sqrt":
        return _OF_ROOTS[name]
    link = LINKS.get(name)
    if link is None:
        link = _unknown(name if inside is None else f"{name}.{inside[0]}")
    argument = _inner(argument)
    if name != "I" and isinstance(argument, Binary) and argument.operator == "+":
        shift = _inner(argument.right)
        if isinstance(_inner(argument.left), Name) and isinstance(shift, Number):
            return _shifted(link, shift.value)
    return link


def _with_half(first: Function, half: float, second: Function, eta: Array) -> Array:
    return first(eta) + half * second(eta)


def bias_adjusted(link: Link, sigma: float) -> Link:
    """The way back to the mean of the response rather than to the transform of a mean.

    With h the way back, E[h(eta + e)] is about h(eta) + sigma^2 h''(eta) / 2 for e with standard
    deviation ``sigma`` (a Taylor series of second order; ``emmeans``, vignette "Transformations and
    link functions", section on bias adjustment).
    """
    half = sigma**2 / 2
    return replace(
        link,
        inverse=partial(_with_half, link.inverse, half, link.curvature),
        slope=partial(_with_half, link.slope, half, link.bend),
        bias=sigma,
    )
