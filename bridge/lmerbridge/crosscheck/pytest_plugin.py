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
instead of comparing with them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

__all__ = ["lmer_agrees", "lmer_comparison"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("lmerbridge").addoption(
        "--lmer-record",
        action="store_true",
        help="write the baselines of lmer_agrees(baseline=...) instead of comparing with them",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "lmer(formula, data, engines=None, baseline=None, **arguments): the model that the fixture "
        "lmer_comparison fits by several engines; the test fails if they disagree",
    )


def _checked(
    formula: str,
    data: Any,
    engines: Sequence[str] | None,
    baseline: str | Path | None,
    record: bool,
    folder: Path,
    arguments: dict[str, Any],
) -> Any:
    from lmerbridge import datasets
    from lmerbridge.crosscheck.baseline import against_baseline, load_baseline, record_baseline
    from lmerbridge.crosscheck.check import check

    if isinstance(data, str):
        path = folder / data
        data = datasets.load(data) if data in datasets.names() else datasets.read_table(path)
    found = check(formula, data, engines, **arguments)
    if baseline is not None:
        path = folder / baseline
        if record:
            record_baseline([found.report], path)
        else:
            report = against_baseline([found.report], load_baseline(path))[0]
            found = replace(found, report=report)
    if not found.well:
        pytest.fail(f"the engines disagree on {formula}\n\n{found}", pytrace=False)
    return found


@pytest.fixture
def lmer_agrees(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """``lmer_agrees(formula, data, engines=None, baseline=None, **arguments)``: fails the test
    with the verdicts and their table unless all engines agree; returns the Comparison.

    ``data`` is a frame, the name of a data set, or the path of a file beside the test;
    ``baseline`` the path of a recorded one. Other arguments are those of
    :func:`lmerbridge.check`.
    """
    record = bool(request.config.getoption("--lmer-record"))

    def agrees(
        formula: str,
        data: Any,
        engines: Sequence[str] | None = None,
        baseline: str | Path | None = None,
        **arguments: Any,
    ) -> Any:
        __tracebackhide__ = True
        folder = request.path.parent
        return _checked(formula, data, engines, baseline, record, folder, arguments)

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
    record = bool(request.config.getoption("--lmer-record"))
    return _checked(formula, data, engines, baseline, record, request.path.parent, arguments)
