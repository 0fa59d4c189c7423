"""Nothing leaks in: names, levels, formulas, values and file names are data, for every engine."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hostile
import lmerbridge as lb
from lmerbridge.engines.r_names import aliases, with_names
from lmerbridge.errors import DataError, FormulaError

pytestmark = pytest.mark.filterwarnings("ignore::lmerbridge.errors.FitWarning")
ENGINES = ["native", "statsmodels", pytest.param("lme4", marks=pytest.mark.r)]
SEEDS = st.integers(0, 2**32)


@pytest.fixture(autouse=True, scope="module")
def _somewhere(tmp_path_factory):
    """Where code in a text would leave its mark."""
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("hostile"))
    yield
    hostile.no_code_ran()
    os.chdir(before)


@pytest.mark.parametrize("kind", list(hostile.KINDS))
class TestAnything:
    @given(seed=SEEDS)
    @settings(max_examples=60, deadline=None)
    def test_without_r(self, kind, seed):
        assert hostile.attempt(kind, seed, ("native", "statsmodels")) in ("fitted", "refused")

    @pytest.mark.r
    @given(seed=SEEDS)
    @settings(max_examples=60, deadline=None)
    def test_with_r(self, kind, seed):
        assert hostile.attempt(kind, seed, ("native", "lme4")) in ("fitted", "refused")


CODE = f'file.create("{hostile.CANARY}")'
FUNCTIONS = {
    "system": f'system("touch {hostile.CANARY}")',
    "file.create": CODE,
    "base::file.create": f"base::{CODE}",
    "eval": f"eval(parse(text = '{CODE}'))",
    "get": 'get("file.create")("x")',
    "do.call": 'do.call("file.create", list("x"))',
    "source": 'source("x.R")',
    "assign": 'assign("x", 1)',
    "function": f"(function() {CODE})()",
    "Sys.setenv": "Sys.setenv(A = 1)",
    "__import__": "__import__('os')",
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", list(FUNCTIONS))
@pytest.mark.parametrize("where", ["y ~ {} + (1 | g)", "{} ~ x + (1 | g)", "y ~ x + ({} | g)"])
def test_a_function_that_is_not_allowed_is_refused_by_name(engine, name, where, simulated):
    with pytest.raises(FormulaError) as raised:
        lb.lmer(where.format(FUNCTIONS[name]), simulated, engine=engine)
    if name not in ("get", "function"):  # these do not even parse
        assert name in str(raised.value)
    hostile.no_code_ran()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("argument", ["weights", "offset", "subset"])
def test_other_expressions_have_the_same_list(engine, argument, simulated):
    with pytest.raises((FormulaError, DataError), match="system"):
        lb.lmer("y ~ x + (1 | g)", simulated, engine=engine, **{argument: FUNCTIONS["system"]})
    hostile.no_code_ran()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("contrast", ["system", "file.create", CODE, "contr.sum; quit()"])
def test_contrasts_are_those_that_are_known(engine, contrast, simulated):
    with pytest.raises(DataError):
        lb.lmer("y ~ f + (1 | g)", simulated, engine=engine, contrasts={"f": contrast})
    hostile.no_code_ran()


@pytest.mark.parametrize("engine", ENGINES)
def test_levels_that_differ_in_their_normal_form_only_stay_apart(engine, simulated):
    levels = ["\u00e9", "e\u0301", "\u212b", "\u00c5", "A\u030a", "\ufb01", "fi", "\u0131"]
    d = simulated.assign(h=pd.Categorical.from_codes(simulated.h, levels))
    m = lb.lmer("y ~ x + (1 | h)", d, engine=engine)
    assert m.ranef().grp.tolist() == levels
    plain = lb.lmer("y ~ x + (1 | h)", simulated, engine=engine)
    np.testing.assert_allclose(m.ranef().condval, plain.ranef().condval, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("engine", ["native", "statsmodels"])
def test_nul_is_a_character_like_others_without_r(engine, simulated):
    d = simulated.assign(g=[f"g\0{v}" for v in simulated.g]).rename(columns={"x": "x\0x"})
    m = lb.lmer("y ~ `x\0x` + (1 | g)", d, engine=engine)
    assert set(m.ranef().grp) == set(d.g)


@pytest.mark.r
def test_nul_does_not_reach_r(simulated):
    d = simulated.assign(g=[f"g\0{v}" for v in simulated.g])
    with pytest.raises(lb.UnsupportedModelError, match=r"NUL character; engine='native' can"):
        lb.lmer("y ~ x + (1 | g)", d, engine="lme4")


class TestNames:
    @pytest.mark.parametrize("name", ["x", "odd name", "Größe", "a.b_c", "if", "TRUE", "\u03c31"])
    def test_most_go_as_they_are(self, name):
        assert aliases([name]) == {}

    @pytest.mark.parametrize(
        "name",
        [
            "a`b",
            "a\\b",
            "a\nb",
            "a|b",
            "...",
            "..1",
            ".data",
            "(weights)",
            "🙂",
            "e\u0301",
            ":",
            "-",
        ],
    )
    def test_others_go_under_another_name(self, name):
        assert aliases(["x", name]) == {name: "lmerbridge_1"}

    def test_no_name_of_the_user_s_is_taken(self):
        assert aliases(["lmerbridge_1", "a`b"]) == {"a`b": "lmerbridge__1"}

    def test_what_r_says_has_the_user_s_names(self):
        found = aliases([f"{i}`" for i in range(12)])
        assert with_names("no lmerbridge_12, no lmerbridge_1", found) == "no 11`, no 0`"


@pytest.mark.parametrize(
    "name", ["a'b\"c", "$(touch canary-of-lmerbridge)", "; quit()", "é🙂", "a b\tc", "-x", "%s{0}"]
)
def test_a_file_name_is_a_name(name, simulated, run):
    path = Path.cwd() / f"{name}.csv"
    simulated.to_csv(path, index=False)
    status, out, err = run("fit", "y ~ x + (1 | g)", str(path), "--engine", "native")
    assert (status, err) == (0, "")
    assert "Number of obs: 160, groups:  g, 20" in out
    hostile.no_code_ran()
