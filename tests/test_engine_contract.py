"""The contract of engines: ours keep it, so does one of another package, and faulty ones do not."""

import ast
import contextlib
import io
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

import lmerbridge as lb
from lmerbridge.engines import LINEAR_MIXED, Feature, load_engine, toolkit
from lmerbridge.engines.native import NativeEngine
from lmerbridge.errors import FitFailedError
from lmerbridge.testing import EXAMPLES, STORED, EngineContract, example_data

DOCS = Path(__file__).parent.parent / "docs/engines.md"
OUTSIDE = Path(__file__).parent / "outside_engine"


class TestNative(EngineContract):
    engine = "native"


class TestStatsmodels(EngineContract):
    engine = "statsmodels"


@pytest.mark.r
class TestLme4(EngineContract):
    engine = "lme4"


def test_every_feature_of_a_linear_mixed_model_has_an_example():
    assert set(EXAMPLES) == LINEAR_MIXED
    data = example_data()
    for feature, example in EXAMPLES.items():
        frame = example.frame(data)
        assert feature in toolkit.features_of(frame, example.spec(frame))


# -- engines with one fault each: the contract must find it


class Sound(NativeEngine):
    """The native engine under another name."""

    name = "fake"

    def fit(self, frame, spec):
        result = super().fit(frame, spec)
        made = replace(result.provenance, engine="fake")
        return replace(result, provenance=made)


class ForgetsWeights(Sound):
    def fit(self, frame, spec):
        return super().fit(replace(frame, rows=replace(frame.rows, weights=None)), spec)


class StopsEarly(Sound):
    """With the numbers that belong to a theta a little off."""

    def fit(self, frame, spec):
        result = super().fit(frame, spec)
        products = toolkit.cross_products(frame)
        at = toolkit.evaluate(products, result.estimates.theta * 1.02, spec.REML)
        return replace(
            result,
            estimates=toolkit.estimates_at(frame, at),
            criterion=toolkit.counted(frame, spec.REML, at.criterion),
        )


class LeavesOutConstants(Sound):
    def fit(self, frame, spec):
        result = super().fit(frame, spec)
        value = result.criterion.value - frame.nobs * np.log(2 * np.pi)
        return replace(result, criterion=toolkit.counted(frame, spec.REML, value))


class OtherStandardErrors(Sound):
    """By another definition, and does not say so."""

    def fit(self, frame, spec):
        result = super().fit(frame, spec)
        estimates = replace(result.estimates, vcov=result.estimates.vcov * 1.01)
        return replace(result, estimates=estimates)


class EveryFamily(Sound):
    """A gaussian fit under another name."""

    supports = frozenset(Feature)

    def fit(self, frame, spec):
        linear = replace(frame, asked=replace(frame.asked, family=None))
        result = super().fit(linear, spec)
        asked = frame.family
        if asked is None:
            return result
        return replace(result, call=replace(result.call, family=asked.name, link=asked.link.name))


class ChangesItsInput(Sound):
    def fit(self, frame, spec):
        result = super().fit(frame, spec)
        frame.y.setflags(write=True)
        frame.y[0] += 1e-9
        return result


class RaisesAnything(Sound):
    def fit(self, frame, spec):
        if np.abs(frame.y).max() > 1e100:
            raise ZeroDivisionError
        return super().fit(frame, spec)


class IgnoresTheTimeout(Sound):
    def fit(self, frame, spec):
        return super().fit(frame, replace(spec, timeout=None))


class DeclaresTooMuch(Sound):
    def fit(self, frame, spec):
        if any(len(block.names) > 1 for block in frame.random):
            raise FitFailedError("one column for each term, please")
        return super().fit(frame, spec)


class NeverTheSame(Sound):
    def fit(self, frame, spec):
        result = super().fit(frame, spec)
        beta = result.estimates.beta * (1 + 1e-12 * np.random.default_rng().normal())
        return replace(result, estimates=replace(result.estimates, beta=beta))


class LooksAtTheFirstRow(Sound):
    def fit(self, frame, spec):
        result = super().fit(frame, spec)
        error = 0.01 * np.sqrt(np.diag(result.estimates.vcov)) * frame.y[0]
        estimates = replace(result.estimates, beta=result.estimates.beta + error)
        return replace(result, estimates=estimates)


class OwnUnits(Sound):
    """What is below 1e-2 is nothing to it."""

    def fit(self, frame, spec):
        if np.abs(frame.y).max() < 1e-2:
            frame = replace(frame, rows=replace(frame.rows, y=np.round(frame.y, 4)))
        return super().fit(frame, spec)


class ForgetsTheCall(Sound):
    def fit(self, frame, spec):
        result = super().fit(frame, spec)
        return replace(result, call=replace(result.call, start=None))


class NeverSingular(Sound):
    def fit(self, frame, spec):
        result = super().fit(frame, spec)
        return replace(result, evidence=replace(result.evidence, singular=False))


class NoReasonWhyNot(Sound):
    supports = LINEAR_MIXED
    why_not = MappingProxyType({Feature.TIMEOUT: "no clock here"})


class Mutable(Sound):
    supports = LINEAR_MIXED - {"": ""}.keys()  # a set: the difference is that of the view


class NoVersion(Sound):
    def status(self):
        return toolkit.Status(True)


FAULTS = [
    (ForgetsWeights, "test_it_does_what_it_declares_and_refuses_the_rest", Feature.WEIGHTS),
    (ForgetsWeights, "test_weights_count_relative_to_each_other"),
    (StopsEarly, "test_it_reaches_the_optimum_of_lme4", "sleepstudy"),
    (StopsEarly, "test_it_does_what_it_declares_and_refuses_the_rest", Feature.ML),
    (LeavesOutConstants, "test_it_does_what_it_declares_and_refuses_the_rest", Feature.REML),
    (OtherStandardErrors, "test_it_does_what_it_declares_and_refuses_the_rest", Feature.REML),
    (EveryFamily, "test_it_refuses_families_that_it_does_not_declare", "binomial", "logit"),
    (EveryFamily, "test_it_refuses_families_that_it_does_not_declare", "gaussian", "log"),
    (ChangesItsInput, "test_it_changes_nothing_that_it_is_given"),
    (RaisesAnything, "test_its_errors_are_ours", "huge"),
    (IgnoresTheTimeout, "test_it_obeys_a_timeout"),
    (DeclaresTooMuch, "test_it_does_what_it_declares_and_refuses_the_rest", Feature.CORRELATED),
    (NeverTheSame, "test_the_same_fit_gives_the_same_numbers"),
    (LooksAtTheFirstRow, "test_the_order_of_rows_does_not_matter"),
    (OwnUnits, "test_the_unit_of_the_response_does_not_matter"),
    (ForgetsTheCall, "test_its_result_is_complete"),
    (NeverSingular, "test_it_reaches_the_optimum_of_lme4", "Dyestuff2"),
    (NoReasonWhyNot, "test_its_declarations"),
    (Mutable, "test_its_declarations"),
    (NoVersion, "test_its_status"),
]


def _named(fault):
    return f"{fault[0].__name__}-{fault[1]}"


@pytest.mark.parametrize("fault", FAULTS, ids=_named)
def test_the_contract_finds_the_fault(engine_slot, fault):
    faulty, test, *arguments = fault
    lb.register_engine(engine_slot, faulty)
    contract = type("Contract", (EngineContract,), {"engine": engine_slot})()
    before = [] if test in ("test_its_declarations", "test_its_status") else [faulty()]
    with pytest.raises((AssertionError, pytest.fail.Exception, ZeroDivisionError, FitFailedError)):
        getattr(contract, test)(*before, *arguments)


@pytest.mark.parametrize("test", sorted({fault[1:] for fault in FAULTS}, key=str), ids=str)
def test_the_contract_finds_no_fault_where_there_is_none(engine_slot, test):
    name, *arguments = test
    lb.register_engine(engine_slot, Sound)
    contract = type("Contract", (EngineContract,), {"engine": engine_slot})()
    before = [] if name in ("test_its_declarations", "test_its_status") else [Sound()]
    getattr(contract, name)(*before, *arguments)


# -- the documentation's engine


def _blocks(text):
    return re.findall(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", text, re.DOTALL)


@pytest.mark.skipif(not DOCS.exists(), reason="run from an installed wheel")
def test_the_engine_of_the_documentation_keeps_the_contract(engine_slot):
    """What the page shows is run, prints what it shows, and passes its own test class."""
    text = DOCS.read_text("utf-8")
    scope = {"__name__": "page"}
    try:
        for code, expected in _blocks(text):
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec(compile(code, DOCS.name, "exec"), scope)  # our own page
            assert out.getvalue() == expected
        contract = scope["TestMine"]()
        engine = load_engine("mine")
        contract.test_it_is_found_by_its_name()
        contract.test_its_declarations()
        contract.test_its_result_is_complete(engine)
        contract.test_its_result_is_the_same_after_json_and_pickle(engine)
        contract.test_it_changes_nothing_that_it_is_given(engine)
        for feature in EXAMPLES:
            contract.test_it_does_what_it_declares_and_refuses_the_rest(engine, feature)
        for name in STORED:
            contract.test_it_reaches_the_optimum_of_lme4(engine, name)
    finally:
        lb.register_engine("mine", None)


@pytest.mark.skipif(not DOCS.exists(), reason="run from an installed wheel")
def test_the_page_names_all_of_the_toolkit_and_every_feature():
    text = DOCS.read_text("utf-8")
    names = set(re.findall(r"[`.](\w+)\b", text))
    assert set(toolkit.__all__) - names == set()
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", text, re.MULTILINE))
    assert rows == {feature.name: feature.value for feature in Feature}


# -- an engine of another package


def test_the_outside_engine_uses_the_toolkit_alone():
    source = (OUTSIDE / "src/lmerbridge_onefactor/__init__.py").read_text("utf-8")
    imported = {
        node.module if isinstance(node, ast.ImportFrom) else alias.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    ours = {name for name in imported if name.split(".")[0] == "lmerbridge"}
    assert ours == {"lmerbridge.engines.toolkit"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Install the outside package into a folder; gives the environment that finds it."""
    target = tmp_path_factory.mktemp("installed")
    build = ["--no-deps", "--no-index", "--no-build-isolation", "--quiet"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", *build, "--target", str(target), str(OUTSIDE)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    path = os.pathsep.join([str(target), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path}


def test_an_engine_of_another_package_is_found_by_its_entry_point_and_fits(installed):
    code = (
        "import lmerbridge as lb\n"
        "f, d = 'Yield ~ 1 + (1 | Batch)', lb.datasets.load('Dyestuff')\n"
        "m, n = (lb.lmer(f, d, engine=e) for e in ('one-factor', 'native'))\n"
        "print(m.engine, m.result.provenance.engine_version)\n"
        "print(abs(m.REMLcrit() - n.REMLcrit()) < 1e-9, round(m.REMLcrit(), 4))\n"
        "try:\n"
        "    lb.lmer(f, d, engine='one-factor', timeout=5)\n"
        "except lb.UnsupportedModelError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=installed, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    first, second, third = done.stdout.splitlines()
    assert first == "one-factor 1.2.3"
    assert second == "True 319.6543"  # lme4's vignette and manual: 319.6543
    assert third.startswith("engine 'one-factor' does not fit Yield ~ 1 + (1 | Batch) (timeout=:")
    assert re.search(r"engine='(lme4|native)' can fit it here", third)


def test_an_engine_of_another_package_keeps_the_contract(installed):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=OUTSIDE,
        env=installed,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    tests = 20 + len(STORED) + len(EXAMPLES)
    passed = int(re.search(r"(\d+) passed", done.stdout)[1])
    assert passed >= tests - 5
    assert "skipped" not in done.stdout


def test_the_engine_is_not_here_where_it_is_not_installed():
    with pytest.raises(lb.EngineUnavailableError, match="there is no engine 'one-factor'"):
        load_engine("one-factor")
