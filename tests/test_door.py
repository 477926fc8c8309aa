"""The public signatures, as scripts elsewhere rely on them: names and order of arguments, and their defaults."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import backlit as bl

SIGNATURES = {
    "Network": "(sizes, hidden='relu', output='linear', loss='quadratic', reduction='mean')",
    "SGD": "(rate, momentum=0.0, nesterov=False, l2=0.0, l2_over='update')",
    "initial_state": "(net, opt=None, seed=0, dtype='float32', init='auto')",
    "state_from": "(net, weights, biases=None, optimizer=None)",
    "Dataset": "(x, y, sample_weight=None, ",
    "load_dataset": "(name_or_path, target=None, *",
    "step": "(net, opt, state, x, y, sample_weight=None, gradient='backpropagation', ",
    "train": "(net, opt, data, *, batch_size=32, epochs=10, seed=0, state=None, engine='auto', order='shuffled', "
    "watch=(), ",
    "fit": "(net, opt, data, *, batch_size=32, epochs=10, seed=0, state=None, engine='auto', order='shuffled', "
    "validation=None, early_stopping=None, observers=(), progress=True, checkpoints=None, watch=(), noise=False)",
    "predict": "(net, state, x)",
    "evaluate": "(net, state, data)",
    "open_engine": "(name, net, opt, state, data)",
    "available_engines": "()",
    "save": "(path, net, opt, state, *, preparation=None, run=None)",
    "load": "(path)",
    "load_preparation": "(path)",
    "explain": "(trace, layer=1, source=0, unit=0, example=None)",
    "explorer": "(traces)",
    "advise_batch_size": "(net, data, *, batch_size=32, rate=None, epochs=None, seed=0, state=None)",
    "range_test": "(net, opt, data, *, state=None, batch_size=32, ",
    "example_report": "(net, state, data, largest=50, ",
}


def plain(function) -> str:
    given = inspect.signature(function).parameters.values()
    parameters = [p.replace(annotation=inspect.Parameter.empty) for p in given]
    return str(inspect.Signature(parameters))


@pytest.mark.parametrize("name", SIGNATURES)
def test_signature(name):
    assert plain(getattr(bl, name)).startswith(SIGNATURES[name])


def test_adam_and_adamw_take_the_rate_first():
    assert bl.Adam(0.5).rate == bl.AdamW(0.5).rate == 0.5
    assert bl.Adam().rate == 1e-3


@pytest.mark.parametrize("bad", [[["1", "2"]], [[1j, 2]], [[None, 1]], [[1], [1, 2]], object()])
def test_only_real_numbers_are_stepped_on(bad):
    net = bl.Network([2, 1])
    with pytest.raises(bl.BadInput, match="numbers"):
        bl.step(net, bl.SGD(0.1), bl.initial_state(net), bad, [[1.0]])


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.float16, np.float32, bool])
def test_numbers_of_every_kind_are_taken(kind):
    net = bl.Network([2, 1])
    trace = bl.step(net, bl.SGD(0.1), bl.initial_state(net), np.ones((3, 2), kind), np.ones((3, 1), kind))
    assert trace.x.dtype == np.float32


def test_a_list_of_pairs_is_a_batch():
    """Two examples, each with a vector as input and a vector as target: not x first and y second."""
    data = bl.Dataset.of([([0, 1], [1, 2]), ([2, 1], [3, 2])])
    assert data.x.tolist() == [[0, 1], [2, 1]]
    assert data.y.tolist() == [[1, 2], [3, 2]]
    with pytest.raises(bl.BadInput, match="tuple"):
        bl.Dataset.of([np.ones((2, 2)), np.ones((2, 2))])


class TestScore:
    """Accuracy for classes, R² for numbers, whatever type they have."""

    def test_whole_numbers_are_numbers(self):
        net = bl.Network([1, 1])
        x, y = np.arange(1.0, 11)[:, None], np.arange(1, 11)
        state = bl.state_from(net, [[[0.0]]], [[100.0]])  # always answers 100
        expected = 1 - ((y - 100.0) ** 2).sum() / ((y - y.mean()) ** 2).sum()
        assert bl.evaluate(net, state, (x, y))[1] == pytest.approx(expected)
        counts = bl.Network([1, 1], output="exp", loss="poisson")
        assert bl.evaluate(counts, bl.initial_state(counts), (x, y))[1] < 1

    def test_minus_one_and_one_are_parted_at_zero(self):
        net = bl.Network([1, 1], output="tanh")
        state = bl.state_from(net, [[[0.3]]])
        assert bl.evaluate(net, state, ([[-1.0], [1.0], [-1.0], [1.0]], np.array([-1, 1, -1, -1])))[1] == 0.75

    def test_classes(self):
        net = bl.Network([1, 1], output="sigmoid", loss="binary_cross_entropy")
        state = bl.state_from(net, [[[1.0]]])
        assert bl.evaluate(net, state, ([[-1.0], [1.0], [2.0], [3.0]], ["no", "yes", "yes", "no"]))[1] == 0.75
        softmax = bl.Network([1, 2], output="softmax", loss="cross_entropy")
        state = bl.state_from(softmax, [[[-1.0, 1.0]]])
        data = ([[-1.0], [1.0], [2.0], [3.0]], ["no", "yes", "yes", "no"], [1, 1, 1, 5])
        assert bl.evaluate(softmax, state, data)[1] == 3 / 8


def test_a_numpy_rate_does_not_widen_the_state():
    net = bl.Network([2, 1])
    trace = bl.step(net, bl.SGD(0.1), bl.initial_state(net), [[1, 2]], [[1]], rate=np.float64(0.1))
    assert trace.after.dtype == np.float32


def test_hidden_is_ignored_without_hidden_layers():
    assert bl.Network([2, 1], hidden="tanh") == bl.Network([2, 1], hidden=["relu"]) == bl.Network([2, 1], hidden=[])
    with pytest.raises(bl.BadInput, match="hidden"):
        bl.Network([2, 1], hidden="nonsense")
