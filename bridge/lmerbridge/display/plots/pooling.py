"""Complete, no and partial pooling as pictures: lines by group, and shrinkage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lmerbridge.arguments import listed_names
from lmerbridge.design.columns import Numeric
from lmerbridge.display.plots.canvas import AxesArray, axes_of, drawing, grid_of_axes
from lmerbridge.errors import ArgumentError, DataError, near_match
from lmerbridge.inference.pooling import pooled_group, pooling_table
from lmerbridge.inference.regression import regress

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["pooling", "shrinkage"]

MAX_PANELS = 24
STYLES = {"complete": ("0.55", "--"), "none": ("C1", "-"), "partial": ("C0", "-")}
WORDS = {"complete": "complete pooling", "none": "no pooling", "partial": "partial pooling"}


def _predictor(m: Any, group: str, x: str | None) -> str | None:
    """The numeric variable to draw along: a slope of the group's, else of the fixed effects."""
    numeric = [
        label
        for label, column in m.frame.variables.items()
        if isinstance(column, Numeric)
        and column.values.ndim == 1
        and label != m.frame.formula.response_label
    ]
    if x is not None:
        if x not in numeric:
            raise DataError(f"x {x!r} is no numeric variable{near_match(x, numeric)}")
        return x
    slopes = [n for b in m.frame.random if b.group == group for n in b.names if n in numeric]
    found = [*slopes, *(n for n in numeric if n in m.frame.x_names)]
    return found[0] if found else None


def _by_group(m: Any, group: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    table = pooling_table(m.frame, m.result, group)
    wide = table.pivot_table(
        index="group", columns="term", values=["none", "partial"], sort=False, dropna=False
    )
    return table, wide


def _lines(m: Any, group: str) -> dict[str, Any]:
    """Fitted values (n,) by each way of pooling."""
    frame = m.frame
    from lmerbridge.inference.predict import as_rows, predictions
    from lmerbridge.inference.re_form import chosen_effects
    from lmerbridge.inference.regression import regress_by_group

    block = next(b for b in frame.random if b.group == group)
    alone = regress_by_group(frame, block.codes, block.levels)
    own = np.einsum("np,np->n", frame.X, np.nan_to_num(alone.beta)[block.codes])
    chosen = [
        flags if b.group == group else flags & False
        for b, flags in zip(frame.random, chosen_effects(frame, None), strict=True)
    ]
    offset = 0.0 if frame.offset is None else frame.offset
    return {
        "complete": regress(frame).fitted,
        "none": own + offset,
        "partial": predictions(m.result, as_rows(frame), chosen),
    }


@drawing
def pooling(m: Any, group: str | None = None, x: str | None = None) -> AxesArray:
    """Draw the data of each group with the three ways of pooling, a panel per group (24 at most,
    spread over the range of the groups' first random effect).

    Parameters
    ----------
    m : Model
        A fitted mixed model.
    group : str, optional
        The grouping factor; default the first.
    x : str, optional
        The numeric predictor to draw along.

    Returns
    -------
    array of Axes (panels,)

    Raises
    ------
    DataError
        There is no numeric predictor (use :func:`shrinkage`) or grouping factor, or matplotlib is
        missing.
    """
    name = pooled_group(m.frame, group)
    along = _predictor(m, name, x)
    if along is None:
        raise DataError(
            "the model has no numeric predictor to draw lines along; lb.plots.shrinkage(m) shows "
            "the groups' means"
        )
    frame = m.frame
    block = next(b for b in frame.random if b.group == name)
    column = frame.variables[along]
    assert isinstance(column, Numeric)
    values = column.floats
    lines = _lines(m, name)
    count = len(block.levels)
    shown = np.arange(count)
    if count > MAX_PANELS:
        term = next(t for t in m.result.estimates.random if t.group == name)
        ranked = np.argsort(term.modes[:, 0], kind="stable")
        shown = ranked[np.linspace(0, count - 1, MAX_PANELS).round().astype(int)]
    columns = 6 if len(shown) > 12 else min(4, len(shown))
    rows = -(-len(shown) // columns)
    axes = grid_of_axes(
        len(shown),
        columns,
        figsize=(1.75 * columns + 0.5, 1.65 * rows + 0.9),
        sharex=True,
        sharey=True,
    )
    for ax, level in zip(axes, shown, strict=True):
        own = np.flatnonzero(block.codes == level)
        own = own[np.argsort(values[own], kind="stable")]
        ax.plot(values[own], frame.y[own], "o", color="0.3", markersize=2.5, markeredgewidth=0)
        for kind, fitted in lines.items():
            color, style = STYLES[kind]
            at, drawn = _one_line(values[own], fitted[own])
            ax.plot(at, drawn, style, color=color, linewidth=1.3, label=WORDS[kind])
        ax.set_title(_short(block.levels[level]), fontsize=8, pad=2)
        ax.tick_params(labelsize=7)
    handles, labels = axes[0].get_legend_handles_labels()
    figure = axes[0].figure
    figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False, fontsize=8)
    more = "" if count <= MAX_PANELS else f" ({MAX_PANELS} of {count} levels of {name})"
    figure.supxlabel(along + more, fontsize=9)
    figure.supylabel(frame.formula.response_label, fontsize=9)
    return axes


def _one_line(x: Any, fitted: Any) -> tuple[Any, Any]:
    """Fitted values averaged where several share an x."""
    at, codes = np.unique(x, return_inverse=True)
    return at, np.bincount(codes, fitted) / np.bincount(codes)


def _short(name: str, most: int = 18) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"


@drawing
def shrinkage(
    m: Any,
    group: str | None = None,
    terms: tuple[str, str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw how partial pooling draws the groups' own estimates together: intercept against slope
    with an arrow per group, or, for random intercepts, one against the other.

    Parameters
    ----------
    m : Model
        A fitted mixed model.
    group : str, optional
        The grouping factor; default the first.
    terms : pair of str, optional
        Default: the group's first two random columns that are fixed effects too.
    ax : matplotlib Axes, optional
        To draw on; default those of a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        A term is no fixed effect, there is no such grouping factor, or matplotlib is missing.
    """
    from matplotlib.collections import LineCollection
    from matplotlib.lines import Line2D

    name = pooled_group(m.frame, group)
    block_names = [n for b in m.frame.random if b.group == name for n in b.names]
    common = [n for n in block_names if n in m.frame.x_names]
    chosen = listed_names(terms, "terms") or common[:2]
    if len(chosen) > 2:
        raise ArgumentError(f"terms must be one or two effects, not {len(chosen)}")
    for term in chosen:
        if term not in m.frame.x_names:
            raise DataError(
                f"term {term!r} is no fixed effect{near_match(term, m.frame.x_names)}; "
                f"there are {', '.join(m.frame.x_names)}"
            )
    if not chosen:
        raise DataError("the group's random effects have no fixed effect beside them")
    table, wide = _by_group(m, name)
    count = len(wide)
    complete = table.drop_duplicates("term").set_index("term")["complete"]
    ax = axes_of(ax, figsize=(6, 5))
    size = float(np.clip(90 / np.sqrt(count), 1.5, 6))
    alpha = float(np.clip(30 / np.sqrt(count), 0.2, 1))
    if len(chosen) == 1:
        term = chosen[0]
        x, y = wide["none"][term].to_numpy(), wide["partial"][term].to_numpy()
        middle = float(np.nanmean(x))
        ax.axline((middle, middle), slope=1, color="0.8", linewidth=1)
        ax.axhline(
            float(complete[term]),
            color="0.55",
            linestyle="--",
            linewidth=1,
            label=WORDS["complete"],
        )
        ax.plot(x, y, "o", color="C0", markersize=size, alpha=alpha, markeredgewidth=0)
        ax.set_xlabel(f"{term}, no pooling")
        ax.set_ylabel(f"{term}, partial pooling")
        ax.legend(frameon=False, fontsize=8)
        return ax
    one, two = chosen
    start = wide["none"][[one, two]].to_numpy()
    end = wide["partial"][[one, two]].to_numpy()
    both = np.isfinite(start).all(axis=1)
    ax.add_collection(
        LineCollection(
            np.stack([start[both], end[both]], axis=1).tolist(),
            colors="0.6",
            linewidths=0.9 if count <= 100 else 0.3,
            alpha=alpha,
            zorder=1,
        )
    )
    ax.plot(
        *start.T,
        "o",
        color="C1",
        markersize=size,
        alpha=alpha,
        markeredgewidth=0,
        label=WORDS["none"],
    )
    ax.plot(
        *end.T,
        "o",
        color="C0",
        markersize=size,
        alpha=alpha,
        markeredgewidth=0,
        label=WORDS["partial"],
    )
    ax.plot(
        float(complete[one]),
        float(complete[two]),
        "X",
        color="black",
        markersize=9,
        label=WORDS["complete"],
        zorder=3,
    )
    if count <= 30:
        for level, (px, py) in zip(wide.index, start, strict=True):
            if np.isfinite([px, py]).all():
                ax.annotate(
                    str(level),
                    (px, py),
                    fontsize=7,
                    color="0.35",
                    xytext=(4, 3),
                    textcoords="offset points",
                )
    ax.set_xlabel(one)
    ax.set_ylabel(two)
    ax.margins(0.08)
    key = ax.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    for handle in key.legend_handles:
        if isinstance(handle, Line2D):
            handle.set_alpha(1)
            handle.set_markersize(6)
    return ax
