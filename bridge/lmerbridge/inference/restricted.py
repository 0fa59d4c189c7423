"""The two models that differ by one fixed term, as model frames."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from lmerbridge.design import ModelFrame
from lmerbridge.inference.containment import containing, term_columns
from lmerbridge.inference.hypotheses import term_hypotheses
from lmerbridge.rank import lengths, null_space

__all__ = ["with_and_without"]

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


def _restricted(frame: ModelFrame, L: Array) -> ModelFrame:
    """The frame of the model in which L (r, p) beta = 0: X on a basis (n, p - r) of the rest."""
    if not len(L):
        return frame
    sizes = lengths(frame.X)  # so that units do not matter
    N = null_space((L / sizes).T)
    names = tuple(f"restricted {i + 1}" for i in range(len(N)))
    return frame.with_columns((frame.X / sizes) @ N.T, names, (0,) * len(names))


def with_and_without(
    frame: ModelFrame, type: str
) -> dict[str, tuple[ModelFrame, ModelFrame] | None]:
    """Per term the frames of two models, or None where the term has no column.

    Type III: the model, and the one on which the term's hypothesis is imposed. Type II: the model
    without the terms that contain it, and the one without it too.
    """
    if type == "III":
        matrices = term_hypotheses(frame, 3).matrices
        return {
            label: (frame, _restricted(frame, L)) if len(L) else None
            for label, L in matrices.items()
        }
    columns, above = term_columns(frame), containing(frame)
    eye = np.eye(frame.X.shape[1])
    found: dict[str, tuple[ModelFrame, ModelFrame] | None] = {}
    for label in frame.design.x_terms:
        own = columns.get(label, [])
        after = [j for other in above[label] for j in columns.get(other, [])]
        found[label] = (
            (_restricted(frame, eye[after]), _restricted(frame, eye[[*after, *own]]))
            if own
            else None
        )
    return found
