import json
import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import lmerbridge as lb
from lmerbridge.design.columns import Numeric
from lmerbridge.design.contrasts import Contrast, contrast_matrix
from lmerbridge.design.evaluate import Evaluator
from lmerbridge.design.functions import FUNCTIONS
from lmerbridge.design.matrix import model_matrix
from lmerbridge.design.table import Table
from lmerbridge.design.values import is_integer
from lmerbridge.errors import DataError, FormulaError
from lmerbridge.formula.functions import SIGNATURES
from lmerbridge.formula.parser import parse_expression
from lmerbridge.formula.syntax import Unary, deparse
from lmerbridge.formula.terms import expand_terms
from lmerbridge.inference.containment import _makes_matrix
from lmerbridge.likelihood import cross_products, evaluate

STORED = Path(__file__).parent / "stored"
RECORDS = json.loads((STORED / "model_matrices.json").read_text("utf-8"))


def design_data():
    d = pd.read_csv(STORED / "design_data.csv")
    for name in "ab":
        d[name] = d[name].astype("category")
    d["o"] = pd.Categorical(d["o"].astype(str), ordered=True)
    return d


def built(text, d):
    node = parse_expression(text)
    assert isinstance(node, Unary)
    terms = expand_terms(node.operand, text)
    evaluator = Evaluator(Table(d).column, len(d), d.columns)
    variables = {deparse(v): evaluator.column(v) for v in terms.variables}
    return model_matrix(terms, variables, len(d))


def test_there_are_enough_formulas():
    assert len(RECORDS) >= 60


@pytest.mark.parametrize("record", RECORDS, ids=[r["formula"] for r in RECORDS])
def test_columns_are_r_s(record):
    matrix = built(record["formula"], design_data())
    assert list(matrix.names) == record["names"]
    expected = np.array(record["values"], dtype=float).reshape(-1, record["rows"]).T
    np.testing.assert_allclose(
        matrix.values,
        expected,
        rtol=0,
        atol=1e-12 * max(1.0, float(np.abs(expected).max(initial=0.0))),
    )


def assert_columns_are_those_of_live_r(text, d):
    from lmerbridge.engines.lme4 import _column_to_r
    from lmerbridge.rlang import r_session

    table = Table(d)
    columns = {name: _column_to_r(table.column(name), False) for name in table.columns}
    reply = r_session().call("design_matrix", {"formula": text, "columns": columns, "rows": len(d)})
    assert reply.failure is None, reply.failure
    names = reply.value["names"]
    matrix = built(text, d)
    assert list(matrix.names) == ([names] if isinstance(names, str) else list(names)), text
    expected = np.asarray(reply.value["values"]).reshape(len(d), -1)
    np.testing.assert_allclose(
        matrix.values,
        expected,
        rtol=0,
        atol=1e-11 * max(1.0, float(np.abs(expected).max(initial=0.0))),
        err_msg=text,
    )


@pytest.mark.r
@pytest.mark.parametrize("text", [r["formula"] for r in RECORDS])
def test_columns_are_those_of_live_r(text):
    assert_columns_are_those_of_live_r(text, design_data())


def random_formulas(seed, count):
    """Terms of one to three variables, often without their margins, by every operator."""
    rng = random.Random(seed)
    names = ["a", "b", "x", "z", "l", "o", "s", "k", "poly(x, 2)", "factor(k)", "`odd name`"]
    for _ in range(count):
        terms = []
        for _ in range(rng.randint(1, 5)):
            some = rng.sample(names, rng.choice([1, 2, 2, 2, 3]))
            joined = rng.choice([":", ":", ":", "*", "/", " %in% "]).join(some)
            terms.append(joined if rng.random() < 0.9 else f"({' + '.join(some)})^2")
        right = " + ".join(terms)
        if rng.random() < 0.25:
            right += " - " + ":".join(rng.sample(names, rng.randint(1, 2)))
        yield rng.choice(["~ ", "~ ", "~ ", "~ 0 + "]) + right


@pytest.mark.r
@pytest.mark.parametrize("seed", range(4))
def test_columns_of_random_formulas_are_those_of_live_r(seed):
    d = design_data()
    for text in random_formulas(seed, 40):
        assert_columns_are_those_of_live_r(text, d)


@pytest.mark.r
@pytest.mark.filterwarnings("ignore::lmerbridge.errors.FitWarning")
@pytest.mark.parametrize(
    "formula",
    [
        "y ~ f:x + b:x + (1 | g)",
        "y ~ b + b:x + f:x + (1 | g)",
        "y ~ f:x + f:b + (1 | g)",
        "y ~ f * b * x - x + (1 | g)",
        "y ~ x + (0 + f:x + b:x | g)",
        "y ~ x + (0 + f:x + f:b | h)",
    ],
)
def test_terms_without_margins_are_the_same_model_in_r(simulated, formula):
    m = lb.lmer(formula, simulated, engine="lme4")  # refuses another model than the frame's
    at_their_theta = evaluate(cross_products(m.frame), m.result.estimates.theta, True)
    assert at_their_theta.criterion == pytest.approx(m.REMLcrit(), abs=1e-7)


@pytest.mark.r
@pytest.mark.filterwarnings("ignore::lmerbridge.errors.FitWarning")
@pytest.mark.parametrize("terms", ["(f || g)", "(f * x || g)", "(b + x || h)", "(x + f - 1 || h)"])
def test_a_double_bar_keeps_a_factor_whole(simulated, terms):
    """As in lme4 1.1: dummy() parts a factor's levels."""
    control = lb.lmerControl(check_nobs_vs_nRE="ignore")
    m = lb.lmer(f"y ~ x + {terms}", simulated, engine="lme4", control=control)
    at_their_theta = evaluate(cross_products(m.frame), m.result.estimates.theta, True)
    assert at_their_theta.criterion == pytest.approx(m.REMLcrit(), abs=1e-6)


def test_every_function_of_the_language_is_implemented():
    assert set(FUNCTIONS) == set(SIGNATURES)


@pytest.mark.parametrize(
    "name", ["contr.treatment", "contr.sum", "contr.helmert", "contr.poly", "contr.SAS"]
)
@pytest.mark.parametrize("count", [2, 3, 5])
def test_contrasts_span_what_indicators_span(name, count):
    matrix, names = contrast_matrix(Contrast(name), tuple("abcde"[:count]))
    assert matrix.shape == (count, count - 1)
    assert len(names) == count - 1
    assert np.linalg.matrix_rank(np.column_stack([np.ones(count), matrix])) == count


def test_polynomial_contrasts_are_orthonormal():
    matrix, names = contrast_matrix(Contrast("contr.poly"), tuple("abcde"))
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(4), atol=1e-12)
    assert names == (".L", ".Q", ".C", "^4")


def test_one_level_has_no_contrasts():
    with pytest.raises(DataError, match="2 or more levels"):
        contrast_matrix(Contrast(), ("a",))


def test_learned_bases_are_obeyed_on_new_data():
    d = design_data()
    memory = {}
    node = parse_expression("poly(x, 2)")
    whole = Evaluator(Table(d).column, len(d), d.columns, memory).column(node)
    part = Evaluator(Table(d[:5]).column, 5, d.columns, memory).column(node)
    np.testing.assert_allclose(part.values, whole.values[:5])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("~ a + 1 > 2", "not meaningful for factors"),
        ("~ sqrt(a)", "not meaningful"),
        ("~ poly(x, 30)", "degree"),
        ("~ cut(x, 1)", "number of intervals"),
        ("~ relevel(b, ref = 'zz')", "not a level"),
        ("~ C(b, nonsense)", "unknown contrasts"),
        ("~ factor(b, labels = c('P', 'Q'))", "2 labels for 3 levels"),
        ("~ I('a')", "string"),
        ("~ c(1, 2)", "lengths differ"),
        ("~ bs(x, df = 1)", "too small"),
        ("~ ns(I(0 * x), 2)", "values that differ"),
        ("~ poly(1 / (x - 1), 2)", "infinite values are not allowed"),
    ],
)
def test_what_cannot_be_evaluated_says_so(text, words):
    with pytest.raises(ValueError, match=words):
        built(text, design_data())


# sprintf("%.15g", asin(x)) and so on in R 4.2.2; R 4.6.2 prints the same but for the 15th digit
ELEMENTARY = {
    "asin(x)": [-1.11976951499863, -0.252680255142079, 0, 0.523598775598299, 1.5707963267949],
    "acos(x)": [2.69056584179353, 1.82347658193698, 1.5707963267949, 1.0471975511966, 0],
    "sinh(x)": [-1.02651672570818, -0.252612316808168, 0, 0.521095305493747, 1.1752011936438],
    "cosh(x)": [
        *(1.43308638544877, 1.03141309987957, 1, 1.12762596520638, 1.54308063481524),
    ],
    "asinh(x)": [
        *(-0.808866935652782, -0.247466461547263, 0, 0.481211825059603, 0.881373587019543),
    ],
    "atanh(x - 0.5 * (x == 1))": [
        *(-1.47221948958322, -0.255412811882995, 0, 0.549306144334055, 0.549306144334055),
    ],
    "sinpi(x)": [-0.309016994374948, -0.707106781186547, 0, 1, 0],
    "cospi(x)": [-0.951056516295154, 0.707106781186548, 1, 0, -1],
    "tanpi(x)": [0.324919696232906, -1, 0, np.nan, 0],
    "atan2(x, z)": [
        *(-2.79603707300808, -2.99969559898563, 0, 0.165148677414627, 2.76108627647743),
    ],
    "atan2(1, x)": [
        *(2.3036114285814, 1.81577498992176, 1.5707963267949, 1.10714871779409, 0.785398163397448),
    ],
    "acosh(v)": [0.962423650119207, 1.31695789692482, 3.01803681167283, 0.962423650119207, 0],
    "logb(w, 2)": [3.0] * 5,
    "logb(w)": [2.07944154167984] * 5,
    "logb(w, base = 3)": [1.89278926071437] * 5,
    "signif(u, 2)": [120.0, 0.0012, 15, 25, 0.15],
    "signif(u, 1)": [100.0, 0.001, 20, 20, 0.2],
    "signif(u)": [123.456, 0.00123457, 15, 25, 0.15],
    "signif(u, 0)": [100.0, 0.001, 20, 20, 0.2],
    "signif(u, 2.5)": [123.0, 0.00123, 15, 25, 0.15],
}


@pytest.mark.parametrize("call", ELEMENTARY)
def test_elementary_functions_are_r_s(call):
    d = pd.DataFrame(
        {
            "x": [-0.9, -0.25, 0, 0.5, 1],
            "z": [-2.5, -1.75, 0.25, 3, -2.5],
            "v": [1.5, 2, 10.25, 1.5, 1],
            "w": [8.0] * 5,
            "u": [123.456, 0.00123456789, 15, 25, 0.15],
        }
    )
    evaluator = Evaluator(lambda name: Numeric(d[name].to_numpy()), len(d), d.columns)
    found = evaluator.column(parse_expression(call))
    np.testing.assert_allclose(found.values, ELEMENTARY[call], rtol=1e-13, atol=1e-300)
    # whole numbers are numbers like others
    assert not is_integer(found)


def test_elementary_functions_are_terms():
    """Of a matrix they are a matrix, so that types II and III count it with the factors."""
    d = pd.DataFrame({"g": list("abcdef") * 5, "x": np.arange(30) % 7 / 10.0})
    d["y"] = np.sin(np.arange(30.0))
    m = lb.lmer("y ~ asinh(x) + acosh(x + 1) + atan2(x, 2) + (1 | g)", d, engine="native")
    assert list(m.fixef().index[1:]) == ["asinh(x)", "acosh(x + 1)", "atan2(x, 2)"]
    np.testing.assert_allclose(m.predict(d), m.fitted(), rtol=1e-9)
    assert _makes_matrix(parse_expression("asin(scale(x) / 9)"))
    assert _makes_matrix(parse_expression("atan2(1, poly(x, 2))"))
    assert not _makes_matrix(parse_expression("asin(x)"))
    with pytest.raises(FormulaError, match="did you mean 'asin'"):
        lb.lmer("y ~ arcsin(x) + (1 | g)", d, engine="native")
