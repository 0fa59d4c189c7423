"""Models side by side: the cells are R's numbers, and every form holds the same ones."""

import json
import re
import subprocess
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import lmerbridge as lb
from lmerbridge.errors import ArgumentError
from lmerbridge.rlang import find_r

CBPP = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
R_CBPP = """
suppressMessages(library(lme4))
m <- glmer(cbind(incidence, size - incidence) ~ period + (1 | herd), cbpp, binomial)
ratio <- exp(fixef(m))
cat(jsonlite::toJSON(list(
  estimate = ratio, error = ratio * sqrt(diag(as.matrix(vcov(m)))),
  limits = exp(confint(m, parm = "beta_", method = "Wald")), sd = sqrt(VarCorr(m)$herd[1]),
  rmse = sqrt(mean(residuals(m, "response")^2)), deviance = deviance(m), AIC = AIC(m),
  p = coef(summary(m))[, 4]), digits = I(15)))
"""
SLEEP = lb.datasets.load("sleepstudy")


@pytest.fixture(scope="module")
def models():
    return {
        "plain": lb.lm("Reaction ~ Days", SLEEP),
        "mixed": lb.lmer("Reaction ~ Days + (Days | Subject)", SLEEP, engine="native"),
    }


def test_cells_are_what_r_prints(models):
    """summary() of lm and lme4 1.1-31, lmerTest's p-values, performance's R2."""
    t = lb.table(models, stars=True)
    cells = t.frame
    assert cells.loc["Days"].tolist() == ["10.467***", "10.467***"]
    below = [row for label, row in t.rows if label == ""]
    assert below == [("(6.610)", "(6.825)"), ("(1.238)", "(1.546)")]
    assert cells.loc["Num.Obs."].tolist() == ["180", "180"]
    assert cells.loc["Num. Subject"].tolist() == ["", "18"]
    assert cells.loc["SD (Days | Subject)", "mixed"] == "5.922"
    assert cells.loc["SD (Observations)", "mixed"] == "25.592"
    assert cells.loc["R2 Marg.", "mixed"] == "0.279"
    assert cells.loc["R2 Cond.", "mixed"] == "0.799"
    assert cells.loc["AIC"].tolist() == ["1906.3", "1755.6"]
    assert "* p < 0.05" in str(t)


@pytest.fixture(scope="module")
def cbpp():
    return lb.glmer(CBPP, lb.datasets.load("cbpp"), engine="native")


@pytest.mark.r
def test_generalized_models_are_tidied_as_r_has_them(models):
    m = lb.glmer(CBPP, lb.datasets.load("cbpp"), engine="lme4")
    rscript = Path(find_r().home) / "bin" / "Rscript"
    done = subprocess.run(
        [str(rscript), "--vanilla", "-e", R_CBPP], capture_output=True, text=True, check=True
    )
    said = json.loads(done.stdout)
    table = m.tidy(conf_int=True, exponentiate=True)
    fixed, spread = table[table["effect"] == "fixed"], table[table["effect"] == "ran_pars"]
    assert fixed["estimate"].to_numpy() == pytest.approx(said["estimate"], rel=1e-9)
    assert fixed["std_error"].to_numpy() == pytest.approx(said["error"], rel=1e-9)
    assert fixed["p_value"].to_numpy() == pytest.approx(said["p"], rel=1e-9)
    assert fixed[["conf_low", "conf_high"]].to_numpy() == pytest.approx(np.array(said["limits"]))
    assert spread["estimate"].tolist() == pytest.approx(said["sd"], rel=1e-9)
    assert m.rmse() == pytest.approx(said["rmse"][0], rel=1e-9)
    assert m.glance()["deviance"].tolist() == pytest.approx(said["deviance"], rel=1e-9)
    cells = lb.table({**models, "binomial": m}, exponentiate=True).frame["binomial"]
    assert cells["period2"] == f"{said['estimate'][1]:.3f}"
    assert cells["SD (Intercept | herd)"] == f"{said['sd'][0]:.3f}"
    assert cells["AIC"] == f"{said['AIC'][0]:.1f}"
    assert cells["RMSE"] == f"{said['rmse'][0]:.3f}"


def test_ratios_are_of_generalized_models_alone(models, cbpp):
    plain = lb.table({**models, "binomial": cbpp}, stars=True).frame
    ratios = lb.table({**models, "binomial": cbpp}, stars=True, exponentiate=True).frame
    assert plain["mixed"].tolist() == ratios["mixed"].tolist()
    assert plain.loc["period4", "binomial"] == "-1.580***"
    assert ratios.loc["period4", "binomial"] == "0.206***"
    assert "R2 Marg." in lb.table(cbpp).frame.index
    # a cauchit link has no latent variance, and a model of it no shares
    without = lb.table(cbpp.update(family="binomial(cauchit)")).frame
    assert "R2 Marg." not in without.index
    assert "AIC" in without.index


def test_ratios_of_an_ordinary_generalized_model():
    m = lb.glm("I(Reaction > 300) ~ Days", SLEEP, "binomial")
    rows = lb.table(m, exponentiate=True).rows
    ratio = np.exp(m.fixef()["Days"])
    assert rows[2] == ("Days", (f"{ratio:.3f}",))
    assert rows[3] == ("", (f"({ratio * np.sqrt(m.vcov().loc['Days', 'Days']):.3f})",))
    low, high = np.exp(m.confint().loc["Days"])
    rows = lb.table(m, "conf_int", exponentiate=True).rows
    assert rows[3] == ("", (f"[{low:.3f}, {high:.3f}]",))


def test_limits_of_a_generalized_model_are_those_that_were_asked_for(cbpp):
    limits = cbpp.confint()
    table = cbpp.tidy(conf_int=True, conf_method="profile").set_index("term")
    for term, row in (("sd__(Intercept)", ".sig01"), ("period3", "period3")):
        found = table.loc[term, ["conf_low", "conf_high"]].to_list()
        assert found == limits.loc[row].to_list()


def test_without_predictors_nothing_is_explained():
    m = lb.lmer("Reaction ~ (Days | Subject)", SLEEP, engine="native")
    assert lb.table(m).frame.loc["R2 Marg.", "(1)"] == "0.000"


def test_every_form_holds_every_cell(models):
    t = lb.table(models)
    for text in (str(t), t.to_markdown(), t.to_html(), t._repr_html_(), t.to_latex()):
        for _, cells in t.rows:
            assert all(cell in text or cell.startswith("-") for cell in cells)
    latex = t.to_latex()
    assert latex.count("\\\\") == len(t.rows) + 1
    assert {line.count("&") for line in latex.splitlines() if line.endswith("\\\\")} == {2}
    assert len({line.count("|") - line.count("\\|") for line in t.to_markdown().splitlines()}) == 1


def test_great_tables_gets_every_cell_and_the_lines(models):
    pytest.importorskip("great_tables")
    t = lb.table(models, stars=True)
    page = t.to_gt().as_raw_html()
    shown = [re.findall(r"<t[dh][^>]*>([^<]*)</t[dh]>", row) for row in page.split("<tr")]
    shown = [[unescape(cell) for cell in row] for row in shown if len(row) == 3]
    assert shown == [["", *t.names], *([label, *cells] for label, cells in t.rows)]
    rows = [row for row in page.split("<tr") if 'scope="row"' in row]
    ruled = [i + 1 for i, row in enumerate(rows) if row.count("border-bottom: 1px solid") == 3]
    assert len(rows) == len(t.rows)
    assert ruled == list(t.rules)  # as in LaTeX: coefficients, random part, the fit
    assert t.to_latex().count("\\midrule") == len(ruled) + 1
    assert unescape(page).count("+ p < 0.1") == 1


@pytest.mark.parametrize(
    ("statistic", "shown"),
    [
        ("std_error", "(1.546)"),
        ("statistic", "(6.771)"),
        ("p_value", "(<0.001)"),
        ("conf_int", "[7.206, 13.729]"),  # lmerTest: confint of t on 17 degrees of freedom
    ],
)
def test_what_stands_below_an_estimate(models, statistic, shown):
    rows = lb.table(models["mixed"], statistic=statistic).rows
    assert rows[3] == ("", (shown,))


def test_normal_intervals_without_degrees_of_freedom(models):
    rows = lb.table(models["mixed"], statistic="conf_int", ddf=None).rows
    limits = models["mixed"].confint(method="Wald").loc["Days"].to_numpy()
    assert rows[3][1][0] == f"[{limits[0]:.3f}, {limits[1]:.3f}]"


def test_names_of_a_formula_are_text_in_every_form():
    rng = np.random.default_rng(1)
    d = pd.DataFrame({"a_b": rng.normal(size=60), "g%": list("uvwxyz") * 10})
    d["y"] = d["a_b"] + rng.normal(size=60)
    t = lb.table(lb.lmer("y ~ a_b + I(a_b^2) + (1 | `g%`)", d, engine="native"))
    latex = t.to_latex()
    assert "a\\_b" in latex
    assert "I(a\\_b\\textasciicircum{}2)" in latex
    assert re.search(r"SD \(Intercept \\textbar\{\} `?g\\%`?\)", latex)
    assert "<script" not in lb.table({"<script>": lb.lm("y ~ a_b", d)}).to_html()


def test_a_tilde_is_one_in_latex(models):
    """``\\textasciitilde{}`` prints an accent on nothing in LaTeX's own fonts."""
    assert "Cor (Intercept $\\sim$ Days" in lb.table(models["mixed"]).to_latex()


def test_negative_numbers_have_a_minus_in_latex():
    d = SLEEP.assign(Days=-SLEEP["Days"])
    assert "$-$10.467" in lb.table(lb.lm("Reaction ~ Days", d)).to_latex()


def test_a_small_estimate_shows_something():
    d = SLEEP.assign(Reaction=SLEEP["Reaction"] / 1e6)
    assert lb.table(lb.lm("Reaction ~ Days", d)).frame.loc["Days", "(1)"] == "1.05e-05"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"models": 3}, "a fitted model, several, or a dict"),
        ({"models": []}, "needs a model"),
        ({"models": ["x"]}, "is str, no fitted model"),
        ({"statistic": "se"}, "statistic must be one of"),
        ({"level": 1.0}, "between 0 and 1"),
        ({"digits": -1}, "digits must be 0 or more"),
    ],
)
def test_what_cannot_be_set_side_by_side(models, arguments, words):
    with pytest.raises((ArgumentError, lb.DataError), match=words):
        lb.table(**{"models": models, **arguments})
