"""How long MixedLM will take: it loops over groups in Python, and crossed factors are one group of
dense matrices.

The constants are what ``benchmarks/statsmodels_cost.py`` measured on one core (within a factor of 3
on all of its models); what is wanted is the order of magnitude.
"""

from __future__ import annotations

from lmerbridge.design import ModelFrame, nested_in

__all__ = ["predicted_seconds"]

START_SECONDS = 0.1  # seconds that any fit takes
GROUP_SECONDS = 4e-3  # seconds per group and term, over all evaluations
CELL_SECONDS = (
    8e-8  # seconds per row and squared number of effects of crossed factors, over all evaluations
)


def predicted_seconds(frame: ModelFrame) -> float:
    """Predict the seconds that MixedLM takes for this model on one core."""
    outermost = frame.random[-1]
    if all(nested_in(block, outermost) for block in frame.random):
        return START_SECONDS + GROUP_SECONDS * len(outermost.levels) * len(frame.random)
    effects = sum(len(block.levels) * len(block.names) for block in frame.random)
    return START_SECONDS + CELL_SECONDS * frame.nobs * float(effects) ** 2
