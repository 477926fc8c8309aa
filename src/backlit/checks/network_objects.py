"""The adapter for objects shaped like the ``Network`` of the well-known book, whoever wrote them.

What is relied on: ``sizes``; ``weights`` [(fan_out, fan_in)] and ``biases`` [(fan_out, 1)]; ``backprop(x, y)`` with
columns x (n_in, 1), y (n_out, 1) of ONE example, giving (nabla_b, nabla_w); sigmoid everywhere. The cost is quadratic
unless ``cost`` has a name that says cross-entropy. Nothing of the object is changed.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import BadInput
from ..network import Network
from ..state import Floats, State, state_from


def is_network_object(value: object) -> bool:
    """Whether it has what the book's Network has."""
    return not isinstance(value, type) and all(hasattr(value, name) for name in ("weights", "biases", "backprop"))


def network_and_state(where: str, network: Any) -> tuple[Network, State]:
    """The Network and State (float64) that such an object stands for."""
    try:
        weights = [np.asarray(W, dtype=np.float64).T for W in network.weights]
        biases = [np.asarray(b, dtype=np.float64).reshape(-1) for b in network.biases]
        sizes = [len(weights[0]), *(len(b) for b in biases)]
    except (TypeError, ValueError, IndexError) as error:
        raise BadInput(f"{where}: the object's weights and biases must be lists of arrays: {error}.") from None
    cost = getattr(network, "cost", None)
    loss = loss_of("" if cost is None else str(getattr(cost, "__name__", type(cost).__name__)))
    net = Network(sizes, hidden="sigmoid", output="sigmoid", loss=loss)
    return net, state_from(net, weights, biases)


def rows_of(given: Any, width: int) -> Any:
    """x or y as rows (B, width), from what readers of the book hold: a column (width, 1), or a list of them."""
    shape = np.shape(given)
    if shape == (width, 1) != (1, 1) or (len(shape) == 3 and shape[1:] == (width, 1)):
        return np.reshape(given, (-1, width))
    return given


def loss_of(cost: str) -> str:
    """The loss that a cost of this name stands for; without a name, quadratic."""
    return "binary_cross_entropy" if "entropy" in cost.lower() else "quadratic"


def object_gradient(network: Any) -> Callable[..., tuple[list[Floats], list[Floats]]]:
    """f(weights, biases, x, y): the mean over the rows of what ``backprop`` of a copy gives for each, as columns."""

    def gradient(weights: Any, biases: Any, x: Floats, y: Floats) -> tuple[list[Floats], list[Floats]]:
        theirs = _at(network, weights, biases)
        total_w, total_b = [np.zeros_like(W) for W in weights], [np.zeros_like(b) for b in biases]
        for row, target in zip(x, y, strict=True):
            nabla_b, nabla_w = theirs.backprop(row[:, None], target[:, None])
            for total, nabla in zip(total_w, nabla_w, strict=True):
                total += np.asarray(nabla, dtype=np.float64).T / len(x)
            for total, nabla in zip(total_b, nabla_b, strict=True):
                total += np.asarray(nabla, dtype=np.float64).reshape(-1) / len(x)
        return total_w, total_b

    return gradient


def update_gradient(network: Any) -> Callable[..., tuple[list[Floats], list[Floats]]]:
    """f(weights, biases, x, y): the gradient that ``update_mini_batch`` of a copy has gone down with rate 1."""

    def gradient(weights: Any, biases: Any, x: Floats, y: Floats) -> tuple[list[Floats], list[Floats]]:
        theirs = _at(network, weights, biases)
        batch = [(row[:, None], target[:, None]) for row, target in zip(x, y, strict=True)]
        more = len(inspect.signature(theirs.update_mini_batch).parameters) - 2  # the book's second version: lmbda, n
        theirs.update_mini_batch(batch, 1.0, *[0.0, len(batch)][: max(more, 0)])
        return (
            [W - np.asarray(after).T for W, after in zip(weights, theirs.weights, strict=True)],
            [b - np.asarray(after).reshape(-1) for b, after in zip(biases, theirs.biases, strict=True)],
        )

    return gradient


def _at(network: Any, weights: Any, biases: Any) -> Any:
    """A copy of the object at other parameters, in the object's own form."""
    theirs = copy.deepcopy(network)
    theirs.weights = [np.array(W.T) for W in weights]
    theirs.biases = [np.array(b[:, None]) for b in biases]
    return theirs
