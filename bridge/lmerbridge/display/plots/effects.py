"""A predictor's effect over the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmerbridge.design.columns import Factor, Logical, Numeric, as_factor, take
from lmerbridge.dialects import dialect_of
from lmerbridge.display.plots.canvas import axes_of, crowded, drawing
from lmerbridge.errors import DataError, near_match
from lmerbridge.inference.axes import level_text
from lmerbridge.inference.means import marginal_means
from lmerbridge.inference.reference_grid import reference_grid

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["effects"]

LINE_POINTS = 60
MAX_COLOURS = 10
MAX_GRID_CELLS = 1_000_000  # of the reference grid, which has a cell for each point


@drawing
def effects(
    m: Any,
    x: str,
    by: str | None = None,
    level: float = 0.95,
    ddf: str = "Satterthwaite",
    data: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw marginal means along ``x`` with confidence intervals, over the data.

    Parameters
    ----------
    m : Model
        A fitted mixed model; of a generalized one means are drawn on the response's scale.
    x : str
        A numeric predictor or a factor.
    by : str, optional
        A factor: a line or a point for each level.
    level : float
        Of the intervals, between 0 and 1.
    ddf : str
        As of :meth:`lmerbridge.Model.emmeans`, of a linear model.
    data : bool
        Whether the data are drawn.
    ax : matplotlib Axes, optional
        To draw on; default those of a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        There is no such predictor, ``by`` has too many levels, or matplotlib is missing.
    """
    frame = m.frame
    if x not in frame.source.raw:
        raise DataError(f"no predictor {x!r}{near_match(x, frame.source.raw)}")
    column = take(frame.source.raw[x], frame.source.kept)
    names = [x] if by is None else [x, by]
    categorical = isinstance(column, (Factor, Logical))
    at: dict[str, Any] = {}
    values: Any = None
    if isinstance(column, Numeric):
        values = column.floats
        at[x] = np.linspace(values.min(), values.max(), LINE_POINTS)
    table = _means(m, names, at, level, ddf)
    means = str(table.columns[len(names)])
    for name in names if categorical else names[1:]:
        table[name] = [level_text(v) for v in table[name].tolist()]
    low, high = (c for c in table.columns if str(c).endswith((".CL", "LCL", "UCL")))
    ax = axes_of(ax, m, figsize=(6.5, 4.2))
    groups: list[Any] = [None] if by is None else list(dict.fromkeys(table[by]))
    if len(groups) > MAX_COLOURS:
        raise DataError(
            f"by={by!r} has {len(groups)} levels; at most {MAX_COLOURS} can be told apart"
        )
    codes = None if by is None else as_factor(take(frame.source.raw[by], frame.source.kept))
    for k, group in enumerate(groups):
        part = table if group is None else table[table[by] == group]
        color = f"C{k}"
        rows: Any = slice(None)
        if codes is not None:
            rows = codes.codes == codes.levels.index(str(group))
        shift = 0.0 if len(groups) == 1 else 0.5 * (k / (len(groups) - 1) - 0.5)
        label = None if group is None else str(group)
        if categorical:
            factor = as_factor(column)
            levels = list(dict.fromkeys(part[x]))
            where = np.array([levels.index(v) for v in part[x]]) + shift
            if data:
                position = {level_: i for i, level_ in enumerate(levels)}
                drawn = np.array([position.get(v, -1) for v in factor.levels])[factor.codes[rows]]
                jitter = np.random.default_rng(0).uniform(-0.08, 0.08, len(drawn))
                ax.plot(
                    drawn + shift + jitter,
                    frame.y[rows],
                    "o",
                    color=color,
                    markeredgewidth=0,
                    **_faint(len(drawn)),
                )
            mean = part[means].to_numpy()
            ax.errorbar(
                where,
                mean,
                yerr=[mean - part[low].to_numpy(), part[high].to_numpy() - mean],
                fmt="s",
                color=color,
                markeredgecolor="white",
                capsize=3,
                label=label,
                zorder=3,
            )
            ax.set_xticks(
                range(len(levels)),
                [str(v) for v in levels],
                rotation=30 if max(len(str(v)) for v in levels) * len(levels) > 60 else 0,
            )
        else:
            if data:
                ax.plot(
                    values[rows],
                    frame.y[rows],
                    "o",
                    color=color,
                    markeredgewidth=0,
                    **_faint(len(frame.y[rows])),
                )
            ax.plot(part[x], part[means], color=color, label=label)
            ax.fill_between(part[x], part[low], part[high], color=color, alpha=0.2, linewidth=0)
    ax.set_xlabel(x)
    ax.set_ylabel(frame.formula.response_label)
    if by is not None:
        ax.legend(title=by, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


def _means(m: Any, names: list[str], at: dict[str, Any], level: float, ddf: str) -> pd.DataFrame:
    """Marginal means and their limits, of a generalized model on the scale of the response."""
    if m.result.call.generalized:
        asked = m.emmeans(names, at=at, type="response", level=level, rg_limit=MAX_GRID_CELLS)
        found: pd.DataFrame = asked.table
        return found.copy()
    dialect, denominator = dialect_of(m.result), m.denominator(ddf)
    reference = reference_grid(m.frame, denominator, at, rg_limit=MAX_GRID_CELLS, dialect=dialect)
    return marginal_means(reference, names, level=level).table()


def _faint(points: int) -> dict[str, Any]:
    style = crowded(points)
    return {**style, "alpha": 0.5 * style["alpha"]}
