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
    "load_dataset": "(name_or_path, target=None)",
    "step": "(net, opt, state, x, y, *, sample_weight=None, gradient='backpropagation', ",
    "train": "(net, opt, data, *, batch_size=32, epochs=10, seed=0, state=None, engine='auto', order='shuffled', "
    "watch=())",
    "fit": "(net, opt, data, *, batch_size=32, epochs=10, seed=0, state=None, engine='auto', order='shuffled', "
    "validation=None, early_stopping=None, observers=(), progress=True)",
    "predict": "(net, state, x)",
    "evaluate": "(net, state, data)",
    "open_engine": "(name, net, opt, state, data)",
    "available_engines": "()",
    "save": "(path, net, opt, state, *, preparation=None)",
    "load": "(path)",
    "load_preparation": "(path)",
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


def test_hidden_is_ignored_without_hidden_layers():
    assert bl.Network([2, 1], hidden="tanh") == bl.Network([2, 1], hidden=["relu"]) == bl.Network([2, 1], hidden=[])
    with pytest.raises(bl.BadInput, match="hidden"):
        bl.Network([2, 1], hidden="nonsense")
