"""Fixed effects of a model, and of several side by side."""

from __future__ import annotations

from typing import Any

import numpy as np

from lmerbridge.arguments import check_level
from lmerbridge.display.named_models import is_model, named_models
from lmerbridge.display.plots.canvas import AxesArray, drawing, entitle, grid_of_axes
from lmerbridge.errors import DataError

__all__ = ["estimates"]

MAX_PANELS = 24


@drawing
def estimates(models: Any, level: float = 0.95, intercept: bool | None = None) -> AxesArray:
    """Draw fixed effects with normal intervals, estimate +- z standard errors: of one model all in
    one axes, of several an axes per effect with a line per model.

    Parameters
    ----------
    models : Model, mapping of str to Model, or sequence of Model
        Also ordinary regressions.
    level : float
        Of the intervals, between 0 and 1.
    intercept : bool, optional
        Whether the intercept is drawn; default: of several models, and where there is nothing else.

    Returns
    -------
    array of Axes (effects,)

    Raises
    ------
    DataError
        There is no model, one is none, or matplotlib is missing.
    """
    from scipy.special import ndtri

    check_level(level)
    alone = is_model(models)
    named = named_models(models, "estimates", lambda i, m: f"{i}: {getattr(m, 'formula', m)}")
    half = float(ndtri(0.5 + level / 2))
    numbers = {
        name: (m.fixef(), np.sqrt(np.diag(m.vcov().to_numpy()))) for name, m in named.items()
    }
    terms = list(dict.fromkeys(t for beta, _ in numbers.values() for t in beta.index))
    if intercept is False or (intercept is None and alone and len(terms) > 1):
        terms = [t for t in terms if t != "(Intercept)"]
    if not terms:
        raise DataError("the models have no fixed effects to draw")
    interval = f"estimate, {100 * level:g} % interval"
    if alone:
        beta, errors = next(iter(numbers.values()))
        spread = dict(zip(beta.index, errors, strict=True))
        return _forest(models, beta[terms], half * np.array([spread[t] for t in terms]), interval)
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
    axes[0].figure.supxlabel(interval, fontsize=9)
    return axes


def _forest(m: Any, beta: Any, half: Any, label: str) -> AxesArray:
    """All effects of a model in one axes, the first one on top."""
    height = float(np.clip(1.2 + 0.26 * len(beta), 2, 14))
    axes = grid_of_axes(1, 1, figsize=(6, height))
    ax = axes[0]
    at = np.arange(len(beta))
    ax.errorbar(beta.to_numpy(), at, xerr=half, fmt="o", color="C0", capsize=2, markersize=4)
    ax.axvline(0, color="0.8", linewidth=1, zorder=0)
    ax.set_yticks(at, [_short(str(t)) for t in beta.index], fontsize=8)
    ax.set_ylim(len(beta) - 0.5, -0.5)
    ax.set_xlabel(label)
    entitle(ax, m)
    return axes


def _short(name: str, most: int = 48) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"
