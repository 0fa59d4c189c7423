"""Questions about a model: each an R expression and the call here that answers it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from after_fuzz.models import Made

__all__ = ["Asked", "Question", "questions"]

DDF = {"kenward-roger": "Kenward-Roger", "satterthwaite": "Satterthwaite", "asymptotic": "lme4"}
METHODS = ("pairwise", "revpairwise", "trt.vs.ctrl", "trt.vs.ctrlk", "consec", "eff", "del.eff",
           "poly", "mean_chg", "identity")  # fmt: skip
ACROSS = ("bonferroni", "sidak", "holm", "BH")
ADJUST = (
    "none",
    "bonferroni",
    "holm",
    "sidak",
    "scheffe",
    "BH",
    "hochberg",
    "tukey",
    "hommel",
    "BY",
)
WEIGHTS = ("equal", "proportional", "outer", "cells", "flat")


@dataclass(frozen=True)
class Asked:
    """What questions are put to: ``m`` has R's theta, ``own`` our optimum; ``others`` are models to
    compare with, at R's theta.
    """

    m: Any
    own: Any
    new: Any
    others: dict[str, Any]


@dataclass(frozen=True)
class Question:
    """``area`` groups questions in the report; ``refits`` if the answer is of another optimum."""

    area: str
    code: str
    ours: Callable[[Asked], Any]
    refits: bool = False
    compared: str = "numbers and text"


def _listed(values: Any) -> str:
    return "c(" + ", ".join(map(repr, values)).replace("'", '"') + ")"


def _names(values: Any) -> str:
    return ", ".join(values)


def questions(made: Made) -> list[Question]:
    """Draw the questions for a model, and what R needs for them."""
    rng = np.random.default_rng(made.seed + 10**6)
    found: list[Question] = []

    def ask(
        area: str,
        code: str,
        ours: Callable[[Asked], Any],
        refits: bool = False,
        compared: str = "numbers and text",
    ) -> None:
        found.append(Question(area, code, ours, refits, compared))

    _around(made, rng, ask)
    _tests(made, rng, ask)
    if made.factors or made.covariates:
        for _ in range(3):
            _means(made, rng, ask)
    return found


def _around(made: Made, rng: Any, ask: Any) -> None:
    ask("summary", "summary(m)", lambda q: q.m.summary(ddf="Satterthwaite"))
    ask("summary", "summary(m4)", lambda q: q.m.summary())
    ask("summary", "m4", lambda q: q.m)
    if made.REML:
        ask("summary", 'summary(m, ddf = "Kenward-Roger")',
            lambda q: q.m.summary(ddf="Kenward-Roger"))  # fmt: skip
    ask("around", "fixef(m4)", lambda q: q.m.fixef())
    ask("around", "as.matrix(vcov(m4))", lambda q: q.m.vcov())
    ask("around", "as.data.frame(VarCorr(m4))", lambda q: q.m.VarCorr(), compared="numbers")
    ask("around", "VarCorr(m4)", lambda q: q.m.VarCorr(), compared="text")
    ask("around", "as.data.frame(ranef(m4))", lambda q: q.m.ranef())
    for group in made.groups:
        ask("around", f"coef(m4)${group}", lambda q, g=group: q.m.coef()[g])
    ask("around", "c(logLik(m4), AIC(m4), BIC(m4), sigma(m4), df.residual(m4))",
        lambda q: [q.m.logLik(), q.m.AIC(), q.m.BIC(), q.m.sigma(), q.m.df_residual()])  # fmt: skip
    ask("around", "ngrps(m4)", lambda q: q.m.ngrps())
    ask("around", "isSingular(m4)", lambda q: q.m.isSingular())
    for type_ in ("response", "pearson"):
        ask("around", f'residuals(m4, type = "{type_}")', lambda q, t=type_: q.m.residuals(t))
    ask("around", 'residuals(m4, "pearson", scaled = TRUE)', lambda q: q.m.residuals("scaled"))
    for name in ("theta", "lower", "b", "u", "Lambda", "RX", "ST"):
        if name in ("Lambda", "ST"):
            continue
        ask("getME", f'as.numeric(as.matrix(getME(m4, "{name}")))',
            lambda q, n=name: np.asarray(q.m.getME(n), dtype=float).ravel(order="F"))  # fmt: skip
    if "structured" in made.traits:
        ask("getME", 'getME(m4, "par")', lambda q: q.m.getME("par"))
        ask("getME", 'names(getME(m4, "theta"))', lambda q: list(q.m.getME("theta").index))
    ask("influence", "hatvalues(m4)", lambda q: q.m.hatvalues())
    ask("influence", "cooks.distance(m4)", lambda q: q.m.cooks_distance())
    if made.seed % 5 == 0:
        group = made.groups[0]
        for what in ("dfbeta", "dfbetas", "cooks.distance"):
            ask("influence", f'{what}(influence(m4, "{group}"))',
                lambda q, w=what, g=group: getattr(q.own.influence(g), w.replace(".", "_"))(),
                True)  # fmt: skip
    ask("predict", "predict(m4)", lambda q: q.m.predict())
    ask("predict", "predict(m4, re.form = NA)", lambda q: q.m.predict(re_form="NA"))
    ask("predict", "predict(m4, newdata = new)", lambda q: q.m.predict(q.new))
    ask("predict", "predict(m4, newdata = new, re.form = ~0)", lambda q: q.m.predict(q.new, "~0"))
    group = made.groups[0]
    if f"(1 | {group})" in made.formula:
        ask("predict", f"predict(m4, newdata = new, re.form = ~(1 | {group}))",
            lambda q: q.m.predict(q.new, f"~(1 | {group})"))  # fmt: skip
    ask("confint", 'confint(m4, method = "Wald")', lambda q: q.m.confint("Wald"))
    ask("confint", 'confint(m4, method = "Wald", level = 0.9, parm = "beta_")',
        lambda q: q.m.confint("Wald", 0.9, "beta_"))  # fmt: skip


def _tests(made: Made, rng: Any, ask: Any) -> None:
    for type_ in (1, 2, 3):
        ask("anova", f"anova(m, type = {type_})", lambda q, t=type_: q.m.anova(type=t))
        if made.REML:
            ask("anova KR", f'anova(m, type = {type_}, ddf = "Kenward-Roger")',
                lambda q, t=type_: q.m.anova(type=t, ddf="Kenward-Roger"))  # fmt: skip
    ask("anova", "anova(m4)", lambda q: q.m.anova(ddf="lme4"))
    ask("drop1", "drop1(m)", lambda q: q.m.drop1())
    if made.REML:
        ask("drop1", 'drop1(m, ddf = "Kenward-Roger")', lambda q: q.m.drop1(ddf="Kenward-Roger"))
    ask("drop1", 'drop1(m4, test = "Chisq")', lambda q: q.own.drop1("lme4", "Chisq"), True)
    ask("ranova", "ranova(m)", lambda q: q.own.ranova(), True)
    if made.smaller is not None:
        ask("anova of models", "anova(m4, m0)",
            lambda q: q.own.anova(q.others["m0"], model_names=["m4", "m0"]), True)  # fmt: skip
        for name in ("KRmodcomp", "SATmodcomp"):
            ask("modcomp", f"pbkrtest::{name}(m4, m0)",
                lambda q, n=name: getattr(q.m, n)(q.others["m0"]), not made.REML,
                compared="text")  # fmt: skip
    seeds = rng.integers(0, 2**31, 3)
    for number, rows in enumerate((1, 2, 3)):
        draws = np.random.default_rng(seeds[number]).integers(-2, 3, 60).tolist()

        def matrix(q: Asked, draws: Any = draws, rows: int = rows) -> Any:
            p = len(q.m.fixef())
            return np.resize(np.array(draws, float), rows * p).reshape(p, rows).T

        L = f"matrix(rep_len({_listed(draws)}, {rows} * length(fixef(m4))), nrow = {rows})"
        ask(
            "contest",
            f"contest(m, {L}, joint = FALSE)",
            lambda q, L=matrix: q.m.contest(L(q), False),
        )
        ask("contest", f"contest(m, {L}, joint = FALSE, rhs = 1)",
            lambda q, L=matrix: q.m.contest(L(q), False, rhs=1.0))  # fmt: skip
        ask("contest", f"contest(m, {L})", lambda q, L=matrix: q.m.contest(L(q)))
        if made.REML:
            ask("contest", f'contest(m, {L}, ddf = "Kenward-Roger")',
                lambda q, L=matrix: q.m.contest(L(q), ddf="Kenward-Roger"))  # fmt: skip


def _means(made: Made, rng: Any, ask: Any) -> None:
    ddf = str(rng.choice(list(DDF), p=[0.35, 0.4, 0.25]))
    if ddf == "kenward-roger" and not made.REML:
        ddf = "satterthwaite"
    ours_ddf, r_ddf = DDF[ddf], f', lmer.df = "{ddf}"'
    names = list(made.factors) + [c for c in made.covariates if c == "w"]
    chosen = [str(v) for v in rng.permutation(names)][: int(rng.integers(1, 3))] if names else []
    by = [chosen.pop()] if len(chosen) == 2 and rng.random() < 0.5 else []
    spec = " * ".join(chosen) if chosen else "1"
    asked = f"~ {spec}" + (f" | {by[0]}" if by else "")
    more_r, more = "", {}
    numeric = [c for c in made.covariates if c != "w"]
    if numeric and rng.random() < 0.4:
        values = [1, 3] if rng.random() < 0.5 else [2.5]
        more_r += f", at = list({numeric[0]} = {_listed(values)})"
        more["at"] = {numeric[0]: values}
        if len(values) > 1 and rng.random() < 0.5:
            asked = f"~ {numeric[0]} * {spec}" if spec != "1" else f"~ {numeric[0]}"
            asked += f" | {by[0]}" if by else ""
    if rng.random() < 0.35:
        weights = str(rng.choice(WEIGHTS))
        more_r += f', weights = "{weights}"'
        more["weights"] = weights
    if "transformed" in made.traits and rng.random() < 0.5:
        more_r += ', type = "response"'
        more["type"] = "response"
    emm = f"emmeans(m, {asked}{r_ddf}{more_r})"

    def ours(q: Asked) -> Any:
        return q.m.emmeans(asked, ddf=ours_ddf, **more)

    ask("emmeans", emm, ours)
    ask("emmeans", f"test({emm})", lambda q: ours(q).test())
    for_means = str(rng.choice(ADJUST))
    ask("emmeans", f'confint({emm}, level = 0.9, adjust = "{for_means}")',
        lambda q: ours(q).confint(0.9, for_means))  # fmt: skip
    ask("emmeans", f'test({emm}, adjust = "{for_means}")', lambda q: ours(q).test(adjust=for_means))
    ask("pairs", f"pairs({emm})", lambda q: ours(q).pairs())
    ask("pairs", f"confint(pairs({emm}))", lambda q: ours(q).pairs().confint())
    if by:
        across = ACROSS[made.seed % len(ACROSS)]  # a draw would change the questions of each seed
        ask("pairs", f'summary(pairs({emm}), cross.adjust = "{across}")',
            lambda q: ours(q).pairs(cross_adjust=across))  # fmt: skip
    method = str(rng.choice(METHODS))
    adjust = str(rng.choice(ADJUST))
    ask("contrasts", f'contrast({emm}, "{method}", adjust = "{adjust}")',
        lambda q: ours(q).contrasts(method, adjust=adjust))  # fmt: skip
    method_2 = str(rng.choice(METHODS))
    ask("contrasts", f'confint(contrast({emm}, "{method_2}", adjust = "none"))',
        lambda q: ours(q).contrasts(method_2, adjust="none").confint())  # fmt: skip
    # the values that R keeps of these are rounded
    ask("emmeans joint", f"test({emm}, joint = TRUE)", lambda q: ours(q).test(joint=True),
        compared="text")  # fmt: skip
    ask("emmeans joint", f"test(pairs({emm}), joint = TRUE)",
        lambda q: ours(q).pairs().test(joint=True), compared="text")  # fmt: skip
    ask("joint_tests", f"joint_tests(m{r_ddf})", lambda q: q.m.joint_tests(ddf=ours_ddf),
        compared="text")  # fmt: skip
    if numeric:
        group = str(rng.choice(list(made.factors))) if made.factors else "1"
        trend = f'emtrends(m, ~ {group}, var = "{numeric[0]}"{r_ddf})'

        def slopes(q: Asked) -> Any:
            return q.m.emtrends(f"~ {group}", var=numeric[0], ddf=ours_ddf)

        ask("emtrends", trend, slopes)
        ask("emtrends", f"test({trend})", lambda q: slopes(q).test())
        ask("emtrends", f"pairs({trend})", lambda q: slopes(q).pairs())
