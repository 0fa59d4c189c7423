"""``Model``, and ``lmer`` that makes one."""

from lmerbridge.model.fitting import from_json, lmer
from lmerbridge.model.model import Model

__all__ = ["Model", "from_json", "lmer"]
