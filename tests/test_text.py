"""Text as R prints it, from stored R output; live comparisons are in test_lme4_engine."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import lmerbridge as lb
from checkout import REFERENCE
from lmerbridge.crosscheck import golden, load_cases
from lmerbridge.design import build_frame
from lmerbridge.display import model_html, model_text, summary_text, variance_text
from lmerbridge.display.rformat import (
    abbreviate,
    coefficient_cells,
    format_numbers,
    print_matrix,
    print_named,
    zapsmall,
)
from lmerbridge.engines import FitSpec
from lmerbridge.engines.protocol import call_info, data_info
from lmerbridge.result import (
    Criterion,
    Estimates,
    Evidence,
    FitResult,
    Provenance,
    RandomEffects,
    Skipped,
)
from lmerbridge.rmath import round_r

CASES = [c for c in load_cases(REFERENCE / "cases.toml") if c.error is None]


def numbers(texts):
    return [float("nan") if t in ("NA", "NaN") else float(t) for t in texts]


def test_abbreviate(stored_text):
    for record in stored_text["abbreviated"]:
        assert abbreviate(record["names"], 6) == record["six"]
        assert abbreviate(record["names"], 11) == record["eleven"]


def test_format(stored_text):
    for record in stored_text["formatted"]:
        assert (
            format_numbers(numbers(record["x"]), record["digits"], record["nsmall"])
            == record["text"]
        )


def test_format_leaves_room_for_what_rounds_up():
    """R 4.2.2: format(c(99.99614, .00574, 11.0377), digits = 4); 99.996 counts as 100.0."""
    assert format_numbers([99.99614, 0.00574, 11.0377], 4) == [
        " 99.99614",
        "  0.00574",
        " 11.03770",
    ]
    assert format_numbers([999.96, -0.12], 4, nsmall=3) == [" 999.960", "  -0.120"]
    assert format_numbers([0.99999, 123.4], 4) == ["  1.0", "123.4"]


def test_coefficients(stored_text):
    for record in stored_text["coefficients"]:
        cells = coefficient_cells(
            *(numbers(record[k]) for k in ("estimates", "errors", "statistics")), 4
        )
        names = [f"v{i + 1}" for i in range(len(cells))]
        assert print_matrix(names, ["Estimate", "Std. Error", "t value"], cells) == record["text"]


def test_quantiles(stored_text):
    for record in stored_text["quantiles"]:
        cells = format_numbers(zapsmall(numbers(record["x"]), 5), 4)
        assert print_named(["Min", "1Q", "Median", "3Q", "Max"], cells) == record["text"]


def test_round(stored_text):
    for record in stored_text["rounded"]:
        assert float(round_r(float(record["x"]), record["digits"])) == float(record["y"])


def listed(value):
    return value if isinstance(value, list) else [value]


def result_of_golden(case, record):
    """R's own numbers as a FitResult, so that the text can be compared without R."""
    data = lb.datasets.load(case.data)
    frame = build_frame(case.formula, data, data_name=case.data)
    fit, spec = record["default"], FitSpec(REML=case.REML)
    vc = fit["varcorr"]
    rows = list(zip(vc["grp"], vc["var1"], vc["var2"], vc["vcov"], vc["sdcor"], strict=True))
    effects = fit["ranef"]
    random, start = [], 0
    order = {}
    for i, group in enumerate(effects["grpvar"]):
        order.setdefault(group, []).append(i)
    for block in frame.random:
        k, levels = len(block.names), len(block.levels)
        own = {(r[1], r[2]): r for r in rows if r[0] == block.label}
        covariance, correlation = np.zeros((k, k)), np.eye(k)
        for i, one in enumerate(block.names):
            covariance[i, i] = own[one, "NA"][3]
            for j in range(i):
                found = own[block.names[j], one]
                covariance[i, j] = covariance[j, i] = found[3]
                correlation[i, j] = correlation[j, i] = (
                    float("nan") if isinstance(found[4], str) else found[4]
                )
        taken = [order[block.group].pop(0) for _ in range(k * levels)]
        modes = np.array([effects["condval"][i] for i in taken]).reshape(k, levels).T
        random.append(
            RandomEffects(
                block.label,
                block.group,
                block.names,
                covariance,
                np.array([own[n, "NA"][4] for n in block.names]),
                correlation,
                modes,
            )
        )
        start += k * levels
    p = len(listed(fit["names"]))
    fitted = np.array(fit["fitted"])
    return FitResult(
        call=call_info(frame, spec),
        data=data_info(frame),
        estimates=Estimates(
            tuple(listed(fit["names"])),
            np.array(listed(fit["beta"]), float),
            np.array(fit["vcov"], float).reshape(p, p),
            "conditional",
            np.array(listed(fit["theta"]), float),
            fit["sigma"],
            tuple(random),
            fitted,
            frame.y - fitted,
        ),
        criterion=Criterion(
            "REML" if case.REML else "ML",
            fit["criterion"],
            fit["logLik"],
            p + len(listed(fit["theta"])) + 1,
            fit["AIC"],
            fit["BIC"],
            fit["df_residual"],
        ),
        evidence=Evidence(
            True,
            fit["singular"],
            None,
            "nloptwrap",
            0,
            "",
            None,
            messages=tuple(listed(fit["messages"])),
            notes=tuple(n.text for n in frame.asked.notes),
        ),
        provenance=Provenance("lme4", "1.1.31", {}, "", "", 0.0),
    )


@pytest.mark.parametrize("case", CASES, ids=[c.name for c in CASES])
def test_text_of_the_suite_is_r_s(case):
    if not lb.datasets.is_local(case.data):
        pytest.skip(f"{case.data} is not on this machine")
    record = golden(case)
    assert record is not None, "no golden values: make golden"
    result = result_of_golden(case, record)
    text = record["text"]
    assert summary_text(result).split("\n") == text["summary"]
    assert model_text(result).split("\n") == text["model"]
    assert variance_text(result).split("\n") == text["variances"]


def test_another_engine_is_named_in_one_line(sleepstudy):
    m = lb.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy, engine="statsmodels")
    lines = str(m.summary()).split("\n")
    assert lines[-1].startswith("Engine: statsmodels ")
    assert "Data: sleepstudy" in lines[2]
    skipped = replace(
        m.result,
        provenance=replace(m.result.provenance, skipped=(Skipped("lme4", "R is not installed"),)),
    )
    assert summary_text(skipped).endswith("(passed over lme4: R is not installed)")


def test_statsmodels_prints_what_r_prints(sleepstudy):
    # not of (Days | Subject): lme4 stops where 612.10 is printed, the optimum is 612.09
    m = lb.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy, engine="statsmodels")
    case = next(c for c in CASES if c.name == "sleepstudy-intercept")
    record = golden(case)
    assert str(m.summary()).split("\n")[:-1] == record["text"]["summary"]
    assert str(m).split("\n")[:-1] == record["text"]["model"]


def test_html_is_well_formed_and_complete(sleepstudy):
    import xml.etree.ElementTree as ET

    m = lb.lmer("Reaction ~ I(Days > 3) + (Days | Subject)", sleepstudy, engine="statsmodels")
    html = model_html(m.result)
    root = ET.fromstring(html)
    words = " ".join(root.itertext())
    for word in ("I(Days > 3)TRUE", "Std. Error", "Residual", "180 observations", "Subject: 18"):
        assert word in words
    assert m._repr_html_() == html


def test_golden_text_is_from_r():
    # a record that lacks its stamp would be a number of unknown origin
    for case in CASES:
        stamp = golden(case)["made_by"]
        assert stamp["lme4"]
        assert stamp["R"]


@pytest.mark.parametrize(
    ("names", "lines"),
    [
        (("a", "bb", "ccc"), ["Number of obs: 40, groups:  ccc, 10; a, 8; bb, 5"]),
        (
            ("Assessor", "AssessorWithALongName", "another_long_factor_name"),
            [
                "Number of obs: 40, groups:  ",
                "another_long_factor_name, 10; Assessor, 8; AssessorWithALongName, 5",
            ],
        ),
        (
            ("quite_long_factor_name_1", "quite_long_factor_name_2", "g"),
            [
                "Number of obs: 40, groups:  ",
                "g, 10; quite_long_factor_name_1, 8; quite_long_factor_name_2, 5",
            ],
        ),
    ],
)
@pytest.mark.filterwarnings("ignore::lmerbridge.errors.FitWarning")
@pytest.mark.filterwarnings("ignore::lmerbridge.errors.FitMessage")
def test_numbers_of_groups_fill_a_line_as_r_s(names, lines):
    """lme4 1.1-31: where the line is full, the groups begin a new one."""
    i = np.arange(1, 41)
    d = pd.DataFrame({"y": np.sin(i).round(3) + np.sin(i**2).round(3) + np.cos((i - 1) % 8)})
    for name, codes in zip(names, ((i - 1) % 8, i * 3 % 5, i * 7 // 30), strict=True):
        d[name] = pd.Categorical(codes)
    terms = " + ".join(f"(1 | {name})" for name in names)
    m = lb.lmer(f"y ~ 1 + {terms}", d, engine="native")
    for shown in (str(m).split("\n"), str(m.summary()).split("\n")):
        start = next(k for k, line in enumerate(shown) if line.startswith("Number of obs"))
        assert shown[start : start + len(lines)] == lines
        assert not shown[start + len(lines)].startswith(names)


@pytest.mark.parametrize(
    ("noise", "lines"),
    [
        (
            0.001,
            [
                "Multiple R-squared:      1,\tAdjusted R-squared:      1 ",
                "F-statistic: 6.608e+07 on 1 and 8 DF,  p-value: < 2.2e-16",
            ],
        ),
        (
            20,
            [
                "Multiple R-squared:  0.01171,\tAdjusted R-squared:  -0.1118 ",
                "F-statistic: 0.09481 on 1 and 8 DF,  p-value: 0.766",
            ],
        ),
    ],
)
def test_last_lines_of_a_regression_are_r_s(noise, lines):
    """R 4.2.2, ``summary(lm(y ~ x, d))``: short numbers are padded, large ones have exponents."""
    x = np.arange(1, 11.0)
    d = pd.DataFrame({"x": x, "y": x + noise * np.resize([1, -1, -1, 1], 10)})
    shown = lb.lm("y ~ x", d).summary().rstrip("\n").split("\n")
    assert shown[-2:] == lines
