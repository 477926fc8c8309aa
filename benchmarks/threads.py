"""Two fits in two threads beside the same two one after the other: `python benchmarks/threads.py`.

The compiled core lets go of Python's lock during its steps, so on two free cores the ratio is near one half.
"""

import os
import statistics
import warnings
from threading import Thread
from time import perf_counter

import numpy as np

ROUNDS = 7


def main() -> None:
    """Prints the ratio of each round and their median."""
    os.environ["BACKLIT_NUM_THREADS"] = "1"
    import backlit as bl

    warnings.simplefilter("ignore")
    x, y = np.random.default_rng(0).normal(size=(4000, 200)), np.arange(4000) % 5
    fits = [bl.MLPClassifier((256,), max_iter=12, random_state=k) for k in range(2)]

    def at_once() -> float:
        threads = [Thread(target=fit.fit, args=(x, y)) for fit in fits]
        start = perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return perf_counter() - start

    def in_turn() -> float:
        start = perf_counter()
        for fit in fits:
            fit.fit(x, y)
        return perf_counter() - start

    ratios = [at_once() / in_turn() for _ in range(ROUNDS)]
    print("two threads / one after the other:", *(f"{ratio:.2f}" for ratio in ratios))
    print(f"median {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
