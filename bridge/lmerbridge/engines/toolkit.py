"""What an engine of another package is made of: nothing else of lmerbridge need be imported.

An engine is a class that inherits from :class:`Engine`, named in the package's own
``pyproject.toml``::

    [project.entry-points."lmerbridge.engines"]
    mine = "my_package:MyEngine"

It is given a :class:`ModelFrame` and a :class:`FitSpec` and returns a :class:`FitResult`. There are
three ways to make one:

- an engine that finds theta alone asks :func:`evaluate` what belongs to it by lme4's definitions,
  :func:`estimates_at` for the estimates, and :func:`result_of` for the result;
- an engine that computes its own estimates makes :class:`Estimates` of them, with
  :meth:`RandomEffects.of_factor` and :func:`fitted_values`, and then :func:`result_of`;
- an engine that calls another package, with other counts or other definitions, fills in
  :class:`Said` and calls :func:`as_result`.

An engine raises :class:`FitFailedError` where it cannot fit, :class:`EngineUnavailableError` where
it does not work here, and no other exception; what it does not declare in ``supports`` is refused
before it is asked. :class:`lmerbridge.testing.EngineContract` tests all of this.
"""

from __future__ import annotations

from lmerbridge.design import (
    ModelFrame,
    RandomBlock,
    build_frame,
    chunks,
    nested_in,
    templates,
    theta_lower,
)
from lmerbridge.engines.assemble import SINGULAR, counted, estimates_at, fitted_values, result_of
from lmerbridge.engines.protocol import (
    LINEAR_MIXED,
    Costed,
    Engine,
    Feature,
    FitSpec,
    Status,
    blas_name,
    call_info,
    data_info,
    features_of,
    package_version,
)
from lmerbridge.engines.registry import engine_names, fit, load_engine, refusal, register_engine
from lmerbridge.engines.report import Said, as_result, by_level, installed, raw_table
from lmerbridge.errors import (
    EngineUnavailableError,
    FitFailedError,
    LmerBridgeError,
    UnsupportedModelError,
)
from lmerbridge.likelihood import CrossProducts, Evaluation, cross_products, evaluate
from lmerbridge.result import (
    CallInfo,
    Criterion,
    DataInfo,
    Estimates,
    Evidence,
    FitResult,
    Provenance,
    RandomEffects,
)

__all__ = [
    "LINEAR_MIXED",
    "SINGULAR",
    "CallInfo",
    "Costed",
    "Criterion",
    "CrossProducts",
    "DataInfo",
    "Engine",
    "EngineUnavailableError",
    "Estimates",
    "Evaluation",
    "Evidence",
    "Feature",
    "FitFailedError",
    "FitResult",
    "FitSpec",
    "LmerBridgeError",
    "ModelFrame",
    "Provenance",
    "RandomBlock",
    "RandomEffects",
    "Said",
    "Status",
    "UnsupportedModelError",
    "as_result",
    "blas_name",
    "build_frame",
    "by_level",
    "call_info",
    "chunks",
    "counted",
    "cross_products",
    "data_info",
    "engine_names",
    "estimates_at",
    "evaluate",
    "features_of",
    "fit",
    "fitted_values",
    "installed",
    "load_engine",
    "nested_in",
    "package_version",
    "raw_table",
    "refusal",
    "register_engine",
    "result_of",
    "templates",
    "theta_lower",
]
