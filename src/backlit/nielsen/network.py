"""The book's first program (chapters 1 and 2): stochastic gradient descent, sigmoid neurons, quadratic cost.

    net = network.Network([784, 30, 10])
    net.SGD(training_data, 30, 10, 3.0, test_data=test_data)

Printing, and the drawing of random numbers from the generators that the book uses, belong here.
"""
# ruff: noqa: T201 (the book's programs print)

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ..network import Network as Specification
from . import epochs as engine
from . import plain
from .columns import Array, Shaper, blocks
from .plain import sigmoid, sigmoid_prime
from .stacked import Kept


class Network:
    """A network of sigmoid neurons; ``sizes`` are the units of each layer, inputs first.

    weights [(fan_out, fan_in)] and biases [(fan_out, 1)] have one array for each layer but the first, drawn from
    ``np.random.randn``, all biases before all weights: ``np.random.seed`` makes a run repeatable. Raises BadInput
    for sizes that make no network.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        checked = Specification(sizes).sizes
        self.num_layers = len(checked)
        self.sizes = list(checked)
        self.biases: list[Array] = [np.random.randn(fan_out, 1) for fan_out in checked[1:]]
        self.weights: list[Array] = [np.random.randn(fan_out, fan_in) for fan_in, fan_out in pairwise(checked)]
        self._kept = Kept()

    def feedforward(self, a: Any) -> Array:
        """The output activations (n_out, 1) for the input ``a`` (n_in, 1); a matrix (n_in, B) gives (n_out, B)."""
        a = Shaper("feedforward").columns("a", a, self.sizes[0])
        return plain.forward(self.weights, self.biases, a, sigmoid)[1][-1]

    def SGD(
        self,
        training_data: Iterable[Any],
        epochs: int,
        mini_batch_size: int,
        eta: float,
        test_data: Iterable[Any] | None = None,
    ) -> None:
        """Mini-batch stochastic gradient descent; prints a line after each epoch, counted from 0.

        training_data: list of pairs x (n_in, 1), y (n_out, 1). Each epoch shuffles it in place with
        ``random.shuffle`` and cuts it into mini-batches; each of them changes the weights once, by eta times the
        mean of its gradients. test_data: list of pairs x (n_in, 1), digit; with it the line is
        ``Epoch 0: 9129 / 10000``, without it ``Epoch 0 complete``.

        Runs on the fastest engine, in float64. Where cost_derivative, backprop or update_mini_batch are a
        subclass's own, or the weights are no arrays of these sizes, the loop calls those methods instead. Raises
        BadInput for what doesn't fit, Diverged when the numbers run away.
        """
        shaper = Shaper("SGD")
        training = shaper.listed("training_data", training_data)
        test = None if test_data is None else self._tested(shaper, shaper.listed("test_data", test_data))
        count, eta = shaper.whole("epochs", epochs, 0), shaper.finite("eta", eta)
        loop = engine.Epochs(
            self,
            Specification(self.sizes, "sigmoid", "sigmoid", "quadratic") if self._is_the_books() else None,
            engine.optimizer(eta),
            training,
            shaper.whole("mini_batch_size", mini_batch_size, 1),
            shaper,
            engine.unchanged(self, {name: _BOOKS[name] for name in ("update_mini_batch", "backprop")}),
            lambda mini_batch: self.update_mini_batch(mini_batch, eta),
        )
        for epoch in range(count):
            loop.run(epoch)
            if test is None:
                print(f"Epoch {epoch} complete")
            else:
                print(f"Epoch {epoch}: {self.evaluate(test)} / {len(test)}")

    def update_mini_batch(self, mini_batch: Iterable[Any], eta: float) -> None:
        """Changes weights and biases once: by −eta times the mean of the gradients of ``mini_batch``."""
        shaper = Shaper("update_mini_batch")
        pairs: Sequence[Any] = shaper.listed("mini_batch", mini_batch)
        if engine.unchanged(self, {"backprop": _BOOKS["backprop"]}):
            pairs = shaper.pairs("mini_batch", pairs, self.sizes[0], self.sizes[-1])
        nabla_b, nabla_w = plain.summed([self.backprop(x, y) for x, y in pairs])
        rate = eta / len(pairs)
        self.weights = [w - rate * nw for w, nw in zip(self.weights, nabla_w, strict=True)]
        self.biases = [b - rate * nb for b, nb in zip(self.biases, nabla_b, strict=True)]

    def backprop(self, x: Any, y: Any) -> tuple[list[Array], list[Array]]:
        """(nabla_b, nabla_w), shaped like biases and weights: the gradient of the cost of one example.

        x (n_in, 1), y (n_out, 1).
        """
        shaper = Shaper("backprop")
        x, y = shaper.column("x", x, self.sizes[0]), shaper.column("y", y, self.sizes[-1])
        zs, activations = plain.forward(self.weights, self.biases, x, sigmoid)
        delta = self.cost_derivative(activations[-1], y) * sigmoid_prime(zs[-1])
        return plain.backward(self.weights, zs, activations, delta, sigmoid_prime)

    def evaluate(self, test_data: Iterable[Any]) -> int:
        """How many of the pairs x (n_in, 1), digit have their largest output at the digit."""
        shaper = Shaper("evaluate")
        test = shaper.listed("test_data", test_data)
        if not engine.unchanged(self, {"feedforward": _BOOKS["feedforward"]}):
            return sum(int(np.argmax(self.feedforward(x)) == y) for x, y in test)
        xs, digits = shaper.digits("test_data", test, self.sizes[0])
        return sum(int((self.feedforward(a).argmax(axis=0) == digits[which]).sum()) for which, a in blocks(xs))

    def cost_derivative(self, output_activations: Any, y: Any) -> Array:
        """∂C/∂a of C = ½‖a − y‖²: a − y (n_out, 1)."""
        return Shaper("cost_derivative").difference(output_activations, y)

    def _is_the_books(self) -> bool:
        """Whether training by these methods is what engines do."""
        methods = {name: _BOOKS[name] for name in ("cost_derivative", "backprop", "update_mini_batch")}
        return engine.unchanged(self, methods) and (sigmoid, sigmoid_prime) == _BOOKS_SIGMOID

    def _tested(self, shaper: Shaper, test: list[Any]) -> list[Any]:
        """The test data, checked once for all epochs where it is the module's own methods that will read it."""
        if not engine.unchanged(self, {name: _BOOKS[name] for name in ("evaluate", "feedforward")}):
            return test
        xs, digits = shaper.digits("test_data", test, self.sizes[0])
        return list(zip(xs, digits.tolist(), strict=True))


# What readers may override or replace, as it stands in this file.
_BOOKS: dict[str, object] = dict(vars(Network))
_BOOKS_SIGMOID = sigmoid, sigmoid_prime
