"""What must hold where the wheel alone was installed, with no extra: run by test_wheel.sh there."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

EXTRAS = ("typer", "rich", "jinja2", "pyarrow", "pooch", "joblib", "psutil", "matplotlib")
FORMULA = "Reaction ~ Days + (Days | Subject)"


def command(*arguments: str) -> str:
    """Return what the command says while it refuses."""
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lmerbridge"), *arguments],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, ""), done
    return done.stderr


def refusal(function: object, *arguments: object) -> str:
    """Return the text of the error that names what to install."""
    from lmerbridge import MissingPackageError

    assert callable(function)
    try:
        function(*arguments)
    except MissingPackageError as error:
        return str(error)
    raise AssertionError(f"{function} did not refuse")


def main() -> None:
    """Fit, print, compare; and ask for what needs an extra."""
    there = [name for name in EXTRAS if find_spec(name) is not None]
    assert not there, f"{there} came with the base"
    import lmerbridge as lb
    from lmerbridge.crosscheck.html import html_text
    from lmerbridge.datasets import read_table

    data = lb.datasets.load("sleepstudy")
    for engine in ("native", "statsmodels"):
        text = str(lb.lmer(FORMULA, data, engine=engine).summary(ddf="Satterthwaite"))
        assert "Days          10.467      1.546" in text, text
    factors = lb.lmer("angle ~ recipe * temp + (1 | replicate)", lb.datasets.load("cake"))
    assert factors.engine in ("native", "statsmodels", "lme4")
    found = lb.check(FORMULA, data, engines=["native", "statsmodels"])
    assert found.well, found
    said = command("engines")
    assert said.count("\n") == 1, said
    assert "pip install 'lmerbridge[cli]'" in said, said
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "d.parquet"
        file.touch()
        assert "lmerbridge[parquet]" in refusal(read_table, file)
    assert "lmerbridge[report]" in refusal(html_text, [])
    assert "lmerbridge[data]" in refusal(lb.datasets.load, "InstEval")
    print("without extras: fits, summaries and comparisons; the rest names its extra")


if __name__ == "__main__":
    main()
