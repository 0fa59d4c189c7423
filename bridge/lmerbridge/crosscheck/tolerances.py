"""How far apart numbers may be and still agree, in units that mean something, and why."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TOLERANCES", "Tolerance"]


@dataclass(frozen=True)
class Tolerance:
    """The unit a quantity is compared in, how much of it is too much, and the reason."""

    quantity: str
    unit: str
    limit: float
    reason: str


TOLERANCES: tuple[Tolerance, ...] = (
    Tolerance("nobs", "exactly", 0.0, "rows and levels are counted, not estimated"),
    Tolerance(
        "criterion",
        "absolute",
        1e-4,
        "lme4's default tolerances leave up to 1e-5 on these models; the printed text shows 0.1",
    ),
    Tolerance(
        "fixed effects",
        "standard errors",
        1e-3,
        "they move with theta, which the optimizers leave a few 1e-4 apart",
    ),
    Tolerance("standard errors", "relative", 1e-3, "as the fixed effects"),
    Tolerance("correlation of fixed effects", "absolute", 1e-3, "as the standard errors"),
    Tolerance(
        "std. deviations",
        "relative, floor sigma/1000",
        5e-3,
        "the criterion is flat in theta: 1e-5 of it can be some 1e-3 of a component",
    ),
    Tolerance(
        "correlations", "absolute; where both SDs > sigma/1000", 5e-3, "as the standard deviations"
    ),
    Tolerance("modes", "conditional SDs, floor sigma/1000", 1e-2, "they move with theta"),
    Tolerance("conditional SDs", "relative, floor sigma/1000", 1e-2, "they move with theta"),
    Tolerance("fitted", "sigma", 5e-3, "they move with the modes"),
    Tolerance("AIC", "absolute", 1e-4, "the criterion plus a count"),
    Tolerance("BIC", "absolute", 1e-4, "the criterion plus a count"),
    Tolerance("df", "exactly", 0.0, "a count"),
)
