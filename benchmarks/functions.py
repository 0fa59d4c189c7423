"""Makes docs/functions.md: every function for what comes after the fit, its R counterpart, the
models it was compared on, and the worst difference: ``make functions`` (no R needed; R's answers are
in reference/inference/golden).

Unless said otherwise everything is computed at the theta that R's lme4 ended at, so that what is
compared is the function, not the optimizer.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))
import after  # noqa: E402
import lmerbridge as lb  # noqa: E402
import test_means  # noqa: E402
from r_here import STORED_DIALECT  # noqa: E402

NAMES = list(after.CASES)


def _asked(question: str) -> Iterator[str]:
    for name in NAMES:
        record = after.answers(name).get(question)
        if record is None or "failure" in record:
            continue
        # performance has no answer for a singular fit
        if question in ("r2", "icc") and at_singular(name):
            continue
        yield name


def at_singular(name: str) -> bool:
    return bool(after.at_r(name).isSingular())


def relative(ours: Any, theirs: Any, floor: float = 0.0) -> float:
    """Largest difference, relative to R's value or, where that is small, to the column's largest."""
    a, b = np.asarray(ours, float), np.asarray(theirs, float)
    both = np.isfinite(a) & np.isfinite(b)
    if not both.any():
        return 0.0
    scale = np.maximum(np.abs(b), floor if floor else 1e-8 * np.abs(b[both]).max(initial=0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(a == b, 0.0, np.abs(a - b) / scale)
    return float(np.nanmax(np.where(both, found, 0.0)))


def over(question: str, measure: Callable[[str], float], skip: tuple[str, ...] = ()) -> str:
    """How many models, and the worst difference with its model."""
    found = {name: measure(name) for name in _asked(question) if name not in skip}
    worst = max(found, key=lambda n: found[n])
    return f"{len(found)} | {found[worst]:.1e} ({worst})"


def summary_column(question: str, ddf: str, column: int, label: str) -> Callable[[str], float]:
    def measure(name: str) -> float:
        table = after.at_r(name).summary(ddf=ddf).coefficients
        return relative(table[label], after.values(name, question)[:, column])

    return measure


def anova(type: int, ddf: str, question: str) -> Callable[[str], float]:
    def measure(name: str) -> float:
        table = after.at_r(name).anova(type=type, ddf=ddf)
        if not len(table):
            return 0.0
        R = after.values(name, question)
        return max(relative(table["F value"], R[:, 4]), relative(table["DenDF"], R[:, 3]))

    return measure


def last_column(call: Callable[[Any], Any], question: str, refit: bool) -> Callable[[str], float]:
    def measure(name: str) -> float:
        m = after.fitted(name) if refit else after.at_r(name)
        table = call(m).to_numpy(float)
        R = after.values(name, question)
        if not len(table) or table.shape != R.shape:
            return 0.0
        return relative(table, R, floor=1e-2)

    return measure


def vector(call: Callable[[Any], Any], question: str) -> Callable[[str], float]:
    return lambda name: relative(call(after.at_r(name)), after.values(name, question), floor=1e-6)


def profile_interval(name: str) -> float:
    R = after.values(name, "confint_profile")
    ours = after.fitted(name).confint().to_numpy()
    return float((np.abs(ours - R) / (R[:, 1] - R[:, 0])[:, None]).max())


def means(prefix: tuple[str, ...], columns: tuple[str, ...]) -> str:
    count, worst, where = 0, 0.0, ""
    models = set()
    for name, question in test_means.QUESTIONS:
        record = after.answers(name)[question]
        if not question.startswith(prefix) or "failure" in record:
            continue
        if question in test_means.INEXACT:
            continue
        table = test_means.ours(name, question).table
        R = record["value"]
        for column in columns:
            if column not in table or column not in R["columns"]:
                continue
            theirs = [after.number(v) for v in R["values"][R["columns"].index(column)]]
            difference = relative(table[column], theirs, floor=1e-4)
            if difference > worst:
                worst, where = difference, f"{name}, {question}"
        count += 1
        models.add(name)
    return f"{len(models)} ({count} questions) | {worst:.1e} ({where})"


def influence_of(key: str) -> Callable[[str], float]:
    def measure(name: str) -> float:
        m = after.fitted(name)
        found = m.influence(m.frame.random[0].group)
        value = after.answers(name)["influence"]["value"]
        rows = value["dfbeta"]["rows"]
        if key == "cooks":
            R = np.array([after.number(v) for v in value["cooks"]["values"]])
            return float(np.abs(found.cooks_distance().loc[rows] - R).max() / R.max())
        R = np.array([[after.number(v) for v in c] for c in value["dfbeta"]["values"]]).T
        ours = found.dfbeta().loc[rows].to_numpy()
        return float((np.abs(ours - R).max(axis=0) / np.abs(R).max(axis=0)).max())

    return measure


def main() -> None:
    warnings.simplefilter("ignore")
    lb.options(dialect=STORED_DIALECT)
    KR = ("weighted",)
    rows = [
        (
            "`m.predict(re_form='NA')`",
            "`predict(m, re.form = NA)`",
            over("fitted_marginal", vector(lambda m: m.predict(re_form="NA"), "fitted_marginal")),
        ),
        (
            "`m.predict(newdata, re_form, allow_new_levels)`",
            "`predict(m, newdata, ...)`",
            over(
                "predict_new",
                vector(
                    lambda m: m.predict(
                        __import__("pandas").DataFrame(
                            {"Days": [0, 5, np.nan, 20], "Subject": ["308", "372", "308", "335"]}
                        )
                    ),
                    "predict_new",
                ),
            ),
        ),
        (
            "`m.summary(ddf='Satterthwaite')`, df",
            "lmerTest `summary(m)`",
            over(
                "summary_satterthwaite",
                summary_column("summary_satterthwaite", "Satterthwaite", 2, "df"),
            ),
        ),
        (
            "`m.summary(ddf='Kenward-Roger')`, df",
            "lmerTest and pbkrtest",
            over("summary_kr", summary_column("summary_kr", "Kenward-Roger", 2, "df"), KR),
        ),
        (
            "... its adjusted standard errors",
            "pbkrtest `vcovAdj`",
            over("summary_kr", summary_column("summary_kr", "Kenward-Roger", 1, "Std. Error"), KR),
        ),
        *[
            (
                f"`m.anova(type={t})`, F and its df",
                f"lmerTest `anova(m, type = {t})`",
                over(f"anova_{t}", anova(t, "Satterthwaite", f"anova_{t}")),
            )
            for t in (1, 2, 3)
        ],
        (
            "`m.anova(ddf='Kenward-Roger')`, F and its df",
            '`anova(m, ddf = "Kenward-Roger")`',
            over("anova_kr", anova(3, "Kenward-Roger", "anova_kr"), KR),
        ),
        (
            "`m.anova(ddf='lme4')`",
            "lme4 `anova(m)`",
            over("anova_lme4", last_column(lambda m: m.anova(ddf="lme4"), "anova_lme4", False)),
        ),
        (
            "`m.drop1()`",
            "lmerTest `drop1(m)`",
            over("drop1", last_column(lambda m: m.drop1(), "drop1", False)),
        ),
        (
            "`m.drop1(ddf='lme4', test='Chisq')` (our optimum)",
            'lme4 `drop1(m, test = "Chisq")`',
            over(
                "drop1_lme4",
                last_column(
                    lambda m: m.drop1(ddf="lme4", test="Chisq")[["npar", "AIC"]], "drop1_lme4", True
                ),
            ),
        ),
        (
            "`m.ranova()` (our optimum)",
            "lmerTest `ranova(m)`",
            over("ranova", last_column(lambda m: m.ranova(), "ranova", True)),
        ),
        ("`m.KRmodcomp(m0)`", "pbkrtest `KRmodcomp`", "1 | text the same (tests)"),
        ("`m.PBmodcomp(m0)`", "pbkrtest `PBmodcomp`", "1 | statistic the same; p by simulation"),
        ("`m.anova(m1, m2, fm)`", "`anova(m, m1, m2, fm)`", "4 tables | text the same (tests)"),
        (
            "`m.contest(L)`",
            "lmerTest `contest(m, L)`",
            "1 | {:.1e}".format(
                relative(after.at_r("sleep").contest(np.eye(2)), after.values("sleep", "contest"))
            ),
        ),
        (
            "`m.confint()` (our optimum; of the interval's width)",
            "`confint(m)`",
            over("confint_profile", profile_interval),
        ),
        (
            "`m.confint('Wald')`",
            '`confint(m, method = "Wald")`',
            over(
                "confint_wald",
                lambda n: relative(after.at_r(n).confint("Wald"), after.values(n, "confint_wald")),
            ),
        ),
        (
            "`m.profile()`",
            "`profile(m)`",
            "1 (90 points) | at 3 points R's deviance is higher, else 2e-4 of zeta (tests)",
        ),
        ("`m.bootMer()`, `m.confint('boot')`", "`bootMer(m)`", "by theory and moments (tests)"),
        (
            "`m.emmeans()`: estimates and SE",
            "emmeans",
            means(("emm_",), ("emmean", "SE", "response")),
        ),
        (
            "`m.emmeans()`: limits",
            "emmeans",
            means(("emm_",), ("lower.CL", "upper.CL", "asymp.LCL", "asymp.UCL")),
        ),
        (
            "`.contrasts(method, adjust)`: p-values",
            "emmeans `contrast`, `pairs`",
            means(("pairs_", "contrast_", "adjust_"), ("p.value",)),
        ),
        (
            "`m.emtrends()`",
            "emmeans `emtrends`",
            means(("trends",), ("Time.trend", "sens2.trend", "SE")),
        ),
        (
            "`m.hatvalues()`",
            "`hatvalues(m)`",
            over("hatvalues", vector(lambda m: m.hatvalues(), "hatvalues")),
        ),
        (
            "`m.cooks_distance()`",
            "`cooks.distance(m)`",
            over("cooks", vector(lambda m: m.cooks_distance(), "cooks")),
        ),
        (
            "`m.influence(g).dfbeta()` (our optima; of the largest)",
            "`dfbeta(influence(m, g))`",
            over("influence", influence_of("dfbeta")),
        ),
        (
            "`m.influence(g).cooks_distance()` (of the largest)",
            "`cooks.distance(influence(m, g))`",
            over("influence", influence_of("cooks")),
        ),
        (
            "`m.vif()`",
            "car `vif(m)`",
            over(
                "vif",
                lambda n: relative(
                    after.at_r(n).vif()
                    if "columns" in after.answers(n)["vif"]["value"]
                    else after.at_r(n).vif()["GVIF"],
                    after.values(n, "vif"),
                ),
            ),
        ),
        (
            "`m.r2()`",
            "performance `r2_nakagawa(m)`",
            over(
                "r2",
                lambda n: relative(
                    [after.at_r(n).r2().conditional, after.at_r(n).r2().marginal],
                    after.values(n, "r2"),
                    floor=1e-6,
                ),
                ("sleep-zcp",),
            ),
        ),
        (
            "`m.icc()`",
            "performance `icc(m)`",
            over(
                "r2",
                lambda n: relative([after.at_r(n).icc().adjusted], [after.values(n, "icc")[0]]),
                ("sleep-zcp",),
            ),
        ),
        (
            "`m.rmse()`",
            "performance `rmse(m)`",
            over("rmse", lambda n: relative([after.at_r(n).rmse()], after.values(n, "rmse"))),
        ),
        (
            "`m.rePCA()`",
            "`rePCA(m)`",
            over(
                "pca",
                lambda n: max(
                    relative(
                        after.at_r(n).rePCA()[g].sdev, [after.number(v) for v in r["values"]], 1e-6
                    )
                    for g, r in after.answers(n)["pca"]["value"].items()
                ),
            ),
        ),
        ("`lb.lm()`, `lb.glm()`", "`lm()`, `glm()`", "2 | text the same (tests)"),
        (
            "`lb.lmList()`",
            "lme4 `lmList()`",
            "1 | {:.1e}".format(
                relative(
                    lb.lmList("Reaction ~ Days | Subject", after.data_of("sleep")).coef(),
                    after.values("sleep", "lmlist"),
                )
            ),
        ),
        (
            "`m.pooling()`, `m.quantile_residuals()`, `m.allFit()`, `lb.simulate_design()`",
            "no one function; `allFit(m)`",
            "by identities and by theory (tests)",
        ),
    ]
    table = []
    for ours, theirs, said in rows:
        models, _, worst = said.rpartition(" | ")
        table.append((ours, theirs, models, worst))
    text = tabulate(
        table,
        ["here", "R", "models", "worst difference (relative)"],
        tablefmt="github",
        disable_numparse=True,
    )
    path = ROOT / "docs" / "functions.md"
    path.write_text(HEAD + text + "\n" + TAIL + differences(), "utf-8")
    print(text)


HEAD = """# What comes after the fit, and R

Made by `make functions` from R's answers in `reference/inference/golden` (R 4.2.2, lme4 1.1-31,
lmerTest 3.1-3, pbkrtest 0.5.2, emmeans 1.8.4, performance and car of Debian 12; `make golden` makes
them again). The models are those of `reference/inference/models.toml`. Unless said otherwise
everything is computed at the theta that lme4 ended at, so that the function is compared and not the
optimizer; p-values below 1e-4 are compared absolutely.

"""
TAIL = "\n## Where R and we differ, and who is right\n\n"


def differences() -> str:
    """The files of docs/differences, one per subject, in order of their numbers."""
    files = sorted((ROOT / "docs" / "differences").glob("*.md"))
    return "\n".join(file.read_text("utf-8") for file in files)


if __name__ == "__main__":
    main()
