"""Preparation: learned on some rows, applied to others, stored as plain JSON, and read back with distrust."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from refusals import answer_or_refusal, refusal

from backlit.data import Dataset, Preparation
from backlit.errors import BadInput

QUICK = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
RNG = np.random.default_rng(0)
X = RNG.normal(size=(500, 3)) * [1, 1e-3, 1e6] + [0, 5, -1e7]
LABELS = ["b", "a"] * 250


def test_columns_get_mean_0_and_deviation_1():
    preparation = Preparation.learn(Dataset(X, LABELS, columns=["p", "q", "r"], target="kind"))
    z = preparation.apply(X)
    assert z.dtype == np.float32
    assert z.shape == X.shape
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-6)  # float32 roundings of 500 values
    np.testing.assert_allclose(z.std(axis=0), 1, atol=1e-6)
    assert preparation.columns == ("p", "q", "r")
    assert preparation.target == "kind"
    assert preparation.classes == ("a", "b")


def test_many_blocks_give_the_same_as_one():
    x = RNG.normal(size=(200_000, 3)).astype(np.float32) + 1000
    preparation = Preparation.learn(Dataset(x, np.zeros(len(x))))
    np.testing.assert_allclose(preparation.mean, x.astype(np.float64).mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(preparation.scale, x.astype(np.float64).std(axis=0), rtol=1e-9)
    np.testing.assert_array_equal(
        preparation.apply(x), ((x - np.array(preparation.mean)) / preparation.scale).astype(np.float32)
    )


@pytest.mark.parametrize("value", [0.0, 0.1, -1e300, 1e-300])
def test_constant_columns_are_only_moved(value):
    preparation = Preparation.learn(Dataset(np.full((7, 1), value), np.zeros(7)))
    assert preparation.scale == (1.0,)
    assert preparation.mean == (value,)
    assert preparation.apply([[value]]).tolist() == [[0.0]]


def test_values_that_cannot_be_scaled_are_told():
    with pytest.raises(BadInput, match=r"column 'big' reaches from -1e\+300 to 1e\+300"):
        Preparation.learn(Dataset([[0, 1e300], [1, -1e300]], [0.0, 1], columns=["small", "big"]))
    preparation = Preparation.learn(Dataset([[0.0], [1e-30]], [0.0, 1]))
    with pytest.raises(BadInput, match=r"x\[1, 0\] is 1e\+30"):
        preparation.apply([[0.0], [1e30]])
    with pytest.raises(BadInput, match=r"\(2, 3\).*wanted \(N, 1\)"):
        preparation.apply(X[:2])


def test_without_scale_nothing_is_copied():
    data = Dataset(X, LABELS)
    preparation = Preparation.learn(data, scale=False)
    assert preparation.mean is None
    assert np.shares_memory(preparation.apply(X), X)
    assert np.shares_memory(preparation.apply_to(data).x, X)


def test_other_data_is_brought_into_line():
    train = Dataset(X, LABELS, columns=["p", "q", "r"], target="kind")
    preparation = Preparation.learn(train)
    other = Dataset(
        X[:, [2, 0, 1, 1]], ["a"] * 500, np.ones(500), columns=["r", "p", "q", "more"], test=lambda: train.take([1, 2])
    )
    prepared = preparation.apply_to(other)
    np.testing.assert_array_equal(prepared.x, preparation.apply(X))
    assert prepared.columns == ("p", "q", "r")
    assert prepared.classes == ("a", "b")
    assert prepared.sample_weight is not None
    np.testing.assert_array_equal(prepared.test.x, preparation.apply(X[[1, 2]]))
    assert preparation.apply_to(train).test is None
    with pytest.raises(BadInput, match="column 'q' is missing"):
        preparation.apply_to(Dataset(X[:, :2], LABELS, columns=["p", "r"]))
    with pytest.raises(BadInput, match=r"y\[0\] is 'c'"):
        preparation.apply_to(Dataset(X, ["c"] * 500, columns=["p", "q", "r"]))


def test_answers_that_are_numbers_are_scaled_and_restored():
    y = RNG.normal(size=(500, 2)) * [10, 1000] + [5, -5]
    preparation = Preparation.learn(Dataset(X, y), scale_target=True)
    prepared = preparation.apply_to(Dataset(X, y))
    np.testing.assert_allclose(prepared.y, (y - y.mean(axis=0)) / y.std(axis=0), atol=1e-12)
    np.testing.assert_allclose(preparation.restore(prepared.y), y, rtol=1e-12)
    assert Preparation.from_record(json.loads(json.dumps(preparation.to_record()))) == preparation
    for other in (y[:, 0], y[:, :1], ["a"] * 500):
        with pytest.raises(BadInput, match="wanted 2 numbers per row"):
            preparation.apply_to(Dataset(X, other))
    with pytest.raises(BadInput, match="y holds texts"):
        Preparation.learn(Dataset(X, LABELS), scale_target=True)
    record = preparation.to_record()
    for field, value in (("target_scale", [1, 0]), ("target_scale", None), ("target_mean", [1])):
        with pytest.raises(BadInput, match="field target_scale"):
            Preparation.from_record(record | {field: value})


def test_whole_numbers_may_be_labels_or_numbers():
    train = Dataset([[0.0], [1], [2]], [0, 1, 2])
    preparation = Preparation.learn(train)
    assert preparation.apply_to(Dataset([[0.0], [1]], [1.0, 0.0])).classes == (0, 1, 2)
    assert preparation.apply_to(Dataset([[0.0], [1]], [5, 0])).classes == (0, 1, 2, 5)
    assert preparation.apply_to(Dataset([[0.0], [1]], [0.5, 0])).classes is None
    assert Preparation.learn(Dataset(np.zeros((2000, 1)), np.arange(2000))).classes is None


@QUICK
@given(
    scale=st.booleans(),
    labels=st.sampled_from([[0, 1, 2], ["a", "b", "ü"], [True, False, True], [0.5, 1, 2]]),
    columns=st.none() | st.lists(st.text(max_size=5), min_size=2, max_size=2, unique=True),
    values=st.lists(st.floats(-1e6, 1e6), min_size=6, max_size=6),
)
def test_a_record_comes_back_through_json(scale, labels, columns, values):
    data = Dataset(np.array(values).reshape(3, 2), labels, columns=columns, target="t")
    preparation = Preparation.learn(data, scale=scale)
    assert Preparation.from_record(json.loads(json.dumps(preparation.to_record(), allow_nan=False))) == preparation


GOOD = Preparation.learn(Dataset(X, LABELS, columns=["p", "q", "r"], target="kind")).to_record()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("inputs", 0),
        ("inputs", True),
        ("inputs", 3.0),
        ("inputs", 10**30),
        ("columns", ["p", "q"]),
        ("columns", ["p", "p", "q"]),
        ("columns", [1, 2, 3]),
        ("columns", "pqr"),
        ("target", 3),
        ("classes", ["b", "a"]),
        ("classes", ["a", 1]),
        ("classes", [1.5]),
        ("classes", []),
        ("classes", {"a": 1}),
        ("mean", [1, 2]),
        ("mean", None),
        ("mean", [1, 2, float("nan")]),
        ("mean", [1, 2, 10**400]),
        ("mean", [1, 2, "3"]),
        ("mean", [1, 2, True]),
        ("scale", [1, 1, 0]),
        ("scale", [1, 1, -1]),
        ("scale", [1, 1, float("inf")]),
        ("scale", 1),
        ("target_mean", [1]),
        ("target_scale", [1]),
        ("target_mean", []),
        ("target_scale", []),
    ],
)
def test_odd_fields_are_refused(field, value):
    with pytest.raises(BadInput, match=r"^preparation: field (?!.*\n)"):
        Preparation.from_record(GOOD | {field: value})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


@QUICK
@given(field=st.sampled_from(sorted(GOOD)), value=JSON)
def test_any_json_in_a_field_is_read_or_refused(field, value):
    preparation, _ = answer_or_refusal(Preparation.from_record, GOOD | {field: value})
    assert preparation is None or isinstance(preparation.to_record(), dict)


def test_other_fields_are_refused():
    for record in (None, [], {}, GOOD | {"more": 1}, {k: v for k, v in GOOD.items() if k != "mean"}):
        with pytest.raises(BadInput, match="wanted the fields inputs"):
            Preparation.from_record(record)


def test_pairs_are_data_as_everywhere():
    x, y = np.arange(12.0).reshape(6, 2), np.array([0, 1] * 3)
    ours, theirs = Preparation.learn((x, y)), Preparation.learn(Dataset(x, y))
    assert ours == theirs
    np.testing.assert_array_equal(ours.apply_to((x, y)).x, theirs.apply_to(Dataset(x, y)).x)
    assert "wanted a Dataset, a tuple (x, y)" in refusal(Preparation.learn, x)
    assert "wanted a Dataset, a tuple (x, y)" in refusal(ours.apply_to, [x, y])
    for options in ({"scale": "yes"}, {"scale_target": 1}, {"scale": None}):
        assert "wanted True or False" in refusal(Preparation.learn, (x, y), **options)
