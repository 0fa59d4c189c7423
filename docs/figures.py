"""Figures of the documents' scripts: kept in the folder that LMERBRIDGE_FIGURES names, if any."""

import os
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

__all__ = ["figure", "save"]


def figure(width=6.0, height=4.0):
    """Axes of a new figure, which no window shows."""
    return Figure(figsize=(width, height), layout="constrained").subplots()


def save(axes, name):
    """Write the figure of these axes (one, or an array)."""
    first = np.ravel(np.asarray(axes, dtype=object))[0]
    folder = os.environ.get("LMERBRIDGE_FIGURES")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        first.figure.savefig(Path(folder) / f"{name}.png", dpi=90)
    return first
