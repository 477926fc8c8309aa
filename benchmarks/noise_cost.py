"""What `noise=True` costs: a step that also measures its example gradients, beside the plain one, in turns.

Run as `python benchmarks/noise_cost.py`. One core; medians over rounds, in which both kinds of step go one after the
other, for the rows of the speed table whose batches have two examples or more. Writes Markdown and JSON to
benchmarks/results, named by the processor.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import time
from pathlib import Path

import numpy as np
from rows import RATE, ROWS, Row
from step_speed import processor

import backlit as bl
from backlit.engines import native

HERE = Path(__file__).parent
ROUND = 0.02  # seconds of steps in one measurement
EXTRA = (Row((784, 128, 10), "relu", "softmax", 128, "SGD"), Row((64, 100, 10), "relu", "softmax", 32, "SGD"))


def opened(row: Row) -> tuple[native.Engine, np.ndarray]:
    """(an engine, the row numbers of some steps)."""
    losses = {"softmax": "cross_entropy"}
    net = bl.Network(row.sizes, row.hidden, row.output, losses.get(row.output, "quadratic"))
    opt = bl.SGD(RATE["SGD"]) if row.optimizer == "SGD" else bl.Adam(RATE["Adam"])
    random = np.random.default_rng(0)
    x = random.random((4096, row.sizes[0]), np.float32)
    y = np.eye(row.sizes[-1], dtype=np.float32)[random.integers(0, row.sizes[-1], 4096)]
    engine = native.Engine(net, opt, bl.initial_state(net, opt), bl.Dataset(x, y), threads=1)
    return engine, random.integers(0, 4096, (20_000, row.batch))


def measure(row: Row, rounds: int) -> dict[str, object]:
    """Microseconds of a step, plain and measured."""
    engine, rows = opened(row)
    kinds = {"plain": engine.advance, "measured": engine.advance_measured}
    steps, seconds = 1, 0.0
    while seconds < ROUND and steps < len(rows):
        steps = min(2 * steps, len(rows))
        start = time.perf_counter()
        engine.advance(rows[:steps])
        seconds = time.perf_counter() - start
    times: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(rounds):
        for name, advance in kinds.items():
            start = time.perf_counter()
            advance(rows[:steps])
            times[name].append(1e6 * (time.perf_counter() - start) / steps)
    ratios = [measured / plain for plain, measured in zip(times["plain"], times["measured"], strict=True)]
    medians = {name: statistics.median(values) for name, values in times.items()}
    return {"row": row.name, "microseconds": medians, "cost": statistics.median(ratios) - 1}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=41)
    parser.add_argument("--out", type=Path, default=HERE / "results")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-1:])
    records = [measure(row, arguments.rounds) for row in (*ROWS, *EXTRA) if row.batch > 1]
    lines = [
        "# What measuring the gradient noise costs a step\n",
        f"{processor()}, one core, float32; medians of {arguments.rounds} rounds, plain and measured in turns.\n",
        "| network | µs plain | µs measured | cost |",
        "|---|---|---|---|",
    ]
    for record in records:
        plain, measured = record["microseconds"]["plain"], record["microseconds"]["measured"]
        lines.append(f"| {record['row']} | {plain:.3g} | {measured:.3g} | {record['cost']:+.1%} |")
    text = "\n".join(lines) + "\n"
    arguments.out.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"\W+", "-", processor()).strip("-").lower()
    (arguments.out / f"noise-cost-{name}.md").write_text(text)
    (arguments.out / f"noise-cost-{name}.json").write_text(json.dumps(records, indent=1) + "\n")
    print(text)


if __name__ == "__main__":
    main()
