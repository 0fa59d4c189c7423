"""Predictions, padding, simulated means and refits of random models against live R, at R's theta.

Each model has weights, an offset in the formula, missing values under an na_action, a subset, or
none of them; all are put to R in one process.
"""

import json
import subprocess
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import lmerbridge as lb
from lmerbridge.engines.assemble import counted, estimates_at
from lmerbridge.likelihood import cross_products, evaluate

pytestmark = [
    pytest.mark.r,
    pytest.mark.filterwarnings("ignore::lmerbridge.errors.FitWarning"),
]

FIXED = ("x", "f", "f * x", "0 + f", "poly(x, 2)", "scale(x) + k", "f * k", "cut(x, c(-9, 0, 9))")
RANDOM = (
    "(1 | g)",
    "(x | g)",
    "(1 | g) + (0 + z | g)",
    "(1 | g) + (1 | h)",
    "(z || g)",
    "(1 | h/g)",
    "(0 + k | g)",
)

SCRIPT = r"""
suppressMessages({library(lme4); library(jsonlite)})
arguments <- commandArgs(TRUE)
cases <- fromJSON(arguments[1], simplifyVector = FALSE)
ask <- function(code) suppressMessages(suppressWarnings(tryCatch(
  unname(as.numeric(unlist(eval(code)))),
  error = function(e) paste("error:", conditionMessage(e)))))
out <- lapply(cases, function(case) {
  read <- function(file) {
    d <- read.csv(file, colClasses = c(g = "character", h = "character"), na.strings = c("NA", ""))
    d$f <- factor(d$f, c("c", "a", "b")); d$k <- factor(d$k, c("lo", "hi")); d
  }
  d <- read(case$data); new <- read(case$new)
  call <- sprintf("lmer(%s, d%s)", case$formula, case$arguments)
  m <- suppressMessages(suppressWarnings(eval(str2lang(call))))
  shown <- list(
    theta = quote(getME(m, "theta")),
    fitted = quote(fitted(m)),
    marginal = quote(predict(m, re.form = NA)),
    predict = quote(predict(m)),
    residuals = quote(residuals(m)),
    pearson = quote(residuals(m, "pearson")),
    scaled = quote(residuals(m, "pearson", scaled = TRUE)),
    hat = quote(hatvalues(m)),
    student = quote(rstudent(m)),
    cooks = quote(cooks.distance(m)),
    new = quote(predict(m, new, allow.new.levels = TRUE)),
    new_marginal = quote(predict(m, new, re.form = NA)),
    new_refused = quote(predict(m, new)),
    known = quote(predict(m, known)),
    known_g = quote(predict(m, known, re.form = ~ (1 | g))),
    random = quote(predict(m, known, random.only = TRUE)),
    moved = quote(predict(m, known, newparams = list(theta = 0.5 * getME(m, "theta") + 0.1,
                                                     beta = fixef(m) + 1, sigma = 2))),
    simulated_rows = quote(dim(simulate(m, 2, seed = 1))),
    wald = quote(confint(m, method = "Wald")))
  rows <- stats::complete.cases(new) & new$g %in% d$g & paste(new$h, new$g) %in% paste(d$h, d$g)
  known <- new[rows, ]
  known <- known[complete.cases(known), ]
  environment(ask) <- environment()
  c(lapply(shown, ask), list(rows = which(rows)))
})
write(toJSON(out, digits = NA, na = "string", auto_unbox = FALSE), arguments[2])
"""


def data_of(rng, n=110):
    d = pd.DataFrame({"g": rng.integers(0, 9, n).astype(str), "h": rng.integers(0, 6, n)})
    d["h"] = d["h"].astype(str)
    d["f"], d["k"] = rng.choice(list("cab"), n), rng.choice(["lo", "hi"], n)
    d["x"], d["z"] = rng.normal(size=n).round(3), rng.normal(size=n).round(3)
    d["o"], d["w"] = rng.normal(size=n).round(3), rng.choice([0.5, 1.0, 2.0], n)
    effects = 1.5 * rng.normal(size=(3, 9))
    g = d["g"].astype(int)
    d["y"] = effects[0][g] + (1 + effects[1][g]) * d["x"] + effects[2][g] * d["z"]
    d["y"] = (d["y"] + 2 * rng.normal(size=6)[d["h"].astype(int)] + d["o"]).round(3)
    d["y"] = (d["y"] + (d["f"] == "b") + rng.normal(size=n)).round(3)
    return d


def cases_of(folder, count=16):
    made = []
    for i in range(count):
        rng = np.random.default_rng(100 + i)
        d = data_of(rng)
        new = data_of(rng, 14)
        new.loc[2, "x"] = new.loc[5, "z"] = np.nan
        new.loc[3, "g"], new.loc[7, "h"] = "new", "other"
        options = {}
        if i % 3 == 0:
            options["weights"] = "w"
        if i % 4 in (1, 2):
            for column in ("x", "y", "g"):
                d.loc[rng.integers(0, len(d), 2), column] = np.nan
            options["na_action"] = "exclude" if i % 4 == 1 else "omit"
        if i % 5 == 0:
            options["subset"] = "k == 'lo' | z > -1"
        offset = " + offset(o)" if i % 2 == 0 else ""
        fixed = FIXED[i % len(FIXED)]
        formula = f"y ~ {fixed} + {RANDOM[i % len(RANDOM)]}{offset}"
        words = {"weights": "w", "subset": options.get("subset"), "na.action": None}
        if "na_action" in options:
            words["na.action"] = f"na.{options['na_action']}"
        given = {k: v for k, v in words.items() if v is not None and k.replace(".", "_") in options}
        for name, frame in (("data", d), ("new", new)):
            frame.to_csv(folder / f"{name}{i}.csv", index=False)
        made.append(
            {
                "formula": formula,
                "options": options,
                "arguments": "".join(f", {k} = {v}" for k, v in given.items()),
                "data": str(folder / f"data{i}.csv"),
                "new": str(folder / f"new{i}.csv"),
            }
        )
    return made


def frames(case):
    for name in ("data", "new"):
        d = pd.read_csv(case[name], dtype={"g": str, "h": str})
        d["f"], d["k"] = pd.Categorical(d["f"], list("cab")), pd.Categorical(d["k"], ["lo", "hi"])
        yield d


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    from lmerbridge.rlang import find_r

    folder = tmp_path_factory.mktemp("prediction")
    cases = cases_of(folder)
    (folder / "cases.json").write_text(json.dumps(cases), "utf-8")
    (folder / "ask.R").write_text(SCRIPT, "utf-8")
    done = subprocess.run(
        [
            str(Path(find_r().home) / "bin" / "Rscript"),
            "--vanilla",
            *(str(folder / name) for name in ("ask.R", "cases.json", "answers.json")),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return list(zip(cases, json.loads((folder / "answers.json").read_text("utf-8")), strict=True))


def at_theta(m, theta):
    found = evaluate(cross_products(m.frame), theta, m.result.call.REML)
    estimates = estimates_at(m.frame, found)
    criterion = counted(m.frame, m.result.call.REML, found.criterion)
    return type(m)(replace(m.result, estimates=estimates, criterion=criterion), m.frame, m.call)


def numbers(answer):
    """R's numbers, or None for an error."""
    if answer and isinstance(answer[0], str) and answer[0].startswith("error:"):
        return None
    return np.array([np.nan if v in ("NA", "NaN", None) else float(v) for v in answer])


def questions(m, new, known, theta):
    moved = {"theta": 0.5 * theta + 0.1, "beta": m.fixef() + 1, "sigma": 2}
    return {
        "fitted": m.fitted,
        "marginal": lambda: m.predict(re_form="NA"),
        "predict": m.predict,
        "residuals": m.residuals,
        "pearson": lambda: m.residuals("pearson"),
        "scaled": lambda: m.residuals("scaled"),
        "hat": m.hatvalues,
        "student": m.rstudent,
        "cooks": m.cooks_distance,
        "new": lambda: m.predict(new, allow_new_levels=True),
        "new_marginal": lambda: m.predict(new, re_form="NA"),
        "new_refused": lambda: m.predict(new),
        "new_omitted": lambda: m.predict(new, allow_new_levels=True, na_action="omit"),
        "known": lambda: m.predict(known),
        "known_g": lambda: m.predict(known, re_form="~ (1 | g)"),
        "random": lambda: m.predict(known, random_only=True),
        "moved": lambda: m.predict(known, newparams=moved),
        "simulated_rows": lambda: pd.Series(m.simulate(2, seed=1).shape),
        "wald": lambda: m.confint("Wald").to_numpy().T.ravel(),
    }


def test_random_models_answer_as_r(asked):
    wrong, compared, refused = [], 0, 0
    for case, answers in asked:
        d, new = frames(case)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            m = lb.lmer(case["formula"], d, engine="native", **case["options"])
            theta = numbers(answers["theta"])
            m = at_theta(m, theta)
            known = new.iloc[np.array(answers["rows"], dtype=int) - 1].dropna()
            for name, ask in questions(m, new, known, theta).items():
                R = numbers(answers["new" if name == "new_omitted" else name])
                if name == "new_omitted":  # R leaves rows out of the fixed part alone
                    R = R[~np.isnan(R)]
                try:
                    ours = np.asarray(ask(), dtype=float)
                except lb.DataError as error:
                    if R is not None:
                        wrong.append((case["formula"], case["arguments"], name, str(error)))
                    refused += 1
                    continue
                if R is None or ours.shape != R.shape:
                    wrong.append((case["formula"], case["arguments"], name, answers[name][:3]))
                    continue
                compared += 1
                if not np.allclose(ours, R, rtol=2e-6, atol=2e-6, equal_nan=True):
                    apart = np.nanmax(np.abs(ours - R))
                    wrong.append((case["formula"], case["arguments"], name, apart))
    assert not wrong, "\n".join(map(str, wrong))
    assert compared > 260
    assert refused >= len(asked)  # new levels, at the least
