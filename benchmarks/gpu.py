"""One training step on an accelerator: backlit's jax engine beside PyTorch eager, compiled and with CUDA graphs.

`python benchmarks/gpu.py` trains 784-512-512-10 (relu, softmax, cross-entropy, plain SGD, float32, full precision) on
made-up rows of MNIST's shape that lie on the device, batch 128 and 4096. Rounds go around all contenders, so that a
slow minute of the machine hits all alike. The medians in µs per step go to benchmarks/results/gpu-DEVICE.md and .json.
Without a GPU everything runs on the CPU but CUDA graphs; what isn't installed, or can't run, is told in its place.
`--seconds 0.2 --steps 8` shows in a minute or two that all of it works.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import re
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from step_speed import processor

import backlit as bl

SIZES, ROWS, RATE = [784, 512, 512, 10], 60_000, 0.01
BATCHES = (128, 4096)
RESULTS = Path(__file__).parent / "results"
NEEDS_CUDA = "needs CUDA"
Run = Callable[[np.ndarray], object]  # one call trains on all the steps of rows (k, B) and waits for their end


def data() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.random((ROWS, SIZES[0]), np.float32), random.integers(0, SIZES[-1], ROWS)


def with_backlit() -> Iterator[tuple[str, Callable[[], Run] | str]]:
    net = bl.Network(SIZES, "relu", "softmax", "cross_entropy")
    opt = bl.SGD(RATE)
    for engine, where in (("jax", jax_device() or "CPU"), ("native", "CPU")):
        reason = bl.available_engines()[engine]
        opened = partial(bl.open_engine, engine, net, opt, bl.initial_state(net, opt), data())
        yield f"backlit {engine} ({where})", (lambda o=opened: o().advance) if reason == "ready" else reason


def jax_device() -> str | None:
    """The accelerator that jax sees, or None."""
    if importlib.util.find_spec("jax") is None:
        return None
    import jax

    return None if jax.default_backend() == "cpu" else str(jax.devices()[0].device_kind)


def torch_device() -> str | None:
    """The accelerator that PyTorch sees, or None."""
    if importlib.util.find_spec("torch") is None:
        return None
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


class Torch:
    """The same network in PyTorch, with its rows on the device."""

    def __init__(self) -> None:
        import torch

        self.torch, self.device = torch, "cuda" if torch.cuda.is_available() else "cpu"
        torch.backends.cuda.matmul.allow_tf32 = False
        self.x, self.y = (torch.from_numpy(array).to(self.device) for array in data())
        layers: list[Any] = []
        for fan_in, fan_out in pairwise(SIZES):
            layers += [torch.nn.Linear(fan_in, fan_out), torch.nn.ReLU()]
        self.model = torch.nn.Sequential(*layers[:-1]).to(self.device)
        self.optimizer = torch.optim.SGD(self.model.parameters(), RATE)
        self.loss_of = torch.nn.CrossEntropyLoss()

    def loss(self, rows: Any) -> Any:
        return self.loss_of(self.model(self.x[rows]), self.y[rows])

    def eager(self) -> Run:
        return self.runner(self.loss, self.optimizer.step)

    def compiled(self, **options: Any) -> Run:
        """Forward, loss, backward and the update compiled, as PyTorch's documentation does it."""
        update = self.torch.compile(self.optimizer.step)
        return self.runner(self.torch.compile(self.loss, dynamic=False, **options), update, bool(options))

    def runner(self, loss_of: Callable[[Any], Any], update: Callable[[], object], graphs: bool = False) -> Run:
        def run(rows: np.ndarray) -> None:
            for batch in self.torch.from_numpy(rows).to(self.device):
                if graphs:
                    self.torch.compiler.cudagraph_mark_step_begin()
                self.optimizer.zero_grad(set_to_none=True)
                loss_of(batch).backward()
                update()
            self.wait()

        return run

    def captured(self) -> Run:
        """The whole eager step recorded once for each batch size, and played again for every batch."""
        torch, graphs = self.torch, {}

        def record(batch: int) -> tuple[Any, Any]:
            rows, graph = torch.zeros(batch, dtype=torch.int64, device="cuda"), torch.cuda.CUDAGraph()
            aside = torch.cuda.Stream()
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                for _ in range(3):
                    self.optimizer.zero_grad(set_to_none=True)
                    self.loss(rows).backward()
                    self.optimizer.step()
            torch.cuda.current_stream().wait_stream(aside)
            self.optimizer.zero_grad(set_to_none=True)
            with torch.cuda.graph(graph):
                self.loss(rows).backward()
                self.optimizer.step()
            return rows, graph

        def run(rows: np.ndarray) -> None:
            if rows.shape[1] not in graphs:
                graphs[rows.shape[1]] = record(rows.shape[1])
            place, graph = graphs[rows.shape[1]]
            for batch in torch.from_numpy(rows).to("cuda"):
                place.copy_(batch)
                graph.replay()
            self.wait()

        return run

    def wait(self) -> None:
        if self.device == "cuda":
            self.torch.cuda.synchronize()


def with_torch() -> Iterator[tuple[str, Callable[[], Run] | str]]:
    where = torch_device()
    if importlib.util.find_spec("torch") is None:
        yield "PyTorch", "not installed"
        return
    yield f"PyTorch eager ({where or 'CPU'})", lambda: Torch().eager()
    yield f"torch.compile ({where or 'CPU'})", lambda: Torch().compiled()
    yield "torch.compile with CUDA graphs", (lambda: Torch().compiled(mode="reduce-overhead")) if where else NEEDS_CUDA
    yield "PyTorch, the step as one CUDA graph", (lambda: Torch().captured()) if where else NEEDS_CUDA


def opened(contenders: dict[str, Callable[[], Run] | str], batch_rows: list[np.ndarray]) -> dict[str, Run | str]:
    """Every contender made, and run once for each batch size, so that all is compiled; or why it can't run."""
    result: dict[str, Run | str] = {}
    for name, make in contenders.items():
        result[name] = make if isinstance(make, str) else "can't run"
        try:
            if not isinstance(make, str):
                run = make()
                for rows in batch_rows:
                    run(rows)
                result[name] = run
        except Exception as error:  # one that can't run here doesn't stop the others
            result[name] = f"{type(error).__name__}: {' '.join(str(error).split())[:100]}"
        print(f"{name}: {result[name] if isinstance(result[name], str) else 'ready'}", flush=True)
    return result


def times_of(runs: dict[str, Run | str], rows: np.ndarray, seconds: float) -> dict[str, list[float]]:
    """µs per step, round by round; at least three rounds."""
    times: dict[str, list[float]] = {name: [] for name, run in runs.items() if callable(run)}
    end = time.perf_counter() + seconds * len(times)
    while time.perf_counter() < end or min(map(len, times.values()), default=3) < 3:
        for name in times:
            run = runs[name]
            assert callable(run)
            start = time.perf_counter()
            run(rows)
            times[name].append((time.perf_counter() - start) / len(rows) * 1e6)
    return times


def versions() -> dict[str, str]:
    found = {}
    for package in ("backlit", "jax", "torch", "numpy"):
        if importlib.util.find_spec(package):
            try:
                found[package] = importlib.metadata.version(package)
            except importlib.metadata.PackageNotFoundError:
                found[package] = "?"
    return found


def write(device: str, runs: dict[str, Run | str], times: dict[int, dict[str, list[float]]], how: str) -> Path:
    """The table and the numbers behind it; returns the table's file."""
    lines = [f"# µs per step on {device}\n\n", f"784-512-512-10, float32, medians of rounds. `{how}`\n\n"]
    if torch_device() is None and jax_device() is None:
        lines.append("There is no GPU here: this table shows that every row runs, and says nothing about GPUs.\n\n")
    lines += ["| | " + " | ".join(f"batch {b:,}" for b in BATCHES) + " |\n", "|---" * (1 + len(BATCHES)) + "|\n"]
    for name, run in runs.items():
        cells = [run if isinstance(run, str) else f"{statistics.median(times[b][name]):.0f}" for b in BATCHES]
        lines.append(f"| {name} | " + " | ".join(cells) + " |\n")
    lines.append("\n" + ", ".join(f"{name} {version}" for name, version in versions().items()) + "\n")
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"gpu-{re.sub(r'[^a-z0-9]+', '-', device.lower()).strip('-')}.md"
    file.write_text("".join(lines), "utf-8")
    record = {"device": device, "processor": processor(), "versions": versions(), "command": how,
              "microseconds": {str(b): times[b] for b in BATCHES},
              "not run": {name: run for name, run in runs.items() if isinstance(run, str)}}  # fmt: skip
    file.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    print("".join(lines), f"written to {file}", sep="\n", flush=True)
    return file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0, help="for each cell of the table")
    parser.add_argument("--steps", type=int, default=128, help="of a round at batch 128; fewer for larger batches")
    given = parser.parse_args()
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # so that jax leaves PyTorch room on the card
    random = np.random.default_rng(1)
    batch_rows = [random.integers(0, ROWS, (max(2, given.steps * BATCHES[0] // b), b)) for b in BATCHES]
    runs = opened(dict([*with_backlit(), *with_torch()]), batch_rows)
    times = {b: times_of(runs, rows, given.seconds) for b, rows in zip(BATCHES, batch_rows, strict=True)}
    how = f"python benchmarks/gpu.py --seconds {given.seconds:g} --steps {given.steps}"
    write(torch_device() or jax_device() or processor(), runs, times, how)


if __name__ == "__main__":
    main()
