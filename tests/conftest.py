"""Shared fixtures; the marker ``r`` needs R with lme4 and the packages that it names:
``@pytest.mark.r("emmeans")``.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Tests run side by side, one on each core: threads of BLAS would wait for each other's cores. It
# reads this when it is loaded, here, in the processes of xdist and in those that tests start.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import hypothesis
import numpy as np
import pandas as pd
import pytest

import lmerbridge as lb
from lmerbridge.cli import main
from r_here import STORED_DIALECT, live_dialect, needs_r
from rpy2_here import needs_rpy2

# examples vary from run to run, except in CI, which must fail for a change and not for chance
hypothesis.settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    hypothesis.settings.load_profile("ci")

STORED = Path(__file__).parent / "stored"


def pytest_runtest_setup(item: pytest.Item) -> None:
    marks = list(item.iter_markers("r"))
    # tests that ask R expect its dialect, the others that of what is stored
    os.environ["LMERBRIDGE_DIALECT"] = live_dialect() if marks else STORED_DIALECT
    if marks:
        needs_r(*sorted({package for mark in marks for package in mark.args}))


@pytest.fixture(autouse=True)
def _options_of_the_session() -> Iterator[None]:
    before = lb.options()
    yield
    lb.options(**vars(before))


@pytest.fixture(autouse=True)
def _no_engine_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LMERBRIDGE_ENGINE", raising=False)


@pytest.fixture
def no_r_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The R in use is the one that is found; none has been named yet."""
    for name in ("LMERBRIDGE_R", "LMERBRIDGE_R_INSTALLATIONS", "LMERBRIDGE_R_TRANSPORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("lmerbridge.rlang.installations._named", {})


@pytest.fixture
def r_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """R in this process, for tests that look into it."""
    needs_rpy2()
    monkeypatch.setenv("LMERBRIDGE_R_TRANSPORT", "rpy2")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the command line in this process; gives (status, stdout, stderr)."""

    def call(*arguments: str) -> tuple[Any, str, str]:
        monkeypatch.setattr(sys, "argv", ["lmerbridge", *arguments])
        try:
            main()
            status: Any = 0
        except SystemExit as stop:
            status = stop.code or 0
        out, err = capsys.readouterr()
        return status, out, err

    return call


@pytest.fixture
def sleepstudy() -> pd.DataFrame:
    return lb.datasets.load("sleepstudy")


@pytest.fixture
def stored_text() -> dict[str, list[dict[str, object]]]:
    return json.loads((STORED / "text.json").read_text("utf-8"))


@pytest.fixture
def simulated() -> pd.DataFrame:
    """Two crossed factors, numeric, ordered, string and logical predictors; no missing values."""
    rng = np.random.default_rng(1)
    n = 160
    d = pd.DataFrame(
        {
            "g": np.repeat(np.arange(20), 8),
            "h": np.tile(np.arange(8), 20),
            "f": np.tile(list("abcd"), 40),
        }
    )
    d["x"], d["z"] = rng.normal(size=n), rng.normal(size=n)
    effect = rng.normal(size=20)
    d["y"] = 1 + 0.5 * d["x"] + effect[d["g"]] + 0.3 * rng.normal(size=8)[d["h"]]
    d["y"] += 0.4 * rng.normal(size=20)[d["g"]] * d["x"] + rng.normal(size=n)
    d["w"] = rng.poisson(3, n) + 1.0
    d["o"] = pd.Categorical(np.resize(["lo", "mid", "hi"], n), ["lo", "mid", "hi"], ordered=True)
    d["b"] = d["x"] > 0
    d["odd name"] = d["x"]
    return d


@pytest.fixture
def engine_slot() -> Iterator[str]:
    """A name under which a test may register an engine."""
    yield "fake"
    lb.register_engine("fake", None)
