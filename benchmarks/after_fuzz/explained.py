"""Differences that are explained: each names who is right, and docs/functions.md has the proof."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

import lmerbridge as lb
from after_fuzz.at_theta import at_theta, without_structures
from after_fuzz.compare import numbers_differ, text_differs
from after_fuzz.models import Made
from after_fuzz.questions import Asked, Question
from lmerbridge.inference import studentized_range
from lmerbridge.inference.hypotheses import term_hypotheses

__all__ = ["explanation"]


@dataclass(frozen=True)
class Case:
    """A difference, and everything that may explain it."""

    made: Made
    question: Question
    differs: str
    value: Any
    r: dict[str, Any]
    asked: Asked

    @property
    def r_text(self) -> str:
        lines = self.r.get("text") or []
        return "\n".join(lines if isinstance(lines, list) else [lines])

    @property
    def grid(self) -> Any:
        """The linear functions of a table of means or contrasts, or ``None``."""
        return getattr(self.value, "grid", None)

    def theirs_is(self, grid: Any) -> bool:
        """Whether R's numbers are those of this grid."""
        return numbers_differ(grid.table(), self.r.get("value"), 2e-4) is None

    @property
    def kenward_roger(self) -> bool:
        code = self.question.code.lower()
        return "kenward" in code or "krmodcomp" in code


Rule = Callable[[Case], bool]
RULES: dict[str, Rule] = {}


def rule(name: str) -> Callable[[Rule], Rule]:
    """Add a rule under the name that the report gives it."""

    def add(function: Rule) -> Rule:
        RULES[name] = function
        return function

    return add


@rule("pbkrtest leaves prior weights out of Kenward-Roger (ours right)")
def _weights(case: Case) -> bool:
    return "weights" in case.made.traits and case.kenward_roger and "R refuses" not in case.differs


@rule("pbkrtest takes covariance structures for unstructured terms (ours: the structure's)")
def _unstructured(case: Case) -> bool:
    """R's answer is ours of the same Lambda with all parameters of unstructured terms."""
    if "structured" not in case.made.traits or not case.kenward_roger:
        return False
    asked = case.asked
    others = {name: without_structures(m) for name, m in asked.others.items()}
    value = case.question.ours(replace(asked, m=without_structures(asked.m), others=others))
    table = getattr(value, "table", value)
    found = getattr(value, "coefficients", table)
    if case.question.compared == "text":
        return text_differs(str(value), case.r_text, 2e-3) is None
    return numbers_differ(found, case.r.get("value"), 2e-4) is None


@rule("SATmodcomp differentiates by theta where lme4 2.1 takes par: other df (ours as lmerTest's)")
def _theta_for_par(case: Case) -> bool:
    """Of cs() and ar1(), whose theta is not their parameters; the statistic is R's."""
    if "SATmodcomp" not in case.question.code or not re.search(r"(cs|ar1)\(", case.made.formula):
        return False
    if "R refuses: infinite or missing values in 'x'" in case.differs:
        return True
    ours, theirs = (
        re.search(r"^\[1,\] +(\S+) +(\S+)", text, re.M) for text in (str(case.value), case.r_text)
    )
    return ours is not None and theirs is not None and ours.groups() == theirs.groups()


@rule("lme4 2.1's refits with structures end in NaN, or in an error of its own (ours right)")
def _structured_refits(case: Case) -> bool:
    if "structured" not in case.made.traits or not case.question.refits:
        return False
    errors = ("starting value of 'par' has length", "no applicable method for `@`",
              "infinite or missing values in 'x'", "invalid 'times' argument")  # fmt: skip
    if case.differs.removeprefix("R refuses: ").startswith(errors):
        return True
    return bool(
        re.search(r"column '(AIC|BIC|LRT|Chisq|logLik)': .*: [-\d.]+, R: nan$", case.differs)
    )


@rule("the signs of the rows of a restriction matrix are arbitrary")
def _signs(case: Case) -> bool:
    if "SATmodcomp" not in case.question.code:
        return False
    ours, theirs = (
        [abs(float(x)) for x in re.findall(r"-?\d+\.\d+(?:e-?\d+)?", text)]
        for text in (str(case.value), case.r_text)
    )
    tolerance = 2e-2 if case.question.refits else 2e-3
    return len(ours) == len(theirs) and all(
        abs(a - b) <= tolerance * max(abs(b), 1e-3) for a, b in zip(ours, theirs, strict=True)
    )


@rule("pbkrtest loses digits of Kenward-Roger's df of one row (ours: the same by dense matrices)")
def _kenward_roger_digits(case: Case) -> bool:
    """All else is R's, and ours where it differs is what the definition gives with no structure."""
    found = case.r.get("value")
    if not case.kenward_roger or not isinstance(found, dict) or "'DenDF'" not in case.differs:
        return False
    if not case.question.code.startswith("anova(m, type = 3") or "weights" in case.made.traits:
        return False
    ours = pd.DataFrame(case.value).copy()
    theirs = dict(zip(found["columns"], found["values"], strict=True))
    hypotheses = term_hypotheses(case.asked.m.frame, 3).matrices
    differ = 0
    for i, label in enumerate(ours.index):
        mine, r = float(ours["DenDF"].iloc[i]), float(theirs["DenDF"][i])
        if abs(mine - r) <= 2e-4 * r:
            continue
        L = hypotheses[str(label)]
        if len(L) != 1 or abs(_dense_df(case.asked.m, L[0]) - mine) > 1e-6 * mine:
            return False
        own = stats.f.sf(ours["F value"].iloc[i], 1, r)
        if abs(own - float(theirs["Pr(>F)"][i])) > 1e-3 * own:
            return False
        ours.loc[label, ["DenDF", "Pr(>F)"]] = r, float(theirs["Pr(>F)"][i])
        differ += 1
    return differ > 0 and numbers_differ(ours, found, 2e-4) is None


def _dense_df(m: Any, row: Any) -> float:
    """Kenward and Roger's df of one contrast: the covariance matrix of the observations is linear in
    the variances and covariances, whose expected information is made of n x n matrices.
    """
    frame, theta = m.frame, m.result.estimates.theta
    parts, V, start = [np.eye(frame.nobs)], np.eye(frame.nobs), 0
    for block in frame.random:
        same = block.codes[:, None] == block.codes[None, :]
        columns, k = block.columns, block.columns.shape[1]
        factor = np.zeros((k, k))
        lower = [(i, j) for j in range(k) for i in range(j, k)]
        for (i, j), value in zip(lower, theta[start:], strict=False):
            factor[i, j] = value
        start += len(lower)
        V += same * (columns @ factor @ factor.T @ columns.T)
        for i, j in lower:
            outer = np.outer(columns[:, i], columns[:, j])
            parts.append(same * (outer + outer.T) / 2)
    inverse, X = np.linalg.inv(V), frame.X
    phi = np.linalg.inv(X.T @ inverse @ X)
    P = inverse - inverse @ X @ phi @ X.T @ inverse
    weighted = [P @ part for part in parts]
    information = [[np.trace(a @ b) / 2 for b in weighted] for a in weighted]
    along = inverse @ X @ phi @ row
    slopes = np.array([along @ part @ along for part in parts])
    return float(2 * (row @ phi @ row) ** 2 / (slopes @ np.linalg.solve(information, slopes)))


@rule("R puts an intercept in where drop1 leaves a model without one (ours right)")
def _intercept(case: Case) -> bool:
    return "~ 0 +" in case.made.formula and case.question.code.startswith("drop1(m4")


@rule("what a refit in R says of its own search and of its columns, again at each refit")
def _refit_says(case: Case) -> bool:
    words = (
        "Model failed to converge",
        "unable to evaluate scaled gradient",
        "boundary (singular)",
        "Model is nearly unidentifiable",
        "fixed-effect model matrix is rank deficient",
    )
    refits = case.question.refits or "modcomp" in case.question.code
    return (
        refits and case.differs.startswith("not said: ") and any(w in case.differs for w in words)
    )


@rule("lme4 predicts for new data without the argument offset= (ours right)")
def _offset_predict(case: Case) -> bool:
    return case.made.offset is not None and "newdata" in case.question.code


@rule("emmeans' joint test of means leaves the offset out, its t tests do not (ours right)")
def _offset_joint(case: Case) -> bool:
    code = case.question.code
    return "offset" in case.made.traits and code.startswith("test(emmeans") and "joint" in code


@rule("emmeans fails where the model has an offset")
def _offset_fails(case: Case) -> bool:
    words = (
        "argument lengths differ",
        "duplicate 'row.names'",
        "missing value where TRUE/FALSE",
        "Perhaps a 'data' or 'params' argument is needed",  # 2.0.4 with poly(x, 2) or log(x)
    )
    return "offset" in case.made.traits and any(f"R refuses: {w}" in case.differs for w in words)


@rule("lmerTest's drop1 fails on log(y) ~ a:b, not on a column of logarithms (ours right)")
def _nothing_left(case: Case) -> bool:
    single = len(case.asked.m.frame.design.x_terms) == 1 and "transformed" in case.made.traits
    said = "R refuses: no terms component nor attribute"
    return single and case.question.area == "drop1" and case.differs == said


@rule("emmeans adjusts contrasts within nests as one family, and prints them by the alphabet")
def _nests(case: Case) -> bool:
    grid = case.grid
    if grid is None or not (grid.contrast and grid.by and grid.nesting):
        return False
    whole = re.search(r"tukey method for comparing a family of (\d+) estimates", case.r_text)
    if whole is not None:
        if int(whole.group(1)) not in (len(grid.L), grid.family):
            return False
        grid = replace(grid, family=int(whole.group(1)))
    blocks = [sorted(re.findall(r"^.* = .*:$", t, re.M)) for t in (str(case.value), case.r_text)]
    return blocks[0] == blocks[1] and case.theirs_is(grid)


@rule("emmeans counts one dimension too many among effects for Scheffe's method (ours right)")
def _scheffe(case: Case) -> bool:
    rank = re.search(r"scheffe method with rank (\d+)", case.r_text)
    if case.grid is None or rank is None or 'eff"' not in case.question.code:
        return False
    theirs = int(rank.group(1))
    return max(case.grid.ranks()) == theirs - 1 and case.theirs_is(
        replace(case.grid, scheffe_rank=theirs)
    )


@rule("emmeans' Tukey tests on whole degrees of freedom where a row cannot be estimated")
def _whole_df(case: Case) -> bool:
    """Its p-values are R's own ``ptukey`` at rounded degrees of freedom."""
    grid, table = case.grid, case.r.get("value")
    if grid is None or grid.adjustment(False)[0] != "tukey" or bool(grid.estimable.all()):
        return False
    if not (isinstance(table, dict) and "column 'p.value'" in case.differs):
        return False
    t, _ = grid.tests()
    theirs = table["values"][table["columns"].index("p.value")]
    at = [
        (studentized_range.sf(np.sqrt(2) * abs(a), grid.family, round(df)), p)
        for a, df, p in zip(t.tolist(), grid.numbers[2].tolist(), theirs, strict=True)
        if not np.isnan(a) and isinstance(p, float)
    ]
    return bool(at) and all(abs(ours - p) <= 1e-5 for ours, p in at)


@rule(
    "R's ptukey is NaN below 2 degrees of freedom, and its qtukey loses digits at few (ours right)"
)
def _tukey_below_2(case: Case) -> bool:
    """Ours there are scipy's, which integrates in its own way; all else is R's."""
    grid, found = case.grid, case.r.get("value")
    if grid is None or not isinstance(found, dict) or "columns" not in found:
        return False
    if grid.response and grid.link is not None:  # limits of which are not estimate and error alone
        return False
    ours, theirs = (
        case.value.table.copy(),
        dict(zip(found["columns"], found["values"], strict=True)),
    )
    estimate, error, df = grid.numbers
    checked = 0
    for name in ("p.value", "lower.CL", "upper.CL"):
        if name not in ours or name not in theirs:
            continue
        for i, value in enumerate(theirs[name]):
            mine = float(ours[name].iloc[i])
            missing = value is None or isinstance(value, str)
            if not missing and abs(mine - value) <= 2e-4 * abs(value):
                continue
            width = abs(mine - estimate[i]) if name != "p.value" else abs(mine)
            near = not missing and abs(mine - value) <= 2e-3 * width
            if not (near or df[i] < 2):
                return False
            if name == "p.value":
                q, p = np.sqrt(2) * abs(estimate[i] / error[i]), mine
            else:
                q, p = np.sqrt(2) * abs(mine - estimate[i]) / error[i], 1 - grid.level
            if abs(stats.studentized_range.sf(q, grid.family, df[i]) - p) > 1e-5:
                return False
            ours.loc[ours.index[i], name] = np.nan if missing else value
            checked += 1
    return checked > 0 and numbers_differ(ours, found, 2e-4) is None


@rule("a mean of the scaled response is 0, of which both show the rounding")
def _zero_mean(case: Case) -> bool:
    """What is below 1e-12 of the standard error is as good as 0 in both answers."""
    grid, found = case.grid, case.r.get("value")
    if grid is None or not isinstance(found, dict) or "columns" not in found:
        return False
    ours, theirs = case.value.table.copy(), {"columns": found["columns"], "values": []}
    tiny = np.abs(grid.numbers[0]) < 1e-12 * grid.numbers[1]
    for name, values in zip(found["columns"], found["values"], strict=True):
        own = list(values)
        if name in (grid.estimate, "t.ratio", "z.ratio"):
            unit = grid.numbers[1] if name == grid.estimate else np.ones(len(own))
            for i in np.flatnonzero(tiny):
                if not abs(float(own[i])) < 1e-12 * unit[i]:
                    return False
                own[i] = 0.0
                ours.loc[ours.index[i], name] = 0.0
        theirs["values"].append(own)
    return bool(tiny.any()) and numbers_differ(ours, theirs, 2e-4) is None


@rule("effects of a single mean: other labels of what is nothing")
def _one_mean(case: Case) -> bool:
    return "overall effect" in case.r_text and 'eff"' in case.question.code


@rule("pbkrtest tests the first coefficient where the hypothesis is 0 = 0 (ours: nothing to test)")
def _nothing_to_test(case: Case) -> bool:
    m = case.asked.m
    if not (case.question.code.startswith("contest(m") and case.kenward_roger):
        return False
    if not np.isnan(np.asarray(case.value, dtype=float)[:, 3:]).all():  # also where there is no row
        return False
    own = m.contest(np.eye(len(m.fixef()))[:1], ddf="Kenward-Roger")
    return numbers_differ(own, case.r.get("value"), 2e-4) is None


@rule("R's own optimum is above ours")
def _above(case: Case) -> bool:
    m, own = case.asked.m.result.criterion, case.asked.own.result.criterion
    return case.question.refits and m.value > own.value + 1e-3


@rule("R's own optimum is above ours: ranova from there gives R's numbers")
def _ranova_from_there(case: Case) -> bool:
    if case.question.code != "ranova(m)" or "R refuses" in case.differs:
        return False
    return numbers_differ(case.asked.m.ranova(), case.r.get("value"), 2e-2, 1e-3) is None


@rule("a refit in R stops above the optimum: our AIC is lower there")
def _refit_above(case: Case) -> bool:
    if case.question.area not in ("drop1", "ranova") or not case.question.refits:
        return False
    value = case.r.get("value")
    if not isinstance(value, dict) or "AIC" not in value.get("columns", []):
        return False
    theirs = value["values"][value["columns"].index("AIC")]
    pairs = list(zip(case.value["AIC"], theirs, strict=True))
    numbers = [(float(a), float(b)) for a, b in pairs if isinstance(b, (int, float))]
    return all(a <= b + 1e-3 for a, b in numbers) and any(a < b - 1e-3 for a, b in numbers)


@rule("lmerTest's differences in a singular fit are off by up to a thousandth (ours right)")
def _boundary(case: Case) -> bool:
    asymptotic = "asymptotic" in case.question.code
    if case.kenward_roger or asymptotic or "df" not in case.differs.lower():
        return False
    found = re.search(r": ([-0-9.e+]+), R: ([-0-9.e+]+)$", case.differs)
    if not (found and case.asked.m.isSingular()):
        return False
    ours, theirs = map(float, found.groups())
    return abs(ours - theirs) <= 1.5e-3 * abs(theirs)


@rule("a row that the model fits exactly has no Cook's distance (R: 0/0 in rounding)")
def _leverage(case: Case) -> bool:
    exact = np.max(case.asked.m.hatvalues()) > 1 - 1e-8
    return case.question.code == "cooks.distance(m4)" and bool(exact)


@rule("lmerTest 3.2's ranova fails on a transformed response, not on a column of it (ours right)")
def _ranova_fails(case: Case) -> bool:
    words = ("no 'nobs' method is available", "invalid type (", "<text>:1:1: unexpected '*'")
    transformed = "transformed" in case.made.traits and case.question.code == "ranova(m)"
    return transformed and case.differs.removeprefix("R refuses: ").startswith(words)


@rule("emmeans names a scale of slopes that is none (ours says nothing)")
def _scale_of_slopes(case: Case) -> bool:
    code = case.question.code
    return "pairs(emtrends" in code and "(mu + " in case.r_text and "lines, R has" in case.differs


@rule("R fails on a function of the fixed effects that is 0 (ours NaN)")
def _zero(case: Case) -> bool:
    words = ("R refuses: Lapack routine dgesv", "R refuses: NA/NaN/Inf in foreign function call")
    if not case.differs.startswith(words):
        return False
    if case.grid is None:  # a joint test
        return "emtrends" in case.question.code or "~ 1" in case.question.code
    return bool(np.any(~np.any(np.abs(case.grid.L) > 1e-10, axis=1)))


@rule("a warning of R's about its own code")
def _own_code(case: Case) -> bool:
    nan = case.differs == "not said: NaNs produced" and "NaN" in str(case.value)
    return nan or case.differs.startswith("not said: 'length(x) =")


@rule("emmeans' joint tests lose estimable functions under some contrasts (ours right)")
def _lost_functions(case: Case) -> bool:
    """Fewer degrees of freedom for terms, as many in all: the rest counts as confounded."""
    if case.question.area != "joint_tests" or not case.made.contrasts:
        return False
    ours, theirs = _terms(str(case.value)), _terms(case.r_text)
    if "(confounded)" not in theirs or not set(theirs) <= set(ours):
        return False
    if sum(df for df, _ in ours.values()) != sum(df for df, _ in theirs.values()):
        return False
    own = [(ours[t], theirs.get(t, (0, 0.0))) for t in ours if t != "(confounded)"]
    return all(a[0] > b[0] or (a[0] == b[0] and abs(a[1] - b[1]) <= 2e-3) for a, b in own)


def _terms(text: str) -> dict[str, tuple[int, float]]:
    """df1 and F of each row of a printed joint test."""
    rows = re.findall(r"^ (\S+) +(\d+) +\S+ +([\d.]+) +<?[\d.]+", text, re.M)
    return {term: (int(df), float(F)) for term, df, F in rows}


@rule("R has stopped off the optimum, where Satterthwaite's method has no covariance matrix")
def _no_optimum(case: Case) -> bool:
    m, own = case.asked.m.result.criterion, case.asked.own.result.criterion
    if case.kenward_roger or "asymptotic" in case.question.code or m.value <= own.value + 1e-3:
        return False
    joint = "satterthwaite" in case.question.code and "joint" in case.question.code
    return joint or bool(re.search(r"column '(df|DenDF)'", case.differs))


@rule("emmeans shows no ratios where a nest has one mean")
def _no_ratios(case: Case) -> bool:
    grid = case.grid
    if grid is None or not grid.nesting or grid.link is None or "(nothing)" not in str(case.value):
        return False
    return case.theirs_is(replace(grid, link=None, response=False))


@rule("the other rows do not determine an effect, or p = 1: R's deletions fail or lose a column")
def _deletions(case: Case) -> bool:
    if "influence(m4" not in case.question.code:
        return False
    found = case.asked.own.influence(case.made.groups[0]).dfbeta()
    lost = bool(found.isna().any(axis=None))
    return lost or (found.shape[1] == 1 and case.differs.startswith("R refuses"))


@rule("R's refits without a level stop above the optimum: lme4 made to do them gives R's numbers")
def _deletions_above(case: Case) -> bool:
    """Every refit again by lme4 from R's theta: together they are R's answer, none below ours."""
    found = re.match(r"(\S+)\(influence\(m4", case.question.code)
    if found is None:
        return False
    made, whole = case.made, case.asked.m.result.estimates
    group = made.groups[0]
    ours = case.asked.own.influence(group)
    beta, errors = ours.beta.copy(), ours.std_error.copy()
    # to the last bit, on which it can depend where a search ends; R's answers have 15 digits
    start = lb.lmer(**made.arguments(), engine="lme4").result.estimates.parameters.tolist()
    for i, level in enumerate(ours.sets):
        rest = replace(made, data=made.data[made.data[group] != level]).arguments()
        theirs = lb.lmer(**rest, engine="lme4", start=start).result
        here = lb.lmer(**rest, engine="native", start=start).result
        if theirs.estimates.names != whole.names:
            return False
        if theirs.criterion.value < here.criterion.value - 1e-6:
            return False
        beta[i] = theirs.estimates.beta
        errors[i] = np.sqrt(np.diag(theirs.estimates.vcov))
    again = replace(ours, beta=beta, std_error=errors, full=whole.beta, vcov=whole.vcov)
    numbers = getattr(again, found.group(1).replace(".", "_"))()
    return numbers_differ(numbers, case.r.get("value"), 2e-3, 0.1) is None


@rule("what is left without a level is fitted best without residuals, at an infinite theta")
def _no_residuals(case: Case) -> bool:
    """R's search runs there, ours ends at the optimum near the whole fit's theta."""
    made = case.made
    if "influence(m4" not in case.question.code or "structured" in made.traits:
        return False
    for level in made.data[made.groups[0]].cat.categories:
        rest = replace(made, data=made.data[made.data[made.groups[0]] != level]).arguments()
        near = lb.lmer(**rest, engine="native")
        start = [300.0 * x if x else 100.0 for x in near.result.estimates.theta.tolist()]
        far = lb.lmer(**rest, engine="native", start=start)
        lower = far.result.criterion.value < near.result.criterion.value - 1e-3
        if lower and max(far.result.estimates.theta.tolist()) > 300:
            return True
    return False


@rule(
    "KRmodcomp and SATmodcomp fit again by REML, and lme4's refit is above ours: ours there is R's"
)
def _refit_by_reml(case: Case) -> bool:
    """The test at the theta of lme4's own refit by REML is R's, and the criterion no lower."""
    name = case.question.code.removeprefix("pbkrtest::").partition("(")[0]
    if case.made.REML or name not in ("KRmodcomp", "SATmodcomp"):
        return False
    again = replace(case.made, REML=True).arguments()
    theirs = lb.lmer(**again, engine="lme4").result
    here = lb.lmer(**again, engine="native")
    if theirs.criterion.value < here.result.criterion.value + 1e-9:
        return False
    there = at_theta(here, theirs.estimates.theta)
    text = str(getattr(there, name)(case.asked.others["m0"]))
    return text_differs(text.split("\n")[-1], case.r_text.split("\n")[-1], 2e-3) is None


@rule("df2 of a joint test of functions that depend on one another or are not all estimable")
def _joint_df(case: Case) -> bool:
    if "joint" not in case.question.code or "deg" in case.differs:
        return False
    found = re.match(r"' *(.*)', R: ' *(.*)'$", case.differs)
    if found is None or not re.search(r"confounded|  [de]|[de]$", case.r_text):
        return False
    ours, theirs = (re.findall(r"\d+\.?\d*", text) for text in found.groups())
    near = [abs(float(a) - float(b)) <= 1e-3 * float(b) for a, b in zip(ours, theirs, strict=False)]
    same = [i for i, close in enumerate(near) if close]
    return len(ours) == len(theirs) >= 4 and 0 in same and 2 in same  # df1 and F


def _has_empty_cell(made: Made) -> bool:
    """Whether two of the formula's factors have a combination of levels without data."""
    pairs = itertools.combinations(made.factors, 2)
    return any((pd.crosstab(made.data[a], made.data[b]) == 0).any(axis=None) for a, b in pairs)


@rule("emmeans before 1.11.2-8 adjusts for a fraction of a family where by variables are nested")
def _fraction(case: Case) -> bool:
    """A family of 0.875 means; ours is that of the newer ones, one mean of each nest."""
    grid = case.grid
    found = re.search(r"method for (\d*\.\d+|1) (estimates|tests)", case.r_text)
    if grid is None or found is None or not (grid.nesting and grid.by):
        return False
    return {len(rows) for rows in grid.families()} == {1} and "adjust" not in str(case.value)


@rule("emmeans counts a cell that it does not show as not estimable")
def _hidden(case: Case) -> bool:
    said = "e: df1 reduced due to non-estimability"
    return (
        case.question.code.startswith("test(")
        and _has_empty_cell(case.made)
        and said in case.r_text
        and said not in str(case.value)
    )


@rule("SATmodcomp where R has stopped off the optimum: the parameters have no covariance matrix")
def _no_optimum_of_SAT(case: Case) -> bool:
    """F and its numerator's are R's; a direction of the Hessian at R's theta is not positive."""
    m, own = case.asked.m, case.asked.own
    above = m.result.criterion.value > own.result.criterion.value + 1e-3
    if "SATmodcomp" not in case.question.code or not above:
        return False
    ours, theirs = (t.split("\n")[-1].split()[1:3] for t in (str(case.value), case.r_text))
    parameters = m.denominator("Satterthwaite").parameters
    return ours == theirs and bool(np.linalg.matrix_rank(parameters) < len(parameters))


def explanation(
    made: Made, question: Question, differs: str, value: Any, r: dict[str, Any], asked: Asked
) -> str | None:
    """Return the name of the rule that explains the difference, or ``None``."""
    case = Case(made, question, differs, value, r, asked)
    for name, holds in RULES.items():
        try:
            if holds(case):
                return name
        except lb.errors.FitFailedError:  # lme4 cannot fit again what would explain it
            continue
    return None
