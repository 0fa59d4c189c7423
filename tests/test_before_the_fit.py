"""What docs/for_r_users.md says of data before a fit is what R does: the page's own code, and what
R 4.2.2 gave for the call beside it.
"""

import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import lmerbridge as lb

PAGE = Path(__file__).parent.parent / "docs" / "for_r_users.md"
pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="run from an installed wheel")
NAMES = {"pd": pd, "np": np, "lb": lb}


def code_beside(call):
    """The first code in the right column of the row whose left column has ``call``."""
    for line in PAGE.read_text("utf-8").splitlines():
        cells = re.split(r"(?<!\\)\|", line)
        if len(cells) == 4 and f"`{call}`" in cells[1]:
            found = re.search(r"`([^`]+)`", cells[2])
            assert found is not None
            return found[1].replace("\\|", "|")
    raise AssertionError(f"no row has {call}")


@pytest.fixture
def d():
    return pd.DataFrame(
        {"f": ["b", "a", "b", "c"], "x": [1.0, 2.0, -3.0, 4.0], "z": [1.0, None, 3.0, 4.0]}
    )


def test_subset(d):
    found = eval(code_beside("subset(d, x > 0 & !is.na(z))"), NAMES, {"d": d})
    assert found["f"].tolist() == ["b", "c"]


def test_levels_of_factors(d):
    code = code_beside('factor(d$f, levels = c("b", "a"))')
    made = eval(code, NAMES, {"d": d[d["f"] != "c"]})
    assert list(made.categories) == ["b", "a"]
    d["f"] = [0, 1, 1, 0]
    code = code_beside('factor(d$f, levels = 0:1, labels = c("no", "yes"))')
    assert list(eval(code, NAMES, {"d": d})) == ["no", "yes", "yes", "no"]


def test_relevel(d):
    f = d["f"].astype("category")
    found = eval(code_beside('relevel(f, ref = "b")'), NAMES, {"f": f})
    assert list(found.cat.categories) == ["b", "a", "c"]
    assert found.tolist() == f.tolist()
    d["f"] = found
    d["y"] = [1.0, 2.0, 3.0, 5.0]
    assert list(lb.lm("y ~ f", d).fixef().index) == ["(Intercept)", "fa", "fc"]


def test_expand_grid():
    found = eval(code_beside('expand.grid(a = 1:2, b = c("u", "v"))'), NAMES)
    assert found[["a", "b"]].to_numpy().tolist() == [[1, "u"], [2, "u"], [1, "v"], [2, "v"]]


def test_aggregate(d):
    d["y"] = [1.0, 2.0, 3.0, 5.0]
    found = eval(code_beside("aggregate(y ~ f, d, mean)"), NAMES, {"d": d})
    assert found.to_dict() == {"a": 2.0, "b": 2.0, "c": 5.0}


def test_what_pandas_would_read_otherwise():
    text = "g,flag\nNone,T\nn/a,F\nA,T\n"
    d = lb.read_csv(io.StringIO(text))
    assert d["g"].tolist() == ["None", "n/a", "A"]  # read.csv: three texts
    assert d["flag"].tolist() == [True, False, True]
    assert pd.read_csv(io.StringIO(text))["g"].isna().sum() == 2
