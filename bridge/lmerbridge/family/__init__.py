"""The families of generalized linear models: distributions, links, and their derivatives."""

from lmerbridge.family.families import family_of, with_theta
from lmerbridge.family.family import Family
from lmerbridge.family.links import LINKS, Link
from lmerbridge.family.rows import Rows, ThetaDerivatives

__all__ = ["LINKS", "Family", "Link", "Rows", "ThetaDerivatives", "family_of", "with_theta"]
