"""diagnose: another formula in the place of an activation's slope is named, with its layer; right slopes are not.

The backward pass is written here, by hand.
"""

from __future__ import annotations

import numpy as np
import pytest

import backlit as bl

FORWARD = {
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
    "softplus": lambda z: np.log1p(np.exp(z)),
}
SLOPE = {
    "sigmoid": lambda z, a: a * (1 - a),
    "tanh": lambda z, a: 1 - a**2,
    "relu": lambda z, a: z > 0,
    "softplus": lambda z, a: 1 / (1 + np.exp(-z)),
}
WRONG = [  # (activation, what stands for its slope, what is said of it)
    ("sigmoid", lambda z, a: a, "by a: the factor (1 − a) is missing"),
    ("sigmoid", lambda z, a: 1 - a, "by 1 − a: the factor a is missing"),
    ("sigmoid", lambda z, a: z * (1 - z), "by z·(1 − z): z, where a belongs"),
    ("sigmoid", lambda z, a: 1 - a**2, "by 1 − a², tanh's"),
    ("sigmoid", lambda z, a: z > 0, "by 1 if z > 0, otherwise 0, relu's"),
    ("tanh", lambda z, a: 1 - a, "by 1 − a: the square is missing"),
    ("tanh", lambda z, a: 1 + a**2, "by 1 + a²: a sign is wrong"),
    ("tanh", lambda z, a: a**2, "by a²: the 1 − is missing"),
    ("tanh", lambda z, a: 1 - z**2, "by 1 − z²: z, where a belongs"),
    ("tanh", lambda z, a: a * (1 - a), "by a·(1 − a), sigmoid's"),
    ("relu", lambda z, a: a * (1 - a), "by a·(1 − a), sigmoid's"),
    ("relu", lambda z, a: 1 - a**2, "by 1 − a², tanh's"),
    ("softplus", lambda z, a: z > 0, "by 1 if z > 0, otherwise 0, relu's"),
]
IDS = [f"{name}, {said}" for name, _, said in WRONG]
RANDOM = np.random.default_rng(3)
X, Y = RANDOM.standard_normal((7, 4)), RANDOM.random((7, 3))


def by_hand(names, slopes):
    """A gradient function for the quadratic loss: activation and slope of each layer as given."""

    def gradient(weights, biases, x, y):
        inputs, zs = [x], []
        for W, b, name in zip(weights, biases, names, strict=True):
            zs.append(inputs[-1] @ W + b)
            inputs.append(FORWARD[name](zs[-1]))
        back, dW, db = inputs[-1] - y, [], []
        for k in reversed(range(len(weights))):
            delta = back * slopes[k](zs[k], inputs[k + 1])
            dW.insert(0, inputs[k].T @ delta / len(x))
            db.insert(0, delta.mean(axis=0))
            back = delta @ weights[k].T
        return dW, db

    return gradient


def diagnosed(names, slopes, x=X, y=Y):
    net = bl.Network([4, 5, 6, 3], hidden=names[:2], output=names[2])
    return bl.diagnose(by_hand(names, slopes), net, bl.initial_state(net, seed=2, init="normal"), x, y)


@pytest.mark.parametrize(("name", "wrong", "said"), WRONG, ids=IDS)
@pytest.mark.parametrize("layer", [1, 2, None])
def test_in_hidden_layers(name, wrong, said, layer):
    names = [name, name, "sigmoid"]
    slopes = [wrong if layer in (k + 1, None) else SLOPE[name] for k in range(2)]
    why = diagnosed(names, [*slopes, SLOPE["sigmoid"]])
    assert [(s.name, s.layer) for s in why.suspects] == [("wrong_derivative", layer)]
    assert said in why.suspects[0].text
    assert ("every hidden layer" in why.suspects[0].text) == (layer is None)


@pytest.mark.parametrize(("name", "wrong", "said"), [w for w in WRONG if w[0] in ("sigmoid", "tanh")])
def test_at_the_output(name, wrong, said):
    names = ["softplus", "softplus", name]
    why = diagnosed(names, [*[SLOPE["softplus"]] * 2, wrong])
    assert [(s.name, s.layer) for s in why.suspects] == [("wrong_derivative", 3)]
    assert said in why.suspects[0].text


@pytest.mark.parametrize(("name", "wrong", "said"), [w for w in WRONG if w[0] in ("sigmoid", "tanh")])
def test_in_all_layers(name, wrong, said):
    why = diagnosed([name] * 3, [wrong] * 3)
    assert [(s.name, s.layer) for s in why.suspects] == [("wrong_derivative", None)]
    assert "every layer" in why.suspects[0].text


def test_with_a_sum_on_top():
    why = diagnosed(["sigmoid"] * 3, [SLOPE["sigmoid"], SLOPE["sigmoid"], lambda z, a: len(X) * a])
    assert [(s.name, s.layer) for s in why.suspects] == [("wrong_derivative", 3), ("sum_not_mean", None)]


@pytest.mark.parametrize("output", ["sigmoid", "tanh"])
@pytest.mark.parametrize("hidden", sorted(FORWARD))
@pytest.mark.parametrize("rows", [1, 2, 7])
def test_a_right_slope_is_never_accused(hidden, output, rows):
    names = [hidden, hidden, output]
    assert diagnosed(names, [SLOPE[name] for name in names], X[:rows], Y[:rows]).correct


def test_what_the_slope_should_be_stands_in_the_line():
    why = diagnosed(["tanh", "tanh", "sigmoid"], [SLOPE["tanh"], lambda z, a: 1 - a, SLOPE["sigmoid"]])
    assert why.suspects[0].text.endswith("* slope(z)  # 1 - a**2`.")


def test_the_line_for_all_layers_is_that_of_one_that_has_a_slope():
    net = bl.Network([4, 5, 5, 6, 3], hidden=("linear", "tanh", "tanh"), output="sigmoid")
    forward, slope = {**FORWARD, "linear": lambda z: z}, {**SLOPE, "linear": lambda z, a: 1.0}

    def gradient(weights, biases, x, y):
        inputs, zs, names = [x], [], ("linear", "tanh", "tanh", "sigmoid")
        for W, b, name in zip(weights, biases, names, strict=True):
            zs.append(inputs[-1] @ W + b)
            inputs.append(forward[name](zs[-1]))
        back, dW, db = inputs[-1] - y, [], []
        for k in reversed(range(4)):
            delta = back * (1 - inputs[k + 1] if names[k] == "tanh" else slope[names[k]](zs[k], inputs[k + 1]))
            dW.insert(0, inputs[k].T @ delta / len(x))
            db.insert(0, delta.mean(axis=0))
            back = delta @ weights[k].T
        return dW, db

    why = bl.diagnose(gradient, net, bl.initial_state(net, seed=2, init="normal"), X, Y)
    assert [(s.name, s.layer) for s in why.suspects] == [("wrong_derivative", None)]
    assert why.suspects[0].text.endswith("* slope(z)  # 1 - a**2`.")
