"""The hypotheses of types I, II, III and "marginal": the matrices that lmerTest's show_tests()
shows, to the row.
"""

import numpy as np
import pandas as pd
import pytest

import live
import lmerbridge as lb
import random_models
from lmerbridge.errors import DataError
from lmerbridge.inference.hypotheses import term_hypotheses, type_name

pytestmark = pytest.mark.filterwarnings(
    "ignore::lmerbridge.errors.FitWarning", "ignore::lmerbridge.errors.FitMessage"
)


def data(seed=3, n=90):
    rng = np.random.default_rng(seed)
    d = pd.DataFrame({"x": rng.normal(size=n), "g": np.arange(n) % 9})
    d["a"] = pd.Categorical(rng.choice(list("pqr"), n), list("pqr"))
    d["b"] = pd.Categorical(rng.choice(list("uv"), n), list("uv"))
    d["y"] = rng.normal(size=n) + rng.normal(size=9)[d["g"]]
    return d


def hypotheses(formula, type, d=None, **arguments):
    m = lb.lmer(formula, data() if d is None else d, engine="native", **arguments)
    return term_hypotheses(m.frame, type).matrices


def shown(matrix, *rows):
    np.testing.assert_allclose(matrix, np.array(rows), atol=1e-12)


# What R 4.2.2 with lmerTest 3.1-3 shows for data of these levels, whatever the numbers of rows.


def test_a_term_without_its_margin_is_not_averaged_over():
    L = hypotheses("y ~ a + x + a:x + b:x + (1 | g)", 3)
    shown(L["x"], [0, 0, 0, 1, 1 / 3, 1 / 3, 0])
    shown(L["x:b"], [0, 0, 0, 0, 0, 0, 1])


def test_without_intercept_all_levels_of_the_first_factor_are_tested():
    L = hypotheses("y ~ 0 + a * b + (1 | g)", 3)
    shown(
        L["a"],
        [1, 0, 0, 0, -1 / 6, -1 / 6],
        [0, 1, 0, 0, 1 / 3, -1 / 6],
        [0, 0, 1, 0, -1 / 6, 1 / 3],
    )
    shown(L["b"], [0, 0, 0, 1, 1 / 3, 1 / 3])


def test_rows_of_type_3_are_those_of_treatment_coding():
    L = hypotheses("y ~ a * b + x + (1 | g)", 3, contrasts={"a": "contr.sum", "b": "contr.helmert"})
    shown(L["a"], [0, -1, 1, 0, 0, 0, 0], [0, -2, -1, 0, 0, 0, 0])
    shown(L["b"], [0, 0, 0, 2, 0, 0, 0])
    shown(L["a:b"], [0, 0, 0, 0, 0, -2, 2], [0, 0, 0, 0, 0, -4, -2])


@pytest.mark.parametrize("matrix", ["poly(x, 2)", "poly(x, 1)", "scale(x)", "I(2 * scale(x))"])
def test_a_matrix_counts_as_a_factor(matrix):
    """So that a term beside it is tested before their interaction is in the model."""
    L = hypotheses(f"y ~ {matrix} * a + (1 | g)", 2)
    first = hypotheses(f"y ~ {matrix} * a + (1 | g)", 1)
    np.testing.assert_allclose(L["a"], first["a"], atol=1e-12)
    plain = hypotheses("y ~ x * a + (1 | g)", 2)
    shown(plain["a"], [0, 0, 1, 0, 0, 0], [0, 0, 0, 1, 0, 0])


def test_nested_terms_contain_nothing():
    L = hypotheses("y ~ a/b + (1 | g)", 2)
    shown(L["a"], *np.eye(6)[1:3])
    L = hypotheses("y ~ 0 + a + a:b + (1 | g)", 3, contrasts={"b": "contr.sum"})
    shown(L["a"], [1, 0, 0, 1, 0, 0], [0, 1, 0, 0, 1, 0], [0, 0, 1, 0, 0, 1])


def test_of_an_aliased_term_nothing_is_tested():
    d = data()
    m = lb.lmer("y ~ x + I(2 * x) + a + (1 | g)", d, engine="native")
    for kind in (1, 2, 3, "marginal"):
        assert term_hypotheses(m.frame, kind).matrices["I(2 * x)"].shape == (0, 4)
        table = m.anova(type=kind)
        assert list(table.index) == ["x", "a", "I(2 * x)"]
        assert table.loc["I(2 * x)"].isna().all()
        assert table.loc["x"].notna().all()


def test_space_does_not_depend_on_the_coding():
    """The same F, whatever the contrasts; the degrees of freedom too, for type III alone."""
    d = data()
    tables = {}
    for coding in ("contr.treatment", "contr.sum", "contr.helmert", "contr.SAS", "contr.poly"):
        m = lb.lmer(
            "y ~ a * b * x + (1 | g)", d, engine="native", contrasts={"a": coding, "b": coding}
        )
        tables[coding] = [m.anova(type=kind) for kind in (1, 2, 3)]
    first = tables.pop("contr.treatment")
    for found in tables.values():
        for one, two in zip(first, found, strict=True):
            np.testing.assert_allclose(one["F value"], two["F value"], rtol=1e-5)
        np.testing.assert_allclose(first[2]["DenDF"], found[2]["DenDF"], rtol=1e-5)


@pytest.mark.parametrize("size", [1e-6, 1e6])
@pytest.mark.parametrize("type", [1, 2, 3])
def test_units_of_covariates_do_not_matter(size, type):
    d = data()
    formula = "y ~ poly(x, 2, raw = TRUE) * a + b:x + (1 | g)"
    control = lb.lmerControl(check_scaleX="ignore")
    one = hypotheses(formula, type)
    two = hypotheses(formula, type, d.assign(x=d["x"] * size), control=control)
    units = size ** np.array([0, 1, 2, 0, 0, 1, 2, 1, 2, 1.0])
    for label, L in one.items():
        other = two[label] / units
        other /= np.abs(other).max(axis=1, keepdims=True)
        np.testing.assert_allclose(
            other, L / np.abs(L).max(axis=1, keepdims=True), rtol=1e-6, atol=1e-9
        )


@pytest.mark.parametrize(
    ("type", "name"),
    [(1, "I"), (2, "II"), (3.0, "III"), ("1", "I"), ("I", "I"), ("II", "II"), ("III", "III")],
)
def test_spellings_of_types(type, name):
    assert type_name(type) == name


@pytest.mark.parametrize(
    ("type", "name"),
    [("marginal", "marginal"), ("m", "marginal"), ("marg", "marginal"), (np.int64(2), "II")],
)
def test_further_spellings_of_types(type, name):
    assert type_name(type) == name


@pytest.mark.parametrize(
    "type", ["i", "iii", "Iii", "type3", "", "yates", "2b", "MARGINAL", 0, 4, 2.5, True, None]
)
def test_other_spellings_are_refused(type):
    with pytest.raises(DataError, match="type must be one of III, II, I, 3, 2, 1, marginal"):
        type_name(type)


def test_missing_cells_are_named():
    d = data()
    d = d[~((d["a"] == "q") & (d["b"] == "v"))]
    m = lb.lmer("y ~ a * b + a:b:x + (1 | g)", d, engine="native")
    assert term_hypotheses(m.frame, 3).missing_cells == ("aq:bv", "aq:bv:x")
    with pytest.warns(lb.FitMessage) as said:
        m.anova()
    assert [str(w.message) for w in said] == [
        "Missing cells for: aq:bv, aq:bv:x.  \nInterpret type III hypotheses with care."
    ]
    for kind in (1, 2, "marginal"):
        assert term_hypotheses(m.frame, kind).missing_cells == ()


# -- random models, live

TYPES = ("1", "2", "3", "marginal")


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    rng = np.random.default_rng(20260)
    questions = {
        "theta": 'lme4::getME(m, "theta")',
        "beta": "lme4::fixef(m)",
        **{t: f'anova(m, type = "{t}")' for t in TYPES},
    }
    cases = []
    while len(cases) < 30:
        d, factors, contrasts = random_models.design(rng, empty=len(cases) % 2 == 1)
        text = random_models.formula(rng, factors)
        new = live.case(f"m{len(cases)}", text, d, questions, contrasts)
        new["model"] = live.fit(new)
        if len(new["model"].fixef()) <= 25:
            cases.append(new)
    return cases, live.ask(cases, tmp_path_factory.mktemp("hypotheses"))


@pytest.mark.r
@pytest.mark.parametrize("type", TYPES)
def test_random_models(asked, type):
    """Every row of every matrix, what R says of missing cells, and the tables."""
    cases, answers = asked
    compared = 0
    for case in cases:
        m, found = case["model"], answers[case["name"]]
        where = f"{case['formula']} {case['contrasts']}"
        assert "failure" not in found["fit"], where
        assert list(m.fixef().index) == found["beta"]["value"]["names"], where
        if "failure" in found[type]:  # where a term has no column of its own left
            assert m.frame.design.x_dropped, where
            continue
        ours = term_hypotheses(m.frame, type)
        theirs = found[type]["hypotheses"] or {}
        assert list(ours.matrices) == list(theirs), where
        for label, L in ours.matrices.items():
            R = live.matrix(theirs[label])
            assert L.shape == R.shape, where
            if len(L):
                assert list(ours.rows[label]) == theirs[label]["rows"], where
            np.testing.assert_allclose(
                L, R, atol=1e-5 * np.abs(R).max(initial=1.0), err_msg=f"{where}: {label}"
            )
            compared += len(L)
        said = [s for s in found[type]["said"] if s.startswith("Missing")]
        missing = ", ".join(ours.missing_cells)
        assert said == (
            [f"Missing cells for: {missing}.  \nInterpret type III hypotheses with care.\n"]
            if missing
            else []
        )
    assert compared > 200
