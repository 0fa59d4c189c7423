"""The exact criterion of a linear mixed model at any theta, as pure functions of a model frame."""

from lmerbridge.likelihood.crossproducts import CrossProducts, cross_products
from lmerbridge.likelihood.evaluate import Evaluation, criterion, evaluate, gradient

__all__ = [
    "CrossProducts",
    "Evaluation",
    "criterion",
    "cross_products",
    "evaluate",
    "gradient",
]
