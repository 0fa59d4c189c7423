"""The native engine: lme4's model fitted to the exact optimum, without R."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lmerbridge.design import ModelFrame, templates, theta_lower, upper_triangle
from lmerbridge.engines.assemble import SINGULAR, assembled, at_floor, estimates_at
from lmerbridge.engines.optimum import Settings
from lmerbridge.engines.protocol import Feature, FitSpec, Status, package_version
from lmerbridge.engines.scaling import triangular
from lmerbridge.errors import FitFailedError
from lmerbridge.result import FitResult

if TYPE_CHECKING:
    from lmerbridge.likelihood import CrossProducts, Derivatives

__all__ = ["NativeEngine"]

# One more Newton step would change the criterion by less than the tolerance. The search stops at
# a relative standard deviation of 1e-6, where the gradient still tells in which direction to go
# (at 0 it is 0), and what ends there is set to 0.
SETTINGS = Settings(tolerance=1e-8, floor=1e-6, at_floor=1e-5, hessian_step=1e-5, central=False)
NOTHING = 1e-5  # of the ordinary regression's residuals: what is left is rounding


class NativeEngine:
    """Penalized least squares with the profiled criterion (Bates et al. 2015)."""

    name = "native"
    summary = "our own, on numpy and scipy: every linear mixed model of the formula language"
    unsupported: Mapping[Feature, str] = {
        Feature.SETTINGS: "this engine chooses its own optimizers",
    }

    def status(self) -> Status:
        """Always available: it is part of this package."""
        return Status(True, package_version("lmerbridge"))

    def limits(self, frame: ModelFrame, spec: FitSpec) -> str | None:
        return None

    def fit(self, frame: ModelFrame, spec: FitSpec) -> FitResult:
        """Minimize over theta on scaled columns, and evaluate once in the user's units.

        Raises
        ------
        FitFailedError
            The criterion cannot be computed anywhere.
        """
        from lmerbridge.engines.optimum import minimize
        from lmerbridge.likelihood import cross_products, evaluate

        began = time.perf_counter()
        products = cross_products(frame)
        maps = products.maps
        scaled = products.in_own_units()
        sizes = [len(block.names) for block in frame.random]
        diagonal = theta_lower(sizes) == 0
        start = (
            None
            if spec.start is None
            else mapped(np.array(spec.start), sizes, [np.linalg.inv(M) for M in maps])
        )
        end = math.inf if spec.timeout is None else began + spec.timeout
        objective = Objective(scaled, spec.REML, end)
        if start is None and len(scaled.factors) > 1:
            start = _start(scaled, spec.REML, end)
        optimum = minimize(
            objective.value, objective.gradient, diagonal, SETTINGS, start, objective.information
        )
        zero = at_floor(optimum, diagonal, SETTINGS)
        found = None
        if np.isfinite(optimum.value):
            x = np.where(zero, 0.0, optimum.x)
            found = evaluate(products, mapped(x, sizes, maps), spec.REML)
        if found is None:
            raise FitFailedError(
                f"the criterion of {frame.formula} could not be computed: the residual variance "
                "is 0, or the columns of a random-effects term are not finite"
            )
        spread = float(np.sqrt(products.gram[-1, -1] / products.n))
        if not optimum.certified and found.sigma < NOTHING * spread:
            raise FitFailedError(
                f"the random effects of {frame.formula} fit the response exactly: the residual "
                "variance is 0 to working precision, and the criterion has no minimum"
            )
        singular = bool(np.any(found.theta[diagonal] < SINGULAR))
        return assembled(
            frame,
            spec,
            estimates_at(frame, found),
            found.criterion,
            optimum,
            SETTINGS,
            free=~zero,
            singular=singular,
            engine=self.name,
            packages=("lmerbridge", "scipy", "numpy"),
            seconds=time.perf_counter() - began,
            components={"ldL2": found.log_det, "ldRX2": found.log_det_X, "pwrss": found.rss},
        )


def mapped(theta: Any, sizes: list[int], maps: Sequence[Any]) -> Any:
    """Theta of the terms whose effects are ``maps[t]`` times these."""
    parts = []
    for block, M in zip(templates(theta, sizes), maps, strict=True):
        parts.append(triangular(M @ block).T[upper_triangle(len(M))])
    return np.concatenate(parts)


class Objective:
    """The criterion with its derivatives; all come of one factorization, which is kept."""

    def __init__(self, products: CrossProducts, REML: bool, end: float = math.inf):
        """``end``: when to give up, on the clock of ``time.perf_counter``."""
        self._products, self._REML, self._end = products, REML, end
        self._key = b""
        self._last: Derivatives | None = None

    def _at(self, x: Any) -> Derivatives:
        from lmerbridge.likelihood import derivatives

        key = x.tobytes()
        if self._last is None or key != self._key:
            if time.perf_counter() > self._end:
                raise FitFailedError("the fit took longer than timeout= allows")
            self._key, self._last = key, derivatives(self._products, x, self._REML)
        return self._last

    def value(self, x: Any) -> float:
        return self._at(x).criterion

    def gradient(self, x: Any) -> Any:
        return self._at(x).gradient

    def information(self, x: Any) -> Any:
        return self._at(x).information


def _start(products: CrossProducts, REML: bool, end: float) -> Any:
    """A start from the models with one factor each, which cost little."""
    from lmerbridge.engines.optimum import roughly

    theta = np.zeros(len(theta_lower([term.size for term in products.terms])))
    sizes = [term.size for term in products.terms]
    ends = np.cumsum([k * (k + 1) // 2 for k in sizes])
    for index in range(len(products.factors)):
        own = [i for i, term in enumerate(products.terms) if term.factor == index]
        diagonal = theta_lower([sizes[i] for i in own]) == 0
        objective = Objective(products.alone(index), REML, end)
        found = roughly(
            objective.value, objective.gradient, objective.information, diagonal, SETTINGS
        )
        where = np.concatenate(
            [np.arange(ends[i] - sizes[i] * (sizes[i] + 1) // 2, ends[i]) for i in own]
        )
        theta[where] = np.where(diagonal, np.maximum(found, 0.1), found)
    return theta
