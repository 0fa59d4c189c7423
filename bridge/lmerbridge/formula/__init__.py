"""lme4's formula language to a frozen :class:`Formula`."""

from lmerbridge.formula.bars import expandDoubleVerts, findbars, nobars, subbars
from lmerbridge.formula.model_formula import Formula, Grouping, RandomTerm, parse_formula
from lmerbridge.formula.terms import Terms
from lmerbridge.formula.update import update_formula

__all__ = [
    "Formula",
    "Grouping",
    "RandomTerm",
    "Terms",
    "expandDoubleVerts",
    "findbars",
    "nobars",
    "parse_formula",
    "subbars",
    "update_formula",
]
