"""Complete, no and partial pooling of groups, side by side (Gelman & Hill 2007, chapter 12)."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lmerbridge.design import ModelFrame
from lmerbridge.errors import DataError, UnsupportedModelError, near_match
from lmerbridge.inference.regression import regress, regress_by_group
from lmerbridge.result import FitResult
from lmerbridge.result.tables import coefficients

__all__ = ["pooled_group", "pooling_table"]


def pooled_group(frame: ModelFrame, group: str | None) -> str:
    """The grouping factor meant: the one named, or the first.

    Raises
    ------
    DataError
        The model has no such grouping factor.
    UnsupportedModelError
        A generalized model.
    """
    if frame.family is not None:
        raise UnsupportedModelError(
            "pooling compares with ordinary regressions, which a generalized model is none of: "
            "lb.plots.caterpillar(m) shows how far each group is off"
        )
    known = list(frame.groups)
    if group is None:
        return known[0]
    if group not in known:
        raise DataError(
            f"group {group!r} is no grouping factor of the model{near_match(group, known)}; "
            f"it has {', '.join(known)}"
        )
    return group


def pooling_table(frame: ModelFrame, result: FitResult, group: str | None = None) -> pd.DataFrame:
    """Coefficients of each group by the three ways of pooling.

    Returns
    -------
    DataFrame
        ``group, term, complete, none, partial``: the regression of all rows; that of the group's
        own rows (NaN for a term that does not vary within it); the mixed model's. Terms are the
        fixed effects and the columns of the group's random terms.
    """
    name = pooled_group(frame, group)
    block = next(b for b in frame.random if b.group == name)
    whole = dict(zip(frame.x_names, regress(frame).beta.tolist(), strict=True))
    alone = regress_by_group(frame, block.codes, block.levels)
    own = pd.DataFrame(alone.beta, index=list(block.levels), columns=list(frame.x_names))
    partial = coefficients(result)[name]
    terms = list(partial.columns)
    count = len(block.levels)
    return pd.DataFrame(
        {
            "group": np.repeat(np.array(block.levels, dtype=object), len(terms)),
            "term": terms * count,
            "complete": [whole.get(t, np.nan) for t in terms] * count,
            "none": np.column_stack(
                [own[t] if t in own else np.full(count, np.nan) for t in terms]
            ).ravel(),
            "partial": partial.to_numpy().ravel(),
        }
    )
