"""A model frame is four values: each field in one of them, and no row in the design."""

import dataclasses
import pickle
from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest

from lmerbridge.design import Asked, Design, ModelFrame, Rows, Source, build_frame
from lmerbridge.digest import digest

FORMULA = "log(y) ~ poly(x, 2) + scale(x) * f + offset(o) + (x | g) + (1 | h:g)"
FACE = {
    "formula",
    "y",
    "X",
    "x_names",
    "random",
    "weights",
    "offset",
    "nobs",
    "kept",
    "groups",
    "weighted",
    "covariance_parameters",
    "plain",
    "fitted_formula",
    "with_response",
    "with_weights",
    "with_random",
    "with_columns",
    "fingerprint",
    "family",
}


def made(n):
    rng = np.random.default_rng(n)
    data = pd.DataFrame(
        {
            "y": rng.uniform(1, 2, n),
            "x": rng.normal(size=n),
            "o": rng.normal(size=n),
            "w": rng.uniform(1, 2, n),
            "f": rng.permutation(np.resize(["a", "b", "c"], n)),
            "g": rng.permutation(np.resize([f"g{i}" for i in range(12)], n)),
            "h": rng.permutation(np.resize(["u", "v"], n)),
        },
        index=[f"row {i}" for i in range(n)],
    )
    return build_frame(FORMULA, data, weights="w", subset="x > -10", contrasts={"f": "contr.sum"})


@pytest.fixture(scope="module")
def frame():
    return made(1_000)


def lengths(value):
    """The lengths of everything in a value that has one."""
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from lengths(getattr(value, field.name))
    elif isinstance(value, (Mapping, list, tuple)):
        yield len(value)
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from lengths(item)
    elif isinstance(value, (np.ndarray, pd.Index, pd.Series)):
        yield from np.shape(value)


def test_a_frame_is_four_parts_and_no_field_is_in_two():
    parts = {"design": Design, "rows": Rows, "source": Source, "asked": Asked}
    assert [f.name for f in dataclasses.fields(ModelFrame)] == list(parts)
    names = [f.name for part in parts.values() for f in dataclasses.fields(part)]
    twice = {name for name in names if names.count(name) > 1}
    assert twice == {"random"}  # the terms in the design, their rows in the rows


def test_terms_and_their_rows_share_no_field(frame):
    for term, rows, block in zip(frame.design.random, frame.rows.random, frame.random, strict=True):
        own, of_rows = ({f.name for f in dataclasses.fields(part)} for part in (term, rows))
        assert not own & of_rows
        assert (block.term, block.rows) == (term, rows)
        for part, names in ((term, own), (rows, of_rows)):
            for name in names:  # read at the block too
                assert getattr(block, name) is getattr(part, name)


def test_the_public_face_is_there_and_cannot_be_set(frame):
    assert {n for n in dir(ModelFrame) if not n.startswith("_")} == FACE
    for name in FACE:
        assert getattr(ModelFrame, name).__doc__, name
        getattr(frame, name)
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(frame, name, None)
    assert (
        frame.X.shape == (frame.nobs, len(frame.x_names)) == (1_000, 8 - 1)
    )  # scale(x) is of poly(x, 2)
    assert [block.label for block in frame.random] == ["h:g", "g"]
    assert frame.covariance_parameters == 1 + 3
    assert list(frame.groups) == ["h:g", "g"]


def test_no_row_is_in_the_design_or_in_what_was_asked(frame):
    for part in (frame.design, frame.asked):
        assert frame.nobs not in set(lengths(part)), part
    for part in (frame.rows, frame.source):
        assert frame.nobs in set(lengths(part))


def test_the_design_of_many_rows_is_small(frame):
    many = made(100_000)
    small, large = (len(pickle.dumps(f.design)) for f in (frame, many))
    assert large < 1.01 * small < 10_000
    assert len(pickle.dumps(many)) > 100_000 * 8


def test_equal_frames_are_equal_by_every_measure(frame):
    twin = made(1_000)
    again = pickle.loads(pickle.dumps(frame))
    for other in (twin, again):
        assert other == frame
        assert hash(other) == hash(frame)
        assert digest(other) == digest(frame)
        assert other.fingerprint == frame.fingerprint
    for part in ("design", "rows", "source", "asked"):
        assert getattr(twin, part) == getattr(frame, part)


def test_another_value_in_any_part_is_another_frame(frame):
    changed = [
        dataclasses.replace(frame, **{part: dataclasses.replace(getattr(frame, part), **change)})
        for part, change in [
            ("design", {"x_terms": ()}),
            ("rows", {"y": frame.y + 1}),
            ("source", {"total_rows": 1}),
            ("asked", {"data_name": "other"}),
        ]
    ]
    assert len({frame, *changed}) == 5
    assert len({digest(f) for f in (frame, *changed)}) == 5


def test_a_new_response_and_new_weights_reach_every_part_that_has_them(frame):
    y, w = np.linspace(1, 2, 1_000), np.linspace(2, 3, 1_000)
    new = frame.with_response(y).with_weights(w)
    np.testing.assert_array_equal(new.y, y)
    np.testing.assert_array_equal(new.rows.variables["log(y)"].values, y)
    np.testing.assert_array_equal(new.source.raw[".response"].values, y)
    np.testing.assert_array_equal(new.weights, w)
    np.testing.assert_array_equal(new.source.raw_weights, w)
    assert str(new.fitted_formula).startswith(".response ~ ")
    assert new.design is frame.design


def test_other_terms_and_columns_change_design_and_rows_together(frame):
    first, second = frame.random
    turned = frame.with_random([second, first])
    assert [t.label for t in turned.design.random] == ["g", "h:g"]
    assert turned.rows.random[0].columns is second.columns
    assert turned.random == (second, first)
    fewer = frame.with_columns(frame.X[:, :1], frame.x_names[:1], frame.design.x_assign[:1])
    assert fewer.x_names == ("(Intercept)",)
    assert (fewer.design.x_assign, fewer.X.shape) == ((0,), (1_000, 1))
    assert fewer.source is turned.source is frame.source
