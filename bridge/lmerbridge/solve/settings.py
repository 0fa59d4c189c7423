"""How a criterion is minimized: every number that decides where a search ends, for one response
(:mod:`lmerbridge.solve.optimum`), for many (:mod:`lmerbridge.solve.many`), and with a number held
(:mod:`lmerbridge.solve.quasi_newton`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = [
    "BETTER",
    "CURVED",
    "DAMPING_FIRST",
    "DAMPING_LEAST",
    "DAMPING_LOW",
    "DAMPING_MOST",
    "DECREASE",
    "DETERMINED",
    "FARTHEST",
    "FRACTIONS",
    "GENERALIZED",
    "HEIGHTS",
    "HELD",
    "LEARNED_CHANGES",
    "LEARNED_ROOT",
    "LEARNED_STEPS",
    "LEAST_PART",
    "LEAST_SHRINK",
    "LIFTED",
    "MOST_PART",
    "NEARBY",
    "NEARLY",
    "NEWTON_STEPS",
    "NOT_CONVEX",
    "ROUNDING",
    "SAME_HESSIAN",
    "SCORING_STEPS",
    "SETTINGS",
    "SHORTER",
    "SHORTEST",
    "SINGULAR",
    "SMALL",
    "SMALLEST_ROOT",
    "STALLED",
    "STARTS",
    "WELL_WITHIN",
    "Settings",
]

SINGULAR = 1e-4  # lme4's tolerance for a diagonal element of Lambda

# -- where searches start
# Diagonal parameters, the others being 0; the first is the usual start, the others are tried where
# it ends at no optimum, or at the floor: such a criterion often has a second optimum.
STARTS = (1.0, 0.2, 3.0)
# A start from another fit has its diagonal parameters at least here: at the floor the gradient does
# not say in which direction to go.
LIFTED = 0.05

# -- Fisher scoring, damped as by Levenberg and Marquardt
SCORING_STEPS = 60
DAMPING_FIRST = 0.1  # after a step that did not help; then ten times more, each time
DAMPING_LEAST = 1e-4  # a tenth, each time, after one that did; from here on none
DAMPING_LOW = 1e-3  # up to this a step is nearly that of scoring itself
DAMPING_MOST = 1e6  # nothing helps
LEAST_SHRINK = 0.1  # of a diagonal parameter by one step
LEAST_PART, MOST_PART = 0.05, 0.5  # of a step that did not help, tried before it is damped
STALLED = 1e-12  # of the criterion: a step that gains less is the last

# The smallest root of the information at a start, its diagonal scaled to 1: with less, parameters
# stand for each other, rounding decides which way a search goes, and many at once do not make it.
DETERMINED = 1e-7

# -- Newton's steps
NEWTON_STEPS = 12
FRACTIONS = (1.0, 0.25, 0.05)  # of a step, until the criterion falls
# Where a Newton step promises less than this, the Hessian after it is as before; where a step of
# scoring does, Newton's are the better ones.
SAME_HESSIAN = 1e-4
WELL_WITHIN = 1e-2  # of the tolerance: where a step promises less, it is not made
SMALLEST_ROOT = 1e-10  # of a Hessian, relative to the largest
NOT_CONVEX = -1e-3  # a root as far below 0, relative to the largest, is more than rounding

# -- the floor
SMALL = 5e-3  # a diagonal parameter below this is tried at the floor
HEIGHTS = (0.003, 0.03, 0.3)  # where a parameter at the floor is tried as well

# -- steps with a Hessian that is learned, along a profile
LEARNED_STEPS = 200
LEARNED_CHANGES = 12  # of the gradient, that scoring remembers
LEARNED_ROOT = 1e-6  # of a Hessian that is learned anew, relative to the largest
FARTHEST = 1.0  # a step moves a number x by no more than this many times 0.5 + |x|
SHORTER, SHORTEST = 0.3, 25  # a step that does not help, times this; and how often
DECREASE = 1e-4  # of what a step promises, at least (Armijo's rule)
ROUNDING = 1e-13  # of the criterion
CURVED = 1e-12  # of the lengths of a step and of the gradient's change: what a Hessian learns from
NEARLY = 100  # times the usual limit: enough where the criterion has no more digits

BETTER = 1e-9  # of the criterion: of two optima, the one that is lower by more


@dataclass(frozen=True)
class Settings:
    """What of a search depends on the criterion.

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
    near : float
        A step of scoring that promises less is not made: Newton's follow.
    learns : bool
        Whether scoring learns from the gradients what the information lacks of a Hessian: where one
        by differences costs many points, and a search by it should be over before.
    shortens : bool
        Whether a step that raised the criterion is tried shorter before it is damped.
    """

    tolerance: float
    floor: float = 0.0
    at_floor: float = 0.0
    hessian_step: float = 1e-4
    central: bool = True
    near: float = SAME_HESSIAN
    learns: bool = False
    shortens: bool = False


# Of lme4's criterion. One more Newton step would change it by less than the tolerance. The search
# stops at a relative standard deviation of 1e-6, where the gradient still tells in which direction
# to go (at 0 it is 0), and what ends there is set to 0.
SETTINGS = Settings(tolerance=1e-8, floor=1e-6, at_floor=1e-5, hessian_step=1e-5, central=False)
# Of generalized models, and of the way to where their search starts. With a step so short one inner
# step finds the modes of the gradient that the difference is of.
GENERALIZED = replace(
    SETTINGS,
    near=1e-13,
    learns=True,
    shortens=True,
    hessian_step=1e-6,
)
NEARBY = replace(SETTINGS, near=0.1, shortens=True)
# Of the deviance with a number held, whose other parameters have no bounds.
HELD = Settings(tolerance=SETTINGS.tolerance)
