"""Axes to draw on: those of the caller, or a new figure of pyplot, which notebooks show by
themselves and ``plt.show()`` and ``plt.savefig()`` find.
"""

from __future__ import annotations

import functools
import inspect
import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

import numpy as np

from lmerbridge.arguments import checked
from lmerbridge.errors import ArgumentError
from lmerbridge.optional import needed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["AxesArray", "axes_of", "crowded", "drawing", "entitle", "grid_of_axes", "smooth"]

AxesArray: TypeAlias = "np.ndarray[Any, np.dtype[np.object_]]"
Drawn = TypeVar("Drawn", bound=Callable[..., Any])


def drawing(function: Drawn) -> Drawn:
    """Let a plot refuse what is no fitted model, and arguments of other kinds than it names."""
    inner = checked(function)
    signature = inspect.signature(function)

    @functools.wraps(function)
    def draw(*args: Any, **kwargs: Any) -> Any:
        if "m" in signature.parameters and not args and "m" not in kwargs:
            return inner(*args, **kwargs)  # which says that it is missing
        m = args[0] if args else kwargs.get("m")
        if "m" in signature.parameters:
            profiled = hasattr(m, "points") and hasattr(m, "every")
            if not profiled and not (hasattr(m, "result") and hasattr(m, "frame")):
                raise ArgumentError(f"m must be a fitted mixed model, not {type(m).__name__}")
        return inner(*args, **kwargs)

    return cast("Drawn", draw)


def axes_of(ax: Axes | None, m: Any = None, **figure: Any) -> Axes:
    """``ax``, or the axes of a new figure, which has the formula of a model ``m`` above it.

    Raises
    ------
    MissingPackageError
        matplotlib is not installed.
    """
    if ax is not None:
        if not hasattr(ax, "errorbar"):
            raise ArgumentError(f"ax must be axes of matplotlib, not {type(ax).__name__}")
        return ax
    made: Axes = grid_of_axes(1, 1, **figure)[0]
    if m is not None:
        entitle(made, m)
    return made


def grid_of_axes(count: int, columns: int, **figure: Any) -> AxesArray:
    """``count`` axes of a new figure in rows of ``columns``, shape (count,).

    Raises
    ------
    MissingPackageError
        matplotlib is not installed.
    """
    needed("matplotlib", "plots", "a plot")
    from matplotlib import pyplot

    columns = max(1, min(columns, count))
    rows = -(-count // columns)
    share = {k: figure.pop(k) for k in ("sharex", "sharey") if k in figure}
    made = pyplot.figure(layout="constrained", **figure).subplots(
        rows, columns, squeeze=False, **share
    )
    flat: AxesArray = np.asarray(made, dtype=object).ravel()
    for spare in flat[count:]:
        spare.set_axis_off()
    return flat[:count]


def entitle(axes: Any, m: Any) -> None:
    """Write the model's formula above a figure, in lines as long as the figure is wide."""
    figure = np.ravel(np.asarray(axes, dtype=object))[0].figure
    text = str(getattr(m, "formula", ""))
    width = max(30, int(figure.get_size_inches()[0] * 13))
    figure.suptitle("\n".join(textwrap.wrap(text, width)[:3]), fontsize=9, color="0.3")


def crowded(points: int) -> dict[str, Any]:
    """Markers for so many points: the more, the smaller and fainter."""
    return {
        "markersize": float(np.clip(60 / np.sqrt(max(points, 1)), 1.5, 5)),
        "alpha": float(np.clip(20 / np.sqrt(max(points, 1)), 0.15, 0.8)),
    }


def smooth(x: Any, y: Any, share: float = 2 / 3) -> tuple[Any, Any]:
    """A local regression through the points (Cleveland's lowess), on up to 2,000 of them."""
    from statsmodels.nonparametric.smoothers_lowess import lowess

    x, y = np.asarray(x, float), np.asarray(y, float)
    if len(x) > 2000:
        chosen = np.random.default_rng(0).choice(len(x), 2000, replace=False)
        x, y = x[chosen], y[chosen]
    with np.errstate(invalid="ignore", divide="ignore"):  # where all neighbours have one x
        found = lowess(y, x, frac=share, return_sorted=True)
    found = found[np.isfinite(found[:, 1])]
    return found[:, 0], found[:, 1]
