"""The book's second program (chapter 3): a choice of costs, L2 regularisation, better first weights, monitoring.

    net = network2.Network([784, 30, 10], cost=network2.CrossEntropyCost)
    net.SGD(training_data, 30, 10, 0.5, lmbda=5.0, evaluation_data=validation_data, monitor_evaluation_accuracy=True)

Printing, the JSON file, and the drawing of random numbers from the generators that the book uses, belong here.
"""
# ruff: noqa: T201 (the book's programs print)

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from .. import chain
from ..errors import BadInput
from ..network import Network as Specification
from . import epochs as engine
from . import plain
from .columns import Array, Shaper, blocks
from .plain import sigmoid, sigmoid_prime
from .stacked import Kept


class Cost(Protocol):
    """A cost as the book has it: a class, or an object, with these two."""

    def fn(self, a: Any, y: Any, /) -> float:
        """The cost of output activations ``a`` (n_out, 1) against targets ``y`` (n_out, 1)."""

    def delta(self, z: Any, a: Any, y: Any, /) -> Array:
        """∂C/∂z (n_out, 1) of the output layer."""


class QuadraticCost:
    """C = ½‖a − y‖²."""

    @staticmethod
    def fn(a: Any, y: Any) -> float:
        """½‖a − y‖² of ``a`` and ``y`` (n_out, 1)."""
        a, y = Shaper("QuadraticCost.fn").alike(a, y)
        return float(chain.LOSSES["quadratic"].value(a.T, a.T, y.T).sum())

    @staticmethod
    def delta(z: Any, a: Any, y: Any) -> Array:
        """(a − y)·σ′(z), each (n_out, 1)."""
        shaper = Shaper("QuadraticCost.delta")
        z, a = shaper.alike(z, a)
        return shaper.difference(a, y) * sigmoid_prime(z)


class CrossEntropyCost:
    """C = −Σ y·ln a + (1 − y)·ln(1 − a)."""

    @staticmethod
    def fn(a: Any, y: Any) -> float:
        """−Σ y·ln a + (1 − y)·ln(1 − a) of ``a`` and ``y`` (n_out, 1), with 0·ln 0 = 0.

        A wrong output that is exactly 0 or 1 counts as the largest float: its logarithm can't be had from ``a``.
        ``total_cost`` has z and gives the true number.
        """
        a, y = Shaper("CrossEntropyCost.fn").alike(a, y)
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(np.sum(np.nan_to_num(-y * np.log(a) - (1 - y) * np.log(1 - a))))

    @staticmethod
    def delta(z: Any, a: Any, y: Any) -> Array:
        """a − y (n_out, 1): σ′(z) has cancelled, so ``z`` isn't needed."""
        return Shaper("CrossEntropyCost.delta").difference(a, y)


class Network:
    """A network of sigmoid neurons; ``sizes`` are the units of each layer, inputs first; ``cost`` one of the classes
    above, or a reader's own with the same two functions.

    weights [(fan_out, fan_in)] and biases [(fan_out, 1)] have one array for each layer but the first. Raises
    BadInput for sizes that make no network.
    """

    def __init__(self, sizes: Sequence[int], cost: Any = CrossEntropyCost) -> None:
        checked = Specification(sizes).sizes
        self.num_layers = len(checked)
        self.sizes = list(checked)
        self.biases: list[Array] = []
        self.weights: list[Array] = []
        self.default_weight_initializer()
        self.cost = cost
        self._kept = Kept()

    def default_weight_initializer(self) -> None:
        """Biases standard normal, weights normal with standard deviation 1/√fan_in, from ``np.random.randn``."""
        self.large_weight_initializer()
        self.weights = [w / np.sqrt(w.shape[1]) for w in self.weights]

    def large_weight_initializer(self) -> None:
        """Biases, then weights, all standard normal, as in chapter 1: large sums, and neurons that learn slowly."""
        self.biases = [np.random.randn(fan_out, 1) for fan_out in self.sizes[1:]]
        self.weights = [np.random.randn(fan_out, fan_in) for fan_in, fan_out in pairwise(self.sizes)]

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
        lmbda: float = 0.0,
        evaluation_data: Iterable[Any] | None = None,
        monitor_evaluation_cost: bool = False,
        monitor_evaluation_accuracy: bool = False,
        monitor_training_cost: bool = False,
        monitor_training_accuracy: bool = False,
    ) -> tuple[list[float], list[int], list[float], list[int]]:
        """Mini-batch stochastic gradient descent with L2 regularisation; prints what is monitored after each epoch.

        training_data: list of pairs x (n_in, 1), y (n_out, 1), shuffled in place with ``random.shuffle`` in each
        epoch. A mini-batch of m out of n examples changes w to (1 − eta·lmbda/n)·w − (eta/m)·Σ nabla_w, and b by
        −(eta/m)·Σ nabla_b. evaluation_data: list of pairs x (n_in, 1), digit.

        Returns four lists with a number for each epoch: evaluation cost, evaluation accuracy, training cost,
        training accuracy; those that aren't monitored are empty. Which engine trains: see network.Network.SGD;
        a cost of the reader's own counts as an overridden method.
        """
        shaper = Shaper("SGD")
        training = shaper.listed("training_data", training_data)
        evaluation: list[Any] = []
        if evaluation_data is not None:
            evaluation = self._evaluated(shaper, shaper.listed("evaluation_data", evaluation_data))
        elif monitor_evaluation_cost or monitor_evaluation_accuracy:
            raise BadInput("SGD: monitor_evaluation_cost and monitor_evaluation_accuracy need evaluation_data.")
        n, eta, lmbda = len(training), shaper.finite("eta", eta), shaper.finite("lmbda", lmbda)
        loop = engine.Epochs(
            self,
            self._specification(),
            engine.optimizer(eta, lmbda / n),
            training,
            shaper.whole("mini_batch_size", mini_batch_size, 1),
            shaper,
            self._has_own("update_mini_batch", "backprop"),
            lambda mini_batch: self.update_mini_batch(mini_batch, eta, lmbda, n),
        )
        history: tuple[list[float], list[int], list[float], list[int]] = [], [], [], []
        for epoch in range(shaper.whole("epochs", epochs, 0)):
            loop.run(epoch)
            print(f"Epoch {epoch} training complete")
            if monitor_training_cost:
                history[2].append(self.total_cost(loop.pairs(), lmbda))
                print(f"Cost on training data: {history[2][-1]}")
            if monitor_training_accuracy:
                history[3].append(self.accuracy(loop.pairs(), convert=True))
                print(f"Accuracy on training data: {history[3][-1]} / {n}")
            if monitor_evaluation_cost:
                history[0].append(self.total_cost(evaluation, lmbda, convert=True))
                print(f"Cost on evaluation data: {history[0][-1]}")
            if monitor_evaluation_accuracy:
                history[1].append(self.accuracy(evaluation))
                print(f"Accuracy on evaluation data: {history[1][-1]} / {len(evaluation)}")
            print()
        return history

    def update_mini_batch(self, mini_batch: Iterable[Any], eta: float, lmbda: float, n: int) -> None:
        """Changes weights and biases once, as SGD says; ``n`` is the number of examples in the training data."""
        shaper = Shaper("update_mini_batch")
        pairs: Sequence[Any] = shaper.listed("mini_batch", mini_batch)
        if self._has_own("backprop"):
            pairs = shaper.pairs("mini_batch", pairs, self.sizes[0], self.sizes[-1])
        nabla_b, nabla_w = plain.summed([self.backprop(x, y) for x, y in pairs])
        keep, rate = 1 - eta * (lmbda / n), eta / len(pairs)
        self.weights = [keep * w - rate * nw for w, nw in zip(self.weights, nabla_w, strict=True)]
        self.biases = [b - rate * nb for b, nb in zip(self.biases, nabla_b, strict=True)]

    def backprop(self, x: Any, y: Any) -> tuple[list[Array], list[Array]]:
        """(nabla_b, nabla_w), shaped like biases and weights: the gradient of one example's cost, without L2.

        x (n_in, 1), y (n_out, 1).
        """
        shaper = Shaper("backprop")
        x, y = shaper.column("x", x, self.sizes[0]), shaper.column("y", y, self.sizes[-1])
        zs, activations = plain.forward(self.weights, self.biases, x, sigmoid)
        delta = self.cost.delta(zs[-1], activations[-1], y)
        return plain.backward(self.weights, zs, activations, delta, sigmoid_prime)

    def accuracy(self, data: Iterable[Any], convert: bool = False) -> int:
        """How many of the pairs (x, y) have their largest output at y.

        y is the digit, as in validation and test data; or, with ``convert``, a column (n_out, 1) with its largest
        number there, as in training data.
        """
        shaper = Shaper("accuracy")
        listed = shaper.listed("data", data)
        if not self._has_own("feedforward"):
            digits = [np.argmax(y) if convert else y for _, y in listed]
            return sum(int(np.argmax(self.feedforward(x)) == y) for (x, _), y in zip(listed, digits, strict=True))
        if convert:
            xs, columns = shaper.columns_of("data", listed, self.sizes[0], self.sizes[-1])
            wanted = np.hstack(columns).argmax(axis=0)
        else:
            xs, wanted = shaper.digits("data", listed, self.sizes[0])
        return sum(int((self.feedforward(a).argmax(axis=0) == wanted[which]).sum()) for which, a in blocks(xs))

    def total_cost(self, data: Iterable[Any], lmbda: float, convert: bool = False) -> float:
        """The mean cost of the n pairs (x, y), and ½·lmbda/n·Σ‖w‖².

        y is a column (n_out, 1), as in training data; or, with ``convert``, the digit (the other way round than in
        ``accuracy``, as the book has it).
        """
        shaper = Shaper("total_cost")
        listed = shaper.listed("data", data)
        if convert:
            xs, digits = shaper.digits("data", listed, self.sizes[0])
            targets = np.hstack([_unit(shaper.where, digit, self.sizes[-1]) for digit in digits])
        else:
            xs, columns = shaper.columns_of("data", listed, self.sizes[0], self.sizes[-1])
            targets = np.hstack(columns)
        penalty = 0.5 * lmbda / len(xs) * sum(float(np.sum(np.square(w))) for w in self.weights)
        return self._cost_sum(xs, targets) / len(xs) + penalty

    def _cost_sum(self, xs: Sequence[Array], targets: Array) -> float:
        """The cost of all examples, xs [(n_in, 1)] and targets (n_out, N), added up."""
        loss = _FN.get(getattr(self.cost, "fn", None))
        if loss is None or not self._has_own("feedforward") or sigmoid is not _BOOKS_SIGMOID[0]:
            return sum(float(self.cost.fn(self.feedforward(x), targets[:, [i]])) for i, x in enumerate(xs))
        total = 0.0
        for which, a in blocks(xs):
            zs, activations = plain.forward(self.weights, self.biases, a, sigmoid)
            total += float(chain.LOSSES[loss].value(zs[-1].T, activations[-1].T, targets[:, which].T).sum())
        return total

    def save(self, filename: str | os.PathLike[str]) -> None:
        """Writes the network as JSON, in the book's form: sizes, weights, biases, the name of the cost.

        It is written aside and renamed, so that an older file stays whole until the new one is. Raises BadInput
        where the place can't be written.
        """
        cost = self.cost if isinstance(self.cost, type) else type(self.cost)
        text = json.dumps(
            {
                "sizes": self.sizes,
                "weights": [np.asarray(w).tolist() for w in self.weights],
                "biases": [np.asarray(b).tolist() for b in self.biases],
                "cost": cost.__name__,
            }
        )
        target = Path(filename)
        aside = target.with_name(f".{target.name}.{secrets.token_hex(6)}.part")
        try:
            try:
                aside.write_text(text, encoding="utf-8")
                aside.replace(target)
            finally:
                aside.unlink(missing_ok=True)
        except OSError as error:
            raise BadInput(f"save: {filename} can't be written: {error.strerror or error}.") from None

    def _has_own(self, *names: str) -> bool:
        """Whether these methods are the module's, not a subclass's."""
        return engine.unchanged(self, {name: _BOOKS[name] for name in names})

    def _specification(self) -> Specification | None:
        """What training by these methods and this cost amounts to; None where no engine does that."""
        loss = _DELTA.get(getattr(self.cost, "delta", None))
        own = self._has_own("backprop", "update_mini_batch") and (sigmoid, sigmoid_prime) == _BOOKS_SIGMOID
        return Specification(self.sizes, "sigmoid", "sigmoid", loss) if own and loss else None

    def _evaluated(self, shaper: Shaper, evaluation: list[Any]) -> list[Any]:
        """The evaluation data, checked once for all epochs where it is the module's own methods that will read it."""
        if not self._has_own("accuracy", "total_cost", "feedforward"):
            return evaluation
        xs, digits = shaper.digits("evaluation_data", evaluation, self.sizes[0])
        return list(zip(xs, digits.tolist(), strict=True))


def load(filename: str | os.PathLike[str]) -> Network:
    """The network that ``save`` wrote. Nothing in the file is executed; BadInput for what is no such file.

    A cost of your own is found by its name in this module: ``network2.MyCost = MyCost`` before loading.
    """
    try:
        record = json.loads(Path(filename).read_text(encoding="utf-8"))
        sizes, weights, biases, name = (record[key] for key in ("sizes", "weights", "biases", "cost"))
    except OSError as error:
        raise BadInput(f"load: {filename} can't be read: {error.strerror or error}.") from None
    except (ValueError, TypeError, KeyError, RecursionError):
        raise BadInput(
            f"load: {filename} is not a network that save wrote: JSON with sizes, weights, biases and cost."
        ) from None
    cost = globals().get(name) if isinstance(name, str) else None
    if not (isinstance(cost, type) and hasattr(cost, "fn") and hasattr(cost, "delta")) or cost is Cost:
        raise BadInput(
            f"load: {filename} has the cost {name!r:.60}, which this module doesn't know. If it is your own, put it "
            "there first: network2.MyCost = MyCost."
        )
    try:
        fits = engine.state_of(Specification(sizes), weights, biases) is not None
    except BadInput:
        fits = False
    if not fits:  # looked at before anything of these sizes is made
        raise BadInput(f"load: {filename}: its weights and biases are no finite numbers that fit its sizes.")
    network = Network(sizes, cost=cost)
    network.weights = [np.array(w, np.float64) for w in weights]
    network.biases = [np.array(b, np.float64) for b in biases]
    return network


def vectorized_result(j: int) -> Array:
    """The column (10, 1) with 1.0 at the digit ``j`` and 0.0 elsewhere. Raises BadInput for what is no digit."""
    return _unit("vectorized_result", Shaper("vectorized_result").digit("j", j), 10)


def _unit(where: str, j: int, n: int) -> Array:
    if j >= n:
        raise BadInput(f"{where}: {j} is no digit of a network with {n} outputs: 0 to {n - 1} was wanted.")
    column = np.zeros((n, 1))
    column[j] = 1.0
    return column


# What readers may override or replace, as it stands in this file; and what engines call the costs.
_BOOKS: dict[str, object] = dict(vars(Network))
_BOOKS_SIGMOID = sigmoid, sigmoid_prime
_DELTA: dict[object, str] = {QuadraticCost.delta: "quadratic", CrossEntropyCost.delta: "binary_cross_entropy"}
_FN: dict[object, str] = {QuadraticCost.fn: "quadratic", CrossEntropyCost.fn: "binary_cross_entropy"}
