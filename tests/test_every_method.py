"""Every public method with arguments that are odd: it answers, or refuses in our words."""

import copy
import inspect
import pickle

import numpy as np
import pandas as pd
import pytest

import every_method
import lmerbridge as lb
from lmerbridge.arguments import of_kind
from lmerbridge.errors import DataError
from lmerbridge.model.elsewhere import ELSEWHERE

# Kinds that differ in what they break; benchmarks/every_method.py tries all, of all models.
FEW = ("text", "minus one", "object", "named")
# Of these, what their grids, means, profiles and bootstraps have too.
WITH_PARTS = ("no fixed effects", "singular", "empty cells", "exclude", "transformed")


@pytest.fixture(scope="module")
def models():
    return every_method.models()


def odd(*labels):
    return {label: every_method.ODD[label] for label in labels}


def test_every_method_answers_for_every_odd_model(models):
    found = []
    for name, model in models.items():
        parts = every_method.things(name, model) if name in WITH_PARTS else {name: model}
        for owner, thing in parts.items():
            found += every_method.faults(owner, thing, {})
    assert not found, "\n".join(found)


def test_every_argument_of_a_model_and_what_it_gives_refuses_what_is_odd(models):
    found = []
    for owner, thing in every_method.things("weights", models["weights"]).items():
        found += every_method.faults(owner, thing, odd(*FEW))
    assert not found, "\n".join(found)


def test_every_argument_of_what_else_is_given_refuses_what_is_odd(models):
    found = []
    for owner, thing in every_method.others(models["weights"]).items():
        found += every_method.faults(owner, thing, odd(*FEW, "nested"))
        # a formula takes names of any columns
        found += [] if owner == "formula" else every_method.unheard_by(owner, thing)
    assert not found, "\n".join(found)


def test_every_argument_of_linear_models_refuses_what_is_odd():
    d = every_method.data()
    found = every_method.faults("lm", lb.lm("y ~ a * x", d))
    found += every_method.faults("lmList", lb.lmList("y ~ x | g", d))
    assert not found, "\n".join(found)


def test_a_text_that_is_no_word_of_an_argument_is_refused_whatever_the_others_are(models):
    found = []
    for owner, thing in every_method.things("weights", models["weights"]).items():
        found += every_method.unheard_by(owner, thing)
    d = every_method.data()
    found += every_method.unheard_by("lm", lb.lm("y ~ a * x", d))
    found += every_method.unheard_by("lmList", lb.lmList("y ~ x | g", d))
    assert not found, "\n".join(found)


def test_functions_refuse_texts_that_are_no_words(models):
    pytest.importorskip("matplotlib")
    found = []
    for name, (function, given) in every_method.functions(models["weights"]).items():
        # a name makes an engine, and a name alone is the right-hand side of a formula
        if (name != "register_engine" and "formula" not in given) or "data" in given:
            found += every_method.unheard("lb", name, function, given)
    assert not found, "\n".join(found)


def test_every_function_refuses_what_is_odd(models):
    pytest.importorskip("matplotlib")
    found = every_method.function_faults(models["weights"], odd(*FEW, "nested", "none"))
    assert not found, "\n".join(found)


def test_every_function_of_the_package_is_walked(models):
    walked = every_method.functions(models["weights"])
    public = {n for n in lb.__all__ if inspect.isfunction(getattr(lb, n))}
    public |= {f"plots.{n}" for n in lb.plots.__all__}
    assert public - set(walked) == set()


def test_a_walk_finds_what_is_said_nothing_of():
    def method(type: str = "a", level: float = 0.5, note: str = "x") -> None:
        """Do.

        Parameters
        ----------
        type : {"a", "b"}
        """
        if type != "a" and (type != "b" or note != "x"):
            raise DataError("type")
        if not isinstance(level, float):
            raise DataError("level")

    found = every_method.unheard("it", "method", method, {})
    assert found == [
        "it.method(note=zz) beside {} answers",
        "it.method(note=zz) beside {'type': 'a'} answers",
    ]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m: m.confint(boot_type="zz"), "boot_type must be one of"),
        (lambda m: m.confint("Wald", boot_type="bca"), "boot_type belongs to method='boot'"),
        (lambda m: m.confint("Wald", nsim=9, seed=1), "nsim and seed belong to method='boot'"),
        (
            lambda m: m.confint("boot", prof_scale="varcov"),
            "prof_scale belongs to method='profile'",
        ),
        (
            lambda m: m.confint("boot", FUN=lambda m: m.fixef(), oldNames=False),
            "oldNames belongs to intervals of the parameters, without FUN",
        ),
        (lambda m: m.tidy(conf_level=0.9), "conf_level belongs to conf_int=True"),
        (
            lambda m: m.tidy(conf_level=0.9, conf_method="profile"),
            "conf_level and conf_method belong to conf_int=True",
        ),
        (lambda m: m.tidy("ran_pars", ddf="Satterthwaite"), "ddf belongs to effects='fixed'"),
        (
            lambda m: m.tidy("ran_vals", conf_int=True, conf_method="profile"),
            "conf_method belongs to effects='fixed' and 'ran_pars'",
        ),
        (lambda m: m.predict(level=0.9), "level belongs to interval="),
        (lambda m: m.predict(se_fit=True, level=0.9), "level belongs to interval="),
        (lambda m: m.predict(allow_new_levels=True), "allow_new_levels belongs to newdata="),
        (lambda m: m.predict(na_action="omit"), "na_action belongs to newdata="),
        (
            lambda m: m.simulate(allow_new_levels=True, na_action="fail"),
            "allow_new_levels and na_action belong to newdata=",
        ),
        (lambda m: lb.lm("y ~ a", m.getData()).predict(level=0.9), "level belongs to interval="),
        (
            lambda m: lb.lm("y ~ a", m.getData()).joint_tests(type="response"),
            "type belongs to means and contrasts",
        ),
        (lambda m: m.contest([0, 1, 0, 0], level=0.9), "level belongs to joint=False"),
        (lambda m: m.contest([0, 1, 0, 0], confint=False), "confint belongs to joint=False"),
        (
            lambda m: m.contest([0, 1, 0, 0], False, confint=False, level=0.9),
            "level belongs to confint=True",
        ),
        (lambda m: m.contest1D([0, 1, 0, 0], level=0.9), "level belongs to confint=True"),
        (lambda m: m.contest([0, 1, 0, 0], collect=False), "collect belongs to a mapping"),
        (lambda m: m.anova(ddf="lme4", type=2), "type belongs to ddf='Satterthwaite' and"),
        (lambda m: m.joint_tests(type="response"), "type belongs to means and contrasts"),
        (lambda m: m.emmeans("a", bias_adjust=True), "bias_adjust belongs to type='response' and"),
        (
            lambda m: m.ref_grid().emmeans("a", bias_adjust=True),
            "bias_adjust belongs to type='response'",
        ),
        (
            lambda m: m.emmeans("pairwise ~ a", contr="eff"),
            "contr belongs to specs that name no contrasts",
        ),
        (
            lambda m: m.emmeans("a", ddf="asymptotic", pbkrtest_limit=9, lmerTest_limit=9),
            "pbkrtest_limit and lmerTest_limit belong to ddf='kenward-roger' and",
        ),
        (
            lambda m: m.ref_grid(ddf="satterthwaite", pbkrtest_limit=9),
            "pbkrtest_limit belongs to ddf='kenward-roger'",
        ),
        (
            lambda m: m.emtrends(var="x", by="a", level=0.9, weights="outer"),
            "by, level and weights belong to specs=",
        ),
        (lambda m: m.emmeans("a").pairs(combine=True), "combine belongs to simple="),
        (lambda m: m.emmeans("a").pairs(by=None, simple="a"), "by belongs to contrasts without"),
        (
            lambda m: m.emmeans("a").pairs(interaction=True, name="n", scale=2, offset=1),
            "name, scale and offset belong to contrasts without interaction=",
        ),
        (
            lambda m: m.emmeans("a").pairs(interaction=True, enhance_levels=False),
            "enhance_levels belongs to contrasts without interaction=",
        ),
        (
            lambda m: m.emmeans("a").pairs(reverse=True, interaction="eff"),
            "reverse belongs to interaction=True",
        ),
        (lambda m: m.emmeans("a").cld(sort=False, reversed=True), "reversed belongs to sort=True"),
        (lambda m: m.drop1(test="zz"), "test must be one of none, Chisq"),
        (lambda m: m.drop1(test="Chisq", k=3), "test and k belong to ddf='lme4'"),
        (lambda m: m.mixed("KR", nsim=9), "nsim belongs to method='PB'"),
        (lambda m: m.anova(m, ddf="Kenward-Roger"), "ddf belongs to the tests of one model"),
        (lambda m: m.anova(m, type=7), "type must be"),
        (lambda m: m.anova(refit=False), "refit belongs to comparisons of models"),
        (lambda m: m.anova(ddf="lme4", type=7), "type must be"),
        (lambda m: m.emmeans("a").summary(cross_adjust="zz"), "cross_adjust cannot be 'zz'"),
        (lambda m: m.ref_grid(type="zz"), "type must be 'link' or 'response'"),
        (lambda m: m.ref_grid().joint_tests(weights=3), "weights must be one of"),
        (lambda m: m.emmeans("a", sigma=2.0), "sigma belongs to bias_adjust=True"),
        (lambda m: m.emmeans("a").contrast(enhance_levels="b"), "there is no factor 'b'"),
        (lambda m: m.emmeans("a").pairs(scheffe_rank=0), "scheffe_rank must be 1 or more"),
        (lambda m: m.quantile_residuals(nsim=0), "nsim must be a positive"),
        (
            lambda m: m.confint(lvel=0.9),
            "has no argument 'lvel'.*did you mean 'level'",
        ),
        (lambda m: m.emmeans("a", adjus="none"), "no argument 'adjus'.*did you mean 'adjust'"),
        (lambda m: m.contest(), r"contest\(\): missing a required argument: 'L'"),
        (lambda m: lb.lmer("y ~ a + (1 | g)", m.getData(), reml=False), "did you mean 'REML'"),
        (lambda m: lb.check("y ~ a + (1 | g)", m.getData(), weight="w"), "did you mean 'weights'"),
        (lambda m: lb.plots.caterpillar("zz"), "m must be a fitted mixed model, not str"),
        (lambda m: lb.plots.qq_residuals(m, ax=3), "ax must be axes of matplotlib"),
    ],
)
def test_an_argument_that_says_nothing_of_what_is_asked_is_refused(models, call, words):
    with pytest.raises(DataError, match=words):
        call(models["weights"])


@pytest.mark.parametrize("name", ELSEWHERE)
def test_names_of_other_packages_say_what_they_are_here(models, name):
    m = models["weights"]
    assert not hasattr(lb.Model, name)
    with pytest.raises(AttributeError, match=r"it is .* here"):
        getattr(m, name)
    here = ELSEWHERE[name]  # our own table
    call = here if here.startswith("lb.") else f"m.{here}"
    eval(call, {"lb": lb, "m": m, "L": [0, 1, 0, 0], "specs": "a"})


def test_attributes_that_there_are_not_have_the_nearest_name(models):
    m = models["weights"]
    with pytest.raises(AttributeError, match="'anovaa' \\(did you mean 'anova'"):
        m.anovaa()
    with pytest.raises(AttributeError, match="nonlinear mixed models are not here"):
        lb.nlmer("y ~ x + (1 | g)", m.getData())
    again = copy.deepcopy(pickle.loads(pickle.dumps(m)))
    assert again.fixef().equals(m.fixef())
    assert not hasattr(m, "__array__")


def test_what_is_no_argument_is_also_a_type_error(models):
    with pytest.raises(TypeError, match="no argument 'zz'"):
        models["weights"].summary(zz=1)


def test_no_fixed_effects_and_odd_arguments(models):
    model = models["no fixed effects"]
    found = every_method.faults(
        "no fixed effects", model, odd("mapping", "empty list", "numpy number")
    )
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [
        (np.int64(2), "int", 2),
        (2.0, "int", 2),
        (np.bool_(True), "bool", True),
        (1, "bool", True),
        (None, "float | None", None),
        (np.array(["a", "b"]), "str | Sequence[str]", ["a", "b"]),
        (pd.Index(["a"]), "Sequence[str | None] | None", ["a"]),
        (("a", None), "Sequence[str | None]", ("a", None)),
        ([1, 2.5], "float | Sequence[float]", [1, 2.5]),
    ],
)
def test_values_of_the_kind_that_is_asked_are_taken(value, annotation, expected):
    found = of_kind(value, annotation, "x")
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("value", "annotation", "words"),
    [
        (True, "int", "x must be an integer, not True"),
        (2.5, "int", "an integer"),
        (10**30, "int", "an integer"),
        (np.nan, "float", "a number"),
        ("TRUE", "bool", "x must be True or False, not 'TRUE'"),
        (2, "bool", "True or False"),
        ({}, "str | Sequence[str] | None", "x must be text or a list of text or None, not {}"),
        (["a", 1], "Sequence[str]", "a list of text"),
        (pd.DataFrame({"a": [1]}), "Sequence[str]", "not a DataFrame"),
        (np.ones((2, 2)), "Sequence[float]", "a list of a number"),
        ("zz", "Mapping[str, Any] | None", "a mapping or None"),
        (1, "Callable[[Any], Any] | None", "a function or None"),
    ],
)
def test_values_of_another_kind_are_refused_with_the_name_of_the_argument(value, annotation, words):
    with pytest.raises(DataError, match=words.replace("{", r"\{")):
        of_kind(value, annotation, "x")


def test_arguments_that_name_nothing_are_refused(models):
    m = models["weights"]
    with pytest.raises(DataError, match="'sigm' has no profile"):
        m.profile("sigma").interval("sigm")
    with pytest.raises(DataError, match="by must be text"):
        m.joint_tests(by=-1)
    with pytest.raises(DataError, match="at must be a mapping"):
        m.ref_grid("zz")
    with pytest.raises(DataError, match="type must be"):
        m.Anova({})
    with pytest.raises(DataError, match="type must be"):
        m.show_tests({})
