"""The one table of networks and optimizers that every engine is held to, and the one comparison of numbers."""

from __future__ import annotations

from itertools import product

import numpy as np

import backlit as bl
from backlit.network import HIDDEN, LOSSES, NEEDS_OUTPUT, OUTPUT


def pairs() -> list[tuple[str, str]]:
    """Every (output, loss) that a Network accepts."""
    return [(o, loss) for o, loss in product(OUTPUT, LOSSES) if NEEDS_OUTPUT.get(loss, o) == o]


NETWORKS: dict[str, bl.Network] = {
    **{f"{o}-{loss}": bl.Network([5, 4, 3], hidden="tanh", output=o, loss=loss) for o, loss in pairs()},
    **{f"hidden-{h}": bl.Network([4, 6, 5, 2], hidden=h, output="linear", loss="quadratic") for h in HIDDEN},
    "one-weight": bl.Network([1, 1], loss="squared_error"),
    "no-hidden": bl.Network([7, 3], output="softmax", loss="cross_entropy"),
    "one-unit": bl.Network([2, 3, 1], hidden="sigmoid", output="sigmoid", loss="binary_cross_entropy"),
    "mixed": bl.Network([3, 17, 9, 33, 4], hidden=["relu", "gelu", "sigmoid"], output="softmax", loss="cross_entropy"),
    "sum": bl.Network([5, 8, 3], hidden="tanh", output="sigmoid", loss="quadratic", reduction="sum"),
    "wide": bl.Network([70, 100, 20, 10], hidden=["relu", "leaky_relu"], output="softmax", loss="cross_entropy"),
    "digits": bl.Network([784, 30, 10], hidden="sigmoid", output="sigmoid", loss="quadratic"),
}

OPTIMIZERS = {
    "sgd": bl.SGD(0.5),
    "sgd-l2": bl.SGD(0.5, l2=0.1),
    "sgd-l2-batch": bl.SGD(0.5, l2=0.1, l2_over="batch"),
    "momentum": bl.SGD(0.3, momentum=0.9),
    "nesterov": bl.SGD(0.3, momentum=0.8, nesterov=True),
    "adam": bl.Adam(0.01),
    "adam-raw": bl.Adam(0.01, epsilon=0.1, epsilon_with="raw"),
    "adam-l2": bl.Adam(0.01, beta1=0.8, beta2=0.99, epsilon=1e-6, l2=0.2),
    "adam-forgetful": bl.Adam(0.01, beta1=0, beta2=0, epsilon=1e-3),
    "adamw": bl.AdamW(0.01, weight_decay=0.3),
}


def batch(net: bl.Network, rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x (rows, n_in), targets (rows, n_out) that suit the loss, sample weights (rows,), all float64."""
    random = np.random.default_rng(seed)
    n_out = net.sizes[-1]
    x = random.standard_normal((rows, net.sizes[0]))
    if net.loss == "cross_entropy":
        y = np.eye(n_out)[random.integers(0, n_out, rows)]
    elif net.loss == "binary_cross_entropy":
        y = random.integers(0, 2, (rows, n_out)).astype(float)
    elif net.loss == "poisson":
        y = random.poisson(2.0, (rows, n_out)).astype(float)
    else:
        y = random.standard_normal((rows, n_out))
    return x, y, random.uniform(0.1, 2.0, rows)


def states(net: bl.Network, opt: object, dtype: str, seed: int = 1) -> bl.State:
    """A State in the middle of training: random biases and slots too, so that no term is 0 by accident."""
    random = np.random.default_rng(seed)
    state = bl.initial_state(net, opt, seed=seed, dtype="float64", init="nielsen")
    slots = {name: np.abs(random.standard_normal(len(slot))) * 0.01 for name, slot in state.slots.items()}
    return bl.State(net.sizes, state.parameters, slots, step=7, started=4).astype(dtype)


def far(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference over the largest entry of b: the error measure of the whole project."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    assert a.shape == b.shape, f"{a.shape} is compared with {b.shape}"
    if not a.size:
        return 0.0
    assert np.isfinite(a).all() and np.isfinite(b).all(), "numbers that are not finite are compared"
    return float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-300))
