"""``Formula`` + data to a frozen :class:`ModelFrame`."""

from lmerbridge.design.asked import Asked
from lmerbridge.design.blocks import RandomBlock
from lmerbridge.design.build import build_frame
from lmerbridge.design.control import Control, glmerControl, lmerControl
from lmerbridge.design.design import Design, TermDesign
from lmerbridge.design.frame import ModelFrame
from lmerbridge.design.nested import codes_nested, isNested
from lmerbridge.design.notes import Note
from lmerbridge.design.row_chunks import chunks, gram_triangle, triangle
from lmerbridge.design.rows import Rows, TermRows
from lmerbridge.design.source import Source
from lmerbridge.design.theta_layout import (
    column_map,
    nested_in,
    parameters_of,
    templates,
    term_matrix,
    theta_lower,
    theta_of,
    theta_of_places,
    upper_triangle,
)

__all__ = [
    "Asked",
    "Control",
    "Design",
    "ModelFrame",
    "Note",
    "RandomBlock",
    "Rows",
    "Source",
    "TermDesign",
    "TermRows",
    "build_frame",
    "chunks",
    "codes_nested",
    "column_map",
    "glmerControl",
    "gram_triangle",
    "isNested",
    "lmerControl",
    "nested_in",
    "parameters_of",
    "templates",
    "term_matrix",
    "theta_lower",
    "theta_of",
    "theta_of_places",
    "triangle",
    "upper_triangle",
]
