"""The native engine: lme4's model fitted to the exact optimum, without R."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from lmerbridge._version import __version__
from lmerbridge.blas_threads import one_thread_below
from lmerbridge.design import ModelFrame
from lmerbridge.engines.assemble import assembled, at_floor, estimates_at
from lmerbridge.engines.protocol import (
    LINEAR_MIXED,
    Engine,
    Feature,
    FitSpec,
    Status,
)
from lmerbridge.errors import FitFailedError
from lmerbridge.result import FitResult
from lmerbridge.solve.settings import SETTINGS

if TYPE_CHECKING:
    from lmerbridge.likelihood import Search

__all__ = ["NativeEngine"]

ROUNDING_PART = 1e-5  # of the ordinary regression's residuals: what is left is rounding


class NativeEngine(Engine):
    """Penalized least squares with the profiled criterion (Bates et al. 2015)."""

    name = "native"
    summary = "our own, on numpy and scipy: every linear mixed model, and generalized ones"
    why_not: Mapping[Feature, str] = MappingProxyType(
        {
            Feature.SETTINGS: "this engine chooses its own optimizers",
        }
    )
    supports = LINEAR_MIXED.difference(why_not) | {
        Feature.FAMILY,
        Feature.DISPERSION,
        Feature.QUADRATURE,
        Feature.DEFINITION,
        Feature.SIZE,
    }

    def status(self) -> Status:
        """Always available: it is part of this package."""
        return Status(True, __version__)

    def limits(self, frame: ModelFrame, spec: FitSpec) -> str | None:
        """Quadrature is over few random effects of one factor, or of nested ones."""
        if frame.family is None or spec.nAGQ < 2:
            return None
        if frame.family.dispersion is None and spec.dispersion != "ML":
            return (
                "with nAGQ > 1 there is no moment estimate of the dispersion, which is of the"
                " modes: ask for dispersion='ML'"
            )
        from lmerbridge.likelihood.quadrature import refused_for

        return refused_for(spec.nAGQ, frame)

    def fit(self, frame: ModelFrame, spec: FitSpec) -> FitResult:
        """Minimize over theta on scaled columns, and evaluate once in the user's units.

        Raises
        ------
        FitFailedError
            The criterion cannot be computed anywhere.
        """
        began = time.perf_counter()
        if frame.family is not None:
            from lmerbridge.engines.native.generalized import fit_family

            return fit_family(frame, spec, frame.family, began)
        from lmerbridge.likelihood import Search, products_of

        products = products_of(frame)
        search = Search(products)
        with one_thread_below(products.largest, scipy=search.compact is None):
            return self._fit(frame, spec, search, began)

    def _fit(self, frame: ModelFrame, spec: FitSpec, search: Search, began: float) -> FitResult:
        from lmerbridge.solve.objective import given_start, minimum

        start = None if spec.start is None else given_start(search, spec.start)
        end = math.inf if spec.timeout is None else began + spec.timeout
        objective, optimum = minimum(search, spec.REML, start, end)
        zero = at_floor(optimum, search.bounded, SETTINGS)
        found, x = None, search.settled(np.where(zero, 0.0, optimum.x))
        if np.isfinite(optimum.value):
            found = objective.evaluation(x)
        if found is None:
            raise FitFailedError(
                f"the criterion of {frame.formula} could not be computed: the residual variance "
                "is 0, or the columns of a random-effects term are not finite"
            )
        products = search.products
        spread = float(np.sqrt(products.gram[-1, -1] / products.n))
        if not optimum.certified and found.sigma < ROUNDING_PART * spread:
            raise FitFailedError(
                f"the random effects of {frame.formula} fit the response exactly: the residual "
                "variance is 0 to working precision, and the criterion has no minimum"
            )
        return assembled(
            frame,
            spec,
            estimates_at(frame, found, None if search.plain else search.parameters(x)),
            found.criterion,
            optimum,
            free=~zero,
            engine=self.name,
            packages=("lmerbridge", "scipy", "numpy"),
            seconds=time.perf_counter() - began,
            components={"ldL2": found.log_det, "ldRX2": found.log_det_X, "pwrss": found.rss},
        )
