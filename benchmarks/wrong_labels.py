"""Do the longest gradients find wrong labels? MNIST with a share of the training labels exchanged for another class.

Run as `python benchmarks/wrong_labels.py [DATA]`; DATA is mnist, or a folder with its four files. For each seed: labels
of rows drawn at random are exchanged, a network is trained briefly on them, and of the rows with the longest gradients
the share is printed whose labels were exchanged; beside it the same by the largest losses.
"""

from __future__ import annotations

import argparse
import statistics

import numpy as np

import backlit as bl

HIDDEN, BATCH, RATE = 100, 32, 1e-3
SHARE, LARGEST = 0.05, 500


def exchanged(y: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(labels (N,), whether each was exchanged (N,)): a share of the rows has another class, each alike likely."""
    random = np.random.default_rng(seed)
    rows = random.choice(len(y), round(share * len(y)), replace=False)
    wrong = y.copy()
    wrong[rows] = (y[rows] + random.integers(1, 10, len(rows))) % 10
    return wrong, wrong != y


def found(data: bl.Dataset, seed: int, epochs: int) -> tuple[float, float]:
    """Shares of exchanged labels among the LARGEST rows, by the length of the gradient and by the loss."""
    labels, wrong = exchanged(np.asarray(data.y), SHARE, seed)
    rows = bl.Dataset(data.x, labels, classes=range(10))
    net = bl.Network([784, HIDDEN, 10], hidden="relu", output="softmax", loss="cross_entropy")
    opt = bl.Adam(RATE)
    state, _ = bl.fit(net, opt, rows, batch_size=BATCH, epochs=epochs, seed=seed, progress=False)
    report = bl.example_report(net, state, rows, largest=LARGEST)
    by_norm = [example.row for example in report.largest]
    by_loss = np.argsort(-report.losses, kind="stable")[:LARGEST]
    return float(wrong[by_norm].mean()), float(wrong[by_loss].mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?", default="mnist")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    data = bl.load_dataset(arguments.data)
    how = f"784-{HIDDEN}-10 relu, Adam {RATE:g}, batch {BATCH}, epochs: {arguments.epochs}"
    print(f"{len(data):,} rows, {SHARE:.0%} of the labels exchanged; {how}")
    print(f"exchanged among the {LARGEST} largest:   by gradient     by loss")
    shares = []
    for seed in range(arguments.seeds):
        shares.append(found(data, seed, arguments.epochs))
        print(f"  seed {seed}" + "{:>34.1%}{:>12.1%}".format(*shares[-1]), flush=True)
    means = [statistics.fmean(column) for column in zip(*shares, strict=True)]
    print("  mean  " + "{:>34.1%}{:>12.1%}".format(*means))


if __name__ == "__main__":
    main()
