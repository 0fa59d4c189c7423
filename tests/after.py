"""What the tests of everything after the fit share: the models of ``reference/inference``, at the
theta that R's lme4 ended at, so that what is compared is what is computed from it.
"""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import tomllib
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np

import lmerbridge as lb
from checkout import REFERENCE
from lmerbridge.crosscheck import Case, read_data
from lmerbridge.engines.assemble import counted, estimates_at
from lmerbridge.likelihood import cross_products, evaluate

FOLDER = REFERENCE / "inference"
CASES = {c["name"]: c for c in tomllib.loads((FOLDER / "models.toml").read_text("utf-8"))["case"]}


MADE = {}  # further cases, and the folders that hold their data and R's answers


def ask_r(cases, data, folder, questions=".*"):
    """Ask R about new models, which are then cases like the others.

    Parameters
    ----------
    cases : list of dict
        As in ``models.toml``, with JSON's values.
    data : dict of str to DataFrame
        Numbers, and categories with their levels.
    questions : str
        What the names of those that are asked match, a regular expression.
    """
    from lmerbridge.rlang import find_r

    (folder / "golden").mkdir()
    lines = []
    for case in cases:
        lines += ["[[case]]", *(f"{k} = {json.dumps(v)}" for k, v in case.items()), ""]
        CASES[case["name"]] = case
        MADE[case["name"]] = folder
    (folder / "models.toml").write_text("\n".join(lines), "utf-8")
    for name, frame in data.items():
        frame.to_csv(folder / f"{name}.csv", index=False)
        sidecar = []
        for column in frame.select_dtypes("category"):
            levels = [str(v) for v in frame[column].cat.categories]
            sidecar += [f'[columns."{column}"]', f"levels = {json.dumps(levels)}", ""]
        (folder / f"{name}.toml").write_text("\n".join(sidecar), "utf-8")
    script = FOLDER / "inference.R"
    rscript = Path(find_r().home) / "bin" / "Rscript"
    done = subprocess.run(
        [str(rscript), "--vanilla", str(script)],
        env={
            **os.environ,
            "LMERBRIDGE_MODELS": str(folder / "models.toml"),
            "LMERBRIDGE_QUESTIONS": questions,
        },
        capture_output=True,
        text=True,
        cwd=FOLDER.parent.parent,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


@functools.cache
def answers(name):
    """What R said of a model, by question."""
    folder = MADE.get(name, FOLDER)
    record = json.loads((folder / "golden" / f"{name}.json").read_text("utf-8"))
    assert record["made_by"]["lme4"]
    return record["answers"]


@functools.cache
def data_of(name):
    case = CASES[name]
    further = REFERENCE / "further" / "data" / f"{case['data']}.csv"
    made = MADE.get(name, FOLDER) / f"{case['data']}.csv"
    if made.is_file():
        further = made
    if further.is_file():
        d = read_data(Case(name, str(further), case["formula"], folder=Path()))
    else:
        d = lb.datasets.load(case["data"])
    return d.assign(w=np.resize([1.0, 2.0, 0.5], len(d)))


def named(d, name):
    """The data under another name: what is printed as theirs."""
    d.attrs["name"] = name
    return d


@functools.cache
def fitted(name, engine="native"):
    """The model by an engine of ours."""
    case = CASES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return lb.lmer(
            case["formula"],
            named(data_of(name), case["data"].split("-")[-1]),
            REML=case.get("REML", True),
            weights=case.get("weights"),
            engine=engine,
        )


@functools.cache
def at_r(name):
    """The model with everything that belongs to R's theta."""
    m = fitted(name)
    theta = np.array(answers(name)["theta"]["value"]["values"], dtype=float)
    found = evaluate(cross_products(m.frame), theta, m.result.call.REML)
    result = replace(
        m.result,
        estimates=estimates_at(m.frame, found),
        criterion=counted(m.frame, m.result.call.REML, found.criterion),
    )
    return type(m)(result, m.frame, m.call)


def text(name, question):
    """R's text, or None where R failed or was not asked."""
    found = answers(name).get(question)
    if found is None or "failure" in found:
        return None
    lines = found["text"]
    return "\n".join(lines if isinstance(lines, list) else [lines])


def number(value):
    return float("nan") if value in ("NA", "NaN", None) else float(value)


def values(name, question):
    """R's numbers: a vector, or a table (rows, columns)."""
    found = answers(name)[question]["value"]
    if isinstance(found, dict) and "columns" in found:
        return np.array([[number(v) for v in column] for column in found["values"]]).T
    return np.array([number(v) for v in found["values"]])


def without_engine(shown):
    """Text without the line that names the engine."""
    return "\n".join(line for line in str(shown).split("\n") if not line.startswith("Engine: "))


_NUMBER = re.compile(r"(?<![\w.])-?(?:\d+\.?\d*|\.\d+)(?:e[-+]\d+)?(?![\w])")


def assert_same_text(ours, theirs, digits=2e-4):
    """The same to the character, but for the digits of numbers that differ by less than ``digits``
    (relative): R's numerical derivatives and interpolations have errors of that size.
    """
    ours, theirs = ours.rstrip("\n").split("\n"), theirs.rstrip("\n").split("\n")
    assert len(ours) == len(theirs), "\n".join(["lines differ:", *ours, "--", *theirs])
    for one, two in zip(ours, theirs, strict=True):
        if one == two:
            continue
        a, b = _NUMBER.findall(one), _NUMBER.findall(two)
        # a last digit of 0 is not shown, which moves what stands beside it
        shapes = [" ".join(_NUMBER.sub("#", line).split()) for line in (one, two)]
        assert shapes[0] == shapes[1], f"{one!r} is not {two!r}"
        assert abs(len(one) - len(two)) <= len(a), f"{one!r} is not {two!r}"
        for x, y in zip(map(float, a), map(float, b), strict=True):
            # one unit of the last digit shown, or the relative difference
            assert abs(x - y) <= digits * abs(y) + 1e-12, f"{one!r} is not {two!r}"
