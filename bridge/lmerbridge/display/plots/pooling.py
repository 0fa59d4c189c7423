"""Complete, no and partial pooling as pictures: lines by group, and shrinkage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lmerbridge.arguments import listed_names
from lmerbridge.design.columns import Factor, Logical, Numeric, as_categorical, take
from lmerbridge.display.plots.canvas import AxesArray, axes_of, drawing, grid_of_axes
from lmerbridge.errors import ArgumentError, DataError, near_match
from lmerbridge.inference.pooling import pooled_group
from lmerbridge.inference.regression import regress
from lmerbridge.optional import needed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["pooling", "shrinkage"]

MAX_PANELS = 24
MAX_ROWS = 50  # of a group, over which its lines are averaged
LINE_POINTS = 30
STYLES = {"complete": ("0.55", "--"), "none": ("C1", "-"), "partial": ("C0", "-")}
WORDS = {"complete": "complete pooling", "none": "no pooling", "partial": "partial pooling"}


def _predictor(m: Any, group: str, x: str | None) -> str | None:
    """The numeric variable to draw along: a slope of the group's, else of the fixed effects."""
    numeric = [
        label
        for label, column in m.frame.rows.variables.items()
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


def _own_estimates(m: Any, group: str, names: list[str]) -> tuple[pd.DataFrame, Any]:
    """By group and column of its random terms the estimates ``none`` and ``partial``, and the
    coefficients of complete pooling.
    """
    frame, estimates = m.frame, m.result.estimates
    blocks = [b for b in frame.random if b.group == group]
    codes, levels = blocks[0].codes, list(blocks[0].levels)
    beta = pd.Series(estimates.beta, index=list(frame.x_names))
    middle = np.array([beta.get(n, 0.0) for n in names])
    rest = frame.y - np.asarray(m.fitted())
    Z = np.column_stack([b.columns for b in blocks])
    modes = np.column_stack([t.modes for t in estimates.random if t.group == group])
    rest = rest + np.einsum("nk,nk->n", Z, modes[codes] + middle)
    weights = np.ones(len(rest)) if frame.weights is None else frame.weights
    k = len(names)
    ZZ, Zr = np.zeros((len(levels), k, k)), np.zeros((len(levels), k))
    np.add.at(ZZ, codes, np.einsum("n,ni,nj->nij", weights, Z, Z))
    np.add.at(Zr, codes, (weights * rest)[:, None] * Z)
    enough = np.linalg.matrix_rank(ZZ, hermitian=True) == k
    own = np.full((len(levels), k), np.nan)
    own[enough] = np.linalg.solve(ZZ[enough], Zr[enough, :, None])[..., 0]
    table = pd.DataFrame(
        np.hstack([own, modes + middle]),
        index=levels,
        columns=pd.MultiIndex.from_product([["none", "partial"], names]),
    )
    whole = dict(zip(frame.x_names, regress(frame).beta.tolist(), strict=True))
    return table, whole


def _lines(m: Any, group: str, along: str, rows: Any) -> tuple[Any, Any, dict[str, Any]]:
    """Fitted values by each way of pooling over a grid of ``along`` for each of ``rows``: the
    values (k,), the rows that stand for them (k,), and by way the fitted values (k,).

    A row keeps its other predictors, so that the mean over a group's rows is a smooth line whatever
    else the model holds.
    """
    from lmerbridge.design.newdata import new_rows
    from lmerbridge.inference.predict import as_rows, predictions
    from lmerbridge.inference.re_form import chosen_effects
    from lmerbridge.inference.regression import regress_by_group

    frame = m.frame
    block = next(b for b in frame.random if b.group == group)
    flags = [
        one if b.group == group else one & False
        for b, one in zip(frame.random, chosen_effects(frame, None), strict=True)
    ]
    data = _data(frame, rows)
    if data is not None and along in data:
        levels = np.unique(data[along].to_numpy(float))
        if len(levels) > LINE_POINTS:
            levels = np.linspace(levels[0], levels[-1], LINE_POINTS)
        source, values = np.repeat(rows, len(levels)), np.tile(levels, len(rows))
        moved = data.loc[data.index.repeat(len(levels))].assign(**{along: values})
        new = new_rows(frame, moved)
        X, offset = new.X, new.offset
        partial = predictions(m.result, new, flags)
    else:  # a computed variable: at the data's own values
        source, values = rows, frame.rows.variables[along].floats[rows]
        X, offset = frame.X[rows], None if frame.offset is None else frame.offset[rows]
        partial = predictions(m.result, as_rows(frame), flags)[rows]
    shift = 0.0 if offset is None else offset
    alone = regress_by_group(frame, block.codes, block.levels)
    own = np.einsum("np,np->n", X, np.nan_to_num(alone.beta)[block.codes[source]])
    whole = np.nan_to_num(regress(frame).beta)
    return (
        values,
        source,
        {"complete": X @ whole + shift, "none": own + shift, "partial": partial},
    )


def _data(frame: Any, rows: Any) -> pd.DataFrame | None:
    """The columns that the formula names at ``rows``; ``None`` where some are no plain numbers,
    truth values or factors, or where the model takes what is no column of the data.
    """
    if frame.source.raw_offset is not None:
        return None
    at = np.asarray(frame.source.kept)[rows]
    columns: dict[str, Any] = {}
    for name, column in frame.source.raw.items():
        own = take(column, at)
        if isinstance(own, Factor):
            columns[name] = as_categorical(own)
        elif isinstance(own, Logical):
            columns[name] = own.values.astype(bool)
        elif own.values.ndim == 1 and own.time is None:
            columns[name] = own.values
        else:
            return None
    return pd.DataFrame(columns)


@drawing
def pooling(m: Any, group: str | None = None, x: str | None = None) -> AxesArray:
    """Draw the data of each group with the three ways of pooling, a panel per group (24 at most,
    spread over the range of the groups' first random effect). Other predictors stay as they are
    in the group's rows, over which a line is the mean.

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
    column = frame.rows.variables[along]
    assert isinstance(column, Numeric)
    values = column.floats
    count = len(block.levels)
    shown = np.arange(count)
    if count > MAX_PANELS:
        term = next(t for t in m.result.estimates.random if t.group == name)
        ranked = np.argsort(term.modes[:, 0], kind="stable")
        shown = ranked[np.linspace(0, count - 1, MAX_PANELS).round().astype(int)]
    members = {k: np.flatnonzero(block.codes == k) for k in shown}
    drawn = np.concatenate([_spread(own, MAX_ROWS) for own in members.values()])
    at, source, lines = _lines(m, name, along, drawn)
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
        own = members[level]
        ax.plot(values[own], frame.y[own], "o", color="0.3", markersize=2.5, markeredgewidth=0)
        here = block.codes[source] == level
        reach = (at >= values[own].min()) & (at <= values[own].max())
        for kind, fitted in lines.items():
            color, style = STYLES[kind]
            line = _one_line(at[here & reach], fitted[here & reach])
            ax.plot(*line, style, color=color, linewidth=1.3, label=WORDS[kind])
        ax.set_title(_short(block.levels[level]), fontsize=8, pad=2)
        ax.tick_params(labelsize=7)
    handles, labels = axes[0].get_legend_handles_labels()
    figure = axes[0].figure
    figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False, fontsize=8)
    more = "" if count <= MAX_PANELS else f" ({MAX_PANELS} of {count} levels of {name})"
    figure.supxlabel(along + more, fontsize=9)
    figure.supylabel(frame.formula.response_label, fontsize=9)
    return axes


def _spread(rows: Any, most: int) -> Any:
    """``rows``, or ``most`` of them, evenly."""
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).round().astype(int)]


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
    with a line per group, or, for random intercepts, one against the other.

    A group's own estimate is the least-squares fit of its random columns to what the model's other
    terms leave of the group's rows: the estimate that the conditional mode is shrunken from. Where
    the model has no other terms it is the regression of the group's rows.

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
    needed("matplotlib", "plots", "a plot")
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
    wide, complete = _own_estimates(m, name, block_names)
    count = len(wide)
    ax = axes_of(ax, m, figsize=(6, 5))
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
    outside = _limit(ax, start, np.vstack([end, [complete[one], complete[two]]]))
    if outside:
        ax.set_title(f"{outside} of {count} groups' own estimates lie outside", fontsize=8)
    key = ax.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    for handle in key.legend_handles:
        if isinstance(handle, Line2D):
            handle.set_alpha(1)
            handle.set_markersize(6)
    return ax


def _limit(ax: Axes, own: Any, others: Any) -> int:
    """Set limits by ``others`` and the middle 90 % of ``own``, so that estimates of groups with few
    rows do not make the rest one dot; gives how many of ``own`` lie outside.
    """
    finite = own[np.isfinite(own).all(axis=1)]
    if not len(finite):
        return 0
    known = others[np.isfinite(others).all(axis=1)]
    low, high = finite.min(axis=0), finite.max(axis=0)
    near_low, near_high = np.quantile(finite, [0.05, 0.95], axis=0)
    near_low, near_high = np.minimum(near_low, known.min(0)), np.maximum(near_high, known.max(0))
    room = near_high - near_low
    wild = (low < near_low - 2 * room) | (high > near_high + 2 * room)
    low, high = np.where(wild, near_low, low), np.where(wild, near_high, high)
    low, high = np.minimum(low, known.min(axis=0)), np.maximum(high, known.max(axis=0))
    edge = 0.08 * np.where(high > low, high - low, 1.0)
    ax.set_xlim(low[0] - edge[0], high[0] + edge[0])
    ax.set_ylim(low[1] - edge[1], high[1] + edge[1])
    inside = ((finite >= low - edge) & (finite <= high + edge)).all(axis=1)
    return int((~inside).sum())
