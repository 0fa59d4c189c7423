"""Registry, choice and refusal, with a fake engine."""

import importlib
import importlib.metadata
import pkgutil
import sys
import types
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import lmerbridge as lb
from lmerbridge import engines
from lmerbridge.design import build_frame, lmerControl
from lmerbridge.engines import (
    LINEAR_MIXED,
    Engine,
    Feature,
    FitSpec,
    Status,
    engine_names,
    features_of,
    fit,
    load_engine,
    refusal,
    registry,
    status_of,
)
from lmerbridge.errors import EngineUnavailableError, FitFailedError, UnsupportedModelError
from lmerbridge.family import family_of
from r_here import lme4_version

FORMULA = "Reaction ~ Days + (1 | Subject)"

LINEAR = sorted(LINEAR_MIXED, key=lambda feature: feature.name)


class Fake(Engine):
    """Answers with statsmodels' numbers under its own name."""

    name = "fake"
    summary = "for tests"

    def __init__(self, available=True, why_not=None, limit=None):
        self.available, self.why_not, self.limit = available, why_not or {}, limit
        self.supports = LINEAR_MIXED.difference(self.why_not)
        self.fits = 0

    def status(self):
        return Status(self.available, "1", None if self.available else "broken", "mend it")

    def limits(self, frame, spec):
        return self.limit

    def fit(self, frame, spec):
        self.fits += 1
        result = load_engine("statsmodels").fit(frame, spec)
        return replace(result, provenance=replace(result.provenance, engine="fake"))


@pytest.fixture
def only_fakes(monkeypatch):
    """Put fakes in the places of the engines that ``auto`` tries."""

    def install(**engines):
        monkeypatch.setattr(registry, "AUTO_ORDER", tuple(engines))
        for name, engine in engines.items():
            engine.name = name
            lb.register_engine(name, lambda engine=engine: engine)

    yield install
    for name in ("one", "two", "three"):
        lb.register_engine(name, None)


def test_our_engines_are_those_of_the_list():
    """Each class in ``engines/`` that is one is named there, once, by its own name."""
    classes = set()
    for module in pkgutil.walk_packages(engines.__path__, "lmerbridge.engines."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, type) and Engine in value.__mro__[1:] and name[0] != "_":
                classes.add(value)
    listed = [importlib.metadata.EntryPoint(n, t, "") for n, t in registry.BUILT_IN.items()]
    assert {p.load() for p in listed} == classes
    assert [p.load()().name for p in listed] == list(registry.BUILT_IN)


@pytest.fixture
def entry_points(monkeypatch):
    """Make other entry points than those that are installed."""

    def make(**targets):
        points = [
            importlib.metadata.EntryPoint(n, t, registry.ENTRY_POINT_GROUP)
            for n, t in targets.items()
        ]
        monkeypatch.setattr(
            importlib.metadata,
            "entry_points",
            lambda group: [p for p in points if p.group == group],
        )
        registry._points.cache_clear()

    yield make
    monkeypatch.undo()
    registry._points.cache_clear()


def test_our_engines_need_no_entry_points(entry_points):
    entry_points()
    assert engine_names() == [
        *("lme4", "statsmodels", "native"),
        *("glmm", "glmmTMB", "gpboost", "interlace", "lme-python", "mixedlm", "nlme"),
        "statsmodels-bayes",
        "statsmodels-plain",
    ]


def test_engines_of_others_are_found_by_entry_points(entry_points, monkeypatch, sleepstudy):
    module = types.ModuleType("another_package")
    module.Another = Fake
    monkeypatch.setitem(sys.modules, "another_package", module)
    monkeypatch.setattr(registry, "_loaded", dict(registry._loaded))
    entry_points(another="another_package:Another", broken="no_such_package:Engine")
    assert {"another", "broken"} <= set(engine_names())
    assert lb.lmer(FORMULA, sleepstudy, engine="another").engine == "fake"
    with pytest.raises(EngineUnavailableError, match="engine 'broken' does not load: No module"):
        lb.lmer(FORMULA, sleepstudy, engine="broken")


def test_no_entry_point_takes_the_name_of_one_of_ours(entry_points, monkeypatch, sleepstudy):
    """Numbers under the name ``native`` are ours."""
    module = types.ModuleType("another_package")
    module.Another = Fake
    monkeypatch.setitem(sys.modules, "another_package", module)
    monkeypatch.setattr(registry, "_loaded", {})
    entry_points(native="another_package:Another")
    assert type(load_engine("native")).__name__ == "NativeEngine"


def test_a_named_engine_fits(engine_slot, sleepstudy):
    fake = Fake()
    lb.register_engine(engine_slot, lambda: fake)
    m = lb.lmer(FORMULA, sleepstudy, engine="fake")
    assert (m.engine, fake.fits) == ("fake", 1)


def test_an_unknown_engine(sleepstudy):
    with pytest.raises(EngineUnavailableError, match="did you mean 'statsmodels'"):
        lb.lmer(FORMULA, sleepstudy, engine="statsmodel")
    with pytest.raises(ImportError):
        lb.lmer(FORMULA, sleepstudy, engine="statsmodel")


def test_a_named_engine_never_falls_back(engine_slot, sleepstudy):
    lb.register_engine(engine_slot, lambda: Fake(available=False))
    with pytest.raises(EngineUnavailableError, match="broken; mend it with: mend it"):
        lb.lmer(FORMULA, sleepstudy, engine="fake")


def test_the_environment_sets_the_default(engine_slot, sleepstudy, monkeypatch):
    lb.register_engine(engine_slot, Fake)
    monkeypatch.setenv("LMERBRIDGE_ENGINE", "fake")
    assert lb.lmer(FORMULA, sleepstudy).engine == "fake"
    assert lb.lmer(FORMULA, sleepstudy, engine="statsmodels").engine == "statsmodels"


def test_auto_takes_the_first_that_can_and_says_why_not_the_others(only_fakes, sleepstudy):
    only_fakes(one=Fake(available=False), two=Fake(why_not={Feature.REML: "cannot"}), three=Fake())
    m = lb.lmer(FORMULA, sleepstudy)
    skipped = {s.engine: s.reason for s in m.result.provenance.skipped}
    assert skipped == {
        "one": "broken",
        "two": "does not fit this model (restricted maximum likelihood: cannot)",
    }
    assert "one: broken" in str(m.summary())


def test_auto_passes_over_an_engine_that_turns_out_to_be_missing(only_fakes, sleepstudy):
    class Vanishing(Fake):
        def fit(self, frame, spec):
            raise EngineUnavailableError("gone")

    only_fakes(one=Vanishing(), two=Fake())
    assert lb.lmer(FORMULA, sleepstudy).result.provenance.skipped[0].reason == "gone"


def test_auto_does_not_hide_a_failed_fit(only_fakes, sleepstudy):
    class Failing(Fake):
        def fit(self, frame, spec):
            raise FitFailedError("no")

    only_fakes(one=Failing(), two=Fake())
    with pytest.raises(FitFailedError):
        lb.lmer(FORMULA, sleepstudy)


class Slow(Fake):
    """Says that it takes so many seconds."""

    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds

    def predicted_seconds(self, frame, spec):
        return self.seconds


@pytest.mark.parametrize(("seconds", "taken"), [(1.9, "one"), (2.1, "two")])
def test_auto_passes_over_what_would_take_many_times_longer(only_fakes, sleepstudy, seconds, taken):
    only_fakes(one=Slow(seconds), two=Fake())
    m = lb.lmer(FORMULA, sleepstudy)
    assert [s.engine for s in m.result.provenance.skipped] == ([] if taken == "one" else ["one"])
    if taken == "two":
        assert "one: would take about 2 s for this model; two is many times faster" in str(
            m.summary()
        )


@pytest.mark.parametrize(
    "second",
    [Fake(available=False), Fake(limit="too large"), Slow(90)],
    ids=["not available", "refuses", "slow too"],
)
def test_auto_takes_a_slow_engine_where_no_other_can(only_fakes, sleepstudy, second):
    slow = Slow(100)
    only_fakes(one=slow, two=second)
    lb.lmer(FORMULA, sleepstudy)
    assert slow.fits == 1


def test_without_r_large_models_go_to_the_native_engine(monkeypatch):
    """5,000 groups took statsmodels 34 s and the native engine 0.24 s."""
    monkeypatch.setattr(load_engine("lme4"), "status", lambda: Status(False, None, "no R"), False)
    rng = np.random.default_rng(0)
    d = pd.DataFrame({"g": np.repeat(np.arange(1000), 3), "y": rng.normal(size=3000)})
    d["y"] += rng.normal(size=1000)[d["g"]]
    m = lb.lmer("y ~ 1 + (1 | g)", d)
    assert m.engine == "native"
    reasons = {s.engine: s.reason for s in m.result.provenance.skipped}
    assert reasons["statsmodels"].endswith("for this model; native is many times faster")
    assert lb.lmer("y ~ 1 + (1 | g)", d[:300]).engine == "statsmodels"


def test_auto_with_nothing_that_can(only_fakes, sleepstudy):
    only_fakes(one=Fake(limit="too large"), two=Fake(available=False))
    with pytest.raises(UnsupportedModelError, match=r"one: does not fit this model \(too large\)"):
        lb.lmer(FORMULA, sleepstudy)
    only_fakes(one=Fake(available=False))
    with pytest.raises(EngineUnavailableError):
        lb.lmer(FORMULA, sleepstudy)


def test_a_refusal_says_what_who_why_and_what_else(engine_slot, sleepstudy):
    lb.register_engine(engine_slot, lambda: Fake(why_not={Feature.REML: "ML only"}))
    with pytest.raises(UnsupportedModelError) as caught:
        lb.lmer(FORMULA, sleepstudy, engine="fake")
    text = str(caught.value)
    assert "engine 'fake' does not fit Reaction ~ Days + (1 | Subject)" in text
    assert "restricted maximum likelihood: ML only" in text
    assert "can fit it here" in text
    assert isinstance(caught.value, NotImplementedError)


def test_status_never_raises(engine_slot):
    def explode():
        raise RuntimeError("boom")

    lb.register_engine(engine_slot, explode)
    assert not status_of("fake").available
    assert "boom" in status_of("fake").problem
    assert not status_of("no such engine").available


# one model for each declared feature: the declarations below are what engines are held to
EXAMPLES = {
    Feature.ML: ("y ~ x + (1 | g)", {"REML": False}),
    Feature.REML: ("y ~ x + (1 | g)", {}),
    Feature.WEIGHTS: ("y ~ x + (1 | g)", {"weights": "w"}),
    Feature.OFFSET: ("y ~ x + (1 | g)", {"offset": "z"}),
    Feature.NO_FIXED: ("y ~ 0 + (1 | g)", {}),
    Feature.SEVERAL_FACTORS: ("y ~ x + (1 | g) + (1 | h)", {}),
    Feature.CROSSED: ("y ~ x + (1 | g) + (1 | h)", {}),
    Feature.CORRELATED: ("y ~ x + (x | g)", {}),
    Feature.CORRELATED_INNER: ("y ~ x + (x | g) + (1 | h)", {}),
    Feature.SEVERAL_CORRELATED: ("y ~ x + (x | g) + (0 + z + w | g)", {}),
    Feature.STRUCTURED: ("y ~ x + cs(x | g)", {}),
    Feature.START: ("y ~ x + (1 | g)", {"start": [1.0]}),
    Feature.SETTINGS: ("y ~ x + (1 | g)", {"control": lmerControl(optimizer="bobyqa")}),
    Feature.TIMEOUT: ("y ~ x + (1 | g)", {"timeout": 60}),
}


def test_every_feature_has_an_example():
    assert set(EXAMPLES) == LINEAR_MIXED


@pytest.mark.parametrize("feature", LINEAR)
def test_features_are_recognized(feature, simulated):
    formula, arguments = EXAMPLES[feature]
    spec = FitSpec(
        REML=arguments.get("REML", True),
        start=tuple(arguments.get("start", ())) or None,
        timeout=arguments.get("timeout"),
    )
    of_spec = ("REML", "start", "timeout")
    frame = build_frame(
        formula, simulated, **{k: v for k, v in arguments.items() if k not in of_spec}
    )
    assert feature in features_of(frame, spec)
    plain = build_frame("y ~ x + (1 | g)", simulated)
    if feature is not Feature.REML:
        assert feature not in features_of(plain, FitSpec())


@pytest.mark.filterwarnings("ignore::lmerbridge.errors.FitWarning")
@pytest.mark.parametrize("feature", LINEAR)
@pytest.mark.parametrize(
    "name", ["statsmodels", "native", pytest.param("lme4", marks=pytest.mark.r)]
)
def test_engines_do_what_they_declare(name, feature, simulated):
    """Each engine fits what it declares, and refuses the rest."""
    formula, arguments = EXAMPLES[feature]
    old = feature is Feature.STRUCTURED and name == "lme4" and lme4_version() < (2,)
    if old or feature not in load_engine(name).supports:
        with pytest.raises(UnsupportedModelError, match="does not fit"):
            lb.lmer(formula, simulated, engine=name, **arguments)
    else:
        m = lb.lmer(formula, simulated, engine=name, **arguments)
        assert np.isfinite(m.result.criterion.value)
        assert refusal(load_engine(name), m.frame, FitSpec(REML=m.result.call.REML)) is None


def test_what_is_asked_of_a_linear_mixed_model_is_all_but_families():
    assert frozenset(Feature) - LINEAR_MIXED == {
        Feature.FAMILY,
        Feature.DISPERSION,
        Feature.QUADRATURE,
        Feature.DEFINITION,
        Feature.SIZE,
    }


@pytest.mark.parametrize("name", engine_names())
@pytest.mark.parametrize(("family", "link"), [("binomial", "logit"), ("gaussian", "log")])
def test_no_engine_fits_a_family_that_it_does_not_declare(name, family, link, simulated):
    """It would be a gaussian fit under another name."""
    data = simulated.assign(
        y=(simulated["y"] > simulated["y"].median()) + 1.0 * (family == "gaussian")
    )
    frame = build_frame("y ~ x + (1 | g)", data, family=family_of(f"{family}({link})"))
    spec = FitSpec(REML=False)
    if Feature.FAMILY in load_engine(name).supports:
        return
    words = "another family than gaussian" if family == "binomial" else "a family whose dispersion"
    assert words in refusal(load_engine(name), frame, spec)
    with pytest.raises(UnsupportedModelError, match=words):
        fit(frame, spec, name)


def test_an_engine_that_declares_nothing_is_given_nothing(engine_slot, sleepstudy):
    class Silent(Fake):
        def __init__(self):
            super().__init__()
            self.supports = frozenset()

    lb.register_engine(engine_slot, Silent)
    with pytest.raises(UnsupportedModelError, match="this engine does not do that"):
        lb.lmer(FORMULA, sleepstudy, engine="fake")


def test_nested_factors_are_not_crossed(simulated):
    frame = build_frame("y ~ x + (1 | f/g)", simulated.assign(f=simulated.g // 5))
    assert Feature.CROSSED not in features_of(frame, FitSpec())
