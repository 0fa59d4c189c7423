"""How prior weights and offsets count in marginal means, by the version of emmeans."""

import itertools

import numpy as np
import pandas as pd
import pytest

import live
import lmerbridge as lb

ABE = {"a": "pqr", "b": "uv", "e": "EF"}
OF_DATA = ["proportional", "outer", "cells", "flat"]
FORMULAS = [
    "y ~ a * b + (1 | g)",
    "y ~ a + b + x + (x | g)",
    "y ~ a * b + log(x) + (1 | g)",
    "y ~ a * b + poly(x, 2) + (1 | g)",
    "y ~ a + b * e + offset(x) + (1 | g)",
    "y ~ a * b + e + (0 + log(x) | g)",
    "y ~ (a + b + e)^2 - a:e + (1 | g)",
    "y ~ (a + b) * e + (1 | g)",
    "y ~ a %in% b + b + x + (1 | g)",
    "log(y + 20) ~ a * b * e + (1 | g)",
]


def data():
    rng = np.random.default_rng(41)
    n = 150
    d = pd.DataFrame(
        {name: pd.Categorical(rng.choice(list(levels), n)) for name, levels in ABE.items()}
    )
    d["x"] = rng.uniform(0.5, 3.0, n).round(3)
    d["v"] = rng.integers(1, 7, n).astype(float)
    d["g"] = pd.Categorical.from_codes(np.arange(n) % 10, [f"g{i}" for i in range(10)])
    y = d.a.cat.codes * (1.0 + d.b.cat.codes) + d.e.cat.codes + d.x
    d["y"] = (y + rng.normal(size=10)[np.arange(n) % 10] + rng.normal(size=n)).round(3)
    return d


@pytest.mark.parametrize("weights", OF_DATA)
@pytest.mark.parametrize("fixed", ["a * b", "a + b * e + x"])
def test_a_row_of_weight_three_counts_as_three_rows(weights, fixed):
    lb.options(dialect="newest")
    d = data()
    weighted = lb.lm(f"y ~ {fixed}", d, weights="v").emmeans("b", weights=weights)
    rows = d.loc[d.index.repeat(d["v"].astype(int))].reset_index(drop=True)
    at = {"x": float(d["x"].mean())} if "x" in fixed else None
    repeated = lb.lm(f"y ~ {fixed}", rows).emmeans("b", weights=weights, at=at)
    np.testing.assert_allclose(weighted.table["emmean"], repeated.table["emmean"], rtol=1e-10)


def test_before_1_8_6_weights_count_where_the_formula_calls_a_function():
    d = data()
    found = {}
    for dialect, formula in itertools.product(
        ["1.1-31", "newest"], ["y ~ a * b", "y ~ a * b + log(x)"]
    ):
        lb.options(dialect=dialect)
        m = lb.lm(formula, d, weights="v")
        found[dialect, formula] = m.emmeans("b", weights="cells").table["emmean"].to_numpy()
    assert np.all(found["1.1-31", "y ~ a * b"] != found["newest", "y ~ a * b"])
    np.testing.assert_array_equal(
        found["1.1-31", "y ~ a * b + log(x)"], found["newest", "y ~ a * b + log(x)"]
    )


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    options = 'lmer.df = "asymptotic", type = "link"'
    questions = {
        w: f'summary(emmeans::emmeans(m, "b", weights = "{w}", {options}))$emmean' for w in OF_DATA
    }
    cases = [
        live.case(formula, formula, data(), {**questions, "theta": "m@theta"}, weights="v")
        for formula in FORMULAS
    ]
    return cases, live.ask(cases, tmp_path_factory.mktemp("weights"))


@pytest.mark.r("emmeans", "jsonlite")
@pytest.mark.parametrize("formula", FORMULAS)
def test_means_are_those_of_the_emmeans_that_is_here(asked, formula):
    cases, answers = asked
    case = next(c for c in cases if c["name"] == formula)
    m = live.at_theta(live.fit(case), answers[formula]["theta"]["value"]["values"])
    for weights in OF_DATA:
        found = m.emmeans("b", weights=weights, ddf="asymptotic").table["emmean"]
        np.testing.assert_allclose(found, answers[formula][weights]["value"]["values"], rtol=1e-6)


OFFSETS = [
    ("y ~ a + offset(v) + (1 | g)", None),
    ("y ~ a + offset(log(v)) + (1 | g)", None),
    ("y ~ a + x + offset(log(v)) + (1 | g)", None),
    ("y ~ a + v + offset(log(v)) + (1 | g)", None),
    ("y ~ a * b + offset(v^2) + (1 | g)", None),
    ("y ~ a + offset(log(v) + x) + b + (1 | g)", None),
    ("y ~ a + b + (1 | g)", "v"),
    ("y ~ a + b + (1 | g)", "log(v)"),
]


@pytest.fixture(scope="module")
def with_offsets(tmp_path_factory):
    options = 'lmer.df = "asymptotic"'
    questions = {
        "a": f'summary(emmeans::emmeans(m, "a", {options}))$emmean',
        "theta": "m@theta",
    }
    cases = []
    for i, (formula, offset) in enumerate(OFFSETS):
        more = {} if offset is None else {"offset": offset}
        cases.append(live.case(str(i), formula, data(), questions, **more))
    return cases, live.ask(cases, tmp_path_factory.mktemp("offsets"))


@pytest.mark.r("emmeans", "jsonlite")
@pytest.mark.parametrize("i", range(len(OFFSETS)))
def test_offsets_count_as_in_the_emmeans_that_is_here(with_offsets, i):
    cases, answers = with_offsets
    m = live.at_theta(
        lb.lmer(
            OFFSETS[i][0],
            cases[i]["data"],
            offset=np.log(cases[i]["data"]["v"]) if OFFSETS[i][1] == "log(v)" else OFFSETS[i][1],
            engine="native",
        ),
        answers[str(i)]["theta"]["value"]["values"],
    )
    found = m.emmeans("a", ddf="asymptotic").table["emmean"]
    np.testing.assert_allclose(found, answers[str(i)]["a"]["value"]["values"], rtol=1e-6)


@pytest.mark.parametrize(
    ("offset", "function"), [("v", float), ("log(v)", np.log), ("v^2", np.square)]
)
def test_an_offset_of_a_predictor_is_what_it_is_at_its_value(offset, function):
    lb.options(dialect="newest")
    m = lb.lm(f"y ~ a * b + offset({offset})", data())
    whole, there = m.emmeans("a"), m.emmeans("a", at={"v": 2.0})
    moved = there.table["emmean"] - whole.table["emmean"]
    np.testing.assert_allclose(moved, function(2.0) - function(data()["v"].mean()), rtol=1e-9)
    lb.options(dialect="1.1-31")
    mean = m.emmeans("a").table["emmean"] - whole.table["emmean"]
    expected = np.mean([function(v) for v in data()["v"]]) - function(data()["v"].mean())
    np.testing.assert_allclose(mean, expected, atol=1e-9)
