"""What can be computed from a model frame and a result, whichever engine fitted."""

from lmerbridge.inference.criterion import ml_deviance, reml_criterion
from lmerbridge.inference.residuals import RESIDUAL_TYPES, residuals
from lmerbridge.inference.sparse_matrices import relative_factor, z_matrix

__all__ = [
    "RESIDUAL_TYPES",
    "ml_deviance",
    "relative_factor",
    "reml_criterion",
    "residuals",
    "z_matrix",
]
