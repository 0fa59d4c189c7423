import json
import math
from dataclasses import FrozenInstanceError, dataclass, replace

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lmerbridge as lb
from lmerbridge.errors import DataError
from lmerbridge.result import SCHEMA, from_json, json_schema, stored_schema, to_json
from lmerbridge.result.on_demand import on_demand
from lmerbridge.result.upgrades import upgraded


@pytest.fixture(scope="module")
def model():
    data = lb.datasets.load("sleepstudy")
    return lb.lmer(
        "Reaction ~ Days + (Days | Subject)",
        data,
        engine="statsmodels",
        weights=np.linspace(1, 2, 180),
    )


def same(a, b):
    if isinstance(a, np.ndarray):
        return a.shape == b.shape and a.dtype == b.dtype and np.array_equal(a, b, equal_nan=True)
    if hasattr(a, "__dataclass_fields__"):
        return type(a) is type(b) and all(
            same(getattr(a, f), getattr(b, f)) for f in a.__dataclass_fields__
        )
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(same, a, b))
    if hasattr(a, "items"):
        return list(a) == list(b) and all(same(v, b[k]) for k, v in a.items())
    if isinstance(a, float) and math.isnan(a):
        return isinstance(b, float) and math.isnan(b)
    return a == b


def test_json_there_and_back_loses_nothing(model):
    again = from_json(to_json(model.result))
    assert same(model.result, again)
    assert to_json(again) == to_json(model.result)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=2, max_size=2),
    st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
)
def test_any_numbers_and_names_survive(numbers, missing):
    result = small_result()
    changed = replace(
        result, missing=missing, estimates=replace(result.estimates, beta=np.array(numbers))
    )
    assert same(changed, from_json(to_json(changed)))


_small = []


def small_result():
    if not _small:
        data = lb.datasets.load("Dyestuff")
        _small.append(lb.lmer("Yield ~ 1 + (1 | Batch)", data, engine="statsmodels").result)
    return _small[0]


def test_the_document_follows_its_schema(model):
    jsonschema.validate(json.loads(model.to_json()), stored_schema())


def test_the_schema_file_is_that_of_the_dataclasses():
    assert stored_schema() == json_schema(), "run: make schema"


def test_the_schema_can_fail(model):
    document = json.loads(model.to_json())
    document["estimates"]["sigma"] = "many"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, stored_schema())


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"schema": "lmerbridge/99"}', '{"schema": "lmerbridge/1"}']
)
def test_other_documents_are_refused(text):
    with pytest.raises(DataError):
        from_json(text)


@pytest.mark.parametrize("change", [{"data": {}}, {"criterion": None}, {"evidence": 3}])
def test_damaged_documents_are_refused(model, change):
    with pytest.raises(DataError, match="result"):
        from_json(json.dumps({**json.loads(model.to_json()), **change}))


def test_results_are_frozen(model):
    with pytest.raises(FrozenInstanceError):
        model.result.schema = "x"
    with pytest.raises(ValueError, match="read-only"):
        model.result.estimates.beta[0] = 1.0


def test_model_from_json(model):
    text = model.to_json()
    bare = lb.from_json(text)
    assert str(bare.summary()) == str(model.summary())
    assert bare.fixef().equals(model.fixef())
    with pytest.raises(DataError, match="read without its data"):
        bare.getME("X")
    with pytest.raises(DataError, match="read without its data"):
        bare.update(". ~ . - Days")


def test_model_from_json_with_data_must_fit():
    data = lb.datasets.load("sleepstudy")
    m = lb.lmer("Reaction ~ Days + (1 | Subject)", data, engine="statsmodels")
    again = lb.from_json(m.to_json(), data)
    assert again.getME("X").shape == (180, 2)
    with pytest.raises(DataError, match="fingerprint"):
        lb.from_json(m.to_json(), data.assign(Days=data.Days + 1))


def test_seconds_and_versions_are_recorded(model):
    p = model.result.provenance
    assert p.seconds > 0
    assert p.versions["statsmodels"] == p.engine_version
    assert p.platform


def test_model_from_json_with_weights_and_contrasts(simulated):
    d = simulated.copy()
    d.loc[3, "x"] = np.nan
    m = lb.lmer(
        "y ~ x + f + (1 | g)",
        d,
        engine="statsmodels",
        weights=d.w.to_numpy(),
        contrasts={"f": "contr.sum"},
        subset="z > -1",
    )
    again = lb.from_json(m.to_json(), d)
    np.testing.assert_array_equal(again.getME("weights"), m.getME("weights"))
    assert again.update(REML=False).fixef().index.tolist() == m.fixef().index.tolist()
    by_array = lb.lmer("y ~ x + (1 | g)", d, engine="statsmodels", offset=d.z.to_numpy())
    with pytest.raises(DataError, match="cannot be built again"):
        lb.from_json(by_array.to_json(), d)


class TestOnDemand:
    @dataclass(frozen=True)
    class Holder:
        name: str
        value: np.ndarray | None = on_demand(None)  # noqa: RUF009 - a descriptor

    def test_what_is_given(self):
        assert self.Holder("a").value is None
        assert self.Holder("a", 3.0).value == 3.0
        assert self.Holder.value is None

    def test_computed_once_and_read_only(self):
        calls = []

        def compute():
            calls.append(1)
            return np.ones(2)

        holder = self.Holder("a", compute)
        assert holder.name == "a"
        assert calls == []
        assert holder.value is holder.value
        assert not replace(holder, name="b").value.flags.writeable
        assert len(calls) == 1
        with pytest.raises(FrozenInstanceError):
            holder.value = 2

    def test_an_error_is_raised_each_time(self):
        holder = self.Holder("a", lambda: 1 / 0)
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                _ = holder.value


def test_what_a_newer_version_wrote_is_kept(model):
    document = json.loads(model.to_json())
    document["draws"] = {"chain": [1, 2]}
    document["call"]["knots"] = 7
    document["estimates"]["random"][0]["prior"] = "flat"
    found = from_json(json.dumps(document))
    assert json.loads(to_json(found)) == document
    assert found != model.result
    assert replace(found, others={}) == model.result


def test_what_an_older_version_did_not_write_has_its_default(model):
    document = json.loads(model.to_json())
    del document["call"]["link"], document["estimates"]["par"], document["evidence"]["notes"]
    found = from_json(json.dumps(document))
    assert (found.call.link, found.estimates.par, found.evidence.notes) == ("identity", None, ())
    del document["criterion"]["AIC"]
    with pytest.raises(DataError, match=r"result\.criterion\.AIC is missing"):
        from_json(json.dumps(document))


def test_earlier_schemas_are_brought_to_todays_step_by_step():
    steps = {
        "lmerbridge/-1": lambda d: {"b": d["a"], "schema": "lmerbridge/0"},
        "lmerbridge/0": lambda d: {**d, "c": d["b"] + 1, "schema": SCHEMA},
    }
    found = upgraded({"schema": "lmerbridge/-1", "a": 1}, steps)
    assert found == {"schema": SCHEMA, "b": 1, "c": 2}
    with pytest.raises(DataError, match=r"lmerbridge/9.*a newer lmerbridge may have written it"):
        upgraded({"schema": "lmerbridge/9"}, steps)


def test_positions_of_rows_are_arrays():
    d = lb.datasets.load("sleepstudy")
    d.loc[[3, 7], "Reaction"] = np.nan
    data = lb.lmer("Reaction ~ Days + (1 | Subject)", d, engine="native").result.data
    assert data.dropped.tolist() == [3, 7]
    assert data.kept.tolist() == [i for i in range(180) if i not in (3, 7)]
    assert data.kept.dtype == data.dropped.dtype == np.int64


def test_a_files_name_is_not_its_text():
    with pytest.raises(DataError, match=r"Path\('m.json'\).read_text\(\)"):
        from_json("m.json")
    with pytest.raises(DataError, match=r"^not JSON: [^;]*$"):
        from_json("m")
