"""The tests that every engine must pass: a class for pytest, for engines of other packages too.

::

    from lmerbridge.testing import EngineContract

    class TestMine(EngineContract):
        engine = "mine"

What an engine does not declare it must refuse; what it declares it must do: reach the optimum of
lme4 on stored models, as the exact criterion judges it, give a result that is complete, frozen and
the same after JSON, leave its input alone, and raise our errors alone.

This module needs pytest; nothing else of lmerbridge imports it.
"""

from __future__ import annotations

import copy
import dataclasses
import pickle
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from lmerbridge.design import ModelFrame, build_frame, lmerControl, theta_lower
from lmerbridge.engines import (
    Engine,
    Feature,
    FitSpec,
    Status,
    engine_names,
    features_of,
    fit,
    fit_spec,
    load_engine,
    refusal,
)
from lmerbridge.engines.protocol import call_info, data_info
from lmerbridge.equality import by_value, same
from lmerbridge.errors import FitFailedError, LmerBridgeError, UnsupportedModelError
from lmerbridge.family import family_of
from lmerbridge.result import SCHEMA, FitResult, from_json, to_json

__all__ = ["EXAMPLES", "STORED", "EngineContract", "Example", "example_data"]


@by_value
@dataclass(frozen=True, eq=False)
class Example:
    """A model that asks one feature of an engine, on :func:`example_data`."""

    formula: str
    REML: bool = True
    start: tuple[float, ...] | None = None
    timeout: float | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def frame(self, data: pd.DataFrame) -> ModelFrame:
        """Build the model frame."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return build_frame(self.formula, data, **self.arguments)

    def spec(self, frame: ModelFrame) -> FitSpec:
        """Make the specification of the fit; it starts from nothing that another engine found."""
        return replace(fit_spec(frame, self.REML, self.start, self.timeout), cold=True)


# One model for each feature of a linear mixed model.
EXAMPLES: Mapping[Feature, Example] = {
    Feature.ML: Example("y ~ x + (1 | g)", REML=False),
    Feature.REML: Example("y ~ x + (1 | g)"),
    Feature.WEIGHTS: Example("y ~ x + (1 | g)", arguments={"weights": "w"}),
    Feature.OFFSET: Example("y ~ x + (1 | g)", arguments={"offset": "z"}),
    Feature.NO_FIXED: Example("y ~ 0 + (1 | g)"),
    Feature.SEVERAL_FACTORS: Example("y ~ x + (1 | h/k)"),
    Feature.CROSSED: Example("y ~ x + (1 | g) + (1 | h)"),
    Feature.CORRELATED: Example("y ~ x + (x | g)"),
    Feature.CORRELATED_INNER: Example("y ~ x + (x | g) + (1 | h)"),
    Feature.SEVERAL_CORRELATED: Example("y ~ x + (x | g) + (0 + z + w | g)"),
    Feature.STRUCTURED: Example("y ~ x + cs(x | g)"),
    Feature.START: Example("y ~ x + (1 | g)", start=(0.5,)),
    Feature.SETTINGS: Example(
        "y ~ x + (1 | g)", arguments={"control": lmerControl(optimizer="bobyqa")}
    ),
    Feature.TIMEOUT: Example("y ~ x + (1 | g)", timeout=60.0),
}

# Models of the reference suite with lme4's numbers: one and several factors, nested and crossed,
# slopes with and without correlation, a variance of 0, ML.
STORED = (
    "Dyestuff",
    "Dyestuff2",
    "Penicillin",
    "Pastes",
    "sleepstudy",
    "sleepstudy-independent",
    "sleepstudy-intercept",
    "sleepstudy-ml",
    "sleepstudy-slope",
    "science-class",
)


def example_data() -> pd.DataFrame:
    """Make 160 rows with numbers ``y, x, z``, weights ``w``, and factors: ``g`` (20 levels) and
    ``h`` (8), which are crossed, and ``k`` (24) within ``h``.
    """
    random = np.random.default_rng(20)
    n = 160
    data = pd.DataFrame(
        {
            "g": np.char.mod("g%02d", np.repeat(np.arange(20), 8)),
            "h": np.char.mod("h%d", np.tile(np.arange(8), 20)),
            "k": np.char.mod("k%d", np.repeat(np.arange(20), 8) % 3),
        }
    )
    g, h = np.repeat(np.arange(20), 8), np.tile(np.arange(8), 20)
    data["x"], data["z"] = random.normal(size=n), random.normal(size=n)
    data["w"] = random.poisson(3, n) + 1.0
    inner = random.normal(size=24)[h * 3 + g % 3]
    data["y"] = (
        2
        + 0.5 * data["x"]
        + random.normal(size=20)[g]
        + 0.5 * random.normal(size=20)[g] * data["x"]
        + 0.7 * random.normal(size=8)[h]
        + 0.6 * inner
        + random.normal(size=n)
    )
    return data


# Fits by test class and model: several tests look at the same one.
_FITS: dict[tuple[type, str], FitResult] = {}


@cache
def _stored(name: str) -> tuple[ModelFrame, FitSpec, dict[str, Any]]:
    """A model of the reference suite: its frame, how to fit it, and what lme4 said."""
    from lmerbridge.crosscheck import golden, load_cases, read_data

    case = next(case for case in load_cases() if case.name == name)
    record = golden(case)
    assert record is not None, f"the stored numbers of {name} are missing: reinstall lmerbridge"
    frame = build_frame(case.formula, read_data(case), **case.arguments())
    return frame, replace(fit_spec(frame, case.REML), cold=True), record


def _numbers(result: FitResult) -> dict[str, Any]:
    """What must be the same whenever the same model is fitted again."""
    estimates = result.estimates
    return {
        "beta": estimates.beta,
        "vcov": estimates.vcov,
        "theta": estimates.theta,
        "sigma": estimates.scale,
        "criterion": result.criterion.value,
        "fitted": estimates.fitted,
        **{f"modes of {term.label}": term.modes for term in estimates.random},
    }


def _close(found: FitResult, wanted: FitResult, scale: float, tolerance: float) -> None:
    """See that two fits are the same optimum: fixed effects and modes in standard errors, the
    criterion absolutely. ``found`` has the response times ``scale``.
    """
    free = found.data.nobs - (len(found.estimates.beta) if found.call.REML else 0)
    value = found.criterion.value - 2 * free * np.log(scale)
    assert value == pytest.approx(wanted.criterion.value, abs=tolerance)
    error = np.sqrt(np.diag(wanted.estimates.vcov))
    gap = np.abs(found.estimates.beta / scale - wanted.estimates.beta)
    assert np.all(gap <= 1e-3 * error)
    assert found.estimates.scale / scale == pytest.approx(wanted.estimates.scale, rel=1e-3)


def _other(found: Any, wanted: Any, where: str = "result") -> list[str]:
    """Name the fields in which two results differ; numpy's numbers are other ones than JSON's."""
    if same(found, wanted):
        return []
    inner: list[str] = []
    if dataclasses.is_dataclass(wanted) and type(found) is type(wanted):
        for part in dataclasses.fields(wanted):
            one, two = getattr(found, part.name), getattr(wanted, part.name)
            if not same(one, two):
                inner += _other(one, two, f"{where}.{part.name}")
    elif isinstance(wanted, tuple) and isinstance(found, tuple) and len(found) == len(wanted):
        for i, (one, two) in enumerate(zip(found, wanted, strict=True)):
            inner += _other(one, two, f"{where}[{i}]")
    return inner or [f"{where}: {type(found).__name__}, and not {type(wanted).__name__}"]


class EngineContract:
    """The tests; a class of a test module inherits from it and says which engine it is.

    Attributes
    ----------
    engine : str
        The name of the engine. A test that registers one for itself does so in a fixture with
        ``autouse=True``.
    above : float
        How far the criterion may lie above that of lme4 with tight tolerances, and above the
        minimum that one more step promises.
    repeats : bool
        Whether the same fit gives the same bits again.
    """

    engine: ClassVar[str] = ""
    above: ClassVar[float] = 1e-5
    repeats: ClassVar[bool] = True

    # -- what it is

    @property
    def _engine(self) -> Engine:
        assert self.engine, "the test class must say which engine it tests: engine = '...'"
        return load_engine(self.engine)

    @pytest.fixture
    def usable(self) -> Engine:
        """Give the engine, or skip the test where it does not work here."""
        engine = self._engine
        state = engine.status()
        if not state.available:
            pytest.skip(f"{self.engine} does not work here: {state.problem}")
        return engine

    def _fit(self, frame: ModelFrame, spec: FitSpec) -> FitResult:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return fit(frame, spec, self.engine)

    def _models(self) -> Iterator[tuple[str, ModelFrame, FitSpec]]:
        """The models of all examples and stored numbers that the engine fits."""
        data = example_data()
        for feature, example in EXAMPLES.items():
            frame = example.frame(data)
            spec = example.spec(frame)
            if refusal(self._engine, frame, spec) is None:
                yield feature.name, frame, spec
        for name in STORED:
            frame, spec, _ = _stored(name)
            if refusal(self._engine, frame, spec) is None:
                yield name, frame, spec

    def _results(self) -> Iterator[tuple[str, ModelFrame, FitSpec, FitResult]]:
        """The models that the engine fits, each with its fit, which is made once."""
        for name, frame, spec in self._models():
            key = (type(self), name)
            if key not in _FITS:
                _FITS[key] = self._fit(frame, spec)
            yield name, frame, spec, _FITS[key]

    def _one(self) -> tuple[Example, ModelFrame, FitSpec]:
        """An example that the engine fits."""
        data = example_data()
        for example in EXAMPLES.values():
            frame = example.frame(data)
            spec = example.spec(frame)
            if refusal(self._engine, frame, spec) is None:
                return example, frame, spec
        pytest.fail(f"{self.engine} fits none of the examples: what does its `supports` say?")

    def test_it_is_found_by_its_name(self) -> None:
        assert self.engine in engine_names(), (
            f"no entry point of the group lmerbridge.engines is named {self.engine!r}"
        )
        engine = self._engine
        assert isinstance(engine, Engine)
        assert engine.name == self.engine
        assert engine.summary
        assert "\n" not in engine.summary

    def test_its_status(self) -> None:
        state = self._engine.status()
        assert isinstance(state, Status)
        assert state == self._engine.status()
        assert state.version if state.available else state.problem

    def test_its_declarations(self) -> None:
        engine = self._engine
        assert isinstance(engine.supports, frozenset)
        assert engine.supports
        assert engine.supports <= frozenset(Feature)
        assert engine.supports & {Feature.ML, Feature.REML}
        both = engine.supports & engine.why_not.keys()
        assert not both, "declared, and with a reason why not"
        for feature, reason in engine.why_not.items():
            assert isinstance(feature, Feature)
            assert reason
            assert "\n" not in reason
        assert isinstance(engine.rival, bool)

    # -- what it does, and what it refuses

    @pytest.mark.parametrize("feature", list(EXAMPLES), ids=lambda f: f.name)
    def test_it_does_what_it_declares_and_refuses_the_rest(
        self, usable: Engine, feature: Feature
    ) -> None:
        example = EXAMPLES[feature]
        frame = example.frame(example_data())
        spec = example.spec(frame)
        lacking = features_of(frame, spec) - usable.supports
        if lacking or usable.limits(frame, spec) is not None:
            with pytest.raises(UnsupportedModelError) as caught:
                self._fit(frame, spec)
            assert self.engine in str(caught.value)
            if lacking:
                assert any(asked.value in str(caught.value) for asked in lacking)
            return
        result = self._fit(frame, spec)
        self._judge(frame, spec, result)

    @pytest.mark.parametrize(
        ("family", "link"), [("binomial", "logit"), ("poisson", "log"), ("gaussian", "log")]
    )
    def test_it_refuses_families_that_it_does_not_declare(
        self, usable: Engine, family: str, link: str
    ) -> None:
        """It would be a gaussian fit under another name."""
        data = example_data()
        y = data["y"]
        data["y"] = {
            "binomial": (y > y.quantile(0.3)).astype(float),
            "poisson": (y - y.min()).round(),
            "gaussian": y - y.min() + 1,
        }[family]
        frame = build_frame("y ~ x + (1 | g)", data, family=family_of(f"{family}({link})"))
        spec = FitSpec(REML=False)
        if refusal(usable, frame, spec) is not None:
            with pytest.raises(UnsupportedModelError, match=self.engine):
                self._fit(frame, spec)
            return
        result = self._fit(frame, spec)
        assert (result.call.family, result.call.link) == (family, link)
        linear = EXAMPLES[Feature.ML].frame(data)
        plain = self._fit(linear, FitSpec(REML=False)).criterion.value
        assert abs(result.criterion.value - plain) > 1e-3, "this is the gaussian fit"

    def test_it_takes_an_example_at_all(self, usable: Engine) -> None:
        names = [name for name, _, _ in self._models()]
        assert names
        assert set(names) & set(STORED), "it fits no model with stored numbers"

    # -- its numbers

    def _judge(self, frame: ModelFrame, spec: FitSpec, result: FitResult) -> None:
        """See what the exact criterion, of no engine, says of the engine's theta."""
        from lmerbridge.crosscheck import compare, of_result
        from lmerbridge.crosscheck.referee import Referee

        referee = Referee(frame, spec)
        theta = result.estimates.theta
        point = referee.point(theta)
        assert result.evidence.converged, result.evidence.messages
        # its criterion is that of its theta, with every constant
        assert result.criterion.value == pytest.approx(point.criterion, abs=1e-6)
        # which is a minimum
        assert point.promise <= self.above
        # its other numbers are those of its theta, by the definitions of lme4
        own = referee.own(result)
        assert own is not None
        wrong = [d for d in compare(of_result(own), of_result(result)) if not d.agrees]
        if result.estimates.vcov_definition != "conditional":
            ours = ("standard errors", "correlation of fixed effects")
            wrong = [d for d in wrong if d.quantity not in ours]
        assert wrong == []

    @pytest.mark.parametrize("name", STORED)
    def test_it_reaches_the_optimum_of_lme4(self, usable: Engine, name: str) -> None:
        """With the numbers that lme4 gave when its tolerances were tight."""
        from lmerbridge.crosscheck import compare, of_golden, of_result

        frame, spec, record = _stored(name)
        if refusal(usable, frame, spec) is not None:
            with pytest.raises(UnsupportedModelError, match=self.engine):
                self._fit(frame, spec)
            return
        result = self._fit(frame, spec)
        self._judge(frame, spec, result)
        polished = record["polished"]
        assert result.criterion.value <= polished["criterion"] + self.above
        differences = compare(of_golden(record, "polished", "lme4"), of_result(result))
        assert [d for d in differences if not d.agrees] == []
        assert result.evidence.singular == polished["singular"]

    def test_the_order_of_rows_does_not_matter(self, usable: Engine) -> None:
        shuffled = example_data().sample(frac=1, random_state=3)
        for name, _, spec, found in self._results():
            if name in STORED:
                continue
            again = self._fit(EXAMPLES[Feature[name]].frame(shuffled), spec)
            _close(again, found, 1.0, self.above)
            back = np.argsort(shuffled.index)
            gap = np.abs(again.estimates.fitted[back] - found.estimates.fitted)
            assert gap.max() <= 1e-3 * found.estimates.scale, name

    def test_the_unit_of_the_response_does_not_matter(self, usable: Engine) -> None:
        _, frame, spec = self._one()
        found = self._fit(frame, spec)
        for scale in (1e-3, 1e3):
            other = frame.with_response(frame.y * scale)
            if frame.offset is None:
                _close(self._fit(other, spec), found, scale, self.above)

    def test_weights_count_relative_to_each_other(self, usable: Engine) -> None:
        """Twice all weights is sqrt(2) times sigma, and nothing else."""
        example = EXAMPLES[Feature.WEIGHTS]
        data = example_data()
        frame, double = example.frame(data), example.frame(data.assign(w=2 * data["w"]))
        spec = example.spec(frame)
        if refusal(usable, frame, spec) is not None:
            return  # refused: an example says so
        found, other = self._fit(frame, spec), self._fit(double, spec)
        assert other.criterion.value == pytest.approx(found.criterion.value, abs=self.above)
        root = np.sqrt(2.0)
        assert other.estimates.scale == pytest.approx(root * found.estimates.scale, rel=1e-3)
        assert other.estimates.theta * root == pytest.approx(found.estimates.theta * 1.0, rel=1e-3)

    def test_an_offset_is_what_is_taken_off_the_response(self, usable: Engine) -> None:
        example = EXAMPLES[Feature.OFFSET]
        data = example_data()
        frame = example.frame(data)
        plain = Example(example.formula).frame(data.assign(y=data["y"] - data["z"]))
        spec = example.spec(frame)
        if refusal(usable, frame, spec) is not None:
            return  # refused: an example says so
        found, other = self._fit(frame, spec), self._fit(plain, spec)
        _close(found, other, 1.0, self.above)
        residuals = found.estimates.residuals - other.estimates.residuals
        assert np.abs(residuals).max() <= 1e-3 * found.estimates.scale

    def test_the_same_fit_gives_the_same_numbers(self, usable: Engine) -> None:
        for name, frame, spec, found in self._results():
            one, two = _numbers(found), _numbers(self._fit(frame, spec))
            for key, value in one.items():
                if self.repeats:
                    assert np.array_equal(value, two[key]), f"{name}: {key}"
                else:
                    assert two[key] == pytest.approx(value, rel=1e-3, abs=1e-3), f"{name}: {key}"

    # -- its result

    def test_its_result_is_complete(self, usable: Engine) -> None:
        for name, frame, spec, result in self._results():
            self._complete(name, frame, spec, result, usable)

    def _complete(
        self, name: str, frame: ModelFrame, spec: FitSpec, result: FitResult, engine: Engine
    ) -> None:
        n, p = frame.X.shape
        assert isinstance(result, FitResult), name
        assert result.schema == SCHEMA
        # starts and settings are the call's, and so is the kind of the criterion
        assert result.call == call_info(frame, spec)
        assert result.data == data_info(frame)
        e = result.estimates
        assert (e.names, e.beta.shape, e.vcov.shape) == (frame.x_names, (p,), (p, p))
        assert np.array_equal(e.vcov, e.vcov.T) or np.allclose(e.vcov, e.vcov.T, rtol=1e-10)
        assert np.linalg.eigvalsh(e.vcov).min(initial=1.0) > 0
        assert e.vcov_definition
        sizes = [len(block.names) for block in frame.random]
        assert e.theta.shape == (len(theta_lower(sizes)),)
        assert (e.par is None) == frame.plain
        assert e.parameters.shape == (frame.covariance_parameters,)
        assert e.sigma is not None
        assert e.sigma > 0
        assert e.fitted.shape == e.residuals.shape == (n,)
        scale = np.abs(frame.y).max()
        assert np.abs(frame.y - e.fitted - e.residuals).max() <= 1e-9 * scale
        assert same(e.weights, frame.weights)
        assert [term.label for term in e.random] == [block.label for block in frame.random]
        for term, block in zip(e.random, frame.random, strict=True):
            levels, k = len(block.levels), len(block.names)
            assert (term.group, term.names) == (block.group, block.names)
            assert (term.structure, term.hom) == (block.structure.kind, block.structure.hom)
            assert term.modes.shape == (levels, k)
            assert term.covariance.shape == term.correlation.shape == (k, k)
            assert term.deviations**2 == pytest.approx(np.diag(term.covariance), abs=1e-12)
            if term.variances is None or np.isnan(term.variances).any():
                assert result.missing["conditional variances"]
            else:
                assert term.variances.shape == (levels, k, k)
        c = result.criterion
        assert c.kind == ("REML" if spec.REML else "ML")
        assert c.logLik == pytest.approx(-0.5 * c.value, rel=1e-12)
        if not result.missing:
            count = p + frame.covariance_parameters + 1
            assert (c.parameters, c.df_residual) == (count, n - count)
            assert pytest.approx(c.value + 2 * count, rel=1e-12) == c.AIC
            assert pytest.approx(c.value + np.log(n) * count, rel=1e-12) == c.BIC
        assert isinstance(result.evidence.converged, bool)
        assert isinstance(result.evidence.singular, bool)
        assert (result.evidence.code == 0) == result.evidence.converged
        assert result.evidence.notes[: len(frame.asked.notes)] == tuple(
            n.text for n in frame.asked.notes
        )
        made = result.provenance
        assert made.engine == self.engine
        assert made.engine_version == engine.status().version
        assert made.versions
        assert all(isinstance(v, str) and v for v in made.versions.values())
        assert made.platform
        assert made.seconds >= 0

    def test_its_result_is_frozen(self, usable: Engine) -> None:
        _, frame, spec = self._one()
        result = self._fit(frame, spec)
        before = to_json(result)
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(result, "call", None)  # noqa: B010 - types forbid to write it plainly
        arrays = [result.estimates.beta, result.estimates.vcov, result.estimates.theta]
        arrays += [result.estimates.fitted, result.estimates.residuals]
        for term in result.estimates.random:
            arrays += [term.modes, term.covariance]
            arrays += [] if term.variances is None else [term.variances]
        for array in arrays:
            assert not array.flags.writeable
            assert not np.shares_memory(array, frame.y)
        assert to_json(result) == before

    def test_its_result_is_the_same_after_json_and_pickle(self, usable: Engine) -> None:
        for name, _, _, result in self._results():
            assert not _other(from_json(to_json(result)), result), name
            assert not _other(pickle.loads(pickle.dumps(result)), result), name  # noqa: S301

    def test_a_model_of_it_works(self, usable: Engine) -> None:
        """As a user has it: from the formula, and with what comes after the fit."""
        from lmerbridge.model import lmer

        example, _, spec = self._one()
        data = example_data()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            m = lmer(
                example.formula,
                data,
                REML=spec.REML,
                engine=self.engine,
                start=example.start,
                timeout=example.timeout,
                **example.arguments,
            )
        assert data.equals(example_data())
        assert m.engine == self.engine
        assert str(m.summary())
        assert m.tidy()["estimate"].notna().all()

    # -- its manners

    def test_it_changes_nothing_that_it_is_given(self, usable: Engine) -> None:
        for name, frame, spec in self._models():
            if name in STORED:
                continue
            before = copy.deepcopy(frame)
            self._fit(frame, spec)
            assert frame == before, name

    def test_it_obeys_a_timeout(self, usable: Engine) -> None:
        """Where it says so: it gives up with our error, and the next fit is as any other."""
        frame = EXAMPLES[Feature.TIMEOUT].frame(example_data())
        short = replace(EXAMPLES[Feature.TIMEOUT].spec(frame), timeout=1e-6)
        if refusal(usable, frame, short) is not None:
            with pytest.raises(UnsupportedModelError, match="timeout="):
                self._fit(frame, short)
            return
        with pytest.raises(FitFailedError, match=r"timeout|longer|within"):
            self._fit(frame, short)
        long = self._fit(frame, replace(short, timeout=60.0))
        never = self._fit(frame, replace(short, timeout=None))
        assert np.array_equal(long.estimates.beta, never.estimates.beta)

    @pytest.mark.parametrize(
        "response", ["its groups alone", "its fixed effects alone", "huge", "tiny"]
    )
    def test_its_errors_are_ours(self, usable: Engine, response: str) -> None:
        """Where there is no optimum, or none that a float can hold, it raises one of our errors,
        or says what it found: never numbers that are none.
        """
        data = example_data()
        g = data["g"].str[1:].astype(int)
        data["y"] = {
            "its groups alone": g.astype(float),
            "its fixed effects alone": 1 + 2 * data["x"],
            "huge": data["y"] * 1e120,
            "tiny": data["y"] * 1e-120,
        }[response]
        example = EXAMPLES[Feature.REML if Feature.REML in usable.supports else Feature.ML]
        try:
            frame = example.frame(data)
            result = self._fit(frame, example.spec(frame))
        except LmerBridgeError:
            return
        assert np.isfinite(result.criterion.value)
        assert np.isfinite(result.estimates.beta).all()
        assert np.isfinite(result.estimates.theta).all()
        assert not _other(from_json(to_json(result)), result)
