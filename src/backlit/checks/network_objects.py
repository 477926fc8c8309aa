"""The adapter for objects shaped like the ``Network`` of the well-known book, whoever wrote them.

What is relied on: ``sizes``; ``weights`` [(fan_out, fan_in)] and ``biases`` [(fan_out, 1)]; ``backprop(x, y)`` with
columns x (n_in, 1), y (n_out, 1) of ONE example, giving (nabla_b, nabla_w); sigmoid everywhere, or a ``feedforward``
that ends in a softmax (then with cross-entropy). The cost is quadratic unless ``cost`` has a name that says
cross-entropy, or ``cost_derivative`` gives the slope of another. Nothing of the object is changed.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import chain
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
    net = Network(sizes, hidden="sigmoid", output="sigmoid", loss=_loss_of_slope(network, sizes[-1], loss))
    state = state_from(net, weights, biases)
    if _ends_in_softmax(network, net, state):
        net = Network(sizes, hidden="sigmoid", output="softmax", loss="cross_entropy")
    return net, state


def _loss_of_slope(network: Any, n_out: int, usual: str) -> str:
    """The loss whose slope its ``cost_derivative`` gives; the usual one where it gives that of none."""
    a, y = np.linspace(0.1, 0.8, n_out)[:, None], np.linspace(0.9, 0.0, n_out)[:, None]
    try:
        theirs = np.asarray(copy.deepcopy(network).cost_derivative(a, y), dtype=np.float64).ravel()
    except Exception:  # none at all, or one that fails: then backprop says what is wrong
        return usual
    for name in (usual, *(name for name, loss in chain.LOSSES.items() if loss.slope_at == "a")):
        slope = chain.LOSSES[name].slope(a.T, y.T).ravel()
        if theirs.shape == slope.shape and np.allclose(theirs, slope, rtol=1e-9, atol=0):
            return name
    return usual


def _ends_in_softmax(network: Any, net: Network, state: State) -> bool:
    """Whether its own ``feedforward`` gives the softmax of the last layer, as an exercise of the book asks."""
    if not callable(getattr(network, "feedforward", None)) or net.sizes[-1] < 2:
        return False
    x = np.linspace(-1, 1, net.sizes[0])[None]
    softmax = chain.forward(Network(net.sizes, "sigmoid", "softmax", "cross_entropy"), state.layers, x)[1][-1]
    try:
        theirs = np.asarray(copy.deepcopy(network).feedforward(x.T), dtype=np.float64)
    except Exception:  # what is asked for is the gradient; a feedforward that fails is no obstacle
        return False
    return theirs.size == softmax.size and np.allclose(theirs.ravel(), softmax.ravel(), rtol=1e-9, atol=1e-12)


def rows_of(given: Any, width: int) -> Any:
    """x or y as rows (B, width), from what readers of the book hold: a column (width, 1), or a list of them."""
    shape = np.shape(given)
    if shape == (width, 1) != (1, 1) or (len(shape) == 3 and shape[1:] == (width, 1)):
        return np.reshape(given, (-1, width))
    return given


def loss_of(cost: str) -> str:
    """The loss that a cost of this name stands for; without a name, quadratic."""
    return "binary_cross_entropy" if "entropy" in cost.lower() else "quadratic"


BOOKS = ("weights", "biases")


def object_gradient(
    network: Any, held: tuple[str, str] = BOOKS, notes: list[str] | None = None
) -> Callable[..., tuple[list[Floats], list[Floats]]]:
    """f(weights, biases, x, y): the mean over the rows of what ``backprop`` of a copy gives for each, as columns.

    held:   the names of the attributes with its weights and biases.
    notes:  where it is noted how what it returns differs in form from what the book's returns.
    """

    def gradient(weights: Any, biases: Any, x: Floats, y: Floats) -> tuple[list[Floats], list[Floats]]:
        theirs = _at(network, held, weights, biases)
        total_w, total_b = [np.zeros_like(W) for W in weights], [np.zeros_like(b) for b in biases]
        for row, target in zip(x, y, strict=True):
            nabla_b, nabla_w = _nablas(theirs.backprop(row[:, None], target[:, None]), weights, biases, notes)
            for total, nabla in zip(total_w, nabla_w, strict=True):
                total += nabla / len(x)
            for total, nabla in zip(total_b, nabla_b, strict=True):
                total += nabla / len(x)
        return total_w, total_b

    return gradient


def _nablas(
    answer: Any, weights: Any, biases: Any, notes: list[str] | None
) -> tuple[Sequence[Floats], Sequence[Floats]]:
    """(nabla_b, nabla_w) in backlit's shapes; TypeError, with the shapes, for what is no such pair."""
    if not isinstance(answer, tuple | list) or len(answer) != 2 or not all(isinstance(a, tuple | list) for a in answer):
        raise TypeError(f"backprop must return (nabla_b, nabla_w), two lists; it returned {type(answer).__name__}")
    first, second = ([np.asarray(a, dtype=np.float64) for a in part] for part in answer)
    for nabla_b, nabla_w, swapped in ((first, second, False), (second, first, True)):
        fits_b = [a.size for a in nabla_b] == [b.size for b in biases]
        if fits_b and [a.shape for a in nabla_w] == [W.shape[::-1] for W in weights]:
            if swapped and notes is not None:
                notes.append("(nabla_w, nabla_b), where the book's order is (nabla_b, nabla_w)")
            if notes is not None and any(a.ndim != 2 for a in nabla_b):
                notes.append(f"nabla_b of shapes {[a.shape for a in nabla_b]}, where the book's are columns (n, 1)")
            return [b.reshape(-1) for b in nabla_b], [W.T for W in nabla_w]
    wanted = f"{[(b.size, 1) for b in biases]} and {[W.shape[::-1] for W in weights]}"
    came = f"{[a.shape for a in first]} and {[a.shape for a in second]}"
    raise TypeError(f"backprop must return (nabla_b, nabla_w) of shapes {wanted}; it returned {came}")


def update_gradient(network: Any, held: tuple[str, str] = BOOKS) -> Callable[..., tuple[list[Floats], list[Floats]]]:
    """f(weights, biases, x, y): the gradient that ``update_mini_batch`` of a copy has gone down with rate 1."""

    def gradient(weights: Any, biases: Any, x: Floats, y: Floats) -> tuple[list[Floats], list[Floats]]:
        theirs = _at(network, held, weights, biases)
        batch = [(row[:, None], target[:, None]) for row, target in zip(x, y, strict=True)]
        more = len(inspect.signature(theirs.update_mini_batch).parameters) - 2  # the book's second version: lmbda, n
        theirs.update_mini_batch(batch, 1.0, *[0.0, len(batch)][: max(more, 0)])
        after_w, after_b = (getattr(theirs, name) for name in held)
        return (
            [W - np.asarray(after).T for W, after in zip(weights, after_w, strict=True)],
            [b - np.asarray(after).reshape(-1) for b, after in zip(biases, after_b, strict=True)],
        )

    return gradient


def _at(network: Any, held: tuple[str, str], weights: Any, biases: Any) -> Any:
    """A copy of the object at other parameters, in the object's own form."""
    theirs = copy.deepcopy(network)
    setattr(theirs, held[0], [np.array(W.T) for W in weights])
    setattr(theirs, held[1], [np.array(b[:, None]) for b in biases])
    return theirs
