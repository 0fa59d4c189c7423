"""The native engine: lme4's model fitted to the exact optimum, without R."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from lmerbridge.design import ModelFrame
from lmerbridge.engines.assemble import assembled, at_floor, estimates_at
from lmerbridge.engines.optimum import Settings
from lmerbridge.engines.protocol import (
    LINEAR_MIXED,
    Engine,
    Feature,
    FitSpec,
    Status,
    package_version,
)
from lmerbridge.errors import FitFailedError
from lmerbridge.result import FitResult

if TYPE_CHECKING:
    from lmerbridge.likelihood import Derivatives, Evaluation, Search
    from lmerbridge.likelihood.compact import CompactSolution

__all__ = ["NativeEngine"]

# One more Newton step would change the criterion by less than the tolerance. The search stops at
# a relative standard deviation of 1e-6, where the gradient still tells in which direction to go
# (at 0 it is 0), and what ends there is set to 0.
SETTINGS = Settings(tolerance=1e-8, floor=1e-6, at_floor=1e-5, hessian_step=1e-5, central=False)
NOTHING = 1e-5  # of the ordinary regression's residuals: what is left is rounding


class NativeEngine(Engine):
    """Penalized least squares with the profiled criterion (Bates et al. 2015)."""

    name = "native"
    summary = "our own, on numpy and scipy: every linear mixed model of the formula language"
    why_not: Mapping[Feature, str] = MappingProxyType(
        {
            Feature.SETTINGS: "this engine chooses its own optimizers",
        }
    )
    supports = LINEAR_MIXED.difference(why_not)

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
        from lmerbridge.likelihood import Search, products_of

        began = time.perf_counter()
        products = products_of(frame)
        search = Search(products)
        start = None if spec.start is None else search.of_parameters(np.array(spec.start))
        end = math.inf if spec.timeout is None else began + spec.timeout
        objective = Objective(search, spec.REML, end)
        if start is None and len(products.factors) > 1:
            start = _start(search, spec.REML, end)
        elif start is None and search.compact is not None:
            start = search.compact.start(spec.REML)
        optimum = minimize(
            objective.value,
            objective.gradient,
            search.bounded,
            SETTINGS,
            start,
            objective.information,
            tuple(search.starts()),
            objective.hessian,
        )
        zero = at_floor(optimum, search.bounded, SETTINGS)
        found, x = None, search.settled(np.where(zero, 0.0, optimum.x))
        if np.isfinite(optimum.value):
            found = objective.evaluation(x)
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


class Objective:
    """The criterion over the coordinates of a search, with its derivatives; all come of one
    factorization, which is kept.
    """

    def __init__(self, search: Search, REML: bool, end: float = math.inf):
        """``end``: when to give up, on the clock of ``time.perf_counter``."""
        self._search, self._REML, self._end = search, REML, end
        self._compact = search.compact
        self._key = b""
        self._last: Derivatives | CompactSolution | None = None
        self.hessian = self._hessian if self._compact is not None else None

    def _at(self, x: Any) -> Derivatives | CompactSolution | None:
        from lmerbridge.likelihood import derivatives

        key = x.tobytes()
        if key != self._key:
            if time.perf_counter() > self._end:
                raise FitFailedError("the fit took longer than timeout= allows")
            search = self._search
            self._key, self._last = (
                key,
                derivatives(search.products, search.theta(x), self._REML)
                if self._compact is None
                else self._compact.at(x, self._REML),
            )
        return self._last

    def evaluation(self, x: Any) -> Evaluation | None:
        """All quantities at ``x``, in the user's units."""
        from lmerbridge.likelihood.compact import CompactSolution

        search, at = self._search, self._at(x)
        if at is None:
            return None
        if isinstance(at, CompactSolution):
            found: Evaluation | None = at.evaluation(search.products, x)
        else:
            found = at.evaluation()
        return None if found is None else found.in_units(search.users(x), search.maps)

    def value(self, x: Any) -> float:
        at = self._at(x)
        return math.inf if at is None else at.criterion

    def gradient(self, x: Any) -> Any:
        at = self._at(x)
        if at is None:
            return np.zeros(len(x))
        return at.gradient if self._search.plain else self._search.slope(x).T @ at.gradient

    def information(self, x: Any) -> Any:
        at = self._at(x)
        if at is None:
            return np.zeros((len(x), len(x)))
        if self._search.plain:
            return at.information
        slope = self._search.slope(x)
        return slope.T @ at.information @ slope

    def _hessian(self, x: Any) -> Any:
        from lmerbridge.likelihood.compact import CompactSolution

        at = self._at(x)
        if isinstance(at, CompactSolution):
            return at.hessian
        return np.full((len(x), len(x)), np.nan)


def _start(search: Search, REML: bool, end: float) -> Any:
    """A start from the models with one factor each, which cost little."""
    from lmerbridge.engines.optimum import roughly
    from lmerbridge.likelihood.starts import together

    start = np.zeros(len(search.bounded))
    for index in range(len(search.products.factors)):
        alone, where = search.alone(index)
        objective = Objective(alone, REML, end)
        found = roughly(
            objective.value, objective.gradient, objective.information, alone.bounded, SETTINGS
        )
        start[where] = np.where(alone.bounded, np.maximum(found, 0.1), found)
    joint = together(search.products, start) if search.plain else None
    return start if joint is None else joint
