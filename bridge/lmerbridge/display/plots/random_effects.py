"""Random effects as pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmerbridge.arguments import check_level
from lmerbridge.design.columns import Column, Numeric, as_factor, take
from lmerbridge.design.table import read_table
from lmerbridge.display.plots.canvas import AxesArray, drawing, entitle, grid_of_axes, smooth
from lmerbridge.display.plots.residuals import qq_line
from lmerbridge.errors import DataError, near_match

if TYPE_CHECKING:
    from lmerbridge.design import ModelFrame

__all__ = ["caterpillar", "modes", "qq_random"]

READABLE_LEVELS = 60  # levels whose names can stand beside each other
MAX_LINES = 100  # intervals that are drawn one by one


def _groups(m: Any, group: str | None) -> list[str]:
    """The grouping factors that are drawn: the one named, or all."""
    groups = list(m.result.data.groups)
    if group is None:
        return groups
    if group not in groups:
        raise DataError(
            f"group {group!r} is no grouping factor of the model{near_match(group, groups)}; "
            f"it has {', '.join(groups)}"
        )
    return [group]


def _terms(m: Any, group: str) -> list[tuple[str, Any, Any]]:
    """Name, modes and conditional standard deviations of each column of the group's terms."""
    columns = []
    for term in m.result.estimates.random:
        if term.group != group:
            continue
        for j, name in enumerate(term.names):
            spread = None
            if term.variances is not None:
                spread = np.sqrt(np.maximum(term.variances[:, j, j], 0))
            columns.append((name, term.modes[:, j], spread))
    return columns


@drawing
def caterpillar(m: Any, group: str | None = None, level: float = 0.95) -> AxesArray:
    """Draw conditional modes with their intervals, an axes per column of each grouping factor, a
    factor's levels sorted by its first column; lme4's ``dotplot(ranef(m))``.

    Parameters
    ----------
    m : Model
        A fitted mixed model.
    group : str, optional
        One grouping factor alone; default: all.
    level : float
        Of the intervals, mode +- z sd, ``sd`` the conditional standard deviation.

    Returns
    -------
    array of Axes (columns,)

    Raises
    ------
    DataError
        There is no such grouping factor, or matplotlib is missing.
    """
    from scipy.special import ndtri

    check_level(level)
    groups = _groups(m, group)
    columns = {name: _terms(m, name) for name in groups}
    most = max(len(m.result.data.groups[name]) for name in groups)
    height = float(np.clip(1.5 + 0.19 * most, 2.5, 11)) if most <= READABLE_LEVELS else 6.3
    count = sum(map(len, columns.values()))
    axes = grid_of_axes(count, count, figsize=(3.2 * count + 0.8, height))
    half = float(ndtri(0.5 + level / 2))
    start = 0
    for name, terms in columns.items():
        own = axes[start : start + len(terms)]
        start += len(terms)
        _draw_levels(own, terms, list(m.result.data.groups[name]), name, half)
        for ax, (column, _, _) in zip(own, terms, strict=True):
            ax.set_title(column if len(groups) == 1 else f"{name}: {column}", fontsize=10)
    axes[0].figure.supxlabel(f"conditional mode, {100 * level:g} % interval", fontsize=9)
    entitle(axes, m)
    return axes


def _draw_levels(axes: Any, terms: Any, levels: list[str], group: str, half: float) -> None:
    count = len(levels)
    order = np.argsort(terms[0][1], kind="stable")
    at = np.arange(count)
    few = count <= MAX_LINES
    for ax, (_, modes, spread) in zip(axes, terms, strict=True):
        ax.axvline(0, color="0.7", linewidth=1, zorder=0)
        if spread is not None:
            low, high = (modes - half * spread)[order], (modes + half * spread)[order]
            if few:
                ax.hlines(at, low, high, color="C0", linewidth=1.2)
            else:  # as many lines as pixels would leave stripes
                ax.fill_betweenx(at, low, high, color="C0", alpha=0.3, linewidth=0, step="mid")
        ax.plot(
            modes[order], at, "o", color="C0", markersize=4.0 if few else 1.2, markeredgewidth=0
        )
        ax.set_ylim(-0.7, count - 0.3)
        ax.set_yticks([])
        ax.locator_params(axis="x", nbins=5)
    if count <= READABLE_LEVELS:
        axes[0].set_yticks(at, [levels[i] for i in order], fontsize=8 if count <= 40 else 6)
        axes[0].set_ylabel(group)
    else:
        axes[0].set_ylabel(f"{count} levels of {group}, sorted")


@drawing
def modes(
    m: Any, x: str, group: str | None = None, data: Any = None, level: float = 0.95
) -> AxesArray:
    """Draw conditional modes against a covariate of their groups, an axes per column; what still
    depends on it belongs into the fixed effects (Pinheiro & Bates 2000, section 4.3; nlme's
    ``plot(ranef(m), form = ~ x)``).

    Parameters
    ----------
    m : Model
        A fitted mixed model.
    x : str
        The covariate: numbers, of which each group has its mean, or a factor of which each group
        has one level.
    group : str, optional
        The grouping factor; default the first.
    data : DataFrame, optional
        The data of the fit, where ``x`` is none of the model's own variables.
    level : float
        Of the intervals, mode +- z sd, ``sd`` the conditional standard deviation.

    Returns
    -------
    array of Axes (columns,)

    Raises
    ------
    DataError
        There is no such covariate or grouping factor, a group has several levels of ``x``, the
        data are not those of the fit, or matplotlib is missing.
    """
    from scipy.special import ndtri

    check_level(level)
    chosen = next(iter(m.result.data.groups)) if group is None else _groups(m, group)[0]
    column = _covariate(m, x, data)
    block = next(b for b in m.frame.random if b.group == chosen)
    half = float(ndtri(0.5 + level / 2))
    columns = _terms(m, chosen)
    if isinstance(column, Numeric) and column.values.ndim == 1:
        at, names = _means(column.floats, block.codes, len(block.levels)), None
    else:
        factor = as_factor(column)
        at = _own_level(factor.codes, block.codes, len(block.levels), x, chosen)
        names = list(factor.levels)
    axes = grid_of_axes(len(columns), 3, figsize=_size(len(columns)))
    known = np.isfinite(at)
    spread = np.zeros(len(at))
    if names is not None:
        spread = np.random.default_rng(0).uniform(-0.15, 0.15, len(at))
    for ax, (name, values, errors) in zip(axes, columns, strict=True):
        ax.axhline(0, color="0.7", linewidth=1, zorder=0)
        where = (at + spread)[known]
        if errors is not None:
            low, high = (values - half * errors)[known], (values + half * errors)[known]
            ax.vlines(where, low, high, color="C0", linewidth=0.8, alpha=0.4)
        ax.plot(where, values[known], "o", color="C0", markersize=4, markeredgewidth=0)
        if names is not None:
            for i in range(len(names)):
                if np.any(at == i):
                    ax.hlines(values[at == i].mean(), i - 0.3, i + 0.3, color="C3", linewidth=1.5)
            ax.set_xticks(range(len(names)), names)
        elif len(np.unique(at[known])) > 4:
            ax.plot(*smooth(where, values[known]), color="C3", linewidth=1.5)
        ax.set_xlabel(x)
        ax.set_title(f"{chosen}: {name}", fontsize=10)
    for ax in axes[::3]:
        ax.set_ylabel("conditional mode")
    entitle(axes, m)
    return axes


def _covariate(m: Any, x: str, data: Any) -> Column:
    """The covariate's values in the rows that were used."""
    frame: ModelFrame = m.frame
    source = frame.source
    if data is None:
        if x in frame.rows.variables:
            return frame.rows.variables[x]
        if x not in source.raw:
            raise DataError(
                f"{x!r} is no variable of the model{near_match(x, source.raw)}; with data= it may "
                "be another column of the data"
            )
        return take(source.raw[x], source.kept)
    table = read_table(data)
    if table.rows != source.total_rows:
        raise DataError(
            f"data has {table.rows} rows, and the model was fitted to data of {source.total_rows}"
        )
    return take(table.column(x), source.kept)


def _means(values: Any, codes: Any, count: int) -> Any:
    """The mean of each group, of the rows that have a value; NaN where none has."""
    known = np.isfinite(values)
    rows = np.bincount(codes[known], minlength=count)
    with np.errstate(invalid="ignore"):
        return np.bincount(codes[known], values[known], minlength=count) / rows


def _own_level(levels: Any, codes: Any, count: int, x: str, group: str) -> Any:
    """The level of each group; NaN where no row has one.

    Raises
    ------
    DataError
        A group has several.
    """
    own = np.full(count, np.nan)
    known = levels >= 0
    own[codes[known]] = levels[known]
    if np.any(own[codes[known]] != levels[known]):
        raise DataError(
            f"{x!r} has several levels within a level of {group!r}; a factor must be constant there"
        )
    return own


@drawing
def qq_random(m: Any, group: str | None = None) -> AxesArray:
    """Draw conditional modes against normal quantiles; an axes per column.

    Parameters
    ----------
    m : Model
        A fitted mixed model.
    group : str, optional
        One grouping factor alone; default: all.

    Returns
    -------
    array of Axes (columns,)

    Raises
    ------
    DataError
        There is no such grouping factor, or matplotlib is missing.
    """
    columns = [(name, *term[:2]) for name in _groups(m, group) for term in _terms(m, name)]
    axes = grid_of_axes(len(columns), 3, figsize=_size(len(columns)))
    for ax, (name, column, modes) in zip(axes, columns, strict=True):
        qq_line(ax, modes)
        ax.set_title(f"{name}: {column}", fontsize=10)
    for ax in axes[::3]:
        ax.set_ylabel("conditional mode")
    entitle(axes, m)
    return axes


def _size(panels: int) -> tuple[float, float]:
    return 3.6 * min(panels, 3) + 0.4, 3.6 * -(-panels // 3) + 0.4
