"""Times the book's SGD, in microseconds for a mini-batch of 10 at 784-30-10: `python benchmarks/nielsen.py`.

Beside it, one example at a time in plain NumPy, as the formulas stand in the book. Both are timed in turn, so that a
slow minute of the machine hits both. A call of 30 epochs counts everything: the shuffling, and the stacking of the
list's columns into matrices, done anew for a network and a list never seen before; a second call of one epoch counts
what remains when the matrices are kept. Medians of all rounds are printed.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import random
import statistics
from itertools import pairwise
from time import perf_counter

import numpy as np

from backlit.nielsen import network

SIZES, BATCH, ETA = [784, 30, 10], 10, 3.0


def columns(rows: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pairs x (784, 1) float32 from 0 to 1, four in five of them 0 as in MNIST, and y (10, 1)."""
    draw = np.random.default_rng(0)
    x = draw.random((rows, 784, 1), dtype=np.float32) * (draw.random((rows, 784, 1), dtype=np.float32) > 0.8)
    y = np.eye(10)[draw.integers(0, 10, rows)]
    return [(column, target.reshape(10, 1)) for column, target in zip(x, y, strict=True)]


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-z))


def sigmoid_prime(z: np.ndarray) -> np.ndarray:
    return sigmoid(z) * (1 - sigmoid(z))


class OneByOne:
    """z = w·a + b, a = σ(z), C = ½‖a − y‖²: a gradient for each example, added up, and one update."""

    def __init__(self) -> None:
        self.b = [np.random.randn(o, 1) for o in SIZES[1:]]
        self.w = [np.random.randn(o, i) for i, o in pairwise(SIZES)]

    def gradient(self, x: np.ndarray, y: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
        zs, outputs = [], [x]
        for w, b in zip(self.w, self.b, strict=True):
            zs.append(np.dot(w, outputs[-1]) + b)
            outputs.append(sigmoid(zs[-1]))
        delta = (outputs[-1] - y) * sigmoid_prime(zs[-1])
        gradient_b, gradient_w = [delta], [np.dot(delta, outputs[-2].T)]
        for layer in range(len(zs) - 2, -1, -1):
            delta = np.dot(self.w[layer + 1].T, delta) * sigmoid_prime(zs[layer])
            gradient_b.insert(0, delta)
            gradient_w.insert(0, np.dot(delta, outputs[layer].T))
        return gradient_b, gradient_w

    def update(self, batch: list[tuple[np.ndarray, np.ndarray]]) -> None:
        sum_b, sum_w = [np.zeros(b.shape) for b in self.b], [np.zeros(w.shape) for w in self.w]
        for x, y in batch:
            gradient_b, gradient_w = self.gradient(x, y)
            sum_b = [s + g for s, g in zip(sum_b, gradient_b, strict=True)]
            sum_w = [s + g for s, g in zip(sum_w, gradient_w, strict=True)]
        self.w = [w - ETA / len(batch) * s for w, s in zip(self.w, sum_w, strict=True)]
        self.b = [b - ETA / len(batch) * s for b, s in zip(self.b, sum_b, strict=True)]


def time_one_by_one(training: list[tuple[np.ndarray, np.ndarray]], steps: int) -> float:
    net = OneByOne()
    start = perf_counter()
    random.shuffle(training)
    shuffled = (perf_counter() - start) / (len(training) / BATCH)  # the share of one mini-batch
    start = perf_counter()
    for k in range(steps):
        net.update(training[k * BATCH : (k + 1) * BATCH])
    return (perf_counter() - start) / steps + shuffled


def time_sgd(net: network.Network, training: list[tuple[np.ndarray, np.ndarray]], epochs: int) -> float:
    start = perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        net.SGD(training, epochs, BATCH, ETA)
    return (perf_counter() - start) / (epochs * len(training) / BATCH)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--epochs", type=int, default=30)
    given = parser.parse_args()
    training = columns(given.rows)
    times: dict[str, list[float]] = {}
    for _ in range(given.rounds):
        net = network.Network(SIZES)
        for name, seconds in (
            ("one by one, plain NumPy", time_one_by_one(training, min(500, given.rows // BATCH))),
            (f"SGD, {given.epochs} epochs, stacking included", time_sgd(net, training, given.epochs)),
            ("SGD, one more epoch, matrices kept", time_sgd(net, training, 1)),
        ):
            times.setdefault(name, []).append(seconds * 1e6)
        del net  # and with it the kept matrices
    plain = statistics.median(times["one by one, plain NumPy"])
    for name, all_of_them in times.items():
        middle = statistics.median(all_of_them)
        spread = f"{min(all_of_them):.1f} to {max(all_of_them):.1f}"
        print(f"{name:42} {middle:7.1f} µs ({spread}), {plain / middle:5.1f} times as fast")


if __name__ == "__main__":
    main()
