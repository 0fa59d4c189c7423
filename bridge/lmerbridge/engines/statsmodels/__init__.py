"""statsmodels' MixedLM as an engine, made to reach the optimum."""

from lmerbridge.engines.statsmodels.engine import StatsmodelsEngine

__all__ = ["StatsmodelsEngine"]
