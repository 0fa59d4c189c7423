"""Plots: what they draw, that they are pyplot's figures, and that they stay readable."""

import warnings

import numpy as np
import pandas as pd
import pytest

import after
import lmerbridge as lb
from after import fitted

pytest.importorskip("matplotlib")
import matplotlib.pyplot as plt
from matplotlib.backends.backend_agg import FigureCanvasAgg


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def drawn(axes):
    """Renders the figure; returns its first axes."""
    first = np.ravel(np.asarray(axes, dtype=object))[0]
    FigureCanvasAgg(first.figure).draw()
    return first


def test_residuals_are_drawn():
    m = fitted("sleep")
    ax = drawn(lb.plots.residuals_fitted(m))
    x, y = ax.lines[1].get_data()
    np.testing.assert_allclose(x, m.fitted())
    np.testing.assert_allclose(y, m.residuals())
    ax = drawn(lb.plots.scale_location(m))
    np.testing.assert_allclose(ax.lines[0].get_ydata() ** 2, np.abs(m.residuals("scaled")))
    ax = drawn(lb.plots.qq_residuals(m))
    np.testing.assert_allclose(ax.lines[0].get_ydata(), np.sort(m.residuals("scaled")))


def test_own_axes_are_used():
    from matplotlib.figure import Figure

    ax = Figure().subplots()
    assert lb.plots.residuals_fitted(fitted("sleep"), ax=ax) is ax


def test_random_effects_are_drawn_sorted():
    m = fitted("sleep")
    axes = lb.plots.caterpillar(m)
    assert [ax.get_title() for ax in axes] == ["(Intercept)", "Days"]
    drawn(axes)
    modes = axes[0].lines[1].get_xdata()
    assert (np.diff(modes) > 0).all()
    labels = [t.get_text() for t in axes[0].get_yticklabels()]
    table = m.ranef().query("term == '(Intercept)'").sort_values("condval")
    assert labels == list(table["grp"])
    segments = axes[0].collections[0].get_segments()
    half = np.array([(s[1][0] - s[0][0]) / 2 for s in segments])
    np.testing.assert_allclose(half, 1.959964 * table["condsd"], rtol=1e-6)
    drawn(lb.plots.qq_random(m))
    with pytest.raises(lb.DataError, match="no grouping factor"):
        lb.plots.caterpillar(m, "Day")


def test_effects_are_marginal_means():
    m = fitted("chick")
    ax = drawn(lb.plots.effects(m, "Time", by="Diet"))
    lines = [line for line in ax.lines if len(line.get_xdata()) == 60]
    assert len(lines) == 4
    ends = m.emmeans(["Diet", "Time"], at={"Time": [0, 21]}, ddf="Satterthwaite").table
    for k, line in enumerate(lines):
        own = ends[ends["Diet"] == str(k + 1)]["emmean"].to_numpy()
        np.testing.assert_allclose(line.get_ydata()[[0, -1]], own)
    drawn(lb.plots.effects(fitted("oats"), "N", by="V"))
    with pytest.raises(lb.DataError, match="no predictor"):
        lb.plots.effects(m, "Tim")


def test_pooling_and_shrinkage():
    m = fitted("sleep")
    axes = lb.plots.pooling(m)
    assert len(axes) == 18
    drawn(axes)
    table = m.pooling().set_index(["group", "term"])
    group = axes[0].get_title()
    by_label = {line.get_label(): line for line in axes[0].lines}
    for kind, label in (("none", "no pooling"), ("partial", "partial pooling")):
        x, y = by_label[label].get_data()
        slope = (y[-1] - y[0]) / (x[-1] - x[0])
        assert slope == pytest.approx(table.loc[(group, "Days"), kind])
    ax = drawn(lb.plots.shrinkage(m))
    assert len(ax.collections[0].get_segments()) == 18
    drawn(lb.plots.shrinkage(fitted("dyestuff")))
    with pytest.raises(lb.DataError, match="no numeric predictor"):
        lb.plots.pooling(fitted("dyestuff"))


def test_profiles_are_drawn():
    profile = fitted("sleep-zcp").profile()
    axes = lb.plots.profile_zeta(profile)
    assert len(axes) == 5
    drawn(axes)
    pairs = lb.plots.profile_pairs(profile)
    assert pairs.shape == (5, 5)
    drawn(pairs)
    # on a contour the deviance is chi-squared's quantile higher
    from lmerbridge.display.plots.profiles import _Plane

    x, y = _Plane(profile, "(Intercept)", "Days").contour(1.5)
    m = fitted("sleep-zcp")
    d = after.data_of("sleep")
    ml = m.update(REML=False)
    from lmerbridge.likelihood import criterion, cross_products

    for i in (20, 75, 130):
        frame = m.frame
        from dataclasses import replace

        response = frame.y - x[i] - y[i] * d["Days"].to_numpy()
        moved = replace(frame, rows=replace(frame.rows, y=response))
        moved = moved.with_columns(np.empty((180, 0)), (), ())
        c = cross_products(moved)
        from scipy import optimize

        found = optimize.minimize(
            lambda t, c=c: criterion(c, np.abs(t), False),
            m.getME("theta").to_numpy(),
            method="Nelder-Mead",
            options={"xatol": 1e-8, "fatol": 1e-8},
        )
        assert np.sqrt(found.fun - ml.deviance()) == pytest.approx(1.5, abs=0.03)


def test_models_side_by_side():
    models = {
        "mixed": fitted("sleep"),
        "plain": lb.lm("Reaction ~ Days", after.data_of("sleep")),
    }
    axes = lb.plots.estimates(models)
    assert [ax.get_title() for ax in axes] == ["(Intercept)", "Days"]
    drawn(axes)
    assert [t.get_text() for t in axes[0].get_yticklabels()] == ["mixed", "plain"]


@pytest.fixture(scope="module")
def many():
    d = pd.DataFrame({"g": np.repeat(np.arange(3000), 4)})
    d["x"] = np.random.default_rng(1).normal(size=12000)
    y = lb.simulate_design("y ~ x + (x | g)", d, [1, 0.5], [0.7, 0.1, 0.4], 1.0, seed=1)
    return lb.lmer("y ~ x + (x | g)", d.assign(y=y["sim_1"]), engine="native")


def test_three_thousand_groups(many):
    ax = drawn(lb.plots.caterpillar(many))
    assert len(ax.get_yticklabels()) == 0
    assert "3000 levels" in ax.get_ylabel()
    panels = lb.plots.pooling(many)
    assert len(panels) == 24
    figure = drawn(panels).figure
    assert "24 of 3000" in figure.get_supxlabel()
    ax = drawn(lb.plots.shrinkage(many))
    assert ax.lines[0].get_alpha() < 0.7


@pytest.mark.parametrize("name", ["sleep", "ham"])
def test_nothing_is_cut_off(name):
    m = fitted(name)
    for axes in (lb.plots.caterpillar(m), lb.plots.residuals_fitted(m)):
        ax = drawn(axes)
        box = ax.figure.bbox
        low, high = ax.get_xlim(), ax.get_ylim()
        labels = [t for t in ax.get_xticklabels() if low[0] <= t.get_position()[0] <= low[1]]
        labels += [t for t in ax.get_yticklabels() if high[0] <= t.get_position()[1] <= high[1]]
        labels += [ax.xaxis.label, ax.yaxis.label]
        assert len(labels) > 4
        for label in labels:
            if label.get_text():
                extent = label.get_window_extent()
                assert box.x0 - 1 <= extent.x0 <= extent.x1 <= box.x1 + 1, label
                assert box.y0 - 1 <= extent.y0 <= extent.y1 <= box.y1 + 1, label


def test_figures_are_those_of_pyplot(tmp_path):
    m = fitted("sleep")
    axes = lb.plots.caterpillar(m)
    assert plt.gcf() is axes[0].figure
    plt.savefig(tmp_path / "shown.png")
    assert (plt.imread(tmp_path / "shown.png")[..., :3] < 0.9).any()  # something is drawn
    own = plt.figure().subplots()
    count = len(plt.get_fignums())
    lb.plots.residuals_fitted(m, ax=own)
    assert len(plt.get_fignums()) == count


def test_a_report_leaves_no_figure():
    from lmerbridge.crosscheck.html import _picture

    found = lb.check(
        "Reaction ~ Days + (Days | Subject)", lb.datasets.load("sleepstudy"), ["native"]
    )
    assert _picture(found.plot()).startswith("<svg")
    assert plt.get_fignums() == []


def test_the_model_stands_above_it():
    m = fitted("sleep")
    for axes in (lb.plots.caterpillar(m), lb.plots.qq_residuals(m), lb.plots.estimates(m)):
        figure = np.ravel(np.asarray(axes, dtype=object))[0].figure
        assert figure.get_suptitle() == "Reaction ~ Days + (Days | Subject)"


def test_every_grouping_factor_is_drawn():
    m = fitted("penicillin")
    axes = lb.plots.caterpillar(m)
    assert [ax.get_title() for ax in axes] == ["plate: (Intercept)", "sample: (Intercept)"]
    drawn(axes)
    assert [t.get_text() for t in axes[1].get_yticklabels()] == list(
        m.ranef().query("grpvar == 'sample'").sort_values("condval")["grp"]
    )
    assert len(lb.plots.caterpillar(m, "sample")) == 1
    assert len(lb.plots.qq_random(m)) == 2


def test_effects_of_one_model_stand_in_one_axes():
    m = fitted("chick")
    (ax,) = lb.plots.estimates(m)
    drawn([ax])
    beta = m.fixef().drop("(Intercept)")
    assert [t.get_text() for t in ax.get_yticklabels()] == list(beta.index)
    np.testing.assert_allclose(ax.lines[0].get_xdata(), beta)
    (ax,) = lb.plots.estimates(m, intercept=True)
    assert ax.get_yticklabels()[0].get_text() == "(Intercept)"
    with pytest.raises(lb.errors.ArgumentError, match="a fitted model, several"):
        lb.plots.estimates(3)


def test_shrinkage_is_of_what_other_terms_leave():
    """The conditional mode of a random intercept is a known part of the group's own (Bates et al.
    2015): with n rows, the own estimate times n theta^2 / (n theta^2 + 1).
    """
    rng = np.random.default_rng(3)
    d = pd.DataFrame(
        {"g": np.repeat([f"g{i}" for i in range(8)], 6), "a": np.tile(list("uvw"), 16)}
    )
    d["b"] = np.repeat(list("pq"), 24)  # does not vary within a group
    d["y"] = rng.normal(size=48) + 3 * (d["a"] == "v") + 5 * (d["b"] == "q")
    d["y"] += rng.normal(size=8)[np.repeat(range(8), 6)]
    m = lb.lmer("y ~ a + b + (1 | g)", d, engine="native")
    ax = drawn(lb.plots.shrinkage(m))
    x, y = next(line for line in ax.lines if len(line.get_xdata()) == 8).get_data()
    theta = m.getME("theta").iloc[0]
    middle = m.fixef()["(Intercept)"]
    np.testing.assert_allclose(y - middle, (x - middle) * 6 * theta**2 / (6 * theta**2 + 1))


def test_a_few_wild_groups_do_not_make_the_rest_a_dot():
    rng = np.random.default_rng(5)
    d = pd.DataFrame({"g": np.repeat([f"g{i}" for i in range(120)], 5)})
    d["x"] = rng.normal(size=600)
    for i in range(3):  # their own slopes are of next to no spread
        d.loc[d.index[5 * i : 5 * i + 5], "x"] = 1 + 1e-4 * rng.normal(size=5)
    b = rng.normal(size=(120, 2))[np.repeat(range(120), 5)]
    d["y"] = d["x"] * (1 + b[:, 0]) + b[:, 1] + rng.normal(size=600)
    ax = drawn(lb.plots.shrinkage(lb.lmer("y ~ x + (x | g)", d, engine="native")))
    assert np.ptp(ax.get_ylim()) < 60
    assert "lie outside" in ax.get_title()


def test_lines_of_pooling_are_smooth_whatever_else_the_model_holds():
    rng = np.random.default_rng(7)
    d = pd.DataFrame({"g": np.repeat([f"g{i}" for i in range(6)], 20), "f": list("abcd") * 30})
    d["x"] = rng.normal(size=120)
    d["y"] = d["x"] + 4 * (d["f"] == "b") + rng.normal(size=120)
    d["y"] += rng.normal(size=6)[np.repeat(range(6), 20)]
    m = lb.lmer("y ~ x + f + (x | g)", d, engine="native")
    axes = lb.plots.pooling(m)
    drawn(axes)
    for ax in axes:
        lines = [line for line in ax.lines if line.get_label().endswith("pooling")]
        assert len(lines) == 3
        for line in lines:
            x, y = line.get_data()
            np.testing.assert_allclose(np.diff(y) / np.diff(x), (y[1] - y[0]) / (x[1] - x[0]))
    group = axes[0].get_title()
    partial = next(line for line in axes[0].lines if line.get_label() == "partial pooling")
    x, y = partial.get_data()
    slope = m.coef()["g"].loc[group, "x"]
    assert (y[-1] - y[0]) / (x[-1] - x[0]) == pytest.approx(slope)


def test_profiles_of_singular_fits_are_drawn():
    """The correlation of a variance at zero is missing along its profile."""
    rng = np.random.default_rng(1)
    d = after.data_of("sleep").assign(Reaction=rng.normal(size=180))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        m = lb.lmer("Reaction ~ Days + (Days | Subject)", d, engine="native")
        profile = m.profile()
        pairs, zeta = lb.plots.profile_pairs(profile), lb.plots.profile_zeta(profile)
    assert m.isSingular()
    assert any(not np.isfinite(p.all).all() for points in profile.points.values() for p in points)
    assert pairs.shape == (6, 6)
    assert all(len(ax.lines) for ax in zeta)


def test_models_without_fixed_effects_have_no_estimates_to_draw():
    m = lb.lmer("Reaction ~ 0 + (1 | Subject)", after.data_of("sleep"), engine="native")
    with pytest.raises(lb.DataError, match="no fixed effects to draw"):
        lb.plots.estimates([m])


@pytest.mark.parametrize("subjects", [3, 4, 5, 6])
def test_profiles_of_few_subjects_are_drawn(subjects):
    """Their zeta is not monotonic, or a standard deviation is 0 at points of it."""
    d = lb.datasets.load("sleepstudy")
    d = d[d.Subject.isin(d.Subject.unique()[:subjects])]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        m = lb.lmer("Reaction ~ Days + (Days | Subject)", d, engine="native")
        axes = lb.plots.profile_pairs(m)
    drawn = [line for ax in np.ravel(axes) if ax is not None for line in ax.get_lines()]
    assert len(drawn) >= 12


def test_means_and_contrasts_are_drawn():
    e = fitted("chick").emmeans("~ Diet")
    ax = drawn(lb.plots.means(e))
    table = e.confint().table
    np.testing.assert_allclose(ax.lines[0].get_xdata(), table["emmean"])
    segments = ax.collections[0].get_segments()
    np.testing.assert_allclose([s[:, 0] for s in segments], table[["lower.CL", "upper.CL"]])
    assert [t.get_text() for t in ax.get_yticklabels()] == ["1", "2", "3", "4"]
    ax = drawn(lb.plots.means(e.pairs()))
    assert ax.get_yticklabels()[0].get_text() == "Diet1 - Diet2"
    with pytest.raises(lb.errors.ArgumentError, match="must be marginal means"):
        lb.plots.means(fitted("chick"))


def test_means_by_a_factor_have_a_panel_for_each_of_its_levels():
    e = fitted("oats").emmeans("~ N | V")
    table = e.confint().table
    axes = lb.plots.means(e)
    drawn(axes)
    varieties = list(table["V"].cat.categories)
    assert [ax.get_title() for ax in axes] == [f"V = {v}" for v in varieties]
    for ax, variety in zip(axes, varieties, strict=True):
        own = table[table["V"] == variety]
        np.testing.assert_allclose(ax.lines[0].get_xdata(), own["emmean"])
        segments = [s[:, 0] for s in ax.collections[0].get_segments()]
        np.testing.assert_allclose(segments, own[["lower.CL", "upper.CL"]])
        assert [t.get_text() for t in ax.get_yticklabels()] == [
            "0.0cwt",
            "0.2cwt",
            "0.4cwt",
            "0.6cwt",
        ]
    assert len({ax.get_xlim() for ax in axes}) == 1
    # on axes of the user's there is one panel, and labels say both
    one = lb.plots.means(e, ax=axes[0].figure.add_subplot())
    assert [t.get_text() for t in one.get_yticklabels()][:2] == [
        f"0.0cwt, {varieties[0]}",
        f"0.2cwt, {varieties[0]}",
    ]
    pairs = lb.plots.means(e.pairs())
    assert [len(ax.get_yticklabels()) for ax in pairs] == [6, 6, 6]
    assert lb.plots.means(e, comparisons=True)[1].texts


def test_influence_is_drawn_with_the_largest_named():
    found = fitted("sleep").influence("Subject")
    ax = drawn(lb.plots.influence(found))
    distance = found.cooks_distance()
    np.testing.assert_allclose(ax.lines[0].get_ydata(), distance)
    assert {t.get_text() for t in ax.texts} == set(distance.nlargest(5).index)


def test_densities_of_drawn_responses_are_densities():
    m = fitted("sleep")
    ax = drawn(lb.plots.predictive(m, nsim=5))
    assert len(ax.lines) == 6
    for line in ax.lines:
        x, y = line.get_data()
        assert float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2)) == pytest.approx(1, abs=0.03)
    # the kernel estimate of the response, by scipy with the same bandwidth
    from scipy.stats import gaussian_kde

    y = m.frame.y
    spread = min(y.std(ddof=1), np.subtract(*np.quantile(y, [0.75, 0.25])) / 1.34)
    kde = gaussian_kde(y, 0.9 * spread * len(y) ** -0.2 / y.std(ddof=1))
    x, density = ax.lines[-1].get_data()
    np.testing.assert_allclose(density, kde(x), rtol=1e-6)


def test_a_bootstrap_is_drawn():
    boot = fitted("sleep").bootMer(nsim=60, seed=1)
    axes = lb.plots.bootstrap(boot)
    assert [ax.get_title() for ax in axes] == list(boot.names)
    drawn(axes)
    own = axes[-1].lines[-1].get_xdata()[0]
    assert own == pytest.approx(fitted("sleep").fixef()["Days"])


def test_the_room_shows_plots_alone():
    assert dir(lb.plots) == sorted(lb.plots.__all__)


def test_a_worm_has_the_scores_less_their_quantiles():
    from scipy.stats import norm

    m = fitted("sleep")
    ax = drawn(lb.plots.worm(m, nsim=99, seed=3, level=0.9))
    x, y = ax.lines[1].get_data()
    n = len(x)
    assert n == 180
    np.testing.assert_allclose(x, norm.ppf((np.arange(1, n + 1) - 0.5) / n))  # R's ppoints
    np.testing.assert_allclose(x + y, np.sort(norm.ppf(m.quantile_residuals(99, 3))))
    # van Buuren & Fredriks (2001): z sqrt(p (1 - p) / n) / phi; at 0 that is z sqrt(pi / (2 n))
    at, limit = ax.lines[-1].get_data()
    middle = np.interp(0, at, limit)
    assert middle == pytest.approx(norm.ppf(0.95) * np.sqrt(np.pi / (2 * n)), rel=1e-3)


def test_a_worm_of_a_model_that_holds_stays_between_its_lines():
    """Of the points of independent residuals a share of ``level`` does, up to chance."""
    rng = np.random.default_rng(8)
    d = pd.DataFrame({"g": np.repeat(np.arange(100), 5).astype(str), "x": rng.normal(size=500)})
    d["y"] = 1 + 2 * d["x"] + 0.1 * np.repeat(rng.normal(size=100), 5) + rng.normal(size=500)
    m = lb.lmer("y ~ x + (1 | g)", d, engine="native")
    ax = drawn(lb.plots.worm(m))
    x, y = ax.lines[1].get_data()
    at, limit = ax.lines[-1].get_data()
    assert np.mean(np.abs(y) <= np.interp(x, at, limit)) > 0.8


def test_modes_against_a_factor_of_their_groups():
    d = lb.datasets.load("science")
    m = lb.lmer("like ~ sex + (1 | school)", d, engine="native")
    axes = lb.plots.modes(m, "PrivPub", data=d)
    ax = drawn(axes)
    assert [t.get_text() for t in ax.get_xticklabels()] == ["private", "public"]
    kind = d.groupby("school", observed=True)["PrivPub"].first()
    values = m.ranef().set_index("grp")["condval"]
    for i, level in enumerate(["private", "public"]):
        ((left, mean), (right, _)) = ax.collections[1 + i].get_segments()[0]
        assert (left + right) / 2 == pytest.approx(i)
        own = values[[g for g in values.index if kind[type(kind.index[0])(g)] == level]]
        assert mean == pytest.approx(own.mean())
    with pytest.raises(lb.DataError, match="several levels within a level of 'school'"):
        lb.plots.modes(m, "sex")
    with pytest.raises(lb.DataError, match="no variable of the model; with data="):
        lb.plots.modes(m, "PrivPub")
    with pytest.raises(lb.DataError, match="fitted to data of 1385"):
        lb.plots.modes(m, "PrivPub", data=d.head(9))


def test_modes_against_means_of_their_groups():
    m = fitted("chick")
    axes = lb.plots.modes(m, "Time")
    ax = drawn(axes)
    assert [a.get_title() for a in axes] == ["Chick: (Intercept)", "Chick: Time"]
    d = lb.datasets.load("ChickWeight")
    means = d.groupby(d["Chick"].astype(str))["Time"].mean()
    table = m.ranef().query("term == '(Intercept)'")
    x, y = ax.lines[1].get_data()
    np.testing.assert_allclose(x, means[table["grp"].astype(str)])
    np.testing.assert_allclose(y, table["condval"])


def test_a_plot_that_is_none_is_named():
    with pytest.raises(AttributeError, match="did you mean 'caterpillar'"):
        lb.plots.catterpillar  # noqa: B018


def test_effects_of_a_generalized_model_are_on_the_scale_of_the_data():
    d = lb.datasets.load("sleepstudy").assign(slow=lambda d: (d["Reaction"] > 300) * 1.0)
    m = lb.glmer("slow ~ Days + (1 | Subject)", d, engine="native")
    ax = drawn(lb.plots.effects(m, "Days"))
    line = ax.lines[-1]
    expected = m.predict(pd.DataFrame({"Days": line.get_xdata()}), re_form="NA", type="response")
    np.testing.assert_allclose(line.get_ydata(), expected, rtol=1e-12)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), d["slow"])
    low, high = ax.collections[0].get_datalim(ax.transData).intervaly
    assert 0 <= low < high <= 1


@pytest.mark.parametrize("name", ["pooling", "shrinkage"])
def test_a_generalized_model_is_not_compared_with_ordinary_regressions(name):
    d = lb.datasets.load("sleepstudy")
    m = lb.glmer("I(Reaction > 300) ~ Days + (1 | Subject)", d, engine="native")
    with pytest.raises(lb.UnsupportedModelError, match="caterpillar"):
        getattr(lb.plots, name)(m)
