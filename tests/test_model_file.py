"""State and the file of a model: what was saved comes back to the bit; everything else is refused in one line."""

from __future__ import annotations

import json
import os
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ladder import NETWORKS, OPTIMIZERS, states
from refusals import refusal
from safetensors.numpy import save as to_bytes

import backlit as bl


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_what_was_saved_comes_back(path, name, dtype):
    net, opt = NETWORKS["mixed"], OPTIMIZERS[name]
    state = states(net, opt, dtype)
    preparation = {"columns": ["<script>", "ü"], "mean": [0.5]}
    bl.save(path, net, opt, state, preparation=preparation)
    net2, opt2, state2 = bl.load(path)
    assert (net2, opt2) == (net, opt)
    assert state2.parameters.tobytes() == state.parameters.tobytes()
    assert state2.dtype == dtype
    assert {k: v.tobytes() for k, v in state2.slots.items()} == {k: v.tobytes() for k, v in state.slots.items()}
    assert (state2.step, state2.started) == (7, 4)
    assert bl.load_preparation(path) == preparation
    assert os.listdir(path.parent) == [path.name]


def test_strided_parameters_are_written_in_their_order(path):
    """safetensors writes the memory of a strided array as it lies; what was read back must be what was meant."""
    net = NETWORKS["no-hidden"]
    strided = np.arange(2.0 * net.n_parameters)[::2]
    bl.save(path, net, bl.SGD(1.0), bl.State(net.sizes, strided))
    assert np.array_equal(bl.load(path)[2].parameters, strided)


def test_schedules_come_back_and_ones_own_are_refused(path):
    net = NETWORKS["no-hidden"]
    opt = bl.Adam(bl.WarmUp(bl.OneCycle(0.1, steps=100), steps=5))
    bl.save(path, net, opt, bl.initial_state(net, opt))
    assert bl.load(path)[1] == opt
    before = path.read_bytes()
    with pytest.raises(bl.BadInput, match="rate is a number"):
        bl.save(path, net, bl.SGD(lambda step, losses: 0.1), bl.initial_state(net))
    assert path.read_bytes() == before


def test_what_load_would_refuse_is_not_written(path):
    net = NETWORKS["no-hidden"]
    with pytest.raises(bl.BadInput, match="first_moment"):
        bl.save(path, net, bl.SGD(1.0), bl.initial_state(net, bl.Adam()))
    with pytest.raises(bl.BadInput, match="optimizer"):
        bl.save(path, net, bl.Cosine(0.1, 5), bl.initial_state(net))
    with pytest.raises(bl.BadInput, match="preparation"):
        bl.save(path, net, bl.SGD(1.0), bl.initial_state(net), preparation=[1, 2])
    with pytest.raises(bl.BadInput, match="path"):
        bl.save("", net, bl.SGD(1.0), bl.initial_state(net))
    assert not path.exists()


def test_through_a_link_the_file_that_it_names_is_replaced(path):
    net = NETWORKS["no-hidden"]
    link = path.with_name("link")
    link.symlink_to(path)
    bl.save(link, net, bl.SGD(1.0), bl.initial_state(net))
    assert link.is_symlink()
    assert bl.load(path)[0] == net


def test_the_permissions_of_the_old_file_stay(path):
    net = NETWORKS["no-hidden"]
    bl.save(path, net, bl.SGD(1.0), bl.initial_state(net))
    path.chmod(0o600)
    bl.save(path, net, bl.SGD(2.0), bl.initial_state(net))
    assert path.stat().st_mode & 0o777 == 0o600
    assert bl.load(path)[1] == bl.SGD(2.0)


def test_what_is_no_file_is_not_replaced(path):
    net = NETWORKS["no-hidden"]
    os.mkfifo(path)
    with pytest.raises(bl.BadInput, match="can't be written"):
        bl.save(path, net, bl.SGD(1.0), bl.initial_state(net))
    assert path.is_fifo() and os.listdir(path.parent) == [path.name]


def test_numbers_that_are_not_finite_are_not_saved(path):
    net = NETWORKS["no-hidden"]
    with pytest.raises(bl.BadInput, match="NaN or infinity"):
        bl.save(path, net, bl.SGD(1.0), bl.State(net.sizes, np.full(net.n_parameters, np.nan)))
    assert not path.exists()


def test_a_failed_save_leaves_the_old_file(path, monkeypatch):
    net = NETWORKS["no-hidden"]
    state = bl.initial_state(net)
    bl.save(path, net, bl.SGD(1.0), state)
    before = path.read_bytes()

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(bl.BadInput, match="No space left on device"):
        bl.save(path, net, bl.SGD(2.0), state)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_a_disk_that_returns_other_bytes_is_noticed(path, monkeypatch):
    from backlit import whole_file

    net = NETWORKS["no-hidden"]
    write = whole_file._write_synced
    monkeypatch.setattr(whole_file, "_write_synced", lambda p, content: write(p, content[:-4] + b"\0\0\0\0"))
    with pytest.raises(bl.BadInput, match="read back"):
        bl.save(path, net, bl.SGD(1.0), bl.State(net.sizes, np.ones(net.n_parameters)))
    assert os.listdir(path.parent) == []


@pytest.mark.parametrize("where", ["missing/model", ""])
def test_places_that_cannot_be_written(tmp_path, where):
    net = NETWORKS["no-hidden"]
    with pytest.raises(bl.BadInput, match="can't be written"):
        bl.save(tmp_path / where, net, bl.SGD(1.0), bl.initial_state(net))


@pytest.mark.parametrize("preparation", [{"x": float("nan")}, {"x": object()}, {"x": b"bytes"}])
def test_a_preparation_that_is_no_json(path, preparation):
    net = NETWORKS["no-hidden"]
    with pytest.raises(bl.BadInput, match="plain JSON"):
        bl.save(path, net, bl.SGD(1.0), bl.initial_state(net), preparation=preparation)
    assert not path.exists()


GOOD = {
    "format": "backlit 1",
    "network": {"sizes": [2, 1], "hidden": [], "output": "linear", "loss": "quadratic", "reduction": "mean"},
    "optimizer": {"kind": "SGD", "rate": 1.0, "momentum": 0.0, "nesterov": False, "l2": 0.0, "l2_over": "update"},
    "step": 3,
    "started": 0,
    "epoch_losses": [0.5],
    "epoch_sum": 0.0,
    "preparation": None,
}
VECTOR = np.ones(3, np.float32)


def written(path, header=GOOD, **tensors):
    path.write_bytes(to_bytes(tensors or {"parameters": VECTOR}, {"backlit": json.dumps(header)}))
    return path


def test_the_file_made_by_hand_is_good(path):
    assert bl.load(written(path))[2].step == 3


@pytest.mark.parametrize(
    "change",
    [
        {"format": "backlit 2"},
        {"network": None},
        {"network": {**GOOD["network"], "sizes": [2, 2]}},
        {"network": {**GOOD["network"], "sizes": [10**9, 10**9]}},
        {"network": {**GOOD["network"], "hidden": ["x"]}},
        {"network": {**GOOD["network"], "extra": 1}},
        {"network": {**GOOD["network"], "sizes": "ab"}},
        {"optimizer": None},
        {"optimizer": {"kind": "os.system"}},
        {"optimizer": {**GOOD["optimizer"], "rate": "x"}},
        {"optimizer": {**GOOD["optimizer"], "rate": {"kind": "SGD"}}},
        {"optimizer": {"kind": "StepDecay", "rate": 1.0, "every": 2, "factor": 0.1}},
        {"optimizer": {**GOOD["optimizer"], "momentum": 0.9, "kind": ["SGD"]}},
        {"step": -1},
        {"step": "3"},
        {"step": True},
        {"step": 2**63},
        {"epoch_losses": [float("nan")]},
        {"epoch_sum": float("inf")},
        {"started": 4},
        {"epoch_losses": "abc"},
        {"epoch_losses": [None]},
        {"epoch_sum": None},
        {"epoch_losses": [10**400]},
        {"optimizer": {**GOOD["optimizer"], "rate": 10**400}},
    ],
)
def test_headers_that_do_not_hold(path, change):
    with pytest.raises(bl.BadInput, match=r"model\.safetensors") as error:
        bl.load(written(path, {**GOOD, **change}))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "tensors",
    [
        {"parameters": VECTOR[:2]},
        {"parameters": VECTOR[None]},
        {"parameters": VECTOR.astype(np.float16)},
        {"parameters": VECTOR.astype(np.int32)},
        {"weights": VECTOR},
        {"parameters": VECTOR, "velocity": VECTOR},
        {"parameters": np.where(np.arange(VECTOR.size) == 0, np.nan, VECTOR).astype(VECTOR.dtype)},
        {"parameters": np.full_like(VECTOR, np.inf)},
    ],
)
def test_tensors_that_do_not_fit(path, tensors):
    with pytest.raises(bl.BadInput, match=r"model\.safetensors"):
        bl.load(written(path, **tensors))


def test_no_file_and_other_files(path):
    with pytest.raises(bl.BadInput, match="there is no file"):
        bl.load(path)
    for content in (b"", b"hello", b"\xff" * 100, struct.pack("<Q", 2**63) + b"{}", to_bytes({"x": VECTOR})):
        path.write_bytes(content)
        with pytest.raises(bl.BadInput, match=r"model\.safetensors"):
            bl.load(path)
    with pytest.raises(bl.BadInput, match="is a folder"):
        bl.load(path.parent)


@settings(max_examples=300)
@given(st.data())
def test_damaged_files_are_refused_or_whole(tmp_path_factory, data):
    """Cut anywhere, or one byte changed: always our error, or a model that fits together."""
    path = tmp_path_factory.mktemp("damaged") / "model.safetensors"
    good = written(path).read_bytes()
    where = data.draw(st.integers(0, len(good) - 1))
    if data.draw(st.booleans()):
        path.write_bytes(good[:where])
    else:
        path.write_bytes(good[:where] + bytes([data.draw(st.integers(0, 255))]) + good[where + 1 :])
    try:
        net, _, state = bl.load(path)
        assert state.parameters.shape == (net.n_parameters,)
    except bl.BadInput as error:
        assert "\n" not in str(error)


class TestStates:
    net = bl.Network([4, 3, 2], hidden="tanh")

    def test_the_seed_decides(self):
        a, b, c = (bl.initial_state(self.net, seed=seed) for seed in (1, 1, 2))
        assert np.array_equal(a.parameters, b.parameters)
        assert not np.array_equal(a.parameters, c.parameters)
        wide = bl.initial_state(self.net, seed=1, dtype="float64")
        assert np.array_equal(wide.parameters.astype("float32"), a.parameters)

    @pytest.mark.parametrize(
        ("init", "hidden", "variance", "bias"),
        [
            ("auto", "relu", 2 / 400, 0),
            ("auto", "tanh", 2 / (400 + 300), 0),
            ("he", "tanh", 2 / 400, 0),
            ("glorot", "relu", 2 / (400 + 300), 0),
            ("nielsen", "tanh", 1 / 400, 1),
            ("normal", "tanh", 1, 1),
        ],
    )
    def test_the_variance_is_that_of_the_formula(self, init, hidden, variance, bias):
        layer = bl.initial_state(bl.Network([400, 300, 1], hidden=hidden), init=init, dtype="float64").layers[0]
        # 120,000 draws: the sample variance has a relative standard error of at most √(2/120000) = 0.4 %
        assert layer.W.var() == pytest.approx(variance, rel=0.02)
        assert abs(layer.W.mean()) < 5 * np.sqrt(variance / 120_000)
        assert layer.b.var() == pytest.approx(bias, rel=0.4)

    def test_given_numbers_keep_their_dtype(self):
        W = [np.ones((4, 3), "float32"), np.ones((3, 2), "float32")]
        assert bl.state_from(self.net, W).dtype == "float32"
        assert bl.state_from(self.net, W, [np.ones(3), np.ones(2)]).dtype == "float64"
        assert bl.state_from(self.net, [w.astype(int) for w in W]).dtype == "float64"
        assert not bl.state_from(self.net, W).layers[0].b.any()

    @pytest.mark.parametrize(
        ("weights", "biases", "told"),
        [
            ([np.ones((3, 4)), np.ones((3, 2))], None, r"weights\[0\].*\(4, 3\).*transposed"),
            ([np.ones((4, 3))], None, "2 arrays"),
            ([np.ones((4, 3)), np.ones(3)], None, r"weights\[1\]"),
            ([np.ones((4, 3)), np.ones((3, 2))], [np.ones((3, 1)), np.ones(2)], r"biases\[0\].*\(3,\)"),
            ([np.ones((4, 3)), [["a", 1]] * 3], None, r"weights\[1\].*numbers"),
            ([np.full((4, 3), np.nan), np.ones((3, 2))], None, "NaN"),
        ],
    )
    def test_numbers_that_do_not_fit(self, weights, biases, told):
        with pytest.raises(bl.BadInput, match=told):
            bl.state_from(self.net, weights, biases)

    @pytest.mark.parametrize(
        ("options", "told"),
        [({"init": "zeros"}, "init"), ({"dtype": "half"}, "dtype"), ({"dtype": None}, "dtype"), ({"seed": -1}, "seed")],
    )
    def test_odd_beginnings(self, options, told):
        with pytest.raises(bl.BadInput, match=told):
            bl.initial_state(self.net, **options)

    @pytest.mark.parametrize("made", ["drawn", "pickled", "copied"])
    def test_it_is_frozen(self, made):
        import copy
        import pickle

        state = bl.initial_state(self.net, bl.Adam())
        if made != "drawn":
            state = pickle.loads(pickle.dumps(state)) if made == "pickled" else copy.deepcopy(state)
        with pytest.raises(AttributeError):
            state.step = 3
        for array in (state.parameters, state.layers[0].W, state.slots["first_moment"]):
            with pytest.raises(ValueError):
                array[...] = 0
        assert repr(state) == "State(sizes=[4, 3, 2], float32, step 0, slots: first_moment, second_moment)"


def test_what_a_run_was_given_must_be_plain_too(tmp_path):
    net, opt = bl.Network([2, 1]), bl.SGD(0.1)
    state = bl.initial_state(net, opt)
    assert "run must be a dict" in refusal(bl.save, tmp_path / "m", net, opt, state, run=[1])
    assert "run must be plain JSON" in refusal(bl.save, tmp_path / "m", net, opt, state, run={"plan": object()})
    assert not list(tmp_path.iterdir())
