"""Plots of fitted models with matplotlib. Each returns Axes (one, or an array), of a new figure
of pyplot or, with ``ax=``, of yours: a notebook shows it, and ``plt.show()`` and ``plt.savefig()``
find it.

>>> import lmerbridge as lb
>>> m = lb.lmer("Reaction ~ Days + (Days | Subject)", lb.datasets.load("sleepstudy"))
>>> axes = lb.plots.caterpillar(m)
>>> axes[0].figure.savefig("effects.png")  # doctest: +SKIP
"""

from typing import Any

from lmerbridge.display.plots.effects import effects
from lmerbridge.display.plots.estimates import estimates
from lmerbridge.display.plots.leaving_out import influence
from lmerbridge.display.plots.means import means
from lmerbridge.display.plots.pooling import pooling, shrinkage
from lmerbridge.display.plots.profiles import profile_pairs, profile_zeta
from lmerbridge.display.plots.random_effects import caterpillar, modes, qq_random
from lmerbridge.display.plots.residuals import (
    qq_residuals,
    quantile_residuals,
    residuals_fitted,
    scale_location,
    worm,
)
from lmerbridge.display.plots.simulated import bootstrap, predictive

__all__ = [
    "bootstrap",
    "caterpillar",
    "effects",
    "estimates",
    "influence",
    "means",
    "modes",
    "pooling",
    "predictive",
    "profile_pairs",
    "profile_zeta",
    "qq_random",
    "qq_residuals",
    "quantile_residuals",
    "residuals_fitted",
    "scale_location",
    "shrinkage",
    "worm",
]


def __getattr__(name: str) -> Any:
    from lmerbridge.errors import near_match

    hint = "" if name.startswith("_") else near_match(name, __all__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")


def __dir__() -> list[str]:
    return list(__all__)
