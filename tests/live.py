"""Questions to the R of this machine about models that the tests make, many in one process."""

from __future__ import annotations

import json
import subprocess
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

import lmerbridge as lb
from checkout import REFERENCE
from lmerbridge.engines.assemble import counted, estimates_at
from lmerbridge.likelihood import cross_products, evaluate

SCRIPT = REFERENCE / "inference" / "ask.R"


def case(name, formula, data, questions, contrasts=None, function=None, **arguments):
    """A model ``m`` on the data ``d``, and R expressions by name.

    Parameters
    ----------
    contrasts : dict of str to str or array
    function : str
        Of R; default lmer, with ``family`` glmer.
    **arguments
        Of it: weights, offset (columns), REML.
    """
    return {
        "name": name,
        "formula": formula,
        "data": data,
        "questions": questions,
        "contrasts": contrasts or {},
        "arguments": arguments,
        "function": function,
    }


def _r_contrast(value):
    if isinstance(value, str):
        return json.dumps(value)
    numbers = ", ".join(repr(float(v)) for v in np.asarray(value).T.ravel())
    return f"matrix(c({numbers}), {len(value)})"


def _statement(asked):
    extra = ""
    if asked["contrasts"]:
        listed = ", ".join(f"{k} = {_r_contrast(v)}" for k, v in asked["contrasts"].items())
        extra += f", contrasts = list({listed})"
    for name, value in asked["arguments"].items():
        extra += f", {name} = {str(value).upper() if isinstance(value, bool) else value}"
    function = "glmer" if "family" in asked["arguments"] else "lmerTest::lmer"
    function = asked["function"] or function
    return f"m <- {function}({asked['formula']}, d{extra})"


def ask(cases, folder):
    """R's answers by case and question; ``fit`` is what R said of the fit."""
    from lmerbridge.rlang import find_r

    questions = []
    for asked in cases:
        data, levels = {}, {}
        for column, values in asked["data"].items():
            if isinstance(values.dtype, pd.CategoricalDtype):
                levels[column] = {
                    "levels": [str(v) for v in values.cat.categories],
                    "ordered": bool(values.cat.ordered),
                }
                data[column] = [None if pd.isna(v) else str(v) for v in values]
            else:
                data[column] = [None if pd.isna(v) else float(v) for v in values]
        questions.append(
            {
                "name": asked["name"],
                "data": data,
                "levels": levels,
                "fit": _statement(asked),
                "questions": asked["questions"],
            }
        )
    given, made = folder / "questions.json", folder / "answers.json"
    given.write_text(json.dumps(questions), "utf-8")
    rscript = Path(find_r().home) / "bin" / "Rscript"
    done = subprocess.run(
        [str(rscript), "--vanilla", str(SCRIPT), str(given), str(made)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(made.read_text("utf-8"))


def fit(asked):
    """Our model of a case, by the native engine."""
    d = asked["data"].assign()
    d.attrs["name"] = "d"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return lb.lmer(
            asked["formula"],
            d,
            contrasts=asked["contrasts"] or None,
            engine="native",
            **asked["arguments"],
        )


def at_theta(model, theta):
    """The model with everything that belongs to another theta: R's, whose optimizer stops apart."""
    REML = model.result.call.REML
    found = evaluate(cross_products(model.frame), np.array(theta, dtype=float), REML)
    result = replace(
        model.result,
        estimates=estimates_at(model.frame, found),
        criterion=counted(model.frame, REML, found.criterion),
    )
    return type(model)(result, model.frame, model.call)


def number(value):
    return float("nan") if value in ("NA", "NaN", None) else float(value)


def matrix(found):
    """R's matrix or table as an array (rows, columns)."""
    values = [[number(v) for v in row] for row in found["values"]]
    return np.array(values, dtype=float).reshape(len(values), len(found["columns"] or []))
