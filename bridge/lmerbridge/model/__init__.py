"""``Model``, and ``lmer`` that makes one."""

from lmerbridge.model.design_simulation import simulate_design
from lmerbridge.model.linear_mixed import from_json, lmer
from lmerbridge.model.lm_list import LmList, lmList
from lmerbridge.model.marginal import MarginalMeans
from lmerbridge.model.model import Model
from lmerbridge.model.regression import LinearModel, lm

__all__ = [
    "LinearModel",
    "LmList",
    "MarginalMeans",
    "Model",
    "from_json",
    "lm",
    "lmList",
    "lmer",
    "simulate_design",
]
