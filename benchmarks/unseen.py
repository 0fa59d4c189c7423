"""Generalized models on data that no suite of this project has, as a new user fits them: by the
native engine, by lme4 and by glmmTMB, and how far apart these are.

``python benchmarks/unseen.py`` asks the R that is found; ``--answers FOLDER`` (repeatable) reads what
``Rscript benchmarks/unseen.R FOLDER`` wrote elsewhere, with other versions. glmmTMB is compared with
the native engine by its definitions: the observed information in the determinant of Laplace's
approximation, and the dispersion by maximum likelihood.
"""

from __future__ import annotations

import json
import math
import subprocess
import tempfile
import warnings
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer

import lmerbridge as lb
from lmerbridge.errors import LmerBridgeError
from lmerbridge.rlang import find_r

SCRIPT = Path(__file__).with_suffix(".R")


def data_of(made: dict[str, Any]) -> pd.DataFrame:
    """Return the data of a model, factors with their levels in R's order."""
    d = pd.DataFrame(made["columns"])
    for name, levels in made["levels"].items():
        d[name] = pd.Categorical(d[name], categories=levels)
    return d


def fitted(made: dict[str, Any], definitions_of: str) -> lb.GeneralizedModel:
    """Fit natively by the definitions of an lme4 or of glmmTMB."""
    other: dict[str, str] = {}
    if definitions_of.startswith("lme4 1.1") and made["family"] != "nb":
        other["like"] = "1.1"
    if definitions_of == "glmmTMB":
        other["information"] = "observed"
    d = data_of(made)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if made["family"] == "nb":
            return lb.glmer_nb(made["formula"], d, engine="native", **other)
        if definitions_of == "glmmTMB":
            other["dispersion"] = "ML"
        return lb.glmer(made["formula"], d, made["family"], engine="native", **other)


def distances(m: lb.GeneralizedModel, theirs: dict[str, Any]) -> tuple[float, float, float, float]:
    """Return what the other has more than the native fit: of -2 log L, of the fixed effects at most
    (in standard errors), of standard errors at most (relative), of standard deviations at most.
    """
    beta, se = m.fixef(), np.sqrt(np.diag(m.vcov()))
    other = np.array([theirs["beta"][name] for name in beta.index], dtype=float)
    table = m.VarCorr()
    plain = table["var2"].isna() & (table["grp"] != "Residual")
    sds = np.sort(table.loc[plain, "sdcor"].to_numpy(float))
    their_sds = np.sort(np.atleast_1d(np.array(theirs["sd"], dtype=float)))
    their_se = np.atleast_1d(np.array(theirs["se"], dtype=float))  # None is not a number
    return (
        (math.nan if theirs["deviance"] is None else theirs["deviance"]) + 2 * m.logLik(),
        float(np.max(np.abs(other - beta) / se)),
        float(np.max(np.abs(their_se / se - 1))),
        float(np.max(np.abs(their_sds - sds))),
    )


def main(answers: Annotated[list[Path] | None, typer.Option()] = None) -> None:
    """Print a table: a row per model and engine."""
    with tempfile.TemporaryDirectory() as made_here:
        folders = answers or [Path(made_here)]
        if not answers:
            rscript = Path(find_r().home) / "bin" / "Rscript"
            subprocess.run([str(rscript), str(SCRIPT), made_here], check=True)
        print("| model | engine | -2 log L | fixed effects, SE | SE, relative | SD | said |")
        print("|---|---|---|---|---|---|---|")
        cases = json.loads((folders[0] / "data.json").read_text("utf-8"))
        fits = [json.loads((folder / "fits.json").read_text("utf-8")) for folder in folders]
        for name, made in cases.items():
            ours: dict[str, lb.GeneralizedModel] = {}
            for theirs in [one for found in fits for one in found[name]]:
                if "failed" in theirs:
                    print(f"| {name} | | | | | | {theirs['failed']} |")
                    continue
                whose = theirs["engine"]
                whose = "glmmTMB" if whose.startswith("glmmTMB") else whose
                try:
                    if whose not in ours:
                        ours[whose] = fitted(made, whose)
                except LmerBridgeError as error:
                    print(f"| {name} | native as {whose} | | | | | {error} |")
                    continue
                by = distances(ours[whose], theirs)
                said = "; ".join(theirs["said"]).replace("\n", " ")
                cells = f"{by[0]:+.2g} | {by[1]:.2g} | {by[2]:.2g} | {by[3]:.2g}"
                print(f"| {name} | {theirs['engine']} | {cells} | {said} |", flush=True)


if __name__ == "__main__":
    typer.run(main)
