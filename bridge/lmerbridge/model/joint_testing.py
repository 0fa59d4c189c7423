"""Joint tests of a model's terms by contrasts among its marginal means: R's ``joint_tests``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from lmerbridge.arguments import listed_names
from lmerbridge.display.means import joint_text
from lmerbridge.display.table import RTable
from lmerbridge.errors import ArgumentError, DataError, near_match
from lmerbridge.inference.joint_tests import terms_tested
from lmerbridge.inference.linear_functions import Grid
from lmerbridge.inference.means import marginal_means
from lmerbridge.inference.reference_grid import ReferenceGrid
from lmerbridge.inference.weighting import WEIGHTS, as_weights

__all__ = ["joint_tests_of"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


def joint_tests_of(
    reference: ReferenceGrid,
    by: str | Sequence[str] | None = None,
    weights: Any = "equal",
    show0df: bool = False,
    showconf: bool = True,
) -> RTable:
    """Test each term of the model that made a reference grid.

    Parameters
    ----------
    reference : ReferenceGrid
        Its predictors with more than one value are tested.
    by : str or sequence of str, optional
        Predictors for each combination of whose values there is a table.
    weights : str
        How cells that are averaged count.
    show0df, showconf : bool
        As of :func:`lmerbridge.inference.joint_tests.terms_tested`.

    Raises
    ------
    DataError
        If a predictor is unknown, or none has more than one value.
    """
    columns = listed_names(by, "by")
    weights = as_weights(weights)
    if not isinstance(weights, str):
        raise ArgumentError(
            f"weights must be one of {', '.join(map(repr, WEIGHTS))}: numbers would fit one term, "
            "and terms are averaged over different cells"
        )
    known = [axis.name for axis in reference.axes]
    for name in columns:
        if name not in known:
            raise DataError(
                f"by: no predictor {name!r}{near_match(str(name), known)}; "
                f"they are {', '.join(known)}"
            )

    def means(names: Sequence[str], conditions: Sequence[str]) -> Grid:
        return marginal_means(reference, names, conditions, weights)

    found = terms_tested(
        means,
        [sorted(term) for term in reference.terms],
        [axis.name for axis in reference.axes if len(axis) > 1],
        columns,
        show0df,
        showconf,
        reference.nesting,
        reference.dialect,
    )
    return RTable.of(found.table, joint_text(found), found.notes)
