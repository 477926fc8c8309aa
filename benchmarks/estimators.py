"""The estimators beside scikit-learn's: cross-validated scores; and two fits in two threads. Times: estimator_speed.py.

    python benchmarks/estimators.py [--only scores|threads] [--seeds 20]

Both sides get the same folds, seeds and default parameters. A score is "not worse" if the mean difference over the
seeds is above minus two of its standard errors.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from threading import Thread
from time import perf_counter

import numpy as np
from sklearn import datasets, neural_network
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import backlit as bl

KINDS = {"theirs": neural_network, "ours": bl}
ROUNDING = 1e-9  # of a score
DATA = ("digits", "iris", "wine", "breast_cancer", "diabetes")


def loaded(name):
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return x, y, "MLPRegressor" if name == "diabetes" else "MLPClassifier"


def scores(seeds):
    """Mean cross-validated score of both, and the difference in its standard errors, raw and standardised."""
    for scaling in ("raw", "standardised"):
        for name in DATA:
            x, y, kind = loaded(name)
            found = {side: [] for side in KINDS}
            for seed in range(seeds):
                folds = (KFold if kind == "MLPRegressor" else StratifiedKFold)(3, shuffle=True, random_state=seed)
                for side, package in KINDS.items():
                    est = getattr(package, kind)(random_state=seed)
                    est = est if scaling == "raw" else make_pipeline(StandardScaler(), est)
                    found[side].append(cross_val_score(est, x, y, cv=folds).mean())
            difference = np.subtract(found["ours"], found["theirs"])
            error = difference.std(ddof=1) / np.sqrt(seeds)
            verdict = "not worse" if difference.mean() >= -2 * error - ROUNDING else "WORSE"
            print(
                f"{scaling:12} {name:13} theirs {np.mean(found['theirs']):8.4f}  ours {np.mean(found['ours']):8.4f}  "
                f"difference {difference.mean():+.5f} ± {error:.5f}: {verdict}",
                flush=True,
            )


def threads():
    """Two fits in two threads against one after the other; the core releases the lock."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(4000, 200)), np.arange(4000) % 5
    os.environ["BACKLIT_NUM_THREADS"] = "1"
    fits = [bl.MLPClassifier((256,), max_iter=20, random_state=k) for k in range(2)]
    ratios = []
    for _ in range(5):
        start = perf_counter()
        for fit in fits:
            fit.fit(x, y)
        apart = perf_counter() - start
        workers = [Thread(target=fit.fit, args=(x, y)) for fit in fits]
        start = perf_counter()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        ratios.append((perf_counter() - start) / apart)
    print(
        f"two fits in two threads take {min(ratios):.2f} of the time one after the other; worst of 5 {max(ratios):.2f}"
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", choices=["threads", "scores"])
    parser.add_argument("--seeds", type=int, default=20)
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    if chosen.only != "scores":
        threads()
    if chosen.only != "threads":
        scores(chosen.seeds)


if __name__ == "__main__":
    sys.exit(main())
