"""``Formula`` + data to a frozen :class:`ModelFrame`."""

from lmerbridge.design.build import build_frame
from lmerbridge.design.checks import Note
from lmerbridge.design.control import Control, lmerControl
from lmerbridge.design.frame import ModelFrame, RandomBlock
from lmerbridge.design.rows import chunks, triangle
from lmerbridge.design.structure import (
    column_map,
    nested_in,
    templates,
    term_matrix,
    theta_lower,
    upper_triangle,
)

__all__ = [
    "Control",
    "ModelFrame",
    "Note",
    "RandomBlock",
    "build_frame",
    "chunks",
    "column_map",
    "lmerControl",
    "nested_in",
    "templates",
    "term_matrix",
    "theta_lower",
    "triangle",
    "upper_triangle",
]
