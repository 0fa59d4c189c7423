"""What is remembered between fits is of the formula's text alone: never of the data, never of what
else was asked.
"""

import copy
import pickle
import threading

import numpy as np
import pandas as pd
import pytest

import lmerbridge as lb
from lmerbridge.design import build_frame
from lmerbridge.design.columns import Factor, Numeric
from lmerbridge.design.read_columns import from_array, from_pandas
from lmerbridge.errors import DataError, FormulaError
from lmerbridge.formula import model_formula, parse_formula

TEXT = "y ~ x + f + (x | g)"


def table(seed):
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(10), 8)
    x = rng.normal(size=80)
    return pd.DataFrame(
        {
            "y": x + rng.normal(size=10)[g] + rng.normal(size=10)[g] * x + rng.normal(size=80) / 2,
            "x": x,
            "f": pd.Categorical(rng.choice(list("abc"), 80)),
            "g": g,
        }
    )


def test_one_text_is_parsed_once_and_another_is_another():
    assert parse_formula(TEXT) is parse_formula(TEXT)
    assert parse_formula(TEXT) != parse_formula("y ~ x + f + (1 | g)")
    assert parse_formula("y ~ x", mixed=False).random == ()
    for _ in range(2):  # a refusal is no answer to remember
        with pytest.raises(FormulaError):
            parse_formula("y ~ x")
        with pytest.raises(FormulaError):
            parse_formula(TEXT, mixed=False)


def test_what_a_formula_gives_out_is_the_callers_own():
    formula = parse_formula(TEXT)
    formula.variable_names().clear()
    formula.lines.clear()
    assert list(formula.variable_names()) == ["y", "x", "f", "g"]
    assert formula.lines == [TEXT]


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda f: pickle.loads(pickle.dumps(f))]
)
def test_a_used_formula_is_equal_to_a_new_one(copied):
    used = parse_formula(TEXT)
    _ = used.response_label, used.lines, used.terms(), used.columns_named
    again = copied(used)
    assert again == used
    assert hash(again) == hash(used)
    assert str(again) == str(used) == TEXT


def test_a_dot_stands_for_the_columns_of_each_data():
    data = table(1)
    one = build_frame("y ~ . + (1 | g)", data[["y", "x", "g"]])
    two = build_frame("y ~ . + (1 | g)", data[["y", "f", "g"]])
    assert one.x_names == ("(Intercept)", "x", "g")
    assert two.x_names == ("(Intercept)", "fb", "fc", "g")


def test_the_same_text_on_other_data_is_another_model():
    one, two = (build_frame(TEXT, table(seed)) for seed in (1, 2))
    np.testing.assert_array_equal(one.y, table(1)["y"])
    np.testing.assert_array_equal(two.y, table(2)["y"])
    renamed = table(1).assign(f=table(1)["f"].cat.rename_categories(list("pqr")))
    assert build_frame(TEXT, renamed).x_names == ("(Intercept)", "x", "fq", "fr")
    numeric = table(1).assign(f=np.arange(80.0) ** 0.5)
    assert build_frame(TEXT, numeric).x_names == ("(Intercept)", "x", "f")


def test_the_same_text_with_other_contrasts_is_coded_anew():
    data = table(1)
    plain = build_frame(TEXT, data)
    sums = build_frame(TEXT, data, contrasts={"f": "contr.sum"})
    again = build_frame(TEXT, data)
    assert sums.x_names == ("(Intercept)", "x", "f1", "f2")
    assert again.x_names == plain.x_names == ("(Intercept)", "x", "fb", "fc")
    np.testing.assert_array_equal(again.X, plain.X)


def test_a_column_that_is_gone_is_missed():
    build_frame(TEXT, table(1))
    with pytest.raises(DataError, match="no column 'x'"):
        build_frame(TEXT, table(1).drop(columns="x"))


@pytest.mark.parametrize("rows", [80, 40_000])
def test_a_changed_table_is_seen_and_changes_no_fit(rows):
    data = pd.concat([table(s) for s in range(rows // 80)], ignore_index=True)
    first = build_frame(TEXT, data)
    y, x, mark = first.y.copy(), first.X.copy(), first.fingerprint
    data.loc[0, "y"] = 100.0
    data.loc[1, "x"] = -7.0
    data.iloc[2, data.columns.get_loc("g")] = 9
    second = build_frame(TEXT, data)
    assert second.y[0] == 100.0
    assert second.X[1, 1] == -7.0
    assert second.random[0].codes[2] == 9
    np.testing.assert_array_equal(first.y, y)
    np.testing.assert_array_equal(first.X, x)
    assert build_frame(TEXT, data).fingerprint != mark


def test_the_fingerprint_is_of_the_data_fitted_whenever_it_is_asked():
    data = table(3)
    expected = build_frame(TEXT, data).fingerprint
    m, other = (lb.lmer(TEXT, data, engine="native") for _ in range(2))
    data["y"] = 0.0
    data.loc[:, "x"] = 1.0
    assert m.result.data.fingerprint == expected
    assert pickle.loads(pickle.dumps(other.result)).data.fingerprint == expected
    assert other.result.data == m.result.data


def test_a_pickled_result_takes_no_frame_along():
    data = pd.concat([table(s) for s in range(200)], ignore_index=True)
    result = lb.lmer(TEXT, data, engine="native").result
    rows = len(data)
    assert len(pickle.dumps(result.data)) < rows  # which a frame's numbers alone are 8 times


def test_columns_read_directly_are_those_of_a_series():
    data = table(4).assign(
        missing=[np.nan, *range(79)],
        ordered=pd.Categorical(["lo", "hi"] * 40, ["lo", "hi"], ordered=True),
        numbers=pd.Categorical([3, 1] * 40),
    )
    data.loc[5, "f"] = None
    for name in data:
        direct = from_array(data[name].array, name) or from_array(data[name].to_numpy(), name)
        assert isinstance(direct, (Numeric, Factor))
        assert direct == from_pandas(data[name], name)
    assert from_array(np.array(["a", "b"], dtype=object), "text") is None


def test_threads_that_fit_the_same_texts_at_once_get_what_one_gets():
    formulas = [TEXT, "y ~ x + (1 | g)", "y ~ f + (x || g)", "y ~ poly(x, 2) + (1 | g)"]
    data = [table(seed) for seed in range(4)]
    expected = {
        (f, s): lb.lmer(f, data[s], engine="native").result.estimates.theta
        for f in formulas
        for s in range(4)
    }
    model_formula._parsed.cache_clear()
    wrong = []

    def work(seed):
        for formula in formulas * 3:
            theta = lb.lmer(formula, data[seed], engine="native").result.estimates.theta
            if not np.array_equal(theta, expected[formula, seed]):
                wrong.append((formula, seed))

    threads = [threading.Thread(target=work, args=(s,)) for s in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_remembering_is_bounded():
    for i in range(300):
        parse_formula(f"y ~ x{i} + (1 | g)")
    info = model_formula._parsed.cache_info()
    assert info.maxsize is not None
    assert info.currsize <= info.maxsize
