"""What tests of structured covariances share."""

import itertools
from dataclasses import replace

import numpy as np


def with_deviations(result, sdcor):
    """The result with these standard deviations and correlations, lme4's ``sdcor``: texts of them
    are then to be the same, which those of another optimizer's late digits are not.
    """
    values = iter(sdcor.tolist())
    random = []
    for term in result.estimates.random:
        k = len(term.names)
        deviations, correlation = np.array([next(values) for _ in range(k)]), np.eye(k)
        for i, j in itertools.combinations(range(k), 2):
            correlation[i, j] = correlation[j, i] = next(values)
        random.append(replace(term, deviations=deviations, correlation=correlation))
    estimates = replace(result.estimates, random=tuple(random), sigma=next(values))
    return replace(result, estimates=estimates)
