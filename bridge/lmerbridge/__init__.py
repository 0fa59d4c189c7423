"""Mixed models in Python with the numbers that lme4 prints, and the proof that they are the same.

>>> import lmerbridge as lb
>>> m = lb.lmer("Reaction ~ Days + (Days | Subject)", lb.datasets.load("sleepstudy"))
>>> print(m.summary())  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from lmerbridge._version import __version__

if TYPE_CHECKING:
    from lmerbridge import datasets
    from lmerbridge.crosscheck.check import Comparison, check
    from lmerbridge.datasets import read_csv
    from lmerbridge.design import Control, glmerControl, isNested, lmerControl
    from lmerbridge.dialects import options
    from lmerbridge.display import plots
    from lmerbridge.display.model_table import ModelTable, table
    from lmerbridge.engines import engine_names, register_engine
    from lmerbridge.errors import (
        ArgumentError,
        DataError,
        EngineUnavailableError,
        FitFailedError,
        FitMessage,
        FitWarning,
        FormulaError,
        LmerBridgeError,
        MissingPackageError,
        UnsupportedModelError,
    )
    from lmerbridge.family import families
    from lmerbridge.formula import (
        Formula,
        expandDoubleVerts,
        findbars,
        nobars,
        parse_formula,
        subbars,
    )
    from lmerbridge.inference.emm_options import emm_options
    from lmerbridge.model import (
        GeneralizedLinearModel,
        GeneralizedModel,
        LinearModel,
        LmList,
        MarginalMeans,
        Model,
        from_json,
        glm,
        glmer,
        glmer_nb,
        lm,
        lmer,
        lmList,
        simulate_design,
    )
    from lmerbridge.result import FitResult
    from lmerbridge.rlang import r


# Loaded on first use, so that the import is quick and starts nothing.
_WHERE = {
    "ArgumentError": "lmerbridge.errors",
    "Comparison": "lmerbridge.crosscheck",
    "Control": "lmerbridge.design",
    "DataError": "lmerbridge.errors",
    "EngineUnavailableError": "lmerbridge.errors",
    "FitFailedError": "lmerbridge.errors",
    "FitMessage": "lmerbridge.errors",
    "FitResult": "lmerbridge.result",
    "FitWarning": "lmerbridge.errors",
    "Formula": "lmerbridge.formula",
    "FormulaError": "lmerbridge.errors",
    "GeneralizedLinearModel": "lmerbridge.model",
    "GeneralizedModel": "lmerbridge.model",
    "LinearModel": "lmerbridge.model",
    "LmList": "lmerbridge.model",
    "LmerBridgeError": "lmerbridge.errors",
    "MarginalMeans": "lmerbridge.model",
    "MissingPackageError": "lmerbridge.errors",
    "Model": "lmerbridge.model",
    "ModelTable": "lmerbridge.display.model_table",
    "UnsupportedModelError": "lmerbridge.errors",
    "check": "lmerbridge.crosscheck",
    "datasets": "lmerbridge.datasets",
    "emm_options": "lmerbridge.inference.emm_options",
    "engine_names": "lmerbridge.engines",
    "expandDoubleVerts": "lmerbridge.formula",
    "families": "lmerbridge.family.families",
    "findbars": "lmerbridge.formula",
    "from_json": "lmerbridge.model",
    "isNested": "lmerbridge.design",
    "lm": "lmerbridge.model",
    "lmList": "lmerbridge.model",
    "lmer": "lmerbridge.model",
    "glm": "lmerbridge.model",
    "glmer": "lmerbridge.model",
    "glmerControl": "lmerbridge.design",
    "glmer_nb": "lmerbridge.model",
    "lmerControl": "lmerbridge.design",
    "nobars": "lmerbridge.formula",
    "options": "lmerbridge.dialects",
    "parse_formula": "lmerbridge.formula",
    "plots": "lmerbridge.display.plots",
    "r": "lmerbridge.rlang",
    "read_csv": "lmerbridge.datasets",
    "register_engine": "lmerbridge.engines",
    "simulate_design": "lmerbridge.model",
    "subbars": "lmerbridge.formula",
    "table": "lmerbridge.display.model_table",
}

__all__ = [
    "ArgumentError",
    "Comparison",
    "Control",
    "DataError",
    "EngineUnavailableError",
    "FitFailedError",
    "FitMessage",
    "FitResult",
    "FitWarning",
    "Formula",
    "FormulaError",
    "GeneralizedLinearModel",
    "GeneralizedModel",
    "LinearModel",
    "LmList",
    "LmerBridgeError",
    "MarginalMeans",
    "MissingPackageError",
    "Model",
    "ModelTable",
    "UnsupportedModelError",
    "__version__",
    "check",
    "datasets",
    "emm_options",
    "engine_names",
    "expandDoubleVerts",
    "families",
    "findbars",
    "from_json",
    "glm",
    "glmer",
    "glmerControl",
    "glmer_nb",
    "isNested",
    "lm",
    "lmList",
    "lmer",
    "lmerControl",
    "nobars",
    "options",
    "parse_formula",
    "plots",
    "r",
    "read_csv",
    "register_engine",
    "simulate_design",
    "subbars",
    "table",
]


# What users of R and of other packages look for, and where it is.
_ELSEWHERE = {
    "nlmer": ": nonlinear mixed models are not here (in R: lme4's nlmer)",
    "lme": ": lmer() has the formula language of lme4; engine='nlme' fits by nlme in R",
    "mixedlm": ": lmer() with engine='statsmodels' fits by MixedLM",
    "load": ": from_json(text) makes a model of what to_json() wrote",
    "read_json": ": from_json(text) makes a model of what to_json() wrote",
    "compare": ": table([m1, m2]) sets models side by side, m1.anova(m2) tests them",
    "power": ": it is a method, m.power(term)",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        from lmerbridge.errors import near_match

        near = _ELSEWHERE.get(name) or near_match(name, __all__)
        raise AttributeError(f"module 'lmerbridge' has no attribute {name!r}{near}")
    module = importlib.import_module(_WHERE[name])
    value = module if name in ("datasets", "families", "plots") else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
