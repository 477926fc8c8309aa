"""Forms of a gradient that fit in more than one way: the right one is found, by diagnose and by check_gradients."""

from __future__ import annotations

import numpy as np
import pytest

import backlit as bl

SQUARE = bl.Network([3, 3], output="softmax", loss="cross_entropy")
BOTH = [
    bl.Network([1, 2], output="softmax", loss="cross_entropy"),
    bl.Network([1, 1, 1], hidden="tanh", output="linear"),
    bl.Network([1, 2, 1], hidden="tanh", output="linear"),
]


def right(net):
    random = np.random.default_rng(3)
    state = bl.initial_state(net, seed=1)
    x = random.standard_normal((5, net.sizes[0]))
    y = np.eye(net.sizes[-1])[random.integers(0, net.sizes[-1], 5)] if net.sizes[-1] > 1 else random.random((5, 1))
    return state, x, y, bl.step(net, bl.SGD(1.0), state, x, y).gradient


FORMS = {
    "plain": lambda g: ([layer.W for layer in g], [layer.b for layer in g]),
    "swapped": lambda g: ([layer.b for layer in g], [layer.W for layer in g]),
    "books": lambda g: ([layer.b[:, None] for layer in g], [layer.W.T for layer in g]),
    "turned": lambda g: ([layer.W.T for layer in g], [layer.b[:, None] for layer in g]),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("net", [*BOTH, SQUARE], ids=lambda net: str(net.sizes))
def test_a_right_gradient_is_right_in_every_form(net, form):
    state, x, y, gradient = right(net)
    pair = FORMS[form](gradient)
    why = bl.diagnose(pair, net, state, x, y)
    assert why.correct, str(why)
    report = bl.check_gradients(net, state, x, y, gradient=pair)
    assert report.passed, str(report)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("net", BOTH, ids=lambda net: str(net.sizes))
def test_a_wrong_one_is_wrong_in_every_form(net, form):
    state, x, y, gradient = right(net)
    gradient.flat[...] *= 5
    pair = FORMS[form](gradient)
    assert "sum_not_mean" in [s.name for s in bl.diagnose(pair, net, state, x, y).suspects]
    assert not bl.check_gradients(net, state, x, y, gradient=pair)
