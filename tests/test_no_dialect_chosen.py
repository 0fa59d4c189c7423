"""What users have: no dialect is chosen, and a fit by lme4 is refitted by the native engine, whose
own dialect is the newest. Whatever is asked of the fit is in the dialect of the R that fitted.
"""

import warnings

import pytest

import every_method
import lmerbridge as lb
from r_here import live_dialect

FORMULAS = {
    "slopes": "y ~ a * x + (1 + x | g)",
    "ML": "y ~ a + poly(x, 2) + (1 | g)",
}
OLD = "1.1-31"
# what every_method asks for shortly, or not at all
LONGER = {
    "confint": lambda m: m.confint(),
    "confint by name": lambda m: m.confint(parm="theta_", oldNames=False),
    "confint of one": lambda m: m.confint(parm=2),
    "confint boot": lambda m: m.confint("boot", nsim=30, seed=1),
    "confint varcov": lambda m: m.confint(prof_scale="varcov"),
    "profile": lambda m: m.profile().table(),
    "varianceProf": lambda m: m.profile().varianceProf().confint(),
    "logProf": lambda m: m.profile().logProf().confint(),
    "tidy": lambda m: m.tidy(("fixed", "ran_pars"), conf_int=True, conf_method="profile"),
    "drop1": lambda m: m.drop1(test="Chisq", ddf="lme4"),
    "ranova": lambda m: m.ranova(),
    "SATmodcomp": lambda m: m.SATmodcomp("~ 1"),
    "KRmodcomp": lambda m: m.KRmodcomp("~ 1"),
    "anova of models": lambda m: m.anova(m.update("y ~ 1 + (1 | g)"), refit=True),
    "mixed": lambda m: m.mixed("LRT"),
    "update": lambda m: m.update(REML=False).summary(),
    "refit": lambda m: m.refit(m.frame.y + 1.0).summary(),
    "weights": lambda m: m.update(weights="w").emmeans("a", weights="cells"),
    "across": lambda m: m.emmeans("a").pairs(cross_adjust="bonferroni"),
}


def models(engine, names):
    d = every_method.data()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            name: lb.lmer(formula, d, REML=name != "ML", engine=engine)
            for name, formula in FORMULAS.items()
            if name in names
        }


def everything_said(thing, owner):
    """The text of the answer to every call of every method, and what was warned of."""
    found = {}
    for call, method in every_method.calls(owner, thing, {}):
        arguments = {k: v for k, v in call.arguments.items() if k != "*"}
        if call.method in ("bootMer", "simulate", "quantile_residuals", "mixed", "provenance"):
            continue  # random
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            try:
                answer = str(getattr(thing, call.method) if method is None else method(**arguments))
            except lb.errors.LmerBridgeError as error:
                answer = f"refused: {error}"
        if " at 0x" not in answer:
            found[str(call)] = (answer, [str(w.message) for w in said])
    if isinstance(thing, lb.Model):
        for name, ask in LONGER.items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    found[f"{owner}: {name}"] = (str(ask(thing)), [])
                except lb.errors.LmerBridgeError as error:
                    found[f"{owner}: {name}"] = (f"refused: {error}", [])
    return found


def compare(engine, dialect, monkeypatch, names):
    """Everything asked without a dialect, and again with that which it should be in."""
    differ = []
    for name, model in models(engine, names).items():
        parts = every_method.things(name, model)
        for owner in parts:
            monkeypatch.delenv("LMERBRIDGE_DIALECT", raising=False)
            free = everything_said(every_method.things(name, model)[owner], owner)
            monkeypatch.setenv("LMERBRIDGE_DIALECT", dialect)
            chosen = everything_said(every_method.things(name, model)[owner], owner)
            differ += [
                f"{call}:\n{free[call]}\n{chosen.get(call)}"
                for call in free
                if free[call] != chosen.get(call)
            ]
            assert len(free) > 3
    return differ


@pytest.mark.r
def test_of_a_fit_by_lme4_it_is_that_of_its_r(monkeypatch):
    differ = compare("lme4", live_dialect(), monkeypatch, ["slopes"])
    assert not differ, "\n\n".join(differ)


def test_of_a_fit_without_r_it_is_the_newest(monkeypatch):
    differ = compare("native", "newest", monkeypatch, ["ML"])
    assert not differ, "\n\n".join(differ)


def test_another_dialect_is_noticed(monkeypatch):
    differ = compare("native", OLD, monkeypatch, ["slopes"])
    assert any("confint" in text for text in differ)
    assert any("summary" in text for text in differ)
    assert any("tidy" not in text for text in differ)
