"""The proof of this project's own documents: ``make reference`` runs it.

It fits the reference suite, the generalized models and the zoo by every engine that works here,
prints how they agree, and checks the numbers that the source documents print to their printed
precision.

``values.csv`` has a line for each number: the document and the line it stands on (of what is on the
web, the address), the case (or ordinary regression) and the quantity it is of, what is printed;
``cases.toml`` the models that the suite does not have. A value that does not reproduce
carries the reason, and what it should be (``expected``: lme4 1.1-31 or statsmodels); a reason that
is no longer needed fails. The exit status is 1 if anything is not well.
"""

from __future__ import annotations

import csv
import functools
import math
import re
import sys
import textwrap
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from tabulate import tabulate

from lmerbridge import datasets
from lmerbridge.crosscheck import load_cases, run_cases
from lmerbridge.crosscheck.cases import Case
from lmerbridge.crosscheck.golden import golden
from lmerbridge.crosscheck.overview import DEFAULT_COLUMNS, overview_text
from lmerbridge.crosscheck.quantities import Quantities, of_golden
from lmerbridge.crosscheck.requirements import for_a_run, missing
from lmerbridge.crosscheck.suite import CaseReport, available_engines, read_data
from lmerbridge.design import build_frame

__all__ = [
    "Published",
    "PublishedReport",
    "PublishedValue",
    "all_cases",
    "by_subject",
    "check_published",
    "load_published",
    "of_data",
    "of_fit",
    "of_pairs",
    "of_regression",
    "published_text",
]

HERE = Path(__file__).resolve().parent

Key: TypeAlias = tuple[str, str]
Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

DOCUMENTS = {
    1: "statsmodels, bounce rates",
    2: "Clark, mixed models",
    3: "the lecture",
    4: "the slides, DAAG",
    5: "Nguyen, data analysis",
    6: "Fox & Monette, cv",
    7: "SOCI830026, notebook",
    8: "MixedModels.jl",
    9: "r2glmm, README",
}
QUANTILES = ("Min", "1Q", "Median", "3Q", "Max")
# Beyond half a unit of the last digit: what the optimizers leave, relative.
SLACK = 1e-7
STOPPED = "lme4's default stopped early; polished, it gives this engine's number"
# A fit that an older optimizer stopped elsewhere must still be near the optimum.
NEAR = 2e-3
# The same of a fixed effect that is small beside its standard error, in units of that.
NEAR_ERROR = 0.02


@dataclass(frozen=True)
class PublishedValue:
    """One printed number.

    Attributes
    ----------
    document, line : int
        Where it stands; line 0 where the document has it in words.
    place : str
        Which table or sentence.
    source : str
        A case; ``lm:DATA:FORMULA`` or ``lmList:DATA:FORMULA``; ``lrt:DATA:FORMULA``, the
        test of its random effects; ``t:DATA``, the paired test; ``data:DATA``; ``plain:CASE``
        for what statsmodels prints by itself; empty for what is no model's.
    quantity, key : str
        Of the fit.
    printed : str
    expected : float
        What lme4 1.1-31 or statsmodels gives.
    reason : str
        Why it does not reproduce, if so.
    """

    document: int
    line: int
    place: str
    source: str
    quantity: str
    key: str
    printed: str
    expected: float
    reason: str

    @property
    def half(self) -> float:
        """Half a unit of the last printed digit."""
        match = re.fullmatch(r"\s*-?\d*(?:\.(\d*))?(?:[eE]([+-]?\d+))?\s*", self.printed)
        if match is None:
            return 0.0
        exponent = int(match[2] or 0) - len(match[1] or "")
        return 0.5 * 10.0**exponent

    def reproduced_by(self, value: float, slack: float = SLACK) -> bool:
        """Whether ``value`` rounds to what is printed, or is below a printed bound."""
        if self.printed.startswith("<"):
            return value < float(self.printed.removeprefix("<"))
        return abs(value - float(self.printed)) <= self.half * (1 + 1e-9) + slack * abs(value)


def all_cases() -> list[Case]:
    """The reference suite, its generalized models, and those of the documents alone."""
    paths = [HERE.parent / "cases.toml", HERE.parent / "generalized.toml", HERE / "cases.toml"]
    return [case for path in paths for case in load_cases(path)]


def load_published() -> list[PublishedValue]:
    """All printed numbers."""
    with (HERE / "values.csv").open(newline="", encoding="utf-8") as file:
        return [
            PublishedValue(
                int(row["document"]),
                int(row["line"] or 0),
                row["place"],
                row["source"],
                row["quantity"],
                row["key"],
                row["printed"],
                float(row["expected"] or "nan"),
                row["reason"],
            )
            for row in csv.DictReader(file)
        ]


def of_fit(q: Quantities, y: Array) -> dict[Key, float]:
    """Everything that a printed summary shows of a fit, by quantity and key."""
    found: dict[Key, float] = {}
    for name in (
        "criterion",
        "nobs",
        "fixed effects",
        "standard errors",
        "std. deviations",
        "correlations",
        "modes",
        "correlation of fixed effects",
        "AIC",
        "BIC",
    ):
        for key, value in q.values.get(name, {}).items():
            found[(name, key)] = value
    beta, errors = q.values["fixed effects"], q.values["standard errors"]
    for key, value in q.values["std. deviations"].items():
        found[("variances", key)] = value**2
    for key, value in q.values["correlations"].items():
        group, one, two = _parts(key, q)
        a = q.values["std. deviations"][f"{group}.{one}"]
        b = q.values["std. deviations"][f"{group}.{two}"]
        found[("covariances", key)] = value * a * b
    for key, value in beta.items():
        t = value / errors[key]
        found[("t values", key)] = t
        found[("p values", key)] = math.erfc(abs(t) / math.sqrt(2))
        found[("lower limits", key)] = value - 1.959963984540054 * errors[key]
        found[("upper limits", key)] = value + 1.959963984540054 * errors[key]
    found[("parameters", "")] = (
        (q.values["AIC"]["AIC"] - q.values["criterion"]["criterion"]) / 2
        if "AIC" in q.values
        else math.nan
    )
    found[("log-likelihood", "logLik")] = -0.5 * q.values["criterion"]["criterion"]
    for key, value in q.values.get("modes", {}).items():
        term, level = key.split("[", 1)
        varies = next((n for n in beta if term.endswith(f".{n}")), None)
        if varies is not None:
            group = term.removesuffix(f".{varies}")
            found[("coefficients by group", f"{group}.{varies}[{level}")] = beta[varies] + value
            for other in beta:  # a fixed effect that does not vary is every group's
                if f"{group}.{other}[{level}" not in q.values["modes"]:
                    found[("coefficients by group", f"{group}.{other}[{level}")] = beta[other]
    if "fitted" in q.values:
        fitted = np.array(list(q.values["fitted"].values()))
        if len(fitted) == len(y):
            scaled = (y - fitted) / q.sigma
            for name, value in zip(
                QUANTILES, np.quantile(scaled, [0, 0.25, 0.5, 0.75, 1]), strict=True
            ):
                found[("scaled residuals", name)] = float(value)
    return found


def _parts(key: str, q: Quantities) -> tuple[str, str, str]:
    """Group and the two effects of a correlation's key; their names may have dots."""
    names = list(q.values["std. deviations"])
    for one in names:
        for two in names:
            group = one.split(".", 1)[0]
            if two.startswith(f"{group}.") and key == f"{one}.{two.removeprefix(group + '.')}":
                return group, one.removeprefix(group + "."), two.removeprefix(group + ".")
    raise KeyError(key)


def _as_in_the_document(data: str) -> pd.DataFrame:
    """A data set, with the column that document 1 adds to its own."""
    frame = datasets.load(data)
    if data == "bounce":
        age = frame["age"].astype(float)
        frame = frame.assign(age_scaled=(age - age.mean()) / age.std(ddof=0))
    return frame


@functools.cache
def of_regression(data: str, formula: str) -> dict[Key, float]:
    """What R prints of an ordinary regression."""
    import statsmodels.formula.api as models

    frame = _as_in_the_document(data)
    m = models.ols(formula, frame).fit()
    found: dict[Key, float] = {}
    for name in m.params.index:
        found[("coefficients", name)] = float(m.params[name])
        found[("standard errors", name)] = float(m.bse[name])
        found[("t values", name)] = float(m.tvalues[name])
        found[("p values", name)] = float(m.pvalues[name])
    for name, value in (
        ("residual standard error", math.sqrt(m.mse_resid)),
        ("residual df", m.df_resid),
        ("R squared", m.rsquared),
        ("adjusted R squared", m.rsquared_adj),
        ("F", m.fvalue),
        ("df of F", m.df_model),
        ("p of F", m.f_pvalue),
        ("RMSE", math.sqrt(float(np.mean(np.asarray(m.resid) ** 2)))),
        ("nobs", m.nobs),
        ("parameters", len(m.params) + 1),
        ("log-likelihood", m.llf),
        ("deviance", -2 * m.llf),
        ("AIC", m.aic + 2),  # R counts sigma
        ("BIC", m.bic + math.log(m.nobs)),
    ):
        found[(name, "")] = float(value)
    cells = {name: float(value) for name, value in m.params.items() if "[" in str(name)}
    for name, value in cells.items():  # without an intercept, as deviations from their mean
        found[("centred coefficients", name)] = value - sum(cells.values()) / len(cells)
    for name, value in zip(QUANTILES, np.quantile(m.resid, [0, 0.25, 0.5, 0.75, 1]), strict=True):
        found[("residuals", name)] = float(value)
    return found


@functools.cache
def by_subject(data: str, formula: str) -> dict[Key, float]:
    """Coefficients of a regression for each level of the factor behind the bar."""
    import statsmodels.formula.api as models

    fixed, group = (part.strip() for part in formula.split("|"))
    found: dict[Key, float] = {}
    for level, own in datasets.load(data).groupby(group, observed=True):
        m = models.ols(fixed, own).fit()
        for name, value in m.params.items():
            found[("coefficients", f"{name}[{level}]")] = float(value)
    return found


@functools.cache
def of_data(data: str) -> dict[Key, float]:
    """The numeric columns of a data set, by column and row."""
    frame = _as_in_the_document(data)
    numbers = frame.select_dtypes("number")
    return {
        (str(column), str(i + 1)): float(value)
        for column in numbers
        for i, value in enumerate(numbers[column])
    } | {("rows", ""): float(len(frame))}


@functools.cache
def of_pairs(data: str) -> dict[Key, float]:
    """R's paired t test of the first condition against the second."""
    from scipy import stats

    frame = datasets.load(data)
    one, two = (own["value"].to_numpy() for _, own in frame.groupby("condition", observed=True))
    test = stats.ttest_rel(one, two)
    limits = test.confidence_interval(0.95)
    values = {
        "t": test.statistic,
        "df": test.df,
        "p value": test.pvalue,
        "lower limit": limits.low,
        "upper limit": limits.high,
        "mean of the differences": float(np.mean(one - two)),
    }
    return {(name, ""): float(value) for name, value in values.items()}


@functools.cache
def of_comparison(data: str, formula: str) -> dict[Key, float]:
    """The likelihood-ratio test of a mixed model against its regression without random effects."""
    from lmerbridge.model import lm, lmer

    frame = _as_in_the_document(data)
    fixed = formula.split(" + (")[0]
    table = lmer(formula, frame, engine="native").anova(lm(fixed, frame))
    return {(str(name), ""): float(table[name].iloc[1]) for name in table}


@dataclass(frozen=True)
class Published:
    """One printed number by one engine.

    ``kind``: ``reproduced``; ``reason holds`` (it does not, and the reason and the expected value
    stand); ``reason not needed``; ``differs``; ``not run`` (``text`` says why).
    """

    value: PublishedValue
    engine: str
    kind: str
    found: float = math.nan
    text: str = ""


@dataclass(frozen=True)
class PublishedReport:
    """All of them."""

    checks: tuple[Published, ...]

    @property
    def well(self) -> bool:
        return not any(c.kind in ("differs", "reason not needed") for c in self.checks)


def _judged(
    value: PublishedValue,
    engine: str,
    found: float,
    default: float = math.nan,
    polished: float = math.nan,
    error: float = 0.0,
) -> Published:
    """``default`` and ``polished``: what lme4 itself gives, where that is known; ``error``: the
    standard error of a fixed effect.
    """
    if value.reproduced_by(found):
        return Published(value, engine, "reproduced", found)
    moved = value.reproduced_by(default) and not value.reproduced_by(polished)
    if moved and abs(found - polished) <= 1e-5 * abs(polished):
        return Published(value, engine, "reason holds", found, STOPPED)
    if value.reason:
        limit = max(NEAR * abs(value.expected), NEAR_ERROR * error)
        if abs(found - value.expected) <= limit + value.half:
            return Published(value, engine, "reason holds", found)
    return Published(value, engine, "differs", found)


def _stale(value: PublishedValue) -> bool:
    """Whether what is expected rounds to what is printed after all."""
    if not value.reason or not value.source:
        return False
    return value.reproduced_by(value.expected, slack=0.0)


def _of_case(case: Case, quantities: Quantities) -> Mapping[Key, float]:
    frame = build_frame(case.formula, read_data(case), **case.arguments())
    return of_fit(quantities, frame.y)


def _stored(
    case: Case, which: str, tables: dict[tuple[str, str], Mapping[Key, float]]
) -> Mapping[Key, float]:
    """What lme4 gives by default or polished, where golden values say so."""
    at = (case.name, f"golden {which}")
    if at not in tables:
        record = golden(case)
        tables[at] = {} if record is None else _of_case(case, of_golden(record, which, which))
    return tables[at]


def check_published(reports: Sequence[CaseReport]) -> PublishedReport:
    """Check every printed number against every engine that fitted its case."""
    by_name = {r.case.name: r for r in reports}
    tables: dict[tuple[str, str], Mapping[Key, float]] = {}
    checks: list[Published] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for value in load_published():
            checks += _one(value, by_name, tables)
    return PublishedReport(tuple(checks))


def _without_mixed(kind: str, data: str, formula: str) -> dict[Key, float]:
    if kind == "lm":
        return of_regression(data, formula)
    if kind == "lmList":
        return by_subject(data, formula)
    if kind == "lrt":
        return of_comparison(data, formula)
    return of_data(data) if kind == "data" else of_pairs(data)


def _one(
    value: PublishedValue,
    by_name: Mapping[str, CaseReport],
    tables: dict[tuple[str, str], Mapping[Key, float]],
) -> list[Published]:
    if _stale(value):
        return [Published(value, "", "reason not needed", value.expected)]
    if not value.source:
        return [
            Published(
                value,
                "",
                "not run",
                text=value.reason or "a count or a text about the data, not of a fit",
            )
        ]
    key = (value.quantity, value.key)
    kind, _, rest = value.source.partition(":")
    if kind in ("lm", "lmList", "lrt", "data", "t"):
        data, _, formula = rest.partition(":")
        if not datasets.is_local(data):
            return [Published(value, "", "not run", text=f"{data} is not on this machine")]
        return [_judged(value, "data or regression", _without_mixed(kind, data, formula)[key])]
    only = None
    name = value.source
    if name.startswith("plain:"):
        name, only = name.removeprefix("plain:"), "statsmodels-plain"
    report = by_name.get(name)
    if report is None:
        return [Published(value, "", "not run", text=f"the case {name} was not run")]
    if report.skipped:
        return [Published(value, "", "not run", text=report.skipped)]
    checks = []
    for outcome in report.outcomes:
        if outcome.quantities is None or (only or outcome.engine) != outcome.engine:
            continue
        if only is None and outcome.engine not in ("lme4", "native", "statsmodels"):
            continue
        at = (name, outcome.engine)
        if at not in tables:
            tables[at] = _of_case(report.case, outcome.quantities)
        found_value = tables[at].get(key)
        if found_value is None:
            text = f"{outcome.engine} does not give {value.quantity}"
            checks.append(Published(value, outcome.engine, "not run", text=text))
        else:
            stored = [
                _stored(report.case, which, tables).get(key, math.nan)
                for which in ("default", "polished")
            ]
            default, polished = [math.nan] * 2 if outcome.engine == "lme4" else stored
            error = 0.0
            if value.quantity == "fixed effects":
                error = tables[at].get(("standard errors", value.key), 0.0)
            given = (default, polished, error)
            checks.append(_judged(value, outcome.engine, found_value, *given))
    if not checks:
        who = only or "no engine"
        return [Published(value, "", "not run", text=f"{who} did not fit it here")]
    return checks


def _counted(what: str, reasons: Mapping[str, int]) -> list[str]:
    """How many there are for each reason."""
    said = "; ".join(f"{count} ({reason})" for reason, count in reasons.items())
    return (
        textwrap.wrap(f"{what}: {said}", width=DEFAULT_COLUMNS, subsequent_indent="  ")
        if said
        else []
    )


def published_text(report: PublishedReport) -> str:
    """How many are reproduced, by document and engine; each that is not; nothing left out."""
    engines = list(dict.fromkeys(c.engine for c in report.checks if c.engine))
    rows = []
    for document, title in DOCUMENTS.items():
        own = [c for c in report.checks if c.value.document == document]
        row: list[Any] = [f"{document}: {title}", len({id(c.value) for c in own})]
        for engine in engines:
            kinds = Counter(c.kind for c in own if c.engine == engine)
            said = []
            if kinds["reproduced"]:
                said.append(str(kinds["reproduced"]))
            if kinds["reason holds"]:
                said.append(f"{kinds['reason holds']} explained")
            if kinds["differs"]:
                said.append(f"{kinds['differs']} DIFFER")
            row.append(", ".join(said))
        rows.append(row)
    lines = [
        "Numbers that the source documents print, reproduced to their printed digits:",
        "",
        tabulate(rows, headers=["document", "printed", *engines], disable_numparse=True),
    ]
    for c in report.checks:
        if c.kind in ("differs", "reason not needed"):
            lines.append(
                f"document {c.value.document}, line {c.value.line} ({c.value.place}): printed "
                f"{c.value.printed}, {c.engine} {c.found:.10g}: {c.kind}"
                + (f" ({c.value.reason})" if c.value.reason else "")
            )
    reasons = Counter(c.text for c in report.checks if c.kind == "not run")
    lines += _counted("not checked", reasons)
    why = Counter(c.text or c.value.reason for c in report.checks if c.kind == "reason holds")
    lines += _counted("explained", why)
    total = len({id(c.value) for c in report.checks})
    good = {id(c.value) for c in report.checks if c.kind in ("reproduced", "reason holds")}
    lines.append(f"{total} printed numbers, {len(good)} checked and accounted for.")
    return "\n".join(lines)


def main() -> int:
    """Run the suite and the zoo, print both proofs, and return the exit status."""
    cases = [*all_cases(), *load_cases(HERE.parent / "zoo.toml")]
    reports = run_cases(for_a_run(cases, [], []), available_engines())
    print(overview_text(reports))
    published = check_published(reports)
    print(f"\n{published_text(published)}")
    absent = missing(reports)
    for sentence in absent.values():
        print(sentence, file=sys.stderr)
    well = published.well and not absent and all(report.well for report in reports)
    print(
        "All is well: what the documents print comes out, digit by digit, or it is known why not."
        if well
        else "NOT WELL: what is in capitals above needs care."
    )
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
