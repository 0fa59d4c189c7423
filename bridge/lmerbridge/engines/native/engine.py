"""The native engine: lme4's model fitted to the exact optimum, without R."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from lmerbridge.design import ModelFrame, templates, theta_lower
from lmerbridge.engines.assemble import assembled, at_floor
from lmerbridge.engines.optimum import Settings
from lmerbridge.engines.protocol import Feature, FitSpec, Status, package_version
from lmerbridge.engines.scaling import column_map, triangular
from lmerbridge.errors import FitFailedError
from lmerbridge.result import Estimates, FitResult, RandomEffects

if TYPE_CHECKING:
    from lmerbridge.likelihood import CrossProducts, Evaluation

__all__ = ["NativeEngine"]

# One more Newton step would change the criterion by less than the tolerance. The search stops at
# a relative standard deviation of 1e-6, where the gradient still tells in which direction to go
# (at 0 it is 0), and what ends there is set to 0.
SETTINGS = Settings(tolerance=1e-8, floor=1e-6, at_floor=1e-5)
SINGULAR = 1e-4  # lme4's tolerance for a diagonal element of Lambda


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
        maps = [column_map(block) for block in frame.random]
        scaled = products.rescaled(maps)
        sizes = [len(block.names) for block in frame.random]
        diagonal = theta_lower(sizes) == 0
        start = (
            None
            if spec.start is None
            else _mapped(np.array(spec.start), sizes, [np.linalg.inv(M) for M in maps])
        )
        value, slope = _objective(scaled, spec.REML)
        optimum = minimize(value, slope, diagonal, SETTINGS, start)
        zero = at_floor(optimum, diagonal, SETTINGS)
        found = None
        if np.isfinite(optimum.value):
            x = np.where(zero, 0.0, optimum.x)
            found = evaluate(products, _mapped(x, sizes, maps), spec.REML)
        if found is None:
            raise FitFailedError(
                f"the criterion of {frame.formula} could not be computed: the residual variance "
                "is 0, or the columns of a random-effects term are not finite"
            )
        singular = bool(np.any(found.theta[diagonal] < SINGULAR))
        return assembled(
            frame,
            spec,
            _estimates(frame, found, sizes),
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


def _mapped(theta: Any, sizes: list[int], maps: list[Any]) -> Any:
    """Theta of the terms whose effects are ``maps[t]`` times these."""
    parts = []
    for block, M in zip(templates(theta, sizes), maps, strict=True):
        parts.append(triangular(M @ block).T[np.triu_indices(len(M))])
    return np.concatenate(parts)


def _objective(
    products: CrossProducts, REML: bool
) -> tuple[Callable[[Any], float], Callable[[Any], Any]]:
    """Criterion and gradient; both come of one factorization, which is kept for the other."""
    from lmerbridge.likelihood import gradient

    last: dict[bytes, tuple[float, Any]] = {}

    def both(x: Any) -> tuple[float, Any]:
        key = x.tobytes()
        if key not in last:
            last.clear()
            last[key] = gradient(products, x, REML)
        return last[key]

    return (lambda x: both(x)[0]), (lambda x: both(x)[1])


def _estimates(frame: ModelFrame, found: Evaluation, sizes: list[int]) -> Estimates:
    prediction = frame.X @ found.beta
    if frame.offset is not None:
        prediction = prediction + frame.offset
    random = []
    for block, factor, modes, variances in zip(
        frame.random, templates(found.theta, sizes), found.modes, found.variances, strict=True
    ):
        prediction = prediction + np.sum(block.columns * modes[block.codes], axis=1)
        random.append(
            RandomEffects.of_factor(
                block.label, block.group, block.names, factor, found.sigma, modes, variances
            )
        )
    return Estimates(
        names=frame.x_names,
        beta=found.beta,
        vcov=found.vcov,
        vcov_definition="conditional",
        theta=found.theta,
        sigma=found.sigma,
        random=tuple(random),
        fitted=prediction,
        residuals=frame.y - prediction,
        weights=None if frame.weights is None else frame.weights.copy(),
    )
