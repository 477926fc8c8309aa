"""The runs of chapters 1 and 3 of "Neural Networks and Deep Learning" on MNIST: `python examples/book_runs.py`.

Prints the tables of docs/book.md. Reads MNIST from the folder of BACKLIT_DATA or your cache. Every run is done three
times, with other random numbers, because one run differs from the next by some tenths of a percent.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import random
import re
import sys
from collections.abc import Callable
from time import perf_counter

import numpy as np

import backlit as bl
from backlit.nielsen import mnist_loader, network, network2

SEEDS = 1, 2, 3
SHOWN = 1, 2, 5, 10, 20, 30  # epochs, as people count

Data = tuple[list, list, list]


def seed(number: int) -> None:
    np.random.seed(number)
    random.seed(number)


def quietly(run: Callable[[], object]) -> tuple[list[float], float]:
    """The accuracies that ``run`` prints, in percent, and its seconds."""
    printed = io.StringIO()
    start = perf_counter()
    with contextlib.redirect_stdout(printed):
        run()
    seconds = perf_counter() - start
    return [100 * int(a) / int(n) for a, n in re.findall(r"(\d+) / (\d+)", printed.getvalue())], seconds


def chapter_1(data: Data, hidden: int, epochs: int) -> tuple[list[float], float]:
    training, _, test = data
    net = network.Network([784, hidden, 10])
    return quietly(lambda: net.SGD(list(training), epochs, 10, 3.0, test_data=test))


def chapter_3(
    data: Data, hidden: int, epochs: int, eta: float = 0.5, weights: str = "default"
) -> tuple[list[float], float]:
    training, validation, _ = data
    net = network2.Network([784, hidden, 10], cost=network2.CrossEntropyCost)
    if weights == "large":
        net.large_weight_initializer()
    if weights == "Glorot":
        glorot = bl.initial_state(
            bl.Network(net.sizes, hidden="sigmoid"), seed=np.random.randint(2**31), dtype="float64", init="glorot"
        )
        net.weights = [layer.W.T for layer in glorot.layers]
        net.biases = [layer.b[:, None] for layer in glorot.layers]
    return quietly(
        lambda: net.SGD(
            list(training), epochs, 10, eta, 5.0, evaluation_data=validation, monitor_evaluation_accuracy=True
        )
    )


def three(name: str, run: Callable[[], tuple[list[float], float]]) -> list[tuple[list[float], float]]:
    results = []
    for number in SEEDS:
        seed(number)
        results.append(run())
        curve, seconds = results[-1]
        print(f"{name}, seed {number}: best {max(curve):.2f} %, {seconds:.1f} s", file=sys.stderr)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=30)
    epochs = parser.parse_args().epochs
    data = mnist_loader.load_data_wrapper()
    print(f"| run, {epochs} epochs, batch 10 | best epoch, seeds 1, 2, 3 | last epoch, seeds 1, 2, 3 | seconds |")
    print("|---|---|---|---|")
    for name, run in (
        ("network [784, 30, 10], eta 3.0", lambda: chapter_1(data, 30, epochs)),
        ("network [784, 100, 10], eta 3.0", lambda: chapter_1(data, 100, epochs)),
        ("network2 [784, 30, 10], cross-entropy, eta 0.5, lmbda 5.0", lambda: chapter_3(data, 30, epochs)),
        ("network2 [784, 100, 10], cross-entropy, eta 0.5, lmbda 5.0", lambda: chapter_3(data, 100, epochs)),
    ):
        results = three(name, run)
        best = ", ".join(f"{max(curve):.2f}" for curve, _ in results)
        last = ", ".join(f"{curve[-1]:.2f}" for curve, _ in results)
        print(f"| {name} | {best} | {last} | {min(seconds for _, seconds in results):.1f} |", flush=True)
    shown = [epoch for epoch in SHOWN if epoch <= epochs]
    print(f"\n| first weights | {' | '.join(f'epoch {epoch}' for epoch in shown)} |")
    print("|---|" + "---|" * len(shown))
    for weights in ("large", "default", "Glorot"):
        results = three(weights, lambda weights=weights: chapter_3(data, 30, epochs, eta=0.1, weights=weights))
        means = [np.mean([curve[epoch - 1] for curve, _ in results]) for epoch in shown]
        print(f"| {weights} | {' | '.join(f'{mean:.2f}' for mean in means)} |", flush=True)


if __name__ == "__main__":
    main()
