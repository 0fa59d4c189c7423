"""``Model``, and ``lmer`` that makes one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmerbridge.lazy import names_from

if TYPE_CHECKING:
    from lmerbridge.model.design_simulation import simulate_design
    from lmerbridge.model.generalized import GeneralizedModel
    from lmerbridge.model.generalized_mixed import glmer, glmer_nb
    from lmerbridge.model.generalized_regression import GeneralizedLinearModel, glm
    from lmerbridge.model.linear_mixed import from_json, lmer
    from lmerbridge.model.lm_list import LmList, lmList
    from lmerbridge.model.marginal import MarginalMeans
    from lmerbridge.model.model import Model
    from lmerbridge.model.regression import LinearModel, lm

__all__ = [
    "GeneralizedLinearModel",
    "GeneralizedModel",
    "LinearModel",
    "LmList",
    "MarginalMeans",
    "Model",
    "from_json",
    "glm",
    "glmer",
    "glmer_nb",
    "lm",
    "lmList",
    "lmer",
    "simulate_design",
]

# a fit needs two of them
__getattr__ = names_from(
    __name__,
    {
        "design_simulation": "simulate_design",
        "generalized": "GeneralizedModel",
        "generalized_mixed": "glmer glmer_nb",
        "generalized_regression": "GeneralizedLinearModel glm",
        "linear_mixed": "from_json lmer",
        "lm_list": "LmList lmList",
        "marginal": "MarginalMeans",
        "model": "Model",
        "regression": "LinearModel lm",
    },
)
