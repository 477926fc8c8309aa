"""How many times faster a program becomes when its line ``from sklearn.neural_network import ...`` is exchanged.

    python benchmarks/estimator_speed.py [--rounds 5] [--only grid] [--out FOLDER] [--note TEXT]

Each program runs in a process of its own per side, the sides alternating, one core pinned or on all cores; its data are
loaded and one short fit made before its clock starts. Told are the medians, and the median of the ratios of the rounds.
Results go to benchmarks/results, named by the processor; ``--note`` says what else ran there.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

from step_speed import processor

HERE = Path(__file__).parent
SIDES = {"scikit-learn": "from sklearn.neural_network import {}", "backlit": "from backlit import {}"}
THREADS = ("BACKLIT_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")

BEGIN = """
import sys, warnings
from time import perf_counter
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
warnings.simplefilter("ignore")
X, y = load_digits(return_X_y=True)
MLPClassifier(max_iter=2).fit(X, y)
sys.stdin.readline()
"""
FIT = "MLPClassifier({}, random_state=0).fit(X{}, y)"
SEARCH = """GridSearchCV(
    MLPClassifier(max_iter=30, random_state=0),
    {{
        "hidden_layer_sizes": [(30,), (100,), (50, 30)],
        "alpha": [1e-4, 1e-2],
        "learning_rate_init": [1e-3, 1e-2],
        "activation": ["relu", "tanh"],
    }},
    cv=3, n_jobs={},
).fit(X / 16, y)"""
SIXTY = "max_iter=60, n_iter_no_change=np.inf"
# name -> (program, on one core, on all cores)
PROGRAMS = {
    "60 iterations, float64": (FIT.format(SIXTY, ""), True, True),
    "60 iterations, float32": (FIT.format(SIXTY, ".astype(np.float32)"), True, True),
    "60 iterations with early stopping, float64": (FIT.format(f"{SIXTY}, early_stopping=True", ""), True, False),
    "100 iterations of lbfgs, float64": (FIT.format("solver='lbfgs', max_iter=100", " / 16"), True, False),
    "grid search, 24 candidates, 3 folds, n_jobs=1": (SEARCH.format(1), False, True),
    "grid search, 24 candidates, 3 folds, n_jobs=2": (SEARCH.format(2), False, True),
}


def timed(program: str, side: str, one_core: bool) -> float:
    """Seconds that the program takes with this side's import line."""
    text = f"{SIDES[side].format('MLPClassifier')}{BEGIN}start = perf_counter()\n{program}\n"
    environment = dict(os.environ) | (dict.fromkeys(THREADS, "1") if one_core else {})
    command = ["taskset", "-c", str(min(os.sched_getaffinity(0)))] if one_core else []
    command += [sys.executable, "-c", text + "print(perf_counter() - start)"]
    done = subprocess.run(command, input="\n", env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


def compared(program: str, one_core: bool, rounds: int) -> dict[str, object]:
    """Medians over the rounds, in which both sides run one after the other, the first one alternating."""
    times: dict[str, list[float]] = {side: [] for side in SIDES}
    for number in range(rounds):
        for side in list(SIDES)[:: 1 if number % 2 else -1]:
            times[side].append(timed(program, side, one_core))
    ratios = [a / b for a, b in zip(*times.values(), strict=True)]
    medians = {side: statistics.median(seconds) for side, seconds in times.items()}
    return {"seconds": medians, "ratio": statistics.median(ratios), "ratios": ratios}


def as_markdown(records: list[dict], header: str) -> str:
    lines = ["# scikit-learn's programs with the import line exchanged", "", header, ""]
    lines += ["| program on digits | cores | scikit-learn, s | backlit, s | times as fast |", "|---|---|---|---|---|"]
    for record in records:
        theirs, ours = record["seconds"].values()
        lines.append(f"| {record['program']} | {record['cores']} | {theirs:.3f} | {ours:.3f} | {record['ratio']:.1f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="part of the names of the programs to run")
    parser.add_argument("--note", default="", help="what else ran on this machine")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    chosen = parser.parse_args()
    records = []
    for name, (program, *wanted) in PROGRAMS.items():
        for one_core, cores in zip((True, False), ("one, pinned", f"all {os.cpu_count()}"), strict=True):
            if wanted[not one_core] and chosen.only in name:
                records.append({"program": name, "cores": cores, **compared(program, one_core, chosen.rounds)})
                print(f"{name}, {cores}: {records[-1]['ratio']:.2f} times as fast", flush=True)
    header = f"{processor()}, {os.cpu_count()} cores; medians of {chosen.rounds} interleaved rounds."
    header = f"{header} {chosen.note}".strip()
    if chosen.only:
        print(as_markdown(records, header))
        return
    name = "estimator-speed-" + re.sub(r"\W+", "-", processor()).strip("-").lower()
    chosen.out.mkdir(exist_ok=True)
    (chosen.out / f"{name}.json").write_text(json.dumps({"header": header, "records": records}, indent=1) + "\n")
    (chosen.out / f"{name}.md").write_text(as_markdown(records, header))


if __name__ == "__main__":
    sys.exit(main())
