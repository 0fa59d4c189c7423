"""The modules whose functions answer the methods of a fitted model.

A fit needs none of them: each is imported when the first of its functions is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmerbridge.lazy import LazyModule

if TYPE_CHECKING:
    from lmerbridge import display
    from lmerbridge.display import anova as tests_shown
    from lmerbridge.inference import (
        degrees,
        explained,
        pooling,
        simulated_residuals,
    )
    from lmerbridge.inference import influence as deletion
    from lmerbridge.model import (
        accessors,
        all_fit,
        averaging,
        comparing,
        comparisons,
        components,
        criteria,
        estimates,
        every_term,
        generalized_tests,
        intervals,
        latent,
        leaving_out,
        modcomp,
        power,
        prediction,
        testing,
    )
    from lmerbridge.model import tidy as broom
else:
    display = LazyModule("lmerbridge.display")
    tests_shown = LazyModule("lmerbridge.display.anova")
    degrees = LazyModule("lmerbridge.inference.degrees")
    explained = LazyModule("lmerbridge.inference.explained")
    pooling = LazyModule("lmerbridge.inference.pooling")
    simulated_residuals = LazyModule("lmerbridge.inference.simulated_residuals")
    deletion = LazyModule("lmerbridge.inference.influence")
    accessors = LazyModule("lmerbridge.model.accessors")
    all_fit = LazyModule("lmerbridge.model.all_fit")
    averaging = LazyModule("lmerbridge.model.averaging")
    comparing = LazyModule("lmerbridge.model.comparing")
    comparisons = LazyModule("lmerbridge.model.comparisons")
    components = LazyModule("lmerbridge.model.components")
    criteria = LazyModule("lmerbridge.model.criteria")
    estimates = LazyModule("lmerbridge.model.estimates")
    every_term = LazyModule("lmerbridge.model.every_term")
    generalized_tests = LazyModule("lmerbridge.model.generalized_tests")
    intervals = LazyModule("lmerbridge.model.intervals")
    latent = LazyModule("lmerbridge.model.latent")
    leaving_out = LazyModule("lmerbridge.model.leaving_out")
    modcomp = LazyModule("lmerbridge.model.modcomp")
    power = LazyModule("lmerbridge.model.power")
    prediction = LazyModule("lmerbridge.model.prediction")
    testing = LazyModule("lmerbridge.model.testing")
    broom = LazyModule("lmerbridge.model.tidy")

__all__ = [
    "accessors",
    "all_fit",
    "averaging",
    "broom",
    "comparing",
    "comparisons",
    "components",
    "criteria",
    "degrees",
    "deletion",
    "display",
    "estimates",
    "every_term",
    "explained",
    "generalized_tests",
    "intervals",
    "latent",
    "leaving_out",
    "modcomp",
    "pooling",
    "power",
    "prediction",
    "simulated_residuals",
    "testing",
    "tests_shown",
]
