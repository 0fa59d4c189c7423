"""Whatever a fit gives compares, hashes, copies, pickles and shows itself honestly."""

import copy
import dataclasses
import importlib
import inspect
import pickle
import pkgutil
import warnings
from functools import partial
from types import MappingProxyType

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import every_method
import lmerbridge as lb
from lmerbridge.display.table import RTable
from lmerbridge.equality import by_value, same

SOME = ("weights", "singular", "empty cells", "exclude", "transformed", "no fixed effects")


@pytest.fixture(scope="module")
def models():
    return every_method.models()


def values(owner, thing):
    """What the methods of ``thing`` give, with the call that gives it."""
    yield owner, thing
    if dataclasses.is_dataclass(thing):
        for field in dataclasses.fields(thing):
            yield f"{owner}.{field.name}", getattr(thing, field.name)
    for call, method in every_method.calls(owner, thing, {}):
        arguments = {k: v for k, v in call.arguments.items() if k != "*"}
        try:
            found = getattr(thing, call.method) if method is None else method(**arguments)
        except lb.errors.LmerBridgeError:
            continue
        yield str(call), found


def ours(value):
    kind = type(value)
    public = kind.__module__.startswith("lmerbridge") and not kind.__name__.startswith("_")
    return public and not isinstance(value, pd.DataFrame)


def not_honest(name, value):
    """What is wrong with a value, in words."""
    found = []
    same_again = value == value
    if same_again is not True:
        found.append(f"{name}: == gives {same_again!r}")
    if value not in [value] or value in [object()]:
        found.append(f"{name}: in")
    if hash(value) != hash(value):
        found.append(f"{name}: hash")
    if value == object() or value != value:
        found.append(f"{name}: != of itself, or == of another thing")
    again = pickle.loads(pickle.dumps(value))
    twin = copy.deepcopy(value)
    for other, how in ((again, "pickled"), (twin, "copied")):
        if other != value or hash(other) != hash(value):
            found.append(f"{name}: is another value {how}")
    if not repr(value):
        found.append(f"{name}: repr is empty")
    return found


@pytest.mark.parametrize("name", SOME)
@pytest.mark.filterwarnings("ignore")
def test_everything_that_a_fit_gives_is_an_honest_value(models, name):
    found, seen = [], set()
    for owner, thing in every_method.things(name, models[name]).items():
        for call, value in values(owner, thing):
            if ours(value):
                seen.add(type(value).__name__)
                found += not_honest(call, value)
    assert not found, "\n".join(found)
    assert {"FitResult", "ModelFrame", "Model"} <= seen


def test_a_fit_equals_the_same_fit_and_no_other(models):
    again, other = every_method.models()["weights"], models["ML"]
    result = models["weights"].result
    assert models["weights"] != again  # they took other times
    untimed = [
        dataclasses.replace(r, provenance=dataclasses.replace(r.provenance, seconds=0.0))
        for r in (result, again.result)
    ]
    assert untimed[0] == untimed[1]
    assert len({*untimed, other.result}) == 2
    assert other.result not in untimed
    moved = dataclasses.replace(
        untimed[0],
        estimates=dataclasses.replace(
            untimed[0].estimates, beta=np.nextafter(untimed[0].estimates.beta, np.inf)
        ),
    )
    assert moved != untimed[0]


@pytest.mark.parametrize(
    ("a", "b", "alike"),
    [
        (np.array([1.0, np.nan]), np.array([1.0, np.nan]), True),
        (np.array([1.0, np.nan]), np.array([np.nan, 1.0]), False),
        (np.array([1.0]), np.array([[1.0]]), False),
        (np.array([1.0]), np.array([1]), False),
        (np.array([0.0]), np.array([-0.0]), True),
        (np.array(["a", None], object), np.array(["a", None], object), True),
        (np.array([1.0]), 1.0, False),
        (float("nan"), float("nan"), True),
        (pd.DataFrame({"a": [1.0, None]}), pd.DataFrame({"a": [1.0, None]}), True),
        (pd.DataFrame({"a": [1.0]}), pd.DataFrame({"b": [1.0]}), False),
        (pd.Index(["a"]), pd.Index(["b"]), False),
        (sparse.eye_array(3), sparse.eye_array(3), True),
        (sparse.eye_array(3), 2 * sparse.eye_array(3), False),
        ({"a": np.array([1.0])}, MappingProxyType({"a": np.array([1.0])}), True),
        ({"a": 1}, {"b": 1}, False),
        ((1, [2.0]), (1, [2.0]), True),
        ((1, 2), [1, 2], False),
        (partial(max, np.array([1.0])), partial(max, np.array([1.0])), True),
        (partial(max, 1), partial(max, 2), False),
        (True, 1, False),
        ("a", "a", True),
    ],
)
def test_what_is_the_same(a, b, alike):
    assert same(a, b) is alike
    assert same(b, a) is alike


def test_hashes_of_equal_values_are_equal():
    @by_value
    @dataclasses.dataclass(frozen=True, eq=False)
    class Value:
        a: object
        b: object = None

    one = Value(np.array([0.0, 1.0]), {"x": [float("nan")]})
    two = Value(np.array([-0.0, 1.0]), {"x": [float("nan")]})
    assert one == two
    assert hash(one) == hash(two)
    assert Value(1) != Value(2)
    assert Value(np.array([1.0])) != Value(np.array([2.0]))
    assert Value(1) != 1


def modules():
    for found in pkgutil.walk_packages(lb.__path__, "lmerbridge."):
        if found.name.rpartition(".")[2] not in ("rpy2_session", "worker", "child", "__main__"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield importlib.import_module(found.name)


HOLDING = ("ndarray", "Array", "DataFrame", "Series", "Mapping", "dict[", "list[", "Any", "Codes")


def test_no_frozen_dataclass_compares_what_it_cannot():
    """The ``==`` that dataclasses make compares tuples of fields, which fails for arrays; hash of
    the same fails for mappings.
    """
    found = [
        f"{cls.__module__}.{cls.__name__}"
        for module in modules()
        for cls in vars(module).values()
        if inspect.isclass(cls)
        and cls.__module__ == module.__name__
        and dataclasses.is_dataclass(cls)
        and cls.__dataclass_params__.eq
        and cls.__dataclass_params__.frozen
        and any(word in str(f.type) for f in dataclasses.fields(cls) for word in HOLDING)
    ]
    assert not found, found


def test_a_table_that_was_changed_prints_what_it_holds():
    m = lb.lmer("Reaction ~ Days + (1 | Subject)", lb.datasets.load("sleepstudy"), engine="native")
    as_r = str(m.anova())
    assert as_r.startswith("Type III Analysis of Variance Table")

    def changed(change):
        table = m.anova()
        change(table)
        return table

    def new_column(t):
        t["x"] = 1

    def new_label(t):
        t.index = ["other"]

    def new_value(t):
        t.loc["Days", "F value"] = 7.25

    for change, shown in [
        (new_column, "  x"),
        (lambda t: t.pop("F value"), "Pr(>F)"),
        (new_value, "7.25"),
        (new_label, "other"),
    ]:
        table = changed(change)
        assert shown in str(table)
        assert shown in repr(table)
        assert "Analysis of Variance" not in str(table)
        assert str(table) == str(pd.DataFrame(table))
    untouched = changed(lambda t: t.sum())
    assert str(untouched) == as_r
    assert str(pickle.loads(pickle.dumps(untouched))) == as_r


def test_a_table_does_not_follow_what_it_was_made_of():
    source = pd.DataFrame({"a": [1.0, 2.0]})
    table = RTable.of(source, "R's text")
    source.loc[0, "a"] = 9.0
    assert (str(table), table["a"].tolist()) == ("R's text", [1.0, 2.0])


def test_each_optimizer_has_its_own_time():
    d = lb.datasets.load("sleepstudy")
    table = lb.lmer("Reaction ~ Days + (Days | Subject)", d, engine="native").allFit()
    table = table[table["engine"] == "native"]
    assert len(set(table["seconds"])) == len(table)
    assert (table["seconds"] > 0).all()
