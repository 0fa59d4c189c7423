"""The exact criterion of a linear mixed model at any theta, as pure functions of a model frame."""

from lmerbridge.likelihood.crossproducts import CrossProducts, cross_products
from lmerbridge.likelihood.evaluate import (
    Derivatives,
    Evaluation,
    criterion,
    derivatives,
    evaluate,
)

__all__ = [
    "CrossProducts",
    "Derivatives",
    "Evaluation",
    "criterion",
    "cross_products",
    "derivatives",
    "evaluate",
]
