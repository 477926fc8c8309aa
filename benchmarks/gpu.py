"""One training step on an accelerator: backlit's jax engine beside PyTorch eager, compiled and with CUDA graphs.

`python benchmarks/gpu.py [--seconds S]` trains 784-512-512-10 (relu, softmax, cross-entropy, plain SGD, float32, full
precision) on made-up rows of MNIST's shape that lie on the device, batch 128 and 4096, and writes the median µs per
step to benchmarks/results/gpu-DEVICE.md. Without a GPU it runs on the CPU; what isn't installed is left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

import backlit as bl

SIZES, ROWS, RATE = [784, 512, 512, 10], 60_000, 0.01
BATCHES = (128, 4096)
RESULTS = Path(__file__).parent / "results"
Run = Callable[[np.ndarray], None]  # one call trains on all the steps of rows (k, B) and waits for their end


def data() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.random((ROWS, SIZES[0]), np.float32), random.integers(0, SIZES[-1], ROWS)


def with_backlit() -> Iterator[tuple[str, Run]]:
    net = bl.Network(SIZES, "relu", "softmax", "cross_entropy")
    opt = bl.SGD(RATE)
    for engine in ("jax", "native"):
        if bl.available_engines()[engine] == "ready":
            opened = bl.open_engine(engine, net, opt, bl.initial_state(net, opt), data())
            yield f"backlit {engine}", partial(_discard, opened)


def _discard(engine: Any, rows: np.ndarray) -> None:
    engine.advance(rows)


def with_torch() -> Iterator[tuple[str, Run]]:
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cuda.matmul.allow_tf32 = False
    x, y = (torch.from_numpy(array).to(device) for array in data())
    layers: list[torch.nn.Module] = []
    for fan_in, fan_out in pairwise(SIZES):
        layers += [torch.nn.Linear(fan_in, fan_out), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1]).to(device)
    loss_of, optimizer = torch.nn.CrossEntropyLoss(), torch.optim.SGD(model.parameters(), RATE)

    def step(xb: torch.Tensor, yb: torch.Tensor) -> torch.Tensor:
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(model(xb), yb)
        loss.backward()
        optimizer.step()
        return loss

    def runner(one: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> Run:
        def run(rows: np.ndarray) -> None:
            chosen = torch.from_numpy(rows).to(device)
            for batch in chosen:
                one(x[batch], y[batch])
            if device == "cuda":
                torch.cuda.synchronize()

        return run

    yield "PyTorch eager", runner(step)
    try:
        yield "torch.compile", runner(torch.compile(step))
        if device == "cuda":
            yield "torch.compile, CUDA graphs", runner(torch.compile(step, mode="reduce-overhead"))
    except Exception as error:  # torch.compile needs a compiler, and says so in many ways
        print(f"torch.compile: {type(error).__name__}")


def microseconds(run: Run, batch: int, seconds: float) -> float:
    """The median over rounds of µs per step; rows are drawn and the code compiled before the clock starts."""
    steps = 128 if batch <= 512 else 8
    rows = np.random.default_rng(1).integers(0, ROWS, (steps, batch))
    run(rows)
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 3:
        start = time.perf_counter()
        run(rows)
        times.append((time.perf_counter() - start) / steps * 1e6)
    return statistics.median(times)


def device() -> str:
    if importlib.util.find_spec("jax"):
        import jax

        return str(jax.devices()[0].device_kind)
    return "cpu"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="for each cell of the table")
    seconds = parser.parse_args().seconds
    contenders = [*with_backlit()]
    if importlib.util.find_spec("torch"):
        contenders += with_torch()
    lines = [f"# µs per step on {device()}\n\n"]
    lines += [f"784-512-512-10, float32. `python benchmarks/gpu.py --seconds {seconds:g}`\n\n"]
    lines += ["| | " + " | ".join(f"batch {b}" for b in BATCHES) + " |\n", "|---" * (1 + len(BATCHES)) + "|\n"]
    for name, run in contenders:
        try:
            cells = [f"{microseconds(run, batch, seconds):.0f}" for batch in BATCHES]
        except Exception as error:  # one that can't run here doesn't stop the others
            cells = [type(error).__name__] * len(BATCHES)
        lines.append(f"| {name} | " + " | ".join(cells) + " |\n")
        print(lines[-1], end="", flush=True)
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"gpu-{re.sub(r'[^a-z0-9]+', '-', device().lower()).strip('-')}.md"
    file.write_text("".join(lines), "utf-8")
    print(f"written to {file}")


if __name__ == "__main__":
    main()
