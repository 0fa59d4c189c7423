"""Fixed effects of several models side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lmerbridge.display.plots.canvas import AxesArray, drawing, grid_of_axes
from lmerbridge.errors import ArgumentError, DataError

__all__ = ["estimates"]

MAX_PANELS = 24


@drawing
def estimates(
    models: Mapping[str, Any] | Sequence[Any], level: float = 0.95, intercept: bool = True
) -> AxesArray:
    """Draw estimates with normal intervals, an axes per fixed effect, a line per model.

    Parameters
    ----------
    models : mapping of str to Model, or sequence of Model
        Also ordinary regressions.
    level : float
        Of the intervals, between 0 and 1.
    intercept : bool
        Whether the intercept has an axes.

    Returns
    -------
    array of Axes (effects,)

    Raises
    ------
    DataError
        There is no model, one is none, or matplotlib is missing.
    """
    from scipy.special import ndtri

    if not 0 < level < 1:
        raise ArgumentError(f"level must be between 0 and 1, not {level}")
    named = (
        dict(models)
        if isinstance(models, Mapping)
        else {f"{i + 1}: {getattr(m, 'formula', m)}": m for i, m in enumerate(models)}
    )
    if not named:
        raise DataError("estimates() needs a model")
    for name, m in named.items():
        if not (hasattr(m, "fixef") and hasattr(m, "vcov")):
            raise DataError(f"models: {name!r} is {type(m).__name__}, no fitted model")
    half = float(ndtri(0.5 + level / 2))
    numbers = {
        name: (m.fixef(), np.sqrt(np.diag(m.vcov().to_numpy()))) for name, m in named.items()
    }
    terms = list(dict.fromkeys(t for beta, _ in numbers.values() for t in beta.index))
    if not intercept:
        terms = [t for t in terms if t != "(Intercept)"]
    if not terms:
        raise DataError("the models have no fixed effects to draw")
    left_out = len(terms) - MAX_PANELS
    terms = terms[:MAX_PANELS]
    columns = min(3, len(terms))
    rows = -(-len(terms) // columns)
    longest = max(len(n) for n in named)
    size = (2.6 * columns + min(0.075 * longest, 4) + 0.4, (0.9 + 0.28 * len(named)) * rows + 0.3)
    axes = grid_of_axes(len(terms), columns, figsize=size, sharey=True)
    for ax, term in zip(axes, terms, strict=True):
        for k, (beta, errors) in enumerate(numbers.values()):
            if term not in beta.index:
                continue
            j = list(beta.index).index(term)
            ax.errorbar(
                float(beta.iloc[j]),
                k,
                xerr=half * float(errors[j]),
                fmt="o",
                color=f"C{k % 10}",
                capsize=2,
                markersize=4,
            )
        ax.set_title(term, fontsize=9)
        ax.tick_params(labelsize=8)
        ax.set_ylim(len(named) - 0.5, -0.5)
        low, high = ax.get_xlim()
        if low < 0 < high:
            ax.axvline(0, color="0.8", linewidth=1, zorder=0)
    axes[0].set_yticks(range(len(named)), [_short(n) for n in named], fontsize=8)
    if left_out > 0:
        axes[0].figure.suptitle(
            f"the first {MAX_PANELS} of {MAX_PANELS + left_out} effects", fontsize=9
        )
    return axes


def _short(name: str, most: int = 48) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"
