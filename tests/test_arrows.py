"""Arrows between marginal means: as emmeans draws them, and never misleading where that can be."""

import numpy as np
import pytest

import lmerbridge as lb
from after import fitted
from lmerbridge.inference.arrows import comparison_arrows

# emmeans 1.8.4's plot(emmeans(m, ~ Machine), comparisons = TRUE, plotit = FALSE): lcmpl and rcmpl
MACHINES = {"down": [np.nan, 57.33836, 63.28836], "up": [55.33942, 63.30609, np.nan]}


def test_equal_margins_are_halved():
    """Mathematics: R_i + L_j = e for all pairs has the solution e / 2."""
    means = np.array([3.0, 1.0, 7.0, 2.0])
    down, up, wrong = comparison_arrows(means, np.full((4, 4), 2.5))
    assert wrong == []
    np.testing.assert_allclose(down, [1.25, np.nan, 1.25, 1.25])
    np.testing.assert_allclose(up, [1.25, 1.25, np.nan, 1.25])


def test_arrows_of_balanced_data_are_those_of_emmeans():
    pytest.importorskip("matplotlib")
    import matplotlib.pyplot as plt

    m = fitted("machines")
    ax = lb.plots.means(m.emmeans("~ Machine"), comparisons=True)
    ends = np.array([t.xy for t in ax.texts])
    np.testing.assert_allclose(ends[:2, 0], MACHINES["down"][1:], rtol=2e-5)
    np.testing.assert_allclose(ends[2:, 0], MACHINES["up"][:2], rtol=2e-5)
    assert ends[:, 1].tolist() == [1, 2, 0, 1]
    plt.close("all")


def test_arrows_go_back_to_the_response():
    """Ends on the scale of the response are the way back of those on the model's."""
    from lmerbridge.inference.arrows import arrows_of

    d = lb.datasets.load("Machines")
    m = lb.lmer("log(score) ~ Machine + (1 | Worker)", d, engine="native")
    ends = [
        arrows_of(m.emmeans("~ Machine", type=kind).grid, ["A", "B", "C"], 0.05)
        for kind in ("response", "link")
    ]
    np.testing.assert_allclose(ends[0], np.exp(ends[1]))


# The example of emmeans' vignette "xplanations"
MEANS = np.array([6.1, 4.5, 5.4, 6.3, 5.5, 6.7])
ERRORS = np.array([0.3, 0.4, 0.37, 0.41, 0.23, 0.48])


def margins(rho, t=2.85):
    V = np.diag(ERRORS**2)
    for rows in ([0, 1, 2], [3, 4, 5]):
        own = ERRORS[rows]
        V[np.ix_(rows, rows)] = (1 - rho) * np.diag(own**2) + rho * np.outer(own, own)
    return t * np.sqrt(np.maximum(np.add.outer(np.diag(V), np.diag(V)) - 2 * V, 0))


def misled(means, margin, down, up):
    """By the definition: which pairs meet and differ, or do not meet and do not differ."""
    found = []
    for i in range(len(means)):
        for j in range(len(means)):
            if means[i] < means[j]:
                apart = means[j] - means[i]
                if (up[i] + down[j] >= apart) == (apart > margin[i, j]):
                    found.append((i, j))
    return found


@pytest.mark.parametrize("rho", [0, 0.3, 0.6])
def test_arrows_meet_if_and_only_if_the_difference_is_not_significant(rho):
    """At 0.6 emmeans warns that some of its own mislead; there are some that do not."""
    down, up, wrong = comparison_arrows(MEANS, margins(rho))
    assert wrong == []
    assert misled(MEANS, margins(rho), down, up) == []
    assert np.nanmin(down) >= 0
    assert np.nanmin(up) >= 0


def test_where_no_arrows_are_right_the_pairs_are_named():
    """At 0.8 emmeans has negative lengths, and refuses."""
    down, up, wrong = comparison_arrows(MEANS, margins(0.8))
    assert wrong
    assert sorted(wrong) == sorted(misled(MEANS, margins(0.8), down, up))
    assert np.nanmin(down) >= 0


def test_random_margins():
    rng = np.random.default_rng(5)
    for _ in range(200):
        k = int(rng.integers(2, 7))
        means = rng.normal(size=k).round(1)  # with ties
        scale = rng.uniform(0.2, 1.5, size=k)
        margin = np.sqrt(np.add.outer(scale**2, scale**2)) * rng.uniform(0.9, 1.1)
        down, up, wrong = comparison_arrows(means, margin)
        assert sorted(wrong) == sorted(misled(means, margin, down, up))
        assert np.isnan(down[means == means.min()]).all()
        assert np.isnan(up[means == means.max()]).all()


def test_refusals():
    e = fitted("machines").emmeans("~ Machine")
    with pytest.raises(lb.DataError, match="these are contrasts"):
        lb.plots.means(e.pairs(), comparisons=True)
    with pytest.raises(lb.ArgumentError, match="alpha must be between 0 and 1"):
        lb.plots.means(e, comparisons=True, alpha=1.5)
    with pytest.raises(lb.ArgumentError, match="comparisons=True"):
        lb.plots.means(e, alpha=0.1)
