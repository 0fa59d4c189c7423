"""The exact criterion of a linear mixed model at any theta, as pure functions of a model frame."""

from lmerbridge.likelihood.crossproducts import CrossProducts, cross_products
from lmerbridge.likelihood.evaluate import (
    Derivatives,
    Evaluation,
    criterion,
    derivatives,
    evaluate,
)
from lmerbridge.likelihood.joint import joint_vcov
from lmerbridge.likelihood.many import (
    Many,
    Solutions,
    derivatives_of_many,
    many_responses,
    solutions_of_many,
)

__all__ = [
    "CrossProducts",
    "Derivatives",
    "Evaluation",
    "Many",
    "Solutions",
    "criterion",
    "cross_products",
    "derivatives",
    "derivatives_of_many",
    "evaluate",
    "joint_vcov",
    "many_responses",
    "solutions_of_many",
]
