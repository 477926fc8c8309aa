"""The book's programs from their formulas alone, one example at a time in plain NumPy; and small tasks. No tests."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np


def seeded() -> None:
    np.random.seed(12345)
    random.seed(6789)


class Formulas:
    """z = w·a + b, a = 1/(1 + e⁻ᶻ); deltas by the chain rule; w ← (1 − eta·lmbda/n)·w − (eta/m)·Σ ∂C/∂w."""

    def __init__(self, sizes, cost="quadratic", scaled=False):
        self.b = [np.random.randn(o, 1) for o in sizes[1:]]
        self.w = [np.random.randn(o, i) for i, o in pairwise(sizes)]
        if scaled:
            self.w = [w / np.sqrt(w.shape[1]) for w in self.w]
        self.cost = cost

    def output(self, x):
        a = x
        for w, b in zip(self.w, self.b, strict=True):
            a = 1 / (1 + np.exp(-(w @ a + b)))
        return a

    def gradient(self, x, y):
        activations = [x]
        for w, b in zip(self.w, self.b, strict=True):
            activations.append(1 / (1 + np.exp(-(w @ activations[-1] + b))))
        a = activations[-1]
        delta = (a - y) * (a * (1 - a)) if self.cost == "quadratic" else a - y
        gb, gw = [], []
        for layer in reversed(range(len(self.w))):
            gb.insert(0, delta)
            gw.insert(0, delta @ activations[layer].T)
            below = activations[layer]
            delta = (self.w[layer].T @ delta) * (below * (1 - below))
        return gb, gw

    def example_cost(self, x, y):
        a = self.output(x)
        if self.cost == "quadratic":
            return float(0.5 * ((a - y) ** 2).sum())
        return float(-(y * np.log(a) + (1 - y) * np.log(1 - a)).sum())

    def total_cost(self, pairs, lmbda):
        mean = sum(self.example_cost(x, y) for x, y in pairs) / len(pairs)
        return mean + 0.5 * lmbda / len(pairs) * sum(float((w**2).sum()) for w in self.w)

    def right(self, pairs):
        return sum(int(np.argmax(self.output(x)) == y) for x, y in pairs)

    def epoch(self, pairs, size, eta, lmbda=0.0):
        """Shuffles ``pairs`` in place; gives the number of updates."""
        random.shuffle(pairs)
        n = len(pairs)
        for start in range(0, n, size):
            batch = pairs[start : start + size]
            gradients = [self.gradient(x, y) for x, y in batch]
            for layer in range(len(self.w)):
                self.b[layer] = self.b[layer] - eta / len(batch) * sum(gb[layer] for gb, _ in gradients)
                step = eta / len(batch) * sum(gw[layer] for _, gw in gradients)
                self.w[layer] = (1 - eta * lmbda / n) * self.w[layer] - step
        return -(-n // size)

    def parameters(self):
        return np.concatenate([p.ravel() for p in (*self.w, *self.b)])


def parameters(net):
    return np.concatenate([p.ravel() for p in (*net.weights, *net.biases)])


def columns(rows, n_in=6, n_out=3, seed=0):
    """Pairs x (n_in, 1), y (n_out, 1) of a task that can be learnt, and the same with digits."""
    draw = np.random.default_rng(seed)
    digits = draw.integers(0, n_out, rows)
    x = draw.random((rows, n_in, 1)) * 0.5
    x[np.arange(rows), digits, 0] += 0.7
    y = np.eye(n_out)[digits][:, :, None]
    return list(zip(x, y, strict=True)), list(zip(x, digits.tolist(), strict=True))


def close(net, formulas, tolerance=1e-8):
    assert np.abs(parameters(net) - formulas.parameters()).max() < tolerance
