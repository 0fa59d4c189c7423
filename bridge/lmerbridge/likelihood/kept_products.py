"""Cross-products of model frames that have been fitted, for what is asked after the fit.

They are kept beside the frame, not in it, and as long as it is there: a frame is a value, which
compares and pickles by what the model is.
"""

from __future__ import annotations

import weakref

from lmerbridge.design import ModelFrame
from lmerbridge.likelihood.crossproducts import CrossProducts, cross_products

__all__ = ["products_of"]

# By the identity of the frame, whose end removes its entry.
_KNOWN: dict[int, tuple[weakref.ref[ModelFrame], CrossProducts]] = {}


def products_of(frame: ModelFrame) -> CrossProducts:
    """Return the cross-products of this very frame: computed once, by the fit or by what is asked
    first.
    """
    key = id(frame)
    known = _KNOWN.get(key)
    if known is not None and known[0]() is frame:
        return known[1]
    found = cross_products(frame)

    def forget(reference: weakref.ref[ModelFrame]) -> None:
        entry = _KNOWN.get(key)
        if entry is not None and entry[0] is reference:
            del _KNOWN[key]

    _KNOWN[key] = (weakref.ref(frame, forget), found)
    return found
