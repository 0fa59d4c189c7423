"""The shape of the package: quick import, public names, who may import whom."""

import ast
import importlib.metadata
import json
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path

import pytest

import lmerbridge as lb
from lmerbridge import errors

ROOT = Path(lb.__file__).parent
ROOMS = {
    "_version": set(),
    "errors": set(),
    "arguments": {"errors"},
    "messages": {"errors"},
    "lazy": set(),
    "blas_threads": set(),
    "shown": set(),
    "rmath": set(),
    "rank": set(),
    "version_numbers": set(),
    "covariance": set(),
    "digest": set(),
    "equality": set(),
    "files": {"errors"},
    "optional": {"errors"},
    "family": {"equality", "errors"},
    # the forms of R's versions; a result only to ask who fitted it
    "dialects": {"equality", "errors", "result", "version_numbers"},
    "formula": {"covariance", "arguments", "errors"},
    "design": {
        "family",
        "equality",
        "covariance",
        "arguments",
        "dialects",
        "formula",
        "errors",
        "lazy",
        "rmath",
    },
    "result": {"equality", "covariance", "errors"},
    "rlang": {"equality", "errors", "lazy", "version_numbers"},
    "likelihood": {"family", "equality", "blas_threads", "covariance", "design", "errors", "lazy"},
    "solve": {"equality", "shown", "blas_threads", "covariance", "design", "likelihood", "errors"},
    "engines": {
        "family",
        "_version",
        "equality",
        "blas_threads",
        "covariance",
        "arguments",
        "design",
        "formula",
        "likelihood",
        "solve",
        "result",
        "rlang",
        "version_numbers",
        "errors",
    },
    # profiles, bootstrap and deletion minimize again, and need no engine for it
    "inference": {
        "family",
        "shown",
        "equality",
        "blas_threads",
        "covariance",
        "arguments",
        "messages",
        "dialects",
        "design",
        "formula",
        "likelihood",
        "solve",
        "result",
        "rank",
        "digest",
        "optional",
        "errors",
    },
    "display": {
        "shown",
        "equality",
        "covariance",
        "arguments",
        "dialects",
        "design",
        "result",
        "inference",
        "optional",
        "errors",
        "rmath",
    },
    "model": {
        "family",
        "shown",
        "equality",
        "covariance",
        "arguments",
        "lazy",
        "messages",
        "dialects",
        "design",
        "engines",
        "solve",
        "formula",
        "inference",
        "display",
        "result",
        "optional",
        "errors",
    },
    "reading": {"dialects", "errors"},
    "datasets": {"equality", "shown", "arguments", "errors", "files", "optional", "reading"},
}


def modules():
    return sorted(p for p in ROOT.rglob("*.py") if "_data" not in p.parts)


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module, [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, []


def room_of(path):
    relative = path.relative_to(ROOT)
    return relative.parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_downwards(path):
    room = room_of(path)
    if room not in ROOMS:  # __init__, crosscheck and cli may import all
        return
    for module, names in imports_of(path):
        if module == "lmerbridge":
            used = set(names)
        elif module.startswith("lmerbridge."):
            used = {module.split(".")[1]}
        else:
            continue
        assert used <= ROOMS[room] | {room}, f"{room} may not import {used}"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_only_rlang_imports_rpy2(path):
    if any(module.split(".")[0] == "rpy2" for module, _ in imports_of(path)):
        assert room_of(path) == "rlang"


def files_imported(path):
    """The files of the package that a file imports, anywhere in it."""
    known = {module_name(p) for p in modules()}
    for module, names in imports_of(path):
        for name in names:
            if f"{module}.{name}" in known:
                yield f"{module}.{name}"
            elif module in known:
                yield module
        if not names and module in known:
            yield module


def module_name(path):
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_no_circle_between_files():
    """Leave out, again and again, files that import none of those left: nothing stays."""
    left = {module_name(p): set(files_imported(p)) - {module_name(p)} for p in modules()}
    while left:
        free = [name for name, used in left.items() if not used & left.keys()]
        assert free, f"these files import each other in a circle: {sorted(left)}"
        for name in free:
            del left[name]


def test_the_model_is_one_class():
    from lmerbridge.model import Model

    assert Model.__mro__ == (Model, object)


def loaded_by(code):
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys, json\nprint(json.dumps(sorted(sys.modules)))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


HEAVY = ("rpy2", "statsmodels", "scipy.optimize", "matplotlib", "formulaic", "scipy.stats")


def test_import_is_light():
    loaded = loaded_by("import lmerbridge")
    assert [m for m in HEAVY if m in loaded] == []
    assert "pandas" not in loaded


def test_the_command_line_loads_what_a_command_needs():
    loaded = loaded_by("from lmerbridge.cli import main")
    assert [m for m in (*HEAVY, "numpy", "pandas", "narwhals") if m in loaded] == []


def test_names_load_nothing_heavy():
    loaded = loaded_by("from lmerbridge import *\nfrom lmerbridge import lmer, datasets")
    assert [m for m in HEAVY if m in loaded] == []


def test_a_native_fit_loads_nothing_of_what_comes_after_it():
    """A model's methods load the modules that answer them, when they are called."""
    code = (
        "import lmerbridge as lb\n"
        "m = lb.lmer('Yield ~ 1 + (1 | Batch)', lb.datasets.load('Dyestuff'), engine='native')\n"
        "rooms = ('lmerbridge.display', 'lmerbridge.family')\n"
        "answers = {m for m in sys.modules if m.startswith(rooms)"
        " or m in ('lmerbridge.model.marginal', 'lmerbridge.model.regression',"
        " 'lmerbridge.inference.profile', 'lmerbridge.inference.means', 'scipy.special')}\n"
        "assert not answers, answers\n"
        "assert 'Batch' in str(m.summary())\n"
        "assert 'lmerbridge.display.summary' in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", "import sys\n" + code], check=True)


def test_a_native_fit_loads_nothing_heavy():
    """Of scipy no more than its version, where one small factor is all that there is."""
    loaded = loaded_by(
        "import lmerbridge as lb\n"
        "d = lb.datasets.load('sleepstudy')\n"
        "lb.lmer('Reaction ~ Days + (Days | Subject)', d, engine='native')"
    )
    others = (
        "scipy.linalg",
        "scipy.sparse",
        "narwhals",
        "importlib.metadata",
        "lmerbridge.rlang.pool",
    )
    assert [m for m in (*HEAVY, *others) if m in loaded] == []


def test_listing_engines_starts_no_r():
    loaded = loaded_by(
        "import lmerbridge as lb\nlb.engine_names()\n"
        "from lmerbridge.engines import status_of\nstatus_of('lme4')"
    )
    assert "rpy2" not in loaded
    assert "statsmodels" not in loaded


def test_public_names():
    assert sorted(lb.__all__) == dir(lb)
    for name in lb.__all__:
        assert getattr(lb, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'lmerr'"):
        _ = lb.lmerr
    with pytest.raises(AttributeError, match="nonlinear mixed models are not here"):
        _ = lb.nlmer


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("family", "glmer\\(\\) fits generalized linear mixed models"),
        ("groups", r"stands in the formula: \(1 | group\)"),
        ("correlation", r"ar1\(\) and cs\(\) around a random term"),
        ("reml", "did you mean 'REML'"),
    ],
)
def test_arguments_of_other_packages_are_known(argument, words):
    d = lb.datasets.load("sleepstudy")
    with pytest.raises(errors.ArgumentError, match=words):
        lb.lmer("Reaction ~ Days + (1 | Subject)", d, **{argument: "x"})


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_what_a_module_exports_exists(path):
    tree = ast.parse(path.read_text("utf-8"))
    exported = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets)
    ]
    if not exported:
        assert path.name in ("__init__.py", "__main__.py", "write_schema.py")
        return
    defined = {
        n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    }
    defined |= {n.name for n in tree.body if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
    defined |= {
        a.asname or a.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for a in n.names
    }
    if path != ROOT / "__init__.py":
        assert set(exported[0]) <= defined


def exported_by(path):
    """The names in ``__all__``, or nothing where there is none."""
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and any(
            isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets
        ):
            return set(ast.literal_eval(node.value))
    return None


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_what_a_file_takes_of_another_is_exported_there(path):
    files = {module_name(p): p for p in modules()}
    for module, names in imports_of(path):
        exported = exported_by(files[module]) if module in files else None
        if exported is not None:
            taken = {name for name in names if f"{module}.{name}" not in files}
            assert taken <= exported, f"of {module}: {taken - exported}"


def test_the_tree_of_errors_is_in_the_docstring():
    for name in errors.__all__:
        value = getattr(errors, name)
        if isinstance(value, type):
            assert name in errors.__doc__
    for name, base in [
        ("FormulaError", ValueError),
        ("DataError", ValueError),
        ("EngineUnavailableError", ImportError),
        ("MissingPackageError", ImportError),
        ("FitFailedError", RuntimeError),
        ("UnsupportedModelError", NotImplementedError),
    ]:
        assert issubclass(getattr(errors, name), (base, errors.LmerBridgeError))
        assert issubclass(getattr(errors, name), base)


def test_generic_names_are_not_importable():
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import importlib.util as u\n"
            "print([n for n in ('reference', 'bridge') if u.find_spec(n)])",
        ],
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
    )
    assert done.stdout.strip() == "[]"


def lines_of_docstrings(text):
    for node in ast.walk(ast.parse(text)):
        if (
            isinstance(node, (ast.FunctionDef, ast.ClassDef))
            and ast.get_docstring(node) is not None
        ):
            yield node.body[0].end_lineno - node.body[0].lineno + 1


def test_modules_stay_small():
    """Model has a method for each of R's functions; what it says of them is not counted."""
    for path in modules():
        text = path.read_text("utf-8")
        assert len(text.splitlines()) - sum(lines_of_docstrings(text)) < 700, path


def test_version():
    assert importlib.metadata.version("lmerbridge") == lb.__version__


def test_warnings_can_be_told_apart():
    assert issubclass(lb.FitWarning, UserWarning)
    with warnings.catch_warnings():
        warnings.simplefilter("error", lb.FitWarning)
        with pytest.raises(lb.FitWarning):
            lb.lmer("Yield ~ 1 + (1 | Batch)", lb.datasets.load("Dyestuff2"), engine="statsmodels")


def test_a_pytest_run_that_does_not_use_the_plugin_imports_nothing_for_it():
    """It is loaded in every pytest run of an environment that has this package."""
    code = (
        "import sys; import pytest; before = set(sys.modules); import lmerbridge.pytest_plugin; "
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"lmerbridge", "lmerbridge.pytest_plugin"} <= set(done.stdout.split())
    assert len(done.stdout.split()) <= 5, done.stdout


def test_the_plugin_is_named_where_pytest_looks():
    points = importlib.metadata.entry_points(group="pytest11")
    assert points["lmerbridge"].value == "lmerbridge.pytest_plugin"


def test_fragments_of_the_changelog_are_what_towncrier_takes():
    folder = ROOT.parents[1] / "changelog.d"
    if not folder.is_dir():
        pytest.skip("no checkout")
    settings = tomllib.loads((folder.parent / "pyproject.toml").read_text("utf-8"))
    kinds = {kind["directory"] for kind in settings["tool"]["towncrier"]["type"]}
    for path in folder.glob("*"):
        if path.name == "README.md":
            continue
        name, kind, ending = path.name.rsplit(".", 2)
        assert kind in kinds, path.name
        assert ending == "md", path.name
        assert name.startswith("+") or name.isdigit(), path.name
        text = path.read_text("utf-8")
        assert text.strip(), path.name
        assert "\n\n" not in text, path.name
