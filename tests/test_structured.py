"""Covariance structures of random terms: against lme4 2.1, and by what they are."""

import itertools
import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import lmerbridge as lb
from lmerbridge.covariance import KINDS, Structure
from lmerbridge.display.summary import variance_lines, variance_text
from lmerbridge.errors import DataError, FitFailedError, FormulaError, UnsupportedModelError
from r_here import lme4_version, needs_lme4
from structured import with_deviations

STORED = Path(__file__).parent / "stored"
GOLDEN = json.loads((STORED / "structured.json").read_text("utf-8"))["models"]
ASKED = {
    parts[0].strip(): [p.strip() for p in parts[1:]]
    for parts in (
        line.split(" ~~ ")
        for line in (STORED / "structured.txt").read_text("utf-8").splitlines()
        if line and not line.startswith("#")
    )
}
pytestmark = pytest.mark.filterwarnings("ignore::lmerbridge.errors.FitWarning")


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@cache
def made():
    return pd.read_csv(STORED / "structured.csv")


@cache
def data(name):
    if name == "made":
        return made()
    d = lb.datasets.load(name).copy()
    if name == "sleepstudy":
        d["f"] = (d.Days // 3).astype(str)
    return d


def arguments(asked):
    found = {}
    for part in asked[2].split(", ") if len(asked) > 2 else ():
        key, value = part.split(" = ")
        found[key] = {"FALSE": False, "TRUE": True}.get(value, value)
    return found


@cache
def fitted(name, engine="native"):
    asked = ASKED[name]
    return lb.lmer(asked[1], data(asked[0]), engine=engine, **arguments(asked))


def numbers(values):
    special = {"Infinity": np.inf, "-Infinity": -np.inf, "NaN": np.nan, None: np.nan}
    return np.array([special.get(v, v) if isinstance(v, str) or v is None else v for v in values])


every_model = pytest.mark.parametrize("name", list(GOLDEN))


@every_model
def test_the_criterion_is_that_of_lme4(name):
    m, golden = fitted(name), GOLDEN[name]
    assert m.result.evidence.converged
    assert m.result.criterion.value == pytest.approx(golden["criterion"][0], abs=2e-6)


@every_model
def test_counts_are_those_of_lme4(name):
    m, golden = fitted(name), GOLDEN[name]
    criterion = m.result.criterion
    assert criterion.parameters == golden["df"][0]
    assert criterion.df_residual == golden["df_residual"][0]
    assert pytest.approx(golden["AIC"][0], abs=1e-5) == criterion.AIC
    assert pytest.approx(golden["BIC"][0], abs=1e-5) == criterion.BIC
    assert m.getME("npar") == golden["npar"][0]


@every_model
def test_parameters_and_theta_are_called_as_in_lme4(name):
    m, golden = fitted(name), GOLDEN[name]
    assert list(m.getME("par").index) == golden["par_names"]
    assert list(m.getME("theta").index) == golden["theta_names"]
    assert m.getME("lower").to_numpy() == pytest.approx(numbers(golden["lower"]))
    assert m.getME("Lind")[:40].tolist() == golden["Lind"]


@every_model
def test_estimates_are_those_of_lme4(name):
    m, golden = fitted(name), GOLDEN[name]
    errors = np.sqrt(np.diag(m.vcov().to_numpy()))
    assert m.sigma() == pytest.approx(golden["sigma"][0], rel=1e-4)
    assert (m.fixef().to_numpy() - golden["beta"]) / errors == pytest.approx(0, abs=1e-3)
    assert m.vcov().to_numpy().ravel() == pytest.approx(
        golden["vcov"], rel=2e-3, abs=1e-3 * errors.max() ** 2
    )
    table = m.VarCorr().frame if hasattr(m.VarCorr(), "frame") else m.VarCorr()
    assert list(table["grp"]) == golden["grp"]
    assert table["var1"].fillna("").tolist() == golden["var1"]
    assert table["var2"].fillna("").tolist() == golden["var2"]
    values, expected = table["sdcor"].to_numpy(float), numbers(golden["sdcor"])
    if (
        name == "pastes one column"
    ):  # VarCorr of lme4 2.1 repeats the first term's there; par is right
        expected[:2] = np.array(golden["par"]) * golden["sigma"][0]
    apart = np.array([bool(v) for v in golden["var2"]])
    # lme4 2.1 has NaN where rounding makes an element of Lambda imaginary
    known = ~apart & np.isfinite(expected)
    assert known.sum() >= 2
    assert values[known] == pytest.approx(expected[known], rel=2e-3, abs=2e-3 * m.sigma())
    known = apart & np.isfinite(values) & np.isfinite(expected)
    assert values[known] == pytest.approx(expected[known], abs=3e-3)


@every_model
def test_text_is_that_of_lme4(name, monkeypatch):
    monkeypatch.delenv("LMERBRIDGE_DIALECT")  # the newest then
    result, golden = (
        with_deviations(fitted(name).result, numbers(GOLDEN[name]["sdcor"])),
        GOLDEN[name],
    )
    assert variance_lines(result, 4, ["Variance", "Std.Dev."]) == golden["summary"]
    assert variance_text(result).splitlines() == golden["VarCorr"]


@every_model
def test_the_formula_is_printed_as_lme4_prints_it(name):
    assert fitted(name).formula == GOLDEN[name]["formula"][0]


@every_model
def test_conditional_modes_are_those_of_lme4(name):
    golden = GOLDEN[name]
    if golden["condval"] is None:
        pytest.skip("lme4 2.1 has none here")
    found, m = fitted(name).ranef().head(12), fitted(name)
    expected = numbers(golden["condval"]), numbers(golden["condsd"])
    assert found["condval"].to_numpy() == pytest.approx(expected[0], abs=4e-3 * m.sigma())
    known = np.isfinite(expected[1])
    assert found["condsd"].to_numpy()[known] == pytest.approx(
        expected[1][known], rel=5e-3, abs=4e-3 * m.sigma()
    )


# -- by what the structures are

KINDS_OF = [Structure(kind, hom) for kind in KINDS if kind != "us" for hom in (True, False)]
SIZES = (1, 2, 3, 6)


def some_coordinates(structure, k, rng):
    x = rng.uniform(0.3, 2, structure.count(k))
    if structure.correlated(k):
        x[-1] = rng.uniform(-0.6, 0.6) * abs(structure.coordinates(lowest(structure, k), k)[-1])
    return x


def lowest(structure, k):
    par = np.ones(structure.count(k))
    par[-1] = structure.lower(k)[-1]
    return par


def correlation_matrix(structure, r, k):
    lag = np.abs(np.subtract.outer(np.arange(k), np.arange(k)))
    if structure.kind == "diag" or k == 1:
        return np.eye(k)
    return np.where(lag == 0, 1.0, r if structure.kind == "cs" else r**lag)


@pytest.mark.parametrize("k", SIZES)
@pytest.mark.parametrize("structure", KINDS_OF, ids=str)
def test_lambda_is_the_factor_of_the_matrix_that_the_parameters_name(structure, k, rng):
    par = structure.parameters(some_coordinates(structure, k, rng), k)
    L = structure.factor(par, k)
    deviations = np.broadcast_to(par[: structure.deviations(k)], k)
    expected = np.outer(deviations, deviations) * correlation_matrix(structure, par[-1], k)
    assert np.allclose(np.triu(L, 1), 0)
    assert pytest.approx(expected, abs=1e-13) == L @ L.T
    assert structure.of_factor(L) == pytest.approx(par, abs=1e-13)


@pytest.mark.parametrize("k", SIZES)
@pytest.mark.parametrize("structure", KINDS_OF, ids=str)
def test_derivatives_of_lambda_are_those_of_differences(structure, k, rng):
    x = some_coordinates(structure, k, rng)
    _, derivatives = structure.at(x, k)
    for i in range(len(x)):
        step = np.zeros(len(x))
        step[i] = 1e-5
        differences = (structure.at(x + step, k)[0] - structure.at(x - step, k)[0]) / 2e-5
        assert derivatives[i] == pytest.approx(differences, abs=1e-8)


@pytest.mark.parametrize("k", SIZES)
@pytest.mark.parametrize("structure", KINDS_OF, ids=str)
def test_slopes_of_the_covariance_matrix_follow_the_coordinates(structure, k, rng):
    """Both span the same directions, so that each is a combination of the other."""
    x = some_coordinates(structure, k, rng)
    L, derivatives = structure.at(x, k)
    columns, rows = np.triu_indices(k)
    along = np.array([(d @ L.T + L @ d.T)[rows, columns] for d in derivatives]).T
    slopes = structure.covariance_slopes(L)
    together = np.linalg.matrix_rank(np.hstack([along, slopes]), tol=1e-9)
    assert together == np.linalg.matrix_rank(slopes, tol=1e-9) == structure.count(k)


@pytest.mark.parametrize("k", SIZES[1:])
@pytest.mark.parametrize("structure", [s for s in KINDS_OF if s.kind != "diag"], ids=str)
def test_lambda_is_finite_at_both_ends_of_the_correlation(structure, k):
    for end in (structure.lower(k)[-1], 1.0):
        par = np.append(np.ones(structure.deviations(k)), end)
        L, derivatives = structure.at(structure.coordinates(par, k), k)
        assert np.isfinite(derivatives).all()
        assert pytest.approx(correlation_matrix(structure, end, k), abs=1e-12) == L @ L.T
        beyond = structure.coordinates(par, k)
        beyond[-1] *= 1.2  # where the correlation comes back
        inside = structure.settled(beyond, k)
        assert abs(inside[-1]) < abs(beyond[-1])
        again, there = (structure.at(v, k)[0] for v in (beyond, inside))
        assert again @ again.T == pytest.approx(there @ there.T, abs=1e-12)


def fit(formula, **more):
    return lb.lmer(formula, made(), engine="native", **more)


def same_fit(one, other, abs=1e-6):
    assert one.result.criterion.value == pytest.approx(other.result.criterion.value, abs=abs)
    assert one.fixef().to_numpy() == pytest.approx(other.fixef().to_numpy(), abs=1e-4)
    assert one.vcov().to_numpy() == pytest.approx(other.vcov().to_numpy(), rel=1e-3)
    assert one.fitted().to_numpy() == pytest.approx(other.fitted().to_numpy(), abs=1e-3)


def test_compound_symmetry_is_two_nested_intercepts():
    cs, two = fit("y ~ x + cs(0 + f | g, hom = TRUE)"), fit("y ~ x + (1 | g) + (1 | g:f)")
    same_fit(cs, two)
    outer, inner = (two.VarCorr().set_index("grp")["vcov"].loc[name] for name in ("g", "g:f"))
    deviation, correlation = cs.getME("par")
    assert (deviation * cs.sigma()) ** 2 == pytest.approx(outer + inner, rel=1e-4)
    assert correlation == pytest.approx(outer / (outer + inner), abs=1e-4)


@pytest.mark.parametrize("ddf", ["Satterthwaite", "Kenward-Roger"])
def test_degrees_of_freedom_of_compound_symmetry_are_those_of_two_intercepts(ddf):
    cs, two = fit("y ~ x + cs(0 + f | g, hom = TRUE)"), fit("y ~ x + (1 | g) + (1 | g:f)")
    one, other = (m.tidy(effects="fixed", ddf=ddf) for m in (cs, two))
    assert one["df"].to_numpy() == pytest.approx(other["df"].to_numpy(), rel=1e-4)
    assert one["std_error"].to_numpy() == pytest.approx(other["std_error"].to_numpy(), rel=1e-5)


def test_profiles_of_compound_symmetry_are_those_of_two_intercepts():
    cs, two = (
        fit(f"y ~ x + {term}", REML=False).confint(parm=["sigma", "beta_"])
        for term in ("cs(0 + f | g, hom = TRUE)", "(1 | g) + (1 | g:f)")
    )
    assert cs.to_numpy() == pytest.approx(two.to_numpy(), abs=1e-5)


def test_compound_symmetry_goes_below_zero_where_two_intercepts_cannot():
    cs, two = fit("below ~ x + cs(0 + f | g, hom = TRUE)"), fit("below ~ x + (1 | g) + (1 | g:f)")
    assert cs.getME("par").iloc[1] == pytest.approx(-1 / 3)
    assert cs.REMLcrit() < two.REMLcrit() - 1
    assert two.isSingular()
    assert cs.isSingular()


def test_diag_of_numbers_is_the_double_bar():
    one, other = fit("y ~ x + diag(x | h)"), fit("y ~ x + (x || h)")
    same_fit(one, other)
    assert one.getME("par").to_numpy() == pytest.approx(other.getME("theta").to_numpy(), abs=1e-5)
    dfs = [m.tidy(effects="fixed", ddf="Kenward-Roger")["df"].to_numpy() for m in (one, other)]
    assert dfs[0] == pytest.approx(dfs[1], rel=1e-4)


def test_diag_of_a_factor_is_what_the_double_bar_is_not():
    diag, double = fit("y ~ x + diag(0 + f | g)"), fit("y ~ x + (0 + f || g)")
    assert (diag.getME("npar"), double.getME("npar")) == (4, 10)
    dummies = pd.get_dummies(made()["f"], prefix="f").astype(float)
    written = lb.lmer(
        "y ~ x + (0 + f_f1 + f_f2 + f_f3 + f_f4 || g)", made().join(dummies), engine="native"
    )
    same_fit(diag, written)


def test_us_is_the_plain_term():
    one, other = fit("y ~ x + us(x | h)"), fit("y ~ x + (x | h)")
    assert one.result.estimates.theta.tolist() == other.result.estimates.theta.tolist()
    assert one.result.estimates.par is None
    assert one.formula == "y ~ x + us(x | h)"


@pytest.mark.parametrize("kind", ["cs", "ar1"])
@pytest.mark.parametrize("hom", ["TRUE", "FALSE"])
def test_a_correlation_of_zero_is_diag(kind, hom):
    one, other = (
        fit(f"y ~ x + {k}(0 + f | g, hom = {hom})").getME("devfun") for k in (kind, "diag")
    )
    par = np.array([0.7]) if hom == "TRUE" else np.array([0.7, 1.1, 0.4, 0.9])
    assert one(np.append(par, 0.0)) == pytest.approx(other(par), abs=1e-10)


def test_of_two_columns_every_correlated_structure_is_one():
    models = [
        fit(f"y ~ x + {term}") for term in ("(x | h)", "cs(x | h)", "ar1(x | h, hom = FALSE)")
    ]
    for m in models[1:]:
        same_fit(models[0], m)


def test_the_order_of_columns_does_not_matter_to_cs_and_does_to_ar1():
    d = made().assign(f=pd.Categorical(made()["f"], ["f3", "f1", "f4", "f2"]))
    for kind, same in (("cs", True), ("ar1", False)):
        formula = f"y ~ x + {kind}(0 + f | g)"
        one, other = fit(formula).REMLcrit(), lb.lmer(formula, d, engine="native").REMLcrit()
        assert (abs(one - other) < 1e-6) is same


def test_units_of_a_column_rescale_its_standard_deviation():
    d = made().assign(z=made()["x"] * 1000)
    one, other = fit("y ~ x + cs(x | h)"), lb.lmer("y ~ x + cs(z | h)", d, engine="native")
    assert one.REMLcrit() == pytest.approx(other.REMLcrit(), abs=1e-7)
    scale = np.array([1, 1 / 1000, 1])
    assert other.getME("par").to_numpy() == pytest.approx(
        one.getME("par").to_numpy() * scale, rel=1e-3
    )


# -- the criterion and its derivatives

MIXED = "y ~ x + ar1(0 + f | g, hom = FALSE) + (x | h) + cs(0 + f | k, hom = TRUE)"


def test_the_gradient_over_coordinates_is_that_of_differences(rng):
    from lmerbridge.design import build_frame
    from lmerbridge.likelihood import Search, cross_products
    from lmerbridge.solve.objective import Objective

    search = Search(cross_products(build_frame(MIXED, made())))
    objective = Objective(search, True)
    x = np.where(search.bounded, 0.8, 0.3) + rng.uniform(-0.1, 0.1, len(search.bounded))
    differences = []
    for i in range(len(x)):
        step = np.zeros(len(x))
        step[i] = 1e-5
        differences.append((objective.value(x + step) - objective.value(x - step)) / 2e-5)
    assert objective.gradient(x) == pytest.approx(differences, abs=1e-5)
    assert np.linalg.eigvalsh(objective.information(x)).min() > -1e-8


def test_coordinates_parameters_and_theta_name_the_same_point(rng):
    from lmerbridge.design import build_frame, theta_of
    from lmerbridge.likelihood import Search, cross_products

    frame = build_frame(MIXED, made())
    search = Search(cross_products(frame))
    x = np.where(search.bounded, 0.8, 0.3) + rng.uniform(-0.1, 0.1, len(search.bounded))
    par = search.parameters(x)
    assert len(par) == frame.covariance_parameters
    assert search.users(x) == pytest.approx(theta_of(frame, par), abs=1e-12)
    assert search.of_users(search.users(x)) == pytest.approx(x, abs=1e-10)
    assert search.of_parameters(par) == pytest.approx(x, abs=1e-10)


# -- after the fit


def test_a_start_is_parameters_and_leads_to_the_same_optimum():
    formula = "y ~ x + cs(0 + f | g)"
    m = fit(formula)
    again = fit(formula, start=m.getME("par").to_numpy().tolist())
    assert again.REMLcrit() == pytest.approx(m.REMLcrit(), abs=1e-8)
    with pytest.raises(DataError, match="start has 3 values; theta has 5"):
        fit(formula, start=[1, 1, 0.5])


def test_json_keeps_structures():
    m = fit("y ~ x + ar1(0 + f | g) + cs(x | h)")
    again = lb.from_json(m.to_json())
    assert again.getME("par").equals(m.getME("par"))
    assert str(again.summary()) == str(m.summary())


def test_simulation_at_parameters_has_their_covariances():
    levels = 4000
    design = pd.DataFrame(
        {"g": np.repeat(np.arange(levels), 6), "f": np.tile(["a", "b", "c"], 2 * levels), "y": 0.0}
    )
    made_up = lb.simulate_design("y ~ 1 + ar1(0 + f | g)", design, [0], [2, -0.5], 1e-3, seed=5)
    cells = made_up["sim_1"].to_numpy().reshape(-1, 2, 3).mean(axis=1)
    expected = 4e-6 * np.array([[1, -0.5, 0.25], [-0.5, 1, -0.5], [0.25, -0.5, 1]])
    expected += 0.5e-6 * np.eye(3)
    assert np.cov(cells.T) == pytest.approx(expected, abs=4e-7)


def test_newparams_take_par_or_the_theta_that_belongs_to_it():
    m = fit("y ~ x + cs(0 + f | g, hom = TRUE)")
    other = [1.5, -0.2]
    theta = lb.lmer("y ~ x + cs(0 + f | g, hom = TRUE)", made(), engine="native").getME("theta")
    L = Structure("cs", True).factor(np.array(other), 4)
    theta[:] = [L[0, 0], L[1, 0], L[1, 1], L[2, 1], L[2, 2], L[3, 2], L[3, 3]]
    one, two = (
        m.simulate(2, seed=3, newparams=given) for given in ({"par": other}, {"theta": theta})
    )
    assert one.to_numpy() == pytest.approx(two.to_numpy(), abs=1e-12)
    with pytest.raises(DataError, match="beyond what its covariance structure allows"):
        m.simulate(1, newparams={"par": [1.5, -0.4]})
    with pytest.raises(DataError, match="give one of them"):
        m.simulate(1, newparams={"par": other, "theta": theta})


def test_refits_and_bootstrap_stay_in_the_structure():
    m = fit("y ~ x + ar1(0 + f | g)")
    doubled = m.refit(2 * made()["y"])
    assert doubled.getME("par").to_numpy() == pytest.approx(m.getME("par").to_numpy(), abs=1e-5)
    booted = m.bootMer(nsim=3, seed=2)
    assert booted.names == (".sig01", ".sig02", ".sigma", "(Intercept)", "x")
    assert booted.t0[1] == pytest.approx(m.getME("par").iloc[1])
    assert np.isfinite(booted.t).all()


def test_intervals_by_profile_name_the_parameters():
    found = fit("y ~ x + cs(0 + f | g, hom = TRUE)").confint(oldNames=False)
    assert list(found.index) == ["sd_*|g", "cor_rho|g", "sigma", "(Intercept)", "x"]
    low, high = found.to_numpy().T
    assert np.all(low < high)
    assert -1 / 3 <= low[1] < high[1] <= 1


def test_deletion_takes_a_structured_term_whole():
    table = fit("y ~ x + cs(0 + f | g) + (1 | h)").ranova()
    assert list(table.frame.index if hasattr(table, "frame") else table.index)[1:] == [
        "cs(0 + f | g)",
        "(1 | h)",
    ]


def test_update_keeps_and_drops_structured_terms():
    m = fit("y ~ x + cs(0 + f | g) + (1 | h)")
    assert m.update(". ~ . - x").formula == "y ~ cs(0 + f | g) + (1 | h)"
    assert m.update(". ~ . - cs(0 + f | g)").formula == "y ~ x + (1 | h)"
    assert m.update(". ~ . + diag(0 + x | k)").formula.endswith("+ diag(0 + x | k)")


# -- the language


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("y ~ cs(x)", "stands around a random term, as in cs\\(x | g\\)"),
        ("y ~ x + cs(x || g)", "takes one bar"),
        ("y ~ x + cs(x | g, TRUE)", "takes a random term and hom ="),
        ("y ~ x + cs(x | g, hom = 1)", "hom is TRUE or FALSE"),
        ("y ~ x + ar1(x | g, het = TRUE)", "has no argument 'het'"),
        ("y ~ x + us(x | g, hom = TRUE)", "us\\(\\) has a variance for each column"),
        ("y ~ x * cs(x | g)", "can only be added"),
        ("y ~ x + toep(x | g)", "not one that a formula may use"),
    ],
)
def test_what_is_no_structured_term_is_refused_with_words(text, words):
    with pytest.raises(FormulaError, match=words):
        fit(text)


def test_groupings_crossed_in_a_term():
    star, written = fit("y ~ x + (1 | h * k)"), fit("y ~ x + (1 | h:k) + (1 | h) + (1 | k)")
    assert star.result.estimates.theta == pytest.approx(written.result.estimates.theta)
    assert star.formula == "y ~ x + (1 | h * k)"
    plus = fit("y ~ x + (1 | h + k)")
    assert list(plus.ngrps().index) == ["h", "k"]


# -- who can


def test_engines_that_cannot_say_who_can():
    with pytest.raises(UnsupportedModelError, match=r"engine='(native|lme4)' can fit it"):
        lb.lmer("y ~ x + cs(0 + f | g)", made(), engine="statsmodels")


def test_auto_goes_on_to_an_engine_that_can():
    m = lb.lmer("y ~ x + cs(0 + f | g)", made())
    assert m.engine in ("lme4", "native")
    if m.engine == "native":
        assert any("lme4" in s.engine for s in m.result.provenance.skipped)


@pytest.mark.r
@every_model
def test_lme4_itself(name):
    needs_lme4(2)
    m, native = fitted(name, "lme4"), fitted(name)
    assert m.result.criterion.value > native.result.criterion.value - 1e-6
    assert list(m.getME("par").index) == GOLDEN[name]["par_names"]
    if m.result.criterion.value < native.result.criterion.value + 1e-5:
        assert m.getME("par").to_numpy() == pytest.approx(native.getME("par").to_numpy(), abs=0.05)


@pytest.mark.r
def test_lme4_that_is_too_old_says_which_it_needs():
    if lme4_version() >= (2,):
        pytest.skip("this lme4 has them")
    with pytest.raises(UnsupportedModelError, match=r"needs lme4 2\.0"):
        lb.lmer("y ~ x + cs(0 + f | g)", made(), engine="lme4")


# -- what cannot be told apart


def one_row_a_cell():
    rng = np.random.default_rng(1)
    d = pd.DataFrame(list(itertools.product(range(20), "abcd")), columns=["g", "f"])
    return d.assign(y=rng.normal(size=80) + np.repeat(rng.normal(size=20), 4))


@pytest.mark.parametrize(
    ("term", "named"),
    [
        ("cs(0 + f | g, hom = TRUE)", "cs(0 + f | g, hom = TRUE) and the residual"),
        ("diag(0 + f | g)", "diag(0 + f | g) and the residual"),
        ("diag(0 + f | g, hom = TRUE)", "diag(0 + f | g, hom = TRUE) and the residual"),
        ("cs(0 + f | g) + diag(0 + f | g)", "cs(0 + f | g), diag(0 + f | g) and the residual"),
        ("ar1(0 + f | g)", None),
        ("ar1(0 + f | g, hom = FALSE)", None),
        ("cs(0 + f | g)", None),
    ],
)
def test_structures_that_cannot_be_told_from_the_residual_are_named(term, named):
    """One row for each cell: adding to the residual variance and taking from each variance leaves
    the covariance matrix of the rows what it was, unless the correlation changes with it.
    """
    m = lb.lmer(f"y ~ 1 + {term}", one_row_a_cell(), engine="native")
    said = [n for n in m.result.evidence.notes if "cannot be told apart" in n]
    assert [named in n for n in said] == ([] if named is None else [True])


def test_the_criterion_is_flat_along_what_cannot_be_told_apart():
    m = lb.lmer("y ~ 1 + cs(0 + f | g, hom = TRUE)", one_row_a_cell(), engine="native")
    deviation, correlation = m.getME("par")
    total = m.sigma() ** 2 * (1 + deviation**2)
    shared = m.sigma() ** 2 * deviation**2 * correlation
    devfun = m.getME("devfun")
    for sigma2 in (0.3 * (total - shared), 0.8 * (total - shared)):
        own = total - sigma2
        at = np.array([np.sqrt(own / sigma2), shared / own])
        assert devfun(at) == pytest.approx(m.REMLcrit(), abs=1e-6)


@pytest.mark.r
def test_where_lme4_fails_at_a_bound_it_is_said_who_can():
    needs_lme4(2)
    rng = np.random.default_rng(4)
    d = pd.DataFrame({"g": np.repeat(np.arange(30), 8), "f": np.tile(list("abcd"), 60)})
    for _ in range(20):
        d["y"] = rng.normal(size=len(d))
        native = lb.lmer("y ~ 1 + cs(0 + f | g, hom = TRUE)", d, engine="native")
        assert native.result.evidence.converged
        try:
            m = lb.lmer("y ~ 1 + cs(0 + f | g, hom = TRUE)", d, engine="lme4")
        except FitFailedError as error:
            said = str(error)
            break
        assert m.result.criterion.value > native.result.criterion.value - 1e-6
    else:
        pytest.skip("this lme4 does not fail here")
    assert "engine='native' fits such models" in said
