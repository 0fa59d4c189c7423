"""pytest: tests that a model agrees across engines, or with its baseline.

The fixture::

    def test_model(lmer_agrees):
        lmer_agrees("y ~ x + (x | g)", data, engines=["native", "statsmodels"])
        lmer_agrees("y ~ x + (x | g)", data, baseline="model.json")

and the marker, for a model that is all there is to say::

    @pytest.mark.lmer("Reaction ~ Days + (Days | Subject)", data="sleepstudy")
    def test_sleepstudy(lmer_comparison):
        assert lmer_comparison.verdicts["native"].kind == "agree"

The failure message is the verdict with its table. ``pytest --lmer-record`` writes the baselines
instead of comparing with them. ``require="lme4"``, ``pytest --lmer-require lme4`` for all, or the
environment variable ``LMERBRIDGE_REQUIRE_R=1`` fail the test where the engine does not work.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from lmerbridge.errors import DataError, LmerBridgeError

__all__ = ["lmer_agrees", "lmer_comparison"]

_Call: TypeAlias = tuple[str, int]  # the test, and which of its models
# by baseline and name, by which call a model was recorded
_RECORDED = pytest.StashKey[dict[tuple[Path, str], _Call]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("lmerbridge")
    group.addoption(
        "--lmer-record",
        action="store_true",
        help="write the baselines of lmer_agrees(baseline=...) instead of comparing with them",
    )
    group.addoption(
        "--lmer-require",
        action="append",
        default=[],
        metavar="ENGINE",
        help="fail tests of models unless this engine works here (may be repeated, or a list: a,b)",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "lmer(formula, data, engines=None, baseline=None, require=(), **arguments): the model "
        "that the fixture lmer_comparison fits by several engines; the test fails if they disagree",
    )


def _name(request: pytest.FixtureRequest, path: Path, named: Sequence[tuple[Path, str]]) -> str:
    """What a model is called in a baseline that tests share: its test, and the second, third, ...
    of one test their number.
    """
    test = f"{request.path.name}::{request.node.nodeid.partition('::')[2]}"
    number = sum(1 for there, _ in named if there == path) + 1
    return test if number == 1 else f"{test} ({number})"


def _record(found: Any, path: Path, call: _Call, config: pytest.Config) -> None:
    """Add the model to the baseline; ``call`` says whose it is."""
    from lmerbridge.crosscheck.baseline import record_baseline

    if hasattr(config, "workerinput"):  # of pytest-xdist: several processes, one file
        pytest.fail("baselines are recorded by one process: add -n 0", pytrace=False)
    name = found.report.case.name
    recorded = config.stash.setdefault(_RECORDED, {})
    before = recorded.setdefault((path.resolve(), name), call)
    if before != call:
        pytest.fail(
            f"two models are named {name!r} in {path.name} (the other one by {before[0]}): "
            "give each a name=, or none, and they have their tests'",
            pytrace=False,
        )
    try:
        record_baseline([found.report], path, {name: found.frame}, add=True)
    except DataError as error:
        pytest.fail(str(error), pytrace=False)


def _compared(found: Any, path: Path, test: str) -> Any:
    """The Comparison against the baseline, which must have something of this model."""
    from lmerbridge.crosscheck.baseline import against_baseline, load_baseline

    by = shlex.join(["pytest", "--lmer-record", test])
    try:
        kept = load_baseline(path, by)
    except DataError as error:
        pytest.fail(str(error), pytrace=False)
    name = found.report.case.name
    report = against_baseline([found.report], kept, {name: found.frame})[0]
    if name not in kept["fits"]:
        lacks = f"model {name!r}"
    elif not any(o.engine in kept["fits"][name]["engines"] for o in report.outcomes):
        lacks = f"fit of {name!r} by {', '.join(o.engine for o in report.outcomes)}"
    else:
        return replace(found, report=report)
    pytest.fail(
        f"{path} has no {lacks}, so that nothing can be compared; record it by: {by}",
        pytrace=False,
    )


def _checked(
    formula: str,
    data: Any,
    engines: Sequence[str] | None,
    baseline: str | Path | None,
    request: pytest.FixtureRequest,
    named: list[tuple[Path, str]],
    arguments: dict[str, Any],
) -> Any:
    """Compare the engines, and then with the baseline. ``named`` are the models of baselines that
    the test has named so far.
    """
    __tracebackhide__ = True
    from lmerbridge import datasets
    from lmerbridge.crosscheck.check import check
    from lmerbridge.crosscheck.requirements import listed, missing

    folder, option = request.path.parent, request.config.getoption
    own = arguments.pop("require", ())
    required = [own] if isinstance(own, str) else own
    required = [*required, *listed(option("--lmer-require") or ())]
    if isinstance(data, str):
        file = folder / data
        data = datasets.load(data) if data in datasets.names() else datasets.read_table(file)
    path = None if baseline is None else folder / baseline
    if path is not None:
        arguments.setdefault("name", _name(request, path, named))
        named.append((path, arguments["name"]))
    try:
        found = check(formula, data, engines, require=required, **arguments)
    except LmerBridgeError as error:
        raise error.with_traceback(None) from None  # of what the test wrote, not of how it was read
    if path is not None and option("--lmer-record"):
        _record(found, path, (request.node.nodeid, len(named)), request.config)
    elif path is not None:
        found = _compared(found, path, request.node.nodeid)
    if not found.well:
        absent = "; ".join(missing([found.report]).values())
        why = absent or f"the engines disagree on {formula}"
        pytest.fail(f"{why}\n\n{found}", pytrace=False)
    return found


@pytest.fixture
def lmer_agrees(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """``lmer_agrees(formula, data, engines=None, baseline=None, **arguments)``: fails the test
    with the verdicts and their table unless all engines agree; returns the Comparison.

    ``data`` is a frame, the name of a data set, or the path of a file beside the test;
    ``baseline`` the path of a recorded one, which tests may share: a model has its test's name in
    it unless ``name=`` is given. Other arguments are those of :func:`lmerbridge.check`.
    """
    named: list[tuple[Path, str]] = []

    def agrees(
        formula: str,
        data: Any,
        engines: Sequence[str] | None = None,
        baseline: str | Path | None = None,
        **arguments: Any,
    ) -> Any:
        __tracebackhide__ = True
        return _checked(formula, data, engines, baseline, request, named, arguments)

    return agrees


@pytest.fixture
def lmer_comparison(request: pytest.FixtureRequest) -> Any:
    """The Comparison of the model that the marker ``lmer`` names."""
    marker = request.node.get_closest_marker("lmer")
    if marker is None:
        pytest.fail("lmer_comparison needs @pytest.mark.lmer(formula, data=...)", pytrace=False)
    arguments: dict[str, Any] = dict(
        zip(("formula", "data", "engines", "baseline"), marker.args, strict=False)
    )
    arguments.update(marker.kwargs)
    formula, data = arguments.pop("formula"), arguments.pop("data")
    engines, baseline = arguments.pop("engines", None), arguments.pop("baseline", None)
    return _checked(formula, data, engines, baseline, request, [], arguments)
