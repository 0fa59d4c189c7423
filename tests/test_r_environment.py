"""What the user's environment holds changes neither what R reads nor what it says."""

import os
import subprocess
import sys

import pytest

from lmerbridge.rlang.environment import for_r, started_in
from rpy2_here import needs_rpy2

PROGRAM = """
import warnings
import numpy as np, pandas as pd, lmerbridge as lb
rng = np.random.default_rng(1)
d = pd.DataFrame({"größe": rng.normal(size=60), "グループ": np.repeat(list("äéßnza"), 10)})
d["f"] = rng.choice(["ö", "zü", "a", "Z"], 60)
d["y"] = rng.normal(size=60) + np.repeat(rng.normal(size=6), 10)
made = [lb.lmer("y ~ größe + f + (1 | グループ)", d, engine=e) for e in ("lme4", "native")]
r, ours = (m.fixef() for m in made)
assert list(r.index) == list(ours.index), r.index
np.testing.assert_allclose(r, ours, rtol=1e-4)
assert list(made[0].ranef()["grp"]) == list(made[1].ranef()["grp"])
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    lb.lmer("y ~ 1 + (1 | グループ)", d.assign(y=np.tile(d["y"][:10], 6)), engine="lme4")
print(*{str(w.message) for w in said})
"""
HOSTILE = {
    "a locale that the machine has not": {"LC_ALL": "xx_XX.UTF-8", "R_DEFAULT_PACKAGES": "NULL"},
    "letters of ASCII alone, another language": {"LC_ALL": "C", "LANGUAGE": "de"},
}


@pytest.mark.r
@pytest.mark.parametrize("transport", ["rpy2-worker", "rscript", "rpy2"])
@pytest.mark.parametrize("what", list(HOSTILE))
def test_names_and_words_are_the_same(what, transport):
    if transport != "rscript":
        needs_rpy2()
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG"))}
    done = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", PROGRAM],
        env={**kept, **HOSTILE[what], "LMERBRIDGE_R_TRANSPORT": transport},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "boundary (singular) fit: see help(m.isSingular)"
    assert done.stderr == ""


@pytest.mark.skipif(os.name != "posix", reason="R has other locales there")
@pytest.mark.parametrize("given", [{}, {"LC_ALL": "C"}, {"LC_ALL": "xx_XX.UTF-8"}])
def test_r_is_given_utf8_and_english(given):
    made = for_r({"HOME": "/h", "R_DEFAULT_PACKAGES": "NULL", **given})
    assert made["LC_ALL"].endswith("UTF-8")
    assert made["LC_ALL"] != "xx_XX.UTF-8"
    assert made["LANGUAGE"] == "en"
    assert made["HOME"] == "/h"
    assert "R_DEFAULT_PACKAGES" not in made


def test_this_process_has_its_own_environment_again(monkeypatch):
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("R_DEFAULT_PACKAGES", "NULL")
    monkeypatch.delenv("LANGUAGE", raising=False)
    before = dict(os.environ)
    with started_in():
        assert os.environ["LC_ALL"] != "C"
        assert "R_DEFAULT_PACKAGES" not in os.environ
    assert dict(os.environ) == before
