"""``influence`` with the rows' labels, and a warning of what cannot be left out."""

from __future__ import annotations

import warnings
from functools import partial

import numpy as np

from lmerbridge.errors import FitWarning
from lmerbridge.inference.fit import Fit
from lmerbridge.inference.influence import Influence, influence
from lmerbridge.messages import from_outside
from lmerbridge.model.fitting import check_native, native_without
from lmerbridge.model.progress import progress_bar
from lmerbridge.model.row_values import row_labels

__all__ = ["influence_of"]


def influence_of(fit: Fit, groups: str | None, progress: bool) -> Influence:
    """Fit without each observation, or without each level of a grouping factor.

    Warns
    -----
    FitWarning
        Names what cannot be left out.
    """
    labels, used = row_labels(fit)
    shown = np.array([str(label) for label in labels], dtype=object)
    refit = None
    if fit.result.call.generalized:
        check_native(fit, "influence()")
        refit = partial(native_without, fit)
    own = shown if used is None else shown[used]
    with progress_bar("influence", progress) as bar:
        found = influence(fit, groups, own.tolist(), bar, refit)
    lost = [n for n, row in zip(found.sets, found.beta, strict=True) if np.isnan(row).any()]
    if lost:
        named = ", ".join(lost[:5]) + (", ..." if len(lost) > 5 else "")
        warnings.warn(
            f"without {named} the fixed effects cannot all be estimated: "
            f"{len(lost)} of {len(found.sets)} deletions are NaN",
            FitWarning,
            stacklevel=from_outside(),
        )
    if groups is None and used is not None:
        return found.placed(shown.tolist(), used)
    return found
