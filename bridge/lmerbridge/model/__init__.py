"""``Model``, and ``lmer`` that makes one."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lmerbridge.model.design_simulation import simulate_design
    from lmerbridge.model.generalized import GeneralizedModel
    from lmerbridge.model.generalized_mixed import glmer
    from lmerbridge.model.linear_mixed import from_json, lmer
    from lmerbridge.model.lm_list import LmList, lmList
    from lmerbridge.model.marginal import MarginalMeans
    from lmerbridge.model.model import Model
    from lmerbridge.model.regression import LinearModel, lm

# a fit needs two of them
_WHERE = {
    "GeneralizedModel": "generalized",
    "LinearModel": "regression",
    "LmList": "lm_list",
    "MarginalMeans": "marginal",
    "Model": "model",
    "from_json": "linear_mixed",
    "glmer": "generalized_mixed",
    "lm": "regression",
    "lmList": "lm_list",
    "lmer": "linear_mixed",
    "simulate_design": "design_simulation",
}

__all__ = [
    "GeneralizedModel",
    "LinearModel",
    "LmList",
    "MarginalMeans",
    "Model",
    "from_json",
    "glmer",
    "lm",
    "lmList",
    "lmer",
    "simulate_design",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
