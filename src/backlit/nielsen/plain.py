"""Backpropagation in the book's form, one example as a column: the reference for its readers, and the fallback.

z = W·a + b with W (fan_out, fan_in), a (fan_in, 1), b (fan_out, 1). chain.py says the same for rows of a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .columns import Array

Function = Callable[[Array], Array]


def sigmoid(z: Array) -> Array:
    """1/(1 + e⁻ᶻ) of each number, in just these operations: the plain code keeps the roundings of the formula.

    Where e⁻ᶻ overflows, the result is the 0 that it should be, and NumPy's warning has nothing to say.
    """
    with np.errstate(over="ignore"):
        result: Array = 1.0 / (1.0 + np.exp(-np.asarray(z, np.float64)))
    return result


def sigmoid_prime(z: Array) -> Array:
    """The derivative of the sigmoid at z: σ(z)·(1 − σ(z))."""
    a = sigmoid(z)
    return a * (1 - a)


def forward(
    weights: Sequence[Array], biases: Sequence[Array], a: Array, f: Function
) -> tuple[list[Array], list[Array]]:
    """(z of every layer, a of every layer with the input first); ``a`` (n_in, 1), or (n_in, B) side by side."""
    zs, activations = [], [a]
    for w, b in zip(weights, biases, strict=True):
        zs.append(np.dot(w, activations[-1]) + b)
        activations.append(f(zs[-1]))
    return zs, activations


def backward(
    weights: Sequence[Array], zs: list[Array], activations: list[Array], delta: Array, slope: Function
) -> tuple[list[Array], list[Array]]:
    """(nabla_b, nabla_w), shaped like biases and weights, from the ``delta`` = ∂C/∂z (n_out, 1) of the output."""
    nabla_b, nabla_w = [delta], [np.dot(delta, activations[-2].T)]
    for layer in range(len(zs) - 2, -1, -1):
        delta = np.dot(np.transpose(weights[layer + 1]), delta) * slope(zs[layer])
        nabla_b.insert(0, delta)
        nabla_w.insert(0, np.dot(delta, activations[layer].T))
    return nabla_b, nabla_w


def summed(gradients: Sequence[tuple[list[Array], list[Array]]]) -> tuple[list[Array], list[Array]]:
    """(nabla_b, nabla_w) of a mini-batch: the examples' own, added up one after the other."""
    nabla_b, nabla_w = ([np.array(part, np.float64) for part in parts] for parts in gradients[0])
    for delta_b, delta_w in gradients[1:]:
        nabla_b = [total + part for total, part in zip(nabla_b, delta_b, strict=True)]
        nabla_w = [total + part for total, part in zip(nabla_w, delta_w, strict=True)]
    return nabla_b, nabla_w
