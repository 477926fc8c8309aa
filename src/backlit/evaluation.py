"""What a State makes of data: outputs, the loss, and a score. Nothing is trained and nothing printed here."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import chain
from .data import Dataset
from .engines import forward
from .errors import BadInput
from .network import Network
from .state import Floats, State, check_state, plain_array

BLOCK = 4096  # rows at a time: memory stays bounded whatever the data


def predict(net: Network, state: State, x: ArrayLike) -> Floats:
    """Outputs (N, n_out) for x (N, n_in), in the State's dtype. Raises BadInput for another shape.

    >>> net = bl.Network([1, 1])
    >>> bl.predict(net, bl.state_from(net, [[[2.0]]], [[1.0]]), [[3.0], [4.0]])
    array([[7.],
           [9.]])
    """
    check_state("predict", net, state)
    x = plain_array("predict", "x", x)
    try:
        if x.dtype.kind not in "biufO":
            raise TypeError(f"these are {x.dtype}")
        x = x.astype(state.dtype) if x.dtype.kind == "O" else x
    except (TypeError, ValueError, OverflowError) as error:
        raise BadInput(f"predict: x must be an array of numbers: {error}.") from None
    if x.ndim != 2 or x.shape[1] != net.sizes[0]:
        raise BadInput(f"predict: x must have shape (N, {net.sizes[0]}), one example per row; got {x.shape}.")
    return forward(net, state, x)


def evaluate(net: Network, state: State, data: Any) -> tuple[float, float]:
    """(mean loss of an example, score) over a Dataset or a pair (x, y), both with its sample weights.

    The score is accuracy where the targets are classes, otherwise R², the mean over the outputs of
    1 − Σ(y − a)²/Σ(y − ȳ)². Classes are what a loss of classes is trained on, labels, and rows of a single 1 among 0.

    A State knows no names of classes: the labels of y are those of the outputs in sorted order, so y must hold every
    label that was trained on, or they are named: ``bl.Dataset(x, y, classes=("a", "b", "c"))``.

    >>> net = bl.Network([1, 1])
    >>> bl.evaluate(net, bl.state_from(net, [[[2.0]]]), ([[1.0], [2.0]], [[2.0], [5.0]]))
    (0.25, 0.7777777777777778)
    """
    check_state("evaluate", net, state)
    dataset = Dataset.of(data)
    dataset.check_inputs(net)
    targets = dataset.targets(net)
    loss_sum, outputs = 0.0, np.empty(targets.shape, state.dtype)
    s = np.ones(len(dataset)) if dataset.sample_weight is None else np.asarray(dataset.sample_weight, np.float64)
    with np.errstate(all="ignore"):  # an infinite loss is told as one
        for start in range(0, len(dataset), BLOCK):
            rows = slice(start, start + BLOCK)
            zs, activations = chain.forward(net, state.layers, dataset.x[rows].astype(state.dtype, copy=False))
            y = targets[rows].astype(state.dtype, copy=False)
            loss_sum += float(s[rows] @ chain.LOSSES[net.loss].value(zs[-1], activations[-1], y))
            outputs[rows] = activations[-1]
    score = accuracy if is_classification(net, dataset) else r2
    return loss_sum / float(s.sum()), score(outputs, targets, s)


def is_classification(net: Network, data: Dataset) -> bool:
    """Whether the targets are classes: by the loss, by labels, or because each row is a single 1 among zeros."""
    if net.loss in ("cross_entropy", "binary_cross_entropy"):
        return True
    if net.sizes[-1] == 1:
        return data.y.dtype.kind == "U" or (data.classes is not None and net.output in ("sigmoid", "tanh"))
    return data.y.ndim == 1 or (net.output in ("sigmoid", "softmax", "tanh") and _one_hot(data.targets(net)))


def _one_hot(y: Floats) -> bool:
    return bool(((y == 0) | (y == 1)).all() and (y.sum(axis=1) == 1).all())


def decided(outputs: Floats, targets: Floats) -> NDArray[np.bool_]:
    """Whether each row (N,) is right: the largest output; for one output or several labels, each on its own side.

    Where the sides meet, ``middle_of`` says.
    """
    if outputs.shape[1] > 1 and (targets.sum(axis=1) == 1).all():
        right: NDArray[np.bool_] = outputs.argmax(axis=1) == targets.argmax(axis=1)
        return right
    middle = middle_of(targets)
    agreed: NDArray[np.bool_] = ((outputs > middle) == (targets > middle)).all(axis=1)
    return agreed


def middle_of(targets: Floats) -> float:
    """Where the two sides of an output meet: at ½ for targets of 0 and 1, at 0 for targets of −1 and 1."""
    return 0.0 if (targets < 0).any() else 0.5


def accuracy(outputs: Floats, targets: Floats, s: Floats) -> float:
    """The share of rows decided rightly, weighted by s (N,)."""
    return float(s @ decided(outputs, targets) / s.sum())


def r2(outputs: Floats, targets: Floats, s: Floats) -> float:
    """1 − Σ(y − a)²/Σ(y − ȳ)², the mean over the outputs; an output whose targets don't vary counts 1 or 0."""
    y, a = targets.astype(np.float64), outputs.astype(np.float64)
    left = s @ (y - a) ** 2
    spread = s @ (y - s @ y / s.sum()) ** 2
    ratio = np.divide(left, spread, out=np.where(left > 0, 1.0, 0.0), where=spread > 0)
    return float(np.mean(1 - ratio))
