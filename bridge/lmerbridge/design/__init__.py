"""``Formula`` + data to a frozen :class:`ModelFrame`."""

from lmerbridge.design.build import build_frame
from lmerbridge.design.checks import Note
from lmerbridge.design.control import Control, lmerControl
from lmerbridge.design.frame import ModelFrame, RandomBlock
from lmerbridge.design.structure import templates, term_matrix, theta_lower

__all__ = [
    "Control",
    "ModelFrame",
    "Note",
    "RandomBlock",
    "build_frame",
    "lmerControl",
    "templates",
    "term_matrix",
    "theta_lower",
]
