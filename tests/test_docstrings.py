"""What docstrings say of the public functions: every parameter, no other, by a verb; and their
examples give what they show.
"""

import contextlib
import doctest
import functools
import importlib
import inspect
import io
import pkgutil
import re

import pytest

import lmerbridge as lb
from lmerbridge.model.marginal import MeansList
from lmerbridge.model.ref_grid import RefGrid

# What a docstring of a function begins with.
VERBS = {
    "Add",
    "Average",
    "Bootstrap",
    "Build",
    "Change",
    "Compare",
    "Compute",
    "Contrast",
    "Describe",
    "Divide",
    "Draw",
    "Drop",
    "Estimate",
    "Express",
    "Fit",
    "Give",
    "Let",
    "List",
    "Load",
    "Make",
    "Name",
    "Parse",
    "Predict",
    "Profile",
    "Put",
    "Read",
    "Return",
    "Say",
    "Show",
    "Simulate",
    "Summarize",
    "Take",
    "Test",
    "Try",
    "Write",
}

ROOMS = ("design", "inference", "likelihood", "result")
# What lists some parameters, and is to list all.
PART = ("inference.profiling.profile",)


def documented(obj, *sections):
    """The names that sections of a docstring list, in the NumPy style: ``a, b : type``."""
    text = inspect.cleandoc(obj.__doc__ or "")
    names = []
    for section in sections:
        found = re.search(rf"^{section}\n-+\n(.*?)(?=^\w[\w ]*\n-{{3,}}$|\Z)", text, re.M | re.S)
        lines = found.group(1).splitlines() if found else []
        for line in lines:
            if line and not line[0].isspace():
                names += [name.strip().lstrip("*") for name in line.split(" : ")[0].split(",")]
    return names


def parameters(obj):
    """The arguments that a user gives."""
    names = inspect.signature(obj).parameters
    return [name for name in names if name not in ("self", "cls") and not name.startswith("_")]


def with_methods(where, obj):
    """A function; or a class and what it defines: functions, and properties by their getters."""
    if not inspect.isclass(obj):
        return {where: obj} if inspect.isfunction(obj) else {}
    found = {where: obj}
    for name, member in vars(obj).items():
        for attribute in ("fget", "func", "__func__"):
            member = getattr(member, attribute, member)
        if inspect.isfunction(member) and not name.startswith("_"):
            found[f"{where}.{name}"] = member
    return found


def public():
    """Everything of ``lb.__all__`` and of the modules that it names, and what holds means."""
    found = {}
    for name in lb.__all__:
        value = getattr(lb, name)
        if inspect.ismodule(value):
            for inner in value.__all__:
                found |= with_methods(f"{name}.{inner}", getattr(value, inner))
        else:
            found |= with_methods(name, value)
    return found | with_methods("RefGrid", RefGrid) | with_methods("MeansList", MeansList)


def of_rooms():
    """What the files of the rooms below export."""
    found = {}
    for room in ROOMS:
        package = importlib.import_module(f"lmerbridge.{room}")
        for info in pkgutil.iter_modules(package.__path__, f"lmerbridge.{room}."):
            module = importlib.import_module(info.name)
            for name in getattr(module, "__all__", ()):
                value = getattr(module, name)
                if getattr(value, "__module__", None) == info.name:
                    found |= with_methods(f"{info.name.removeprefix('lmerbridge.')}.{name}", value)
    return found


PUBLIC = public()
OF_ROOMS = of_rooms()


def is_property(where):
    *owners, name = where.split(".")
    owner = functools.reduce(getattr, owners, lb) if owners and hasattr(lb, owners[0]) else None
    owner = {"RefGrid": RefGrid, "MeansList": MeansList}.get(owners[0] if owners else "", owner)
    if not inspect.isclass(owner):
        return False
    return not inspect.isfunction(inspect.getattr_static(owner, name))


@pytest.mark.parametrize("where", PUBLIC)
def test_a_public_docstring_names_every_parameter_and_no_other(where):
    obj = PUBLIC[where]
    assert obj.__doc__, f"{where} has no docstring"
    if inspect.isclass(obj):
        # errors are made by us; a class's fields are its attributes
        if not issubclass(obj, Exception):
            listed = documented(obj, "Parameters", "Attributes")
            assert [name for name in parameters(obj) if name not in listed] == []
        return
    listed = documented(obj, "Parameters")
    assert [name for name in listed if name not in parameters(obj)] == []
    assert [name for name in parameters(obj) if name not in listed] == []


@pytest.mark.parametrize("where", [w for w, o in PUBLIC.items() if inspect.isfunction(o)])
def test_a_public_function_s_docstring_begins_with_a_verb(where):
    if not is_property(where):
        assert inspect.cleandoc(PUBLIC[where].__doc__).split()[0] in VERBS


@pytest.mark.parametrize("where", {**PUBLIC, **OF_ROOMS})
def test_errors_are_named_with_their_cause(where):
    text = inspect.cleandoc({**PUBLIC, **OF_ROOMS}[where].__doc__)
    found = re.search(r"^Raises\n-+\n(.*?)(?=^\w[\w ]*\n-{3,}$|\Z)", text, re.M | re.S)
    lines = found.group(1).strip().splitlines() if found else []
    for line, after in zip(lines, [*lines[1:], ""], strict=False):
        if line and not line[0].isspace():
            assert after.startswith("    "), f"{where}: {line} has no cause"


@pytest.mark.parametrize("where", OF_ROOMS)
def test_a_docstring_of_the_rooms_below_lists_all_parameters_or_none(where):
    obj = OF_ROOMS[where]
    own = vars(obj).get("__doc__") if inspect.isclass(obj) else obj.__doc__
    assert own, f"{where} has no docstring"
    listed = documented(obj, "Parameters")
    if listed and inspect.isfunction(obj) and where not in PART:
        assert sorted(listed) == sorted(parameters(obj))


# -- examples

FIRST_FITS = 'lb.lmer("Reaction ~ Days + (Days | Subject)", lb.datasets.load("sleepstudy"))'
SHOWN = (
    "lm",
    "lmList",
    "lmer",
    "lmerControl",
    "check",
    "datasets.load",
    "simulate_design",
    "MarginalMeans.pairs",
    "Model.AIC",
    "Model.VarCorr",
    "Model.anova",
    "Model.augment",
    "Model.coef",
    "Model.confint",
    "Model.emmeans",
    "Model.emtrends",
    "Model.fixef",
    "Model.getME",
    "Model.glance",
    "Model.logLik",
    "Model.predict",
    "Model.ranef",
    "Model.ranova",
    "Model.simulate",
    "Model.summary",
    "Model.tidy",
    "Model.to_json",
    "Model.update",
)


@pytest.fixture(scope="module")
def sleepstudy():
    return eval(FIRST_FITS.replace("))", '), engine="native")'), {"lb": lb})


@pytest.mark.parametrize("where", [w for w, o in PUBLIC.items() if ">>>" in (o.__doc__ or "")])
def test_examples_give_what_they_show(where, sleepstudy, monkeypatch):
    """Of the native engine; those of methods of a model have the one of ``Model`` as ``m``."""
    monkeypatch.setenv("LMERBRIDGE_ENGINE", "native")
    text = inspect.cleandoc(PUBLIC[where].__doc__)
    known = {**vars(inspect.getmodule(PUBLIC[where])), "lb": lb, "m": sleepstudy}
    example = doctest.DocTestParser().get_doctest(text, known, where, None, 0)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    said = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()):
        runner.run(example, out=said.write)
    assert runner.summarize(verbose=False).failed == 0, said.getvalue()


def test_what_is_asked_most_has_an_example():
    assert [where for where in SHOWN if ">>>" not in PUBLIC[where].__doc__] == []


def test_a_docstring_s_parameters_are_read():
    def function(a, b, *others, c=None, **options):
        """Do.

        Parameters
        ----------
        a, b : int
            Two: and no more.
        *others
            Further ones.
        c : {"x", "y"}, optional
        **options
            What else.

        Returns
        -------
        int
        """

    assert documented(function, "Parameters") == ["a", "b", "others", "c", "options"]
    assert documented(function, "Parameters") == parameters(function)


def test_no_signature_holds_a_private_name():
    """What a user cannot give is not shown: in help(), in an editor, on the API's page."""
    found = public()
    assert {"lmer", "lm", "Model", "Model.update", "plots.means"} <= set(found)
    private = {
        where: names
        for where, obj in found.items()
        if not (inspect.isclass(obj) and issubclass(obj, (Exception, Warning)))
        and (names := [name for name in inspect.signature(obj).parameters if name[0] == "_"])
    }
    assert private == {}
