"""Profiles, confidence intervals and the bootstrap: against R, and by what defines them."""

import numpy as np
import pandas as pd
import pytest

import after
import lmerbridge as lb
from after import fitted
from lmerbridge.inference.parameters import parameters

PROFILED = [n for n, c in after.CASES.items() if c.get("profile")]


@pytest.mark.parametrize("name", PROFILED)
@pytest.mark.parametrize("question", ["confint_profile", "confint_profile_names"])
def test_profile_intervals_are_r_s(name, question):
    """lme4 interpolates its profile, with an error of some 1e-5 of the interval's width."""
    m = fitted(name)
    new = question.endswith("names")
    ours = m.confint(level=0.9 if new else 0.95, oldNames=not new)
    R = after.values(name, question)
    assert list(ours.index) == after.answers(name)[question]["value"]["rows"]
    assert list(ours.columns) == after.answers(name)[question]["value"]["columns"]
    width = (R[:, 1] - R[:, 0])[:, None]
    # Dyestuff2's variance is 0: there lme4's spline is 1e-3 off, as its own deviance shows below
    limit = 2e-3 if name == "dyestuff2" else 2e-4
    assert (np.abs(ours.to_numpy() - R) / width).max() < limit
    after.assert_same_text(str(ours), after.text(name, question), digits=2e-3)


@pytest.mark.filterwarnings("ignore::lmerbridge.errors.FitWarning")
@pytest.mark.parametrize("name", PROFILED)
def test_ends_are_where_the_deviance_says(name):
    """At each end of an interval the deviance, minimized by another route, is 1.96^2 higher."""
    m = fitted(name)
    ml = lb.lmer(m.formula, after.data_of(name), REML=False, engine="native")
    target = ml.deviance() + 1.959963984540054**2
    ends = m.confint(parm="beta_")
    for term, (low, high) in ends.iterrows():
        rest = [c for c in m.frame.x_names if c != term]
        for value in (low, high):
            d = after.data_of(name).copy()
            shifted = m.frame.y - value * m.model_matrix()[term].to_numpy()
            d["shifted"] = shifted
            bars = " + ".join(f"({t.text})" for t in m.frame.formula.random)
            fixed = "0" if not rest else "1" if rest == ["(Intercept)"] else f"0 + {rest[0]}"
            reduced = lb.lmer(f"shifted ~ {fixed} + {bars}", d, REML=False, engine="native")
            assert reduced.deviance() == pytest.approx(target, abs=1e-5)
    sigma_low, sigma_high = m.confint(parm=".sigma").iloc[0]
    assert sigma_low < ml.sigma() < sigma_high


@pytest.mark.parametrize("name", after.CASES)
def test_wald_intervals_are_r_s_text(name):
    expected = after.text(name, "confint_wald")
    assert str(after.at_r(name).confint("Wald")) == expected


def test_profile_tables():
    m = fitted("sleep")
    profile = m.profile()
    table = profile.table()
    names = [p.name for p in parameters(m.result)]
    assert list(table.columns) == [".zeta", *names, ".par", ".focal"]
    for name, part in table.groupby(".par", sort=False):
        assert (part[name] == part[".focal"]).all()
        assert part[".zeta"].is_monotonic_increasing
        assert (part[".zeta"] == 0).any()
        inner = part[part[".zeta"].abs() < 1e-9]
        np.testing.assert_allclose(inner[names].iloc[0], profile.estimates, rtol=1e-5, atol=1e-6)
    # zeta at the points of R's profile
    R = after.answers("sleep")["profile"]["value"]
    columns = dict(zip(R["columns"], R["values"], strict=True))
    apart = []
    for i, name in enumerate(columns[".par"]):
        x, z = (after.number(columns[c][i]) for c in (".focal", ".zeta"))
        zeta = profile.point(name, x).zeta
        assert abs(zeta) < abs(z) + 2e-4  # never a higher deviance than R found
        if abs(zeta - z) > 2e-4:
            apart.append((name, x, zeta, z))
    # at three of its 90 points R stops too high, at one by half a unit of deviance
    assert len(apart) <= 3


def test_profiles_stop_at_boundaries():
    m = fitted("dyestuff2")
    points = m.profile(".sig01").points[".sig01"]
    assert points[0].value == 0
    assert m.confint(parm=".sig01").iloc[0, 0] == 0


@pytest.mark.filterwarnings("ignore::lmerbridge.errors.FitWarning")
def test_three_correlated_effects():
    """Each end of an interval of a 3 by 3 matrix's elements, held there in another way: a penalty
    on the distance from it, minimized by a simplex over theta.
    """
    from scipy import optimize

    from lmerbridge.likelihood import cross_products, unprofiled

    data = lb.datasets.load("Machines")
    m = lb.lmer("score ~ Machine + (Machine | Worker)", data, REML=False, engine="native")
    ours = m.confint()
    c = cross_products(m.frame)
    target = m.deviance() + 1.959963984540054**2
    which = [p for p in parameters(m.result) if p.kind in ("sd", "cor")]
    start = np.append(m.getME("theta").to_numpy(), np.log(m.sigma()))

    def value_of(p, theta, sigma):
        L = np.zeros((3, 3))
        L.T[np.triu_indices(3)] = theta
        S = sigma**2 * L @ L.T
        sd = np.sqrt(np.diag(S))
        return sd[p.row] if p.kind == "sd" else S[p.row, p.column] / (sd[p.row] * sd[p.column])

    for p in (which[0], which[1], which[4]):
        for end in ours.loc[p.name]:
            if end in (-1, 1, 0):
                continue
            x = start
            for weight in (1e2, 1e4, 1e6):

                def penalized(x, weight=weight, p=p, end=end):
                    sigma = float(np.exp(x[-1]))
                    value, slope = unprofiled(c, x[:-1], sigma, False)
                    gap = value_of(p, x[:-1], sigma) - end
                    # of an element of the covariance matrix, by differences
                    moved = [
                        (
                            value_of(p, (x + s)[:-1], np.exp((x + s)[-1]))
                            - value_of(p, (x - s)[:-1], np.exp((x - s)[-1]))
                        )
                        / 2e-6
                        for s in 1e-6 * np.eye(len(x))
                    ]
                    slope = slope * np.append(np.ones(len(x) - 1), sigma)
                    return value + weight * gap**2, slope + 2 * weight * gap * np.array(moved)

                found = optimize.minimize(
                    penalized, x, jac=True, method="BFGS", options={"gtol": 1e-6}
                )
                x = found.x
            assert unprofiled(c, x[:-1], float(np.exp(x[-1])), False)[0] == pytest.approx(
                target, abs=5e-3
            )


@pytest.mark.filterwarnings("ignore::lmerbridge.errors.FitWarning")
def test_units_do_not_matter():
    d = lb.datasets.load("sleepstudy")
    one = fitted("sleep").confint()
    for scale in (1e4, 1e-3):
        m = lb.lmer(
            "Reaction ~ D + (D | Subject)",
            d.assign(D=d["Days"] * scale),
            engine="native",
            control=lb.lmerControl(check_scaleX="ignore"),
        )
        two = m.confint()
        factor = np.array([1, 1, 1 / scale, 1, 1, 1 / scale])[:, None]
        np.testing.assert_allclose(two.to_numpy(), one.to_numpy() * factor, rtol=1e-5)
    y = lb.lmer(
        "Y ~ Days + (Days | Subject)", d.assign(Y=d["Reaction"] / 50 + 3), engine="native"
    ).confint()
    factor = np.array([50, 1, 50, 50, 50, 50.0])[:, None]
    shift = np.array([0, 0, 0, 0, 3, 0.0])[:, None]
    np.testing.assert_allclose((y.to_numpy() - shift) * factor, one.to_numpy(), rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "bayes"}, "method must be"),
        ({"level": 95}, "level must be"),
        ({"parm": "day"}, "is no parameter"),
        ({"parm": 17}, "there are 6"),
        ({"method": "boot", "boot_type": "t", "nsim": 10}, "boot_type"),
        ({"method": "boot", "nsim": 0}, "nsim"),
    ],
)
def test_mistakes_are_named(arguments, message):
    with pytest.raises(lb.DataError, match=message):
        fitted("sleep").confint(**arguments)


# -- bootstrap


def test_the_bootstrap_agrees_with_theory():
    """Standard errors of the fixed effects, and the intervals' middle, are the model's."""
    m = fitted("sleep")
    boot = m.bootMer(nsim=2000, seed=1)
    assert boot.failed == 0
    errors = boot.table()["std_error"]
    expected = np.sqrt(np.diag(m.vcov()))
    np.testing.assert_allclose(errors[["(Intercept)", "Days"]], expected, rtol=0.06)
    wald = m.confint("Wald", parm="beta_").to_numpy()
    for kind in ("perc", "basic", "norm"):
        found = boot.interval(type=kind).loc[["(Intercept)", "Days"]].to_numpy()
        assert (np.abs(found - wald) / expected[:, None]).max() < 0.2
    bca = boot.interval(type="bca")
    assert (bca.iloc[:, 0] < boot.t0).all()
    assert (bca.iloc[:, 1] > boot.t0).all()


def test_a_bootstrap_has_intervals_by_the_name_of_r():
    boot = fitted("sleep").bootMer(nsim=99, seed=4)
    found = boot.confint(level=0.9, type="norm")
    # Davison & Hinkley (1997, equation 5.5): t0 less its bias, +- z standard errors
    middle, half = 2 * boot.t0 - boot.t.mean(axis=0), 1.6448536 * boot.t.std(axis=0, ddof=1)
    np.testing.assert_allclose(found.to_numpy(), np.column_stack([middle - half, middle + half]))
    assert list(found.columns) == ["5 %", "95 %"]
    assert boot.confint(parm="Days").index.tolist() == ["Days"]
    with pytest.raises(lb.DataError, match=r"no statistic 'Dayz' \(did you mean 'Days'"):
        boot.confint(parm=["Dayz"])


def test_seeds_reproduce_whatever_the_processes(tmp_path):
    m = fitted("dyestuff")
    one = m.bootMer(nsim=250, seed=3)
    np.testing.assert_array_equal(one.t, m.bootMer(nsim=250, seed=3, jobs=2).t)
    np.testing.assert_array_equal(one.t[:200], m.bootMer(nsim=250, seed=3).t[:200])
    assert not np.array_equal(one.t, m.bootMer(nsim=250, seed=4).t)
    drawn = m.bootMer(nsim=10)
    np.testing.assert_array_equal(drawn.t, m.bootMer(nsim=10, seed=drawn.seed).t)


def test_an_interrupted_bootstrap_goes_on(tmp_path):
    m = fitted("dyestuff")
    whole = m.bootMer(nsim=300, seed=3)
    path = tmp_path / "boot.jsonl"

    calls = []

    def statistic(model):
        calls.append(1)
        if len(calls) == 150:
            raise KeyboardInterrupt
        return model.fixef()

    with pytest.raises(KeyboardInterrupt):
        m.bootMer(statistic, nsim=300, seed=3, resume=path)
    count = len(path.read_text().splitlines())
    assert count == 2  # the key, and the chunk that was done
    calls.clear()
    calls += [1] * 1000
    again = m.bootMer(statistic, nsim=300, seed=3, resume=path)
    assert len(calls) == 1000 + 1 + 200  # the fit itself, and what was missing
    np.testing.assert_allclose(again.t[:, 0], whole.t[:, -1], rtol=1e-8)
    with pytest.raises(lb.DataError, match=r"another bootstrap \(another seed\)"):
        m.bootMer(statistic, nsim=300, seed=4, resume=path)


def test_a_bootstrap_goes_on_with_its_own_alone(tmp_path, monkeypatch):
    from lmerbridge.inference import bootstrap

    m, path = fitted("dyestuff"), tmp_path / "boot.jsonl"
    ml = lb.lmer("Yield ~ 1 + (1 | Batch)", lb.datasets.load("Dyestuff"), REML=False)

    def refused(what, model=m, statistic=lambda model: model.fixef(), **arguments):
        with pytest.raises(lb.DataError, match=rf"another bootstrap \(another .*{what}"):
            model.bootMer(statistic, nsim=5, seed=3, resume=path, **arguments)

    m.bootMer(lambda model: model.fixef(), nsim=5, seed=3, resume=path)
    refused("fit or statistic", statistic=lambda model: model.fixef() + 1)
    refused("statistic", statistic=lambda model: {"sigma": model.sigma()})
    refused("theta", ml)
    refused("use_u", use_u=True)
    refused("type", use_u=True, type="semiparametric")
    monkeypatch.setattr(bootstrap, "own_code", lambda: "other")
    refused("version of lmerbridge")


@pytest.mark.parametrize("content", [b"nonsense", b"\xff\xfe", b"[" * 100_000, b"{}\n", b"3"])
def test_a_file_of_no_bootstrap_is_refused(tmp_path, content):
    path = tmp_path / "boot.jsonl"
    path.write_bytes(content)
    with pytest.raises(lb.DataError, match=r"holds (no|another) bootstrap"):
        fitted("dyestuff").bootMer(nsim=5, seed=3, resume=path)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "damage",
    [
        lambda line: line[: len(line) // 2],
        lambda line: "[]",
        lambda line: line.replace('"chunk": 0', '"chunk": 7'),
        lambda line: line.replace('"chunk": 0', '"chunk": -1'),
        lambda line: line.replace("], [", "], [0.5, ", 1),
        lambda line: line.replace("], [", ", ", 1),
    ],
)
def test_what_is_damaged_is_made_again(tmp_path, damage):
    m, path = fitted("dyestuff"), tmp_path / "boot.jsonl"
    whole = m.bootMer(nsim=5, seed=3, resume=path)
    key, line = path.read_text().splitlines()
    path.write_text(f"{key}\n{damage(line)}\n")
    np.testing.assert_array_equal(m.bootMer(nsim=5, seed=3, resume=path).t, whole.t)


def test_kinds_of_bootstrap():
    m = fitted("dyestuff")
    conditional = m.bootMer(nsim=400, seed=1, use_u=True)
    full = m.bootMer(nsim=400, seed=1)
    # with the batches held the mean varies by the residuals alone
    spread = m.sigma() / np.sqrt(30)
    assert conditional.table()["std_error"]["(Intercept)"] == pytest.approx(spread, rel=0.12)
    assert full.table()["std_error"]["(Intercept)"] > 2 * spread
    semi = m.bootMer(nsim=400, seed=1, use_u=True, type="semiparametric")
    raw = m.result.estimates.residuals.std() / np.sqrt(30)
    assert semi.table()["std_error"]["(Intercept)"] == pytest.approx(raw, rel=0.12)
    with pytest.raises(lb.UnsupportedModelError, match="use_u=True"):
        m.bootMer(type="semiparametric")
    with pytest.raises(lb.DataError, match="parametric"):
        m.bootMer(type="nonparametric")


def test_own_statistics():
    m = fitted("dyestuff")
    boot = m.bootMer(lambda f: pd.Series({"icc": f.icc().adjusted}), nsim=40, seed=1)
    assert boot.names == ("icc",)
    assert ((boot.t >= 0) & (boot.t < 1)).all()
    with pytest.raises(lb.UnsupportedModelError, match="jackknife"):
        boot.interval(type="bca")


def test_crossed_models_are_bootstrapped_too():
    boot = fitted("penicillin").bootMer(nsim=30, seed=1)
    assert boot.failed == 0
    assert boot.t.shape == (30, 4)


def test_bootstrap_comparison_finds_what_is_there():
    m = fitted("sleep")
    without = lb.lmer("Reaction ~ 1 + (Days | Subject)", after.data_of("sleep"), engine="native")
    found = m.PBmodcomp(without, nsim=200, seed=1)
    R = 23.537  # pbkrtest
    assert found.loc["LRT", "stat"] == pytest.approx(R, abs=1e-3)
    assert found.loc["PBtest", "p.value"] == pytest.approx(1 / 201)
    assert str(found).split("\n")[2] == "large : Reaction ~ Days + (Days | Subject)"
    with pytest.raises(lb.DataError, match="fewer parameters"):
        without.PBmodcomp(m, nsim=10)
