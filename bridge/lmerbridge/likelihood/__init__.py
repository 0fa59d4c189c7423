"""The exact criterion of a linear mixed model at any theta, as pure functions of a model frame."""

from lmerbridge.likelihood.crossproducts import CrossProducts, cross_products
from lmerbridge.likelihood.evaluate import (
    Derivatives,
    Evaluation,
    FixedDerivatives,
    criterion,
    criterion_without_effects,
    derivatives,
    evaluate,
    fixed_derivatives,
    fixed_effects,
    sequential_effects,
    unprofiled,
)
from lmerbridge.likelihood.information import Information, expected_information
from lmerbridge.likelihood.joint_hessian import joint_vcov
from lmerbridge.likelihood.kept_products import products_of
from lmerbridge.likelihood.many import (
    Many,
    Solutions,
    criteria_without_effects,
    derivatives_of_many,
    many_responses,
    solutions_of_many,
)
from lmerbridge.likelihood.search import Search

__all__ = [
    "CrossProducts",
    "Derivatives",
    "Evaluation",
    "FixedDerivatives",
    "Information",
    "Many",
    "Search",
    "Solutions",
    "criteria_without_effects",
    "criterion",
    "criterion_without_effects",
    "cross_products",
    "derivatives",
    "derivatives_of_many",
    "evaluate",
    "expected_information",
    "fixed_derivatives",
    "fixed_effects",
    "joint_vcov",
    "many_responses",
    "products_of",
    "sequential_effects",
    "solutions_of_many",
    "unprofiled",
]
