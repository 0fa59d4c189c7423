"""What is missing without the extras, what is said then, and what works all the same."""

import _ctypes
import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy

import lmerbridge as lb
from checkout import CHECKOUT
from lmerbridge import MissingPackageError, files, optional
from lmerbridge.crosscheck.html import html_text
from lmerbridge.datasets import read_table
from lmerbridge.model.progress import progress_bar

ROOT = Path(lb.__file__).parent
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
# by extra, what is imported
IMPORTED = {
    "cli": ["typer", "rich"],
    "report": ["jinja2"],
    "parquet": ["pyarrow"],
    "data": ["pooch"],
    "parallel": ["joblib", "psutil"],
    "plots": ["matplotlib"],
    "tables": ["great_tables"],
    "scorecard": ["lmerbridge_further"],
}
MODULES = {module for modules in IMPORTED.values() for module in modules}
# a Python in which none of that is installed
WITHOUT = f"""
import sys
WITHOUT = {MODULES}
class Without:
    def __init__(self, finder):
        self.finder = finder
    def __getattr__(self, name):
        return getattr(self.finder, name)
    def find_spec(self, name, path=None, target=None):
        if not {{name, name.split(".")[0]}} & WITHOUT:
            return self.finder.find_spec(name, path, target)
sys.meta_path[:] = map(Without, sys.meta_path)
"""


def python(code):
    return subprocess.run([sys.executable, "-c", WITHOUT + code], capture_output=True, text=True)


def names(requirements):
    return [re.match(r"[\w.-]+", r).group().replace("-", "_") for r in requirements]


def test_each_package_is_in_its_extra_and_not_in_the_base():
    for extra, modules in IMPORTED.items():
        assert names(EXTRAS[extra]) == modules
        assert not set(modules) & set(names(PROJECT["dependencies"]))
    (everything,) = EXTRAS["all"]
    assert set(re.findall(r"\w+", everything)) == {"lmerbridge", *IMPORTED} - {"scorecard"}


def calls(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "needed":
            yield [getattr(a, "value", None) for a in node.args[:2]]


def test_each_extra_that_a_message_names_has_that_package():
    found = [call for path in ROOT.rglob("*.py") for call in calls(path)]
    assert len(found) > 8
    for module, extra in found:
        assert module is None or module in IMPORTED[extra]
        assert extra in EXTRAS


def imported_at_import(tree):
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0]


def test_only_the_command_line_imports_its_extra_at_once():
    for path in ROOT.rglob("*.py"):
        taken = MODULES & set(imported_at_import(ast.parse(path.read_text("utf-8"))))
        assert not taken or path == ROOT / "cli" / "app.py", path


def test_what_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "great_tables", None)
    with pytest.raises(MissingPackageError) as said:
        optional.needed("great_tables", "tables", "to_gt()")
    assert str(said.value) == (
        "to_gt() needs great-tables, which is not installed: "
        "pip install 'lmerbridge[tables]' (or 'lmerbridge[all]' for everything)"
    )
    assert not optional.is_there("great_tables")


def test_a_package_that_is_broken_is_said_to_be(monkeypatch, tmp_path):
    (tmp_path / "broken_package.py").write_text("import there_is_no_such_package")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingPackageError, match=r"cannot be imported \(No module named"):
        optional.needed("broken_package", "tables", "this")


def test_the_command_line():
    done = python("from lmerbridge.cli import main; sys.argv = ['lmerbridge', 'engines']; main()")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        "lmerbridge: the command line needs typer, which is not installed: "
        "pip install 'lmerbridge[cli]' (or 'lmerbridge[all]' for everything)\n"
    )


def test_fits_summaries_and_checks_work_without_any_extra():
    done = python(
        "import lmerbridge as lb\n"
        "d = lb.datasets.load('sleepstudy')\n"
        "f = 'Reaction ~ Days + (Days | Subject)'\n"
        "for engine in ('native', 'statsmodels'):\n"
        "    m = lb.lmer(f, d, engine=engine)\n"
        "    print(m.summary(ddf='Satterthwaite'), m.tidy(), m.predict().shape)\n"
        "m.confint(method='boot', nsim=20, seed=1, progress=True)\n"
        "lb.table([m, m]).to_latex()\n"
        "print(lb.check(f, d, engines=['native', 'statsmodels']))\n"
        "print(lb.datasets.is_local('Dyestuff'))\n"
    )
    assert done.returncode == 0, done.stderr
    assert "All is well" in done.stdout or "agree" in done.stdout
    assert done.stdout.endswith("\nTrue\n")


# where compiled modules may be: the three packages, and Python itself
BROUGHT = {Path(m.__file__).parent for m in (np, scipy, pd, _ctypes)}
COMPILED = """
import numpy, numpy.f2py, scipy, pandas  # f2py takes what it finds of charset_normalizer
WITHOUT.add("wrapt._wrappers")  # formulaic's wrapt has the same in Python
before = set(sys.modules)
import lmerbridge as lb
d = lb.datasets.load("cake")
m = lb.lmer("angle ~ temperature + recipe + (1 | replicate:recipe)", d, engine="native")
print(str(m.summary(ddf="Satterthwaite")).count("temperature"), file=sys.stderr)
lb.lmer("Reaction ~ Days + (Days | Subject)", lb.datasets.load("sleepstudy"), engine="native")
for name, module in sorted(sys.modules.items()):
    kind = getattr(getattr(module, "__spec__", None), "origin", None) or ""
    if name not in before and kind.endswith((".so", ".pyd")) or name.startswith("statsmodels"):
        print(name, kind)
"""


def test_a_native_fit_needs_nothing_compiled_but_numpy_scipy_and_pandas():
    """What Pyodide needs: it has these three, and all else is Python."""
    done = python(COMPILED)
    assert done.returncode == 0, done.stderr
    assert int(done.stderr) > 3
    compiled = [line.split(" ", 1) for line in done.stdout.splitlines()]
    assert compiled  # scipy's
    for name, origin in compiled:
        assert BROUGHT & set(Path(origin).parents), name
    assert "statsmodels" not in done.stdout


@pytest.mark.parametrize("name", ["d.parquet", "d.feather", "d.arrow"])
def test_files_of_parquet(monkeypatch, tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingPackageError, match=rf"reading {name} needs pyarrow.*\[parquet\]"):
        read_table(tmp_path / name)


def test_a_data_set_to_be_fetched(monkeypatch):
    monkeypatch.delenv("LMERBRIDGE_DATA", raising=False)
    monkeypatch.setitem(sys.modules, "pooch", None)
    assert not lb.datasets.is_local("dragons")
    with pytest.raises(MissingPackageError, match=r"fetching the data set 'dragons' needs pooch"):
        lb.datasets.load("dragons")


def test_several_processes(monkeypatch, run):
    monkeypatch.setitem(sys.modules, "joblib", None)
    m = lb.lmer("Yield ~ 1 + (1 | Batch)", lb.datasets.load("Dyestuff"), engine="native")
    with pytest.raises(MissingPackageError, match=r"jobs=2 needs joblib.*lmerbridge\[parallel\]"):
        m.confint(method="boot", nsim=10, seed=1, jobs=2)
    status, out, err = run("check", "--jobs", "2")
    assert (status, out) == (2, "")
    assert err.startswith("lmerbridge: --jobs needs joblib")


def test_the_page_is_refused_before_the_models_are_fitted(monkeypatch, run, tmp_path):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    status, out, err = run("check", "--html", str(tmp_path / "page.html"))
    assert (status, out) == (2, "")
    assert err.startswith("lmerbridge: --html needs jinja2")
    with pytest.raises(MissingPackageError, match="the HTML report needs jinja2"):
        html_text([])


def test_plots_and_tables(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "great_tables", None)
    m = lb.lmer("Reaction ~ Days + (Days | Subject)", lb.datasets.load("sleepstudy"))
    for plot in (lb.plots.caterpillar, lb.plots.shrinkage):
        with pytest.raises(MissingPackageError, match=r"a plot needs matplotlib.*\[plots\]"):
            plot(m)
    with pytest.raises(MissingPackageError, match=r"to_gt\(\) needs great-tables"):
        lb.table([m]).to_gt()


def test_the_scorecard(monkeypatch, run, tmp_path):
    monkeypatch.setattr(files, "_PACKAGE", tmp_path / "bridge" / "lmerbridge")
    (tmp_path / "bridge" / "reference").mkdir(parents=True)
    monkeypatch.setitem(sys.modules, "lmerbridge_further", None)
    words = "lmerbridge-further, which is not installed: pip install lmerbridge-further"
    with pytest.raises(MissingPackageError, match=words):
        files.further_cases()
    here = tmp_path / "bridge" / "lmerbridge" / "_data" / "reference"
    here.mkdir(parents=True)
    for name in ("cases", "generalized"):
        (here / f"{name}.toml").write_text(
            '[[model]]\nname = "a"\ndata = "Dyestuff"\nformula = "Yield ~ 1 + (1 | Batch)"\n'
        )
    status, out, err = run("check", "--scorecard")
    assert (status, out) == (2, "")
    assert re.fullmatch(rf"lmerbridge: [^\n]*{words} \(or 'lmerbridge\[scorecard\]'\)\n", err)


def test_the_further_models_are_found_in_their_distribution(monkeypatch, tmp_path):
    monkeypatch.setattr(files, "_PACKAGE", tmp_path / "bridge" / "lmerbridge")
    package = tmp_path / "site" / "lmerbridge_further"
    (package / "reference" / "further").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    cases = package / "reference" / "further" / "cases.toml"
    cases.write_text("")
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert files.further_cases() == cases


def test_long_work_without_rich(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "rich", None)
    with progress_bar("bootstrap", True) as tell:
        tell(1, 2)
    assert capsys.readouterr().err == ""  # no terminal
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with progress_bar("bootstrap", True) as tell:
        tell(1, 2)
    assert "bootstrap: 1 of 2" in capsys.readouterr().err
