"""The minimization that the Python engines share."""

import numpy as np
import pytest

from lmerbridge.solve.optimum import minimize, shown_above
from lmerbridge.solve.settings import Settings


def minimum(value, gradient, diagonal):
    return minimize(value, gradient, diagonal, Settings(1e-8, floor=1e-6, at_floor=1e-5))


class TestMinimize:
    def test_an_optimum_inside(self):
        target = np.array([1.5, -0.7, 0.4])
        found = minimum(
            lambda x: float(np.sum((x - target) ** 2)),
            lambda x: 2 * (x - target),
            np.array([True, False, True]),
        )
        assert found.certified
        np.testing.assert_allclose(found.x, target, atol=1e-6)

    def test_an_optimum_on_the_boundary(self):
        found = minimum(
            lambda x: float(x[0] ** 2 + (x[1] - 1) ** 2),
            lambda x: np.array([2 * x[0], 2 * (x[1] - 1)]),
            np.array([True, True]),
        )
        assert found.certified
        assert found.x[0] == 1e-6

    def test_a_wrong_gradient_is_not_certified(self):
        found = minimum(
            lambda x: float((x[0] - 2) ** 2), lambda x: np.array([5.0]), np.array([True])
        )
        assert not found.certified
        assert found.x[0] == pytest.approx(2, abs=1e-3)

    def test_the_better_of_two_optima(self):
        def value(x):
            return float((x[0] ** 2 - 1) ** 2 - 0.5 * x[0])

        found = minimum(
            value, lambda x: np.array([4 * x[0] * (x[0] ** 2 - 1) - 0.5]), np.array([False])
        )
        assert found.x[0] == pytest.approx(1.0575, abs=1e-3)

    def test_what_cannot_be_evaluated_is_avoided(self):
        def value(x):
            if x[0] > 3:
                raise np.linalg.LinAlgError
            return float((x[0] - 2) ** 2)

        found = minimum(value, lambda x: 2 * (x - 2), np.array([True]))
        assert found.x[0] == pytest.approx(2, abs=1e-5)

    def test_a_start_of_the_callers_is_tried_first(self):
        seen = []

        def value(x):
            seen.append(float(x[0]))
            return float((x[0] - 2) ** 2)

        minimize(value, lambda x: 2 * (x - 2), np.array([True]), Settings(1e-8), np.array([1.75]))
        assert seen[0] == 1.75


@pytest.mark.parametrize("limit", [1e-6, 2e-3, 1.0, 30.0])
def test_a_message_does_not_contradict_its_numbers(limit):
    """What is said to be above a tolerance is shown as above it, however near it is."""
    for above in (1e-15, 1e-9, 1e-5, 4e-3, 0.3, 7.0):
        value = limit * (1 + above)
        text = shown_above(value, limit)
        assert float(text) > limit
        assert float(text) == pytest.approx(value, rel=0.05)
    assert shown_above(3.2123e-5, 1e-6) == "3.2e-05"
    assert shown_above(float("inf"), limit) == "inf"
    assert shown_above(float("nan"), limit) == "nan"
