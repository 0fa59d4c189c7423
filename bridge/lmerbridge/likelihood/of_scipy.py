"""What takes scipy: matrices of more than a few columns, and sparse ones.

A model with one grouping factor and one or two columns a level is fitted without it: importing it
takes as long as a hundred such fits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmerbridge.lazy import LazyModule

if TYPE_CHECKING:
    from scipy import linalg, sparse
else:
    linalg, sparse = LazyModule("scipy.linalg"), LazyModule("scipy.sparse")

__all__ = ["linalg", "sparse"]
