"""How a criterion is to be minimized."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SETTINGS", "SINGULAR", "Settings"]

SINGULAR = 1e-4  # lme4's tolerance for a diagonal element of Lambda


@dataclass(frozen=True)
class Settings:
    """How an engine's criterion is to be minimized.

    Attributes
    ----------
    tolerance : float
        A point is an optimum if one more Newton step promises less of the criterion than this.
    floor : float
        Lower bound of the diagonal parameters.
    at_floor : float
        Up to this a diagonal parameter counts as being at the floor.
    hessian_step : float
        Of the differences of the gradient.
    central : bool
        Whether these are central (a gradient with noise) or forward (an exact one).
    """

    tolerance: float
    floor: float = 0.0
    at_floor: float = 0.0
    hessian_step: float = 1e-4
    central: bool = True


# One more Newton step would change the criterion by less than the tolerance. The search stops at
# a relative standard deviation of 1e-6, where the gradient still tells in which direction to go
# (at 0 it is 0), and what ends there is set to 0.
SETTINGS = Settings(tolerance=1e-8, floor=1e-6, at_floor=1e-5, hessian_step=1e-5, central=False)
