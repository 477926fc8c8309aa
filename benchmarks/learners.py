"""Wrong backpropagation as learners write it: loops over examples, nothing taken from backlit.

Each program here makes one mistake with a name. They are written apart from the hypotheses that must find them, so
that a measurement of ``bl.diagnose`` means something.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

erf = np.vectorize(math.erf, otypes=[float])


def f(name: str, z: np.ndarray) -> np.ndarray:
    """The activation of one example's z (units,)."""
    match name:
        case "linear":
            return z.copy()
        case "sigmoid":
            return 1 / (1 + np.exp(-z))
        case "tanh":
            return np.tanh(z)
        case "relu":
            return z * (z > 0)
        case "leaky_relu":
            return np.where(z > 0, z, 0.01 * z)
        case "gelu":
            return 0.5 * z * (1 + erf(z / math.sqrt(2)))
        case "softplus":
            return np.log(1 + np.exp(z))
        case "exp":
            return np.exp(z)
        case "softmax":
            return np.exp(z) / np.exp(z).sum()
    raise ValueError(name)


def df(name: str, z: np.ndarray) -> np.ndarray:
    """Its derivative at z (units,)."""
    match name:
        case "linear":
            return np.ones(len(z))
        case "sigmoid":
            return f("sigmoid", z) * (1 - f("sigmoid", z))
        case "tanh":
            return 1 / np.cosh(z) ** 2
        case "relu":
            return np.where(z > 0, 1.0, 0.0)
        case "leaky_relu":
            return np.where(z > 0, 1.0, 0.01)
        case "gelu":
            return 0.5 * (1 + erf(z / math.sqrt(2))) + z * np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
        case "softplus":
            return 1 / (1 + np.exp(-z))
        case "exp":
            return np.exp(z)
    raise ValueError(name)


def softmax_matrix(z: np.ndarray) -> np.ndarray:
    a = f("softmax", z)
    return np.diag(a) - np.outer(a, a)


def dloss_da(loss: str, a: np.ndarray, y: np.ndarray) -> np.ndarray:
    match loss:
        case "quadratic":
            return a - y
        case "squared_error":
            return 2 * (a - y)
        case "mean_squared_error":
            return 2 * (a - y) / len(a)
        case "absolute_error":
            return np.sign(a - y)
        case "huber":
            return np.where(np.abs(a - y) <= 1, a - y, np.sign(a - y))
    raise ValueError(loss)


CANCELS = ("binary_cross_entropy", "cross_entropy", "poisson")


@dataclass
class Problem:
    """A network at some parameters with one batch; everything in plain lists of arrays."""

    sizes: list[int]
    hidden: list[str]
    output: str
    loss: str
    reduction: str
    weights: list[np.ndarray]  # (fan_in, fan_out)
    biases: list[np.ndarray]
    x: np.ndarray
    y: np.ndarray
    s: np.ndarray
    previous_weights: list[np.ndarray] = field(default_factory=list)

    @property
    def layers(self) -> int:
        return len(self.weights)

    @property
    def names(self) -> list[str]:
        return [*self.hidden, self.output]


@dataclass(frozen=True)
class Bug:
    """What is wrong; layer from 1, None: everywhere. ``top``: a further constant on all of it."""

    name: str
    layer: int | None = None
    form: str = ""
    number: float = 1.0
    top: float = 1.0

    def hits(self, name: str, layer: int) -> bool:
        return self.name == name and self.layer in (None, layer)


def forward(p: Problem, x: np.ndarray, weights: list[np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    zs, activations = [], [x]
    for W, b, name in zip(weights, p.biases, p.names, strict=True):
        zs.append(W.T @ activations[-1] + b)
        activations.append(f(name, zs[-1]))
    return zs, activations


def through_output(p: Problem, z: np.ndarray, v: np.ndarray) -> np.ndarray:
    """∂L/∂z from v = ∂L/∂a."""
    return softmax_matrix(z) @ v if p.output == "softmax" else v * df(p.output, z)


def output_delta(p: Problem, z: np.ndarray, a: np.ndarray, i: int, bug: Bug) -> np.ndarray:
    y, last = p.y[i], p.layers
    if bug.name == "double_softmax":
        twice = f("softmax", a)
        if p.loss == "cross_entropy":
            inner = twice * y.sum() - y
        else:
            inner = softmax_matrix(a) @ dloss_da(p.loss, twice, y)
        return inner if bug.form == "a - y" else softmax_matrix(z) @ inner
    if bug.name == "broadcast_targets":
        total = np.zeros(1)
        for target in p.y:
            total += (a - target) if p.loss in CANCELS else dloss_da(p.loss, a, target) * df(p.output, z)
        return total / len(p.y)
    if p.loss in CANCELS:
        delta = a * y.sum() - y if p.output == "softmax" else a - y
        if bug.name == "extra_output_derivative":
            return delta * a * (1 - a) if p.output in ("softmax", "sigmoid") else delta * a
        return delta
    v = dloss_da(p.loss, a, y)
    if bug.hits("missing_derivative", last):
        return v
    if bug.hits("derivative_of_activation", last):
        return v * df(p.output, a)
    delta = through_output(p, z, v)
    return through_output(p, z, delta) if bug.hits("double_derivative", last) else delta


def hidden_slope(p: Problem, l: int, z: np.ndarray, a: np.ndarray, bug: Bug) -> np.ndarray:  # noqa: E741
    name = p.names[l]
    if bug.hits("missing_derivative", l + 1):
        return np.ones(len(z))
    if bug.hits("derivative_of_activation", l + 1):
        return df(name, a)
    return df(name, z) ** 2 if bug.hits("double_derivative", l + 1) else df(name, z)


def wrong_gradient(p: Problem, bug: Bug, weights: list[np.ndarray] | None = None) -> tuple[Any, Any]:
    """(weight gradients, bias gradients) of a program with this bug; Bug("none") is the right program."""
    weights = [W.copy() for W in (weights or p.weights)]
    n, runs = len(p.x), [forward(p, x, weights or p.weights) for x in p.x]
    divisor = p.s.sum() if p.reduction == "mean" else 1.0
    deltas: list[list[np.ndarray]] = [[np.zeros(0)] * p.layers for _ in range(n)]
    dW, db = [np.zeros_like(W) for W in weights], [np.zeros_like(b) for b in p.biases]
    for l in range(p.layers - 1, -1, -1):  # noqa: E741
        for i, (zs, activations) in enumerate(runs):
            if l == p.layers - 1:
                delta = output_delta(p, zs[l], activations[l + 1], i, bug)
            else:
                W = weights[l + 1]
                back = W.T if bug.hits("transposed_weights", l + 2) and bug.form == "back" else W
                delta = (back @ deltas[i][l + 1]) * hidden_slope(p, l, zs[l], activations[l + 1], bug)
            deltas[i][l] = delta
            dW[l] += p.s[i] * np.outer(activations[l], delta)
            db[l] += p.s[i] * delta
        if bug.name == "updated_before_backward":
            weights[l] = weights[l] - bug.number * dW[l] / divisor
    if bug.name in ("first_example_only", "last_example_only"):
        i = 0 if bug.name == "first_example_only" else n - 1
        for l in range(p.layers):  # noqa: E741
            dW[l] = p.s[i] * np.outer(runs[i][1][l], deltas[i][l])
            db[l] = p.s[i] * deltas[i][l]
    if bug.name == "averaged_activations":
        for l in range(p.layers):  # noqa: E741
            mean_a = sum(p.s[i] * runs[i][1][l] for i in range(n)) / p.s.sum()
            mean_d = sum(p.s[i] * deltas[i][l] for i in range(n)) / p.s.sum()
            dW[l], db[l] = np.outer(mean_a, mean_d) * p.s.sum(), mean_d * p.s.sum()
    _finish(p, bug, dW, db, deltas, divisor)
    return dW, db


def _finish(p: Problem, bug: Bug, dW: Any, db: Any, deltas: Any, divisor: float) -> None:
    """Divides by the batch (or not), and makes the mistakes that are made at the end."""
    n, total = len(p.x), p.s.sum()
    for l in range(p.layers):  # noqa: E741
        if bug.name != "sum_not_mean":
            dW[l] /= divisor
            db[l] /= divisor
        if bug.name == "mean_twice":
            dW[l] /= total
            db[l] /= total
        if bug.hits("bias_not_summed", l + 1):
            db[l] = deltas[0 if "first" in bug.form else n - 1][l] / (n if "divided" in bug.form else 1)
        if bug.hits("bias_missing", l + 1):
            db[l] = np.zeros_like(db[l])
        if bug.hits("transposed_weights", l + 1) and bug.form == "gradient":
            dW[l] = dW[l].T.copy()
        if bug.hits("layer_scale", l + 1):
            dW[l] *= bug.number
            db[l] *= bug.number
        if bug.name in ("scale", "sign"):
            dW[l] *= bug.number
            db[l] *= bug.number
        if bug.name == "stale_gradient":
            old_W, old_b = wrong_gradient(p, Bug("none"), p.previous_weights)
            dW[l] += old_W[l]
            db[l] += old_b[l]
        dW[l] *= bug.top
        db[l] *= bug.top
